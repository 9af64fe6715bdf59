"""Verify a record: its chains of seals, every batch, and what is derived, on all processors."""

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from typing import NamedTuple

from recorder.audit.evidence.keys import VerifierKey
from recorder.audit.reading import ACCOUNTS_SQL, RecordReader
from recorder.audit.verify.batches import BatchChecker, BatchRange, Extent, Outcome
from recorder.audit.verify.chain import Claim, check_chains, stored_claims
from recorder.audit.verify.event_log import findings_in_event_log
from recorder.audit.verify.findings import (
    BATCH_REMOVED,
    CHAIN_BROKEN,
    CHAIN_FORKED,
    ENTRIES_CHANGED,
    FRAME_INSERTED,
    ROW_CHANGED,
    ROW_INSERTED,
    ROW_REMOVED,
    SEQ_DISCONTINUOUS,
    Finding,
    Progress,
    Verified,
    frame_finding,
    merge_consecutive,
)
from recorder.clock import utc_text
from recorder.errors import ConfigurationError
from recorder.model import account_labels
from recorder.read.projection_check import check, describe
from recorder.store.chain import ChainedRun, runs_of
from recorder.store.engine import explained, open_engine
from recorder.store.redactions import sealed_redactions
from recorder.store.schema import TYPED, frames

#: Below this many frames, starting processes takes longer than they save.
FRAMES_ALONE = 100_000
#: About how many frames a range holds, and how many batches at most.
FRAMES_PER_RANGE = 20_000
BATCHES_PER_RANGE = 5_000
#: Where entries are missing or changed, rows that do not follow from the others are no news.
_OF_ENTRIES = frozenset([ENTRIES_CHANGED, BATCH_REMOVED, CHAIN_BROKEN])

#: The first and the last of consecutive batches.
_FirstLast = tuple[int, int]
#: Account and session.
_SessionKey = tuple[int, int]


class Wanted(NamedTuple):
    """What of a record is verified, and how."""

    #: Only this account's frames, by its key.
    account_id: int | None = None
    #: Only batches with a frame received at or after, and before, nanoseconds since 1970.
    since_ns: int | None = None
    until_ns: int | None = None
    #: Only frames and seals, not what is derived from them.
    quick: bool = False
    #: Checkpoints from outside the record.
    claims: Sequence[Claim] = ()
    #: Whose signatures on the record's own checkpoints are verified.
    key: VerifierKey | None = None
    #: How many processes; None: one per processor.
    jobs: int | None = None
    #: Also orders, fills and latest states, which follow from typed rows.
    projections: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether all frames are verified."""
        return self.account_id is None and not self.has_period

    @property
    def has_period(self) -> bool:
        """Whether only the frames of a period are verified."""
        return self.since_ns is not None or self.until_ns is not None


class Verification:
    """One verification of a record. Iterate over it once: it yields the findings, and `verified` counts along.

    Args:
        url: of the database.
        wanted: what is verified.
        progress: receives the progress.

    Raises:
        ConfigurationError: while iterating: nothing was recorded in the period, and no seal is damaged.
        DatabaseError: while iterating: the record cannot be read.
    """

    def __init__(self, url: str, wanted: Wanted | None = None, progress: Progress = lambda done, of: None) -> None:
        self.verified = Verified()
        self._url = url
        self._wanted = wanted or Wanted()
        self._progress = progress
        self._kinds: set[str] = set()
        #: Recorders whose chain forks.
        self._forked: set[int] = set()
        #: Session → the last frame that a batch holds.
        self._last_seqs: dict[_SessionKey, int] = {}

    def __iter__(self) -> Iterator[Finding]:
        with closing(RecordReader(self._url)) as reader, reader.snapshot():
            for finding in self._all(reader):
                self._kinds.add(finding.kind)
                if finding.kind == CHAIN_FORKED and finding.recorder_id is not None:
                    self._forked.add(finding.recorder_id)
                self.verified = self.verified._replace(findings=self.verified.findings + 1)
                yield finding

    def _all(self, reader: RecordReader) -> Iterator[Finding]:
        names = account_labels(reader.rows(ACCOUNTS_SQL))
        runs = runs_of(reader.rows)
        yield from self._chains(reader, runs)
        for run in runs:
            yield from self._discontinuities(reader, run, names)
        yield from self._batches(reader, runs)
        yield from merge_consecutive(self._unbatched_rows(reader, names))
        yield from self._event_log(reader, runs, names)
        yield from self._projections()

    def _chains(self, reader: RecordReader, runs: Sequence[ChainedRun]) -> Iterator[Finding]:
        stored, findings = stored_claims(reader, self._wanted.key)
        yield from findings
        claims = [*stored, *self._wanted.claims]
        self.verified = self.verified._replace(checkpoints=len(claims))
        yield from check_chains(reader, runs, claims)

    def _discontinuities(self, reader: RecordReader, run: ChainedRun, names: Mapping[int, str]) -> Iterator[Finding]:
        """Follow the sessions of a run: each batch must continue where the one before it ended."""
        columns = "batch, account_id, session_id, first_seq, last_seq"
        of_run = f"SELECT {columns} FROM spans WHERE run_id = {run.run_id:d} ORDER BY batch, account_id, session_id"
        for rows in reader.stream(of_run, 1_000):
            for batch, account_id, session_id, first, last in rows:
                before = self._last_seqs.get((account_id, session_id), -1)
                which = names.get(account_id, str(account_id)), session_id
                where = run.run_id, batch, run.recorder_id
                if first > before + 1:
                    detail = f"no batch holds them: batch {batch} continues with frame {first}"
                    yield Finding(SEQ_DISCONTINUOUS, "spans", detail, *which, before + 1, first - 1, *where)
                elif first <= before:
                    detail = f"an earlier batch holds them, and batch {batch} too"
                    yield Finding(SEQ_DISCONTINUOUS, "spans", detail, *which, first, before, *where)
                self._last_seqs[account_id, session_id] = max(before, last)

    def _batches(self, reader: RecordReader, runs: Sequence[ChainedRun]) -> Iterator[Finding]:
        chosen = None if self._wanted.is_whole else _chosen_batches(reader, self._wanted)
        if chosen == {} and self._wanted.has_period and not self._kinds:
            raise ConfigurationError(_nothing_in_period(reader))
        ranges = _ranges(reader, runs, chosen)
        extent = Extent(self._wanted.account_id, not self._wanted.quick, sealed_redactions(reader.rows))
        total, done = sum(some.frames for some in ranges), 0
        self._progress(0, total)
        with _outcomes(self._url, extent, ranges, self._jobs(total)) as outcomes:
            for some, outcome in zip(ranges, outcomes, strict=True):
                done += some.frames
                self._progress(done, total)
                seen = self.verified
                self.verified = seen._replace(
                    frames=seen.frames + outcome.frames,
                    batches=seen.batches + outcome.batches,
                    seals=seen.seals + outcome.seals,
                    redacted=seen.redacted + outcome.redacted,
                )
                yield from outcome.findings

    def _jobs(self, frames_count: int) -> int:
        if self._wanted.jobs is not None:
            return self._wanted.jobs
        return 1 if frames_count < FRAMES_ALONE else processors()

    def _unbatched_rows(self, reader: RecordReader, names: Mapping[int, str]) -> Iterator[Finding]:
        """Every frame that no batch holds, and every typed row without a frame."""
        for table in (frames, *TYPED.values()):
            for account_id, session_id, least, most in _sessions(reader, table.name):
                last = self._last_seqs.get((account_id, session_id), -1)
                if self._wanted.account_id not in {None, account_id} or (least >= 0 and most <= last):
                    continue
                for seq in _outside(reader, table.name, (account_id, session_id), last):
                    if table is frames:
                        finding = frame_finding(FRAME_INSERTED, "frames", "no batch holds it", seq)
                    else:
                        finding = frame_finding(ROW_INSERTED, table.name, "its frame does not exist", seq)
                    yield finding._replace(account=names.get(account_id, str(account_id)), session_id=session_id)

    def _event_log(
        self, reader: RecordReader, runs: Sequence[ChainedRun], names: Mapping[int, str]
    ) -> Iterator[Finding]:
        if not self._wanted.is_whole:
            self._skip("tables of the event log (runs, gaps, ...), which follow from all entries: verify everything")
        elif self._wanted.quick:
            self._skip("typed rows and tables of the event log (runs, gaps, ...): leave --quick away")
        elif self._kinds & _OF_ENTRIES:
            self._skip("tables of the event log (runs, gaps, ...), because entries are missing or changed")
        else:
            yield from findings_in_event_log(reader, runs, names, self._forked)
            if reader.one("SELECT account_id FROM comparisons LIMIT 1") is not None:
                self._skip("comparisons of several recorders, which no recorder has sealed")

    def _projections(self) -> Iterator[Finding]:
        wanted = self._wanted
        if not wanted.projections:
            return
        if wanted.quick or wanted.has_period:
            self._skip("orders, fills and latest states: leave --quick, --since and --until away")
            return
        engine = open_engine(self._url, read_only=True)
        try:
            with explained(self._url):
                for account, difference in check(engine, wanted.account_id):
                    kind = ROW_CHANGED
                    if difference.stored is None or difference.wanted is None:
                        kind = ROW_REMOVED if difference.stored is None else ROW_INSERTED
                    yield Finding(kind, difference.table.name, describe(difference), account.label)
        finally:
            engine.dispose()

    def _skip(self, words: str) -> None:
        self.verified = self.verified._replace(not_checked=(*self.verified.not_checked, words))


def processors() -> int:
    """How many processors this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _ranges(
    reader: RecordReader, runs: Sequence[ChainedRun], chosen: Mapping[int, Sequence[_FirstLast]] | None
) -> list[BatchRange]:
    """The batches to verify, cut into ranges that can be checked independently.

    Args:
        reader: of the record.
        runs: all runs of the record.
        chosen: run → the batches to verify; None: all.
    """
    ranges = []
    for run in runs:
        for first, last in [(0, run.last)] if chosen is None else chosen.get(run.run_id, ()):
            begin, count = first, 0
            where = f"run_id = {run.run_id:d} AND batch BETWEEN {first:d} AND {last:d}"
            for rows in reader.stream(f"SELECT batch, frames FROM batches WHERE {where} ORDER BY batch", 1_000):
                for batch, held in rows:
                    count += held
                    if count >= FRAMES_PER_RANGE or batch - begin >= BATCHES_PER_RANGE:
                        ranges.append(BatchRange(run.recorder_id, run.run_id, begin, batch, count))
                        begin, count = batch + 1, 0
            if begin <= last:
                ranges.append(BatchRange(run.recorder_id, run.run_id, begin, last, count))
    return ranges


def _chosen_batches(reader: RecordReader, wanted: Wanted) -> dict[int, list[_FirstLast]]:
    """The batches that hold a frame of an account received in a time, or were written then; by run."""
    of_account = "" if wanted.account_id is None else f" AND s.account_id = {wanted.account_id:d}"
    same = "f.account_id = s.account_id AND f.session_id = s.session_id"
    since = -(2**62) if wanted.since_ns is None else wanted.since_ns
    until = 2**62 + 2**61 if wanted.until_ns is None else wanted.until_ns
    in_time = (
        f"coalesce((SELECT f.received_ns FROM frames f WHERE {same} AND f.seq = s.last_seq), {since}) >= {since} "
        f"AND coalesce((SELECT f.received_ns FROM frames f WHERE {same} AND f.seq = s.first_seq), {since}) < {until}"
    )
    held = f"SELECT DISTINCT s.run_id, s.batch FROM spans s WHERE {in_time}{of_account}"
    written = f"SELECT run_id, batch FROM batches WHERE written_ns >= {since} AND written_ns < {until}"
    statement = " UNION ".join([held, *([] if of_account else [written])]) + " ORDER BY 1, 2"
    chosen: dict[int, list[_FirstLast]] = {}
    for rows in reader.stream(statement, 1_000):
        for run_id, batch in rows:
            of_run = chosen.setdefault(run_id, [])
            if of_run and of_run[-1][1] == batch - 1:
                of_run[-1] = of_run[-1][0], batch
            else:
                of_run.append((batch, batch))
    return chosen


def _nothing_in_period(reader: RecordReader) -> str:
    """Say that no batch is of the period, and from when to when there are batches."""
    ((first_ns, last_ns),) = reader.rows("SELECT min(written_ns), max(written_ns) FROM batches")
    lasts = f"it was written from {utc_text(first_ns)} to {utc_text(last_ns)} UTC" if last_ns else "it is empty"
    return f"The record has nothing in the requested period, so nothing of it was verified; {lasts}."


def _sessions(reader: RecordReader, table: str) -> Iterator[tuple[int, int, int, int]]:
    """The sessions that a table has rows of, with the least and the greatest of their numbers."""
    if not reader.exact:
        # A server scans an index faster than it answers one query per session.
        each = f"SELECT account_id, session_id, min(seq), max(seq) FROM {table} GROUP BY 1, 2 ORDER BY 1, 2"
        for rows in reader.stream(each, 1_000):
            yield from rows
        return
    beyond = ""
    first = f"SELECT account_id, session_id, seq FROM {table} {{}} ORDER BY account_id, session_id, seq LIMIT 1"
    while found := reader.rows(first.format(beyond)):
        ((account_id, session_id, least),) = found
        mine = f"account_id = {account_id:d} AND session_id = {session_id:d}"
        yield account_id, session_id, least, reader.one(f"SELECT max(seq) FROM {table} WHERE {mine}")
        beyond = f"WHERE (account_id, session_id) > ({account_id:d}, {session_id:d})"


def _outside(reader: RecordReader, table: str, session: _SessionKey, last: int) -> Iterator[int]:
    """The numbers of a session's rows outside its batches."""
    mine = f"t.account_id = {session[0]:d} AND t.session_id = {session[1]:d} AND (t.seq < 0 OR t.seq > {last:d})"
    if table != frames.name:
        same = "f.account_id = t.account_id AND f.session_id = t.session_id AND f.seq = t.seq"
        mine += f" AND NOT EXISTS (SELECT 1 FROM frames f WHERE {same})"
    for rows in reader.stream(f"SELECT t.seq FROM {table} t WHERE {mine} ORDER BY t.seq"):
        yield from (seq for seq, _ in groupby(row[0] for row in rows))


_checker: BatchChecker


def _begin(url: str, extent: Extent) -> None:
    """Called once in each process of the pool."""
    global _checker  # noqa: PLW0603  the only place where a process of a pool can keep something
    _checker = BatchChecker(RecordReader(url), extent)


def _check(some: BatchRange) -> Outcome:
    return _checker.check(some)


@contextmanager
def _outcomes(url: str, extent: Extent, ranges: Sequence[BatchRange], jobs: int) -> Iterator[Iterator[Outcome]]:
    """The outcome of each range, in their order."""
    if jobs == 1 or len(ranges) < 2:
        with closing(RecordReader(url)) as reader:
            yield map(BatchChecker(reader, extent).check, ranges)
        return
    # Spawned, not forked: connections must not be shared.
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(ranges)), _begin, (url, extent)) as pool:
        yield pool.imap(_check, ranges)
