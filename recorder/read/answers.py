"""What a trader asks of a record: fees, realized PnL, round trips, what happened around an instant. Exact.

Here `since_ns` and `until_ns` are of what happened, by the exchange's clock, and not of receipt: an execution of New
Year's Eve belongs to the old year, also where it was told in the new one.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection

from recorder.clock import NS_PER_MS
from recorder.read import timeline as timelines
from recorder.read.records import ALL, Balance, Fill, Filter, Order, Position, Round
from recorder.read.timeline import TimelineEvent
from recorder.read.trading import sums
from recorder.read.trading import trips as walks
from recorder.read.trading.sums import Calendar, Fees, Pnl
from recorder.read.trading.trips import SHORT, HeldQuantity, Trip
from recorder.store.gaps import PARTIAL, RECONCILED

DAYS = Calendar()


class Reads(Protocol):
    """The reads that the answers are made of."""

    def order_history(self, wanted: Filter = ALL) -> Iterator[Order]:
        """Every update of every order."""
        ...

    def position_history(self, wanted: Filter = ALL, *, as_it_happened: bool = False) -> Iterator[Position]:
        """Every state of every position."""
        ...

    def balance_history(self, wanted: Filter = ALL) -> Iterator[Balance]:
        """Every balance."""
        ...

    def fills(self, wanted: Filter = ALL) -> Iterator[Fill]:
        """Every fill."""
        ...

    def rounds(self, wanted: Filter = ALL) -> Sequence[Round]:
        """The rounds of questions."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that only reads."""
        ...


class Answers:
    """The methods of a record that answer a trader's questions."""

    def fees(self: Reads, calendar: Calendar = DAYS, wanted: Filter = ALL) -> list[Fees]:
        """What was traded and paid for it, and as maker or taker, by period of a calendar."""
        whenever = _whenever(wanted)
        return sums.fees((fill for fill in self.fills(whenever) if _within(fill.at_ms, wanted)), calendar)

    def pnl(self: Reads, calendar: Calendar = DAYS, wanted: Filter = ALL) -> list[Pnl]:
        """What trading brought, by period of a calendar: the exchange's own realized PnL, and the fees in it."""
        whenever = _whenever(wanted)
        rounds = self.rounds()
        first: dict[str, int] = {}
        for one in rounds:
            if one.result in {RECONCILED, PARTIAL} and one.ended_ns is not None:
                first[one.account] = min(one.ended_ns, first.get(one.account, one.ended_ns))
        states = self.position_history(whenever, as_it_happened=True)
        changes = sums.realized(states, first, {one.reconciliation_id: one.began_ns for one in rounds})
        return sums.pnl(
            (one for one in changes if one.change is None or _within(one.at_ms, wanted)),
            (fill for fill in self.fills(whenever) if _within(fill.at_ms, wanted)),
            calendar,
        )

    def trips(self: Reads, wanted: Filter = ALL) -> Iterator[Trip]:
        """Each way of a position from nothing to nothing, with average prices; those not closed yet stand there too.

        What was closed within the wanted time, or is open at its end.
        """
        whenever = _whenever(wanted)
        asked = {one.reconciliation_id: one.began_ns for one in self.rounds()}
        states = self.position_history(whenever, as_it_happened=True)
        for trip in walks.trips(self.fills(whenever), _held(states, asked)):
            is_open_ms = _FOR_EVER_MS if trip.opened_ms is None else trip.opened_ms
            if _within(trip.closed_ms, wanted) if trip.closed_ms is not None else _began(is_open_ms, wanted):
                yield trip

    def timeline(self: Reads, wanted: Filter = ALL) -> Iterator[TimelineEvent]:
        """Everything that happened, in the order of receipt; here since and until are of receipt.

        With a symbol: its orders and positions, and what has no symbol.
        """
        with self.reading() as connection:
            others = list(timelines.other_events(connection, wanted.account))
        within = [one for one in others if _received(one, wanted)]
        states = self.order_history(wanted), self.position_history(wanted), self.balance_history(wanted)
        return timelines.timeline(*states, within, {one.reconciliation_id for one in self.rounds()})


_FOR_EVER_MS = 2**63


def _whenever(wanted: Filter) -> Filter:
    return wanted._replace(since_ns=None, until_ns=None)


def _within(at_ms: int, wanted: Filter) -> bool:
    at_ns = at_ms * NS_PER_MS
    return (wanted.since_ns is None or at_ns >= wanted.since_ns) and _began(at_ms, wanted)


def _began(at_ms: int, wanted: Filter) -> bool:
    return wanted.until_ns is None or at_ms * NS_PER_MS < wanted.until_ns


def _received(event: TimelineEvent, wanted: Filter) -> bool:
    since, until = wanted.since_ns, wanted.until_ns
    return (since is None or event.received_ns >= since) and (until is None or event.received_ns < until)


def _held(positions: Iterator[Position], asked: dict[int, int]) -> Iterator[HeldQuantity]:
    """Positions as they were told: when pushed, or when asked for."""
    for one in positions:
        if one.quantity is not None:
            counts_ns = asked.get(one.session_id, one.received_ns)
            at_ms = counts_ns // NS_PER_MS if one.ts is None else one.ts
            # Not `-`, which rounds.
            quantity = one.quantity.copy_negate() if one.direction == SHORT else one.quantity
            yield HeldQuantity(one.account, one.symbol, at_ms, quantity)
