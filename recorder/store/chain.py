"""Follow the chain of seals of a record: the order of its batches, and which of them follow from the one before.

Only the row of each batch, its seal and the number of its entries are read; frames and digests are not.
`recorder.store.seals` defines what a seal covers.

Entries erase payloads and settle gaps, so those of another database are applied only once `require_sealed` has found
them to be what was sealed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from recorder.errors import MergeConflict
from recorder.store import entries, seals
from recorder.store.entries import RunStarted

#: Runs an SQL statement without parameters or percent signs; returns its rows.
RunSql = Callable[[str], Iterable[tuple[Any, ...]]]

#: Batches read with one statement.
CHUNK = 1_000
#: Tables that have rows for each batch.
TABLES_OF_BATCHES = ("batches", "seals", "spans", "event_log")


class ChainedRun(NamedTuple):
    """A run with its recorder, according to the sealed entries."""

    recorder_id: int
    run_id: int
    #: The number of its last batch.
    last: int


class Break(Enum):
    """Why a batch does not follow from the one before it."""

    GONE = "its row and its seal are missing"
    ROW_GONE = "its row is missing"
    SEAL_GONE = "its seal is missing"
    SEAL_DIFFERS = "its seal does not follow from its parts and the seal before it"
    FORKED = "its seal follows from its parts and an earlier seal than the one before it"
    UNVERIFIABLE = "its seal cannot be verified, because the seal before it is missing"


class Link(NamedTuple):
    """A batch in the chain of its recorder."""

    run: ChainedRun
    batch: int
    #: As stored; None if it is missing.
    seal: bytes | None
    #: None: the batch follows from the one before it.
    broken: Break | None
    #: If it is forked, the run and number of the batch that it follows from.
    fork: tuple[int, int] | None = None


def runs_of(run_sql: RunSql) -> list[ChainedRun]:
    """Return every run that has a row in any table, in the order of each recorder's chain."""
    recorder_of: dict[int, int] = {row[0]: row[1] for row in run_sql("SELECT run_id, recorder_id FROM runs")}
    run_ids = set(recorder_of)
    for table in TABLES_OF_BATCHES:
        run_id = _value(run_sql, f"SELECT min(run_id) FROM {table}")
        while run_id is not None:
            run_ids.add(run_id)
            run_id = _value(run_sql, f"SELECT min(run_id) FROM {table} WHERE run_id > {run_id:d}")
    owned = sorted((_sealed_recorder(run_sql, run_id) or recorder_of.get(run_id, 0), run_id) for run_id in run_ids)
    found = []
    for recorder_id, run_id in owned:
        of_run = (f"SELECT max(batch) FROM {table} WHERE run_id = {run_id:d}" for table in TABLES_OF_BATCHES)
        last = max((batch for sql in of_run if (batch := _value(run_sql, sql)) is not None), default=-1)
        if last >= 0:
            found.append(ChainedRun(recorder_id, run_id, last))
    return found


def links(run_sql: RunSql, runs: Sequence[ChainedRun]) -> Iterator[Link]:
    """Follow the chains of seals, batch by batch.

    Args:
        run_sql: reads the record.
        runs: all runs of the recorders concerned, from `runs_of`.
    """
    earlier: list[ChainedRun] = []
    # The possible seals before: the stored one, and the computed one if the two differ.
    befores: list[bytes] = []
    for run in runs:
        if not earlier or run.recorder_id != earlier[0].recorder_id:
            earlier, befores = [], [seals.BEGINNING]
        for first in range(0, run.last + 1, CHUNK):
            rows = _BatchRows(run_sql, run.run_id, first, min(first + CHUNK - 1, run.last))
            for batch in range(first, min(first + CHUNK - 1, run.last) + 1):
                seal, made, broken = rows.follow(batch, befores)
                # A run recorded into a restored backup continues from the last batch that the backup held.
                fork = rows.fork(earlier) if broken is Break.SEAL_DIFFERS and batch == 0 else None
                if fork is not None:
                    broken, made = Break.FORKED, None
                befores = [one for one in (seal, made) if one is not None]
                yield Link(run, batch, seal, broken, fork)
        earlier.append(run)


class ReadBatch(NamedTuple):
    """What was read of a batch of another database, except its frames."""

    run_id: int
    batch: int
    frames: int
    written_ns: int
    #: The event log entries, in order, as they are stored.
    bodies: Sequence[str]
    #: Its row of `seals`: the seal, the root over the frames and the root over the entries; None: it has none.
    sealed: tuple[bytes, bytes, bytes] | None


def require_sealed(read: ReadBatch, before: bytes) -> bytes:
    """Check that a batch's entries are those that were sealed, and that its seal follows from the one before it.

    Args:
        read: the batch.
        before: the seal before it.

    Returns:
        Its seal.

    Raises:
        MergeConflict: it is not as it was sealed.
    """
    if read.sealed is None:
        raise _not_sealed(read, "its seal is missing")
    seal, frames_root, entries_root = read.sealed
    bodies = [body.encode() for body in read.bodies]
    if seals.entries_root(bodies) != entries_root:
        raise _not_sealed(read, "its event log entries are not those that its seal covers")
    counts = read.frames, len(bodies)
    if seals.seal_of(*read[:2], read.written_ns, *counts, frames_root, entries_root, before) != seal:
        raise _not_sealed(read, "its seal does not follow from its parts and the seal before it")
    return seal


def _not_sealed(read: ReadBatch, what: str) -> MergeConflict:
    return MergeConflict(
        f"Batch {read.batch} of run {read.run_id} is not as it was sealed: {what}. Nothing from there on was merged; "
        "`recorder verify` of the record it comes from says what was changed."
    )


class _BatchRows:
    """The rows of some batches of a run, by batch."""

    def __init__(self, run_sql: RunSql, run_id: int, first: int, last: int) -> None:
        self._run_sql = run_sql
        self._run_id = run_id
        where = f"WHERE run_id = {run_id:d} AND batch BETWEEN {first:d} AND {last:d}"
        self._batches = {row[0]: row[1:] for row in run_sql(f"SELECT batch, written_ns, frames FROM batches {where}")}
        of_seals = run_sql(f"SELECT batch, seal, frames_root, entries_root FROM seals {where}")
        self._seals = {row[0]: tuple(map(bytes, row[1:])) for row in of_seals}
        counts = run_sql(f"SELECT batch, count(*) FROM event_log {where} GROUP BY batch")
        self._entries: dict[int, int] = {row[0]: row[1] for row in counts}

    def follow(self, batch: int, befores: Sequence[bytes]) -> tuple[bytes | None, bytes | None, Break | None]:
        """Return the stored seal of a batch, the computed one if it differs, and what is wrong."""
        row, sealed = self._batches.get(batch), self._seals.get(batch)
        if sealed is None:
            return None, None, Break.GONE if row is None else Break.SEAL_GONE
        seal = sealed[0]
        if row is None:
            return seal, None, Break.ROW_GONE
        if not befores:
            return seal, None, Break.UNVERIFIABLE
        made = [self._made(batch, before) for before in befores]
        if seal in made:
            return seal, None, None
        return seal, made[0], Break.SEAL_DIFFERS

    def fork(self, earlier: Sequence[ChainedRun]) -> tuple[int, int] | None:
        """The run and number of the batch that the run's first batch follows from, if it is an earlier one at all."""
        for run in reversed(earlier):
            for last in range(run.last, -1, -CHUNK):
                where = f"WHERE run_id = {run.run_id:d} AND batch BETWEEN {last - CHUNK + 1:d} AND {last:d}"
                for batch, seal in self._run_sql(f"SELECT batch, seal FROM seals {where} ORDER BY batch DESC"):
                    if self._made(0, bytes(seal)) == self._seals[0][0]:
                        return run.run_id, batch
        return None

    def _made(self, batch: int, before: bytes) -> bytes:
        """The seal that a batch's parts lead to after another seal."""
        written_ns, frames = self._batches[batch]
        _, frames_root, entries_root = self._seals[batch]
        entries_count = self._entries.get(batch, 0)
        return seals.seal_of(self._run_id, batch, written_ns, frames, entries_count, frames_root, entries_root, before)


def _sealed_recorder(run_sql: RunSql, run_id: int) -> int | None:
    """The recorder of a run according to its first batch. A row of `runs` is not evidence."""
    first = run_sql(f"SELECT body FROM event_log WHERE run_id = {run_id:d} AND batch = 0 ORDER BY item")
    return started_by((body for (body,) in first), run_id)


def started_by(bodies: Iterable[str], run_id: int) -> int | None:
    """The recorder that started a run, according to the entries of its first batch; None if none of them says so."""
    for body in bodies:
        try:
            entry = entries.decode(body)
        except msgspec.MsgspecError:
            continue  # its seal shows that it was changed
        if isinstance(entry, RunStarted) and entry.run_id == run_id:
            return entry.recorder_id
    return None


def _value(run_sql: RunSql, sql: str) -> Any:
    return next(iter(run_sql(sql)), (None,))[0]
