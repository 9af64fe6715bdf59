"""Converts FMex's objects to records: balance, order, position. Source: the page "ws Push portal".

Pushes spell words in capitals (`LONG`, `BTCUSD_P`), REST sometimes in small letters. Records always have them in
capitals; the frame keeps them as sent.

Numbers are `msgspec.Raw`, so that their digits reach the table as sent, without a float or a `Decimal` on the way.
Making a record takes two steps, so that the numbers of many objects can be checked together.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from recorder.model import AccountUpdate, Digits, OrderUpdate, PositionUpdate
from recorder.venues.fmex.orders import Direction, OrderStatus, OrderType
from recorder.venues.fmex.values import MISSING, Int64, all_digits

#: Faster than a named tuple's own constructor, a Python function around this one. Takes the fields as a tuple.
new = tuple.__new__


#: Fields with documented values, as pushes spell them. Any other spelling is read by the careful decoder.
SPELLINGS: dict[str, object] = {
    "direction": Direction,
    "trigger_direction": Direction,
    "type": OrderType,
    "status": OrderStatus,
}


class AccountObject(msgspec.Struct, gc=False):
    """The inner object of topic `account`."""

    currency: str
    available: Raw = MISSING
    frozen: Raw = MISSING
    position: Raw = MISSING
    updated_at: Int64 | None = None


class OrderObject(msgspec.Struct, gc=False):
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


class PositionObject(msgspec.Struct, gc=False):
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


def account_numbers(account: AccountObject) -> tuple[Raw, ...]:
    """The numbers of a balance."""
    return account.available, account.frozen, account.position


def account_record(
    ts: int | None, account: AccountObject, numbers: Sequence[Digits | None], extra: str | None
) -> AccountUpdate:
    """The record of a balance, given the digits of its numbers."""
    available, frozen, position = numbers
    return new(AccountUpdate, (ts, account.currency.upper(), available, frozen, position, account.updated_at, extra))


def order_numbers(order: OrderObject) -> tuple[Raw, ...]:
    """The numbers of an order."""
    return (
        order.quantity,
        order.price,
        order.fill_price,
        order.unfilled_quantity,
        order.fee,
        order.trigger_on,
        order.trailing_base_price,
        order.trailing_distance,
    )


def order_record(
    ts: int | None, order: OrderObject, numbers: Sequence[Digits | None], extra: str | None
) -> OrderUpdate:
    """The record of an order, given the digits of its numbers; fields in `SPELLINGS` are in capitals."""
    quantity, price, fill_price, unfilled_quantity, fee, trigger_on, base_price, distance = numbers
    return new(
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
            order.symbol and order.symbol.upper(),
            order.margin_currency and order.margin_currency.upper(),
            fee,
            order.type,
            order.status,
            order.trigger_direction,
            trigger_on,
            base_price,
            distance,
            order.created_at,
            extra,
        ),
    )


def position_numbers(position: PositionObject) -> tuple[Raw, ...]:
    """The numbers of a position."""
    return (
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


def position_record(
    ts: int | None, position: PositionObject, numbers: Sequence[Digits | None], extra: str | None
) -> PositionUpdate:
    """The record of a position, given the digits of its numbers; fields in `SPELLINGS` are in capitals."""
    quantity, leverage, margin, fee_rate, pnl, entry_price, liquidation_price, bankruptcy_price, margin_rate = numbers
    return new(
        PositionUpdate,
        (
            ts,
            position.symbol.upper(),
            quantity,
            position.direction,
            leverage,
            position.risk_level,
            margin,
            fee_rate,
            pnl,
            entry_price,
            liquidation_price,
            bankruptcy_price,
            margin_rate,
            position.updated_at,
            extra,
        ),
    )


def account_update(ts: int | None, account: AccountObject, extra: str | None = None) -> AccountUpdate:
    """The record of a balance."""
    return account_record(ts, account, all_digits(account_numbers(account)), extra)


def order_update(ts: int | None, order: OrderObject, extra: str | None = None) -> OrderUpdate:
    """The record of an order."""
    _capitalize(order)
    return order_record(ts, order, all_digits(order_numbers(order)), extra)


def position_update(ts: int | None, position: PositionObject, extra: str | None = None) -> PositionUpdate:
    """The record of a position."""
    _capitalize(position)
    return position_record(ts, position, all_digits(position_numbers(position)), extra)


def _capitalize(item: OrderObject | PositionObject) -> None:
    for name in SPELLINGS.keys() & set(item.__struct_fields__):
        word: str | None = getattr(item, name)
        setattr(item, name, word and word.upper())
