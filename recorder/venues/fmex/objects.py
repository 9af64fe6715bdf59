"""Converts FMex's objects to records: balance, order, position. Source: the page "ws Push portal".

Pushes spell words in capitals (`LONG`, `BTCUSD_P`), REST sometimes in small letters. Symbols and currencies always
reach a record in capitals, sides and statuses in the words of all venues; the frame keeps them as sent.

Numbers are `msgspec.Raw`, so that their digits reach the table as sent, without a float or a `Decimal` on the way.
Making a record takes two steps, so that the numbers of many objects can be checked together.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from recorder.model import AccountUpdate, Digits, OrderUpdate, PositionUpdate, new
from recorder.venues.fmex.orders import (
    ORDER_TYPES,
    SHORT_SIDE,
    SIDES,
    STATUSES,
    Direction,
    OrderStatus,
    OrderType,
    post_only,
    time_in_force,
)
from recorder.venues.values import MISSING, Int64, all_digits, difference, negative, total, unless_zero

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
    ts: int | None,
    account: AccountObject,
    numbers: Sequence[Digits | None],
    extra: str | None,
    *,
    is_snapshot: int = 0,
) -> AccountUpdate:
    """The record of a balance, given the digits of its numbers. What is owned is the sum of the three."""
    available, frozen, position = numbers
    balance = None if available is None or frozen is None or position is None else total(available, frozen, position)
    return new(
        AccountUpdate,
        (
            ts,
            is_snapshot,
            0,
            None,
            account.currency.upper(),
            balance,
            available,
            frozen,
            position,
            None,
            None,
            account.updated_at,
            extra,
        ),
    )


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
    ts: int | None,
    order: OrderObject,
    numbers: Sequence[Digits | None],
    extra: str | None,
    updated_ms: int | None = None,
    *,
    is_snapshot: int = 0,
) -> OrderUpdate:
    """The record of an order, given the digits of its numbers; fields in `SPELLINGS` are in capitals."""
    quantity, price, fill_price, unfilled, fee, trigger_on, _, _ = numbers
    status, features = order.status, order.features
    return new(
        OrderUpdate,
        (
            ts,
            is_snapshot,
            0,
            None,
            order.symbol and order.symbol.upper(),
            str(order.id),
            None,
            SIDES.get(order.direction),
            None,
            ORDER_TYPES.get(order.type),
            time_in_force(features),
            post_only(features),
            None,
            price,
            unless_zero(trigger_on),
            quantity,
            None,
            None if quantity is None or unfilled is None else difference(quantity, unfilled),
            fill_price,
            STATUSES.get(status),
            status,
            None,
            fee,
            order.margin_currency and order.margin_currency.upper(),
            order.created_at,
            updated_ms,
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
    ts: int | None,
    position: PositionObject,
    numbers: Sequence[Digits | None],
    extra: str | None,
    *,
    is_snapshot: int = 0,
) -> PositionUpdate:
    """The record of a position, given the digits of its numbers; fields in `SPELLINGS` are in capitals."""
    quantity, leverage, margin, _, pnl, entry_price, liquidation_price, _, _ = numbers
    if position.direction == SHORT_SIDE and quantity is not None:
        quantity = negative(quantity)
    return new(
        PositionUpdate,
        (
            ts,
            is_snapshot,
            0,
            None,
            position.symbol.upper(),
            None,
            None,
            None,
            quantity,
            entry_price,
            None,
            liquidation_price,
            leverage,
            margin,
            None,
            pnl,
            position.updated_at,
            extra,
        ),
    )


def account_update(
    ts: int | None, account: AccountObject, extra: str | None = None, *, is_snapshot: int = 0
) -> AccountUpdate:
    """The record of a balance."""
    return account_record(ts, account, all_digits(account_numbers(account)), extra, is_snapshot=is_snapshot)


def order_update(
    ts: int | None,
    order: OrderObject,
    extra: str | None = None,
    updated_ms: int | None = None,
    *,
    is_snapshot: int = 0,
) -> OrderUpdate:
    """The record of an order."""
    venue_status = order.status
    _capitalize(order)
    update = order_record(ts, order, all_digits(order_numbers(order)), extra, updated_ms, is_snapshot=is_snapshot)
    return update if update.venue_status == venue_status else update._replace(venue_status=venue_status)


def position_update(
    ts: int | None, position: PositionObject, extra: str | None = None, *, is_snapshot: int = 0
) -> PositionUpdate:
    """The record of a position."""
    _capitalize(position)
    numbers = all_digits(position_numbers(position))
    return position_record(ts, position, numbers, extra, is_snapshot=is_snapshot)


def _capitalize(item: OrderObject | PositionObject) -> None:
    for name in SPELLINGS.keys() & set(item.__struct_fields__):
        word: str | None = getattr(item, name)
        setattr(item, name, word and word.upper())
