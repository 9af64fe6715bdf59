"""The arithmetic of an inverse contract: quantities in USD, margin, fees and profit in BTC.

Pure, and Decimal only. Every division is rounded once, towards zero, to 18 decimals, as in the exchange's own samples.
Everything else is exact addition, so books kept with these numbers balance to the last digit.

A test reproduces the samples of the exchange's page "ws Push portal" with these formulas.
"""

from decimal import ROUND_DOWN, Context, Decimal

from recorder.venues.fmex.orders import Direction

#: Precision and rounding of every step: enough for 18 decimals of any amount here; rounds towards zero.
EXACT = Context(prec=50, rounding=ROUND_DOWN)

#: The smallest unit that is kept.
UNIT = Decimal("1E-18")

ZERO = Decimal("0E-18")

#: Fee rate of a taker, per BTC of value.
TAKER_FEE_RATE = Decimal("0.00045")

#: Fee rate of a maker, per BTC of value: negative, so a rebate.
MAKER_FEE_RATE = Decimal("-0.00025")

#: Margin below which a position is liquidated, per BTC of value (the simulator's choice; the page's sample has 0.1).
MAINTENANCE_RATE = Decimal("0.005")


def opposite(direction: Direction) -> Direction:
    """The other side."""
    return "SHORT" if direction == "LONG" else "LONG"


def divide(numerator: Decimal, denominator: Decimal | int) -> Decimal:
    """Divide, and round towards zero to 18 decimals."""
    return EXACT.quantize(EXACT.divide(numerator, denominator), UNIT)


def value(quantity: int, price: Decimal) -> Decimal:
    """The value in BTC of contracts of 1 USD at a price."""
    return EXACT.quantize(EXACT.divide(quantity, price), UNIT)


def margin(worth: Decimal, leverage: int) -> Decimal:
    """The margin in BTC for a value in BTC."""
    return EXACT.quantize(EXACT.divide(worth, leverage), UNIT)


def fee(worth: Decimal, rate: Decimal) -> Decimal:
    """The fee in BTC on a value in BTC; negative for a rebate."""
    return EXACT.quantize(EXACT.multiply(worth, rate), UNIT)


def share(amount: Decimal, part: int, whole: int) -> Decimal:
    """The share of an amount that belongs to a part of the contracts."""
    return EXACT.quantize(EXACT.divide(EXACT.multiply(amount, part), whole), UNIT)


def profit(direction: Direction, quantity: int, entry: Decimal, price: Decimal) -> Decimal:
    """The profit of closing, BTC, before fees: ``q / entry - q / price`` for LONG, the negative for SHORT."""
    gain = value(quantity, entry) - value(quantity, price)
    return gain if direction == "LONG" else -gain


def entry_after(quantity: int, entry: Decimal, added: int, price: Decimal) -> Decimal:
    """The entry price after adding contracts: the mean weighted by value (harmonic)."""
    worth = EXACT.add(EXACT.divide(quantity, entry), EXACT.divide(added, price))
    return EXACT.quantize(EXACT.divide(quantity + added, worth), UNIT)


def average(notional: Decimal, quantity: int) -> Decimal:
    """The arithmetic mean price of fills, from the sum of quantity times price; exact if 18 decimals suffice."""
    mean = EXACT.divide(notional, quantity)
    exponent = mean.as_tuple().exponent
    return EXACT.quantize(mean, UNIT) if isinstance(exponent, int) and exponent < -18 else mean


def bankruptcy_price(
    direction: Direction, quantity: int, entry: Decimal, held: Decimal, *, taker_rate: Decimal = TAKER_FEE_RATE
) -> Decimal:
    """The price at which closing, with its fee, uses up the whole margin.

    LONG: ``1/b = (1/entry + margin/q) / (1 + f)``; SHORT: ``1/b = (1/entry - margin/q) / (1 - f)``.

    Args:
        direction: the position's side.
        quantity: contracts held, above 0.
        entry: entry price.
        held: the position's margin, BTC.
        taker_rate: the fee rate ``f``.

    Returns:
        The price; 0 for a SHORT whose margin exceeds its value: no price can exhaust it.
    """
    return _price_where_margin_is(direction, quantity, entry, held, taker_rate)


def liquidation_price(
    direction: Direction,
    quantity: int,
    entry: Decimal,
    held: Decimal,
    *,
    taker_rate: Decimal = TAKER_FEE_RATE,
    maintenance_rate: Decimal = MAINTENANCE_RATE,
) -> Decimal:
    """The price at which only the maintenance margin is left: as for bankruptcy, with that rate added to ``f``."""
    return _price_where_margin_is(direction, quantity, entry, held, taker_rate + maintenance_rate)


def _price_where_margin_is(
    direction: Direction, quantity: int, entry: Decimal, held: Decimal, rate: Decimal
) -> Decimal:
    """``(1 ± rate) / (1/entry ± margin/q)``: the price at which the margin still covers ``rate`` of the value."""
    a_contract = EXACT.divide(held, quantity)
    if direction == "LONG":
        inverse, factor = EXACT.add(EXACT.divide(1, entry), a_contract), EXACT.add(1, rate)
    else:
        inverse, factor = EXACT.subtract(EXACT.divide(1, entry), a_contract), EXACT.subtract(1, rate)
    return EXACT.quantize(EXACT.divide(factor, inverse), UNIT) if inverse > 0 else ZERO
