"""The arithmetic of instruments: value, margin, fees, profit, and the prices of liquidation and bankruptcy.

Pure, and Decimal only. Every amount is rounded once, towards zero, to whole units of its currency, and every price to
18 decimals. Everything else is exact addition, so books kept with these numbers balance to the last digit.
"""

from decimal import ROUND_DOWN, Context, Decimal

from recorder.venues.simulated import PositionSide, Side, Terms

#: Precision and rounding of every step: enough for 18 decimals of any amount here; rounds towards zero.
EXACT = Context(prec=50, rounding=ROUND_DOWN)

#: The smallest unit of a computed price.
PRICE_UNIT = Decimal("1E-18")

NO_PRICE = Decimal("0E-18")


def opposite(side: Side) -> Side:
    """The other side."""
    return "sell" if side == "buy" else "buy"


def held_by(side: Side) -> PositionSide:
    """The position that an order of this side opens."""
    return "long" if side == "buy" else "short"


def zero(unit: Decimal) -> Decimal:
    """Nothing, with the decimals of this unit."""
    return unit - unit


def value(terms: Terms, quantity: Decimal, price: Decimal) -> Decimal:
    """What a quantity is worth at a price, in the settle currency."""
    worth = EXACT.divide(quantity, price) if terms.kind == "inverse" else EXACT.multiply(quantity, price)
    return EXACT.quantize(worth, terms.unit)


def margin(terms: Terms, side: PositionSide, quantity: Decimal, worth: Decimal) -> Decimal:
    """The margin of a position of this value.

    A bought option needs none. One that was written keeps what it is an option on, or the strike.
    """
    if terms.kind != "option":
        return EXACT.quantize(EXACT.divide(worth, terms.leverage), terms.unit)
    if side == "long":
        return zero(terms.unit)
    return EXACT.quantize(quantity if terms.is_paid_in_base else EXACT.multiply(quantity, terms.strike), terms.unit)


def need(terms: Terms, side: Side, price: Decimal, quantity: Decimal) -> Decimal:
    """Margin and taker fee of a quantity at a price, or what a spot order gives away: what an order locks.

    An order that would only close a position locks it as well: the position may be gone before it fills.
    """
    if terms.kind == "spot" and side == "sell":
        return quantity.quantize(terms.base_unit)
    worth = value(terms, quantity, price)
    charged = fee(worth, terms.taker_rate, terms.unit)
    if terms.kind == "spot":
        return worth if terms.fee_in_received else worth + charged
    if terms.kind == "option" and side == "buy":
        return worth + charged
    return margin(terms, held_by(side), quantity, worth) + charged


def payoff(terms: Terms, quantity: Decimal, price: Decimal) -> Decimal:
    """What exercising options earns, in the settle currency, at a price of what they are options on."""
    each = max(terms.strike - price if terms.is_put else price - terms.strike, NO_PRICE)
    earned = EXACT.multiply(quantity, each)
    return EXACT.quantize(EXACT.divide(earned, price) if terms.is_paid_in_base else earned, terms.unit)


def fee(worth: Decimal, rate: Decimal, unit: Decimal) -> Decimal:
    """The fee on a value; negative for a rebate."""
    return EXACT.quantize(EXACT.multiply(worth, rate), unit)


def share(amount: Decimal, part: Decimal, whole: Decimal, unit: Decimal) -> Decimal:
    """The share of an amount that belongs to a part of a position."""
    return EXACT.quantize(EXACT.divide(EXACT.multiply(amount, part), whole), unit)


def profit(terms: Terms, side: PositionSide, quantity: Decimal, entry: Decimal, price: Decimal) -> Decimal:
    """The profit of closing, before fees.

    Inverse: ``q / entry - q / price``, linear: ``q * price - q * entry``, for a long position; the negative for a
    short one.
    """
    gain = value(terms, quantity, price) - value(terms, quantity, entry)
    return gain if (side == "long") == (terms.kind != "inverse") else -gain


def entry_after(quantity: Decimal, entry: Decimal, added: Decimal, price: Decimal) -> Decimal:
    """The entry price after adding to a position of inverse contracts: the mean weighted by value (harmonic)."""
    worth = EXACT.add(EXACT.divide(quantity, entry), EXACT.divide(added, price))
    return EXACT.quantize(EXACT.divide(quantity + added, worth), PRICE_UNIT)


def average(notional: Decimal, quantity: Decimal) -> Decimal:
    """The arithmetic mean price of fills, from the sum of quantity times price; exact if 18 decimals suffice."""
    mean = EXACT.divide(notional, quantity)
    exponent = mean.as_tuple().exponent
    return EXACT.quantize(mean, PRICE_UNIT) if isinstance(exponent, int) and exponent < -18 else mean


def bankruptcy_price(terms: Terms, side: PositionSide, quantity: Decimal, entry: Decimal, held: Decimal) -> Decimal:
    """The price at which closing, with its fee, uses up the whole margin.

    Inverse, long: ``1/b = (1/entry + margin/q) / (1 + f)``, short: ``1/b = (1/entry - margin/q) / (1 - f)``. Linear,
    long: ``b = (entry - margin/q) / (1 - f)``, short: ``b = (entry + margin/q) / (1 + f)``.

    Args:
        terms: of the instrument; ``f`` is its taker's fee rate.
        side: the position's side.
        quantity: held, above 0.
        entry: entry price.
        held: the position's margin.

    Returns:
        The price; 0 if no price can exhaust the margin.
    """
    return _price_where_margin_is(terms, side, quantity, entry, held, terms.taker_rate)


def liquidation_price(terms: Terms, side: PositionSide, quantity: Decimal, entry: Decimal, held: Decimal) -> Decimal:
    """The price at which only the maintenance margin is left: as for bankruptcy, with that rate added to ``f``."""
    return _price_where_margin_is(terms, side, quantity, entry, held, terms.taker_rate + terms.maintenance_rate)


def _price_where_margin_is(
    terms: Terms, side: PositionSide, quantity: Decimal, entry: Decimal, held: Decimal, rate: Decimal
) -> Decimal:
    """The price at which the margin still covers ``rate`` of the value."""
    each = EXACT.divide(held, quantity)
    is_inverse = terms.kind == "inverse"
    start = EXACT.divide(1, entry) if is_inverse else entry
    # Of an inverse contract, the inverse of the price takes the price's place, and a long position is short of it.
    if (side == "long") == is_inverse:
        reached, factor = EXACT.add(start, each), EXACT.add(1, rate)
    else:
        reached, factor = EXACT.subtract(start, each), EXACT.subtract(1, rate)
    if reached <= 0:
        return NO_PRICE
    return EXACT.quantize(EXACT.divide(factor, reached) if is_inverse else EXACT.divide(reached, factor), PRICE_UNIT)
