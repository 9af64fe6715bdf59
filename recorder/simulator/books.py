"""The books of one account: available, frozen and margin balances, checked after every entry."""

from decimal import Decimal

from msgspec.structs import replace

from recorder.simulator import contract
from recorder.simulator.account import NONE, SimulatedBalance, SimulatedPosition
from recorder.simulator.contract import EXACT, ZERO
from recorder.venues.fmex.orders import Direction

#: Minimum available balance, BTC: covers the rounding of fills, each to 1E-18.
DUST = Decimal("1E-12")


class BooksError(Exception):
    """The books do not balance or a balance is negative: the simulator has a bug and stops."""


class AccountBooks:
    """One account's money, all of it in BTC.

    Always, exactly: ``available + frozen + position margins == deposits + realized PnL net of fees - embezzled``, and
    no balance is negative. Each method is one entry: it leaves the books balanced or raises `BooksError`.

    Attributes:
        deposits: deposits less withdrawals.
        fees_twice: fault: charge each fee twice but report it once.
        leak: fault: amount taken with each execution without being reported, BTC.
        embezzled: total taken by these faults, BTC.
    """

    def __init__(self, leverages: dict[str, int]) -> None:
        self.available = ZERO
        self.frozen = ZERO
        self.deposits = ZERO
        self.fees_twice = False
        self.leak = ZERO
        self.embezzled = ZERO
        self.positions = {
            symbol: SimulatedPosition(symbol=symbol, leverage=lever) for symbol, lever in leverages.items()
        }

    def balance(self, now_ms: int) -> SimulatedBalance:
        """The balance as the exchange reports it."""
        return SimulatedBalance(
            available=self.available, frozen=self.frozen, position=self._margins(), updated_at=now_ms
        )

    def transfer(self, amount: Decimal) -> None:
        """Deposit an amount; withdraw it if negative."""
        self.deposits += amount
        self.available += amount
        self.check()

    def affords(self, amount: Decimal) -> bool:
        """Whether this amount can be frozen."""
        return self.available - amount >= DUST

    def freeze(self, amount: Decimal) -> None:
        """Reserve an order's margin and fee; release them if the amount is negative."""
        self.available -= amount
        self.frozen += amount
        self.check()

    def fill(
        self,
        symbol: str,
        direction: Direction,
        quantity: int,
        price: Decimal,
        *,
        rate: Decimal,
        freed: Decimal,
        now_ms: int,
    ) -> Decimal:
        """Enter one execution: close an opposite position first, then open with the rest.

        Args:
            symbol: symbol of the position.
            direction: side of the order.
            quantity: contracts.
            price: price of this execution.
            rate: fee rate.
            freed: the part of the order's frozen margin that belongs to these contracts.
            now_ms: time of the execution, milliseconds since 1970.

        Returns:
            The fee, BTC.
        """
        before = self.positions[symbol]
        fee = contract.fee(contract.value(quantity, price), rate)
        closing = min(quantity, before.quantity) if before.direction != direction else 0
        gain, released = _closed(before, closing, price)
        kept = replace(before, quantity=before.quantity - closing, margin=before.margin - released)
        after, added = _opened(kept, direction, quantity - closing, price)
        self.frozen -= freed
        self.available += freed + released + gain - added - fee
        self._embezzle(fee)
        self._enter(after, gain - fee, now_ms)
        return fee

    def liquidate(self, symbol: str, quantity: int, price: Decimal, rate: Decimal, now_ms: int) -> Decimal:
        """Enter one execution of a liquidation: the insurance fund takes over contracts and their margin.

        At the bankruptcy price, margin, loss and fee cancel out except for rounding and the tick. The fund takes the
        difference, so exactly the margin is lost.

        Returns:
            The fee, BTC.
        """
        before = self.positions[symbol]
        fee = contract.fee(contract.value(quantity, price), rate)
        _, released = _closed(before, quantity, price)
        after = replace(before, quantity=before.quantity - quantity, margin=before.margin - released)
        self._enter(after, -released, now_ms)
        return fee

    def check(self) -> None:
        """Raise `BooksError` unless the books balance to the last digit."""
        realized = sum([position.realized_pnl for position in self.positions.values()], ZERO)
        if self.available + self.frozen + self._margins() != self.deposits + realized - self.embezzled:
            raise BooksError(f"books do not balance: {self.balance(0)}, deposits {self.deposits}, realized {realized}")
        if self.available < 0 or self.frozen < 0:
            raise BooksError(f"a balance is negative: {self.balance(0)}")

    def _embezzle(self, fee: Decimal) -> None:
        """Take what the active faults take, if the account can afford it."""
        taken = self.leak + (fee if self.fees_twice else ZERO)
        if taken and self.affords(taken):
            self.available -= taken
            self.embezzled += taken

    def _margins(self) -> Decimal:
        return sum([position.margin for position in self.positions.values()], ZERO)

    def _enter(self, position: SimulatedPosition, realized: Decimal, now_ms: int) -> None:
        self.positions[position.symbol] = _priced(position, position.realized_pnl + realized, now_ms)
        self.check()


def _closed(position: SimulatedPosition, quantity: int, price: Decimal) -> tuple[Decimal, Decimal]:
    """Profit and released margin of closing contracts, BTC."""
    if quantity == 0:
        return ZERO, ZERO
    gain = contract.profit(position.direction, quantity, position.entry_price, price)
    if quantity == position.quantity:
        return gain, position.margin
    return gain, contract.share(position.margin, quantity, position.quantity)


def _opened(
    position: SimulatedPosition, direction: Direction, quantity: int, price: Decimal
) -> tuple[SimulatedPosition, Decimal]:
    """The position with contracts added, and the margin this requires, BTC."""
    if quantity == 0:
        return position, ZERO
    added = contract.margin(contract.value(quantity, price), position.leverage)
    entry = (
        contract.entry_after(position.quantity, position.entry_price, quantity, price) if position.quantity else price
    )
    held = EXACT.add(position.margin, added)
    opened = replace(
        position, direction=direction, quantity=position.quantity + quantity, margin=held, entry_price=entry
    )
    return opened, added


def _priced(position: SimulatedPosition, realized: Decimal, now_ms: int) -> SimulatedPosition:
    """The position with its liquidation and bankruptcy prices recomputed."""
    if position.quantity == 0:
        return replace(
            position,
            realized_pnl=realized,
            entry_price=NONE,
            liquidation_price=NONE,
            bankruptcy_price=NONE,
            updated_at=now_ms,
        )
    of = (position.direction, position.quantity, position.entry_price, position.margin)
    return replace(
        position,
        realized_pnl=realized,
        liquidation_price=contract.liquidation_price(*of),
        bankruptcy_price=contract.bankruptcy_price(*of),
        updated_at=now_ms,
    )
