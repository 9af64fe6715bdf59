"""How long to wait before connecting again: growing, bounded, and at random, so that many clients do not come at once.

Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter", here over a floor).
"""

from collections.abc import Callable
from random import SystemRandom

uniform = SystemRandom().uniform


class Backoff:
    """The waits of one collector.

    Args:
        first_s: the bound of the first wait.
        last_s: the bound of every wait.
        pick_s: a random number between two bounds.
    """

    def __init__(self, first_s: float, last_s: float, pick_s: Callable[[float, float], float] = uniform) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._pick_s = pick_s
        self._attempts = 0

    def next_s(self, at_least_s: float = 0.0) -> float:
        """The next wait, in seconds, but no less than the exchange asked for."""
        # 2**63 is beyond any bound: the exponent is held there so that months of attempts overflow nothing.
        bound_s = min(self._last_s, self._first_s * 2.0 ** min(self._attempts, 63))
        self._attempts += 1
        return max(self._pick_s(bound_s / 2, bound_s), at_least_s)

    def reset(self) -> None:
        """The connection has proved good: start again from the first wait."""
        self._attempts = 0
