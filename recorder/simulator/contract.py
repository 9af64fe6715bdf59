"""The arithmetic of an inverse contract: quantities in USD, margin, fees and profit in BTC.

Pure, and Decimal only. Every division is cut once to 18 decimals, towards zero, as the exchange's own samples are; what
follows is exact addition, so that books kept with these numbers balance to the last digit.

The formulas are pinned by the samples of the exchange's page "ws Push portal", which a test reproduces.
"""

from decimal import ROUND_DOWN, Context, Decimal

from recorder.venues.fmex.orders import Direction

#: Precision and rounding of every step: wide enough for 18 decimals of any amount here, and cut towards zero.
EXACT = Context(prec=50, rounding=ROUND_DOWN)

#: The last digit that is kept.
UNIT = Decimal("1E-18")

ZERO = Decimal("0E-18")

#: What a taker pays, per BTC of value.
TAKER_FEE_RATE = Decimal("0.00045")

#: What a maker pays, per BTC of value: negative, a rebate.
MAKER_FEE_RATE = Decimal("-0.00025")

#: The margin below which a position is liquidated, per BTC of value (the simulator's own; the page's sample says 0.1).
MAINTENANCE_RATE = Decimal("0.005")


def opposite(direction: Direction) -> Direction:
    """The other side."""
    return "SHORT" if direction == "LONG" else "LONG"


def divide(numerator: Decimal, denominator: Decimal | int) -> Decimal:
    """Divide, and cut to 18 decimals."""
    return EXACT.quantize(EXACT.divide(numerator, denominator), UNIT)


def value(quantity: int, price: Decimal) -> Decimal:
    """The value in BTC of so many contracts of 1 USD at a price."""
    return EXACT.quantize(EXACT.divide(quantity, price), UNIT)


def margin(worth: Decimal, leverage: int) -> Decimal:
    """The margin in BTC that a value of so many BTC needs."""
    return EXACT.quantize(EXACT.divide(worth, leverage), UNIT)


def fee(worth: Decimal, rate: Decimal) -> Decimal:
    """The fee in BTC on a value in BTC; negative for a rebate."""
    return EXACT.quantize(EXACT.multiply(worth, rate), UNIT)


def share(amount: Decimal, part: int, whole: int) -> Decimal:
    """The share of an amount that falls to a part of the contracts."""
    return EXACT.quantize(EXACT.divide(EXACT.multiply(amount, part), whole), UNIT)


def profit(direction: Direction, quantity: int, entry: Decimal, price: Decimal) -> Decimal:
    """What closing a position brings, BTC, before fees: ``q / entry - q / price`` for LONG, the negative for SHORT."""
    gain = value(quantity, entry) - value(quantity, price)
    return gain if direction == "LONG" else -gain


def entry_after(quantity: int, entry: Decimal, added: int, price: Decimal) -> Decimal:
    """The entry price after adding contracts: weighted by value, the harmonic mean."""
    worth = EXACT.add(EXACT.divide(quantity, entry), EXACT.divide(added, price))
    return EXACT.quantize(EXACT.divide(quantity + added, worth), UNIT)


def average(notional: Decimal, quantity: int) -> Decimal:
    """The arithmetic mean price of fills, from the sum of quantity times price; exact where 18 decimals can hold it."""
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
        The price; 0 for a SHORT whose margin exceeds its value, which no price can exhaust.
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
    """The price at which only the maintenance margin is left: as for bankruptcy, that rate added to ``f``."""
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
