"""The server side of a venue: what it takes to stand in for the exchange, whether simulated or replayed. Pure.

A request goes to the venue's `RequestHandler`, which answers it, returns an `AccountQuery` to be answered from an
`AccountView`, accepts the client on the push portal (`PortalAccess`), or raises `HttpError`. An accepted client's
commands go to a `Conversation`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from recorder.model import FillUpdate
from recorder.venues.simulated import (
    Event,
    Funds,
    Moment,
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    Terms,
)


class HttpError(Exception):
    """A request is refused with an HTTP status and a message for the client."""

    def __init__(self, status: int, message: str, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        #: Seconds to wait before the next request; 0 where waiting does not help.
        self.retry_after_s = retry_after_s


class SentState(NamedTuple):
    """The state of an order, a position or a balance as the venue sent it: a frame that holds it, and where."""

    #: Topic of a push; path and query of the request of a REST answer.
    topic: str
    payload: bytes
    #: Its place among the frame's updates, from 0.
    item: int = 0


class Execution(NamedTuple):
    """One execution of an order, and whether its price is derived rather than stated."""

    fill: FillUpdate
    price_is_estimate: bool = False


class AccountView(Protocol):
    """The state of one account at one moment, as REST reports it."""

    @property
    def now_ms(self) -> int:
        """The moment, by the account's own clock, milliseconds since 1970."""
        ...

    @property
    def topics(self) -> Collection[str]:
        """The topics that are pushed for this account."""
        ...

    def balances(self) -> Iterable[SentState]:
        """The balance of each currency."""
        ...

    def positions(self) -> Iterable[SentState]:
        """Every position so far, closed ones included."""
        ...

    def open_orders(self) -> Iterable[SentState]:
        """The orders that can still change, newest first by their creation."""
        ...

    def closed_orders(
        self, symbol: str | None, begins_ms: int, ends_ms: int, before_id: str | None, limit: int
    ) -> Iterable[SentState]:
        """The orders that can no longer change, newest first by their creation.

        Args:
            symbol: only this instrument, as in `OrderUpdate.symbol`; None for all.
            begins_ms: only orders created at or after this, milliseconds since 1970.
            ends_ms: only orders created before this.
            before_id: only orders after this one in that sequence, such as those of the next page; None for all.
            limit: at most this number of orders.
        """
        ...

    def order(self, order_id: str) -> SentState | None:
        """One order; None if there is no such order."""
        ...

    def executions(self, order_id: str) -> Iterable[Execution]:
        """The executions of one order, oldest first."""
        ...


class PortalAccess(NamedTuple):
    """A client accepted on the push portal."""

    #: The API key, which identifies the account.
    key: str
    #: Query parameters of the address other than the credentials.
    parameters: Mapping[str, str]


class AccountQuery(NamedTuple):
    """A request whose answer depends on an account."""

    key: str
    #: Makes the body of the answer. Raises `HttpError`.
    answer: Callable[[AccountView], bytes]


class RequestHandler(Protocol):
    """Authenticates requests and decides how each is answered."""

    def handle(
        self, method: str, target: str, headers: Mapping[str, str], base: str
    ) -> bytes | AccountQuery | PortalAccess:
        """Decide how to answer one request.

        Args:
            method: of HTTP.
            target: path and query as sent.
            headers: under the names that the exchange documents.
            base: scheme and host that the client addressed, such as `http://127.0.0.1:9010`.

        Returns:
            The body of an answer that depends on no account, the query to answer, or access to the push portal.

        Raises:
            HttpError: the request is refused.
        """
        ...

    def error_body(self, error: HttpError) -> bytes:
        """The body of an error response."""
        ...


class Conversation(Protocol):
    """The exchange's side of one push connection."""

    #: The topics that the client has subscribed to.
    topics: set[str]

    @property
    def deadline_s(self) -> float:
        """When to disconnect the client unless it shows a sign of life, on the monotonic clock."""
        ...

    def hello(self, now_ms: int) -> bytes:
        """The first frame."""
        ...

    def receive(self, message: bytes, now_ms: int, now_s: float) -> bytes:
        """Take a client's frame and return the answer.

        Args:
            message: as received.
            now_ms: the exchange's clock, milliseconds since 1970.
            now_s: the monotonic clock, seconds.
        """
        ...


class Push(NamedTuple):
    """A frame that the exchange pushes, and what it tells."""

    topic: str
    payload: bytes
    #: Of the moment it is made of: REST reports them once the frame is on its way.
    events: Sequence[Event]


class Face(Protocol):
    """Renders a simulated account as the venue shows it."""

    def pushes(self, moment: Moment, now_ms: int) -> Iterable[Push]:
        """The frames that tell of a moment, in order. Events that the venue does not push are left out.

        Args:
            moment: what happened.
            now_ms: the exchange's clock as the frames leave, milliseconds since 1970.
        """
        ...

    def balance(self, balance: SimulatedBalance) -> SentState:
        """A balance as an answer to a request."""
        ...

    def position(self, position: SimulatedPosition) -> SentState:
        """A position as an answer to a request."""
        ...

    def order(self, order: SimulatedOrder) -> SentState:
        """An order as an answer to a request."""
        ...

    def execution(self, fill: SimulatedFill) -> Execution:
        """A fill."""
        ...

    def topics(self) -> Collection[str]:
        """The topics that can be subscribed to."""
        ...


class StandIn(Protocol):
    """A venue's server side."""

    #: What is traded if nothing else is asked for.
    default_symbols: tuple[str, ...]

    #: Paths that are answered without a key, such as that of the server's time.
    public_paths: Collection[str]

    def terms(self, symbols: Sequence[str]) -> tuple[Terms, ...]:
        """The terms of instruments for a simulated account.

        Args:
            symbols: as a user may write them.

        Raises:
            ValueError: the venue has no such instrument.
        """
        ...

    def funds(self, terms: Sequence[Terms]) -> tuple[Funds, ...]:
        """What a simulated account that trades these instruments is given, the most important currency first."""
        ...

    def face(self, terms: Sequence[Terms]) -> Face:
        """The face of a simulated account that trades these instruments."""
        ...

    def request_handler(self, secret_of: Callable[[str], str | None], clock_ms: Callable[[], int]) -> RequestHandler:
        """The handler of REST requests and of handshakes on the push portal.

        Args:
            secret_of: maps a key to its secret; None if there is no such key.
            clock_ms: the exchange's clock, milliseconds since 1970.
        """
        ...

    def conversation(self, has_topic: Callable[[str], bool], now_s: float, ping_timeout_s: float) -> Conversation:
        """The conversation with a new client.

        Args:
            has_topic: whether a topic exists at the moment.
            now_s: the monotonic clock, seconds.
            ping_timeout_s: how long the client may go without a sign of life.
        """
        ...
