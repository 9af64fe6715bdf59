"""Moving a record's batches into another database: whole, in order, each once; and comparing what both hold already.

The shipper moves the local journal to a server while it grows, and `recorder merge` moves a file into another record.

A batch arrives in one transaction of the target with everything that belongs to it. Its row in `batches` is the cursor:
after a connection was lost at the commit, the target itself says what it has, and anybody can continue from there. The
rows of runs, sessions and gaps are not copied but derived from the entries again, because they change during a run.
An entry can erase payloads in the target, so each batch must follow from what the target holds: see `chain`.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Table, func, insert, literal_column, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from recorder.errors import DatabaseError, MergeConflict
from recorder.model import REDACTED
from recorder.store import entries, postgresql
from recorder.store.chain import ReadBatch, require_sealed, started_by
from recorder.store.credentials import require_one_account
from recorder.store.dialects import POSTGRESQL, insert_rows, lock_credentials, lock_run
from recorder.store.entries import CredentialUsed, SessionEnded
from recorder.store.event_log import apply
from recorder.store.journal import OPENING, FrameRange, seal_before
from recorder.store.projection_tables import PROJECTIONS
from recorder.store.receipts import Receipt
from recorder.store.schema import TYPED, batches, event_log, frames, metadata, receipts, runs, seals, spans
from recorder.store.snapshots import Snapshots, add_receipts

#: Frames in one transaction, which takes whole batches and at least one.
FRAMES_MAX = 20_000
#: Rows, or bytes of payload, held in memory at a time.
CHUNK_ROWS = 2_000
CHUNK_BYTES = 8 * 2**20
#: Snapshots made between two steps: more than a step has frames for, so that they never fall behind.
SNAPSHOTS_MAX = 8
#: Frames fetched at a time: few, because one may have megabytes.
FETCH_FRAMES = 16

#: Right → the tables of a server's database on which moving needs it. `DELETE` is for redactions.
RIGHTS = {
    **dict.fromkeys(("SELECT", "INSERT", "UPDATE"), tuple(metadata.tables)),
    "DELETE": (
        *(table.name for table in TYPED.values()),
        "snapshots",
        "snapshot_rows",
        *(table.name for table in PROJECTIONS),
    ),
}

_PAYLOAD = list(frames.c.keys()).index("payload")


class Moved(NamedTuple):
    """What one transaction moved."""

    run_id: int
    #: The last batch.
    batch: int
    batches: int
    frames: int
    #: Sessions that ended in them, which can now be compared with those of other recorders.
    sessions_ended: int
    #: Whether more batches may have been waiting; otherwise the target has all that the source had before this step.
    more: bool = False


def require_rights(connection: Connection, where: str) -> None:
    """Check that this user has all the rights on a server's database that moving ever needs.

    Otherwise a right that only a redaction needs would be missed years later, and block everything behind it.

    Args:
        connection: to the target.
        where: the target, for people.

    Raises:
        DatabaseError: it contains the statements that grant what is missing.
    """
    if connection.dialect.name != POSTGRESQL:
        return
    missing = postgresql.missing_rights(connection, RIGHTS)
    if missing:
        grants = [
            f"GRANT {right} ON {', '.join(names)} TO {postgresql.user(connection)};" for right, names in missing.items()
        ]
        raise DatabaseError(f"This user lacks rights on {where}; its owner must type: {' '.join(grants)}")


def update_statistics(connection: Connection) -> list[str]:
    """Update PostgreSQL's statistics of the tables that have grown.

    Returns:
        The tables that need it, but that this user may not analyze.
    """
    if connection.dialect.name != POSTGRESQL:
        return []
    return postgresql.analyze(connection, (table.name for table in (frames, *TYPED.values(), *PROJECTIONS)))


class Mover:
    """Moves what one database holds and another lacks.

    Args:
        source: a file, which is only read.
        target: another database of the same schema.
        frames_max: frames in one transaction.
    """

    def __init__(self, source: Engine, target: Engine, frames_max: int = FRAMES_MAX) -> None:
        self._source = source
        self._target = target
        self._frames_max = frames_max
        self._writing: Connection | None = None
        #: The run that is being moved; all before it are in the target. None: not known yet.
        self._run_id: int | None = None
        self._snapshots = Snapshots()
        #: When the last moved batch was written; None: there is nothing more to move.
        self._written_ns: int | None = None

    def close(self) -> None:
        """Close the connection to the target."""
        if self._writing is not None:
            with suppress(DBAPIError):
                self._writing.close()
            self._writing = None

    def step(self) -> Moved | None:
        """Move the next batches. Returns None if the target has everything.

        Raises:
            MergeConflict: the target holds other frames under the same keys.
            AnotherAccount: the next batches may be of another account than the one the target has under this name.
            sqlalchemy.exc.DBAPIError: the step has happened completely or not at all; call again.
        """
        try:
            if self._writing is None:
                # Kept, because a connection to a server is expensive.
                self._writing = self._target.connect()
            self._make_snapshots(self._writing)
            with self._source.connect() as reading:
                return self._step(reading, self._writing)
        except BaseException:
            self.close()
            # The target may have less than before: a standby took over, or a backup was restored.
            self._run_id = None
            raise

    def _make_snapshots(self, writing: Connection) -> None:
        """Make snapshots in the target, none later than what was moved: the next batches would delete it."""
        for _ in range(SNAPSHOTS_MAX):
            if not self._snapshots.due:
                break
            with writing.begin():
                self._snapshots.step(writing, self._written_ns)

    def _step(self, reading: Connection, writing: Connection) -> Moved | None:
        if self._run_id is None:
            self._run_id = self._first_not_there(reading, writing)
        while self._run_id is not None:
            try:
                with writing.begin():
                    moved = self._move(reading, writing)
            except IntegrityError as error:
                raise MergeConflict(
                    f"Something of run {self._run_id} is there already under the key of another run: one of the two "
                    "records was changed, or is no record of this program's; nothing of it was merged."
                ) from error
            later = select(runs.c.run_id).where(runs.c.run_id > self._run_id).limit(1)
            if moved is not None:
                is_full = max(moved.frames, moved.batches) >= self._frames_max
                return moved._replace(more=is_full or reading.scalar(later) is not None)
            self._written_ns = None
            if reading.scalar(later) is None:
                return None
            # Not simply the next one: a run ends what the one before it left open, which must be there then.
            before, self._run_id = self._run_id, self._first_not_there(reading, writing)
            if self._run_id == before:
                return None
        return None

    def _first_not_there(self, reading: Connection, writing: Connection) -> int | None:
        """Find the oldest run that the target lacks batches of; the newest run if it lacks none."""
        with writing.begin():
            there = last_batches(writing)
        newest = None
        for run_id, batch in last_batches(reading).items():
            if there.get(run_id, -1) < batch:
                return run_id
            newest = run_id
        return newest

    def _move(self, reading: Connection, writing: Connection) -> Moved | None:
        assert self._run_id is not None
        lock_run(writing, self._run_id)
        chosen = self._choose(reading, last_batches(writing, self._run_id)[self._run_id])
        if not chosen:
            return None
        first, last = chosen[0].batch, chosen[-1].batch
        logged, sealed = (
            reading.execute(select(table).where(*_between(table, self._run_id, first, last)).order_by(*key)).all()
            for table, key in ((event_log, _KEYS), (seals, [seals.c.batch]))
        )
        recorder_id = self._require_sealed(reading, writing, chosen, logged, sealed)
        moved_entries = [entries.decode(row.body) for row in logged]
        used = {one.account_id: [one.fingerprint] for one in moved_entries if isinstance(one, CredentialUsed)}
        if used:
            lock_credentials(writing)
            require_one_account(reading, writing, used)
        these = spans_of(reading, self._run_id, first, last)
        for table in (frames, *TYPED.values()):
            for span in these:
                for rows in rows_of(reading, table, span):
                    insert_rows(writing, table, rows)
        for entry in moved_entries:
            apply(writing, recorder_id, entry)
        writing.execute(insert(batches), [row._asdict() for row in chosen])
        insert_rows(writing, event_log, [tuple(row) for row in logged])
        kept = reading.execute(select(spans).where(*_between(spans, self._run_id, first, last)))
        for table, its_rows in ((spans, kept), (seals, sealed)):
            insert_rows(writing, table, [tuple(row) for row in its_rows])
        add_receipts(writing, [receipt for span in these for receipt in _receipts(reading, span)])
        for span in these:
            self._snapshots.add(span.account_id, span.frames)
        self._written_ns = chosen[-1].written_ns
        ended = sum(isinstance(entry, SessionEnded) for entry in moved_entries)
        return Moved(self._run_id, last, len(chosen), sum(row.frames for row in chosen), ended)

    def _choose(self, reading: Connection, after: int) -> list[Any]:
        """Return the next batches of the run, without a hole."""
        waiting = select(batches).where(batches.c.run_id == self._run_id, batches.c.batch > after)
        chosen: list[Any] = []
        frames_chosen = 0
        for row in reading.execute(waiting.order_by(batches.c.batch).limit(self._frames_max)):
            chosen.append(row)
            frames_chosen += row.frames
            if frames_chosen >= self._frames_max:
                break
        for expected, row in enumerate(chosen, after + 1):
            if row.batch != expected:
                raise MergeConflict(
                    f"Run {self._run_id} lacks batch {expected}: the record it comes from is not whole."
                )
        return chosen

    def _require_sealed(
        self, reading: Connection, writing: Connection, chosen: list[Any], logged: Sequence[Any], sealed: Sequence[Any]
    ) -> int:
        """Check that batches are as they were sealed, and follow from what the target holds. Returns the recorder."""
        assert self._run_id is not None
        bodies: dict[int, list[str]] = {}
        for row in logged:
            bodies.setdefault(row.batch, []).append(row.body)
        roots = {row.batch: (bytes(row.seal), bytes(row.frames_root), bytes(row.entries_root)) for row in sealed}
        # A row of `runs` is not sealed.
        recorder_id = started_by(bodies.get(OPENING, ()), self._run_id)
        if chosen[0].batch > OPENING:
            recorder_id = writing.scalar(select(runs.c.recorder_id).where(runs.c.run_id == self._run_id))
        if recorder_id is None:
            raise MergeConflict(f"No entry of run {self._run_id} starts it: its record is not whole.")
        before = seal_before(reading, writing, recorder_id, self._run_id, chosen[0].batch)
        for row in chosen:
            its = bodies.get(row.batch, ()), roots.get(row.batch)
            before = require_sealed(ReadBatch(row.run_id, row.batch, row.frames, row.written_ns, *its), before)
        return recorder_id


def last_batches(connection: Connection, run_id: int | None = None) -> dict[int, int]:
    """Return the last batch of each run in a database, oldest run first; or of one run, -1 if it has none."""
    last = select(func.max(batches.c.batch))
    if run_id is not None:
        found = connection.scalar(last.where(batches.c.run_id == run_id))
        return {run_id: -1 if found is None else int(found)}
    # One look into the index for each run, instead of reading all batches.
    each = select(runs.c.run_id, last.where(batches.c.run_id == runs.c.run_id).scalar_subquery())
    return {run: batch for run, batch in connection.execute(each.order_by(runs.c.run_id)) if batch is not None}


def spans_of(connection: Connection, run_id: int, first: int, last: int) -> list[FrameRange]:
    """Return the frames of consecutive batches: within a session, batches follow each other without a hole."""
    key = spans.c.account_id, spans.c.session_id
    query = select(*key, func.min(spans.c.first_seq), func.max(spans.c.last_seq))
    query = query.where(*_between(spans, run_id, first, last)).group_by(*key).order_by(*key)
    return [FrameRange(*row) for row in connection.execute(query)]


def rows_of(connection: Connection, table: Table, span: FrameRange) -> Iterator[list[tuple[Any, ...]]]:
    """Read a table's rows for some frames, in order and in chunks, with the digits as stored."""
    # Literal columns, because a `Decimal` would lose the form in which a number was sent.
    columns: list[ColumnElement[Any]] = [literal_column(column.name) for column in table.c]
    query = (
        select(*columns)
        .select_from(table)
        .where(table.c.account_id == span.account_id, table.c.session_id == span.session_id)
        .where(table.c.seq.between(span.first_seq, span.last_seq))
        .order_by(*table.primary_key)
    )
    chunk: list[tuple[Any, ...]] = []
    size = 0
    fetch = FETCH_FRAMES if table is frames else CHUNK_ROWS
    with connection.execute(query.execution_options(yield_per=fetch)) as rows:
        for row in rows:
            chunk.append(tuple(row))
            if table is frames:
                size += len(row[_PAYLOAD])
            if len(chunk) >= CHUNK_ROWS or size >= CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk


def _receipts(connection: Connection, span: FrameRange) -> Iterator[Receipt]:
    mine = receipts.c.account_id == span.account_id, receipts.c.session_id == span.session_id
    these = receipts.c.first_seq.between(span.first_seq, span.last_seq)
    for row in connection.execute(select(receipts).where(*mine, these)):
        yield Receipt(*row)


_KEYS = (event_log.c.batch, event_log.c.item)


def _between(table: Table, run_id: int, first: int, last: int) -> tuple[Any, ...]:
    return table.c.run_id == run_id, table.c.batch.between(first, last)


#: The columns of a frame's key, and those that are evidence. How it was decoded may depend on the version.
_KEY = 3
#: Rows fetched at a time.
ROWS_PER_FETCH = 2_000
_EVIDENCE = [list(frames.c.keys()).index(name) for name in ("received_ns", "source", "payload")]
_STATUS = list(frames.c.keys()).index("status")


def require_same(one: Connection, other: Connection) -> int:
    """Compare the batches that two databases both hold: frames byte for byte, entries, and seals.

    Returns:
        How many frames were compared.

    Raises:
        MergeConflict: it names the first difference.
    """
    compared = 0
    mine, theirs = last_batches(one), last_batches(other)
    for run_id in sorted(mine.keys() & theirs.keys()):
        last = min(mine[run_id], theirs[run_id])
        for table in (batches, spans, event_log, seals):
            key = list(table.primary_key)
            query = select(*table.c).where(table.c.run_id == run_id, table.c.batch <= last).order_by(*key)
            streamed = query.execution_options(yield_per=ROWS_PER_FETCH)
            with one.execute(streamed) as mine_rows, other.execute(streamed) as their_rows:
                for left, right in zip_longest(map(tuple, mine_rows), map(tuple, their_rows)):
                    if left != right:
                        batch = (left or right)[1]
                        raise MergeConflict(f"Batch {batch} of run {run_id} is not the same in both ({table.name}).")
        compared += _require_same_frames(one, other, run_id, last)
    return compared


def _require_same_frames(one: Connection, other: Connection, run_id: int, last: int) -> int:
    compared = 0
    for span in spans_of(one, run_id, 0, last):
        sides = (_rows(rows_of(side, frames, span)) for side in (one, other))
        for left, right in zip_longest(*sides):
            compared += 1
            if left is None or right is None or not _same(left, right):
                _, session_id, seq = (left or right)[:_KEY]
                raise MergeConflict(f"Frame {seq} of session {session_id} is not the same in both.")
    return compared


def _rows(chunks: Iterable[list[tuple[Any, ...]]]) -> Iterator[Any]:
    for chunk in chunks:
        yield from chunk


def _same(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    mine, theirs = _evidence(left), _evidence(right)
    if REDACTED in {left[_STATUS], right[_STATUS]}:
        return mine[:-1] == theirs[:-1]  # its payload may be gone in one of them, and soon will be in both
    return mine == theirs


def _evidence(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:_KEY], *(row[index] for index in _EVIDENCE))
