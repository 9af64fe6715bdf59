"""One frame of FMex's private portal → records. One parse, exact digits, and nothing unknown is dropped.

Numbers are taken as `msgspec.Raw`, so that their digits reach the table as they were sent, with neither a float nor a
`Decimal` on the way. Source of every field: the exchange's page "ws Push portal".
"""

import json
import re
from typing import Annotated, Any

import msgspec
from msgspec import Raw

from recorder.errors import Undecodable
from recorder.model import (
    CONTROL,
    DECODED,
    AccountUpdate,
    Acknowledged,
    Control,
    Decoded,
    Digits,
    Heartbeat,
    Hello,
    OrderUpdate,
    PositionUpdate,
    RefusedCommand,
    Update,
)

#: Identifiers, times and bit sets fit a 64-bit column, or the frame is not decoded.
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

#: A number of more characters than this, or a larger exponent, is nonsense that no database column should meet.
DIGITS_MAX = 100
EXPONENT_MAX = 99

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE]([-+]?\d+))?")
_MISSING = Raw()


class Account(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The inner object of topic `account`."""

    currency: str
    available: Raw = _MISSING
    frozen: Raw = _MISSING
    position: Raw = _MISSING
    updated_at: Int64 | None = None


class Order(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The inner object of topic `order.<symbol>`."""

    id: Int64
    quantity: Raw = _MISSING
    direction: str | None = None
    features: Int64 | None = None
    price: Raw = _MISSING
    fill_price: Raw = _MISSING
    unfilled_quantity: Raw = _MISSING
    symbol: str | None = None
    margin_currency: str | None = None
    fee: Raw = _MISSING
    type: str | None = None
    status: str | None = None
    trigger_direction: str | None = None
    trigger_on: Raw = _MISSING
    trailing_base_price: Raw = _MISSING
    trailing_distance: Raw = _MISSING
    created_at: Int64 | None = None


class Position(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The inner object of topic `position.<symbol>`."""

    symbol: str
    quantity: Raw = _MISSING
    direction: str | None = None
    leverage: Raw = _MISSING
    risk_level: Int64 | None = None
    margin: Raw = _MISSING
    taker_fee_rate: Raw = _MISSING
    realized_pnl: Raw = _MISSING
    entry_price: Raw = _MISSING
    liquidation_price: Raw = _MISSING
    bankruptcy_price: Raw = _MISSING
    minimum_maintenance_margin_rate: Raw = _MISSING
    updated_at: Int64 | None = None


class Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Any frame of the portal: the pushes, and the answers to commands."""

    type: str | None = None
    ts: Int64 | None = None
    account: Account | None = None
    order: Order | None = None
    position: Position | None = None
    id: str | Int64 | None = None
    topics: list[str] | None = None
    gap: Int64 | None = None
    status: Int64 | None = None
    msg: str | None = None


class _OpenAccount(Account, forbid_unknown_fields=False, gc=False):
    pass


class _OpenOrder(Order, forbid_unknown_fields=False, gc=False):
    pass


class _OpenPosition(Position, forbid_unknown_fields=False, gc=False):
    pass


class _OpenMessage(Message, forbid_unknown_fields=False, gc=False):
    account: _OpenAccount | None = None
    order: _OpenOrder | None = None
    position: _OpenPosition | None = None


_INNER: dict[str, type[msgspec.Struct]] = {"account": Account, "order": Order, "position": Position}

_strict = msgspec.json.Decoder(Message).decode
_open = msgspec.json.Decoder(_OpenMessage).decode
_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def decode(payload: bytes) -> Decoded:
    """What one frame says.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.base.read_frame` turns these into a result.
    """
    try:
        message = _strict(payload)
        extra = None
    except msgspec.ValidationError:
        message = _open(payload)  # raises again when it is more than an unknown field
        extra = _unknown_in_message(payload)
    updates = _updates(message, extra)
    if b"\\u0000" in payload:
        _refuse_nul((message.type,), *updates)
    if updates:
        topic = message.type
        if topic is None:
            raise Undecodable("type: missing")
        return Decoded(topic, DECODED, None, updates, None)
    return _answer(message)


def _updates(message: Message, extra: str | None) -> tuple[Update, ...]:
    # A push carries one of the three; should a venue page ever be wrong about that, none of them is dropped.
    if message.order is not None and message.account is None and message.position is None:
        return (order_update(message.ts, message.order, extra),)
    updates: list[Update] = []
    if message.account is not None:
        updates.append(account_update(message.ts, message.account, extra))
    if message.order is not None:
        updates.append(order_update(message.ts, message.order, extra))
    if message.position is not None:
        updates.append(position_update(message.ts, message.position, extra))
    return tuple(updates)


def _answer(message: Message) -> Decoded:
    control: Control
    match message.type:
        case "ping":
            return Decoded("ping", DECODED, None, (Heartbeat(message.ts, message.gap),), None)
        case "hello":
            control = Hello(message.ts)
        case "topics" if message.topics is not None:
            control = Acknowledged(tuple(message.topics))
        case None if message.status is not None:
            command_id = None if message.id is None else str(message.id)
            control = RefusedCommand(command_id, message.status, (message.msg or "").replace("\0", " "))
        case None:
            raise Undecodable("type: missing")
        case unknown:
            raise Undecodable(f"type: {unknown[:60]!r} is not one we know, or its object is missing")
    return Decoded(message.type, CONTROL, None, (), control)


def account_update(ts: int | None, account: Account, extra: str | None) -> AccountUpdate:
    """The record of a balance."""
    return AccountUpdate(
        ts,
        account.currency,
        digits(account.available),
        digits(account.frozen),
        digits(account.position),
        account.updated_at,
        extra,
    )


def order_update(ts: int | None, order: Order, extra: str | None) -> OrderUpdate:
    """The record of an order."""
    return OrderUpdate(
        ts,
        order.id,
        digits(order.quantity),
        order.direction,
        order.features,
        digits(order.price),
        digits(order.fill_price),
        digits(order.unfilled_quantity),
        order.symbol,
        order.margin_currency,
        digits(order.fee),
        order.type,
        order.status,
        order.trigger_direction,
        digits(order.trigger_on),
        digits(order.trailing_base_price),
        digits(order.trailing_distance),
        order.created_at,
        extra,
    )


def position_update(ts: int | None, position: Position, extra: str | None) -> PositionUpdate:
    """The record of a position."""
    return PositionUpdate(
        ts,
        position.symbol,
        digits(position.quantity),
        position.direction,
        digits(position.leverage),
        position.risk_level,
        digits(position.margin),
        digits(position.taker_fee_rate),
        digits(position.realized_pnl),
        digits(position.entry_price),
        digits(position.liquidation_price),
        digits(position.bankruptcy_price),
        digits(position.minimum_maintenance_margin_rate),
        position.updated_at,
        extra,
    )


def digits(raw: Raw) -> Digits | None:
    """The digits of a JSON number as sent; None where the field is missing or null.

    Raises:
        Undecodable: it is no number, or one that no market has.
    """
    text = str(raw, "utf-8")
    # msgspec has checked the grammar, so a first digit or minus says "number"; the rest guards the databases.
    if 0 < len(text) <= DIGITS_MAX and text[0] in "-0123456789" and "e" not in text and "E" not in text:
        return text
    if text in {"", "null"}:
        return None
    number = _NUMBER.fullmatch(text)
    if number is None:
        raise Undecodable(f"{text[:40]} is not a number")
    if len(text) > DIGITS_MAX or abs(int(number[1] or 0)) > EXPONENT_MAX:
        raise Undecodable(f"{text[:40]} is out of range")
    return text


def unknown_fields(payload: bytes | Raw, struct: type[msgspec.Struct], prefix: str = "") -> dict[str, str]:
    """The fields of a JSON object that the page does not know: dotted name → JSON text as sent."""
    known = struct.__struct_encode_fields__
    return {prefix + name: str(raw, "utf-8") for name, raw in _fields(payload).items() if name not in known}


def extra_text(fields: dict[str, str]) -> str | None:
    """The column `extra`: unknown fields as one JSON object, their values as sent."""
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in fields.items()) + "}" if fields else None


def _unknown_in_message(payload: bytes) -> str | None:
    unknown = unknown_fields(payload, Message)
    for name, raw in _fields(payload).items():
        if name in _INNER and bytes(raw)[:1] == b"{":
            unknown |= unknown_fields(raw, _INNER[name], f"{name}.")
    return extra_text(unknown)


def _refuse_nul(*records: tuple[Any, ...]) -> None:
    for values in records:
        if any(isinstance(value, str) and "\0" in value for value in values):
            raise Undecodable("a text holds a NUL character, which SQL text cannot")
