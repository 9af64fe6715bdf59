"""Decodes what Deribit sends over its socket: JSON-RPC answers and notifications, with exact digits.

Which channel makes which rows, so that each fact is counted once:

- `user.changes`: orders, fills and positions of one event. A combo's trade makes none: its legs are fills.
- `user.portfolio`: balances.
- `user.orders`, `user.trades`: the same orders and fills, where somebody recorded them.
- `user.combo_trades`, `user.mmp_trigger`, `user.access_log`, `instrument.state`: no row. Their frames are kept.
- `user.lock`, `platform_state`: what the exchange says to the user.

Source: docs.deribit.com, "JSON-RPC", "Subscriptions".
"""

from collections.abc import Callable, Sequence
from typing import Any

from recorder.errors import Undecodable
from recorder.model import (
    CONTROL,
    DECODED,
    Acknowledged,
    Asked,
    Decoded,
    Heartbeat,
    LoggedIn,
    Notice,
    RefusedCommand,
    Update,
)
from recorder.venues.deribit import objects as records
from recorder.venues.deribit.objects import Around
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

#: How the ids of our own signs of life begin; the answers to them have the server's clock.
BEAT = "beat-"

_FRAME = names("jsonrpc method params usIn usOut usDiff testnet")
_PARAMS = names("channel data label")
_CHANGES = names("instrument_name orders trades positions position")
#: The server's clock is in microseconds.
US_PER_MS = 1_000


def decode(payload: bytes) -> Decoded:
    """Decode one frame.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.base.read_frame` turns these into a result.
    """
    frame = as_object(read_json(payload), "frame")
    method = text(frame, "method")
    if method is None:
        return _answer(frame)
    params = inner(frame, "params")
    if method == "heartbeat":
        is_question = text(params, "type") == "test_request"
        return Decoded("heartbeat", CONTROL, None, (), Asked() if is_question else Acknowledged(()))
    if method != "subscription":
        raise Undecodable(f"method: {method[:60]!r} is not one we know")
    channel = required(text(params, "channel"), "params.channel")
    if channel in _NOTICES:
        return Decoded(channel, CONTROL, None, (), Notice(_NOTICES[channel](inner(params, "data"))))
    read = next((read for prefix, read in _CHANNELS.items() if channel.startswith(prefix)), None)
    if read is None:
        raise Undecodable(f"channel: {channel[:60]!r} is not one we know")
    around = {**unknown(frame, _FRAME), **unknown(params, _PARAMS, "params.")}
    return Decoded(channel, DECODED, None, tuple(read(params, around)), None)


def decode_plain(payloads: Sequence[bytes], *, decodable: bool = False) -> None:
    """Nothing is gained by decoding several frames together: each is read on its own."""


def _several(params: Fields) -> list[Fields]:
    """The objects of a push, which has one or a list of them."""
    data = params.get("data")
    return objects(params, "data") if isinstance(data, list) else [as_object(data, "data")]


def _orders(rows: Sequence[Fields], around: Around) -> list[Update]:
    return [records.order_update(one, around, is_push=True) for one in rows]


def _fills(rows: Sequence[Fields], around: Around) -> list[Update]:
    found = [records.fill_update(one, around, is_push=True) for one in rows]
    return [one for one in found if one is not None]


def _changes(params: Fields, around: Around) -> list[Update]:
    """The trades, orders and positions of one event, as far as it has them."""
    data = as_object(params.get("data"), "data")
    around = {**around, **unknown(data, _CHANGES, "data.")}
    # The exchange's description calls the positions `position`.
    trades, orders, positions, others = (
        objects(data, name) if data.get(name) is not None else []
        for name in ("trades", "orders", "positions", "position")
    )
    held = [records.position_update(one, around) for one in (*positions, *others)]
    return [*_fills(trades, around), *_orders(orders, around), *held]


def _portfolio(params: Fields, around: Around) -> list[Update]:
    return [records.account_update(as_object(params.get("data"), "data"), around, is_snapshot=0)]


def _nothing(_params: Fields, _around: Around) -> list[Update]:
    return []


_CHANNELS: dict[str, Callable[[Fields, Around], list[Update]]] = {
    "user.changes.": _changes,
    "user.portfolio.": _portfolio,
    "user.orders.": lambda params, around: _orders(_several(params), around),
    "user.trades.": lambda params, around: _fills(_several(params), around),
    "user.combo_trades.": _nothing,
    "user.mmp_trigger.": _nothing,
    "user.access_log": _nothing,
    "instrument.state.": _nothing,
}


def _lock(data: Fields) -> str:
    word = "locked" if data.get("locked") is True else "no longer locked"
    return printable(f"the account is {word} ({text(data, 'currency') or 'all currencies'})")


def _platform(data: Fields) -> str:
    if "maintenance" in data:
        return f"maintenance {'begins' if data['maintenance'] is True else 'is over'}"
    word = "locked" if data.get("locked") is True else "no longer locked"
    return printable(f"the market of {text(data, 'price_index') or 'an index'} is {word}")


_NOTICES: dict[str, Callable[[Fields], str]] = {"user.lock": _lock, "platform_state": _platform}


def refusal(error: Any, command_id: str | None) -> RefusedCommand:
    """An error, whose `data` says more."""
    told = as_object(error, "error")
    data = told.get("data")
    more = [str(data[name]) for name in ("reason", "param") if name in data] if isinstance(data, dict) else []
    message = text(told, "message") or ""
    return RefusedCommand(command_id, whole(told, "code"), printable(": ".join([message, *more])))


def _answer(frame: Fields) -> Decoded:
    command_id = identifier(frame, "id")
    if "error" in frame:
        return Decoded("error", CONTROL, None, (), refusal(frame["error"], command_id))
    result = frame.get("result")
    topic = command_id or "answer"
    if isinstance(result, dict) and "access_token" in result:
        secrets = tuple(filter(None, (text(result, "access_token"), text(result, "refresh_token"))))
        control = LoggedIn(command_id, whole(result, "expires_in"))
        return Decoded(topic, CONTROL, None, (), control, secrets=secrets)
    if command_id is not None and command_id.startswith(BEAT):
        at_us = whole(frame, "usOut")
        beat = Heartbeat(None if at_us is None else at_us // US_PER_MS, 0, None)
        return Decoded("heartbeat", DECODED, None, (beat,), None)
    topics = tuple(one for one in result if isinstance(one, str)) if isinstance(result, list) else ()
    if result is None:
        raise Undecodable("neither method, nor result, nor error")
    return Decoded(topic, CONTROL, None, (), Acknowledged(topics, command_id))
