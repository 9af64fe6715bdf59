"""Checking what is derived from frames: the typed rows, and the topic, status and error of each frame."""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Table

from recorder.audit.reading import RecordReader, Row
from recorder.audit.stored import PAYLOAD, RECEIVED_NS, SEQ, SOURCE, TOPIC, FrameSpan, is_emptied
from recorder.audit.verify.findings import (
    READING_CHANGED,
    ROW_CHANGED,
    ROW_INSERTED,
    ROW_REMOVED,
    Finding,
    frame_finding,
)
from recorder.audit.verify.frames import Piece
from recorder.model import CONTROL, DECODED, PUSH, REST, SNAPSHOT, Decoded, Update
from recorder.store.schema import TYPED
from recorder.store.types import ExactDecimal
from recorder.venues.base import Venue, read_answer, read_frame, read_plain

#: Pushes decoded together: enough to share the effort, few enough that one unusual frame does not slow down many.
WINDOW = 64
#: What the decoder reads in a frame, beside the typed rows: topic, status, error.
_READING = slice(5, 8)
_ITEM = 3
_COMMAND = Decoded(None, CONTROL, None, (), None)
#: Table → the places of its decimals.
_DECIMALS = {
    table: [place for place, column in enumerate(table.c) if isinstance(column.type, ExactDecimal)]
    for table in TYPED.values()
}


class Derived(NamedTuple):
    """What is derived from some frames."""

    rows: dict[type[Update], list[Row]]
    #: Frames whose topic, status or error is not what the decoder reads.
    misread: list[tuple[Row, Decoded]]


def derive(venue: Venue, frames: Sequence[Row]) -> Derived:
    """Decode frames again; those without payload are left out."""
    derived = Derived({record: [] for record in TYPED}, [])
    for start in range(0, len(frames), WINDOW):
        some = frames[start : start + WINDOW]
        if not _derive_together(venue, some, derived):
            for frame in some:
                if not is_emptied(frame):
                    _add(derived, frame, _decoded(venue, frame))
    return derived


def _derive_together(venue: Venue, frames: Sequence[Row], derived: Derived) -> bool:
    """Decode plain pushes in bulk. False, and nothing is added, where some are something else."""
    if any(frame[SOURCE] != PUSH for frame in frames):
        return False
    plain = read_plain(venue, [frame[PAYLOAD] for frame in frames])
    if plain is None:
        return False
    rows = derived.rows
    for frame, topic, updates in zip(frames, *plain, strict=True):
        if frame[_READING] != (topic, DECODED, None):
            derived.misread.append((frame, Decoded(topic, DECODED, None, updates, None)))
        account_id, session_id, seq, received_ns = frame[: RECEIVED_NS + 1]
        for item, update in enumerate(updates):
            rows[type(update)].append((account_id, session_id, seq, item, received_ns, *update))
    return True


def _decoded(venue: Venue, frame: Row) -> Decoded:
    if frame[SOURCE] == PUSH:
        return read_frame(venue, frame[PAYLOAD])
    if frame[SOURCE] in {REST, SNAPSHOT}:
        return read_answer(venue, frame[TOPIC] or "", frame[PAYLOAD])
    return _COMMAND


def _add(derived: Derived, frame: Row, decoded: Decoded) -> None:
    if decoded[:3] != frame[_READING]:
        derived.misread.append((frame, decoded))
    if frame[SOURCE] != SNAPSHOT:
        account_id, session_id, seq, received_ns = frame[: RECEIVED_NS + 1]
        for item, update in enumerate(decoded.updates):
            derived.rows[type(update)].append((account_id, session_id, seq, item, received_ns, *update))


def check_typed_rows(reader: RecordReader, venue: Venue, piece: Piece, doubtful: Collection[int]) -> Iterator[Finding]:
    """Check what is derived from the frames of a piece.

    Args:
        reader: of the record.
        venue: decodes.
        piece: the frames.
        doubtful: frames that are not as they were sealed. Nothing is said about their rows, which may be the last
            evidence of what the frame was.
    """
    derived = derive(venue, piece.rows)
    for frame, decoded in derived.misread:
        if frame[SEQ] not in doubtful:
            yield frame_finding(READING_CHANGED, "frames", _misread(frame, decoded), frame[SEQ])
    for record, table in TYPED.items():
        stored = _stored_rows(reader, table, piece.span)
        if stored != derived.rows[record]:
            decimals = [] if reader.exact else _DECIMALS[table]
            yield from _differences(table, derived.rows[record], stored, doubtful, decimals)


def _stored_rows(reader: RecordReader, table: Table, span: FrameSpan) -> list[Row]:
    return reader.rows(
        f"SELECT {reader.columns(table)} FROM {table.name} WHERE account_id = {span.account_id:d} "
        f"AND session_id = {span.session_id:d} AND seq BETWEEN {span.first:d} AND {span.last:d} ORDER BY seq, item"
    )


def _misread(frame: Row, decoded: Decoded) -> str:
    fields = zip(("topic", "status", "error"), frame[_READING], decoded[:3], strict=True)
    return "; ".join(f"{name} is {stored!r}, should be {read!r}" for name, stored, read in fields if stored != read)


def _differences(
    table: Table, derived: list[Row], stored: list[Row], doubtful: Collection[int], decimals: Sequence[int]
) -> Iterator[Finding]:
    expected = {(row[SEQ], row[_ITEM]): row for row in derived}
    found = {(row[SEQ], row[_ITEM]): row for row in stored}
    for seq, item in sorted(expected.keys() | found.keys()):
        if seq in doubtful:
            continue
        row, other = expected.get((seq, item)), found.get((seq, item))
        if other is None:
            yield frame_finding(ROW_REMOVED, table.name, f"item {item} of the frame is missing", seq)
        elif row is None:
            yield frame_finding(ROW_INSERTED, table.name, f"item {item} does not follow from the frame", seq)
        elif not _same(row, other, decimals):
            yield frame_finding(ROW_CHANGED, table.name, _fields(table, item, row, other, decimals), seq)


def _same(row: Row, other: Row, decimals: Sequence[int]) -> bool:
    """Whether two rows are equal; decimals of a server by value, because it does not keep their digits."""
    if row == other:
        return True
    return all(
        one == two or (place in decimals and one is not None and two is not None and Decimal(one) == Decimal(two))
        for place, (one, two) in enumerate(zip(row, other, strict=True))
    )


def _fields(table: Table, item: int, row: Row, other: Row, decimals: Sequence[int]) -> str:
    told = [
        f"{column.name} is {two!r}, should be {one!r}"
        for place, (column, one, two) in enumerate(zip(table.c, row, other, strict=True))
        if not _same((one,), (two,), [0] if place in decimals else [])
    ]
    return f"item {item}: {'; '.join(told)}"
