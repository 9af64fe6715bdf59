"""Decodes what Binance pushes: exact digits, and unknown fields are kept.

Which event makes which rows, so that each fact is counted once:

- `ORDER_TRADE_UPDATE`: an order update, and the fill that it tells of.
- `ALGO_UPDATE`: a conditional order, which has an id of its own.
- `ACCOUNT_UPDATE`: balances and positions that changed.
- `TRADE_LITE` (which tells fills earlier and shorter), `MARGIN_CALL`, `ACCOUNT_CONFIG_UPDATE`, `STRATEGY_UPDATE`,
  `GRID_UPDATE`, `CONDITIONAL_ORDER_TRIGGER_REJECT`: no row. Their frames are kept, and their views show them.

An event comes as it is, or wrapped with the name of its stream, which is the listen key. Source:
developers.binance.com, "USDⓈ-M Futures" and "COIN-M Futures", "User Data Streams".
"""

from collections.abc import Callable, Sequence

from recorder.errors import Undecodable
from recorder.model import CONTROL, DECODED, Acknowledged, Control, Decoded, Notice, RefusedCommand, Update
from recorder.venues.binance import objects, states
from recorder.venues.binance.objects import Around, Times
from recorder.venues.binance.words import KEY_EXPIRED
from recorder.venues.fields import (
    Fields,
    as_object,
    identifier,
    inner,
    names,
    read_json,
    text,
    unknown,
    whole,
)
from recorder.venues.fields import (
    objects as rows_of,
)
from recorder.venues.reading import printable

#: The stream has ended: the listen key is no longer valid.
EXPIRED = "listenKeyExpired"
#: The exchange is going to end the connection.
SHUTDOWN = "serverShutdown"

_FRAME = names("e E T i")
_WRAPPED = names("stream data")
_CHANGES = names("B P m S")


def decode(payload: bytes) -> Decoded:
    """Decode one frame.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.reading.read_frame` turns these into a result.
    """
    frame = as_object(read_json(payload), "frame")
    around: dict[str, str] = {}
    stream = None
    if "stream" in frame and "data" in frame:
        around, stream = unknown(frame, _WRAPPED), text(frame, "stream")
        frame = as_object(frame["data"], "data")
    event = text(frame, "e")
    if event is None:
        return Decoded(None, CONTROL, None, (), _answer(frame))
    if event in {EXPIRED, SHUTDOWN}:
        key = text(frame, "listenKey") or stream
        words = KEY_EXPIRED if event == EXPIRED else "the exchange is going to end the connection"
        control = Notice(words, reconnect=event == SHUTDOWN)
        return Decoded(event, CONTROL, None, (), control, secrets=(key,) if key else ())
    read = _EVENTS.get(event)
    if read is None:
        raise Undecodable(f"event: {event[:60]!r} is not one we know")
    times = Times(whole(frame, "E"), whole(frame, "T"))
    return Decoded(event, DECODED, None, tuple(read(frame, times, around)), secrets=(stream,) if stream else ())


def _order(frame: Fields, times: Times, around: Around) -> list[Update]:
    around = {**around, **unknown(frame, _FRAME | {"o"})}
    order = as_object(frame.get("o"), "o")
    fill = objects.pushed_fill(order, times)
    update = objects.pushed_order(order, times, around)
    return [update] if fill is None else [update, fill]


def _algo(frame: Fields, times: Times, around: Around) -> list[Update]:
    around = {**around, **unknown(frame, _FRAME | {"o"})}
    return [objects.pushed_algo(as_object(frame.get("o"), "o"), times, around)]


def _account(frame: Fields, times: Times, around: Around) -> list[Update]:
    changes = as_object(frame.get("a"), "a")
    around = {**around, **unknown(frame, _FRAME | {"a"}), **unknown(changes, _CHANGES, "a.")}
    balances = rows_of(changes, "B") if changes.get("B") is not None else []
    positions = rows_of(changes, "P") if changes.get("P") is not None else []
    return [
        *(states.pushed_balance(one, times, around) for one in balances),
        *(states.pushed_position(one, times, around) for one in positions),
    ]


def _nothing(_frame: Fields, _times: Times, _around: Around) -> Sequence[Update]:
    return ()


_EVENTS: dict[str, Callable[[Fields, Times, Around], Sequence[Update]]] = {
    "ORDER_TRADE_UPDATE": _order,
    "ALGO_UPDATE": _algo,
    "ACCOUNT_UPDATE": _account,
    **dict.fromkeys(
        (
            "TRADE_LITE",
            "MARGIN_CALL",
            "ACCOUNT_CONFIG_UPDATE",
            "STRATEGY_UPDATE",
            "GRID_UPDATE",
            "CONDITIONAL_ORDER_TRIGGER_REJECT",
        ),
        _nothing,
    ),
}


def _answer(frame: Fields) -> Control:
    """The answer to a command; the recorder sends none."""
    command_id = identifier(frame, "id")
    error = inner(frame, "error") if "error" in frame else frame
    if "code" in error:
        return RefusedCommand(command_id, whole(error, "code"), printable(text(error, "msg") or ""))
    if "result" in frame:
        return Acknowledged((), command_id)
    raise Undecodable("event: missing")
