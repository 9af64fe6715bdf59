"""Verifying a record: its chains of seals, every batch, and what is derived, on all processors."""

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

from recorder.audit.evidence.keys import VerifierKey
from recorder.audit.reading import RecordReader
from recorder.audit.stored import ACCOUNTS_SQL, account_names
from recorder.audit.verify.batches import BatchChecker, Extent, Outcome
from recorder.audit.verify.chain import Claim, check_chains, stored_claims
from recorder.audit.verify.event_log import findings_in_event_log
from recorder.audit.verify.findings import (
    BATCH_REMOVED,
    CHAIN_BROKEN,
    ENTRIES_CHANGED,
    Finding,
    Progress,
    Verified,
    merge_consecutive,
)
from recorder.audit.verify.plan import BatchRange, FirstLast, Plan, make_plan
from recorder.audit.verify.unbatched import unbatched_rows
from recorder.store.redacted import sealed_redactions

#: Below this many frames, starting processes takes longer than they save.
FRAMES_ALONE = 100_000
#: Where entries are missing or changed, rows that do not follow from the others are no news.
_OF_ENTRIES = frozenset([ENTRIES_CHANGED, BATCH_REMOVED, CHAIN_BROKEN])


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

    @property
    def is_whole(self) -> bool:
        """Whether all frames are verified."""
        return self.account_id is None and self.since_ns is None and self.until_ns is None


class Verification:
    """One verification of a record. Iterate over it once: it yields the findings, and `verified` counts along.

    Args:
        url: of the database.
        wanted: what is verified.
        progress: receives the progress.

    Raises:
        DatabaseError: while iterating: the record cannot be read.
    """

    def __init__(self, url: str, wanted: Wanted | None = None, progress: Progress = lambda done, of: None) -> None:
        self.verified = Verified()
        self._url = url
        self._wanted = wanted or Wanted()
        self._progress = progress
        self._kinds: set[str] = set()

    def __iter__(self) -> Iterator[Finding]:
        with closing(RecordReader(self._url)) as reader, reader.snapshot():
            for finding in self._all(reader):
                self._kinds.add(finding.kind)
                self.verified = self.verified._replace(findings=self.verified.findings + 1)
                yield finding

    def _all(self, reader: RecordReader) -> Iterator[Finding]:
        wanted = self._wanted
        names = account_names(reader.rows(ACCOUNTS_SQL))
        plan = make_plan(reader, names, None if wanted.is_whole else chosen_batches(reader, wanted))
        yield from self._chains(reader, plan)
        yield from plan.findings
        yield from self._batches(reader, plan)
        yield from merge_consecutive(unbatched_rows(reader, plan.last_seqs, names, wanted.account_id))
        yield from self._event_log(reader, plan, names)

    def _chains(self, reader: RecordReader, plan: Plan) -> Iterator[Finding]:
        stored, findings = stored_claims(reader, self._wanted.key)
        yield from findings
        claims = [*stored, *self._wanted.claims]
        self.verified = self.verified._replace(checkpoints=len(claims))
        yield from check_chains(reader, plan.runs, claims)

    def _batches(self, reader: RecordReader, plan: Plan) -> Iterator[Finding]:
        extent = Extent(self._wanted.account_id, not self._wanted.quick, sealed_redactions(reader.rows))
        total, done = sum(some.frames for some in plan.ranges), 0
        self._progress(0, total)
        with _outcomes(self._url, extent, plan.ranges, self._jobs(total)) as outcomes:
            for some, outcome in zip(plan.ranges, outcomes, strict=True):
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

    def _jobs(self, frames: int) -> int:
        if self._wanted.jobs is not None:
            return self._wanted.jobs
        return 1 if frames < FRAMES_ALONE else processors()

    def _event_log(self, reader: RecordReader, plan: Plan, names: Mapping[int, str]) -> Iterator[Finding]:
        if not self._wanted.is_whole:
            self._skip("tables of the event log (runs, gaps, ...), which follow from all entries: verify everything")
        elif self._wanted.quick:
            self._skip("typed rows and tables of the event log (runs, gaps, ...): leave --quick away")
        elif self._kinds & _OF_ENTRIES:
            self._skip("tables of the event log (runs, gaps, ...), because entries are missing or changed")
        else:
            yield from findings_in_event_log(reader, plan.runs, names)
            if reader.one("SELECT account_id FROM comparisons LIMIT 1") is not None:
                self._skip("comparisons of several recorders, which no recorder has sealed")

    def _skip(self, words: str) -> None:
        self.verified = self.verified._replace(not_checked=(*self.verified.not_checked, words))


def processors() -> int:
    """How many processors this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def chosen_batches(reader: RecordReader, wanted: Wanted) -> dict[int, list[FirstLast]]:
    """The batches that hold a frame of an account received in a time, or were written then; by run."""
    of_account = "" if wanted.account_id is None else f" AND s.account_id = {wanted.account_id:d}"
    same = "f.account_id = s.account_id AND f.session_id = s.session_id"
    since, until = _between(wanted)
    in_time = (
        f"coalesce((SELECT f.received_ns FROM frames f WHERE {same} AND f.seq = s.last_seq), {since}) >= {since} "
        f"AND coalesce((SELECT f.received_ns FROM frames f WHERE {same} AND f.seq = s.first_seq), {since}) < {until}"
    )
    held = f"SELECT s.run_id, s.batch FROM spans s WHERE {in_time}{of_account}"
    written = f"SELECT run_id, batch FROM batches WHERE written_ns >= {since} AND written_ns < {until}"
    statement = " UNION ".join([held, *([] if of_account else [written])]) + " ORDER BY 1, 2"
    chosen: dict[int, list[FirstLast]] = {}
    for rows in reader.stream(statement, 1_000):
        for run_id, batch in rows:
            of_run = chosen.setdefault(run_id, [])
            if of_run and of_run[-1][1] == batch - 1:
                of_run[-1] = of_run[-1][0], batch
            else:
                of_run.append((batch, batch))
    return chosen


def _between(wanted: Wanted) -> tuple[int, int]:
    since = -(2**62) if wanted.since_ns is None else wanted.since_ns
    return since, 2**62 + 2**61 if wanted.until_ns is None else wanted.until_ns


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
