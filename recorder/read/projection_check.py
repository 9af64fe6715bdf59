"""Compares the projections with what follows from the typed rows, order by order; and repairs them."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, func, literal, select, union

from recorder.read.contracts import latest_contracts
from recorder.read.projected_rows import Difference, differences, store, table_differences
from recorder.read.projections import ORDERS_PER_STATEMENT, OrderKey, key_of, project
from recorder.read.projector import latest_states, unprojected, unprojected_orders
from recorder.read.scope import LabelledAccount, labelled_accounts
from recorder.store.dialects import POSTGRESQL, take_account
from recorder.store.projection_tables import contracts, current_states, order_states, trades
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
            for keys in _some(_keys(connection, account.account_id)):
                yield from _faults(connection, account, [key for key in keys if key not in left_out])
            if not left_out and not unprojected(connection):
                yield from _faults_of_states(connection, account)


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
        if any(_key_of(one) is None for one in found):
            yield _in_transaction(engine, account, _faults_of_states)


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


def _faults(connection: Connection, account: LabelledAccount, keys: list[OrderKey]) -> Iterator[ProjectionFault]:
    for some, found in project(connection, account, keys):
        for one in differences(connection, account.account_id, some, found):
            yield ProjectionFault(account, one)


def _faults_of_states(connection: Connection, account: LabelledAccount) -> Iterator[ProjectionFault]:
    for table, rows in (
        (current_states, latest_states(connection, account.account_id)),
        (contracts, latest_contracts(connection, account)),
    ):
        stored = connection.execute(select(table).where(table.c.account_id == account.account_id))
        for one in table_differences(table, stored, rows):
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
