"""A long past of a simulated account, made up instead of traded: its moments, and what an exchange remembers of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count, cycle
from typing import Literal

from msgspec.structs import replace

from recorder.model import CANCELED, FILLED, NEW
from recorder.simulator import contract
from recorder.venues.simulated import (
    NONE,
    Event,
    Funds,
    Moment,
    Side,
    SimulatedFill,
    SimulatedOrder,
    SimulatedTransaction,
    Terms,
)

DAY_MS = 86_400_000
FUNDING_MS = 8 * 3_600_000
#: How long orders are open, one after the other, milliseconds: they end in another order than they were made in.
OPEN_MS = (0, 40, 2_000, 0, 1_800_000, 15, 18_000_000)
#: Of so many orders one is cancelled without a fill, is filled in two steps, or has a trigger.
CANCELLED_OF, TWICE_OF, TRIGGERED_OF = 20, 13, 40
#: Orders are cancelled only in this share of the past: longer ago than an exchange that forgets them remembers.
CANCELLED_SHARE = 0.2
FIRST_ORDER, FIRST_TRADE, FIRST_TRANSACTION = 849_758_102_002, 1_000, 10_000


@dataclass(frozen=True, kw_only=True)
class _Deal:
    """What is dealt again and again: made once, so that a long past takes little memory."""

    terms: Terms
    side: Side
    price: Decimal
    quantity: Decimal
    value: Decimal
    fee: Decimal
    fee_currency: str
    rate: Decimal
    is_taker: bool


class Past:
    """What an account did: `orders` orders, evenly spread, each filled at once or in two steps, or cancelled.

    Args:
        terms: of its instruments.
        funds: what it was given.
        begin_ms: of its first order, milliseconds since 1970.
        end_ms: after its last one.
        orders: how many.
        silent_ms: stretches without anything: around the instant before which an exchange has forgotten everything.

    Attributes:
        fills: all of them, oldest first.
        cancelled: the orders that were cancelled without a fill.
        triggered: the orders that have a trigger.
        entries: of the ledger: of fills, and payments of funding.
    """

    def __init__(
        self,
        terms: Sequence[Terms],
        funds: Iterable[Funds],
        *,
        begin_ms: int,
        end_ms: int,
        orders: int,
        silent_ms: tuple[int, int] = (0, 0),
    ) -> None:
        self.fills: list[SimulatedFill] = []
        self.cancelled: list[SimulatedOrder] = []
        self.triggered: list[SimulatedOrder] = []
        self.entries: list[SimulatedTransaction] = []
        self._terms = terms
        self._balances = {(one.wallet, one.currency): one.first for one in funds}
        self._begin_ms, self._end_ms, self._orders = begin_ms, end_ms, orders
        self._silent_ms = silent_ms
        self._trades = count(FIRST_TRADE, 3)
        self._entries = count(FIRST_TRANSACTION, 2)

    def moments(self) -> Iterator[Moment]:
        """What happened, oldest first."""
        deals = cycle(_deals(self._terms))
        whole_ms = self._end_ms - max(OPEN_MS) - 1 - self._begin_ms
        #: What is still to happen: when, and which order.
        open_orders: list[tuple[int, int, SimulatedOrder, _Deal]] = []
        funding_ms = self._begin_ms
        for number in range(self._orders):
            at_ms = self._begin_ms + whole_ms * number // self._orders
            yield from self._ended(open_orders, at_ms)
            if at_ms >= funding_ms and not self._is_silent(at_ms):
                yield from self._funded(at_ms)
                funding_ms = at_ms + FUNDING_MS
            if self._is_silent(at_ms):
                continue
            deal = next(deals)
            order = self._order(number, deal, at_ms)
            if order.trigger_price:
                self.triggered.append(order)
            yield [order]
            heappush(open_orders, (at_ms + OPEN_MS[number % len(OPEN_MS)], number, order, deal))
        yield from self._ended(open_orders, self._end_ms)

    def _is_silent(self, at_ms: int) -> bool:
        begin_ms, end_ms = self._silent_ms
        return begin_ms <= at_ms < end_ms

    def _order(self, number: int, deal: _Deal, at_ms: int) -> SimulatedOrder:
        has_trigger = number % TRIGGERED_OF == 0
        return SimulatedOrder(
            id=FIRST_ORDER + 7 * number,
            client_order_id=f"bot-{number}" if number % 3 else None,
            terms=deal.terms,
            side=deal.side,
            position_side="long" if deal.terms.hedged else None,
            type="limit",
            time_in_force="gtc",
            price=deal.price,
            quantity=deal.quantity,
            status=NEW,
            fee=NONE,
            fee_currency=deal.fee_currency,
            trigger_price=deal.price if has_trigger else NONE,
            is_triggered=has_trigger,
            created_ms=at_ms,
            updated_ms=at_ms,
            locked=NONE,
        )

    def _ended(self, waiting: list[tuple[int, int, SimulatedOrder, _Deal]], until_ms: int) -> Iterator[Moment]:
        """The ends of orders before this time."""
        while waiting and waiting[0][0] <= until_ms:
            at_ms, number, order, deal = heappop(waiting)
            share = (at_ms - self._begin_ms) / (self._end_ms - self._begin_ms)
            if number % CANCELLED_OF == 7 and share < CANCELLED_SHARE:
                self.cancelled.append(order)
                yield [replace(order, status=CANCELED, reason="user", updated_ms=at_ms)]
                continue
            steps = 2 if number % TWICE_OF == 0 else 1
            fills = tuple(self._fill(order, deal, at_ms, steps) for _ in range(steps))
            self.fills += fills
            ended = replace(
                order,
                status=FILLED,
                filled_quantity=deal.quantity * steps,
                quantity=deal.quantity * steps,
                average_price=deal.price,
                fee=deal.fee * steps,
                notional=deal.price * deal.quantity * steps,
                fills=fills,
                updated_ms=at_ms,
            )
            entries = [entry for fill in fills for entry in self._posted(fill, deal)]
            yield [*fills, ended, *entries]

    def _fill(self, order: SimulatedOrder, deal: _Deal, at_ms: int, steps: int) -> SimulatedFill:
        return SimulatedFill(
            trade_id=next(self._trades),
            order_id=order.id,
            client_order_id=order.client_order_id,
            terms=deal.terms,
            side=deal.side,
            position_side=order.position_side,
            price=deal.price,
            quantity=deal.quantity,
            value=deal.value,
            fee=deal.fee,
            fee_currency=deal.fee_currency,
            fee_rate=deal.rate,
            is_taker=deal.is_taker,
            closed_quantity=NONE,
            realized_pnl=NONE,
            position_before=NONE,
            kind="trade",
            executed_ms=at_ms,
        )

    def _posted(self, fill: SimulatedFill, deal: _Deal) -> Iterator[Event]:
        """The entries of the ledger for a fill."""
        terms, sign = fill.terms, 1 if fill.side == "buy" else -1
        if terms.kind != "spot":
            yield self._entry("trade", terms.settle, -fill.fee, fill.executed_ms, fill=fill, fee=fill.fee)
            return
        for currency, amount in ((terms.base, fill.quantity * sign), (terms.quote, -fill.value * sign)):
            fee = fill.fee if currency == fill.fee_currency else NONE
            yield self._entry("trade", currency, amount - fee, fill.executed_ms, fill=fill, fee=fee)

    def _funded(self, at_ms: int) -> Iterator[Moment]:
        """A payment of funding for each contract."""
        for terms in self._terms:
            if terms.kind != "spot":
                yield [self._entry("funding", terms.settle, -terms.unit * 1_234, at_ms, terms=terms)]

    def _entry(
        self,
        kind: Literal["trade", "funding"],
        currency: str,
        amount: Decimal,
        at_ms: int,
        *,
        fill: SimulatedFill | None = None,
        terms: Terms | None = None,
        fee: Decimal = NONE,
    ) -> SimulatedTransaction:
        of = fill.terms if fill is not None else terms
        assert of is not None
        purse = of.wallet, currency
        self._balances[purse] += amount
        entry = SimulatedTransaction(
            id=next(self._entries),
            type=kind,
            wallet=of.wallet,
            currency=currency,
            amount=amount,
            fee=fee,
            balance_after=self._balances[purse],
            terms=of,
            order_id=None if fill is None else fill.order_id,
            trade_id=None if fill is None else fill.trade_id,
            side="buy" if fill is None else fill.side,
            position_side="long" if of.hedged else None,
            quantity=of.quantity_step if fill is None else fill.quantity,
            price=of.first_price if fill is None else fill.price,
            rate=Decimal("0.0001") if fill is None else NONE,
            occurred_ms=at_ms,
        )
        self.entries.append(entry)
        return entry


def _deals(instruments: Sequence[Terms]) -> list[_Deal]:
    """Deals of each instrument at some prices, in turn."""
    return [_deal(terms, number) for number in range(50) for terms in instruments]


def _deal(terms: Terms, number: int) -> _Deal:
    price = terms.first_price + terms.price_tick * (number * 7 % 97)
    quantity = terms.quantity_step * (1 + number % 9)
    is_taker = number % 3 == 0
    rate = terms.taker_rate if is_taker else terms.maker_rate
    worth = contract.value(terms, quantity, price)
    side: Side = "buy" if number % 2 else "sell"
    in_received = terms.fee_in_received and side == "buy"
    fee = contract.EXACT.multiply(quantity if in_received else worth, rate)
    return _Deal(
        terms=terms,
        side=side,
        price=price,
        quantity=quantity,
        value=worth,
        fee=contract.EXACT.quantize(fee, terms.base_unit if in_received else terms.unit),
        fee_currency=terms.base if in_received else terms.settle,
        rate=rate,
        is_taker=is_taker,
    )
