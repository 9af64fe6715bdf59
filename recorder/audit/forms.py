"""Rows held against their frames without decoding these: a row is written as its venue would have written the push.

Where that gives the frame's very bytes, only one question is left: would the decoder have read them? It would, if they
are JSON, and if it has read other bytes before that differ from them in digits only: a venue's `Form` promises that.
Whatever is written otherwise is decoded.
"""

import re
from collections.abc import Iterable
from functools import cache

import msgspec

from recorder.audit.frames import Piece
from recorder.audit.reading import Reader, Row
from recorder.audit.typed import typed_rows
from recorder.model import DECODED, PUSH
from recorder.store.schema import TYPED
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
            rows = typed_rows(reader, table, piece.span, f"seq, item, received_ns, extra, {written(form)}")
            for seq, is_right in self._right(form, frames, rows):
                if is_right and seq not in settled:
                    settled.add(seq)
                else:
                    others.add(seq)
        return settled - others

    def _right(self, form: Form, frames: dict[int, Row], rows: list[Row]) -> list[tuple[int, bool]]:
        before_topic, after_topic = form.template.split("%s", 1)[0], '"'
        begins: dict[str | None, str] = {}
        shapes = self._shapes
        told = []
        for seq, item, received_ns, extra, text in rows:
            frame = frames.get(seq)
            if frame is None or item or extra is not None or text is None:
                told.append((seq, False))
                continue
            _, _, _, frame_ns, source, topic, status, error, payload = frame
            begin = begins.get(topic) or begins.setdefault(topic, f"{before_topic}{topic}{after_topic}")
            try:
                is_right = (
                    (begin + text).encode() == payload
                    and received_ns == frame_ns
                    and source == PUSH
                    and status == DECODED
                    and error is None
                    and payload.translate(_DIGITS_ALIKE) in shapes
                )
                if is_right:
                    _require_json(payload)
            except (UnicodeEncodeError, msgspec.DecodeError):
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


@cache
def written(form: Form) -> str:
    """The expression that writes a row in a form, from what follows on the topic; NULL where a field is."""
    _, _, rest = form.template.partition('%s"')
    texts = re.split("%[sd]", rest)
    columns = [f"'{text}' || {name}" for text, name in zip(texts, form.fields, strict=False)]
    return f"{' || '.join(columns)} || '{texts[-1]}'"
