"""Writing batches: frames, the rows that follow from them, and the ledger's entries, in one transaction.

A batch has a number within its run, without a hole. Its number is written with it, so that after a commit whose outcome
is not known the writer can ask whether it happened, and do all of it again if not; and so that batches can be moved to
another database whole, each once. `spans` tells which frames a batch holds.
"""

from sqlalchemy import Connection, insert, select

from recorder.model import Frame, Update
from recorder.store import entries, ledger, snapshots
from recorder.store.dialects import insert_rows
from recorder.store.entries import LedgerEntry
from recorder.store.receipts import receipts_of
from recorder.store.schema import TYPED, batches, frames, ledger_entries, spans

Row = tuple[object, ...]

#: The number of a run's first batch: it opens the run in the ledger, and closes what a crash left.
OPENING = 0


class Batch:
    """What one transaction writes. Add to it, write it as often as it takes; it does not change by being written."""

    def __init__(self, recorder_id: int, run_id: int, number: int) -> None:
        self.recorder_id = recorder_id
        self.run_id = run_id
        self.number = number
        self.frames: list[Frame] = []
        self.rows: dict[type[Update], list[Row]] = {record: [] for record in TYPED}
        self.entries: list[LedgerEntry] = []
        #: (account, session) → its first frame here, and its last.
        self.spans: dict[tuple[int, int], list[int]] = {}

    def add(self, frame: Frame, updates: tuple[Update, ...]) -> None:
        """Add a frame and the rows of what it says."""
        self.frames.append(frame)
        seq = frame.seq
        self.spans.setdefault(frame[:2], [seq, seq])[1] = seq
        for item, update in enumerate(updates):
            self.rows[type(update)].append(typed_row(frame, item, update))

    def write(self, connection: Connection, now_ns: int) -> None:
        """Write all of it, inside the caller's transaction."""
        insert_rows(connection, frames, self.frames)
        for record, rows in self.rows.items():
            insert_rows(connection, TYPED[record], rows)
        for entry in self.entries:
            ledger.apply(connection, self.recorder_id, entry)
        key = self.run_id, self.number
        told = [(*key, item, entries.encode(entry).decode()) for item, entry in enumerate(self.entries)]
        insert_rows(connection, ledger_entries, told)
        insert_rows(connection, spans, [(*key, *session, first, last) for session, (first, last) in self.spans.items()])
        snapshots.note(connection, receipts_of(self.frames))
        row = {"run_id": self.run_id, "batch": self.number, "frames": len(self.frames), "written_ns": now_ns}
        connection.execute(insert(batches).values(row))

    def is_written(self, connection: Connection) -> bool:
        """Whether an earlier attempt was committed after all."""
        mine = batches.c.run_id == self.run_id, batches.c.batch == self.number
        return connection.execute(select(batches.c.batch).where(*mine)).first() is not None


def typed_row(frame: Frame, item: int, update: Update) -> Row:
    """The row of one update: the key of the frame, then the fields of the record."""
    return (frame.account_id, frame.session_id, frame.seq, item, frame.received_ns, *update)
