"""How long to wait before another attempt: growing, bounded, and random, so that clients do not all return at once.

Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter", here over a floor).
"""

from collections.abc import Callable
from random import SystemRandom

uniform = SystemRandom().uniform


class Backoff:
    """The waits between attempts.

    Args:
        first_s: the longest first wait, seconds.
        last_s: the longest wait, seconds.
        pick_s: picks a random number between two bounds.
    """

    def __init__(self, first_s: float, last_s: float, pick_s: Callable[[float, float], float] = uniform) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._pick_s = pick_s
        self._attempts = 0

    def next_s(self, at_least_s: float = 0.0) -> float:
        """The next wait, in seconds, but no less than `at_least_s`."""
        # The exponent is limited, so that months of attempts cause no overflow.
        bound_s = min(self._last_s, self._first_s * 2.0 ** min(self._attempts, 63))
        self._attempts += 1
        return max(self._pick_s(bound_s / 2, bound_s), at_least_s)

    def reset(self) -> None:
        """After a success: start again with the first wait."""
        self._attempts = 0
