"""What a verification finds: where, and what is wrong there. It does not guess which edit was made."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

#: The frame is not the one that was sealed: its bytes, its time of receipt, its source or its number differ.
FRAME_CHANGED = "frame changed"
#: The frame has no payload, and no sealed entry says that it was redacted.
PAYLOAD_ERASED = "payload erased"
FRAME_REMOVED = "frame removed"
FRAME_INSERTED = "frame inserted"
#: The rows of `spans` do not give each frame of a session to exactly one batch.
SEQ_DISCONTINUOUS = "seq discontinuous"
#: The rows of `spans` do not give a batch as many frames as its seal covers.
SPAN_CHANGED = "span changed"
BATCH_REMOVED = "batch removed"
SEAL_REMOVED = "seal removed"
#: A seal does not follow from the parts of its batch and the seal before it.
CHAIN_BROKEN = "chain broken"
#: A run continues the chain from an earlier batch than the last one before it.
CHAIN_FORKED = "chain forked"
#: The digests stored with a seal do not lead to the root that it covers.
DIGESTS_CHANGED = "digests changed"
#: The event log entries of a batch do not lead to the root that its seal covers.
ENTRIES_CHANGED = "entries changed"
#: A sealed entry says something else of a session or a run than what was recorded of it before.
ENTRY_CONTRADICTED = "entry contradicted"
#: A checkpoint covers more seals than the record has.
TAIL_TRUNCATED = "tail truncated"
#: A checkpoint was signed over other seals than those of the record.
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

#: Findings in what is derived from frames or entries and can be made again from them.
DERIVED = frozenset([READING_CHANGED, ROW_CHANGED, ROW_REMOVED, ROW_INSERTED])


class Finding(NamedTuple):
    """Something in a record that is not as it was written."""

    kind: str
    #: The table that it was found in.
    table: str
    #: What is wrong, in words.
    detail: str
    #: The account's name.
    account: str | None = None
    #: The frame, or the first of consecutive ones.
    session_id: int | None = None
    seq: int | None = None
    #: The last of them.
    last_seq: int | None = None
    run_id: int | None = None
    batch: int | None = None
    recorder_id: int | None = None


class Verified(NamedTuple):
    """How much was verified so far."""

    frames: int = 0
    batches: int = 0
    seals: int = 0
    checkpoints: int = 0
    findings: int = 0
    #: Frames without payload because they were redacted.
    redacted: int = 0
    #: What was not verified, a sentence each.
    not_checked: tuple[str, ...] = ()


#: Receives how many frames are done, and of how many.
Progress = Callable[[int, int], None]


def batch_finding(kind: str, table: str, detail: str, run_id: int, batch: int, recorder_id: int) -> Finding:
    """A finding about a whole batch."""
    return Finding(kind, table, detail, run_id=run_id, batch=batch, recorder_id=recorder_id)


def frame_finding(kind: str, table: str, detail: str, seq: int) -> Finding:
    """A finding about a frame, whose session is filled in later."""
    return Finding(kind, table, detail, seq=seq, last_seq=seq)


def merge_consecutive(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Merge findings that say the same of consecutive frames."""
    held: Finding | None = None
    for finding in findings:
        if held is not None and _continues(held, finding):
            held = held._replace(last_seq=finding.last_seq)
            continue
        if held is not None:
            yield held
        held = finding
    if held is not None:
        yield held


def _continues(held: Finding, finding: Finding) -> bool:
    if held.last_seq is None or finding.seq != held.last_seq + 1:
        return False
    same = finding._replace(seq=held.seq, last_seq=held.last_seq, batch=held.batch)
    return same == held
