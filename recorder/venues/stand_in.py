"""The other half of the seam: what it takes to stand in for an exchange, be it simulated or replayed. Pure, no sockets.

A request comes to the `Door`. It is answered, turned into a `Question` about an account, let in to the push portal, or
declined. Who is let in has a `Conversation`. What an account is told, a `Telling` knows.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from recorder.model import AccountUpdate, FillUpdate, OrderUpdate, PositionUpdate


class Declined(Exception):
    """A request is declined, with a status of HTTP and a message for whoever asked."""

    def __init__(self, status: int, message: str, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        #: Seconds to wait before the next request; 0 where that does not help.
        self.retry_after_s = retry_after_s


class Execution(NamedTuple):
    """One execution of an order, and how sure its price is."""

    fill: FillUpdate
    price_is_estimate: bool = False


class Telling(Protocol):
    """What there is to tell of one account, at one moment."""

    @property
    def now_ms(self) -> int:
        """The moment, by the account's own clock, milliseconds since 1970."""
        ...

    @property
    def topics(self) -> Collection[str]:
        """What of the account is pushed."""
        ...

    def balances(self) -> Iterable[AccountUpdate]:
        """One of each currency."""
        ...

    def positions(self) -> Iterable[PositionUpdate]:
        """Those that there have been, closed ones too."""
        ...

    def open_orders(self) -> Iterable[OrderUpdate]:
        """The orders that can still change, newest first."""
        ...

    def closed_orders(
        self, symbol: str | None, begins_ms: int, ends_ms: int, before_id: int | None
    ) -> Iterator[OrderUpdate]:
        """The orders that can change no more, newest first.

        Args:
            symbol: in lower case; None: all.
            begins_ms: only those that were made then or later, milliseconds since 1970.
            ends_ms: and before.
            before_id: only those with a smaller number.
        """
        ...

    def order(self, order_id: int) -> OrderUpdate | None:
        """One order; None: there is none."""
        ...

    def executions(self, order_id: int) -> Iterable[Execution]:
        """Those of one order, oldest first."""
        ...


class Admitted(NamedTuple):
    """Who has been let in to the push portal."""

    #: Says which account.
    key: str
    #: Of the address, besides what proves who asks.
    parameters: Mapping[str, str]


class Question(NamedTuple):
    """A request that what is told of an account answers."""

    key: str
    #: The body of the answer. Raises `Declined`.
    answer: Callable[[Telling], bytes]


class Door(Protocol):
    """Decides on requests."""

    def knock(self, method: str, target: str, headers: Mapping[str, str], base: str) -> bytes | Question | Admitted:
        """Decide on one.

        Args:
            method: of HTTP.
            target: path and query as sent.
            headers: by the names that the exchange documents.
            base: scheme and host that the client addressed, such as `http://127.0.0.1:9010`.

        Returns:
            The body of an answer that depends on no account, or what has to be done.

        Raises:
            Declined: it is.
        """
        ...

    def refusal(self, declined: Declined) -> bytes:
        """The body that goes with an error."""
        ...


class Conversation(Protocol):
    """What is said on one connection, from the exchange's side."""

    #: Topics subscribed to.
    topics: set[str]

    @property
    def deadline_s(self) -> float:
        """When to disconnect the client unless it gave a sign of life, on the monotonic clock."""
        ...

    def hello(self, now_ms: int) -> bytes:
        """The first frame."""
        ...

    def receive(self, message: bytes, now_ms: int, now_s: float) -> bytes:
        """Take a client's frame, return the answer.

        Args:
            message: as received.
            now_ms: the exchange's clock, milliseconds since 1970.
            now_s: the monotonic clock, seconds.
        """
        ...


class StandIn(Protocol):
    """An exchange's own side."""

    def door(self, secret_of: Callable[[str], str | None], clock_ms: Callable[[], int]) -> Door:
        """Its door.

        Args:
            secret_of: key → its secret; None: there is no such key.
            clock_ms: the exchange's clock, milliseconds since 1970.
        """
        ...

    def conversation(self, has_topic: Callable[[str], bool], now_s: float, ping_timeout_s: float) -> Conversation:
        """A new client's.

        Args:
            has_topic: whether there is a topic, just now.
            now_s: the monotonic clock, seconds.
            ping_timeout_s: how long the client may go without a sign of life.
        """
        ...
