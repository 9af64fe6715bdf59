"""What a stand-in reads of an account, simulated or recorded, to answer requests: states and histories. Pure."""

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

from recorder.model import FillUpdate

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


class Span(NamedTuple):
    """A part of a history."""

    #: From this time on, and before that one, milliseconds since 1970.
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


class Entry(NamedTuple):
    """One entry of a history."""

    #: Tells it from all others of its history; not necessarily the id that the venue shows.
    id: str
    at_ms: int
    state: SentState


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
