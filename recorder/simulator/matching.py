"""The matching engine for one account: takes orders, fills them from the market, triggers stops, liquidates.

It records what happened as moments, each in the order that `recorder.venues.simulated.Moment` documents.
"""

from decimal import Decimal

from msgspec.structs import replace

from recorder.model import CANCELED, FILLED, NEW, PARTIALLY_FILLED, PENDING, REJECTED
from recorder.simulator import contract
from recorder.simulator.books import AccountBooks, PositionKey, Purse
from recorder.simulator.contract import zero
from recorder.simulator.ids import Ids
from recorder.simulator.market import Market
from recorder.simulator.tickets import OrderRequest
from recorder.venues.simulated import (
    NONE,
    Event,
    FillKind,
    Moment,
    Reason,
    Side,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    SimulatedTransaction,
    Terms,
)

#: The first order's id under a virtual clock.
FIRST_ID = 849_758_102_002


class MatchingEngine:
    """Matches one account's orders against the markets. `moments` collects what happened; the caller empties it.

    Args:
        books: the account's.
        markets: by `Terms.name`; what has expired is removed.
        live: number orders by the time they are placed, so that a restarted simulator never reuses an id.
    """

    def __init__(self, books: AccountBooks, markets: dict[str, Market], *, live: bool = False) -> None:
        self.books = books
        self.markets = markets
        self.open: dict[int, SimulatedOrder] = {}
        self.moments: list[Moment] = []
        #: All deposits and withdrawals so far.
        self.transfers: list[SimulatedTransaction] = []
        # Ids have gaps, as an exchange's do: other accounts place orders, too.
        self._order_ids = Ids(FIRST_ID, live=live)
        self._trade_ids = Ids(1, live=live)

    @property
    def now_ms(self) -> int:
        """Milliseconds since 1970; the caller sets it before each step."""
        return self.books.now_ms

    @now_ms.setter
    def now_ms(self, now_ms: int) -> None:
        self.books.now_ms = now_ms

    # The owner's actions.

    def place(self, ticket: OrderRequest) -> None:
        """Place an order. One that the account cannot afford is ignored and never becomes an order."""
        terms, stop = self.markets[ticket.name].terms, ticket.trigger > 0
        if not stop and not self._affords(terms, ticket.side, ticket.price, self._quantity(ticket)):
            return
        order = self._new(ticket, PENDING if stop else NEW)
        if stop:
            self._keep(order)
        else:
            self._activate(order, ticket.price)

    def cancel(self, order_id: int, reason: Reason = "user") -> None:
        """Cancel an open order and release what it has locked."""
        self._close(self.open[order_id], CANCELED, reason)

    def cancel_all(self, position: SimulatedPosition) -> None:
        """Cancel the orders of a position that the exchange ends."""
        for order in self._of(position.terms.name):
            if order.position_side == position.position_side:
                self.cancel(order.id, "liquidation")

    def transfer(self, purse: Purse, amount: Decimal, fee: Decimal = NONE) -> None:
        """Deposit an amount; withdraw it if negative, with a fee that the amount includes."""
        self.books.move(purse, "deposit" if amount > 0 else "withdrawal", amount, fee=fee)
        self.transfers.append(self.books.posted[-1])
        self._note([], purse)

    def move(self, source: Purse, target: Purse, amount: Decimal) -> None:
        """Transfer an amount of a currency from one wallet to another."""
        self.books.move(source, "transfer", -amount, peer=target.wallet)
        self.books.move(target, "transfer", amount, peer=source.wallet)
        self._note([], source, target)

    # Reactions to the market.

    def react(self, name: str) -> None:
        """React to a price move.

        Resting orders come first, because the price moved through them; then liquidation, before a stop could close
        the position at a loss greater than its margin; stops last.
        """
        market = self.markets[name]
        self.books.marks[name] = market.traded(market.bid)
        for order in self._of(name):
            if order.status != PENDING:
                self._fill_resting(order, market)
        for position in self._positions(name):
            if position.is_lost_at(market.traded(market.bid)):
                self._liquidate(position, market)
        for order in self._of(name):
            if order.status == PENDING:
                self._watch_stop(order, market)

    def pay_funding(self, name: str, rate: Decimal) -> None:
        """Let every position in a perpetual contract pay or receive funding at the current price."""
        market = self.markets.get(name)
        if market is None or market.terms.expires_ms:
            return
        for position in self._positions(name):
            if position.quantity:
                self.books.fund(position, market.traded(market.bid), rate)
                after = self.books.position(position.terms, position.position_side)
                self._note([after], self.books.purse(position.terms))

    def close_position(self, position: SimulatedPosition, lots: int, kind: FillKind) -> None:
        """Let the exchange close some of a position at the current price; its orders are cancelled before."""
        market = self.markets[position.terms.name]
        order = self._ending(position, market, lots, market.bid, kind)
        fill = self._fill(order, lots, market.traded(market.bid), is_taker=True)
        self._filled(order, self.books.fill(order, fill, NONE))

    def expire(self, name: str) -> None:
        """End an instrument: cancel its orders, settle its positions, trade it no more."""
        market = self.markets[name]
        for order in self._of(name):
            self.cancel(order.id, "expiry")
        for position in self._positions(name):
            if position.quantity and market.terms.closed_by_order:
                self.close_position(position, market.lots(position.quantity), "settlement")
            elif position.quantity:
                self.books.settle(position, market.settlement_price)
                after = self.books.position(position.terms, position.position_side)
                self._note([after], self.books.purse(position.terms))
        del self.markets[name]

    def _of(self, name: str) -> list[SimulatedOrder]:
        return [order for order in self.open.values() if order.terms.name == name]

    def _positions(self, name: str) -> list[SimulatedPosition]:
        keys: tuple[PositionKey, ...] = ((name, None), (name, "long"), (name, "short"))
        return [position for key in keys if (position := self.books.positions.get(key))]

    def _fill_resting(self, order: SimulatedOrder, market: Market) -> None:
        """Fill a resting order at its own price: fully if the price moved through it, partly if it only touched it."""
        price = market.ticks(order.price)
        through = market.bid < price if order.side == "buy" else market.ask > price
        touched = market.bid == price if order.side == "buy" else market.ask == price
        if through or touched:
            size = min(market.lots(order.left), max(market.depth(), 1))
            order = self._execute(order, size, price, is_taker=False)
            if through and order.left and order.is_open:
                self._execute(order, market.lots(order.left), price, is_taker=False)

    def _liquidate(self, position: SimulatedPosition, market: Market) -> None:
        """Cancel the position's orders, then take it over at its bankruptcy price, in two parts."""
        self.cancel_all(position)
        position = self.books.position(position.terms, position.position_side)
        price = max(1, market.ticks(position.bankruptcy_price))
        lots = market.lots(position.quantity)
        order = self._ending(position, market, lots, price, "liquidation")
        first = (lots + 1) // 2
        for size in (first, lots - first):
            if size:
                fill = self._fill(order, size, market.traded(price), is_taker=True)
                order = self._filled(order, self.books.liquidate(order, fill))

    def _ending(
        self, position: SimulatedPosition, market: Market, lots: int, price: int, kind: FillKind
    ) -> SimulatedOrder:
        order = self._new(
            OrderRequest(
                name=position.terms.name,
                side="sell" if position.side == "long" else "buy",
                position_side=position.position_side,
                lots=lots,
                type="limit",
                price=price,
                kind=kind,
            ),
            NEW,
        )
        self._keep(order)
        return order

    def _watch_stop(self, order: SimulatedOrder, market: Market) -> None:
        """Move a trailing stop, or trigger a stop."""
        rises = order.trigger_rises
        last = market.traded(market.bid)
        if order.trail_distance:
            base = min(order.trail_base, last) if rises else max(order.trail_base, last)
            if base != order.trail_base:
                trigger = base + order.trail_distance if rises else base - order.trail_distance
                self._keep(
                    replace(
                        order,
                        trail_base=market.asked(market.ticks(base)),
                        trigger_price=market.asked(market.ticks(trigger)),
                        updated_ms=self.now_ms,
                    )
                )
                return
        if last >= order.trigger_price if rises else last <= order.trigger_price:
            self._trigger(replace(order, is_triggered=True), market)

    def _trigger(self, order: SimulatedOrder, market: Market) -> None:
        """Turn a triggered stop into a normal order, or let it fail for lack of margin."""
        if order.type == "market":
            order = replace(order, price=market.asked(market.worst(order.side)))
        price = market.ticks(order.price)
        if self._affords(order.terms, order.side, price, order.left):
            self._activate(replace(order, status=NEW), price)
        else:
            self._close(order, REJECTED, "margin")

    # The life of an order.

    def _new(self, ticket: OrderRequest, status: str) -> SimulatedOrder:
        market = self.markets[ticket.name]
        terms = market.terms
        order_id = self._order_ids.next(self.now_ms, 1000 + ticket.lots % 997)
        base = ticket.trigger - ticket.trail if ticket.trigger_rises else ticket.trigger + ticket.trail
        in_base = terms.kind == "spot" and terms.fee_in_received and ticket.side == "buy"
        return SimulatedOrder(
            id=order_id,
            client_order_id=f"desk-{order_id}" if order_id % 3 else None,
            terms=terms,
            side=ticket.side,
            position_side=ticket.position_side,
            type=ticket.type,
            time_in_force=ticket.time_in_force,
            post_only=ticket.post_only,
            reduce_only=ticket.reduce_only,
            hidden=ticket.hidden,
            kind=ticket.kind,
            price=market.asked(ticket.price),
            quantity=market.quantity(ticket.lots),
            status=status,
            fee=zero(terms.base_unit if in_base else terms.unit),
            fee_currency=terms.base if in_base else terms.settle,
            trigger_price=market.asked(ticket.trigger),
            trigger_rises=ticket.trigger_rises,
            trail_base=market.asked(base if ticket.trail else 0),
            trail_distance=market.asked(ticket.trail),
            created_ms=self.now_ms,
            updated_ms=self.now_ms,
            locked=zero(self.books.paying(terms, ticket.side).unit),
        )

    def _quantity(self, ticket: OrderRequest) -> Decimal:
        return self.markets[ticket.name].quantity(ticket.lots)

    def _affords(self, terms: Terms, side: Side, price: int, quantity: Decimal) -> bool:
        need = contract.need(terms, side, self._dearest(terms, side, price), quantity)
        return self.books.paying(terms, side).affords(need)

    def _dearest(self, terms: Terms, side: Side, price: int) -> Decimal:
        """The price an order can fill at where a quantity is worth the most: inverse the lowest, else the highest."""
        market = self.markets[terms.name]
        best = market.best(side)
        if terms.kind == "inverse":
            return market.traded(min(price, best) if side == "buy" else price)
        return market.traded(price if side == "buy" else max(price, best))

    def _activate(self, order: SimulatedOrder, price: int) -> None:
        """Lock what an order may cost, take what the market offers, and rest or cancel what is left."""
        market = self.markets[order.terms.name]
        locked_at = self._dearest(order.terms, order.side, price)
        need = contract.need(order.terms, order.side, locked_at, order.quantity)
        purse = self.books.paying(order.terms, order.side)
        self.books.lock(purse, need)
        order = replace(order, locked=need, locked_at=locked_at, updated_ms=self.now_ms)
        self._keep(order, purse)
        lots = market.lots(order.quantity)
        levels = market.levels(order.side, price, lots)
        if order.post_only and levels:
            self._close(order, CANCELED, "post_only")
            return
        if order.time_in_force == "fok" and sum(size for _, size in levels) < lots:
            self._close(order, CANCELED, "fok")
            return
        for ticks, size in levels:
            order = self._execute(order, size, ticks, is_taker=True)
            if not order.is_open:
                return
        if order.left and order.time_in_force == "ioc":
            self.cancel(order.id, "ioc")

    def _execute(self, order: SimulatedOrder, lots: int, ticks: int, *, is_taker: bool) -> SimulatedOrder:
        """Fill an order, or cancel it if it may only reduce a position and there is none."""
        market = self.markets[order.terms.name]
        if order.is_closing:
            held = self.books.position(order.terms, order.position_side)
            lots = min(lots, market.lots(held.quantity) if contract.held_by(order.side) != held.side else 0)
            if not lots:
                return self._close(order, CANCELED, "reduce_only")
        fill = self._fill(order, lots, market.traded(ticks), is_taker=is_taker)
        left = order.left - fill.quantity
        still = contract.need(order.terms, order.side, order.locked_at, left) if left else zero(order.locked)
        enter = self.books.exchange if order.terms.kind == "spot" else self.books.fill
        fill = enter(order, fill, order.locked - still)
        return self._filled(replace(order, locked=still), fill)

    def _fill(self, order: SimulatedOrder, lots: int, price: Decimal, *, is_taker: bool) -> SimulatedFill:
        terms = order.terms
        quantity = self.markets[terms.name].quantity(lots)
        worth = contract.value(terms, quantity, price)
        rate = terms.taker_rate if is_taker else terms.maker_rate
        in_base = order.fee_currency != terms.settle
        return SimulatedFill(
            trade_id=self._trade_ids.next(self.now_ms, 1),
            order_id=order.id,
            client_order_id=order.client_order_id,
            terms=terms,
            side=order.side,
            position_side=order.position_side,
            price=price,
            quantity=quantity,
            value=worth,
            fee=contract.fee(quantity, rate, terms.base_unit) if in_base else contract.fee(worth, rate, terms.unit),
            fee_currency=order.fee_currency,
            fee_rate=rate,
            is_taker=is_taker,
            closed_quantity=NONE,
            realized_pnl=zero(terms.unit),
            position_before=NONE,
            kind=order.kind,
            executed_ms=self.now_ms,
        )

    def _filled(self, order: SimulatedOrder, fill: SimulatedFill) -> SimulatedOrder:
        """Record an execution, and the order, position and balances after it."""
        terms = order.terms
        notional = order.notional + fill.quantity * fill.price
        filled = order.filled_quantity + fill.quantity
        order = replace(
            order,
            status=PARTIALLY_FILLED if filled < order.quantity else FILLED,
            filled_quantity=filled,
            notional=notional,
            average_price=contract.average(notional, filled),
            fee=order.fee + fill.fee,
            fills=(*order.fills, fill),
            updated_ms=self.now_ms,
        )
        self._remember(order)
        quote = self.books.purse(terms)
        if terms.kind == "spot":
            self._note([fill, order], self.books.purses[terms.wallet, terms.base], quote)
        else:
            self._note([fill, order, self.books.position(terms, order.position_side)], quote)
        return order

    def _close(self, order: SimulatedOrder, status: str, reason: Reason) -> SimulatedOrder:
        """End an order that is not fully filled, and release what it has locked."""
        locked = order.locked
        order = replace(order, status=status, reason=reason, locked=zero(locked), updated_ms=self.now_ms)
        if locked:
            purse = self.books.paying(order.terms, order.side)
            self.books.lock(purse, -locked)
            self._keep(order, purse)
        else:
            self._keep(order)
        return order

    def _keep(self, order: SimulatedOrder, *purses: Purse) -> None:
        self._remember(order)
        self._note([order], *purses)

    def _remember(self, order: SimulatedOrder) -> None:
        if order.is_open:
            self.open[order.id] = order
        else:
            self.open.pop(order.id, None)

    def _note(self, events: list[Event], *purses: Purse) -> None:
        """Record a moment: these events, the transactions that were posted meanwhile, and the balances after it."""
        events += self.books.posted
        self.books.posted.clear()
        self.moments.append([*events, *map(self.books.balance, purses)])
