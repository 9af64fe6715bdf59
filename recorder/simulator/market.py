"""A random walk of prices, from a seed, on a tick of 0.5 USD, and the depth at each price."""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import TypeVar

from recorder.venues.fmex.orders import Direction

T = TypeVar("T")

#: Ticks in one USD.
TICKS = 2


#: Probability of a jump by 1 to 6 %, enough to liquidate a position on the wrong side.
LEAPS = 0.002


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


@lru_cache(maxsize=65_536)
def traded(ticks: int) -> Decimal:
    """The price of a trade, always with one decimal: ``9288.0``."""
    return Decimal(ticks * 5).scaleb(-1)


@lru_cache(maxsize=65_536)
def asked(ticks: int) -> Decimal:
    """A price as a trader types it: ``10210``, ``10210.5``."""
    return Decimal(ticks // TICKS) if ticks % TICKS == 0 else traded(ticks)


class Market:
    """One symbol's market: the best bid, in ticks, and the best ask one tick above."""

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
        """The price, in ticks, at which a taker on this side trades first."""
        return self.bid + 1 if direction == "LONG" else self.bid

    def move(self) -> None:
        """Move around a changing drift, with rare jumps; turn back at half and double the first price."""
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
        """Contracts offered at one price; often few, sometimes none."""
        return (0, 1, 7, 60, 400, 1500, 4000, 20_000)[self._dice.below(8)]

    def levels(self, direction: Direction, limit: int, quantity: int) -> list[tuple[int, int]]:
        """What a taker can trade: ``(ticks, contracts)`` from the best price up to its limit, at most six prices."""
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
