"""Whether frames are those that were sealed: each against its digest. Where one is not, what of it was changed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from recorder.audit.findings import (
    FRAME_CHANGED,
    FRAME_REMOVED,
    FRAMES_REORDERED,
    PAYLOAD_CHANGED,
    PAYLOAD_ERASED,
    SOURCE_CHANGED,
    TIME_CHANGED,
    Finding,
)
from recorder.audit.kept import Span, digest_of, split
from recorder.audit.reading import Row
from recorder.clock import utc_text
from recorder.model import PUSH, REDACTED, REST, SENT, SNAPSHOT
from recorder.store import seals
from recorder.store.merkle import HASH_BYTES

#: More changed frames than this in one piece are not held against each other's places.
REORDERED_MAX = 200
_SEQ, _RECEIVED, _SOURCE, _TOPIC, _STATUS, _PAYLOAD = 2, 3, 4, 5, 6, 8


class Piece(NamedTuple):
    """Frames of one session that follow each other, from the first to the last, as the record has them."""

    span: Span
    run_id: int
    rows: list[Row]
    #: Of all that should be there.
    digests: bytes


class Differing(NamedTuple):
    """A frame that is not as it was sealed; no row where it is gone."""

    seq: int
    row: Row | None
    digest: bytes


class Evidence(NamedTuple):
    """What else in the record speaks for what a frame was."""

    #: Times of receipt in the rows that followed from it.
    received_ns: frozenset[int]
    #: Whether the rows that followed from it say what its payload says.
    payload_agrees: bool | None


def differing(piece: Piece, redacted: Callable[[int], bool]) -> tuple[list[Differing], int]:
    """The frames of a piece that are not those of its digests, and how many have been redacted.

    Args:
        piece: some frames.
        redacted: tells whether a sealed entry says that a frame was redacted: its digest is then believed.
    """
    if seals.frame_digests(piece.run_id, piece.rows) == piece.digests:  # type: ignore[arg-type]
        return [], 0
    rows = {row[_SEQ]: row for row in piece.rows}
    found = []
    count = 0
    for seq, digest in enumerate(split(piece.digests), piece.span.first):
        row = rows.get(seq)
        if row is not None and is_emptied(row) and redacted(seq):
            count += 1
            continue
        if row is None or digest_of(piece.run_id, row) != digest:
            found.append(Differing(seq, row, digest))
    return found, count


def findings_of(
    run_id: int, frames: Sequence[Differing], evidence: Callable[[Row], Evidence]
) -> Iterator[tuple[int, Finding]]:
    """What is wrong with frames of one session, each with its number.

    Args:
        run_id: of their run.
        frames: those that differ.
        evidence: gives what else the record says of a frame.
    """
    there = [one for one in frames if one.row is not None]
    moved = _moved(run_id, there) if len(there) <= REORDERED_MAX else {}
    for one in frames:
        if one.row is None:
            yield one.seq, _finding(one, FRAME_REMOVED, "it was sealed, and is gone")
        elif one.seq in moved:
            yield one.seq, _finding(one, FRAMES_REORDERED, f"it is what was frame {moved[one.seq]}")
        elif is_emptied(one.row):
            yield one.seq, _finding(one, PAYLOAD_ERASED, "its payload is missing, and no sealed redaction covers it")
        else:
            yield one.seq, _changed(run_id, one, one.row, evidence(one.row))


def is_emptied(row: Row) -> bool:
    """Whether a frame says that its payload was taken away."""
    return row[_STATUS] == REDACTED and not row[_PAYLOAD]


def _finding(one: Differing, kind: str, detail: str) -> Finding:
    return Finding(kind, "frames", detail, seq=one.seq, last_seq=one.seq)


def _moved(run_id: int, frames: Sequence[Differing]) -> dict[int, int]:
    """Frames that stand in another's place: their own number → the number they had."""
    moved = {}
    for one in frames:
        for other in frames:
            if one is not other and any(digest_of(run_id, row) == other.digest for row in _in_place(one, other)):
                moved[one.seq] = other.seq
                break
    return moved


def _in_place(one: Differing, other: Differing) -> Iterator[Row]:
    """A frame as it would be in another's place: all of it, or but for the time of receipt, which stayed behind."""
    assert one.row is not None and other.row is not None
    yield _with(one.row, {_SEQ: other.seq})
    yield _with(one.row, {_SEQ: other.seq, _RECEIVED: other.row[_RECEIVED]})


def _changed(run_id: int, one: Differing, row: Row, evidence: Evidence) -> Finding:
    for received_ns in evidence.received_ns:
        if digest_of(run_id, _with(row, {_RECEIVED: received_ns})) == one.digest:
            was, says = (f"{utc_text(ns)} ({ns})" for ns in (received_ns, row[_RECEIVED]))
            told = f"it was received at {was}, not at {says}"
            return _finding(one, TIME_CHANGED, told)
    for source in (PUSH, REST, SENT, SNAPSHOT):
        if digest_of(run_id, _with(row, {_SOURCE: source})) == one.digest:
            return _finding(one, SOURCE_CHANGED, f"it was {source}, not {row[_SOURCE]}")
    if evidence.payload_agrees is False:
        return _finding(one, PAYLOAD_CHANGED, "its bytes are not those that were sealed")
    return _finding(one, FRAME_CHANGED, "its bytes, its time of receipt or its source are not those that were sealed")


def _with(row: Row, changes: dict[int, object]) -> Row:
    return tuple(changes.get(place, value) for place, value in enumerate(row))


def pieces(
    span: Span, run_id: int, rows: Iterable[Sequence[Row]], digests: bytes, frames_max: int, bytes_max: int
) -> Iterator[Piece]:
    """A span in pieces of so many frames, or of so many bytes: memory does not grow with it."""
    first, size = span.first, 0
    held: list[Row] = []
    for some in rows:
        held += some
        size += sum([len(row[_PAYLOAD]) for row in some])
        if len(held) >= frames_max or size >= bytes_max:
            last = held[-1][_SEQ]
            start, end = (first - span.first) * HASH_BYTES, (last + 1 - span.first) * HASH_BYTES
            yield Piece(span._replace(first=first, last=last), run_id, held, digests[start:end])
            first, held, size = last + 1, [], 0
    if first <= span.last:
        start = (first - span.first) * HASH_BYTES
        yield Piece(span._replace(first=first), run_id, held, digests[start:])
