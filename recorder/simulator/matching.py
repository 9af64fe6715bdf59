"""The matching engine for one account: takes orders, fills them from the market, triggers stops, liquidates.

It records every change in the order in which the exchange pushes them: order, position, balance.
"""

from decimal import Decimal

from msgspec.structs import replace

from recorder.simulator import contract
from recorder.simulator.account import Change, OrderMatch, OrderRequest, SimulatedOrder, SimulatedTransfer
from recorder.simulator.books import AccountBooks
from recorder.simulator.contract import MAKER_FEE_RATE, TAKER_FEE_RATE, ZERO, opposite
from recorder.simulator.market import TICKS, Market, asked, traded
from recorder.venues.fmex.orders import (
    FILL_OR_KILL,
    IMMEDIATE_OR_CANCEL,
    LIQUIDATION,
    OPEN,
    POST_ONLY,
    Direction,
    OrderStatus,
)

#: The first order's id under a virtual clock; ids only grow.
FIRST_ID = 849_758_102_002

#: Ids a millisecond under the real clock: more than an account ever places, and an id stays exact in a double.
IDS_PER_MS = 1_000

_CANCELLED: dict[OrderStatus, OrderStatus] = {
    "PENDING": "FULLY_CANCELLED",
    "PARTIAL_FILLED": "PARTIAL_CANCELLED",
    "STOP_PENDING": "STOP_CANCELLED",
}


class MatchingEngine:
    """Matches one account's orders against the markets. `changes` collects what happened; the caller empties it.

    Args:
        books: the account's.
        markets: by symbol.
        live: number orders by the time they are placed, so that a restarted simulator never reuses an id.
    """

    def __init__(self, books: AccountBooks, markets: dict[str, Market], *, live: bool = False) -> None:
        self.books = books
        self.markets = markets
        self.open: dict[int, SimulatedOrder] = {}
        self.changes: list[Change] = []
        #: All transfers so far.
        self.transfers: list[SimulatedTransfer] = []
        #: Milliseconds since 1970; the caller sets it before each step.
        self.now_ms = 0
        self._live = live
        self._next_id = FIRST_ID

    # The trader's actions.

    def place(self, ticket: OrderRequest) -> None:
        """Place an order. One that the account cannot afford is ignored and never becomes an order."""
        stop = ticket.trigger_on > 0
        if not stop and not self.books.affords(
            self._need(ticket.symbol, ticket.direction, ticket.price, ticket.quantity)
        ):
            return
        order = self._new(ticket, "STOP_PENDING" if stop else "PENDING")
        if stop:
            self._keep(order)
        else:
            self._activate(order, ticket.price)

    def cancel(self, order_id: int) -> None:
        """Cancel an open order and release its margin."""
        order = self.open[order_id]
        self._close(order, _CANCELLED[order.status])

    def transfer(self, amount: Decimal) -> None:
        """Deposit an amount; withdraw it if negative."""
        self.books.transfer(amount)
        self.transfers.append(SimulatedTransfer(amount=amount, made_at=self.now_ms))
        self._note_balance()

    # Reactions to the market.

    def react(self, symbol: str) -> None:
        """React to a price move.

        Resting orders come first, because the price moved through them; then liquidation, before a stop could close
        the position at a loss greater than its margin; stops last.
        """
        market = self.markets[symbol]
        for order in [order for order in self.open.values() if order.symbol == symbol]:
            if order.status != "STOP_PENDING":
                self._fill_resting(order, market)
        if self._is_lost(symbol, market):
            self._liquidate(symbol)
        for order in [order for order in self.open.values() if order.symbol == symbol]:
            if order.status == "STOP_PENDING":
                self._watch_stop(order, market)

    def _fill_resting(self, order: SimulatedOrder, market: Market) -> None:
        """Fill a resting order at its own price: fully if the price moved through it, partly if it only touched it."""
        price = int(order.price * TICKS)
        through = market.bid < price if order.direction == "LONG" else market.ask > price
        touched = market.bid == price if order.direction == "LONG" else market.ask == price
        if through or touched:
            size = min(order.unfilled_quantity, max(market.depth(), 1))
            order = self._execute(order, size, traded(price), MAKER_FEE_RATE)
            if through and order.unfilled_quantity:
                self._execute(order, order.unfilled_quantity, traded(price), MAKER_FEE_RATE)

    def _is_lost(self, symbol: str, market: Market) -> bool:
        position = self.books.positions[symbol]
        if position.quantity == 0 or position.liquidation_price == 0:
            return False
        last = traded(market.bid)
        if position.direction == "LONG":
            return last <= position.liquidation_price
        return last >= position.liquidation_price

    def _liquidate(self, symbol: str) -> None:
        """Cancel the symbol's orders, then take over the position at its bankruptcy price, in two parts."""
        for order in [order for order in self.open.values() if order.symbol == symbol]:
            self.cancel(order.id)
        position = self.books.positions[symbol]
        price = max(1, int(position.bankruptcy_price * TICKS))
        order = self._new(
            OrderRequest(
                symbol=symbol,
                direction=opposite(position.direction),
                quantity=position.quantity,
                type="LIMIT",
                price=price,
                features=LIQUIDATION,
            ),
            "PENDING",
        )
        self._keep(order)
        first = (position.quantity + 1) // 2
        for size in (first, position.quantity - first):
            if size:
                fee = self.books.liquidate(symbol, size, traded(price), TAKER_FEE_RATE, self.now_ms)
                order = self._matched(order, size, traded(price), fee, taker=True)

    def _watch_stop(self, order: SimulatedOrder, market: Market) -> None:
        """Move a trailing stop, or trigger a stop."""
        rising = order.trigger_direction == "LONG"
        last = traded(market.bid)
        if order.trailing_distance:
            base = min(order.trailing_base_price, last) if rising else max(order.trailing_base_price, last)
            if base != order.trailing_base_price:
                trigger = base + order.trailing_distance if rising else base - order.trailing_distance
                self._keep(
                    replace(
                        order,
                        trailing_base_price=asked(int(base * TICKS)),
                        trigger_on=asked(int(trigger * TICKS)),
                        updated_at=self.now_ms,
                    )
                )
                return
        if last >= order.trigger_on if rising else last <= order.trigger_on:
            self._trigger(order, market)

    def _trigger(self, order: SimulatedOrder, market: Market) -> None:
        """Turn a triggered stop into a normal order, or let it fail for lack of margin."""
        if order.type == "MARKET":
            order = replace(order, price=asked(market_limit(market, order.direction)))
        price = int(order.price * TICKS)
        if self.books.affords(self._need(order.symbol, order.direction, price, order.unfilled_quantity)):
            self._activate(replace(order, status="PENDING"), price)
        else:
            self._close(order, "STOP_FAILED")

    # The life of an order.

    def _new(self, ticket: OrderRequest, status: OrderStatus) -> SimulatedOrder:
        order_id = max(self._next_id, self.now_ms * IDS_PER_MS if self._live else 0)
        # Ids have gaps, as the exchange's do: other accounts place orders, too.
        self._next_id = order_id + (1 if self._live else 1000 + ticket.quantity % 997)
        rising = ticket.trigger_direction == "LONG"
        base = ticket.trigger_on - ticket.trailing_distance if rising else ticket.trigger_on + ticket.trailing_distance
        return SimulatedOrder(
            id=order_id,
            symbol=ticket.symbol,
            quantity=ticket.quantity,
            direction=ticket.direction,
            type=ticket.type,
            status=status,
            price=asked(ticket.price),
            unfilled_quantity=ticket.quantity,
            features=ticket.features,
            trigger_on=asked(ticket.trigger_on),
            trigger_direction=ticket.trigger_direction,
            trailing_base_price=asked(base if ticket.trailing_distance else 0),
            trailing_distance=asked(ticket.trailing_distance),
            created_at=self.now_ms,
            updated_at=self.now_ms,
        )

    def _need(self, symbol: str, direction: Direction, price: int, quantity: int) -> Decimal:
        return self._need_at(symbol, self._dearest(symbol, direction, price), quantity)

    def _need_at(self, symbol: str, price: Decimal, quantity: int) -> Decimal:
        """Margin and taker fee of contracts at a price, BTC: what an order reserves.

        An order that would only close a position reserves it as well: the position may be gone before it fills.
        """
        worth = contract.value(quantity, price)
        lever = self.books.positions[symbol].leverage
        return contract.margin(worth, lever) + contract.fee(worth, TAKER_FEE_RATE)

    def _dearest(self, symbol: str, direction: Direction, price: int) -> Decimal:
        """The lowest price an order can fill at, where a contract of 1 USD is worth the most BTC."""
        best = self.markets[symbol].best(direction)
        return traded(min(price, best) if direction == "LONG" else price)

    def _activate(self, order: SimulatedOrder, price: int) -> None:
        """Reserve an order's margin, take what the market offers, and rest or cancel what is left."""
        frozen_at = self._dearest(order.symbol, order.direction, price)
        margin = self._need_at(order.symbol, frozen_at, order.quantity)
        self.books.freeze(margin)
        order = replace(order, frozen_margin=margin, frozen_at=frozen_at, updated_at=self.now_ms)
        self._keep(order)
        self._note_balance()
        levels = self.markets[order.symbol].levels(order.direction, price, order.quantity)
        short = sum(size for _, size in levels) < order.quantity
        if (order.features & POST_ONLY and levels) or (order.features & FILL_OR_KILL and short):
            self._close(order, "FULLY_CANCELLED")
            return
        for ticks, size in levels:
            order = self._execute(order, size, traded(ticks), TAKER_FEE_RATE)
        if order.unfilled_quantity and order.features & IMMEDIATE_OR_CANCEL:
            self.cancel(order.id)

    def _execute(self, order: SimulatedOrder, quantity: int, price: Decimal, rate: Decimal) -> SimulatedOrder:
        left = order.unfilled_quantity - quantity
        held = self._need_at(order.symbol, order.frozen_at, left) if left else ZERO
        freed = order.frozen_margin - held
        fee = self.books.fill(
            order.symbol, order.direction, quantity, price, rate=rate, freed=freed, now_ms=self.now_ms
        )
        return self._matched(replace(order, frozen_margin=held), quantity, price, fee, taker=rate is TAKER_FEE_RATE)

    def _matched(
        self, order: SimulatedOrder, quantity: int, price: Decimal, fee: Decimal, *, taker: bool
    ) -> SimulatedOrder:
        """Record an execution, and the order, position and balance after it."""
        notional = order.notional + quantity * price
        left = order.unfilled_quantity - quantity
        match = OrderMatch(taker=taker, price=price, quantity=quantity, fee=fee, created_at=self.now_ms)
        order = replace(
            order,
            status="PARTIAL_FILLED" if left else "FULLY_FILLED",
            unfilled_quantity=left,
            notional=notional,
            fill_price=contract.average(notional, order.quantity - left),
            fee=order.fee + fee,
            matches=(*order.matches, match),
            updated_at=self.now_ms,
        )
        self._keep(order)
        self.changes.append(self.books.positions[order.symbol])
        self._note_balance()
        return order

    def _close(self, order: SimulatedOrder, status: OrderStatus) -> None:
        """End an order that is not fully filled, and release its margin."""
        margin = order.frozen_margin
        self._keep(replace(order, status=status, frozen_margin=ZERO, updated_at=self.now_ms))
        if margin:
            self.books.freeze(-margin)
            self._note_balance()

    def _keep(self, order: SimulatedOrder) -> None:
        if order.status in OPEN:
            self.open[order.id] = order
        else:
            self.open.pop(order.id, None)
        self.changes.append(order)

    def _note_balance(self) -> None:
        self.changes.append(self.books.balance(self.now_ms))


def market_limit(market: Market, direction: Direction) -> int:
    """The worst price of a market order, in ticks: 10 % from the best price, in whole USD, as in the page's sample."""
    best = market.best(direction)
    return (best * (11 if direction == "LONG" else 9) // 10) // TICKS * TICKS
