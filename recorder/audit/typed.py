"""Whether the typed rows follow from the frames, and whether what stands beside a frame is its reading."""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Table

from recorder.audit.findings import READING_CHANGED, ROW_CHANGED, ROW_INSERTED, ROW_REMOVED, Finding
from recorder.audit.frames import Piece
from recorder.audit.kept import Span
from recorder.audit.reading import Reader, Row
from recorder.model import CONTROL, PUSH, REDACTED, REST, SNAPSHOT, Decoded, Update
from recorder.store.schema import TYPED
from recorder.store.types import ExactDecimal
from recorder.venues.base import Venue, read_answer, read_frame

#: So many frames are asked for by their numbers.
SEQS_MAX = 200
_SEQ, _RECEIVED, _SOURCE, _TOPIC, _STATUS, _PAYLOAD = 2, 3, 4, 5, 6, 8
#: What stands beside a frame: topic, status, error.
_READING = slice(5, 8)
_ITEM, _ROW_RECEIVED = 3, 4
_COMMAND = Decoded(None, CONTROL, None, (), None)
#: A table → where its decimals stand.
_DECIMALS = {
    table: [place for place, column in enumerate(table.c) if isinstance(column.type, ExactDecimal)]
    for table in TYPED.values()
}


class Followed(NamedTuple):
    """What follows from some frames."""

    rows: dict[type[Update], list[Row]]
    #: Frames whose reading is another than the one that stands beside them.
    misread: list[tuple[Row, Decoded]]


def what_follows(venue: Venue, frames: Sequence[Row]) -> Followed:
    """Decode frames again."""
    rows: dict[type[Update], list[Row]] = {record: [] for record in TYPED}
    misread: list[tuple[Row, Decoded]] = []
    for frame in frames:
        account_id, session_id, seq, received_ns, source, topic, status, error, payload = frame
        if source == PUSH:
            decoded = read_frame(venue, payload)
        elif source in {REST, SNAPSHOT}:
            decoded = read_answer(venue, topic or "", payload)
        else:
            decoded = _COMMAND
        if status == REDACTED and not payload:
            continue
        if decoded[:3] != (topic, status, error):
            misread.append((frame, decoded))
        if source != SNAPSHOT:
            for item, update in enumerate(decoded.updates):
                rows[type(update)].append((account_id, session_id, seq, item, received_ns, *update))
    return Followed(rows, misread)


def typed_rows(reader: Reader, table: Table, span: Span, columns: str | None = None, seqs: str = "") -> list[Row]:
    """The rows of a typed table for some frames, in their order."""
    among = seqs or f"BETWEEN {span.first:d} AND {span.last:d}"
    return reader.rows(
        f"SELECT {columns or reader.columns(table)} FROM {table.name} WHERE account_id = {span.account_id:d} "
        f"AND session_id = {span.session_id:d} AND seq {among} ORDER BY seq, item"
    )


def findings_of(
    reader: Reader, venue: Venue, piece: Piece, doubtful: Collection[int], settled: Collection[int]
) -> Iterator[tuple[int, Finding]]:
    """What does not follow from frames, each with the frame's number.

    Args:
        reader: of the record.
        venue: which decodes.
        piece: the frames that are there, of all numbers that are looked at.
        doubtful: frames that are not as they were sealed: nothing is said of what follows from them.
        settled: frames whose rows are known to be right.
    """
    span = piece.span
    followed = what_follows(venue, [frame for frame in piece.rows if frame[_SEQ] not in settled])
    for frame, decoded in followed.misread:
        if frame[_SEQ] not in doubtful:
            yield _misread(frame, decoded)
    few = span.frames - len(settled) <= SEQS_MAX
    seqs = ", ".join(str(seq) for seq in range(span.first, span.last + 1) if seq not in settled) if few else ""
    for record, table in TYPED.items():
        there = typed_rows(reader, table, span, seqs=f"IN ({seqs})" if few else "")
        if settled and not few:
            there = [row for row in there if row[_SEQ] not in settled]
        if there != followed.rows[record]:
            decimals = [] if reader.exact else _DECIMALS[table]
            yield from _differences(table, followed.rows[record], there, doubtful, decimals)


def payload_agrees(reader: Reader, venue: Venue, frame: Row) -> tuple[frozenset[int], bool | None]:
    """What the typed rows say of a frame: times of receipt, and whether its payload says what they say.

    Returns:
        No time and None where there are no rows.
    """
    span = Span(frame[0], frame[1], frame[_SEQ], frame[_SEQ])
    followed = what_follows(venue, [frame])
    received: set[int] = set()
    agrees = True
    for record, table in TYPED.items():
        there = typed_rows(reader, table, span)
        received.update(row[_ROW_RECEIVED] for row in there)
        decimals = [] if reader.exact else _DECIMALS[table]
        expected = followed.rows[record]
        agrees &= len(there) == len(expected) and all(
            _same(_without_time(one), _without_time(other), decimals)
            for one, other in zip(expected, there, strict=True)
        )
    return frozenset(received), agrees if received or not agrees else None


def _without_time(row: Row) -> Row:
    return (*row[:_ROW_RECEIVED], None, *row[_ROW_RECEIVED + 1 :])


def _misread(frame: Row, decoded: Decoded) -> tuple[int, Finding]:
    stands, reads = frame[_READING], decoded[:3]
    told = "; ".join(
        f"{name} is {was!r}, but follows as {follows!r}"
        for name, was, follows in zip(("topic", "status", "error"), stands, reads, strict=True)
        if was != follows
    )
    return _finding(READING_CHANGED, "frames", told, frame[_SEQ])


def _differences(
    table: Table, expected: list[Row], there: list[Row], doubtful: Collection[int], decimals: Sequence[int]
) -> Iterator[tuple[int, Finding]]:
    follows = {(row[_SEQ], row[_ITEM]): row for row in expected}
    stands = {(row[_SEQ], row[_ITEM]): row for row in there}
    for key in sorted(follows.keys() | stands.keys()):
        seq, item = key
        if seq in doubtful:
            continue
        row, other = follows.get(key), stands.get(key)
        if other is None:
            yield _finding(ROW_REMOVED, table.name, f"item {item} follows from the frame, and is not there", seq)
        elif row is None:
            yield _finding(ROW_INSERTED, table.name, f"item {item} does not follow from the frame", seq)
        elif not _same(row, other, decimals):
            yield _finding(ROW_CHANGED, table.name, _fields(table, item, row, other, decimals), seq)


def _same(row: Row, other: Row, decimals: Sequence[int]) -> bool:
    """Whether two rows are the same; decimals of a server by their value."""
    if row == other:
        return True
    return all(
        one == two or (place in decimals and one is not None and two is not None and Decimal(one) == Decimal(two))
        for place, (one, two) in enumerate(zip(row, other, strict=True))
    )


def _fields(table: Table, item: int, row: Row, other: Row, decimals: Sequence[int]) -> str:
    told = [
        f"{column.name} is {two!r}, but follows as {one!r}"
        for place, (column, one, two) in enumerate(zip(table.c, row, other, strict=True))
        if not _same((one,), (two,), [0] if place in decimals else [])
    ]
    return f"item {item}: {'; '.join(told)}"


def _finding(kind: str, table: str, detail: str, seq: int) -> tuple[int, Finding]:
    return seq, Finding(kind, table, detail, seq=seq, last_seq=seq)
