"""Decodes what OKX sends over its sockets: exact digits, and unknown fields are kept.

Which channel makes which rows, so that each fact is counted once:

- `orders`: order updates, and the fill that a push tells of.
- `orders-algo`, `algo-advance`: conditional orders, which have ids of their own.
- `positions`, `account`: positions and balances.
- `deposit-info`, `withdrawal-info`: transactions of the funding account; no row of those of a sub-account, which a main
  account is told of, too.
- `balance_and_position` (which says why the two above change), `fills` (which adds up executions),
  `liquidation-warning`, `account-greeks`, spreads: no row. Their frames are kept, and their views show them.

Source: okx.com/docs-v5, "WebSocket".
"""

from collections.abc import Callable, Sequence

from recorder.errors import Undecodable
from recorder.model import (
    CONTROL,
    DECODED,
    Acknowledged,
    Asked,
    Control,
    Decoded,
    Heartbeat,
    LoggedIn,
    Notice,
    RefusedCommand,
    Update,
)
from recorder.venues.fields import Fields, as_object, inner, names, objects, read_json, required, text, unknown, whole
from recorder.venues.okx import ledger
from recorder.venues.okx import objects as records
from recorder.venues.okx.objects import Around
from recorder.venues.reading import printable

#: The only frames that are not JSON: our ping's answer, and the server's own ping.
PONG, PING = b"pong", b"ping"

#: The connection will be closed for an upgrade within a minute.
CLOSING = "64008"

_FRAME = names("arg data eventType curPage lastPage")
_ACCOUNT = names(
    "uTime totalEq adjEq availEq isoEq ordFroz imr mmr mgnRatio borrowFroz notionalUsd notionalUsdForBorrow",
    "notionalUsdForSwap notionalUsdForFutures notionalUsdForOption upl delta deltaLever deltaNeutralStatus details",
)
_SNAPSHOT = "snapshot"


def decode(payload: bytes) -> Decoded:
    """Decode one frame.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.base.read_frame` turns these into a result.
    """
    if payload == PONG:
        return Decoded("pong", DECODED, None, (Heartbeat(None, 0, None),), None)
    if payload == PING:
        return Decoded("ping", CONTROL, None, (), Asked())
    frame = as_object(read_json(payload), "frame")
    if "event" in frame:
        event = required(text(frame, "event"), "event")
        return Decoded(event, CONTROL, None, (), _control(event, frame))
    channel = required(text(inner(frame, "arg"), "channel"), "arg.channel")
    read = _CHANNELS.get(channel)
    if read is None:
        raise Undecodable(f"channel: {channel[:60]!r} is not one we know")
    around, is_snapshot = unknown(frame, _FRAME), int(text(frame, "eventType") == _SNAPSHOT)
    own = inner(frame, "arg").get("uid")
    rows = (row for row in objects(frame, "data") if not _is_of_sub_account(row, own))
    updates = [update for row in rows for update in read(row, around, is_snapshot)]
    return Decoded(channel, DECODED, None, tuple(updates), None)


def decode_plain(payloads: Sequence[bytes], *, decodable: bool = False) -> None:
    """Nothing is gained by decoding several frames together: each is read on its own."""


def _is_of_sub_account(row: Fields, own: object) -> bool:
    """Whether a main account is told of a sub-account's deposit or withdrawal.

    A sub-account is told of its own ones with its name, too: only whose the row is (`uid`) tells the two apart.
    """
    of = row.get("uid")
    return bool(row.get("subAcct") and of and own) and str(of) != str(own)


def _order(row: Fields, around: Around, _is_snapshot: int) -> list[Update]:
    fill = records.pushed_fill(row, around)
    order = records.order_update(row, around, is_push=True)
    return [order] if fill is None else [order, fill]


def _algo(row: Fields, around: Around, is_snapshot: int) -> list[Update]:
    return [records.algo_update(row, around, is_push=True, is_snapshot=is_snapshot)]


def _position(row: Fields, around: Around, is_snapshot: int) -> list[Update]:
    return [records.position_update(row, around, is_snapshot=is_snapshot)]


def balances(row: Fields, around: Around, is_snapshot: int, *, is_push: bool) -> list[Update]:
    """The currencies of an account's row, whose own totals are in USD and in no column."""
    more = unknown(row, _ACCOUNT)
    event_ms = whole(row, "uTime") if is_push else None
    return [
        records.account_update(one, {**around, **more}, event_ms, is_snapshot=is_snapshot)
        for one in objects(row, "details")
    ]


def _account(row: Fields, around: Around, is_snapshot: int) -> list[Update]:
    return balances(row, around, is_snapshot, is_push=True)


def _deposit(row: Fields, around: Around, _is_snapshot: int) -> Sequence[Update]:
    return ledger.deposit(row, around)


def _withdrawal(row: Fields, around: Around, _is_snapshot: int) -> Sequence[Update]:
    return ledger.withdrawal(row, around)


def _nothing(_row: Fields, _around: Around, _is_snapshot: int) -> Sequence[Update]:
    return ()


_CHANNELS: dict[str, Callable[[Fields, Around, int], Sequence[Update]]] = {
    "orders": _order,
    "orders-algo": _algo,
    "algo-advance": _algo,
    "positions": _position,
    "account": _account,
    "deposit-info": _deposit,
    "withdrawal-info": _withdrawal,
    **dict.fromkeys(
        ("balance_and_position", "fills", "liquidation-warning", "account-greeks", "sprd-orders", "sprd-trades"),
        _nothing,
    ),
}


def _control(event: str, frame: Fields) -> Control:
    command_id, code, message = text(frame, "id"), text(frame, "code"), printable(text(frame, "msg") or "")
    channel = text(inner(frame, "arg"), "channel") or text(frame, "channel")
    match event:
        case "login" if code == "0":
            return LoggedIn(command_id)
        case "subscribe":
            return Acknowledged((channel,) if channel else (), command_id)
        case "error" | "login":
            number = int(code) if code and code.isascii() and code.isdigit() and len(code) < 10 else None
            return RefusedCommand(command_id, number, message, (channel,) if channel else ())
        case "channel-conn-count-error":
            # The acknowledgement came before it.
            count = text(frame, "connCount")
            words = f"the account has too many connections ({count}) with this channel"
            return RefusedCommand(command_id, None, words, (channel,) if channel else ())
        case "notice":
            return Notice(message, reconnect=code == CLOSING)
    return Notice(printable(" ".join(filter(None, (event, channel, message)))))
