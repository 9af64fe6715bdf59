"""Read a record to verify it: rows as the driver gives them, from one consistent state, in constant memory."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from recorder.model import REDACTED
from recorder.store import seals
from recorder.store.columns import ExactDecimal
from recorder.store.dialects import SQLITE
from recorder.store.engine import blaming, explain, open_engine
from recorder.store.merkle import HASH_BYTES

Row = tuple[Any, ...]

#: Rows fetched at a time: a single frame can have megabytes.
FETCH_ROWS = 64

ACCOUNTS_SQL = "SELECT account_id, name, venue FROM accounts"
#: The columns of `frames`, in the order of `recorder.model.Frame`.
FRAME_COLUMNS = "account_id, session_id, seq, received_ns, source, topic, status, error, payload"
#: Their indexes in a row.
SEQ, RECEIVED_NS, SOURCE, TOPIC, STATUS, PAYLOAD = 2, 3, 4, 5, 6, 8


class RecordReader:
    """A record opened read-only through its database driver: SQLAlchemy would cost as much per row as the reading.

    Statements have no parameters; only whole numbers are put into them.

    Args:
        url: of the database.

    Raises:
        DatabaseError: it cannot be read.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = blaming(open_engine(url, read_only=True), url)
        self._connection = self._engine.connect()
        self._driver: Any = self._connection.connection.driver_connection
        self._errors = self._engine.dialect.loaded_dbapi.Error
        self._names = count()
        #: Whether decimals have the digits that were written; a server only keeps their value.
        self.exact = self._engine.dialect.name == SQLITE

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._engine.dispose()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the record, whatever is written meanwhile."""
        with self._connection.begin():
            yield

    def rows(self, sql: str) -> list[Row]:
        """All rows of a statement with few rows."""
        with self._explained(sql):
            if self.exact:
                return self._driver.execute(sql).fetchall()  # type: ignore[no-any-return]
            with self._driver.cursor(binary=True) as cursor:
                return cursor.execute(sql).fetchall()  # type: ignore[no-any-return]

    def one(self, sql: str) -> Any:
        """The first value of the first row; None without rows."""
        rows = self.rows(sql)
        return rows[0][0] if rows else None

    def stream(self, sql: str, fetch: int = FETCH_ROWS) -> Iterator[list[Row]]:
        """The rows of a statement with many rows, some at a time."""
        with self._explained(sql):
            if self.exact:
                cursor = self._driver.execute(sql)
            else:
                cursor = self._driver.cursor(f"verify_{next(self._names)}", binary=True)
                cursor.execute(sql)
            try:
                while rows := cursor.fetchmany(fetch):
                    yield rows
            finally:
                cursor.close()

    def columns(self, table: Table) -> str:
        """The columns of a table, for a statement; decimals as text."""
        texts = {column.name for column in table.c if isinstance(column.type, ExactDecimal) and not self.exact}
        names = [column.name for column in table.c]
        return ", ".join(f"{name}::text" if name in texts else name for name in names)

    @contextmanager
    def _explained(self, sql: str) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            wrapped = DBAPIError.instance(sql, None, error, self._errors, dialect=self._engine.dialect)
            assert isinstance(wrapped, DBAPIError)
            raise explain(self._url, wrapped) from error


class FrameSpan(NamedTuple):
    """Consecutive frames of one session."""

    account_id: int
    session_id: int
    first: int
    last: int

    @property
    def frames(self) -> int:
        """How many frames there should be."""
        return self.last - self.first + 1


class StoredSeal(NamedTuple):
    """The columns of `seals` after its key."""

    seal: bytes
    frames_root: bytes
    entries_root: bytes
    digests: bytes


class StoredBatch(NamedTuple):
    """A batch without its frames. What has no row is None or empty."""

    run_id: int
    number: int
    frames: int | None
    written_ns: int | None
    spans: tuple[FrameSpan, ...]
    #: The text of each event log entry, in order.
    bodies: tuple[bytes, ...]
    sealed: StoredSeal | None


_NO_ROW: tuple[int | None, int | None] = None, None


def read_batches(reader: RecordReader, run_id: int, first: int, last: int) -> list[StoredBatch]:
    """Consecutive batches of a run: one for each number, whatever is left of it."""
    of_run = f"WHERE run_id = {run_id:d} AND batch BETWEEN {first:d} AND {last:d}"
    rows = {row[0]: (row[1], row[2]) for row in reader.rows(f"SELECT batch, frames, written_ns FROM batches {of_run}")}
    of_seals = f"SELECT batch, seal, frames_root, entries_root, digests FROM seals {of_run}"
    sealed = {row[0]: StoredSeal(*map(bytes, row[1:])) for row in reader.rows(of_seals)}
    of_spans = f"SELECT batch, account_id, session_id, first_seq, last_seq FROM spans {of_run} ORDER BY 1, 2, 3"
    spans = _by_batch(reader.rows(of_spans), FrameSpan)
    bodies = _by_batch(reader.rows(f"SELECT batch, body FROM event_log {of_run} ORDER BY batch, item"), str.encode)
    return [
        StoredBatch(
            run_id,
            number,
            *rows.get(number, _NO_ROW),
            tuple(spans.get(number, ())),
            tuple(bodies.get(number, ())),
            sealed.get(number),
        )
        for number in range(first, last + 1)
    ]


def _by_batch(rows: Iterable[Row], make: Callable[..., Any]) -> dict[int, list[Any]]:
    made: dict[int, list[Any]] = {}
    for batch, *rest in rows:
        made.setdefault(batch, []).append(make(*rest))
    return made


def frames_sql(span: FrameSpan) -> str:
    """The statement that selects the frames of a span, in order."""
    return (
        f"SELECT {FRAME_COLUMNS} FROM frames WHERE account_id = {span.account_id:d} "
        f"AND session_id = {span.session_id:d} AND seq BETWEEN {span.first:d} AND {span.last:d} ORDER BY seq"
    )


def is_emptied(frame: Row) -> bool:
    """Whether a frame claims that it was redacted."""
    return frame[STATUS] == REDACTED and not frame[PAYLOAD]


def digest_of(run_id: int, frame: Row) -> bytes:
    """The digest of one frame."""
    return seals.frame_digests(run_id, [frame])  # type: ignore[list-item]


def split_digests(digests: bytes) -> list[bytes]:
    """Concatenated digests, one by one."""
    return [digests[start : start + HASH_BYTES] for start in range(0, len(digests), HASH_BYTES)]
