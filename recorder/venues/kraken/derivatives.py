"""Kraken's derivatives on the Unified WebSocket: which pushes are theirs, and what those of its own channels say.

The unified socket speaks as that of spot does, and has two of its channels: `executions` and `balances`. A frame does
not say which socket it came from, so what it tells says it: the name of a contract, a UUID as the id of an order, a
wallet that is none of spot. One that tells nothing of these counts as one of spot; its rows would be the same.

- `positions`: positions. A snapshot lists all that are open; a closed one is pushed with the size 0.
- `margin`: no row. It tells margins of wallets, and totals of an account are no balances.
- `ledgers`: no row, as REST lists the entries. Not all of them are about money: some tell the size of a position.

Of these pages only parts were read: names of fields that are not in them are taken from the other channels, and a frame
is kept whatever it says. Source: docs.kraken.com/exchange/api-reference/, pages unified-websocket,
unified-ws/executions, unified-ws/positions, unified-ws/margin, unified-ws/balances, unified-ws/ledgers (of November
2026).
"""

import re
from collections.abc import Sequence

from recorder import model
from recorder.model import CONTROL, DECODED, Decoded, Digits, Listing, PositionUpdate, RefusedCommand, SequenceNumber
from recorder.venues.fields import Fields, digits, inner, names, objects, text, unknown
from recorder.venues.kraken.names import DERIVATIVES, is_contract
from recorder.venues.kraken.objects import SPOT_TYPES, Around, extra_of, time_ms
from recorder.venues.values import negative, unless_zero

POSITIONS, MARGIN, LEDGERS = "positions", "margin", "ledgers"
#: The channels that spot does not have.
OWN = frozenset([POSITIONS, MARGIN, LEDGERS])

#: Before the name of a channel that spot has, too: the topic of its frames that are of derivatives.
_PREFIX = "derivatives-"

#: What the exchange sends instead of positions that do not fit in a message.
TOO_LARGE = "snapshot_too_large"

#: The fields of a position; `symbol` and `side` by the other channels, `instrument` by the socket that this one
#: replaces.
OPEN_POSITION = "symbol size entry_price"
_POSITION_FIELDS = names(OPEN_POSITION, "instrument side")
_DATA_FIELDS = names("futures options time")
_KINDS = ("futures", "options")
_SHORT = frozenset(["short", "sell"])

_is_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE).fullmatch


def topic_of(channel: str, frame: Fields, rows: Sequence[Fields]) -> str:
    """The topic of a push of a channel that spot and derivatives have."""
    is_theirs = frame.get("asset_class") == DERIVATIVES or any(map(_is_of_derivatives, rows))
    return topic(channel) if is_theirs else channel


def topic(channel: str) -> str:
    """The topic of a channel of derivatives that spot has, too."""
    return _PREFIX + channel


def channel_of(name: str) -> str:
    """The channel of a topic."""
    return name.removeprefix(_PREFIX)


def is_order_of_derivatives(order_id: str, symbol: str | None) -> bool:
    """Whether an order is of a contract. Nothing may have told its symbol; ids of spot are no UUIDs."""
    return is_contract(symbol) if symbol else _is_uuid(order_id) is not None


def _is_of_derivatives(row: Fields) -> bool:
    symbol, order_id, asset = (row.get(name) for name in ("symbol", "order_id", "asset"))
    if isinstance(order_id, str):
        return is_order_of_derivatives(order_id, symbol if isinstance(symbol, str) else None)
    if isinstance(asset, str) and is_contract(asset):
        return True
    wallets = row.get("wallets")
    kinds = [one.get("type") for one in wallets if type(one) is dict] if type(wallets) is list else []
    return any(isinstance(kind, str) and kind not in {"", *SPOT_TYPES} for kind in (*kinds, row.get("wallet_type")))


def read(channel: str, frame: Fields, around: Around, sequence: SequenceNumber | None) -> Decoded:
    """Decode a push of a channel that spot does not have.

    Args:
        channel: one of `OWN`.
        frame: the push.
        around: its undocumented fields.
        sequence: its number.

    Raises:
        Undecodable: a position has no symbol, or a number is none.
    """
    if channel != POSITIONS:
        return Decoded(channel, DECODED, sequence=sequence)
    data, is_snapshot = inner(frame, "data"), text(frame, "type") == "snapshot"
    if TOO_LARGE in [*frame.values(), *data.values()]:
        return Decoded(channel, CONTROL, None, (), RefusedCommand(None, None, TOO_LARGE, (channel,)), sequence=sequence)
    more = {**around, **unknown(data, _DATA_FIELDS)}
    rows = [row for kind in _KINDS if data.get(kind) is not None for row in objects(data, kind)]
    at_ms = time_ms(data, "time")
    updates = [_position(row, more, at_ms, is_snapshot=is_snapshot) for row in rows]
    # Only a list that is there is complete.
    is_list = is_snapshot and any(data.get(kind) is not None for kind in _KINDS)
    listings = (Listing(None, 1, model.POSITIONS, channel),) if is_list else ()
    told = tuple(one for one in updates if one is not None)
    if len(told) < len(updates):
        listings = ()  # what it leaves out may be what has no name
    return Decoded(channel, DECODED, None, told, sequence=sequence, listings=listings)


def _position(row: Fields, around: Around, at_ms: int | None, *, is_snapshot: bool) -> PositionUpdate | None:
    """The record of a position; None if nothing says of what it is."""
    symbol = text(row, "symbol") or text(row, "instrument")
    if not symbol:
        return None
    return PositionUpdate(
        event_ms=at_ms,
        is_snapshot=int(is_snapshot),
        is_partial=0,
        market=DERIVATIVES,
        symbol=symbol.upper(),
        quantity=_signed(digits(row, "size"), text(row, "side")),
        entry_price=unless_zero(digits(row, "entry_price")),
        updated_ms=at_ms,
        extra=extra_of(around, row, _POSITION_FIELDS),
    )


def _signed(size: Digits | None, side: str | None) -> Digits | None:
    """The size, negative if short: if a side says so, it is told without a sign."""
    is_short = (side or "").lower() in _SHORT
    return negative(size) if size is not None and is_short and not size.startswith("-") else size
