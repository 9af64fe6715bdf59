"""What verifying finds: one record a finding, named to the frame where it is one."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

PAYLOAD_CHANGED = "payload changed"
#: A payload is missing, and no sealed entry says that it was redacted.
PAYLOAD_ERASED = "payload erased"
TIME_CHANGED = "receipt time changed"
SOURCE_CHANGED = "source changed"
#: The frame is not the one that was sealed; what of it was changed cannot be told.
FRAME_CHANGED = "frame changed"
FRAMES_REORDERED = "frames reordered"
FRAME_REMOVED = "frame removed"
FRAME_INSERTED = "frame inserted"
SEQ_DISCONTINUOUS = "seq discontinuous"
BATCH_REMOVED = "batch removed"
BATCH_CHANGED = "batch changed"
SPAN_CHANGED = "span changed"
SEAL_REMOVED = "seal removed"
SEAL_CHANGED = "seal changed"
#: The digests that are kept beside a seal, not the frames.
DIGEST_CHANGED = "digest changed"
ENTRY_REMOVED = "entry removed"
ENTRY_INSERTED = "entry inserted"
ENTRY_CHANGED = "entry changed"
#: A batch does not follow on the one before it.
CHAIN_BROKEN = "chain broken"
TAIL_TRUNCATED = "tail truncated"
CHECKPOINT_CONTRADICTED = "checkpoint contradicted"
#: Topic, status or error of a frame is not what the decoder reads in it.
READING_CHANGED = "reading changed"
ROW_CHANGED = "row changed"
ROW_REMOVED = "row removed"
ROW_INSERTED = "row inserted"
#: Of an export.
FILE_CHANGED = "file changed"
FILE_REMOVED = "file removed"
FILE_INSERTED = "file inserted"

#: Findings that lie in what follows from the journal, and can be made again from it.
DERIVED = frozenset([READING_CHANGED, ROW_CHANGED, ROW_REMOVED, ROW_INSERTED])


class Finding(NamedTuple):
    """Something that is not as it was written."""

    kind: str
    #: The table in which it is.
    table: str
    #: What is wrong, in words.
    detail: str
    #: By its name.
    account: str | None = None
    #: The frame, or the first of several that follow each other.
    session_id: int | None = None
    seq: int | None = None
    #: The last of them.
    last_seq: int | None = None
    run_id: int | None = None
    batch: int | None = None
    recorder_id: int | None = None


def batch_finding(kind: str, table: str, detail: str, run_id: int, batch: int, recorder_id: int) -> Finding:
    """A finding about a batch as a whole."""
    return Finding(kind, table, detail, run_id=run_id, batch=batch, recorder_id=recorder_id)


def together(findings: Iterable[Finding]) -> Iterator[Finding]:
    """As they come, but those that say the same of frames that follow each other as one."""
    held: Finding | None = None
    for finding in findings:
        if held is not None and _goes_on(held, finding):
            held = held._replace(last_seq=finding.last_seq)
            continue
        if held is not None:
            yield held
        held = finding
    if held is not None:
        yield held


def _goes_on(held: Finding, finding: Finding) -> bool:
    if held.last_seq is None or finding.seq != held.last_seq + 1:
        return False
    same = finding._replace(seq=held.seq, last_seq=held.last_seq, batch=held.batch)
    return same == held
