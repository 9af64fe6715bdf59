"""Checking frames against the digests that were sealed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from recorder.audit.reading import Row
from recorder.audit.stored import PAYLOAD, SEQ, FrameSpan, digest_of, is_emptied, split_digests
from recorder.audit.verify.findings import FRAME_CHANGED, FRAME_REMOVED, PAYLOAD_ERASED, Finding, frame_finding
from recorder.store import seals
from recorder.store.merkle import HASH_BYTES


class Piece(NamedTuple):
    """Consecutive frames of one session."""

    span: FrameSpan
    run_id: int
    #: The frames that are there.
    rows: list[Row]
    #: The sealed digests of all frames that should be there.
    digests: bytes


class Checked(NamedTuple):
    """The result of checking a piece."""

    #: One for each frame that is not the one that was sealed.
    findings: list[Finding]
    #: How many frames have no payload because they were redacted.
    redacted: int


def check_frames(piece: Piece, is_redacted: Callable[[Row], bool]) -> Checked:
    """Check the frames of a piece against their digests.

    Args:
        piece: the frames.
        is_redacted: whether a sealed entry says that a frame was redacted. Its digest cannot be computed any more.
    """
    if seals.frame_digests(piece.run_id, piece.rows) == piece.digests:  # type: ignore[arg-type]
        return Checked([], 0)
    rows = {row[SEQ]: row for row in piece.rows}
    findings, redacted = [], 0
    for seq, digest in enumerate(split_digests(piece.digests), piece.span.first):
        row = rows.get(seq)
        if row is None:
            findings.append(frame_finding(FRAME_REMOVED, "frames", "it was sealed, and is missing", seq))
        elif is_emptied(row) and is_redacted(row):
            redacted += 1
        elif digest_of(piece.run_id, row) != digest:
            findings.append(changed(row))
    return Checked(findings, redacted)


def changed(row: Row) -> Finding:
    """The finding about a frame that is not the one that was sealed."""
    if is_emptied(row):
        told = "its payload is missing, and no sealed redaction covers it"
        return frame_finding(PAYLOAD_ERASED, "frames", told, row[SEQ])
    told = "its bytes, time of receipt, source or number are not those that were sealed"
    return frame_finding(FRAME_CHANGED, "frames", told, row[SEQ])


def pieces(
    span: FrameSpan, run_id: int, rows: Iterable[Sequence[Row]], digests: bytes, frames_max: int, bytes_max: int
) -> Iterator[Piece]:
    """Cut a span into pieces of limited size, so that memory does not grow with it.

    Args:
        span: the frames that should be there.
        run_id: of their run.
        rows: the frames that are there, some at a time.
        digests: the sealed digests of the span.
        frames_max: frames in a piece.
        bytes_max: bytes of payload in a piece, but for those fetched with its last frame.
    """
    first, size = span.first, 0
    held: list[Row] = []
    for some in rows:
        held += some
        size += sum([len(row[PAYLOAD]) for row in some])
        if len(held) >= frames_max or size >= bytes_max:
            last = held[-1][SEQ]
            start, end = (first - span.first) * HASH_BYTES, (last + 1 - span.first) * HASH_BYTES
            yield Piece(span._replace(first=first, last=last), run_id, held, digests[start:end])
            first, held, size = last + 1, [], 0
    if first <= span.last:
        start = (first - span.first) * HASH_BYTES
        yield Piece(span._replace(first=first), run_id, held, digests[start:])
