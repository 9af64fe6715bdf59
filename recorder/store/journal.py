"""Writing batches: frames, the rows derived from them, and event log entries, in one transaction.

The batches of a run are numbered without a hole, and a batch's number is written with it. So after a commit of unknown
outcome the writer can ask whether the batch is there, and otherwise write all of it again; and batches can be moved to
another database whole, each once. `spans` says which frames a batch holds, and its seal proves that they are unchanged.
"""

from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from recorder.errors import MergeConflict
from recorder.model import Frame, Update
from recorder.store import entries, seals
from recorder.store.dialects import insert_rows
from recorder.store.entries import LogEntry
from recorder.store.event_log import apply
from recorder.store.receipts import receipts_of
from recorder.store.schema import TYPED, batches, event_log, frames, runs, spans
from recorder.store.schema import seals as seals_table
from recorder.store.snapshots import add_receipts

Row = tuple[object, ...]

#: The number of a run's first batch: it opens the run, and closes the runs and sessions that a crash left open.
OPENING = 0


class FrameRange(NamedTuple):
    """Consecutive frames of one session."""

    account_id: int
    session_id: int
    first_seq: int
    last_seq: int

    @property
    def frames(self) -> int:
        """How many frames it covers."""
        return self.last_seq - self.first_seq + 1


class Batch:
    """What one transaction writes. Fill it, then write it, repeatedly if necessary: the first attempt seals it.

    Args:
        recorder_id: the recorder.
        run_id: the run.
        number: the batch's number in the run.
        before: the seal before it.
    """

    def __init__(self, recorder_id: int, run_id: int, number: int, before: bytes) -> None:
        self.recorder_id = recorder_id
        self.run_id = run_id
        self.number = number
        self.frames: list[Frame] = []
        self.rows: dict[type[Update], list[Row]] = {record: [] for record in TYPED}
        self.entries: list[LogEntry] = []
        #: (account, session) → its first and last frame in the batch.
        self.spans: dict[tuple[int, int], list[int]] = {}
        self._before = before
        self._sealed: _BatchSeal | None = None

    @property
    def seal(self) -> bytes:
        """Its seal, once it was written."""
        assert self._sealed is not None
        return self._sealed.seal

    def add(self, frame: Frame, updates: tuple[Update, ...]) -> None:
        """Add a frame and the rows of its updates."""
        self.frames.append(frame)
        span = self.spans.get(frame[:2])
        if span is None:
            self.spans[frame[:2]] = [frame.seq, frame.seq]
        else:
            span[1] = frame.seq
        for item, update in enumerate(updates):
            self.rows[type(update)].append(typed_row(frame, item, update))

    def write(self, connection: Connection, now_ns: int) -> None:
        """Write all of it, inside the caller's transaction.

        Another attempt writes the same, with the time of the first one, which may have been committed after all.
        """
        sealed = self._sealed = self._sealed or self._seal_all(now_ns)
        insert_rows(connection, frames, self.frames)
        for record, rows in self.rows.items():
            insert_rows(connection, TYPED[record], rows)
        for entry in self.entries:
            apply(connection, self.recorder_id, entry)
        key = self.run_id, self.number
        told = [(*key, item, body.decode()) for item, body in enumerate(sealed.bodies)]
        insert_rows(connection, event_log, told)
        insert_rows(connection, spans, [(*key, *session, first, last) for session, (first, last) in self.spans.items()])
        add_receipts(connection, receipts_of(self.frames, len(self.spans)))
        insert_rows(connection, batches, [(*key, len(self.frames), sealed.written_ns)])
        insert_rows(connection, seals_table, [(*key, *sealed.row)])

    def _seal_all(self, now_ns: int) -> "_BatchSeal":
        in_order = self.frames if len(self.spans) < 2 else sorted(self.frames, key=itemgetter(0, 1, 2))
        digests = seals.frame_digests(self.run_id, in_order)
        bodies = [entries.encode(entry) for entry in self.entries]
        roots = seals.frames_root(digests), seals.entries_root(bodies)
        counts = len(self.frames), len(bodies)
        seal = seals.seal_of(self.run_id, self.number, now_ns, *counts, *roots, self._before)
        return _BatchSeal(now_ns, bodies, seal, *roots, digests)

    def is_written(self, connection: Connection) -> bool:
        """Whether an earlier attempt was committed after all."""
        mine = batches.c.run_id == self.run_id, batches.c.batch == self.number
        return connection.execute(select(batches.c.batch).where(*mine)).first() is not None


class _BatchSeal(NamedTuple):
    written_ns: int
    #: The entries as they are stored.
    bodies: list[bytes]
    seal: bytes
    frames_root: bytes
    entries_root: bytes
    digests: bytes

    @property
    def row(self) -> Row:
        """The row of `seals`, after its key."""
        return self.seal, self.frames_root, self.entries_root, self.digests


def last_seal(connection: Connection, recorder_id: int) -> bytes:
    """Return a recorder's last seal, to which its next batch is chained."""
    found = connection.execute(_last_seal(recorder_id)).first()
    return seals.BEGINNING if found is None else bytes(found.seal)


def seal_before(source: Connection, target: Connection, recorder_id: int, run_id: int, batch: int) -> bytes:
    """Return the seal that a batch must follow from in order to be moved: the one before it, which the target holds.

    The source says which one that is: a restored backup continues from the last batch that the backup held.

    Args:
        source: where the batch is.
        target: where it is moved to.
        recorder_id: whose it is.
        run_id: its run.
        batch: its number.

    Raises:
        MergeConflict: the target holds something else there.
    """
    at: tuple[int, int] | None = (run_id, batch - 1)
    if batch == OPENING:
        place = source.execute(_last_seal(recorder_id, run_id)).first()
        at = None if place is None else (place.run_id, place.batch)
        if at is None and target.execute(_last_seal(recorder_id, run_id)).first() is None:
            return seals.BEGINNING
    if at is not None:
        c = seals_table.c
        query = select(c.seal).where(c.run_id == at[0], c.batch == at[1])
        seal, held = source.scalar(query), target.scalar(query)
        if seal is not None and held is not None and bytes(seal) == bytes(held):
            return bytes(seal)
    raise MergeConflict(
        f"Run {run_id} does not continue what is there of recorder {recorder_id}: one of the two records was changed. "
        "Nothing from there on was merged; `recorder verify` says which."
    )


def _last_seal(recorder_id: int, before_run: int | None = None) -> Select[Any]:
    """A query for run, batch and seal of a recorder's last batch, or of its last one before a run."""
    query = (
        select(seals_table.c.run_id, seals_table.c.batch, seals_table.c.seal)
        .join(runs, runs.c.run_id == seals_table.c.run_id)
        .where(runs.c.recorder_id == recorder_id)
        .order_by(seals_table.c.run_id.desc(), seals_table.c.batch.desc())
        .limit(1)
    )
    return query if before_run is None else query.where(seals_table.c.run_id < before_run)


def typed_row(frame: Frame, item: int, update: Update) -> Row:
    """Return the row of an update: the key of its frame, then the update's fields."""
    return frame[:3] + (item, frame.received_ns) + update  # noqa: RUF005  unpacking takes twice as long
