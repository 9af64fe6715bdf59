"""Rows held against their frames without decoding these: a row is written as its venue would have written the push.

Where that gives the frame's very bytes, only one question is left: would the decoder have read them? It would, if they
are JSON, and if it has read other bytes before that differ from them in digits only: a venue's `Form` promises that.
Whatever is written otherwise is decoded.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from recorder.audit.frames import Piece
from recorder.audit.reading import Reader, Row
from recorder.audit.typed import typed_rows
from recorder.model import DECODED, PUSH, Update
from recorder.store.schema import TYPED
from recorder.store.types import ExactDecimal
from recorder.venues.base import Form, Venue

#: So many shapes of frames are remembered.
SHAPES_MAX = 20_000
_SEQ, _RECEIVED, _SOURCE, _TOPIC, _STATUS, _PAYLOAD = 2, 3, 4, 5, 6, 8
_DIGITS_ALIKE = bytes.maketrans(b"0123456789", b"0000000000")


class _Anything(msgspec.Struct):
    """Takes any object, and nothing of it."""


_require_json = msgspec.json.Decoder(_Anything).decode


class Forms:
    """Remembers the shapes of frames that a decoder has read as what their rows say."""

    def __init__(self) -> None:
        self._shapes: set[bytes] = set()

    def settled(self, reader: Reader, venue: Venue, piece: Piece) -> set[int]:
        """The frames of a piece that have just the one row which follows from them."""
        if not self._shapes:
            return set()
        frames = {row[_SEQ]: row for row in piece.rows}
        settled: set[int] = set()
        others: set[int] = set()
        for record, table in TYPED.items():
            form = venue.forms.get(record)
            if form is None:
                others.update(row[0] for row in typed_rows(reader, table, piece.span, "seq"))
                continue
            right = self._right(form, frames, typed_rows(reader, table, piece.span, _columns(reader, record, form)))
            for seq, is_right in right:
                if is_right and seq not in settled:
                    settled.add(seq)
                else:
                    others.add(seq)
        return settled - others

    def _right(self, form: Form, frames: dict[int, Row], rows: list[Row]) -> list[tuple[int, bool]]:
        templates: dict[str | None, str] = {}
        shapes = self._shapes
        told = []
        for row in rows:
            seq = row[0]
            frame = frames.get(seq)
            if frame is None or row[1:4] != (0, frame[_RECEIVED], None) or frame[_SOURCE] != PUSH:
                told.append((seq, False))
                continue
            topic, status, error, payload = frame[_TOPIC:]
            template = templates.get(topic) or templates.setdefault(topic, _with_topic(form, topic))
            try:
                is_right = (
                    (template % row[4:]).encode() == payload
                    and status == DECODED
                    and error is None
                    and payload.translate(_DIGITS_ALIKE) in shapes
                )
                if is_right:
                    _require_json(payload)
            except (TypeError, UnicodeEncodeError, msgspec.DecodeError):
                is_right = False
            told.append((seq, is_right))
        return told

    def learn(self, venue: Venue, frames: Iterable[Row]) -> None:
        """Take the shapes of frames whose rows the decoder has proved right."""
        if not venue.forms:
            return
        if len(self._shapes) > SHAPES_MAX:
            self._shapes.clear()
        self._shapes.update(frame[_PAYLOAD].translate(_DIGITS_ALIKE) for frame in frames if frame[_STATUS] == DECODED)


def _with_topic(form: Form, topic: str | None) -> str:
    """A template in which only the fields are left to be filled in."""
    return form.template.replace("%s", str(topic).replace("%", "%%"), 1)


def _columns(reader: Reader, record: type[Update], form: Form) -> str:
    table = TYPED[record]
    names: Sequence[Any] = ("seq", "item", "received_ns", "extra", *form.fields)
    return ", ".join(
        f"{name}::text" if not reader.exact and isinstance(table.c[name].type, ExactDecimal) else name for name in names
    )
