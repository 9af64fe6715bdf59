"""What a fill does to balances, by the kind of its contract. Pure; every sum is exact."""

from decimal import Decimal

from recorder.model import BUY
from recorder.venues.base import EXACT, Execution, Move


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
