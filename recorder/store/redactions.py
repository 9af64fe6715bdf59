"""Redactions: taking payloads away on purpose, and which redactions of a record count. Digests and seals stay.

A redaction is a run of its own in the event log: who did it, when and why is sealed like everything else, and goes with
the record to every database. Only sealed entries count, because anybody can insert a row into
`redactions`: an entry counts if its batch's seal covers it, and if the chain of seals is intact from that batch to the
recorder's last. Otherwise the entry could have been added later.
"""

import os
import platform
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, select

import recorder
from recorder.clock import Clock
from recorder.errors import DatabaseBusy
from recorder.model import REDACTED, time_ordered_id
from recorder.store import entries, seals, sqlite
from recorder.store.chain import RunSql, links, runs_of
from recorder.store.engine import place
from recorder.store.entries import FramesRedacted, LogEntry, RunEnded, RunStarted
from recorder.store.journal import OPENING, Batch
from recorder.store.opening import open_run
from recorder.store.schema import frames

#: A transaction empties at most so many frames: nobody is kept waiting for longer than that takes.
FRAMES_MAX = 20_000


class Stretch(NamedTuple):
    """Frames of one session that follow each other."""

    account_id: int
    session_id: int
    first_seq: int
    last_seq: int

    @property
    def frames(self) -> int:
        """How many they are."""
        return self.last_seq - self.first_seq + 1


def stretches(
    connection: Connection,
    account_id: int,
    session_id: int | None = None,
    seqs: tuple[int, int] | None = None,
    before_ns: int | None = None,
) -> Iterator[Stretch]:
    """The frames of an account that have a payload still, as far as they are meant.

    Args:
        connection: to the record.
        account_id: whose.
        session_id: only of this session.
        seqs: only from this number to that.
        before_ns: only what was received before, nanoseconds since 1970.
    """
    f = frames.c
    query = select(f.session_id, f.seq).where(f.account_id == account_id, f.status != REDACTED)
    if session_id is not None:
        query = query.where(f.session_id == session_id)
    if seqs is not None:
        query = query.where(f.seq.between(*seqs))
    if before_ns is not None:
        query = query.where(f.received_ns < before_ns)
    begun: Stretch | None = None
    for session, seq in connection.execute(query.order_by(f.session_id, f.seq).execution_options(yield_per=10_000)):
        if begun is not None and (session, seq) == (begun.session_id, begun.last_seq + 1) and begun.frames < FRAMES_MAX:
            begun = begun._replace(last_seq=seq)
            continue
        if begun is not None:
            yield begun
        begun = Stretch(account_id, session, seq, seq)
    if begun is not None:
        yield begun


def redact(
    engine: Engine, url: str, chosen: Sequence[Stretch], who: str, why: str, clock: Clock | None = None
) -> Iterator[int]:
    """Empty frames, remove what followed from them, and note it. Only the sole writer may do it.

    Then `sweep`: the bytes are in the file still.

    Args:
        engine: of the file.
        url: of the file.
        chosen: which frames.
        who: does it; for the event log.
        why: as well.
        clock: dates it.

    Yields:
        After each transaction, how many frames it emptied.
    """
    clock = clock or Clock()
    now_ns = clock.wall_ns()
    started = RunStarted(time_ordered_id(now_ns), 0, now_ns, platform.node(), os.getpid(), recorder.__version__)
    with closing(engine.connect()) as connection:
        with connection.begin():
            run, seal, _ = open_run(connection, url, started, ())
        for number, together in enumerate(_transactions(chosen), OPENING + 1):
            batch = Batch(run.recorder_id, run.run_id, number, seal)
            batch.entries += [FramesRedacted(*stretch, now_ns, who, why) for stretch in together]
            if together[-1] == chosen[-1]:
                batch.entries.append(RunEnded(run.run_id, clock.wall_ns(), "redacted"))
            with connection.begin():
                batch.write(connection, clock.wall_ns())
            seal = batch.seal
            yield sum(stretch.frames for stretch in together)


def sweep(engine: Engine, url: str) -> None:
    """Write the file anew, because SQLite leaves pieces of what was deleted in its pages, and empty its log.

    The bytes are then in no file of the record's; what a disk keeps beneath its files is another matter.

    Raises:
        DatabaseBusy: somebody reads the file as it was.
    """
    with closing(engine.connect()) as connection:
        sqlite.outside_transaction(connection, "VACUUM")
        (still_read,) = sqlite.outside_transaction(connection, "PRAGMA wal_checkpoint(TRUNCATE)")[0][:1]
        if still_read:
            raise DatabaseBusy(
                f"The payloads are taken away, but another program reads {place(url)} and its log still holds them: "
                "close it there, then type the same command again."
            )


def _transactions(chosen: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    together: list[Stretch] = []
    for stretch in chosen:
        if together and sum(one.frames for one in together) + stretch.frames > FRAMES_MAX:
            yield together
            together = []
        together.append(stretch)
    if together:
        yield together


_BEGINS = '{"kind":"FramesRedacted"'
_CANDIDATES = f"SELECT DISTINCT run_id, batch FROM event_log WHERE substr(body, 1, {len(_BEGINS)}) = '{_BEGINS}'"

#: A batch: its run and its number.
Key = tuple[int, int]


class SealedRedactions:
    """The redactions of a record.

    Args:
        by_batch: the batches that hold the entries, each with its redactions.
    """

    def __init__(self, by_batch: dict[Key, list[FramesRedacted]]) -> None:
        self.by_batch = by_batch
        # Session → the frames redacted in it, as ranges that do not meet, in order.
        self._ranges: dict[Key, list[tuple[int, int]]] = {}
        for entry in sorted(self.entries, key=lambda one: one.first_seq):
            ranges = self._ranges.setdefault((entry.account_id, entry.session_id), [])
            if ranges and entry.first_seq <= ranges[-1][1] + 1:
                ranges[-1] = ranges[-1][0], max(ranges[-1][1], entry.last_seq)
            else:
                ranges.append((entry.first_seq, entry.last_seq))

    @property
    def entries(self) -> list[FramesRedacted]:
        """All of them, in the order of their batches."""
        return [entry for _, of_batch in sorted(self.by_batch.items()) for entry in of_batch]

    def covers(self, account_id: int, session_id: int, seq: int) -> bool:
        """Whether the payload of a frame was redacted."""
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
