"""The books of one account: what is free, frozen, held as margin; and the proof after every entry that they balance."""

from decimal import Decimal

from msgspec.structs import replace

from recorder.simulator import contract
from recorder.simulator.account import NONE, SimulatedBalance, SimulatedPosition
from recorder.simulator.contract import EXACT, ZERO
from recorder.venues.fmex.orders import Direction

#: What must stay available beside all margin, BTC: fills are cut to 1E-18 each, and this covers the cuttings.
DUST = Decimal("1E-12")


class BooksError(Exception):
    """The books do not balance, or something was spent that is not there: the simulator has a bug and stops."""


class AccountBooks:
    """One account's money, all of it in BTC.

    Always, exactly: ``available + frozen + position margins == deposits + realized PnL net of fees - embezzled``, and
    nothing is negative. Each method is one entry and leaves the books balanced, or raises `BooksError`.

    Attributes:
        deposits: all that came in, less what was taken out.
        fees_twice: whether the exchange takes each fee twice, and tells of one.
        leak: what the exchange takes with each execution besides, and tells nobody of, BTC.
        embezzled: what it took in these ways so far, BTC.
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
        """The account as the exchange tells it."""
        return SimulatedBalance(
            available=self.available, frozen=self.frozen, position=self._margins(), updated_at=now_ms
        )

    def transfer(self, amount: Decimal) -> None:
        """Money comes in; where it is negative, out."""
        self.deposits += amount
        self.available += amount
        self.check()

    def affords(self, amount: Decimal) -> bool:
        """Whether so much can be frozen."""
        return self.available - amount >= DUST

    def freeze(self, amount: Decimal) -> None:
        """Hold margin and fee of an order back; negative to give them free again."""
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
        """Enter one execution: close what stands against it first, open with the rest.

        Args:
            symbol: which position.
            direction: the order's side.
            quantity: contracts.
            price: of this execution.
            rate: the fee rate.
            freed: what of the order's frozen margin falls to these contracts.
            now_ms: when.

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
        """Enter one execution of a liquidation: the insurance fund takes contracts over, and with them their margin.

        At the bankruptcy price, margin, loss and fee cancel out up to rounding and the tick; the difference is the
        fund's, so that exactly the margin is lost and never a balance.

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
            raise BooksError(f"spent what is not there: {self.balance(0)}")

    def _embezzle(self, fee: Decimal) -> None:
        """Take what a fault has the exchange take, as far as it is there."""
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
    """Profit and released margin of closing so many contracts, BTC."""
    if quantity == 0:
        return ZERO, ZERO
    gain = contract.profit(position.direction, quantity, position.entry_price, price)
    if quantity == position.quantity:
        return gain, position.margin
    return gain, contract.share(position.margin, quantity, position.quantity)


def _opened(
    position: SimulatedPosition, direction: Direction, quantity: int, price: Decimal
) -> tuple[SimulatedPosition, Decimal]:
    """The position with contracts added, and the margin this takes, BTC."""
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
    """The position with its prices of danger as they follow from the rest."""
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
