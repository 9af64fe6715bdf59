"""How often an exchange may be asked and connected to: by an account, and by all accounts from one IP address."""

import math
from bisect import insort
from collections import deque
from collections.abc import Sequence
from operator import itemgetter
from threading import Lock

from recorder.live.settings import Account
from recorder.venues.rest import RestLimit

#: Our share of the venue's rate limit; the rest is for the user's own programs.
OUR_SHARE = 0.5
#: Our share of the connections that an exchange allows an address; the rest is for the user's own programs.
CONNECTIONS_SHARE = 2 / 3


class RateLimit:
    """A sliding window over requests. Nobody overtakes who waits. From any thread.

    Args:
        limits: the venue's limits; all of them apply.
        share: how much of each is ours.
    """

    def __init__(self, limits: Sequence[RestLimit], share: float = OUR_SHARE) -> None:
        self._limits = [limit._replace(cost_max=max(int(limit.cost_max * share), 1)) for limit in limits]
        self._longest_s = max((limit.window_s for limit in limits), default=0.0)
        self._lock = Lock()
        #: When each request of the longest window was sent, and what it cost, oldest first.
        self._sent: deque[tuple[float, int]] = deque()

    def turn_s(self, now_s: float, cost: int = 1) -> float:
        """When to send the next request, on the monotonic clock. It counts as sent then.

        Args:
            now_s: on the monotonic clock.
            cost: of the request. One that costs more than a limit allows waits until nothing else counts.
        """
        with self._lock:
            last_s = self._sent[-1][0] if self._sent else now_s
            at_s = max([now_s, last_s, *(self._free_s(limit, cost) for limit in self._limits)])
            self._sent.append((at_s, cost))
            while self._sent[0][0] < at_s - self._longest_s:
                self._sent.popleft()
            return at_s

    def wait_s(self, now_s: float, cost: int = 1) -> float:
        """The same as seconds from now."""
        return self.turn_s(now_s, cost) - now_s

    def use_up(self, at_s: float) -> None:
        """Count all of our share as spent at this time in the past, on the monotonic clock."""
        with self._lock:
            spent = max((limit.cost_max for limit in self._limits), default=0)
            insort(self._sent, (at_s, spent), key=itemgetter(0))

    def refund(self, cost: int, at_s: float | None = None) -> None:
        """A request has cost this much less than was assumed: the one of this turn, or the last one."""
        with self._lock:
            for place in reversed(range(len(self._sent))):
                sent_s, assumed = self._sent[place]
                if at_s in (None, sent_s) and assumed >= cost:
                    self._sent[place] = sent_s, assumed - cost
                    return

    def _free_s(self, limit: RestLimit, cost: int) -> float:
        """When a limit allows a request."""
        used = 0
        for sent_s, its_cost in reversed(self._sent):
            used += its_cost
            if used + cost > limit.cost_max:
                return sent_s + limit.window_s
        return 0.0


class Address:
    """What the requests of all accounts share where the exchange counts them by IP address. From any thread.

    Args:
        limits: those of the address.

    Attributes:
        rate: of the requests.
    """

    def __init__(self, limits: Sequence[RestLimit] = ()) -> None:
        self.rate = RateLimit(limits)
        self._lock = Lock()
        self._not_before_s = -math.inf

    def ask_later(self, at_s: float) -> None:
        """Note that the exchange wants no request before this time, on the monotonic clock, or a later one noted."""
        with self._lock:
            self._not_before_s = max(self._not_before_s, at_s)

    def wait_s(self, now_s: float) -> float:
        """How long the exchange still wants no request, seconds."""
        return max(self._not_before_s - now_s, 0.0)


class Pace:
    """Keeps the connections and requests of all accounts within what exchanges allow an address. From any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        #: Address of an exchange's sockets → its limit.
        self._limits: dict[str, RateLimit] = {}
        #: Venue, and address of its REST interface.
        self._addresses: dict[tuple[str, str], Address] = {}

    def address(self, account: Account) -> Address:
        """What the requests of an account share with those of others, or with none."""
        limits = [limit for limit in account.venue.rest_limits if limit.shared_at is not None]
        names = [limit.shared_at(account.url) for limit in limits if limit.shared_at is not None]
        if not names:
            return Address()
        with self._lock:
            return self._addresses.setdefault((account.venue.name, names[0]), Address(limits))

    def wait_s(self, account: Account, now_s: float) -> float:
        """How long to wait before the next connection, seconds. It counts as made after that wait.

        Args:
            account: whose connection it is.
            now_s: on the monotonic clock.
        """
        allowed = account.venue.connections
        if allowed.opened_max is None:
            return 0.0
        with self._lock:
            limit = self._limits.setdefault(
                account.login.stream_url,
                RateLimit([RestLimit(allowed.opened_max, allowed.window_s)], CONNECTIONS_SHARE),
            )
            return limit.wait_s(now_s)

    def not_made(self, account: Account) -> None:
        """Note that the exchange was not reached, and has counted nothing."""
        with self._lock:
            limit = self._limits.get(account.login.stream_url)
            if limit is not None:
                limit.refund(1)
