"""A market that walks at random, from a seed: prices on a tick of 0.5 USD and what stands at each."""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import TypeVar

from recorder.venues.fmex.orders import Direction

T = TypeVar("T")

#: Ticks in one USD.
TICKS = 2


#: How often the price leaps by 1 to 6 %, far enough to liquidate who stands on the wrong side.
LEAPS = 0.002


class Dice:
    """Random numbers of a seed.

    Built on ``random()`` alone, whose sequence Python promises to keep from version to version: so do our frames.
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
        """True that often."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[int(self._random() * len(options))]


@lru_cache(maxsize=65_536)
def traded(ticks: int) -> Decimal:
    """A price of a trade, always with one decimal: ``9288.0``."""
    return Decimal(ticks * 5).scaleb(-1)


@lru_cache(maxsize=65_536)
def asked(ticks: int) -> Decimal:
    """A price somebody typed: ``10210``, ``10210.5``."""
    return Decimal(ticks // TICKS) if ticks % TICKS == 0 else traded(ticks)


class Market:
    """One symbol's price, in ticks: the best bid; the best ask stands a tick above."""

    def __init__(self, dice: Dice, start_ticks: int) -> None:
        self._dice = dice
        self._low, self._high = start_ticks // 2, start_ticks * 2
        self._drift = 0
        self.bid = start_ticks

    @property
    def ask(self) -> int:
        """The best ask, in ticks."""
        return self.bid + 1

    def best(self, direction: Direction) -> int:
        """The price, in ticks, at which a taker of this side trades first."""
        return self.bid + 1 if direction == "LONG" else self.bid

    def move(self) -> None:
        """Walk on about a drift that turns now and then, seldom a leap; back from half and double the first price."""
        dice = self._dice
        if dice.chance(0.02):
            self._drift = dice.between(-4, 4)
        if dice.chance(LEAPS):
            self.bid += dice.between(200, 1200) * dice.pick((-1, 1))
        if self.bid < self._low:
            self._drift = 3
        elif self.bid > self._high:
            self._drift = -3
        self.bid += self._drift + dice.between(-6, 6)

    def depth(self) -> int:
        """How many contracts stand at one price; often few, now and then none."""
        return (0, 1, 7, 60, 400, 1500, 4000, 20_000)[self._dice.below(8)]

    def levels(self, direction: Direction, limit: int, quantity: int) -> list[tuple[int, int]]:
        """What a taker finds: ``(ticks, contracts)`` from the best price on, to its limit or at most six prices."""
        found: list[tuple[int, int]] = []
        ticks = self.best(direction)
        towards = 1 if direction == "LONG" else -1
        for _ in range(6):
            if quantity <= 0 or (limit - ticks) * towards < 0:
                break
            size = min(quantity, self.depth())
            if size:
                found.append((ticks, size))
            quantity -= size
            ticks += towards
        return found
