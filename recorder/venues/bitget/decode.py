"""Decodes what Bitget sends over its private socket (v3, unified account): exact digits, and unknown fields are kept.

Which topic makes which rows, so that each fact is counted once:

- `order`, `strategy-order`: order updates. A conditional order has an id of its own, and becomes another order.
- `fill`: executions, which `order` does not tell.
- `position`, `account`: positions and balances.
- `fast-fill` (which repeats some of `fill`), `adl-notification`: no row. Their frames are kept.

Every frame says `snapshot`, whatever it is, so no row is marked as part of a full state.
Source: bitget.com/docs/uta, "WebSocket".
"""

import re
from collections.abc import Callable, Sequence

from recorder.errors import Undecodable
from recorder.model import (
    CONTROL,
    DECODED,
    Acknowledged,
    Control,
    Decoded,
    Heartbeat,
    LoggedIn,
    Notice,
    RefusedCommand,
    Update,
)
from recorder.venues.bitget import objects as records
from recorder.venues.bitget.objects import Around
from recorder.venues.fields import (
    Fields,
    as_object,
    identifier,
    inner,
    names,
    objects,
    read_json,
    required,
    text,
    unknown,
    whole,
)
from recorder.venues.reading import printable
from recorder.venues.values import unless_zero

#: The only frame that is not JSON: our ping's answer.
PONG = b"pong"
#: The connection will be closed for an upgrade within a minute.
CLOSING = 30033

_FRAME = names("action arg data ts")
_ACCOUNT = names(records.ACCOUNT, records.REST_ACCOUNT, "coin assets")
#: A refusal repeats the subscription as JSON within its message, or in words.
_NAMED_TOPIC = re.compile(r'\btopic\\?"?\s*:\s*\\?"?([\w-]+)')


def decode(payload: bytes) -> Decoded:
    """Decode one frame.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.base.read_frame` turns these into a result.
    """
    if payload == PONG:
        return Decoded("pong", DECODED, None, (Heartbeat(None, 0, None),), None)
    frame = as_object(read_json(payload), "frame")
    if "event" in frame:
        event = required(text(frame, "event"), "event")
        return Decoded(event, CONTROL, None, (), _control(event, frame))
    topic = required(text(inner(frame, "arg"), "topic"), "arg.topic")
    if topic in _WITHOUT_ROWS:
        return Decoded(topic, DECODED)
    read = _TOPICS.get(topic)
    if read is None:
        raise Undecodable(f"topic: {topic[:60]!r} is not one we know")
    around, event_ms = unknown(frame, _FRAME), whole(frame, "ts")
    rows = objects(frame, "data")
    if topic == "position":
        # In one-way mode, one that ended and one that began in its place are the same position.
        rows.sort(key=_is_open)
    updates = [update for row in rows for update in read(row, around, event_ms)]
    return Decoded(topic, DECODED, None, tuple(updates), None)


def _is_open(position: Fields) -> bool:
    size = position.get("size")
    return not isinstance(size, str) or unless_zero(size) is not None


def _order(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return [records.order_update(row, around, event_ms)]


def _fill(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return [records.fill_update(row, around, event_ms)]


def _strategy(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return [records.strategy_update(row, around, event_ms)]


def _position(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return [records.position_update(row, around, event_ms)]


def balances(row: Fields, coins: str, around: Around, event_ms: int | None, *, is_snapshot: int) -> Sequence[Update]:
    """The coins of an account, whose own sums are in USD and in no column.

    Args:
        row: of the account.
        coins: the name of their list.
        around: undocumented fields of the frame.
        event_ms: when it was sent.
        is_snapshot: 1 if it is part of a full state.
    """
    more = {**around, **unknown(row, _ACCOUNT)}
    return [records.account_update(one, more, event_ms, is_snapshot=is_snapshot) for one in objects(row, coins)]


def _account(row: Fields, around: Around, event_ms: int | None) -> Sequence[Update]:
    return balances(row, "coin", around, event_ms, is_snapshot=0)


_TOPICS: dict[str, Callable[[Fields, Around, int | None], Sequence[Update]]] = {
    "order": _order,
    "fill": _fill,
    "strategy-order": _strategy,
    "position": _position,
    "account": _account,
}
_WITHOUT_ROWS = frozenset(["fast-fill", "adl-notification"])


def number_of(code: str | None) -> int | None:
    """A code as a number; None if it is none, or there is none."""
    return int(code) if code and code.isascii() and code.isdigit() and len(code) < 10 else None


def _control(event: str, frame: Fields) -> Control:
    # Codes are numbers in some frames and texts in others.
    code, message = number_of(identifier(frame, "code")), printable(text(frame, "msg") or "")
    arg = frame.get("arg")
    topic = (text(arg, "topic") or text(arg, "channel")) if type(arg) is dict else None
    if code == CLOSING:
        return Notice(message, reconnect=True)
    match event:
        case "login" if not code:
            return LoggedIn()
        case "subscribe" if not code:
            return Acknowledged((topic,) if topic else ())
        case "error" | "login" | "subscribe":
            named = (topic,) if topic else tuple(_NAMED_TOPIC.findall(message))
            return RefusedCommand(None, code, message, named)
    return Notice(printable(" ".join(filter(None, (event, topic, message)))))
