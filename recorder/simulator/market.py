"""Random walks of prices, from a seed, on an instrument's ticks, and the depth at each price."""

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import TypeVar

from recorder.simulator.contract import payoff
from recorder.venues.simulated import Side, Terms

T = TypeVar("T")

#: Probability of a jump by some percent, enough to liquidate a position on the wrong side.
LEAPS = 0.002

#: First price, in ticks, at which the price moves by single ticks; at a multiple of it, by as many.
TICKS = 18_576


class Dice:
    """Random numbers from a seed.

    Uses only ``random()``, whose sequence Python guarantees across versions, so the same seed always gives the same
    frames.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random

    def below(self, limit: int) -> int:
        """An integer from 0 to ``limit - 1``."""
        return int(self._random() * limit)

    def between(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return low + int(self._random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[int(self._random() * len(options))]


class Market:
    """One instrument's market: the best bid, in ticks, and the best ask one tick above.

    Args:
        dice: random numbers.
        terms: of the instrument.
        first: the first bid, in ticks.
    """

    def __init__(self, dice: Dice, terms: Terms, first: int) -> None:
        self.terms = terms
        self._dice = dice
        self._low, self._high = first // 2, first * 2
        self._drift = 0
        #: Ticks between two prices of the book, and of the smallest move.
        self.scale = max(1, (first + TICKS // 2) // TICKS)
        #: Ticks in one unit of the quote currency, at least 1; prices in whole units are round ones.
        self.whole = int(max(Decimal(1), 1 / terms.price_tick))
        self.bid = first
        self._exponent = Decimal(1).scaleb(min(0, int(terms.price_tick.normalize().as_tuple().exponent)))

    @property
    def ask(self) -> int:
        """The best ask, in ticks."""
        return self.bid + 1

    def best(self, side: Side) -> int:
        """The price, in ticks, at which a taker on this side trades first."""
        return self.bid + 1 if side == "buy" else self.bid

    def traded(self, ticks: int) -> Decimal:
        """The price of a trade, with all decimals of the tick: ``9288.0``."""
        return (ticks * self.terms.price_tick).quantize(self._exponent)

    def asked(self, ticks: int) -> Decimal:
        """A price as a trader types it: ``10210``, ``10210.5``."""
        return Decimal(ticks // self.whole) if self.whole > 1 and ticks % self.whole == 0 else self.traded(ticks)

    def ticks(self, price: Decimal) -> int:
        """A price in ticks, rounded down."""
        return int(price / self.terms.price_tick)

    def quantity(self, lots: int) -> Decimal:
        """A quantity in units, from one in steps."""
        return lots * self.terms.quantity_step

    def lots(self, quantity: Decimal) -> int:
        """A quantity in steps."""
        return int(quantity / self.terms.quantity_step)

    @property
    def settlement_price(self) -> Decimal:
        """At which positions are settled if it expires now."""
        return self.traded(self.bid)

    def move(self) -> None:
        """Move around a changing drift, with rare jumps; turn back at half and double the first price."""
        dice = self._dice
        if dice.chance(0.02):
            self._drift = dice.between(-4, 4)
        if dice.chance(LEAPS):
            self.bid += dice.between(200, 1200) * dice.pick((-1, 1)) * self.scale
        if self.bid < self._low:
            self._drift = 3
        elif self.bid > self._high:
            self._drift = -3
        self.bid += (self._drift + dice.between(-6, 6)) * self.scale

    def depth(self) -> int:
        """Steps of the quantity offered at one price; often few, sometimes none."""
        return (0, 1, 7, 60, 400, 1500, 4000, 20_000)[self._dice.below(8)]

    def levels(self, side: Side, limit: int, lots: int) -> list[tuple[int, int]]:
        """What a taker can trade: ``(ticks, lots)`` from the best price up to its limit, at most six prices."""
        found: list[tuple[int, int]] = []
        ticks = self.best(side)
        towards = self.scale if side == "buy" else -self.scale
        for _ in range(6):
            if lots <= 0 or (limit - ticks) * towards < 0:
                break
            size = min(lots, self.depth())
            if size:
                found.append((ticks, size))
            lots -= size
            ticks += towards
        return found

    def worst(self, side: Side) -> int:
        """The worst price of a market order, in ticks: 10 % from the best one, in whole units if that is precise."""
        limit = self.best(side) * (11 if side == "buy" else 9) // 10
        return limit // self.whole * self.whole if limit > 100 * self.whole else limit


class OptionMarket(Market):
    """An option's market: its price is what exercising it at once would earn, and a time value that walks.

    Args:
        dice: random numbers.
        terms: of the option.
        first: the first time value, in ticks.
        underlying: the market of what it is an option on.
    """

    def __init__(self, dice: Dice, terms: Terms, first: int, underlying: Market) -> None:
        super().__init__(dice, terms, first)
        self._underlying = underlying
        self._time_value = first
        self._price()

    @property
    def settlement_price(self) -> Decimal:
        """That of what it is an option on."""
        return self._underlying.settlement_price

    def move(self) -> None:
        """Follow the underlying, and let the time value walk between half and double the first one."""
        self._time_value = min(max(self._time_value + self._dice.between(-6, 6), self._low), self._high)
        self._price()

    def _price(self) -> None:
        self.bid = self.ticks(payoff(self.terms, Decimal(1), self.settlement_price)) + self._time_value


def markets_of(dice: Dice, instruments: Sequence[Terms]) -> dict[str, Market]:
    """The markets of instruments, by `Terms.name`.

    Raises:
        ValueError: see `require_underlyings`.
    """
    require_underlyings(instruments)
    markets: dict[str, Market] = {}
    for one in sorted(instruments, key=lambda one: one.kind == "option"):
        first = int(one.first_price / one.price_tick)
        if one.kind == "option":
            underlying = next(market for market in markets.values() if _is_underlying(market.terms, one))
            markets[one.name] = OptionMarket(dice, one, first, underlying)
        else:
            markets[one.name] = Market(dice, one, first + dice.between(-40, 40))
    return markets


def require_underlyings(instruments: Sequence[Terms]) -> None:
    """Raise ValueError if something expires, and nothing else of its base currency goes on being traded."""
    for dated in instruments:
        if dated.expires_ms and not any(_is_underlying(one, dated) for one in instruments):
            raise ValueError(f"{dated.symbol} expires: name an instrument of {dated.base} beside it that does not")


def _is_underlying(terms: Terms, dated: Terms) -> bool:
    return terms.base == dated.base and not terms.expires_ms
