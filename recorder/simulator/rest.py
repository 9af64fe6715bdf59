"""A simulated account as a venue's REST sees it."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import TypeVar

from recorder.simulator.history import AccountHistory
from recorder.venues.face import Face
from recorder.venues.simulated import SimulatedOrder, Terms
from recorder.venues.view import Entry, Execution, SentState, Span

T = TypeVar("T")


class SimulatedAccount:
    """Implements `recorder.venues.view.AccountView`.

    Args:
        history: of the account.
        face: renders it.
    """

    def __init__(self, history: AccountHistory, face: Face) -> None:
        history.catch_up()
        self._history = history
        self._face = face

    @property
    def now_ms(self) -> int:
        """The time of the last change, on the account's own clock."""
        return self._history.now_ms

    @property
    def topics(self) -> Collection[str]:
        """All topics."""
        return self._face.topics()

    def balances(self) -> Iterator[SentState]:
        """The balances."""
        return iter(self._face.balances(self._history))

    def positions(self) -> Iterator[SentState]:
        """The positions that have ever changed."""
        return iter(self._face.positions(self._history))

    def open_orders(self) -> Iterator[SentState]:
        """The open orders, newest first."""
        return map(self._face.order, self._history.open_orders())

    def closed_orders(self, span: Span) -> Iterator[Entry]:
        """The orders that can no longer change. Ids and times both grow."""
        history, orders = self._history, self._history.orders
        by_creation = history.triggered if span.hint.trigger else history.order_ids
        listed = history.ended if span.by_end else by_creation

        def place(number: int) -> tuple[int, int]:
            order = orders[number]
            return number, order.updated_ms if span.by_end else order.created_ms

        for number in _part(listed, span, place, _number(span)):
            order = orders[number]
            if not order.is_open and _is_of(order.terms, span):
                yield Entry(str(number), place(number)[1], partial(self._face.order, order))

    def order(self, order_id: str) -> SentState | None:
        """One order."""
        order = self._order(order_id)
        return None if order is None else self._face.order(order)

    def executions(self, order_id: str) -> Sequence[Execution]:
        """The executions of one order."""
        order = self._order(order_id)
        return [] if order is None else [self._face.execution(fill) for fill in order.fills]

    def fills(self, span: Span) -> Iterator[Entry]:
        """The fills."""
        number = None if span.order_id is None else self._face.order_number(span.order_id) or 0
        for fill in _part(self._history.fills, span, lambda fill: (fill.trade_id, fill.executed_ms), _number(span)):
            mine = number in {None, fill.order_id} and span.currency in {None, fill.fee_currency}
            if mine and _is_of(fill.terms, span):
                yield Entry(str(fill.trade_id), fill.executed_ms, partial(self._face.fill, fill))

    def transactions(self, span: Span) -> Iterator[Entry]:
        """The transactions."""
        number = None if span.order_id is None else self._face.order_number(span.order_id) or 0
        for one in _part(self._history.transactions, span, lambda one: (one.id, one.occurred_ms), _number(span)):
            mine = number in {None, one.order_id} and span.currency in {None, one.currency}
            if mine and _is_of(one.terms, span):
                yield Entry(str(one.id), one.occurred_ms, partial(self._face.transaction, one))

    def _order(self, order_id: str) -> SimulatedOrder | None:
        number = self._face.order_number(order_id)
        return None if number is None else self._history.orders.get(number)

    def snapshot(self, topic: str, *, is_first: bool) -> Iterator[bytes]:
        """The full state of a topic."""
        return iter(self._face.snapshot(topic, self._history, self.now_ms, is_first=is_first))


def _number(span: Span) -> int | None:
    """The number beyond which entries are wanted, where ids are numbers."""
    return int(span.beyond) if span.beyond is not None and span.beyond.isdigit() else span.hint.beyond


def _part(entries: Sequence[T], span: Span, key: Callable[[T], tuple[int, int]], beyond: int | None) -> Iterator[T]:
    """The entries of a span of time, in its order; ids and times both grow.

    Args:
        entries: oldest first.
        span: which.
        key: an entry's id and time.
        beyond: the id beyond which they are wanted; None: all are.
    """
    first = bisect_left(entries, span.since_ms, key=lambda one: key(one)[1])
    end = bisect_left(entries, span.until_ms, key=lambda one: key(one)[1])
    if beyond is not None:
        if span.oldest_first:
            first = max(first, bisect_right(entries, beyond, key=lambda one: key(one)[0]))
        else:
            end = min(end, bisect_left(entries, beyond, key=lambda one: key(one)[0]))
    places = range(first, end)
    return (entries[place] for place in (places if span.oldest_first else reversed(places)))


def _is_of(terms: Terms | None, span: Span) -> bool:
    market, symbol = (None, None) if terms is None else (terms.market, terms.symbol)
    is_wanted = terms is None or span.hint.terms is None or span.hint.terms(terms)
    return is_wanted and span.market in {None, market} and span.symbol in {None, symbol}
