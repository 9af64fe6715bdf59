"""One frame of FMex's private portal → records. One parse, exact digits, and nothing unknown is dropped.

Numbers are taken as `msgspec.Raw`, so that their digits reach the table as they were sent, with neither a float nor a
`Decimal` on the way. Source of every field: the exchange's page "ws Push portal".

A frame that is exactly what the page shows takes the fast way. Every other (a field more or less, an answer, nonsense)
is read again with care, which reads it or says what is wrong with it.
"""

from typing import cast

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
    Heartbeat,
    Hello,
    OrderUpdate,
    PositionUpdate,
    RefusedCommand,
    Update,
)
from recorder.venues.base import printable
from recorder.venues.fmex.values import (
    MISSING,
    Int64,
    all_digits,
    check_values,
    extra_text,
    read_fields,
    refuse_duplicates,
    refuse_nul,
    unknown_fields,
)


class Account(msgspec.Struct, gc=False):
    """The inner object of topic `account`."""

    currency: str
    available: Raw = MISSING
    frozen: Raw = MISSING
    position: Raw = MISSING
    updated_at: Int64 | None = None


class Order(msgspec.Struct, gc=False):
    """The inner object of topic `order.<symbol>`."""

    id: Int64
    quantity: Raw = MISSING
    direction: str | None = None
    features: Int64 | None = None
    price: Raw = MISSING
    fill_price: Raw = MISSING
    unfilled_quantity: Raw = MISSING
    symbol: str | None = None
    margin_currency: str | None = None
    fee: Raw = MISSING
    type: str | None = None
    status: str | None = None
    trigger_direction: str | None = None
    trigger_on: Raw = MISSING
    trailing_base_price: Raw = MISSING
    trailing_distance: Raw = MISSING
    created_at: Int64 | None = None


class Position(msgspec.Struct, gc=False):
    """The inner object of topic `position.<symbol>`."""

    symbol: str
    quantity: Raw = MISSING
    direction: str | None = None
    leverage: Raw = MISSING
    risk_level: Int64 | None = None
    margin: Raw = MISSING
    taker_fee_rate: Raw = MISSING
    realized_pnl: Raw = MISSING
    entry_price: Raw = MISSING
    liquidation_price: Raw = MISSING
    bankruptcy_price: Raw = MISSING
    minimum_maintenance_margin_rate: Raw = MISSING
    updated_at: Int64 | None = None


class Push(msgspec.Struct, gc=False):
    """A pushed frame. The page shows one of the three objects in each."""

    type: str | None = None
    ts: Int64 | None = None
    account: Account | None = None
    order: Order | None = None
    position: Position | None = None


class Answer(msgspec.Struct, gc=False):
    """What the portal says on connect and to commands."""

    type: str | None = None
    ts: Int64 | None = None
    id: str | Int64 | None = None
    topics: list[str] | None = None
    gap: Int64 | None = None
    status: Int64 | None = None
    msg: str | None = None


_INNER: dict[str, type[msgspec.Struct]] = {"account": Account, "order": Order, "position": Position}


def _whole(struct: type[msgspec.Struct]) -> type[msgspec.Struct]:
    fields = [(field.name, field.type) for field in msgspec.structs.fields(struct)]
    return msgspec.defstruct(f"Whole{struct.__name__}", fields, forbid_unknown_fields=True, gc=False)


#: As `Push`, with every field of the page there and none that is not on it.
_WholePush = msgspec.defstruct(
    "WholePush",
    [("type", str), ("ts", Int64), *((name, _whole(struct) | None, None) for name, struct in _INNER.items())],
    forbid_unknown_fields=True,
    gc=False,
)

#: So many colons are in a whole push without one in a text: `type`, `ts`, the object's name, its fields. A key that
#: comes twice would bring one more, so this is how a duplicate is ruled out at no cost.
_ACCOUNT_COLONS, _ORDER_COLONS, _POSITION_COLONS = (3 + len(inner.__struct_fields__) for inner in _INNER.values())
#: Without one, no text can hold a NUL.
_BACKSLASH = ord("\\")

#: A named tuple's own constructor is a function of Python's around this one, which takes the fields as a tuple.
_new = tuple.__new__

_read_whole = cast("msgspec.json.Decoder[Push]", msgspec.json.Decoder(_WholePush)).decode
_read_push = msgspec.json.Decoder(Push).decode
_read_answer = msgspec.json.Decoder(Answer).decode


def decode(payload: bytes) -> Decoded:
    """What one frame says.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it cannot be read.
            `recorder.venues.base.read_frame` turns these into a result.
    """
    try:
        push = _read_whole(payload)
        update: Update
        if _BACKSLASH not in payload:
            colons = payload.count(b":")
            if push.order is not None and colons == _ORDER_COLONS:
                update = order_update(push.ts, push.order, None)
                return _new(Decoded, (push.type, DECODED, None, (update,), None))
            if push.account is not None and colons == _ACCOUNT_COLONS:
                update = account_update(push.ts, push.account, None)
                return _new(Decoded, (push.type, DECODED, None, (update,), None))
            if push.position is not None and colons == _POSITION_COLONS:
                update = position_update(push.ts, push.position, None)
                return _new(Decoded, (push.type, DECODED, None, (update,), None))
    except (msgspec.ValidationError, Undecodable):
        pass
    return _decode_with_care(payload)


def _decode_with_care(payload: bytes) -> Decoded:
    push = _read_push(payload)
    str(payload, "utf-8")  # msgspec passes over the texts that no field takes
    fields = read_fields(payload)
    inner = {name: read_fields(fields[name]) for name in _INNER if getattr(push, name) is not None}
    if payload.count(b":") != len(fields) + sum(map(len, inner.values())):
        refuse_duplicates(payload)
    if not inner:
        return _answer(_read_answer(payload))
    if push.type is None:
        raise Undecodable("type: missing")
    unknown = unknown_fields(fields, Push)
    for name, its_fields in inner.items():
        unknown |= unknown_fields(its_fields, _INNER[name], f"{name}.")
        check_values(getattr(push, name), f"{name}.")
    refuse_nul("type", push.type)
    return Decoded(push.type, DECODED, None, _updates(push, extra_text(unknown)), None)


def _updates(push: Push, extra: str | None) -> tuple[Update, ...]:
    # A push carries one of the three; should a venue page ever be wrong about that, none of them is dropped.
    if push.order is not None and push.account is None and push.position is None:
        return (order_update(push.ts, push.order, extra),)
    updates: list[Update] = []
    if push.account is not None:
        updates.append(account_update(push.ts, push.account, extra))
    if push.order is not None:
        updates.append(order_update(push.ts, push.order, extra))
    if push.position is not None:
        updates.append(position_update(push.ts, push.position, extra))
    return tuple(updates)


def _answer(answer: Answer) -> Decoded:
    control: Control
    match answer.type:
        case "ping":
            return Decoded("ping", DECODED, None, (Heartbeat(answer.ts, answer.gap),), None)
        case "hello":
            control = Hello(answer.ts)
        case "topics" if answer.topics is not None:
            control = Acknowledged(tuple(answer.topics))
        case None if answer.status:  # 0 is no refusal anywhere on the exchange's pages
            command_id = None if answer.id is None else str(answer.id)
            control = RefusedCommand(command_id, answer.status, printable(answer.msg or ""))
        case None:
            raise Undecodable("type: missing")
        case unknown:
            raise Undecodable(f"type: {unknown[:60]!r} is not one we know, or its object is missing")
    return Decoded(answer.type, CONTROL, None, (), control)


def account_update(ts: int | None, account: Account, extra: str | None) -> AccountUpdate:
    """The record of a balance."""
    available, frozen, position = all_digits((account.available, account.frozen, account.position))
    return _new(AccountUpdate, (ts, account.currency, available, frozen, position, account.updated_at, extra))


def order_update(ts: int | None, order: Order, extra: str | None) -> OrderUpdate:
    """The record of an order."""
    quantity, price, fill_price, unfilled_quantity, fee, trigger_on, trailing_base_price, trailing_distance = (
        all_digits(
            (
                order.quantity,
                order.price,
                order.fill_price,
                order.unfilled_quantity,
                order.fee,
                order.trigger_on,
                order.trailing_base_price,
                order.trailing_distance,
            )
        )
    )
    return _new(
        OrderUpdate,
        (
            ts,
            order.id,
            quantity,
            order.direction,
            order.features,
            price,
            fill_price,
            unfilled_quantity,
            order.symbol,
            order.margin_currency,
            fee,
            order.type,
            order.status,
            order.trigger_direction,
            trigger_on,
            trailing_base_price,
            trailing_distance,
            order.created_at,
            extra,
        ),
    )


def position_update(ts: int | None, position: Position, extra: str | None) -> PositionUpdate:
    """The record of a position."""
    quantity, leverage, margin, taker_fee_rate, realized_pnl, entry_price, liquidation_price, bankruptcy_price, rate = (
        all_digits(
            (
                position.quantity,
                position.leverage,
                position.margin,
                position.taker_fee_rate,
                position.realized_pnl,
                position.entry_price,
                position.liquidation_price,
                position.bankruptcy_price,
                position.minimum_maintenance_margin_rate,
            )
        )
    )
    return _new(
        PositionUpdate,
        (
            ts,
            position.symbol,
            quantity,
            position.direction,
            leverage,
            position.risk_level,
            margin,
            taker_fee_rate,
            realized_pnl,
            entry_price,
            liquidation_price,
            bankruptcy_price,
            rate,
            position.updated_at,
            extra,
        ),
    )
