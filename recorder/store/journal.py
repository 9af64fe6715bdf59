"""Writing batches: frames, the rows that follow from them, and the ledger's entries, in one transaction.

A batch has a number within its run. Its number is written with it, so that after a commit whose outcome is not known
the writer can ask whether it happened, and do all of it again if not.
"""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection, Dialect, Table, insert, select

from recorder.model import Frame, Update
from recorder.store import ledger
from recorder.store.ledger import LedgerEntry
from recorder.store.schema import TYPED, batches, frames

Row = tuple[object, ...]


class Batch:
    """What one transaction writes. Add to it, write it as often as it takes; it does not change by being written."""

    def __init__(self, run_id: int, number: int) -> None:
        self.run_id = run_id
        self.number = number
        self.frames: list[Frame] = []
        self.rows: dict[type[Update], list[Row]] = {record: [] for record in TYPED}
        self.entries: list[LedgerEntry] = []

    def add(self, frame: Frame, updates: tuple[Update, ...]) -> None:
        """Add a frame and the rows of what it says."""
        self.frames.append(frame)
        for item, update in enumerate(updates):
            self.rows[type(update)].append(typed_row(frame, item, update))

    def write(self, connection: Connection, now_ns: int) -> None:
        """Write all of it, inside the caller's transaction.

        Driver-level `executemany` over the records as they are: they are tuples in the order of the columns.
        """
        insert_rows(connection, frames, self.frames)
        for record, rows in self.rows.items():
            insert_rows(connection, TYPED[record], rows)
        for entry in self.entries:
            ledger.apply(connection, entry, now_ns)
        row = {"run_id": self.run_id, "batch": self.number, "frames": len(self.frames), "written_ns": now_ns}
        connection.execute(insert(batches).values(row))

    def is_written(self, connection: Connection) -> bool:
        """Whether an earlier attempt was committed after all."""
        mine = batches.c.run_id == self.run_id, batches.c.batch == self.number
        return connection.execute(select(batches.c.batch).where(*mine)).first() is not None


def typed_row(frame: Frame, item: int, update: Update) -> Row:
    """The row of one update: the key of the frame, then the fields of the record."""
    return (frame.account_id, frame.session_id, frame.seq, item, frame.received_ns, *update)


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows whose values are what the driver takes, in the order of the table's columns."""
    if rows:
        connection.exec_driver_sql(_insert_sql(table, connection.dialect), list(rows))


@lru_cache(maxsize=64)
def _insert_sql(table: Table, dialect: Dialect) -> str:
    return str(insert(table).compile(dialect=dialect))
