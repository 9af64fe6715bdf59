"""Verifying the whole record for the report, and what to say of it."""

from collections.abc import Callable, Iterator, Sequence

from recorder.audit.evidence.keys import VerifierKey
from recorder.audit.verify.chain import Claim
from recorder.audit.verify.findings import Finding, Verified
from recorder.audit.verify.verification import Verification, Wanted
from recorder.report.facts import Checked, Listed
from recorder.report.words import count

FINDINGS_SHOWN_MAX = 100


def check(
    url: str, claims: Sequence[Claim], key: VerifierKey | None, told: Callable[[int, int], None] = lambda done, of: None
) -> Checked:
    """Verify.

    Args:
        url: of the record.
        claims: checkpoints that were kept elsewhere.
        key: whose signatures on the record's own checkpoints count.
        told: is told of progress: frames done, and of how many.
    """
    verification = Verification(url, Wanted(claims=claims, key=key), told)
    shown: list[Finding] = []
    for finding in verification:
        if len(shown) < FINDINGS_SHOWN_MAX:
            shown.append(finding)
    seen = verification.verified
    return Checked(" ".join(_sentences(seen, len(claims))), Listed(shown, seen.findings))


def _sentences(seen: Verified, kept_elsewhere: int) -> Iterator[str]:
    frames, batches = count(seen.frames, "frame"), count(seen.batches, "batch", "batches")
    found = count(seen.findings, "finding") if seen.findings else "all is as it was written"
    yield f"For this report, {frames} in {batches} were verified, and what follows from them: {found}."
    if kept_elsewhere:
        yield f"Held against them: {count(kept_elsewhere, 'checkpoint')} kept elsewhere."
    else:
        yield (
            "No checkpoint kept elsewhere was held against them: without one, a record whose end was cut off, or whose "
            "seals were all made anew, cannot be told from a whole one."
        )
    if seen.redacted:
        yield f"{count(seen.redacted, 'frame')} without payload: sealed entries prove that they were redacted."
    for words in seen.not_checked:
        yield f"Not looked at: {words}."
