"""An account's books, kept a second time from all that it reports: in fractions, without the simulator's code."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from recorder.venues.simulated import (
    Moment,
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    SimulatedTransaction,
)


def cut(amount: Fraction, unit: Decimal) -> Fraction:
    """To whole units, towards zero."""
    return int(amount / Fraction(unit)) * Fraction(unit)


class Auditor:
    """Reads everything that an account reports, and asserts that each amount follows from the others, in fractions."""

    def __init__(self) -> None:
        self.balances: defaultdict[tuple[str | None, str], Fraction] = defaultdict(Fraction)
        self.held: defaultdict[tuple[str, str | None], Fraction] = defaultdict(Fraction)
        self.realized: defaultdict[tuple[str, str | None], Fraction] = defaultdict(Fraction)
        #: What a linear position's fills have paid and received.
        self.flow: defaultdict[tuple[str, str | None], Fraction] = defaultdict(Fraction)
        self.orders: dict[int, SimulatedOrder] = {}
        self.positions: dict[tuple[str, str | None], SimulatedPosition] = {}
        self.seen: defaultdict[str, int] = defaultdict(int)
        self._ids: set[tuple[str, int]] = set()
        self._locked: dict[int, tuple[tuple[str | None, str], Decimal]] = {}

    def take(self, moment: Moment) -> None:
        """Check one moment."""
        fills = [event for event in moment if isinstance(event, SimulatedFill)]
        entries = [event for event in moment if isinstance(event, SimulatedTransaction)]
        for fill in fills:
            self._fill(fill, [entry for entry in entries if entry.trade_id == fill.trade_id])
        for entry in entries:
            self._entry(entry)
        for event in moment:
            if isinstance(event, SimulatedOrder):
                self._order(event)
            elif isinstance(event, SimulatedPosition):
                self._position(event)
        for event in moment:
            if isinstance(event, SimulatedBalance):
                self._balance(event)

    def _once(self, kind: str, number: int) -> None:
        assert (kind, number) not in self._ids
        self._ids.add((kind, number))

    def _fill(self, fill: SimulatedFill, entries: list[SimulatedTransaction]) -> None:
        self._once("trade", fill.trade_id)
        self.seen[f"{fill.terms.kind} {fill.kind}"] += 1
        terms, quantity, price = fill.terms, Fraction(fill.quantity), Fraction(fill.price)
        assert quantity > 0
        worth = cut(quantity / price if terms.kind == "inverse" else quantity * price, terms.unit)
        assert fill.value == worth
        in_base = fill.fee_currency != terms.settle
        charged, unit = (quantity, terms.base_unit) if in_base else (worth, terms.unit)
        assert fill.fee == cut(charged * Fraction(fill.fee_rate), unit)
        trades = {entry.currency: Fraction(entry.amount) for entry in entries if entry.type == "trade"}
        sign = 1 if fill.side == "buy" else -1
        fee = Fraction(fill.fee)
        if terms.kind == "spot":
            base, quote = (fee, 0) if in_base else (0, fee)
            assert trades == {terms.base: sign * quantity - base, terms.quote: -sign * worth - quote}
            assert fill.position_before == self.balances[terms.wallet, terms.base]
            return
        changed = -sign * worth if terms.kind == "option" else Fraction(fill.realized_pnl)
        assert trades == {terms.settle: changed - fee}
        key = terms.name, fill.position_side
        assert fill.position_before == self.held[key]
        self.held[key] += sign * quantity
        self.flow[key] -= sign * worth
        if fill.position_side:
            assert self.held[key] * (1 if fill.position_side == "long" else -1) >= 0
        else:
            assert fill.closed_quantity == max(0, min(quantity, -sign * Fraction(fill.position_before)))
        self.realized[key] += Fraction(fill.realized_pnl)

    def _entry(self, entry: SimulatedTransaction) -> None:
        self._once("entry", entry.id)
        self.seen[entry.type] += 1
        self.balances[entry.wallet, entry.currency] += Fraction(entry.amount)
        assert entry.balance_after == self.balances[entry.wallet, entry.currency]
        if entry.type == "funding":
            assert entry.terms
            position = self.positions[entry.terms.name, entry.position_side]
            price, quantity = Fraction(entry.price), Fraction(position.quantity)
            worth = cut(quantity / price if entry.terms.kind == "inverse" else quantity * price, entry.terms.unit)
            paid = cut(worth * Fraction(entry.rate), entry.terms.unit) * (1 if position.side == "long" else -1)
            assert entry.amount == -paid
        if entry.type == "settlement":
            self._settlement(entry)

    def _settlement(self, entry: SimulatedTransaction) -> None:
        """The end of a position: what it realizes is what it was opened for, and what it is worth now."""
        terms, price = entry.terms, Fraction(entry.price)
        assert terms and entry.occurred_ms >= terms.expires_ms > 0
        key = terms.name, entry.position_side
        position = self.positions[key]
        sign = 1 if position.side == "long" else -1
        assert (entry.quantity, entry.side) == (position.quantity, "buy" if sign == 1 else "sell") and entry.quantity
        quantity, amount, unit = Fraction(entry.quantity), Fraction(entry.amount), terms.unit
        if terms.kind == "option":
            each = max(Fraction(terms.strike) - price if terms.is_put else price - Fraction(terms.strike), Fraction(0))
            worth = sign * cut(quantity * (each / price if terms.settle == terms.base else each), unit)
            self.realized[key] += amount - sign * Fraction(position.cost)
            self.seen["worth something" if worth else "worthless"] += 1
        elif terms.kind == "linear":
            worth = sign * (cut(quantity * price, unit) - Fraction(position.cost))
            self.realized[key] += amount
        else:
            worth = sign * (cut(quantity / Fraction(position.entry_price), unit) - cut(quantity / price, unit))
        self.flow[key] += amount if terms.kind == "option" else sign * cut(quantity * price, unit)
        self.held[key] = Fraction(0)
        self.seen[f"{terms.kind} expiry"] += 1
        assert amount == worth

    def _order(self, order: SimulatedOrder) -> None:
        before = self.orders.get(order.id)
        assert before is None or before.is_open
        assert order.fills[: len(before.fills) if before else 0] == (before.fills if before else ())
        assert order.filled_quantity == sum(fill.quantity for fill in order.fills) <= order.quantity
        assert order.fee == sum(fill.fee for fill in order.fills)
        assert order.locked >= 0 and (order.is_open or not order.locked)
        self.orders[order.id] = order
        sells_base = order.terms.kind == "spot" and order.side == "sell"
        purse = order.terms.wallet, order.terms.base if sells_base else order.terms.settle
        self._locked[order.id] = purse, order.locked

    def _position(self, position: SimulatedPosition) -> None:
        key = position.terms.name, position.position_side
        self.positions[key] = position
        assert position.signed == self.held[key]
        if position.terms.kind in {"linear", "option"}:
            cost = Fraction(position.cost) * (1 if position.side == "long" else -1)
            assert self.realized[key] == self.flow[key] + cost

    def _balance(self, balance: SimulatedBalance) -> None:
        key = balance.wallet, balance.currency
        assert balance.total == self.balances[key]
        assert balance.available >= 0
        self._locked = {number: lock for number, lock in self._locked.items() if lock[1]}
        assert balance.locked == sum(amount for purse, amount in self._locked.values() if purse == key)
        mine = [one for one in self.positions.values() if (one.terms.wallet, one.terms.settle) == key]
        assert balance.margin == sum(one.margin for one in mine)


def net(entries: Sequence[SimulatedTransaction], position: SimulatedPosition) -> Fraction:
    """A position's profit net of everything: the sum of its transactions, and what an option was opened for."""
    mine = (position.terms.name, position.position_side)
    cost = position.signed and Fraction(position.cost) * (1 if position.side == "long" else -1)
    return sum(
        (Fraction(one.amount) for one in entries if one.terms and (one.terms.name, one.position_side) == mine),
        Fraction(cost) if position.terms.kind == "option" else Fraction(0),
    )
