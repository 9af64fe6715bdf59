"""Fees, funding, realized PnL and round trips: from the projections, and computed for what is not projected yet.

As of an instant in the past they are computed from everything that was received by then.
"""

from collections.abc import Iterator
from functools import partial

from sqlalchemy import Connection

from recorder.clock import NS_PER_MS
from recorder.read import current, trip_walk
from recorder.read import sums as sums_of
from recorder.read.contracts import stored_terms, terms_by
from recorder.read.daily_pnl import profit
from recorder.read.payments import payments
from recorder.read.period_sums import Wanted, add_fill, add_payments, add_stored
from recorder.read.position_times import PositionKey, reports
from recorder.read.projected_trips import Unstored, add_left, stored_trips, walk
from recorder.read.projections import NEVER_NS, key_of
from recorder.read.records import Filter
from recorder.read.scope import LabelledAccount, labelled_accounts
from recorder.read.sums import END_MS, FIRST_MS, Calendar, Fees, Funding, PeriodSums, Pnl
from recorder.read.tail import states_now, tail_of
from recorder.read.trips import HeldQuantity, Trip, TripKey, trip_key
from recorder.store.schema import position_updates


def fees(connection: Connection, calendar: Calendar, wanted: Filter, until_ns: int | None) -> list[Fees]:
    """Sums of fills by period.

    Args:
        connection: to the record.
        calendar: its periods.
        wanted: which fills, by the time when they happened.
        until_ns: only what was received before this instant, ns since 1970; None: everything.
    """
    return _sums(connection, calendar, wanted, until_ns).fees()


def funding(connection: Connection, calendar: Calendar, wanted: Filter, until_ns: int | None) -> list[Funding]:
    """Funding received and paid by period, by the venues' ledgers. The arguments are those of `fees`."""
    return _sums(connection, calendar, wanted, until_ns).funding()


def _sums(connection: Connection, calendar: Calendar, wanted: Filter, until_ns: int | None) -> PeriodSums:
    sums = PeriodSums()
    for account in labelled_accounts(connection, wanted.account):
        sums.update(_sums_of(connection, account, _wanted(calendar, wanted, {}), until_ns))
    return sums


def pnl(connection: Connection, calendar: Calendar, wanted: Filter, until_ns: int | None) -> list[Pnl]:
    """Realized PnL, fees and funding by period. The arguments are those of `fees`."""
    before_ns = NEVER_NS if until_ns is None else until_ns
    found: list[Pnl] = []
    for account in labelled_accounts(connection, wanted.account):
        positions = map(PositionKey._make, states_now(connection, account.account_id, position_updates, with_gone=True))
        sums = partial(_sums_of, connection, account, until_ns=until_ns)
        found += profit(connection, account, _wanted(calendar, wanted, {}), sums, positions, before_ns)
    return sums_of.in_order(found)


def _wanted(calendar: Calendar, wanted: Filter, after_ms: dict[tuple[str, str], int]) -> Wanted:
    # The first whole millisecond in the wanted time, and the first one after it.
    since_ms = FIRST_MS if wanted.since_ns is None else -(-wanted.since_ns // NS_PER_MS)
    until_ms = END_MS if wanted.until_ns is None else -(-wanted.until_ns // NS_PER_MS)
    return Wanted(calendar, wanted.symbol and wanted.symbol.lower(), since_ms, until_ms, after_ms)


def _sums_of(connection: Connection, account: LabelledAccount, wanted: Wanted, until_ns: int | None) -> PeriodSums:
    sums = PeriodSums()
    if until_ns is not None:
        for fill in current.fills(connection, Filter(f"{account.venue}/{account.name}", until_ns=until_ns)):
            add_fill(sums, account, wanted, fill)
        found = payments(connection, account.account_id, wanted.since_ms, wanted.until_ms, until_ns)
        add_payments(sums, account, wanted, found)
        return sums
    tail = tail_of(connection, account)
    add_stored(connection, account, wanted, sums, tail.payments_in)
    for row in tail.stored:
        add_fill(sums, account, wanted, row, -1)
    for fill in tail.fills:
        add_fill(sums, account, wanted, fill)
    return sums


def trips(connection: Connection, wanted: Filter, until_ns: int | None) -> Iterator[Trip]:
    """Round trips, by account and contract. The arguments are those of `fees`; `wanted` sets no time."""
    symbol = wanted.symbol and wanted.symbol.lower()
    for account in labelled_accounts(connection, wanted.account):
        found = _trips_now(connection, account) if until_ns is None else _trips_then(connection, account, until_ns)
        yield from (trip for trip in found if symbol in {None, trip.symbol.lower()})


def _trips_now(connection: Connection, account: LabelledAccount) -> Iterator[Trip]:
    tail = tail_of(connection, account)
    add_left(connection, account.account_id, tail.trips)
    unstored = Unstored(lambda row: key_of(row.order_id, row.trade_id) in tail.orders, tail.fills)
    terms_of = terms_by(connection, Filter(f"{account.venue}/{account.name}")) if tail.described else None
    anew = {}
    for key, touched in tail.trips.items():
        if terms_of is None:
            terms = stored_terms(connection, account, key.market, key.symbol)
        else:
            terms = terms_of(account.label, key.market or None, key.symbol)
        anew[key] = walk(connection, account, key, touched, terms, unstored)
    stored = (
        trip
        for trip in stored_trips(connection, account)
        if (walked := anew.get(_key_of(trip))) is None
        or trip.trip < walked.first
        or (walked.until is not None and trip.trip >= walked.until)
    )
    if not anew:
        yield from stored
        return
    yield from sorted([*stored, *(trip for walked in anew.values() for trip in walked.trips)], key=_order)


def _key_of(trip: Trip) -> TripKey:
    return TripKey(trip.market or "", trip.symbol, trip.position_side or "")


def _order(trip: Trip) -> tuple[str, str, str, int]:
    return (*_key_of(trip), trip.trip)


def _trips_then(connection: Connection, account: LabelledAccount, until_ns: int) -> Iterator[Trip]:
    mine = Filter(f"{account.venue}/{account.name}", until_ns=until_ns)
    fills = list(current.fills(connection, mine))
    held: list[HeldQuantity] = []
    for key in {key for fill in fills if (key := trip_key(fill)) is not None}:
        of = {"symbol": key.symbol, "market": key.market or None, "position_side": key.position_side or None}
        held += (
            HeldQuantity(account.label, of["market"], key.symbol, of["position_side"], *state)
            for state in reports(connection, account.account_id, of, FIRST_MS, until_ns)
        )
    return trip_walk.trips(fills, held, terms_by(connection, mine))
