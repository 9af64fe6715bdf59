"""Reading what the books are kept from: whose, over which stretches, by which venue's rules."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from recorder.read.books.books import Books
from recorder.read.books.transfers import NamedTransfers
from recorder.read.books.updates import BookUpdate, book_updates
from recorder.read.coverage.gaps import Interval, full_coverage, whole_gaps
from recorder.read.coverage.recorders import coverage_by_recorder
from recorder.read.records import Book
from recorder.read.scope import account_is, account_labels
from recorder.store.schema import accounts
from recorder.venues import venue_named

#: After every instant, ns since 1970.
_FOR_EVER = 2**63 - 1
#: So many updates are taken between two looks at how much is done.
_WATCHED = 500

#: BookUpdate now and then how much is done, from 0 to 1.
Watch = Callable[[float], None]


class _Account(NamedTuple):
    account_id: int
    name: str
    venue: str
    stretches: list[Interval]


def keep_books(
    connection: Connection,
    account: str | None,
    since_ns: int | None,
    until_ns: int | None,
    named: NamedTransfers,
    watch: Watch | None = None,
) -> Iterator[Book]:
    """The books of each account, one after the other.

    Args:
        connection: to the record; one consistent state of it is read.
        account: only this one, by its name.
        since_ns: only what was received at or after.
        until_ns: only what was received before.
        named: transfers that are known.
        watch: told of the progress.
    """
    begins_ns, ends_ns = since_ns or 0, _FOR_EVER if until_ns is None else until_ns
    wanted = _accounts(connection, account, begins_ns, ends_ns)
    for number, one in enumerate(wanted):
        venue = venue_named(one.venue)
        books = Books(one.name, venue.accounting, venue.final_statuses, named)
        updates = book_updates(connection, one.account_id, one.stretches[0][0], ends_ns)
        if watch is not None:
            updates = _watched(updates, one.stretches, watch, number, len(wanted))
        yield from books.keep(updates, one.stretches, begins_ns)


def _accounts(connection: Connection, account: str | None, since_ns: int, until_ns: int) -> list[_Account]:
    """The accounts that have something in the wanted time, with the stretches that touch it, cut at its end."""
    query = select(accounts.c.account_id, accounts.c.venue).order_by(accounts.c.name, accounts.c.venue)
    if account is not None:
        query = query.where(account_is(account))
    found = []
    labels = account_labels(connection)
    for account_id, venue in connection.execute(query).all():
        name = labels[account_id]
        sides = coverage_by_recorder(connection, account_id, name)
        last_ns = max((side.last_ns for side in sides.values() if side.last_ns is not None), default=None)
        if last_ns is not None:
            stretches = full_coverage(whole_gaps(name, sides), last_ns)
            touching = [(begin, min(end, until_ns - 1)) for begin, end in stretches if begin < until_ns]
            touching = [stretch for stretch in touching if stretch[1] >= since_ns]
            if touching:
                found.append(_Account(account_id, name, venue, touching))
    return found


def _watched(
    updates: Iterator[BookUpdate], stretches: Sequence[Interval], watch: Watch, number: int, of: int
) -> Iterator[BookUpdate]:
    first_ns, last_ns = stretches[0][0], stretches[-1][1]
    for count, update in enumerate(updates):
        if count % _WATCHED == 0:
            part = (update.received_ns - first_ns) / max(last_ns - first_ns, 1)
            watch((number + min(max(part, 0.0), 1.0)) / of)
        yield update
