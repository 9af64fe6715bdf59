"""How a venue's amounts enter the books, and what a fill does to balances, by the kind of its contract. Pure.

Every sum is exact.
"""

from collections.abc import Callable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import NamedTuple, Protocol

from recorder.model import BUY, Instrument

#: For sums of money. Decoders accept numbers of at most 100 characters and exponents of at most 99, so even a sum of
#: millions has fewer digits than this; a sum that would lose digits raises.
EXACT = Context(prec=500, traps=[Inexact, InvalidOperation, Overflow])


class Holding(NamedTuple):
    """The fields of a position that the books need."""

    #: In the venue's unit, negative if short; 0 if it is closed.
    quantity: Decimal
    #: As the venue reports it.
    realized_pnl: Decimal


class PnlReading(NamedTuple):
    """One interpretation of a position's realized PnL, where the venue's documentation allows several."""

    name: str
    #: The PnL realized between two states of a position, net of fees.
    realized: Callable[[Holding, Holding], Decimal]


class Execution(NamedTuple):
    """The fields of a fill that the books need."""

    market: str | None
    symbol: str
    side: str | None
    price: Decimal | None
    quantity: Decimal
    #: Positive when paid.
    fee: Decimal
    fee_currency: str | None
    realized_pnl: Decimal | None


class Move(NamedTuple):
    """A change of one balance."""

    wallet: str | None
    currency: str
    #: Fee included.
    amount: Decimal
    #: Positive when paid.
    fee: Decimal


class Ledger(Protocol):
    """How a venue's transactions explain its balances."""

    #: Whether fills are among the transactions. If not, both together explain a balance.
    has_trades: bool
    #: Whether `owned` needs the frame.
    reads_frames: bool = False
    #: Whether the transactions of a trade have its id. If not, no fill is compared with them.
    names_trades: bool = True
    #: Whether the transactions of a trade say of which symbol it is. If not, trade ids alone are unique.
    names_symbols: bool = True
    #: Whether a trade's amount and its fee are each rounded, to the digits in which the currency's amounts are listed.
    rounds_trades: bool = False
    #: Beginnings of `venue_type`: a fill is compared with its transactions only if each has one of them.
    trade_types: tuple[str, ...] = ("",)

    def decimals(self, wallet: str | None) -> int | None:
        """To how many decimals a wallet's amounts are rounded before they are compared; None: they are exact."""
        ...

    def owned(self, wallet: str | None, balance: Decimal | None, payload: bytes) -> Decimal | None:
        """The balance that fills and transactions change by their amounts; None: the frame does not have it.

        Args:
            wallet: whose it is.
            balance: the account update's.
            payload: the frame of the update; empty unless `reads_frames`.
        """
        ...

    def list_of(self, _currency: str, /) -> str | None:
        """Which list a currency's transactions are in: each is asked for by itself, and so until another time."""
        return None

    def keeps(self, _wallet: str | None, /) -> bool:
        """Whether the books of a wallet are kept: not where too little is documented."""
        return True

    def moves(self, fill: Execution, contract: Instrument) -> tuple[Move, ...] | None:
        """What a fill does to balances; None: the venue does not document it, or the contract is not known."""
        ...


class Accounting(Protocol):
    """How a venue's amounts enter the books. Sums are computed with `EXACT`."""

    #: The most likely first; the one with which least is unexplained counts. Empty if there is a ledger.
    readings: tuple[PnlReading, ...]
    #: None: the venue has no transactions, and positions and orders have to explain balances.
    ledger: Ledger | None
    #: Currencies in which a fill gains and loses if its fee is paid in one, whatever its contract is settled in.
    gains_in: frozenset[str] = frozenset()

    def instrument(self, symbol: str, market: str | None = None) -> Instrument:
        """What a symbol means, as far as the venue's documentation says it, where no frame does."""
        ...


def exchanged(fill: Execution, wallet: str | None, base: str, quote: str) -> tuple[Move, ...] | None:
    """One currency is bought with another: a fill on a spot market."""
    if fill.price is None:
        return None
    quantity, value = fill.quantity, EXACT.multiply(fill.price, fill.quantity)
    if fill.side == BUY:
        value = EXACT.minus(value)
    else:
        quantity = EXACT.minus(quantity)
    return _with_fee(fill, wallet, {base: quantity, quote: value})


def realized(fill: Execution, wallet: str | None, settle: str) -> tuple[Move, ...] | None:
    """A position realizes PnL, which the venue reports with the fill."""
    return _with_fee(fill, wallet, {settle: fill.realized_pnl or Decimal(0)}, settle)


def paid(fill: Execution, wallet: str | None, quote: str) -> tuple[Move, ...] | None:
    """The value of a linear contract is paid or received, and its PnL is part of that."""
    if fill.price is None:
        return None
    value = EXACT.multiply(fill.price, fill.quantity)
    return _with_fee(fill, wallet, {quote: EXACT.minus(value) if fill.side == BUY else value}, quote)


def _with_fee(
    fill: Execution, wallet: str | None, amounts: dict[str, Decimal], settle: str | None = None
) -> tuple[Move, ...] | None:
    """The moves, fee included; None if nobody says in which currency it was paid."""
    currency = fill.fee_currency or settle
    fees: dict[str, Decimal] = {}
    if fill.fee:
        if currency is None:
            return None
        fees[currency] = fill.fee
        amounts = {currency: Decimal(0), **amounts}
    zero = Decimal(0)
    return tuple(
        Move(wallet, name, EXACT.subtract(amount, fees.get(name, zero)), fees.get(name, zero))
        for name, amount in amounts.items()
    )
