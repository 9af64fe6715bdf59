"""What the event log, the seals and a verification say: runs, sessions, undecoded and redacted frames, checkpoints."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec.structs import astuple
from sqlalchemy import Connection, Select, func, literal_column, select

from recorder.audit.evidence.keys import VerifierKey
from recorder.audit.verify.chain import Claim
from recorder.audit.verify.findings import Finding, Verified
from recorder.audit.verify.verification import Verification, Wanted
from recorder.model import UNDECODED
from recorder.read.records import Discrepancy
from recorder.read.scope import account_label
from recorder.report.source import ROWS_SHOWN_MAX, Listed, ReportSource
from recorder.report.words import count
from recorder.store.gaps import CRASHED
from recorder.store.redactions import sealed_redactions_in
from recorder.store.schema import (
    accounts,
    batches,
    checkpoints,
    frames,
    reconciliations,
    recorders,
    runs,
    seals,
    sessions,
)

#: A session that has not ended, or that a crash ended and no later run has closed yet.
ONGOING = "not ended"
UNDECODED_SHOWN_MAX = 50
FINDINGS_SHOWN_MAX = 100

#: The name in the last line of a signed note (c2sp.org/signed-note).
_SIGNER = re.compile(r"^\N{EM DASH} (\S+) \S+$", re.MULTILINE)


class RecorderRuns(NamedTuple):
    """A recorder and its runs in the period."""

    recorder_id: int
    hosts: Sequence[str]
    versions: Sequence[str]
    runs: int
    crashed: int


class SessionRow(NamedTuple):
    """A connection."""

    account: str
    host: str
    opened_ns: int
    #: None: never all topics were acknowledged.
    covered_ns: int | None
    #: None: it has not ended.
    ended_ns: int | None
    frames: int
    end_reason: str | None
    end_detail: str | None


class Rounds(NamedTuple):
    """An account's reconciliations: result → how many."""

    account: str
    results: Mapping[str, int]


class UndecodedFrame(NamedTuple):
    """A frame that could not be decoded and is stored as received."""

    account: str
    received_ns: int
    session_id: int
    seq: int
    topic: str | None
    error: str | None


class RedactedRange(NamedTuple):
    """Frames whose payloads were redacted."""

    account: str
    session_id: int
    first_seq: int
    last_seq: int
    redacted_ns: int
    who: str
    why: str


class SignedSize(NamedTuple):
    """What a checkpoint signs: the first seals of a recorder."""

    size: int
    made_ns: int
    #: As the note says; `recorder verify` checks the signature.
    signer: str
    has_token: bool


class SealSummary(NamedTuple):
    """The seals of one recorder, from the beginning of its record."""

    recorder_id: int
    host: str
    batches: int
    frames: int
    #: Batches without a seal.
    unsealed: int
    first_ns: int | None
    last_ns: int | None
    first_seal: bytes
    last_seal: bytes
    checkpoint: SignedSize | None
    #: Batches sealed after it.
    since_checkpoint: int


class VerificationResult(NamedTuple):
    """The result of verifying the whole record for this report."""

    #: What was verified, against what, and what was not.
    sentence: str
    findings: Listed[Finding]


def recorder_runs(source: ReportSource) -> list[RecorderRuns]:
    """The recorders that ran in the period."""
    r, period = runs.c, source.period
    during = r.started_ns < period.until_ns, func.coalesce(r.ended_ns, period.until_ns) >= period.since_ns
    query = select(r.recorder_id, r.host, r.version, r.end_reason).where(*during).order_by(r.recorder_id, r.run_id)
    found: dict[int, RecorderRuns] = {}
    for recorder_id, host, version, end_reason in source.rows("runs", query):
        before = found.get(recorder_id) or RecorderRuns(recorder_id, (), (), 0, 0)
        found[recorder_id] = RecorderRuns(
            recorder_id,
            tuple(dict.fromkeys((*before.hosts, host))),
            tuple(dict.fromkeys((*before.versions, version))),
            before.runs + 1,
            before.crashed + (end_reason == CRASHED),
        )
    return list(found.values())


def session_rows(source: ReportSource) -> Listed[SessionRow]:
    """The latest sessions of the period, oldest first."""
    s, f = sessions.c, frames.c
    # The last number is an index look-up; counting would read all frames.
    last = select(f.seq).where(f.account_id == s.account_id, f.session_id == s.session_id)
    last_seq = last.order_by(f.seq.desc()).limit(1).scalar_subquery()
    label = account_label(source.connection)
    times = s.opened_ns, s.covered_ns, s.ended_ns
    numbers = func.coalesce(last_seq + 1, 0), s.end_reason, s.end_detail
    query = _of_sessions(source, label, recorders.c.host, *times, *numbers)
    latest = query.order_by(s.opened_ns.desc(), s.session_id.desc()).limit(ROWS_SHOWN_MAX)
    rows = [SessionRow(*row) for row in source.connection.execute(latest)]
    return Listed(rows[::-1], source.connection.scalar(_of_sessions(source, func.count())) or 0)


def session_endings(source: ReportSource) -> dict[str, int]:
    """Why the sessions of the period ended → how many."""
    reason = func.coalesce(sessions.c.end_reason, ONGOING)
    query = _of_sessions(source, reason, func.count()).group_by(reason)
    return {str(row[0]): int(row[1]) for row in sorted(source.connection.execute(query))}


def _of_sessions(source: ReportSource, *columns: Any) -> Select[Any]:
    s, period = sessions.c, source.period
    return (
        select(*columns)
        .select_from(sessions)
        .join(accounts, accounts.c.account_id == s.account_id)
        .join(runs, runs.c.run_id == s.run_id)
        .join(recorders, recorders.c.recorder_id == runs.c.recorder_id)
        .where(source.is_reported(s.account_id), s.opened_ns < period.until_ns)
        .where(func.coalesce(s.ended_ns, period.until_ns) >= period.since_ns)
    )


def rounds(source: ReportSource) -> list[Rounds]:
    """The reconciliations that began in the period."""
    r, names = reconciliations.c, source.names
    result = func.coalesce(r.result, ONGOING)
    query = select(r.account_id, result, func.count()).where(source.is_reported(r.account_id))
    found: dict[str, dict[str, int]] = {name: {} for name in names.values()}
    query = query.where(source.is_received(r.began_ns)).group_by(r.account_id, result)
    for account_id, its_result, number in source.connection.execute(query):
        found[names[account_id]][its_result] = number
    return [Rounds(name, dict(sorted(results.items()))) for name, results in found.items()]


def discrepancies(source: ReportSource) -> Listed[Discrepancy]:
    """The latest discrepancies of the period, oldest first."""
    latest: list[Discrepancy] = []
    total = 0
    for account in source.accounts:
        its: deque[Discrepancy] = deque(maxlen=ROWS_SHOWN_MAX)
        for one in source.record.discrepancies(source.of(account)):
            total += 1
            its.append(one)
        latest = sorted((*latest, *its), key=attrgetter("found_ns"))[-ROWS_SHOWN_MAX:]
    return Listed(latest, total)


def undecoded(source: ReportSource) -> Listed[UndecodedFrame]:
    """The latest undecoded frames of the period, oldest first."""
    f = frames.c
    # A literal, not a parameter: only then does the planner use the partial index.
    bad = f.status == literal_column(f"'{UNDECODED}'")
    where = bad, source.is_reported(f.account_id), source.is_received(f.received_ns)
    columns = account_label(source.connection), f.received_ns, f.session_id, f.seq, f.topic, f.error
    query = select(*columns).join(accounts, accounts.c.account_id == f.account_id).where(*where)
    latest = query.order_by(f.received_ns.desc(), f.session_id.desc(), f.seq.desc()).limit(UNDECODED_SHOWN_MAX)
    rows = [UndecodedFrame(*row) for row in source.connection.execute(latest)]
    return Listed(rows[::-1], source.connection.scalar(select(func.count()).select_from(frames).where(*where)) or 0)


def redacted(source: ReportSource) -> Listed[RedactedRange]:
    """All redactions of the accounts that sealed entries prove."""
    names = source.names
    rows = [
        RedactedRange(names[one.account_id], *astuple(one)[1:])
        for one in sealed_redactions_in(source.connection).entries
        if one.account_id in names
    ]
    rows.sort(key=lambda one: (one.redacted_ns, one.session_id, one.first_seq))
    return Listed(rows[-ROWS_SHOWN_MAX:], len(rows))


def seal_summaries(connection: Connection) -> list[SealSummary]:
    """The seals of each recorder. They are counted here; `recorder verify` verifies them."""
    found = connection.execute(select(recorders).order_by(recorders.c.created_ns, recorders.c.recorder_id))
    return [_seal_summary(connection, one.recorder_id, one.host) for one in found.all()]


def _seal_summary(connection: Connection, recorder_id: int, host: str) -> SealSummary:
    b, s, c = batches.c, seals.c, checkpoints.c
    same, is_mine = (s.run_id == b.run_id) & (s.batch == b.batch), runs.c.recorder_id == recorder_id
    numbers = select(func.count(), func.coalesce(func.sum(b.frames), 0), func.count() - func.count(s.batch))
    joined = numbers.select_from(batches).join(runs, runs.c.run_id == b.run_id).outerjoin(seals, same)
    total, sealed_frames, unsealed = connection.execute(joined.where(is_mine)).one()
    ends = select(s.seal, b.written_ns).join(batches, same).join(runs, runs.c.run_id == s.run_id).where(is_mine)
    first = connection.execute(ends.order_by(s.run_id, s.batch).limit(1)).first()
    last = connection.execute(ends.order_by(s.run_id.desc(), s.batch.desc()).limit(1)).first()
    largest = select(c.size, c.made_ns, c.note, c.token).where(c.recorder_id == recorder_id).order_by(c.size.desc())
    row = connection.execute(largest.limit(1)).first()
    signer = None if row is None else _SIGNER.search(row.note)
    checkpoint = row and SignedSize(row.size, row.made_ns, signer[1] if signer else "", row.token is not None)
    return SealSummary(
        recorder_id,
        host,
        total,
        int(sealed_frames),
        unsealed,
        None if first is None else first.written_ns,
        None if last is None else last.written_ns,
        b"" if first is None else bytes(first.seal),
        b"" if last is None else bytes(last.seal),
        checkpoint,
        total - unsealed - (checkpoint.size if checkpoint else 0),
    )


def verify_record(
    url: str,
    claims: Sequence[Claim],
    key: VerifierKey | None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> VerificationResult:
    """Verify the whole record.

    Args:
        url: of the record.
        claims: checkpoints that were kept elsewhere.
        key: whose signatures on the record's own checkpoints count.
        progress: receives how many frames are done, and of how many.
    """
    verification = Verification(url, Wanted(claims=claims, key=key), progress)
    shown: list[Finding] = []
    for finding in verification:
        if len(shown) < FINDINGS_SHOWN_MAX:
            shown.append(finding)
    seen = verification.verified
    return VerificationResult(" ".join(_sentences(seen, len(claims))), Listed(shown, seen.findings))


def _sentences(seen: Verified, kept_elsewhere: int) -> Iterator[str]:
    verified = f"{count(seen.frames, 'frame')} in {count(seen.batches, 'batch', 'batches')}"
    result = count(seen.findings, "finding") if seen.findings else "nothing has changed since it was written"
    yield f"For this report, {verified} were verified, and the rows derived from them: {result}."
    if kept_elsewhere:
        yield f"They agree with {count(kept_elsewhere, 'checkpoint')} kept elsewhere, unless a finding says otherwise."
    else:
        yield (
            "No checkpoint kept elsewhere was given. Without one, nobody can tell whether the end of the record was "
            "cut off, or whether all seals were made again."
        )
    if seen.redacted:
        yield f"{count(seen.redacted, 'frame')} without payload: sealed entries prove that they were redacted."
    for words in seen.not_checked:
        yield f"Not verified: {words}."
