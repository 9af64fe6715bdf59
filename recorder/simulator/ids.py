"""Ids that only grow."""

#: Ids a millisecond under the real clock: more than an account ever uses, and an id stays exact in a double.
IDS_PER_MS = 1_000


class Ids:
    """Makes ids.

    Args:
        first: the first one under a virtual clock.
        live: make them follow the time, so that a restarted simulator never repeats one.
    """

    def __init__(self, first: int, *, live: bool) -> None:
        self._next = first
        self._live = live

    def next(self, now_ms: int, step: int = 1) -> int:
        """The next id.

        Args:
            now_ms: milliseconds since 1970.
            step: the distance of the one after it under a virtual clock.
        """
        found = max(self._next, now_ms * IDS_PER_MS if self._live else 0)
        self._next = found + (1 if self._live else step)
        return found
