"""Converts Hyperliquid's objects to records: orders, fills, positions, balances.

Source: hyperliquid.gitbook.io, "WebSocket subscriptions" and "Info endpoint". A function's `around` are the
undocumented fields of the frame around the object; they join the object's own in `extra`.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from recorder.model import (
    MAKER,
    PARTIALLY_FILLED,
    PENDING,
    REJECTED,
    TAKER,
    AccountUpdate,
    FillUpdate,
    OrderUpdate,
    PositionUpdate,
    new,
)
from recorder.venues.fields import (
    Fields,
    as_object,
    digits,
    flag,
    identifier,
    inner,
    names,
    objects,
    required,
    text,
    unknown,
    whole,
)
from recorder.venues.hyperliquid import words
from recorder.venues.values import difference, extra_text, total, unless_zero

Around = Mapping[str, str]

_ORDER = names(
    "coin side limitPx sz origSz oid timestamp cloid reduceOnly orderType tif isTrigger triggerPx triggerCondition ",
    "isPositionTpsl children",
)
_STATED = frozenset({"order", "status", "statusTimestamp"})
_FILL = names(
    "coin side px sz time startPosition dir closedPnl oid tid hash crossed fee feeToken builderFee cloid liquidation ",
    "twapId feeTrialEscrow",
)
_SLICE = frozenset({"fill", "twapId"})
_STATE = names("marginSummary crossMarginSummary crossMaintenanceMarginUsed withdrawable assetPositions time")
_POSITION = names(
    "coin szi leverage entryPx positionValue unrealizedPnl returnOnEquity marginUsed liquidationPx maxLeverage ",
    "cumFunding",
)
_BALANCE = names("coin token total hold entryNtl spotHold ltv borrowed supplied")
_SPOT_STATE = names(
    "balances portfolioMarginEnabled portfolioMarginRatio evmEscrows tokenToAvailableAfterMaintenance ",
    "tokenToPortfolioBorrowRatio tokenToPortfolioSupplyRatio",
)


def extra_of(around: Around, *own: Mapping[str, str]) -> str | None:
    """The column `extra`: undocumented fields around an object and its own."""
    if not around and not any(own):
        return None
    merged = dict(around)
    for fields in own:
        merged |= fields
    return extra_text(merged)


def order_update(
    order: Fields,
    around: Around,
    status: str | None = words.OPEN,
    *,
    is_open_list: bool = False,
    event_ms: int | None = None,
    updated_ms: int | None = None,
    is_snapshot: int = 0,
) -> OrderUpdate:
    """The record of an order.

    Args:
        order: as `orderUpdates` has it, or with the additional fields of `openOrders` and of answers.
        around: undocumented fields of the frame.
        status: the venue's word.
        is_open_list: whether the order stands in a list of open orders, which has no word for the status.
        event_ms: the venue's time of the update.
        updated_ms: since when it has that status.
        is_snapshot: whether it is part of a full state.
    """
    quantity, left = digits(order, "origSz"), digits(order, "sz")
    tif, order_type = text(order, "tif"), text(order, "orderType")
    normal = words.status_of(status)
    filled = None
    # What is left of a rejected order, or of one in an unknown status, says nothing about what was filled.
    if normal is not None and normal != REJECTED and quantity is not None and left is not None:
        filled = difference(quantity, left)
    if status == words.OPEN:
        if flag(order, "isTrigger"):
            normal = PENDING
        elif filled is not None and Decimal(filled) > 0:
            normal = PARTIALLY_FILLED
    return new(
        OrderUpdate,
        (
            event_ms,
            is_snapshot,
            0,
            None,
            text(order, "coin"),
            required(identifier(order, "oid"), "oid"),
            text(order, "cloid"),
            words.SIDES.get(text(order, "side") or ""),
            None,
            words.ORDER_TYPES.get(order_type or ""),
            words.TIMES_IN_FORCE.get(tif or ""),
            None if tif is None else int(tif == words.POST_ONLY),
            flag(order, "reduceOnly"),
            digits(order, "limitPx"),
            unless_zero(digits(order, "triggerPx")),
            quantity,
            None,
            filled,
            None,
            normal,
            None if is_open_list else status,
            None,
            None,
            None,
            whole(order, "timestamp"),
            updated_ms,
            extra_of(around, unknown(order, _ORDER)),
        ),
    )


def stated_order(stated: Fields, around: Around, *, is_push: bool = False, is_snapshot: int = 0) -> OrderUpdate:
    """The record of an order with its status: `{order, status, statusTimestamp}`."""
    since_ms = whole(stated, "statusTimestamp")
    more = unknown(stated, _STATED)
    return order_update(
        as_object(stated.get("order"), "order"),
        {**around, **more} if more else around,
        text(stated, "status"),
        event_ms=since_ms if is_push else None,
        updated_ms=since_ms,
        is_snapshot=is_snapshot,
    )


def fill_update(
    fill: Fields, around: Around, user: str | None, *, is_push: bool = False, is_snapshot: int = 0
) -> FillUpdate:
    """The record of a fill.

    Args:
        fill: as sent.
        around: undocumented fields of the frame.
        user: the account's address, as far as the frame or the request has it.
        is_push: whether it was pushed; an answer has no time of its own.
        is_snapshot: whether it is part of the state sent at subscription.
    """
    at_ms, crossed = whole(fill, "time"), flag(fill, "crossed")
    return new(
        FillUpdate,
        (
            at_ms if is_push else None,
            is_snapshot,
            _trade_id(fill),
            identifier(fill, "oid"),
            text(fill, "cloid"),
            None,
            text(fill, "coin"),
            words.SIDES.get(text(fill, "side") or ""),
            None,
            digits(fill, "px"),
            digits(fill, "sz"),
            digits(fill, "fee"),
            text(fill, "feeToken") or None,
            None if crossed is None else TAKER if crossed else MAKER,
            digits(fill, "closedPnl"),
            _kind_of(fill, user),
            at_ms,
            extra_of(around, unknown(fill, _FILL)),
        ),
    )


def _trade_id(fill: Fields) -> str | None:
    """The id of a fill. Conversions of dust all have 0: theirs is made of what is the same wherever they are told.

    `startPosition` tells apart equal fills of one moment. `dir` is for people, and may be reworded.
    """
    trade_id = identifier(fill, "tid")
    if trade_id not in {None, "0"}:
        return trade_id
    if fill.get("time") is None or fill.get("startPosition") is None:
        return None
    numbers = [digits(fill, name) for name in ("px", "sz", "startPosition")]
    same = [identifier(fill, name) for name in ("time", "coin", "oid", "side", "hash")]
    same += [None if one is None else f"{Decimal(one).normalize():f}" for one in numbers]
    return "0-" + hashlib.blake2b(repr(same).encode(), digest_size=12).hexdigest()


#: Beginnings of `dir` of fills that can close a perpetual position.
_CLOSING = ("Close ", "Liquidated ", "Auto-Deleveraging")


def closed_by(fill: Fields, *, is_push: bool = False) -> list[PositionUpdate]:
    """The position that a fill closed completely, with a quantity of 0; none if it did not.

    The states leave a closed position out, so the fill that closed it is the only frame that says so:
    `startPosition` and `sz` add up to nothing.
    """
    before, quantity, side = digits(fill, "startPosition"), digits(fill, "sz"), text(fill, "side")
    if before is None or quantity is None or not (text(fill, "dir") or "").startswith(_CLOSING):
        return []
    if unless_zero(difference(before, quantity) if side == "A" else total(before, quantity)) is not None:
        return []
    at_ms = whole(fill, "time")
    symbol = required(text(fill, "coin"), "coin")
    return [PositionUpdate(at_ms if is_push else None, 0, 0, None, symbol, quantity="0", updated_ms=at_ms)]


def slice_fill(
    sliced: Fields, around: Around, user: str | None, *, is_push: bool = False, is_snapshot: int = 0
) -> FillUpdate:
    """The record of a fill of a time-weighted order: `{fill, twapId}`."""
    more = unknown(sliced, _SLICE)
    fill = as_object(sliced.get("fill"), "fill")
    around = {**around, **more} if more else around
    return fill_update(fill, around, user, is_push=is_push, is_snapshot=is_snapshot)


def _kind_of(fill: Fields, user: str | None) -> str | None:
    direction = text(fill, "dir")
    liquidation = inner(fill, "liquidation")
    # The other side of a liquidation carries the object, too.
    if (direction or "").startswith("Liquidated") or _is_own(liquidation, user):
        return "liquidation"
    if direction == "Auto-Deleveraging":
        return "adl"
    if direction == "Settlement":
        return "settlement"
    return None if direction is None and liquidation and user is None else "trade"


def _is_own(liquidation: Fields, user: str | None) -> bool:
    return words.is_same_address(text(liquidation, "liquidatedUser"), user)


def margin_state(state: Fields, dex: str, around: Around) -> list[AccountUpdate | PositionUpdate]:
    """The balance and the positions of one perpetual exchange: `clearinghouseState`. Always the whole state."""
    at_ms = whole(state, "time")
    positions = [position_update(one, at_ms, around) for one in objects(state, "assetPositions")]
    summary = inner(state, "marginSummary")
    if not summary and state.get("withdrawable") is None:
        return [*positions]
    pnls = [one.unrealized_pnl for one in positions]
    pnl = None if None in pnls else total(*(one for one in pnls if one is not None))
    equity = digits(summary, "accountValue")
    balance = new(
        AccountUpdate,
        (
            at_ms,
            1,
            0,
            dex,
            words.collateral_of(dex),
            None if equity is None or pnl is None else difference(equity, pnl),
            digits(state, "withdrawable"),
            None,
            digits(summary, "totalMarginUsed"),
            equity,
            pnl,
            at_ms,
            extra_of(around, unknown(state, _STATE)),
        ),
    )
    return [*positions, balance]


def position_update(held: Fields, at_ms: int | None, around: Around) -> PositionUpdate:
    """The record of a position: `{type, position}`."""
    position = as_object(held.get("position"), "position")
    leverage = inner(position, "leverage")
    return new(
        PositionUpdate,
        (
            at_ms,
            1,
            0,
            None,
            required(text(position, "coin"), "coin"),
            None,
            None,
            text(leverage, "type"),
            digits(position, "szi"),
            digits(position, "entryPx"),
            None,
            digits(position, "liquidationPx"),
            digits(leverage, "value"),
            digits(position, "marginUsed"),
            digits(position, "unrealizedPnl"),
            None,
            at_ms,
            extra_of(
                around,
                unknown(held, frozenset({"type", "position"})),
                unknown(position, _POSITION),
                unknown(leverage, frozenset({"type", "value", "rawUsd"}), "leverage."),
            ),
        ),
    )


def spot_state(state: Fields, around: Around) -> list[AccountUpdate]:
    """The balances of the spot wallet: `spotState`. Always all of them, without a time."""
    more = unknown(state, _SPOT_STATE)
    around = {**around, **more} if more else around
    return [_spot_balance(one, around) for one in objects(state, "balances")]


def _spot_balance(balance: Fields, around: Around) -> AccountUpdate:
    owned, held = digits(balance, "total"), digits(balance, "hold")
    return new(
        AccountUpdate,
        (
            None,
            1,
            0,
            words.SPOT,
            required(text(balance, "coin"), "coin"),
            owned,
            None if owned is None or held is None else difference(owned, held),
            held,
            None,
            None,
            None,
            None,
            extra_of(around, unknown(balance, _BALANCE)),
        ),
    )


def listed_orders(orders: Iterable[Fields], around: Around) -> list[OrderUpdate]:
    """The records of a list of open orders. Orders that wait for another one (`children`) have entries of their own."""
    return [order_update(one, around, is_open_list=True, is_snapshot=1) for one in orders]


def oldest_first(stated: Sequence[Fields]) -> list[Fields]:
    """Orders with their statuses, which the venue lists newest first; one order may be among them several times."""
    rows = list(reversed(stated))
    rows.sort(key=lambda one: whole(one, "statusTimestamp") or 0)  # equal ones keep their order
    return rows
