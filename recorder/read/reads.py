"""The reads of orders, fills, positions, balances and gaps, and what follows from them; now or as of an instant.

Fees, realized PnL and round trips belong to the time when they happened, by the venue's clock, not to their receipt:
an execution of New Year's Eve belongs to the old year even if it was reported in the new one.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, Table

from recorder.clock import NS_PER_MS
from recorder.model import FINAL_STATUSES
from recorder.read import current, periods, queries
from recorder.read import timeline as timelines
from recorder.read.contracts import InstrumentOf, instruments_by
from recorder.read.coverage import coverage_by_recorder, touches, whole_gaps
from recorder.read.projections import NEVER_NS, complete_orders
from recorder.read.queries import Closed
from recorder.read.records import ALL, Balance, Fill, Filter, Gap, Instrument, Order, Position, RestRound
from recorder.read.rows_at import rows_at
from recorder.read.scope import labelled_accounts
from recorder.read.sums import Calendar, Fees, Funding, Pnl
from recorder.read.tail import states_now
from recorder.read.timeline import TimelineEvent
from recorder.read.trips import Trip
from recorder.store.schema import account_updates, order_updates, position_updates
from recorder.store.state_index import present
from recorder.venues import find_venue
from recorder.venues.base import Venue

R = TypeVar("R", bound=tuple[Any, ...])
S = TypeVar("S", Balance, Position, Order)

#: Rows fetched at a time: memory does not grow with the record.
ROWS_PER_FETCH = 1_000
#: The range of a 64-bit integer, less one: an instant is included, and `until` is the one after it.
NS_MIN, NS_MAX = -(2**63), 2**63 - 2

_DAYS = Calendar()
_FOR_EVER_MS = 2**63
_RECEIPT = attrgetter("received_ns", "session_id", "seq", "item")


class RecordReads(ABC):
    """Reads of a record, as it is now or as it was known at an instant."""

    #: The instant, ns since 1970, by receipt: what was received in it is included. None: now.
    at_ns: int | None = None

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """A read-only connection."""

    def venues(self) -> dict[str, Venue]:
        """Account → its venue, if this program knows it."""
        with self.reading() as connection:
            found = labelled_accounts(connection)
        return {one.label: venue for one in found if (venue := find_venue(one.venue))}

    def orders(self, wanted: Filter = ALL, newest: int | None = None) -> Iterator[Order]:
        """The latest state of each order, oldest change first.

        Args:
            wanted: which.
            newest: only so many, those that changed last; None: all.
        """
        if self.at_ns is None and wanted.until_ns is None:
            with self.reading() as connection:
                yield from current.orders(connection, wanted, newest)
        else:
            rows = self._rows(Order, partial(queries.latest_orders, self._limited(wanted)))
            yield from self._completed(_last(rows, newest), wanted)

    def open_orders(self, wanted: Filter = ALL) -> Iterator[Order]:
        """The orders that can still change, oldest change first."""
        if self._limited(wanted).until_ns is not None:
            # The latest state of an order may not name its symbol, nor say that it has ended.
            any_symbol = self._states(Order, order_updates, wanted._replace(symbol=None))
            whole = self._completed(any_symbol, wanted)
            yield from (one for one in whole if _is_wanted(one, wanted) and one.status not in FINAL_STATUSES)
            return
        with self.reading() as connection:
            yield from current.orders(connection, wanted, only_open=True)

    def closed_orders(self, closed: Closed, wanted: Filter = ALL) -> Iterator[Order]:
        """The latest state of each order that can no longer change, the newest order first.

        Args:
            closed: when they were created, and before which order.
            wanted: their account, contract and time of receipt.
        """
        rows = self._rows(Order, partial(queries.closed_orders, closed, self._limited(wanted)))
        return self._completed(rows, wanted)

    def order_history(self, wanted: Filter = ALL) -> Iterator[Order]:
        """Every update of every order, in the order of receipt."""
        yield from self._rows(Order, partial(queries.history, Order, order_updates, self._limited(wanted)))

    def positions(self, wanted: Filter = ALL) -> Iterator[Position]:
        """The latest state of each position, oldest change first."""
        yield from self._states(Position, position_updates, wanted)

    def position_history(self, wanted: Filter = ALL, *, as_it_happened: bool = False) -> Iterator[Position]:
        """Every state of every position, in the order of receipt.

        Args:
            wanted: which.
            as_it_happened: in the order in which they came to be, by the venue's clock: a REST answer may be newer
                than pushes received after it.
        """
        in_order = partial(queries.history, Position, position_updates)
        query = queries.positions_as_they_happened if as_it_happened else in_order
        yield from self._rows(Position, partial(query, self._limited(wanted)))

    def balances(self, wanted: Filter = ALL) -> Iterator[Balance]:
        """The latest balance of each currency, oldest change first."""
        yield from self._states(Balance, account_updates, wanted._replace(symbol=None))

    def balance_history(self, wanted: Filter = ALL) -> Iterator[Balance]:
        """Every balance, in the order of receipt."""
        wanted = self._limited(wanted)._replace(symbol=None)
        yield from self._rows(Balance, partial(queries.history, Balance, account_updates, wanted))

    def instruments(self, wanted: Filter = ALL) -> Iterator[Instrument]:
        """What the venue said of each symbol, the latest of each, oldest first."""
        yield from self._rows(Instrument, partial(queries.latest_instruments, self._limited(wanted)))

    def fills(self, wanted: Filter = ALL, newest: int | None = None) -> Iterator[Fill]:
        """Each fill once, as the venue reported it or as order updates show it, in the order of receipt.

        Args:
            wanted: which.
            newest: only so many, the last ones; None: all.
        """
        with self.reading() as connection:
            yield from current.fills(connection, self._limited(wanted), newest)

    def rounds(self, wanted: Filter = ALL) -> list[RestRound]:
        """The rounds of REST requests, oldest first."""
        return list(self._rows(RestRound, partial(queries.rounds, self._limited(wanted))))

    def gaps(self, wanted: Filter = ALL) -> Iterator[Gap]:
        """The stretches in which pushes may have been missed, by all recorders of the account; oldest first.

        As of an instant: those that had begun by then, noticed or not; what ended or was reconciled later is open.
        """
        wanted = self._limited(wanted)
        with self.reading() as connection:
            found = [
                gap
                for one in labelled_accounts(connection, wanted.account)
                for gap in whole_gaps(
                    one.label, coverage_by_recorder(connection, one.account_id, one.label, self.at_ns)
                )
                if touches(gap, wanted, find_venue(one.venue))
            ]
        yield from sorted(found, key=lambda gap: gap.begins_ns or 0)

    def fees(self, calendar: Calendar = _DAYS, wanted: Filter = ALL) -> list[Fees]:
        """Quantities traded and fees paid, as maker and as taker, by period of a calendar."""
        with self.reading() as connection:
            return periods.fees(connection, calendar, wanted, self._until_ns)

    def funding(self, calendar: Calendar = _DAYS, wanted: Filter = ALL) -> list[Funding]:
        """Funding received and paid, by period of a calendar, as the venue's ledger lists it.

        As of an instant, a payment counts from the receipt of its row in the ledger on, even if it was pushed before.
        """
        with self.reading() as connection:
            return periods.funding(connection, calendar, wanted, self._until_ns)

    def pnl(self, calendar: Calendar = _DAYS, wanted: Filter = ALL) -> list[Pnl]:
        """The venue's own realized PnL, fees and funding, and what is left, by period of a calendar."""
        with self.reading() as connection:
            return periods.pnl(connection, calendar, wanted, self._until_ns)

    def trips(self, wanted: Filter = ALL) -> Iterator[Trip]:
        """Round trips: each position from nothing to nothing, with average prices; also those that are still open.

        Trips that were closed within the wanted time, or are open at its end.
        """
        with self.reading() as connection:
            for trip in periods.trips(connection, wanted, self._until_ns):
                opened_ms = _FOR_EVER_MS if trip.opened_ms is None else trip.opened_ms
                if _within(trip.closed_ms, wanted) if trip.closed_ms is not None else _before_end(opened_ms, wanted):
                    yield trip

    def timeline(self, wanted: Filter = ALL) -> Iterator[TimelineEvent]:
        """Everything that happened, in the order of receipt, which is also what `wanted`'s times refer to.

        With a symbol: its orders and positions, and everything that has no symbol. With an order: what is about it.
        """
        wanted = self._limited(wanted)
        since_ns = NS_MIN if wanted.since_ns is None else wanted.since_ns
        until_ns = NS_MAX if wanted.until_ns is None else wanted.until_ns
        with self.reading() as connection:
            others = [
                event
                for event in timelines.other_events(connection, wanted.account, wanted.order_id)
                if since_ns <= event.received_ns < until_ns
            ]
        orders = self.order_history(wanted)
        if wanted.order_id is not None:
            return timelines.timeline(orders, (), (), others, ())
        states = orders, self.position_history(wanted), self.balance_history(wanted)
        return timelines.timeline(*states, others, {one.reconciliation_id for one in self.rounds()})

    def instrument_of(self) -> InstrumentOf:
        """What a symbol of an account means: as the venue sent it last, or else as it documents it."""
        with self.reading() as connection:
            return instruments_by(connection, self._limited(ALL))

    @property
    def _until_ns(self) -> int | None:
        """Before when everything was received that is known, ns since 1970; None: all of the record."""
        return self._limited(ALL).until_ns

    def _limited(self, wanted: Filter) -> Filter:
        """A filter for nothing that was received after the instant."""
        if self.at_ns is None:
            return wanted
        until_ns = self.at_ns + 1 if wanted.until_ns is None else min(self.at_ns + 1, wanted.until_ns)
        return wanted._replace(until_ns=until_ns)

    def _states(self, record: type[S], table: Table, wanted: Filter) -> list[S]:
        """The latest state of each thing, oldest change first; of orders, only those that are open.

        It costs the same at any instant of a record of any length (`recorder.store.state_index`), and now.
        """
        until_ns = self._limited(wanted).until_ns
        found: list[S] = []
        with self.reading() as connection:
            for one in labelled_accounts(connection, wanted.account):
                if until_ns is None:
                    places = states_now(connection, one.account_id, table)
                else:
                    places = present(connection, one.account_id, table, until_ns - 1)
                open_places = [place for place in places.values() if place.status not in FINAL_STATUSES]
                found += [record(one.label, *row) for row in rows_at(connection, table, one.account_id, open_places)]
        return sorted((state for state in found if _is_wanted(state, wanted)), key=_RECEIPT)

    def _completed(self, orders: Iterable[Order], wanted: Filter) -> Iterator[Order]:
        """Latest states of orders, with what older updates say of them."""
        until_ns = self._limited(wanted).until_ns
        with self.reading() as connection:
            yield from complete_orders(connection, orders, NEVER_NS if until_ns is None else until_ns)

    def _rows(self, record: type[R], question: Callable[[Connection], Select[Any]]) -> Iterator[R]:
        # An option of the statement, not of the connection, which may serve other questions too.
        streamed = {"yield_per": ROWS_PER_FETCH}
        with self.reading() as connection, connection.execute(question(connection), execution_options=streamed) as rows:
            for row in rows:
                yield record(*row)


def _last(rows: Iterator[R], newest: int | None) -> Iterator[R]:
    return rows if newest is None else iter(deque(rows, maxlen=newest))


def _is_wanted(state: Balance | Order | Position, wanted: Filter) -> bool:
    if wanted.since_ns is not None and state.received_ns < wanted.since_ns:
        return False
    if isinstance(state, Balance):
        return True
    if isinstance(state, Order) and wanted.order_id not in {None, state.order_id}:
        return False
    return wanted.symbol is None or (state.symbol or "").lower() == wanted.symbol.lower()


def _within(at_ms: int, wanted: Filter) -> bool:
    return (wanted.since_ns is None or at_ms * NS_PER_MS >= wanted.since_ns) and _before_end(at_ms, wanted)


def _before_end(at_ms: int, wanted: Filter) -> bool:
    return wanted.until_ns is None or at_ms * NS_PER_MS < wanted.until_ns
