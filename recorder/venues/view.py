"""What a stand-in reads of an account, simulated or recorded, to answer requests: states and histories. Pure."""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple, Protocol

from recorder.model import FillUpdate
from recorder.venues.simulated import Terms

#: Later than any time, milliseconds since 1970.
NEVER_MS = 1 << 62


class SentState(NamedTuple):
    """A record as the venue sent it, such as the state of an order: a frame that holds it, and where."""

    #: Topic of a push; path and query of the request of a REST answer.
    topic: str
    payload: bytes
    #: Its place among the frame's updates, from 0.
    item: int = 0


class Execution(NamedTuple):
    """One execution of an order, and whether its price is derived rather than stated."""

    fill: FillUpdate
    price_is_estimate: bool = False


class Hint(NamedTuple):
    """Which entries the caller leaves out anyway, so that they need not be rendered. A view may give them all the same.

    It is in terms of the simulation; a recorded account takes no notice of it.
    """

    #: Only entries of instruments for which this is true matter; None: of all.
    terms: Callable[[Terms], bool] | None = None
    #: Whether only orders with a trigger matter.
    trigger: bool = False
    #: Only entries whose number is beyond this one, in the order of the span, matter; None: all.
    beyond: int | None = None


class Span(NamedTuple):
    """A part of a history."""

    #: From this time on, and before that one, milliseconds since 1970. The time of an order is that of its creation.
    since_ms: int = 0
    until_ms: int = NEVER_MS
    #: Only of this market, instrument, order, currency; None for all.
    market: str | None = None
    symbol: str | None = None
    order_id: str | None = None
    currency: str | None = None
    oldest_first: bool = False
    #: Only entries after this one in that order, such as those of the next page; None for all.
    beyond: str | None = None
    #: Whether the time of an order is that of its end.
    by_end: bool = False
    hint: Hint = Hint()


class Entry(NamedTuple):
    """One entry of a history."""

    #: Tells it from all others of its history; not necessarily the id that the venue shows.
    id: str
    at_ms: int
    #: Renders it: an entry that is only counted, or passed over, is never rendered.
    render: Callable[[], SentState]

    @property
    def state(self) -> SentState:
        """The entry as the venue sent it."""
        return self.render()


class AccountView(Protocol):
    """The state of one account at one moment, as REST reports it, and its history until then."""

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

    def closed_orders(self, span: Span) -> Iterable[Entry]:
        """The orders that can no longer change, by their creation, or by their end (`Span.by_end`); each by its id."""
        ...

    def order(self, order_id: str) -> SentState | None:
        """One order; None if there is no such order."""
        ...

    def executions(self, order_id: str) -> Iterable[Execution]:
        """The executions of one order, oldest first."""
        ...

    def fills(self, span: Span) -> Iterable[Entry]:
        """The executions that the venue reported."""
        ...

    def transactions(self, span: Span) -> Iterable[Entry]:
        """The entries of the venue's ledger."""
        ...

    def snapshot(self, topic: str, *, is_first: bool) -> Iterable[bytes]:
        """The frames with the full state of a topic: none if the venue pushes no such state.

        Args:
            topic: the topic.
            is_first: whether it answers a subscription; otherwise it repeats the state.
        """
        ...
