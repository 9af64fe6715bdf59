"""Decodes what Binance spot sends over its socket: exact digits, and unknown fields are kept.

Which event makes which rows, so that each fact is counted once:

- `executionReport`: the order, and the fill that it tells of.
- `outboundAccountPosition`: balances.
- `balanceUpdate`: a transaction; it is the only place where a deposit, a withdrawal or a transfer is told.
- `listStatus` (whose orders have reports of their own), `externalLockUpdate` (whose balance is pushed): no row. Their
  frames are kept, and their views show them.

Source: developers.binance.com/docs/binance-spot-api-docs, "User Data Streams" and "WebSocket API".
"""

from collections.abc import Callable, Sequence

from recorder.errors import Undecodable
from recorder.model import (
    CONTROL,
    DECODED,
    Acknowledged,
    Control,
    Decoded,
    Heartbeat,
    Notice,
    RefusedCommand,
    Update,
)
from recorder.venues.binance_spot import objects as records
from recorder.venues.binance_spot.objects import Around
from recorder.venues.fields import (
    Fields,
    as_object,
    identifier,
    inner,
    names,
    read_json,
    required,
    text,
    unknown,
    whole,
)
from recorder.venues.reading import printable

#: Topics of frames that are no events: answers to our commands.
ANSWER, CLOCK = "answer", "time"

#: What the session is told when the subscription is over.
TERMINATED = "the subscription has ended (eventStreamTerminated)"
SHUTDOWN = "the server is about to shut down (serverShutdown)"

_FRAME = names("subscriptionId event")


def decode(payload: bytes) -> Decoded:
    """Decode one frame.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.reading.read_frame` turns these into a result.
    """
    frame = as_object(read_json(payload), "frame")
    if "event" not in frame:
        return _answer(frame)
    event = inner(frame, "event")
    name = required(text(event, "e"), "e")
    if name in _ENDINGS:
        return Decoded(name, CONTROL, None, (), _ENDINGS[name])
    read = _EVENTS.get(name)
    if read is None:
        raise Undecodable(f"event: {name[:60]!r} is not one we know")
    return Decoded(name, DECODED, None, tuple(read(event, unknown(frame, _FRAME))))


def _report(event: Fields, around: Around) -> Sequence[Update]:
    fill = records.pushed_fill(event, around)
    order = records.pushed_order(event, around)
    return [order] if fill is None else [order, fill]


def _movement(event: Fields, around: Around) -> Sequence[Update]:
    return [records.movement(event, around)]


def _nothing(_event: Fields, _around: Around) -> Sequence[Update]:
    return ()


_EVENTS: dict[str, Callable[[Fields, Around], Sequence[Update]]] = {
    "executionReport": _report,
    "outboundAccountPosition": records.pushed_balances,
    "balanceUpdate": _movement,
    "listStatus": _nothing,
    "externalLockUpdate": _nothing,
}
_ENDINGS: dict[str, Control] = {
    "eventStreamTerminated": Notice(TERMINATED),
    "serverShutdown": Notice(SHUTDOWN, reconnect=True),
}


def _answer(frame: Fields) -> Decoded:
    """The answer to a command."""
    command_id = identifier(frame, "id")
    if "error" in frame:
        error = inner(frame, "error")
        refusal = RefusedCommand(command_id, whole(error, "code"), printable(text(error, "msg") or ""))
        return Decoded(ANSWER, CONTROL, None, (), refusal)
    if whole(frame, "status") is None:
        raise Undecodable("neither an event nor an answer")
    result = frame.get("result")
    if isinstance(result, dict) and "serverTime" in result:
        return Decoded(CLOCK, DECODED, None, (Heartbeat(whole(result, "serverTime"), 0, None),))
    if isinstance(result, dict) and "subscriptionId" in result:
        return Decoded(ANSWER, CONTROL, None, (), Acknowledged((), command_id))
    return Decoded(ANSWER, CONTROL, None, (), Notice(f"answered command {printable(command_id or '')[:40]}"))
