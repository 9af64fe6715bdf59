"""Limits of the rate of requests, and of connections, as an exchange keeps them."""

from collections import defaultdict, deque
from math import ceil
from typing import NamedTuple


class RateLimit:
    """Admits requests of a total weight within any window. Refused requests do not count.

    Args:
        weight_max: the greatest total weight.
        window_ms: milliseconds in which it may be spent.
        ban_ms: for how long everything is refused after one request too many, milliseconds; 0 for no ban.
    """

    def __init__(self, weight_max: int, window_ms: int, *, ban_ms: int = 0) -> None:
        self._weight_max = weight_max
        self._window_ms = window_ms
        self._ban_ms = ban_ms
        self._spent: defaultdict[str, deque[tuple[int, int]]] = defaultdict(deque)
        self._banned: dict[str, int] = {}

    def spend(self, who: str, now_ms: int, weight: int = 1) -> int:
        """Spend weight.

        Args:
            who: a key, an address.
            now_ms: the exchange's clock, milliseconds since 1970.
            weight: of the request.

        Returns:
            0, or the milliseconds after which it would be admitted: the request is refused.
        """
        banned_ms = self._banned.get(who, 0) - now_ms
        if banned_ms > 0:
            return banned_ms
        spent = self._current(who, now_ms)
        over = sum(one for _, one in spent) + weight - self._weight_max
        if over <= 0:
            spent.append((now_ms, weight))
            return 0
        if self._ban_ms:
            self._banned[who] = now_ms + self._ban_ms
            return self._ban_ms
        for at_ms, one in spent:
            over -= one
            if over <= 0:
                return at_ms + self._window_ms - now_ms
        return self._window_ms

    def left(self, who: str, now_ms: int) -> int:
        """The weight that can be spent at the moment."""
        return self._weight_max - sum(one for _, one in self._current(who, now_ms))

    def _current(self, who: str, now_ms: int) -> deque[tuple[int, int]]:
        """What was spent in the last window, oldest first."""
        if who not in self._spent:  # forget those that are idle: their number is unlimited
            for old in [old for old, times in self._spent.items() if self._is_over(times, now_ms)]:
                del self._spent[old]
            self._banned = {old: until_ms for old, until_ms in self._banned.items() if until_ms > now_ms}
        spent = self._spent[who]
        while spent and now_ms - spent[0][0] >= self._window_ms:
            spent.popleft()
        return spent

    def _is_over(self, spent: deque[tuple[int, int]], now_ms: int) -> bool:
        return not spent or now_ms - spent[-1][0] >= self._window_ms


class DecayingLimit:
    """A counter that rises with each request, and falls with time. Refused requests do not count.

    Args:
        count_max: what it may reach.
        falls_per_s: by how much it falls in a second.
    """

    def __init__(self, count_max: int, falls_per_s: float) -> None:
        self._count_max = count_max
        self._falls_per_ms = falls_per_s / 1000
        #: Who → what the counter was, and when, milliseconds since 1970. Those at 0 are not kept.
        self._counters: dict[str, tuple[float, int]] = {}

    def spend(self, who: str, now_ms: int, weight: int = 1) -> int:
        """Raise the counter.

        Args:
            who: a key.
            now_ms: the exchange's clock, milliseconds since 1970.
            weight: of the request.

        Returns:
            0, or the milliseconds after which it would be admitted: the request is refused.
        """
        if who not in self._counters:  # forget those that are idle: their number is unlimited
            self._counters = {one: held for one, held in self._counters.items() if self._count(one, now_ms)}
        count = self._count(who, now_ms)
        over = count + weight - self._count_max
        if over > 0:
            return ceil(over / self._falls_per_ms)
        self._counters[who] = count + weight, now_ms
        return 0

    def _count(self, who: str, now_ms: int) -> float:
        count, at_ms = self._counters.get(who, (0.0, now_ms))
        return max(count - (now_ms - at_ms) * self._falls_per_ms, 0.0)


class Connections(NamedTuple):
    """How many connections to its sockets an exchange allows an address. None: it does not say."""

    #: New ones within any window of `window_s`, refused ones aside.
    opened_max: int | None = None
    window_s: float = 60.0
    #: Open at a time.
    open_max: int | None = None
    #: For how long all are refused after one too many, seconds; 0: until the window allows one again.
    ban_s: float = 0.0


class ConnectionCount:
    """Counts the connections of each address, and refuses those that are too many.

    Args:
        allowed: what the exchange allows.
    """

    def __init__(self, allowed: Connections) -> None:
        self._open_max = allowed.open_max
        window_ms, ban_ms = int(allowed.window_s * 1000), int(allowed.ban_s * 1000)
        self._opened = RateLimit(allowed.opened_max, window_ms, ban_ms=ban_ms) if allowed.opened_max else None

    def refuses(self, address: str, open_now: int, now_ms: int) -> bool:
        """Count a new connection. Returns whether it is one too many.

        Args:
            address: of the client.
            open_now: how many it has open.
            now_ms: milliseconds since 1970, or from any other start.
        """
        if self._open_max is not None and open_now >= self._open_max:
            return True
        return self._opened is not None and self._opened.spend(address, now_ms) > 0
