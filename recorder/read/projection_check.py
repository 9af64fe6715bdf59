"""Compares the projections with what follows from the typed rows, order by order; and repairs them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Table, func, literal, select, union

from recorder.read.contracts import latest_contracts, stored_terms
from recorder.read.current_states import latest_states
from recorder.read.daily_pnl import daily_rows, figures, has_figures
from recorder.read.order_lives import Row
from recorder.read.payments import ledgers, payments
from recorder.read.period_sums import Sums, add_fill_to, add_payment_to, rows_of
from recorder.read.projected_rows import Difference, differences, store, table_differences
from recorder.read.projected_trips import ALWAYS, TouchedTrips, add_left, differences_of, walk
from recorder.read.projections import ORDERS_PER_STATEMENT, OrderKey, key_of, project
from recorder.read.projector import unprojected, unprojected_orders
from recorder.read.scope import LabelledAccount, labelled_accounts
from recorder.read.trips import TripKey, trip_key
from recorder.store.dialects import POSTGRESQL, take_account
from recorder.store.projection_tables import (
    contracts,
    current_states,
    daily_pnl,
    order_states,
    period_sums,
    stale_quarters,
    sum_bounds,
    trades,
    trip_marks,
    trips,
)
from recorder.store.schema import fills, order_updates

#: Orders in one transaction of a repair.
ORDERS_PER_REPAIR = ORDERS_PER_STATEMENT


class ProjectionFault(NamedTuple):
    """A row of a projection that does not follow from the typed rows."""

    account: LabelledAccount
    difference: Difference


def check(engine: Engine, account_id: int | None = None) -> Iterator[ProjectionFault]:
    """Compare the projections with what follows from the typed rows. What is not projected yet is left out.

    Args:
        engine: of the record.
        account_id: only this account, by its key; None: all.
    """
    # One state of the database for all, while a recorder may be writing.
    level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == POSTGRESQL else {}
    with engine.connect().execution_options(**level) as connection, connection.begin():
        waiting = unprojected_orders(connection)
        for account in labelled_accounts(connection):
            if account_id not in {None, account.account_id}:
                continue
            left_out = waiting[account.account_id]
            left = TouchedTrips()
            add_left(connection, account.account_id, left)
            is_current = not left_out and not left and not unprojected(connection)
            yield from _faults_of(connection, account, left_out, is_current=is_current)


def repair(engine: Engine, account_id: int | None = None) -> Iterator[int]:
    """Repair what `check` finds, in small transactions.

    Args:
        engine: of the record.
        account_id: only this account, by its key; None: all.

    Yields:
        How many rows each transaction wrote or deleted.
    """
    by_account: dict[LabelledAccount, list[Difference]] = defaultdict(list)
    for fault in check(engine, account_id):
        by_account[fault.account].append(fault.difference)
    for account, found in by_account.items():
        keys = {key for one in found if (key := _key_of(one)) is not None}
        for some in _some(iter(sorted(keys))):
            yield _in_transaction(engine, account, partial(_faults, keys=some))
        # What follows from the fills is compared once they are right, and without computing these again: nothing else
        # is written meanwhile.
        yield _in_transaction(engine, account, _faults_beside_orders)
        yield _in_transaction(engine, account, _faults_of_days)


def _in_transaction(
    engine: Engine,
    account: LabelledAccount,
    look: Callable[[Connection, LabelledAccount], Iterator[ProjectionFault]],
) -> int:
    with engine.begin() as connection:
        if not take_account(connection, account.account_id):
            return 0
        # Computed again: a recorder may have written meanwhile.
        found = [fault.difference for fault in look(connection, account)]
        store(connection, found)
    return len(found)


def _faults_of(
    connection: Connection, account: LabelledAccount, left_out: Collection[OrderKey], *, is_current: bool
) -> Iterator[ProjectionFault]:
    """Compare everything of an account but some orders; what follows from all of them, only if it is current."""
    sums: Sums = {}
    contracts_of: set[TripKey] = set()
    are_right = True
    for keys in _some(_keys(connection, account.account_id)):
        for fault in _faults(connection, account, [key for key in keys if key not in left_out], sums, contracts_of):
            are_right = are_right and fault.difference.table is not trades
            yield fault
    if not is_current:
        return
    states = list(_faults_of_states(connection, account))
    yield from states
    if are_right:
        wrong = list(_faults_of_sums(connection, account, sums))
        yield from wrong
        if not states and not wrong:
            yield from _faults_of_days(connection, account)
        yield from _faults_of_trips(connection, account, contracts_of)


def _faults_beside_orders(connection: Connection, account: LabelledAccount) -> Iterator[ProjectionFault]:
    """Compare everything of an account but orders and fills, which must be right."""
    sums: Sums = {}
    contracts_of: set[TripKey] = set()
    mine = select(trades).where(trades.c.account_id == account.account_id)
    with connection.execute(mine, execution_options={"yield_per": ORDERS_PER_STATEMENT}) as rows:
        for row in rows:
            add_fill_to(sums, row)
            if (key := trip_key(row)) is not None:
                contracts_of.add(key)
    yield from _faults_of_states(connection, account)
    yield from _faults_of_sums(connection, account, sums)
    yield from _faults_of_trips(connection, account, contracts_of)


def _faults(
    connection: Connection,
    account: LabelledAccount,
    keys: list[OrderKey],
    sums: Sums | None = None,
    contracts_of: set[TripKey] | None = None,
) -> Iterator[ProjectionFault]:
    """Compare some orders, and add their fills to sums, and the contracts of these to a set."""
    for some, found in project(connection, account, keys):
        for one in differences(connection, account.account_id, some, found):
            yield ProjectionFault(account, one)
        for _, fill in found.trades:
            if sums is not None:
                add_fill_to(sums, fill)
            if contracts_of is not None and (key := trip_key(fill)) is not None:
                contracts_of.add(key)


def _faults_of_states(connection: Connection, account: LabelledAccount) -> Iterator[ProjectionFault]:
    yield from _differing(connection, account, current_states, latest_states(connection, account.account_id))
    yield from _differing(connection, account, contracts, latest_contracts(connection, account))
    yield from _differing(connection, account, stale_quarters, [])


def _faults_of_sums(connection: Connection, account: LabelledAccount, sums: Sums) -> Iterator[ProjectionFault]:
    """Compare the sums with those of the fills, which must be right, and of the funding."""
    for one in payments(connection, account.account_id):
        add_payment_to(sums, one)
    yield from _differing(connection, account, period_sums, rows_of(account.account_id, sums))


def _faults_of_days(connection: Connection, account: LabelledAccount) -> Iterator[ProjectionFault]:
    """Compare the profit of each day with that of the sums, states and contracts, which must be right."""
    bounds = ledgers(connection, account.account_id)
    if has_figures(account):
        bounds += figures(connection, account.account_id)
    yield from _differing(connection, account, sum_bounds, bounds)
    yield from _differing(connection, account, daily_pnl, daily_rows(connection, account))


def _differing(
    connection: Connection, account: LabelledAccount, table: Table, rows: Iterable[Row]
) -> Iterator[ProjectionFault]:
    stored = connection.execute(select(table).where(table.c.account_id == account.account_id))
    for one in table_differences(table, stored, rows):
        yield ProjectionFault(account, one)


def _faults_of_trips(
    connection: Connection, account: LabelledAccount, of_fills: Collection[TripKey]
) -> Iterator[ProjectionFault]:
    """Compare the trips of an account with those of its fills, which must be right."""
    keys = set(of_fills)
    for table in (trips, trip_marks):
        key = (table.c[name] for name in TripKey._fields)
        mine = table.c.account_id == account.account_id
        keys |= {TripKey(*row) for row in connection.execute(select(*key).distinct().where(mine))}
    for of in sorted(keys):
        walked = walk(connection, account, of, ALWAYS, stored_terms(connection, account, of.market, of.symbol))
        for one in differences_of(connection, account.account_id, of, walked):
            yield ProjectionFault(account, one)


def _keys(connection: Connection, account_id: int) -> Iterator[OrderKey]:
    """Every order that the typed rows or the projections know."""
    parts = []
    for table in (order_updates, order_states, fills, trades):
        has_trade = "trade_id" in table.c
        without = table.c.order_id.is_(None)
        trade_id = func.coalesce(table.c.trade_id, "") if has_trade else literal("")
        order_id = func.coalesce(table.c.order_id, "")
        mine = table.c.account_id == account_id
        parts.append(select(order_id.label("order_id"), literal("").label("trade_id")).where(mine, ~without))
        if has_trade:
            parts.append(select(order_id, trade_id).where(mine, without))
    with connection.execute(union(*parts), execution_options={"yield_per": ORDERS_PER_STATEMENT}) as rows:
        for order_id, trade_id in rows:
            yield key_of(order_id, trade_id)


def _some(keys: Iterator[OrderKey]) -> Iterator[list[OrderKey]]:
    while some := list(islice(keys, ORDERS_PER_REPAIR)):
        yield some


def _key_of(one: Difference) -> OrderKey | None:
    """The order that a row of `order_states` or `trades` belongs to; None for a row of another table."""
    if one.table not in {order_states, trades}:
        return None
    row: Any = one.stored or one.wanted
    named = dict(zip(one.table.c.keys(), row, strict=True))
    return key_of(named["order_id"], named.get("trade_id"))


def describe(one: Difference) -> str:
    """What differs, in words."""
    row: Any = one.wanted or one.stored
    named = dict(zip(one.table.c.keys(), row, strict=True))
    what = (
        f"order {named['order_id']}" if named.get("order_id") else named.get("thing") or named.get("symbol") or "fill"
    )
    if one.stored is None:
        return f"{what}: a row is missing"
    if one.wanted is None:
        return f"{what}: a row does not follow from the typed rows"
    fields = zip(one.table.c.keys(), one.stored, one.wanted, strict=True)
    return f"{what}: " + "; ".join(
        f"{name} is {stored}, should be {wanted}" for name, stored, wanted in fields if stored != wanted
    )
