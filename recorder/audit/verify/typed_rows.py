"""Check what is derived from frames: the typed rows, and the topic, status and error of each frame."""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from itertools import repeat
from typing import NamedTuple

from sqlalchemy import Table

from recorder.audit.reading import PAYLOAD, RECEIVED_NS, SEQ, SOURCE, TOPIC, FrameSpan, RecordReader, Row, is_emptied
from recorder.audit.verify.findings import (
    READING_CHANGED,
    ROW_CHANGED,
    ROW_INSERTED,
    ROW_REMOVED,
    Finding,
    frame_finding,
)
from recorder.model import CONTROL, DECODED, PUSH, PUSHES, REST, SNAPSHOT, WITHOUT_ROWS, Decoded, Update
from recorder.store.columns import ExactDecimal
from recorder.store.schema import TYPED
from recorder.venues.base import Venue
from recorder.venues.reading import is_masked, masked_topic, read_answer, read_frame, read_plain

#: Pushes decoded together: enough to share the effort, few enough that one unusual frame does not slow down many.
WINDOW = 64
#: What the decoder reads in a frame, beside the typed rows: topic, status, error.
_READING = slice(5, 8)
_ITEM = 3
_COMMAND = Decoded(None, CONTROL)
#: Table → the indexes of its decimals.
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
    account_ids, session_ids, seqs, received, sources, *reading, payloads = zip(*frames, strict=True)
    count = len(frames)
    if sources.count(PUSH) < count or (plain := read_plain(venue, payloads)) is None:
        return False
    topics, updates = plain
    if reading != [tuple(topics), (DECODED,) * count, (None,) * count]:
        for frame, topic, its_updates in zip(frames, topics, updates, strict=True):
            if frame[_READING] != (topic, DECODED, None) and not is_masked(frame[TOPIC]):
                derived.misread.append((frame, Decoded(topic, DECODED, updates=its_updates)))
    rows = derived.rows
    keys = zip(account_ids, session_ids, seqs, repeat(0), received, strict=False)
    for key, its_updates in zip(keys, updates, strict=True):
        if len(its_updates) == 1:
            (update,) = its_updates
            rows[type(update)].append(key + update)
        else:
            for item, update in enumerate(its_updates):
                rows[type(update)].append((*key[:_ITEM], item, key[-1], *update))
    return True


def _decoded(venue: Venue, frame: Row) -> Decoded:
    if frame[SOURCE] in {REST, SNAPSHOT}:
        return read_answer(venue, frame[TOPIC] or "", frame[PAYLOAD])
    decoded = read_frame(venue, frame[PAYLOAD]) if frame[SOURCE] in PUSHES else _COMMAND
    return decoded._replace(topic=masked_topic(decoded.topic)) if is_masked(frame[TOPIC]) else decoded


def _add(derived: Derived, frame: Row, decoded: Decoded) -> None:
    if decoded[:3] != frame[_READING]:
        derived.misread.append((frame, decoded))
    if frame[SOURCE] not in WITHOUT_ROWS:
        account_id, session_id, seq, received_ns = frame[: RECEIVED_NS + 1]
        for item, update in enumerate(decoded.rows):
            derived.rows[type(update)].append((account_id, session_id, seq, item, received_ns, *update))


def check_typed_rows(
    reader: RecordReader, venue: Venue, span: FrameSpan, frames: Sequence[Row], doubtful: Collection[int]
) -> Iterator[Finding]:
    """Check what is derived from consecutive frames.

    Args:
        reader: of the record.
        venue: decodes.
        span: the frames that should be there.
        frames: those that are there.
        doubtful: frames that are not as they were sealed. Nothing is reported about their rows, which may be the last
            evidence of what the frame was.
    """
    derived = derive(venue, frames)
    for frame, decoded in derived.misread:
        if frame[SEQ] not in doubtful:
            yield frame_finding(READING_CHANGED, "frames", _misread(frame, decoded), frame[SEQ])
    for record, table in TYPED.items():
        stored = reader.rows(
            f"SELECT {reader.columns(table)} FROM {table.name} WHERE account_id = {span.account_id:d} "
            f"AND session_id = {span.session_id:d} AND seq BETWEEN {span.first:d} AND {span.last:d} ORDER BY seq, item"
        )
        if stored != derived.rows[record]:
            decimals = [] if reader.exact else _DECIMALS[table]
            yield from _differences(table, derived.rows[record], stored, doubtful, decimals)


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
        elif row != other and (differing := _differing(table, row, other, decimals)):
            yield frame_finding(ROW_CHANGED, table.name, f"item {item}: {'; '.join(differing)}", seq)


def _differing(table: Table, row: Row, other: Row, decimals: Sequence[int]) -> list[str]:
    """How two rows differ; decimals of a server are compared by value, because it does not keep their digits."""
    return [
        f"{column.name} is {stored!r}, should be {expected!r}"
        for place, (column, expected, stored) in enumerate(zip(table.c, row, other, strict=True))
        if expected != stored
        and not (place in decimals and None not in {expected, stored} and Decimal(expected) == Decimal(stored))
    ]
