"""Verifying a record: every part of it, by all the processors there are, and what holds the parts together."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

from recorder.audit.event_log import findings_in_event_log
from recorder.audit.findings import (
    BATCH_REMOVED,
    CHAIN_BROKEN,
    ENTRY_CHANGED,
    ENTRY_INSERTED,
    ENTRY_REMOVED,
    SPAN_CHANGED,
    Finding,
    together,
)
from recorder.audit.keys import VerifierKey
from recorder.audit.part import Checker, Outcome, Scope
from recorder.audit.plan import Key, Part, Plan, Stretch, make_plan
from recorder.audit.reading import Reader
from recorder.audit.strays import strays
from recorder.audit.trees import Claim, findings_in_trees, kept_claims
from recorder.store.redacted import sealed_redactions

#: Below so many frames, starting processes takes longer than they save.
FRAMES_ALONE = 100_000
#: Where entries are not those that were sealed, it is no news that rows do not follow from them.
_OF_ENTRIES = frozenset([ENTRY_CHANGED, ENTRY_INSERTED, ENTRY_REMOVED, BATCH_REMOVED, CHAIN_BROKEN])


class Wanted(NamedTuple):
    """What of a record is to be verified, and how."""

    #: Only this account's frames, by its key.
    account_id: int | None = None
    #: Only batches with a frame received at or after, and before, nanoseconds since 1970.
    since_ns: int | None = None
    until_ns: int | None = None
    #: Only frames and seals, not what follows from them.
    quick: bool = False
    #: Checkpoints that somebody brings along.
    claims: Sequence[Claim] = ()
    #: Whose signatures on the record's own checkpoints are checked.
    key: VerifierKey | None = None
    #: How many processes; None: one a processor.
    jobs: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out but what `quick` leaves out."""
        return self.account_id is None and self.since_ns is None and self.until_ns is None


class Verified(NamedTuple):
    """What was looked at, so far."""

    frames: int = 0
    batches: int = 0
    seals: int = 0
    checkpoints: int = 0
    findings: int = 0
    #: Frames whose payload is missing because they were redacted.
    redacted: int = 0
    #: Sentences on what was not looked at.
    not_checked: tuple[str, ...] = ()


Progress = Callable[[int, int], None]


class Verification:
    """One look at a record. Iterate over it once: it gives what is found; then `verified` says how much was looked at.

    Args:
        url: of the database.
        wanted: what of it.
        progress: is told from time to time how many frames are done, and of how many.

    Raises:
        DatabaseError: while iterating: the record cannot be read.
    """

    def __init__(self, url: str, wanted: Wanted | None = None, progress: Progress = lambda done, of: None) -> None:
        self.verified = Verified()
        self._url = url
        self._wanted = wanted or Wanted()
        self._progress = progress
        self._kinds: set[str] = set()
        self._true_seals: dict[Key, bytes | None] = {}
        self._spans: list[Finding] = []

    def __iter__(self) -> Iterator[Finding]:
        with closing(Reader(self._url)) as reader, reader.snapshot():
            for finding in self._all(reader):
                self._kinds.add(finding.kind)
                self.verified = self.verified._replace(findings=self.verified.findings + 1)
                yield finding

    def _all(self, reader: Reader) -> Iterator[Finding]:
        wanted = self._wanted
        names: Mapping[int, str] = dict(reader.rows("SELECT account_id, name FROM accounts"))
        plan = make_plan(reader, names, None if wanted.is_whole else chosen(reader, wanted))
        yield from plan.findings
        yield from self._parts(reader, plan)
        yield from (one for one in plan.discontinuities if not any(_follows(one, span) for span in self._spans))
        yield from together(strays(reader, plan.ends, names, wanted.account_id))
        yield from self._trees(reader, plan)
        yield from self._event_log(reader, plan, names)

    def _parts(self, reader: Reader, plan: Plan) -> Iterator[Finding]:
        scope = Scope(self._wanted.account_id, not self._wanted.quick, sealed_redactions(reader.rows))
        total, done = sum(part.frames for part in plan.parts), 0
        self._progress(0, total)
        with _outcomes(self._url, scope, plan.parts, self._jobs(total)) as outcomes:
            for part, outcome in zip(plan.parts, outcomes, strict=True):
                done += part.frames
                self._progress(done, total)
                self._true_seals |= outcome.true_seals
                self._spans += [one for one in outcome.findings if one.kind == SPAN_CHANGED]
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

    def _trees(self, reader: Reader, plan: Plan) -> Iterator[Finding]:
        kept, findings = kept_claims(reader, self._wanted.key)
        yield from findings
        claims = [*kept, *self._wanted.claims]
        self.verified = self.verified._replace(checkpoints=len(claims))
        yield from findings_in_trees(reader, plan, claims, self._true_seals)

    def _event_log(self, reader: Reader, plan: Plan, names: Mapping[int, str]) -> Iterator[Finding]:
        if not self._wanted.is_whole:
            self._skip("the event log's rows (runs, gaps, ...) follow from all entries: verify the whole record")
        elif self._wanted.quick:
            self._skip("typed rows and the event log's rows were not looked at: leave --quick away")
        elif self._kinds & _OF_ENTRIES:
            self._skip("the event log's rows follow from entries of which some are not as they were sealed")
        else:
            yield from findings_in_event_log(reader, plan.runs, names)

    def _skip(self, words: str) -> None:
        self.verified = self.verified._replace(not_checked=(*self.verified.not_checked, words))


def processors() -> int:
    """How many this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _follows(discontinuity: Finding, span: Finding) -> bool:
    """Whether a hole in a session is one that a changed span has made."""
    if span.run_id != discontinuity.run_id:
        return False
    if span.session_id is None:
        return span.batch is not None and discontinuity.batch in {span.batch, span.batch + 1}
    assert span.seq is not None and span.last_seq is not None
    assert discontinuity.seq is not None and discontinuity.last_seq is not None
    same = span.session_id == discontinuity.session_id
    return same and span.seq <= discontinuity.last_seq and discontinuity.seq <= span.last_seq


def chosen(reader: Reader, wanted: Wanted) -> dict[int, list[Stretch]]:
    """The batches that hold a frame of an account, received in a time; run → the first and last of each stretch.

    Which frames a batch holds is what its spans say, and when it was written; redactions are looked at always, because
    frames are believed for them.
    """
    of_account = "" if wanted.account_id is None else f" AND s.account_id = {wanted.account_id:d}"
    same = "f.account_id = s.account_id AND f.session_id = s.session_id"
    since, until = _between(wanted)
    in_time = (
        f"coalesce((SELECT f.received_ns FROM frames f WHERE {same} AND f.seq = s.last_seq), {since}) >= {since} "
        f"AND coalesce((SELECT f.received_ns FROM frames f WHERE {same} AND f.seq = s.first_seq), {since}) < {until}"
    )
    held = f"SELECT s.run_id, s.batch FROM spans s WHERE {in_time}{of_account}"
    written = f"SELECT run_id, batch FROM batches WHERE written_ns >= {since} AND written_ns < {until}"
    redacted = 'SELECT run_id, batch FROM event_log WHERE body LIKE \'{"kind":"FramesRedacted"%\''
    statement = " UNION ".join([held, redacted, *([] if of_account else [written])]) + " ORDER BY 1, 2"
    stretches: dict[int, list[Stretch]] = {}
    for rows in reader.stream(statement, 1_000):
        for run_id, batch in rows:
            of_run = stretches.setdefault(run_id, [])
            if of_run and of_run[-1][1] == batch - 1:
                of_run[-1] = of_run[-1][0], batch
            else:
                of_run.append((batch, batch))
    return stretches


def _between(wanted: Wanted) -> tuple[int, int]:
    since = -(2**62) if wanted.since_ns is None else wanted.since_ns
    return since, 2**62 + 2**61 if wanted.until_ns is None else wanted.until_ns


_checker: Checker


def _begin(url: str, scope: Scope) -> None:
    """A process of the pool begins."""
    global _checker  # noqa: PLW0603  the one place where a pool's process can keep something
    _checker = Checker(Reader(url), scope)


def _check(part: Part) -> Outcome:
    return _checker.check(part)


@contextmanager
def _outcomes(url: str, scope: Scope, parts: Sequence[Part], jobs: int) -> Iterator[Iterator[Outcome]]:
    """What checking each part comes to, in their order."""
    if jobs == 1 or len(parts) < 2:
        with closing(Reader(url)) as reader:
            yield map(Checker(reader, scope).check, parts)
        return
    # Processes of their own from the start: connections are not to be shared with anybody's.
    with multiprocessing.get_context("spawn").Pool(min(jobs, len(parts)), _begin, (url, scope)) as pool:
        yield pool.imap(_check, parts)
