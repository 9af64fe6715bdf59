"""Redactions: taking payloads away on purpose, and which redactions of a record count. Digests and seals stay.

A redaction is a run of its own in the event log: who did it, when and why is sealed like everything else, and goes with
the record to every database. Only sealed entries count, because anybody can insert a row into
`redactions`: an entry counts if its batch's seal covers it, and if the chain of seals is intact from that batch to the
recorder's last. Otherwise the entry could have been added later.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

import msgspec
from sqlalchemy import Connection, Engine, select

from recorder.clock import Clock
from recorder.errors import DatabaseBusy
from recorder.model import REDACTED
from recorder.store import entries, seals, sqlite
from recorder.store.chain import RunSql, links, runs_of
from recorder.store.engine import place
from recorder.store.entries import FramesRedacted, LogEntry, RunEnded
from recorder.store.journal import OPENING, Batch, FrameRange
from recorder.store.opening import new_run, open_run
from recorder.store.schema import frames

#: Frames emptied in one transaction, which others have to wait for.
FRAMES_MAX = 20_000


def redactable(
    connection: Connection,
    account_id: int,
    session_id: int | None = None,
    seqs: tuple[int, int] | None = None,
    before_ns: int | None = None,
) -> Iterator[FrameRange]:
    """Find the frames of an account that still have a payload.

    Args:
        connection: to the record.
        account_id: the account.
        session_id: only this session.
        seqs: only from this number to that one.
        before_ns: only what was received before, ns since 1970.
    """
    f = frames.c
    query = select(f.session_id, f.seq).where(f.account_id == account_id, f.status != REDACTED)
    if session_id is not None:
        query = query.where(f.session_id == session_id)
    if seqs is not None:
        query = query.where(f.seq.between(*seqs))
    if before_ns is not None:
        query = query.where(f.received_ns < before_ns)
    current: FrameRange | None = None
    for session, seq in connection.execute(query.order_by(f.session_id, f.seq).execution_options(yield_per=10_000)):
        follows = current is not None and (session, seq) == (current.session_id, current.last_seq + 1)
        if current is not None and follows and current.frames < FRAMES_MAX:
            current = current._replace(last_seq=seq)
            continue
        if current is not None:
            yield current
        current = FrameRange(account_id, session, seq, seq)
    if current is not None:
        yield current


def redact(
    engine: Engine, url: str, chosen: Sequence[FrameRange], who: str, why: str, clock: Clock | None = None
) -> Iterator[int]:
    """Empty frames, delete the rows derived from them, and log it. Only the sole writer may do it.

    The bytes are still in the file until `sweep`.

    Args:
        engine: of the file.
        url: of the file.
        chosen: the frames.
        who: who does it, for the event log.
        why: the reason, for the event log.
        clock: gives the time.

    Yields:
        How many frames each transaction emptied.
    """
    clock = clock or Clock()
    now_ns = clock.wall_ns()
    with closing(engine.connect()) as connection:
        with connection.begin():
            run, seal, _ = open_run(connection, url, new_run(now_ns), ())
        for number, together in enumerate(_transactions(chosen), OPENING + 1):
            batch = Batch(run.recorder_id, run.run_id, number, seal)
            batch.entries += [FramesRedacted(*one, now_ns, who, why) for one in together]
            if together[-1] == chosen[-1]:
                batch.entries.append(RunEnded(run.run_id, clock.wall_ns(), "redacted"))
            with connection.begin():
                batch.write(connection, clock.wall_ns())
            seal = batch.seal
            yield sum(one.frames for one in together)


def sweep(engine: Engine, url: str) -> None:
    """Rewrite the file, because SQLite leaves pieces of deleted rows in its pages, and empty its log.

    The bytes are then in no file of the record. What a disk keeps below its files is out of reach.

    Raises:
        DatabaseBusy: another program still reads the old state.
    """
    with closing(engine.connect()) as connection:
        sqlite.outside_transaction(connection, "VACUUM")
        (still_read,) = sqlite.outside_transaction(connection, "PRAGMA wal_checkpoint(TRUNCATE)")[0][:1]
        if still_read:
            raise DatabaseBusy(
                f"The payloads are removed, but another program reads {place(url)} and its log still holds them: "
                "close it there, then type the same command again."
            )


def _transactions(chosen: Sequence[FrameRange]) -> Iterator[list[FrameRange]]:
    together: list[FrameRange] = []
    for frame_range in chosen:
        if together and sum(one.frames for one in together) + frame_range.frames > FRAMES_MAX:
            yield together
            together = []
        together.append(frame_range)
    if together:
        yield together


_BEGINS = '{"kind":"FramesRedacted"'
_CANDIDATES = f"SELECT DISTINCT run_id, batch FROM event_log WHERE substr(body, 1, {len(_BEGINS)}) = '{_BEGINS}'"

#: A batch: run and number. A session: account and session.
Key = tuple[int, int]


class SealedRedactions:
    """The redactions of a record that count.

    Args:
        by_batch: batch → the redactions in it.
    """

    def __init__(self, by_batch: dict[Key, list[FramesRedacted]]) -> None:
        self.by_batch = by_batch
        # Session → its redacted frames, as sorted ranges that do not touch.
        self._ranges: dict[Key, list[tuple[int, int]]] = {}
        for entry in sorted(self.entries, key=lambda one: one.first_seq):
            ranges = self._ranges.setdefault((entry.account_id, entry.session_id), [])
            if ranges and entry.first_seq <= ranges[-1][1] + 1:
                ranges[-1] = ranges[-1][0], max(ranges[-1][1], entry.last_seq)
            else:
                ranges.append((entry.first_seq, entry.last_seq))

    @property
    def entries(self) -> list[FramesRedacted]:
        """All redactions, in the order of their batches."""
        return [entry for _, of_batch in sorted(self.by_batch.items()) for entry in of_batch]

    def covers(self, account_id: int, session_id: int, seq: int) -> bool:
        """Whether a frame was redacted."""
        ranges = self._ranges.get((account_id, session_id), ())
        at = bisect_right(ranges, seq, key=lambda one: one[0]) - 1
        return at >= 0 and seq <= ranges[at][1]


def sealed_redactions(run_sql: RunSql) -> SealedRedactions:
    """Read the redactions that the seals of a record prove."""
    candidates = {(run_id, batch) for run_id, batch in run_sql(_CANDIDATES)}
    if not candidates:
        return SealedRedactions({})
    runs = runs_of(run_sql)
    recorder_of = {run.run_id: run.recorder_id for run in runs}
    recorders = {recorder_of[run_id] for run_id, _ in candidates}
    last_break: dict[int, Key] = {}
    # Where a chain forks, it no longer covers the batches between the fork and the run that continues from there.
    cut_off: list[tuple[int, Key, Key]] = []
    for link in links(run_sql, [run for run in runs if run.recorder_id in recorders]):
        if link.fork is not None:
            cut_off.append((link.run.recorder_id, link.fork, (link.run.run_id, link.batch)))
        elif link.broken is not None:
            last_break[link.run.recorder_id] = link.run.run_id, link.batch

    def is_covered(key: Key) -> bool:
        recorder_id = recorder_of[key[0]]
        between = (after < key < before for whose, after, before in cut_off if whose == recorder_id)
        return key > last_break.get(recorder_id, (-1, -1)) and not any(between)

    proved = filter(is_covered, sorted(candidates))
    return SealedRedactions({key: found for key in proved if (found := _sealed_entries(run_sql, *key))})


def sealed_redactions_in(connection: Connection) -> SealedRedactions:
    """As `sealed_redactions`, over a connection."""
    return sealed_redactions(lambda sql: (tuple(row) for row in connection.exec_driver_sql(sql)))


def redactions_among(bodies: Iterable[bytes], entries_root: bytes) -> list[FramesRedacted]:
    """The redactions among the entries of a batch; none where the entries are not those under its root."""
    told = list(bodies)
    if seals.entries_root(told) != entries_root:
        return []
    return [entry for entry in map(_decoded, told) if isinstance(entry, FramesRedacted)]


def _decoded(body: bytes) -> LogEntry | None:
    try:
        entry: LogEntry = entries.decode(body)
    except msgspec.MsgspecError:
        return None  # of a kind that only a later version knows
    return entry


def _sealed_entries(run_sql: RunSql, run_id: int, batch: int) -> list[FramesRedacted]:
    where = f"WHERE run_id = {run_id:d} AND batch = {batch:d}"
    root = next(iter(run_sql(f"SELECT entries_root FROM seals {where}")), None)
    bodies = [body.encode() for (body,) in run_sql(f"SELECT body FROM event_log {where} ORDER BY item")]
    return [] if root is None else redactions_among(bodies, bytes(root[0]))
