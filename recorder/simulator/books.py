"""The books of one account: its balances, positions and ledger, checked after every entry."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from recorder.simulator import contract
from recorder.simulator.contract import zero
from recorder.simulator.positions import closed, opened, priced
from recorder.venues.simulated import (
    NONE,
    Funds,
    PositionSide,
    Side,
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    SimulatedTransaction,
    Terms,
    TransactionType,
)

#: Units of the currency that stay available: they cover the rounding of fills, one unit each.
DUST = 1_000_000

#: A currency in a wallet, and what tells an account's positions apart.
PurseKey = tuple[str | None, str]
PositionKey = tuple[str, PositionSide | None]


class BooksError(Exception):
    """The books do not balance or a balance is negative: the simulator has a bug and stops."""


class Purse:
    """The money of one currency in one wallet.

    Always, exactly: ``available + locked + margin == ledger - embezzled``, `margin` is the sum of its positions'
    margins, and no balance is negative.

    Args:
        wallet: None if the account has only one.
        currency: of the amounts.
        unit: the smallest amount.

    Attributes:
        ledger: sum of all its transactions.
        embezzled: what faults have taken from it without a transaction.
    """

    def __init__(self, wallet: str | None, currency: str, unit: Decimal) -> None:
        self.wallet = wallet
        self.currency = currency
        self.unit = unit
        self.available = self.locked = self.margin = self.ledger = self.embezzled = zero(unit)

    @property
    def total(self) -> Decimal:
        """What is owned, without unrealized profit."""
        return self.available + self.locked + self.margin

    def affords(self, amount: Decimal) -> bool:
        """Whether this amount can be locked."""
        return self.available - amount >= DUST * self.unit

    def check(self, margins: Iterable[Decimal]) -> None:
        """Raise `BooksError` unless the books balance to the last digit.

        Args:
            margins: of its positions.
        """
        if self.total != self.ledger - self.embezzled or self.margin != sum(margins, zero(self.unit)):
            raise BooksError(f"books do not balance: {self}, ledger {self.ledger}, embezzled {self.embezzled}")
        if self.available < 0 or self.locked < 0 or self.margin < 0:
            raise BooksError(f"a balance is negative: {self}")

    def __str__(self) -> str:
        return f"{self.currency} available {self.available}, locked {self.locked}, margin {self.margin}"


class AccountBooks:
    """One account's money and positions. Each method is one entry: it leaves the books balanced or raises `BooksError`.

    Args:
        terms: of all instruments.
        funds: of all currencies that are deposited.
        next_id: makes the ids of transactions.

    Attributes:
        now_ms: the time of the next entries, milliseconds since 1970.
        posted: transactions, in order; the caller empties it.
        marks: `Terms.name` → the market's price.
        fees_twice: fault: charge each fee twice but report it once.
        leak: fault: amount taken with each execution without being reported.
    """

    def __init__(self, terms: Iterable[Terms], funds: Iterable[Funds], next_id: Callable[[int], int]) -> None:
        self.now_ms = 0
        self.marks: dict[str, Decimal] = {}
        self.posted: list[SimulatedTransaction] = []
        self.fees_twice = False
        self.leak = NONE
        self.purses: dict[PurseKey, Purse] = {}
        self.positions: dict[PositionKey, SimulatedPosition] = {}
        self._next_id = next_id
        self._of_purse: defaultdict[PurseKey, list[PositionKey]] = defaultdict(list)
        units: defaultdict[PurseKey, list[Decimal]] = defaultdict(list)
        for one in terms:
            units[one.wallet, one.settle].append(one.unit)
            if one.kind == "spot":
                units[one.wallet, one.base].append(one.base_unit)
        for fund in funds:
            units[fund.wallet, fund.currency].append(Decimal(1).scaleb(int(fund.first.as_tuple().exponent)))
        for key, of_key in units.items():
            self.purses[key] = Purse(*key, min(of_key))
        for one in terms:
            if one.kind != "spot":
                self._add_positions(one)

    def purse(self, terms: Terms) -> Purse:
        """That of an instrument's settle currency."""
        return self.purses[terms.wallet, terms.settle]

    def paying(self, terms: Terms, side: Side) -> Purse:
        """That in which an order locks what it may cost: of the base currency if it sells in a spot market."""
        return self.purses[terms.wallet, terms.base] if terms.kind == "spot" and side == "sell" else self.purse(terms)

    def balance(self, purse: Purse) -> SimulatedBalance:
        """The balance as the exchange reports it."""
        return SimulatedBalance(
            wallet=purse.wallet,
            currency=purse.currency,
            available=purse.available,
            locked=purse.locked,
            margin=purse.margin,
            updated_ms=self.now_ms,
        )

    def move(
        self, purse: Purse, type_: TransactionType, amount: Decimal, *, fee: Decimal = NONE, peer: str | None = None
    ) -> None:
        """Enter money that comes, or goes if the amount is negative; its fee is part of the amount."""
        self._post(purse, type_, amount.quantize(purse.unit), fee, peer=peer)
        self.check(purse)

    def lock(self, purse: Purse, amount: Decimal) -> None:
        """Reserve what an order may cost; release it if the amount is negative."""
        purse.available -= amount
        purse.locked += amount
        self.check(purse)

    def fill(self, order: SimulatedOrder, fill: SimulatedFill, freed: Decimal) -> SimulatedFill:
        """Enter one execution of a derivative: close an opposite position first, then open with the rest.

        Args:
            order: the order.
            fill: the execution, without what it closed.
            freed: the part of the order's locked amount that belongs to this quantity.

        Returns:
            The fill, complete.
        """
        terms, purse = order.terms, self.purse(order.terms)
        before = self.position(terms, order.position_side)
        opens = contract.held_by(order.side)
        closing = min(fill.quantity, before.quantity) if before.side != opens else NONE
        gain, released, kept = closed(before, closing, fill.price)
        after, added = opened(kept, opens, fill.quantity - closing, fill.price, self.now_ms)
        fill = replace(fill, closed_quantity=closing, realized_pnl=gain, position_before=before.signed)
        purse.locked -= freed
        purse.margin += added - released
        purse.available += freed + released - added
        paid = gain
        if terms.kind == "option":
            paid = -fill.value if fill.side == "buy" else fill.value
        self._post_fill(purse, fill, paid - fill.fee)
        self._embezzle(purse, fill.fee)
        self._hold(after, gain - fill.fee)
        return fill

    def exchange(self, order: SimulatedOrder, fill: SimulatedFill, freed: Decimal) -> SimulatedFill:
        """Enter one execution in a spot market; arguments and result as in `fill`."""
        base, quote = self.purses[order.terms.wallet, order.terms.base], self.purse(order.terms)
        fill = replace(fill, position_before=base.total)
        paying, sign = (quote, 1) if order.side == "buy" else (base, -1)
        paying.locked -= freed
        paying.available += freed
        for purse, amount in ((base, sign * fill.quantity), (quote, -sign * fill.value)):
            paid = fill.fee if purse.currency == fill.fee_currency else NONE
            self._post_fill(purse, fill, amount.quantize(purse.unit) - paid, fee=paid)
            if paid:
                self._embezzle(purse, paid)
            self.check(purse)
        return fill

    def liquidate(self, order: SimulatedOrder, fill: SimulatedFill) -> SimulatedFill:
        """Enter one execution of a liquidation: the insurance fund takes over the position and its margin.

        At the bankruptcy price, margin, loss and fee cancel out except for rounding and the tick. The fund takes the
        difference or adds it, so exactly the margin is lost.

        Returns:
            The fill, complete.
        """
        terms, purse = order.terms, self.purse(order.terms)
        before = self.position(terms, order.position_side)
        gain, released, after = closed(before, fill.quantity, fill.price)
        fill = replace(fill, closed_quantity=fill.quantity, realized_pnl=gain, position_before=before.signed)
        purse.margin -= released
        purse.available += released
        self._post_fill(purse, fill, gain - fill.fee)
        rest = -released - (gain - fill.fee)
        if rest:
            self._post(purse, "liquidation", rest, terms=terms, order_id=order.id, position_side=order.position_side)
        self._hold(after, -released)
        return fill

    def fund(self, before: SimulatedPosition, price: Decimal, rate: Decimal) -> None:
        """Enter a funding payment: a long position pays a positive rate of its value, a short one receives it.

        What the available balance cannot pay is taken from the position's margin, and at most all of it.
        """
        terms, purse = before.terms, self.purse(before.terms)
        amount = contract.fee(contract.value(terms, before.quantity, price), rate, terms.unit)
        amount = -amount if before.side == "long" else amount
        amount = max(amount, -(max(purse.available, zero(terms.unit)) + before.margin))
        from_margin = max(-amount - max(purse.available, zero(terms.unit)), zero(terms.unit))
        purse.margin -= from_margin
        purse.available += from_margin
        self._post(purse, "funding", amount, **_about(before, price), rate=rate)
        after = replace(before, funding=before.funding + amount, holding_funding=before.holding_funding + amount)
        self._hold(replace(after, margin=before.margin - from_margin), amount)

    def settle(self, before: SimulatedPosition, price: Decimal) -> None:
        """Enter the end of a position whose instrument expires.

        What its margin and the available balance cannot pay, the insurance fund does.

        Args:
            before: the position.
            price: of the settlement; of an option, that of what it is an option on.
        """
        terms, purse = before.terms, self.purse(before.terms)
        gain, released, after = closed(before, before.quantity, price)
        amount, cost = gain, zero(terms.unit)
        if terms.kind == "option":
            amount, cost = contract.payoff(terms, before.quantity, price), before.cost
            amount, cost = (amount, cost) if before.side == "long" else (-amount, -cost)
        purse.margin -= released
        purse.available += released
        amount = max(amount, -purse.available)
        self._post(purse, "settlement", amount, **_about(before, price))
        self._hold(after, amount - cost)

    def position(self, terms: Terms, side: PositionSide | None) -> SimulatedPosition:
        """The position that an order belongs to."""
        return self.positions[terms.name, side]

    def check(self, purse: Purse) -> None:
        """Raise `BooksError` unless the books of a purse balance to the last digit."""
        purse.check([self.positions[key].margin for key in self._of_purse[purse.wallet, purse.currency]])

    def _post_fill(self, purse: Purse, fill: SimulatedFill, amount: Decimal, fee: Decimal | None = None) -> None:
        self._post(
            purse,
            "trade",
            amount,
            fill.fee if fee is None else fee,
            terms=fill.terms,
            order_id=fill.order_id,
            trade_id=fill.trade_id,
            side=fill.side,
            position_side=fill.position_side,
            quantity=fill.quantity,
            price=fill.price,
            rate=fill.fee_rate,
            kind=fill.kind,
        )

    def _post(self, purse: Purse, type_: TransactionType, amount: Decimal, fee: Decimal = NONE, **about: Any) -> None:
        """Change the available balance, with an entry in the ledger."""
        purse.available += amount
        purse.ledger += amount
        entry = SimulatedTransaction(
            id=self._next_id(self.now_ms),
            type=type_,
            wallet=purse.wallet,
            currency=purse.currency,
            amount=amount,
            fee=fee,
            balance_after=purse.total,
            occurred_ms=self.now_ms,
            **about,
        )
        self.posted.append(entry)

    def _embezzle(self, purse: Purse, fee: Decimal) -> None:
        """Take what the active faults take, if the account can afford it."""
        taken = self.leak + (fee if self.fees_twice else NONE)
        if taken and purse.affords(taken):
            purse.available -= taken
            purse.embezzled += taken

    def _hold(self, position: SimulatedPosition, realized: Decimal) -> None:
        """Keep a changed position, with what it has realized besides."""
        kept = replace(
            position,
            realized_pnl=position.realized_pnl + realized,
            holding_pnl=position.holding_pnl + realized,
            mark_price=self.marks.get(position.terms.name, NONE),
            updated_ms=self.now_ms,
        )
        self.positions[position.terms.name, position.position_side] = priced(kept)
        self.check(self.purse(position.terms))

    def _add_positions(self, terms: Terms) -> None:
        nothing = zero(terms.unit)
        sides: tuple[PositionSide | None, ...] = ("long", "short") if terms.hedged else (None,)
        for side in sides:
            key = terms.name, side
            self.positions[key] = SimulatedPosition(
                terms=terms,
                position_side=side,
                side=side or "long",
                margin=nothing,
                realized_pnl=nothing,
                holding_pnl=nothing,
                funding=nothing,
                holding_funding=nothing,
            )
            self._of_purse[terms.wallet, terms.settle].append(key)


def _about(position: SimulatedPosition, price: Decimal) -> dict[str, Any]:
    """What an entry about a whole position says of it."""
    return {
        "terms": position.terms,
        "side": "buy" if position.side == "long" else "sell",
        "position_side": position.position_side,
        "quantity": position.quantity,
        "price": price,
    }
