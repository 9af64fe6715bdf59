"""What a record knew at an instant, by receipt: the exchange's clock is not asked.

All that was received until then was known, what was received in that instant included, by whichever recorder; and
nothing that came later, whenever it says that it happened. What a REST answer tells of a gap is known from its receipt.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Select, Table, and_, bindparam, column, select, values

from recorder.read.coverage.gaps import InstantCoverage, instant_coverage, whole_gaps
from recorder.read.coverage.recorders import coverage_by_recorder
from recorder.read.queries import Closed, touches
from recorder.read.records import ALL, Balance, Fill, Filter, Gap, Order, Position
from recorder.read.scope import account_is, account_labels
from recorder.store.schema import Int64, account_updates, accounts, order_updates, position_updates
from recorder.store.state_index import StateRow, latest
from recorder.venues import final_statuses

T = TypeVar("T", Balance, Position, Order)

#: The rows of so many states are fetched in one statement, of the next larger number.
PLACES = (8, 50, PLACES_MAX := 300)
#: What a 64-bit integer holds, and one less: an instant is included, and `until` is the one after it.
_NS_MIN, _NS_MAX = -(2**63), 2**63 - 2

_KEY = ("session_id", "seq", "item")
_NOWHERE = StateRow(0, 0, -1, -1, -1, None)
#: A typed table → what a reader gets of it, the account's name first.
_RECORDS: dict[Table, type[Balance | Order | Position]] = {
    account_updates: Balance,
    order_updates: Order,
    position_updates: Position,
}
_RECEIPT = attrgetter("received_ns", "session_id", "seq", "item")


class Reads(Protocol):
    """The ordinary reads."""

    def orders(self, wanted: Filter) -> Iterator[Order]:
        """The latest state of each order."""
        ...

    def closed_orders(self, closed: Closed, wanted: Filter) -> Iterator[Order]:
        """The latest state of each order that has come to its end."""
        ...

    def order_history(self, wanted: Filter) -> Iterator[Order]:
        """Every update of every order."""
        ...

    def fills(self, wanted: Filter) -> Iterator[Fill]:
        """Trade history."""
        ...

    def positions(self, wanted: Filter) -> Iterator[Position]:
        """The latest state of each position."""
        ...

    def balances(self, wanted: Filter) -> Iterator[Balance]:
        """The latest balance of each currency."""
        ...


class AsOf:
    """A record as it was known at an instant. `Record.as_of` makes it.

    Positions, balances and open orders cost the same at any instant of a record of any length (`store.state_index`).

    Args:
        record: its ordinary reads.
        reading: opens a connection that sees one state of the database.
        at_ns: the instant.

    Attributes:
        at_ns: the instant, ns since 1970.
    """

    def __init__(self, record: Reads, reading: Callable[[], AbstractContextManager[Connection]], at_ns: int) -> None:
        self.at_ns = min(max(at_ns, _NS_MIN), _NS_MAX)
        self._record = record
        self._reading = reading

    def orders(self, wanted: Filter = ALL) -> Iterator[Order]:
        """The latest state of each order, oldest change first."""
        return self._record.orders(self._until(wanted))

    def closed_orders(self, closed: Closed, wanted: Filter = ALL) -> Iterator[Order]:
        """The latest state of each order that had come to its end, the newest order first."""
        return self._record.closed_orders(closed, self._until(wanted))

    def order_history(self, wanted: Filter = ALL) -> Iterator[Order]:
        """Every update of every order, in the order of receipt."""
        return self._record.order_history(self._until(wanted))

    def fills(self, wanted: Filter = ALL) -> Iterator[Fill]:
        """Trade history: each fill once, as far as it was known."""
        return self._record.fills(self._until(wanted))

    def open_orders(self, wanted: Filter = ALL) -> Iterator[Order]:
        """The orders that could still change, oldest change first."""
        yield from (
            order
            for order in self._states(Order, order_updates, wanted)
            if _is_of(order.symbol, wanted)
            and order.received_ns >= (wanted.since_ns or _NS_MIN)
            and wanted.order_id in {None, order.order_id}
        )

    def positions(self, wanted: Filter = ALL) -> Iterator[Position]:
        """The latest state of each position, oldest change first."""
        if wanted.since_ns is not None:
            yield from self._record.positions(self._until(wanted))
        else:
            yield from (one for one in self._states(Position, position_updates, wanted) if _is_of(one.symbol, wanted))

    def balances(self, wanted: Filter = ALL) -> Iterator[Balance]:
        """The latest balance of each currency, oldest change first."""
        if wanted.since_ns is not None:
            yield from self._record.balances(self._until(wanted))
        else:
            yield from self._states(Balance, account_updates, wanted)

    def gaps(self, wanted: Filter = ALL) -> Iterator[Gap]:
        """The gaps that had begun, noticed or not; what ended or was reconciled later had not been yet."""
        with self._reading() as connection:
            sides = {
                name: coverage_by_recorder(connection, account_id, name, self.at_ns)
                for account_id, name, _ in _accounts(connection, wanted)
            }
        found = [gap for name, its_sides in sides.items() if its_sides for gap in whole_gaps(name, its_sides)]
        yield from sorted(
            (gap for gap in found if touches(gap, self._until(wanted))), key=lambda gap: gap.begins_ns or 0
        )

    def coverage(self, wanted: Filter = ALL) -> list[InstantCoverage]:
        """Whether the instant was covered, of each account: as is known now, what came of a gap included."""
        with self._reading() as connection:
            return [
                instant_coverage(name, coverage_by_recorder(connection, account_id, name), self.at_ns)
                for account_id, name, _ in _accounts(connection, wanted)
            ]

    def _until(self, wanted: Filter) -> Filter:
        """All that had been received, and no more."""
        until_ns = self.at_ns + 1 if wanted.until_ns is None else min(self.at_ns + 1, wanted.until_ns)
        return wanted._replace(until_ns=until_ns)

    def _states(self, record: type[T], table: Table, wanted: Filter) -> list[T]:
        """The latest states, oldest change first; of orders, those that are open."""
        until_ns = self._until(wanted).until_ns
        assert until_ns is not None
        found: list[T] = []
        with self._reading() as connection:
            for account_id, name, venue in _accounts(connection, wanted):
                final = final_statuses(venue)
                places = latest(connection, account_id, table, until_ns - 1).values()
                open_places = [place for place in places if place.status not in final]
                found += [record(name, *row) for row in _rows(connection, table, account_id, open_places)]
        return sorted(found, key=_RECEIPT)


def _accounts(connection: Connection, wanted: Filter) -> list[tuple[int, str, str]]:
    """Key, name and venue of each account that is wanted."""
    query = select(accounts.c.account_id, accounts.c.venue).order_by(accounts.c.name, accounts.c.venue)
    if wanted.account is not None:
        query = query.where(account_is(wanted.account))
    labels = account_labels(connection)
    return [(row.account_id, labels[row.account_id], row.venue) for row in connection.execute(query)]


def _rows(
    connection: Connection, table: Table, account_id: int, places: Sequence[StateRow]
) -> Iterator[tuple[Any, ...]]:
    """The states that stand in some places; without the account's name."""
    for start in range(0, len(places), PLACES_MAX):
        some = places[start : start + PLACES_MAX]
        size = next(size for size in PLACES if size >= len(some))
        wanted: dict[str, int] = {"account_id": account_id}
        for number in range(size):
            # What is too many of them stands nowhere.
            place = some[number] if number < len(some) else _NOWHERE
            wanted |= {f"{name}_{number}": getattr(place, name) for name in _KEY}
        yield from (row[1:] for row in connection.execute(_standing(table, size), wanted) if row[0] is not None)


@cache
def _standing(table: Table, size: int) -> Select[Any]:
    """The states that stand in so many places, each after its `account_id`."""
    rows = [tuple(bindparam(f"{name}_{number}", type_=Int64) for name in _KEY) for number in range(size)]
    wanted = values(*(column(name, Int64) for name in _KEY), name="wanted").data(rows).cte("wanted")
    same = and_(table.c.account_id == bindparam("account_id"), *(table.c[name] == wanted.c[name] for name in _KEY))
    fields = [table.c[name] for name in _RECORDS[table]._fields if name != "account"]
    # An outer join, so that any planner begins with what is wanted: it might walk through the whole table.
    return select(table.c.account_id, *fields).select_from(wanted.outerjoin(table, same))


def _is_of(symbol: str | None, wanted: Filter) -> bool:
    return wanted.symbol is None or (symbol or "").lower() == wanted.symbol.lower()
