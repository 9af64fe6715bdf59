"""Which frames were redacted. Only sealed entries count: anybody can insert a row into `redactions`.

An entry counts if its batch's seal covers it, and if the chain of seals is intact from that batch to the recorder's
last: otherwise the entry could have been added later.
"""

from bisect import bisect_right
from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection

from recorder.store import entries, seals
from recorder.store.chain import RunSql, links, runs_of
from recorder.store.entries import FramesRedacted, LogEntry

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
