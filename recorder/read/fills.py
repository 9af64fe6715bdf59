"""Fills, from the executions that the exchange reported and from successive updates of an order. Pure."""

import heapq
from collections.abc import Iterable, Iterator
from decimal import Context, Decimal
from typing import NamedTuple

from recorder.clock import NS_PER_MS
from recorder.model import FOK, IOC, MAKER, MARKET, TAKER, UNKNOWN
from recorder.read.records import Fill, Order

DERIVED = "derived"
VENUE = "venue"

#: The decoder takes numbers of 100 characters and exponents of 99 at most: a sum of two has fewer digits than this.
_EXACT = Context(prec=500)
#: Estimated prices have this many digits.
_ESTIMATE = Context(prec=12)
_ZERO = Decimal(0)


class _OrderProgress(NamedTuple):
    """How far an order had filled."""

    filled: Decimal
    average: Decimal | None
    fee: Decimal
    created_ms: int | None = None


_NOTHING = _OrderProgress(_ZERO, None, _ZERO)

#: Account and order id; with its time of creation if an earlier order has the same id.
_Key = tuple[str, str | None] | tuple[str, str | None, int | None]


def is_another(created_ms: int | None, known_ms: int | None) -> bool:
    """Whether two updates with the same order id are of different orders, by the orders' creation times.

    Args:
        created_ms: of the one, ms since 1970.
        known_ms: of the other.
    """
    return created_ms is not None and known_ms is not None and created_ms != known_ms


def liquidity(order: Order) -> str:
    """Whether an order can only be filled as `maker`, or only as `taker`; otherwise `unknown`."""
    if order.post_only:
        return MAKER
    return TAKER if order.order_type == MARKET or order.time_in_force in {IOC, FOK} else UNKNOWN


def fills(updates: Iterable[Order], matched: Iterable[Fill] = ()) -> Iterator[Fill]:
    """The fills that the exchange's executions and the order updates show, each once.

    If the exchange reported an order's executions, those are its fills, exact in every field; only what the updates
    show beyond them is derived.

    Quantity and fee of a step are exact differences: their sums are those of the order's last update. The price of an
    order's first step is its average so far, and certain. The price of a later step is what moves one average to the
    next *if the average is arithmetic*, which the exchange does not document: it is marked as an estimate.

    An update with a smaller filled quantity than an earlier one is late and makes no step. A fee that changes without a
    fill is a step of quantity zero. Updates with the same id and another `created_ms` are of another order: a venue, or
    a simulation that was restarted, may reuse an id.

    Args:
        updates: in the order of receipt, of any accounts; all updates of an order, or its sums are wrong. One small
            tuple is held in memory for each order that filled.
        matched: the executions in the newest answer about each order, in the order of receipt; held in memory.
    """
    exact = list(matched)
    return heapq.merge(exact, _derived(updates, _matched(exact)), key=_receipt)


def at_ms(update: Order) -> int:
    """When the state in an update began, ms since 1970: by the venue, or else the time of receipt."""
    if update.updated_ms is not None:
        return update.updated_ms
    return update.received_ns // NS_PER_MS if update.event_ms is None else update.event_ms


def _receipt(fill: Fill) -> tuple[int, int, int, int]:
    return fill.received_ns, fill.session_id, fill.seq, fill.item


def _matched(exact: Iterable[Fill]) -> dict[_Key, _OrderProgress]:
    """How far the reported executions of each order go."""
    seen: dict[_Key, _OrderProgress] = {}
    for fill in exact:
        key = fill.account, fill.order_id
        before = seen.get(key, _NOTHING)
        filled = _EXACT.add(before.filled, fill.quantity)
        average = before.average
        if fill.price is None or (before.filled and average is None):
            average = None
        elif filled:
            worth = _EXACT.multiply(before.filled, average or _ZERO)
            average = _EXACT.divide(_EXACT.add(worth, _EXACT.multiply(fill.quantity, fill.price)), filled)
        seen[key] = _OrderProgress(filled, average, _EXACT.add(before.fee, fill.fee or _ZERO))
    return seen


def _derived(updates: Iterable[Order], seen: dict[_Key, _OrderProgress]) -> Iterator[Fill]:
    for update in updates:
        filled = update.filled_quantity
        if filled is None:
            continue
        key: _Key = update.account, update.order_id
        before = seen.get(key, _NOTHING)
        if is_another(update.created_ms, before.created_ms):
            key = update.account, update.order_id, update.created_ms
            before = seen.get(key, _NOTHING)
        fee = before.fee if update.fee is None else update.fee
        if filled > before.filled or (filled == before.filled > 0 and fee != before.fee):
            created_ms = before.created_ms if update.created_ms is None else update.created_ms
            seen[key] = _OrderProgress(filled, update.average_price, fee, created_ms)
            yield _step(update, before, filled, fee)


def _step(update: Order, before: _OrderProgress, filled: Decimal, fee: Decimal) -> Fill:
    first = before.filled == 0
    return Fill(
        account=update.account,
        received_ns=update.received_ns,
        event_ms=update.event_ms,
        trade_id=None,
        order_id=update.order_id,
        client_order_id=update.client_order_id,
        market=update.market,
        symbol=update.symbol,
        side=update.side,
        position_side=update.position_side,
        order_type=update.order_type,
        price=update.average_price if first else _price_between(before, filled, update.average_price),
        quantity=_EXACT.subtract(filled, before.filled),
        fee=None if update.fee is None else _EXACT.subtract(fee, before.fee),
        fee_currency=update.fee_currency,
        realized_pnl=None,
        kind=None,
        executed_ms=None,
        price_is_estimate=not first,
        origin=DERIVED,
        session_id=update.session_id,
        seq=update.seq,
        item=update.item,
        liquidity=liquidity(update),
        at_ms=at_ms(update),
    )


def _price_between(before: _OrderProgress, filled: Decimal, average: Decimal | None) -> Decimal | None:
    """The price that moves one arithmetic average to the next."""
    quantity = _EXACT.subtract(filled, before.filled)
    if average is None or before.average is None or quantity == 0:
        return None
    moved = _EXACT.subtract(_EXACT.multiply(filled, average), _EXACT.multiply(before.filled, before.average))
    return _ESTIMATE.divide(moved, quantity)
