"""The SQL queries behind the reads of a record."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, Select, Table, func, literal, select, tuple_, union_all

from recorder.clock import NS_PER_MS
from recorder.model import FINAL_STATUSES
from recorder.read.records import Filter, Instrument, Order, Position, RestRound
from recorder.read.scope import account_is, account_label
from recorder.read.transactions import Transaction
from recorder.store.deduplication import seen_by_one
from recorder.store.latest_orders import is_listed_open, latest_of_orders, symbol_of_order
from recorder.store.projection_tables import order_states
from recorder.store.schema import (
    ONCE,
    accounts,
    fills,
    instruments,
    order_updates,
    position_updates,
    receipts,
    reconciliations,
    recorders,
    sessions,
    transactions,
)
from recorder.store.state_index import content_of, counts_ns

#: How many orders, the newest ones, are searched for ids that an exchange gave twice.
REUSE_ORDERS = 200
#: Times of one order that differ by more are of two orders, ms: two interfaces of a venue may round differently.
REUSE_MS = 60_000


class Closed(NamedTuple):
    """Which of the orders that can no longer change are wanted."""

    #: Created at or after, and before, milliseconds since 1970 by the venue's clock.
    created_since_ms: int
    created_until_ms: int
    #: Only those that come after this order in `closed_orders`; None: all.
    before_id: str | None = None


def columns_of(record: type[tuple[Any, ...]], rows: FromClause, connection: Connection) -> list[ColumnElement[Any]]:
    """The columns of a record's fields; the account's label takes the place of its key."""
    names: tuple[str, ...] = record._fields  # type: ignore[attr-defined]
    return [account_label(connection).label("account") if name == "account" else rows.c[name] for name in names]


def rows_until(connection: Connection, table: Table, until_ns: int | None) -> FromClause:
    """A typed table, each push once, for questions about what was received before an instant.

    It may include rows received later, but not the whole rest of a long record: of a session that was going on at the
    instant, nothing after the last frame received before it.

    Args:
        connection: to the record.
        table: of states.
        until_ns: the instant, ns since 1970; None: all rows.
    """
    several = (connection.scalar(select(func.count()).select_from(recorders)) or 0) > 1
    if until_ns is None or several:
        # Second sightings can only be found in the whole of what several recorders saw.
        return ONCE[table]
    once = [seen_by_one(table, table, content_of(table))] if table is order_updates else []
    parts = [
        select(table).where(table.c.account_id == account_id, part, *once)
        for account_id in connection.scalars(select(accounts.c.account_id)).all()
        for part in _parts(connection, table, account_id, until_ns)
    ]
    return union_all(*parts).subquery() if parts else ONCE[table]


def _parts(connection: Connection, table: Table, account_id: int, until_ns: int) -> list[ColumnElement[bool]]:
    """Conditions for an account's rows received before an instant, each of them a range of the key."""
    r, session_id = receipts.c, table.c.session_id
    before = r.account_id == account_id, r.first_ns < until_ns
    # Materialized, or a planner would walk back from the newest session of all.
    known = select(r.session_id).where(*before).cte("known").prefix_with("MATERIALIZED")
    last_id: int | None = connection.scalar(select(func.max(known.c.session_id)))
    if last_id is None:
        return []
    going_on = _going_on(connection, account_id, last_id, until_ns)
    ends = select(r.session_id, func.max(r.last_seq)).where(*before, r.session_id.in_(going_on)).group_by(r.session_id)
    last_seqs: dict[int, int] = {row[0]: row[1] for row in connection.execute(ends)}
    parts: list[ColumnElement[bool]] = []
    after_id = -1
    for one in going_on:
        parts.append((session_id > after_id) & (session_id < one))
        if one in last_seqs:
            parts.append((session_id == one) & (table.c.seq <= last_seqs[one]))
        after_id = one
    return [*parts, (session_id > after_id) & (session_id <= last_id)]


def _going_on(connection: Connection, account_id: int, last_id: int, until_ns: int) -> list[int]:
    """The sessions and rounds of an account that were going on at an instant, oldest first."""
    s, r = sessions.c, reconciliations.c
    still = select(s.session_id).where(s.account_id == account_id, s.session_id <= last_id)
    still = still.where(s.ended_ns.is_(None) | (s.ended_ns >= until_ns))
    asking = select(r.reconciliation_id).where(r.account_id == account_id, r.reconciliation_id <= last_id)
    asking = asking.where(r.ended_ns.is_(None) | (r.ended_ns >= until_ns))
    return sorted({*connection.scalars(still), *connection.scalars(asking)})


def _receipt(table: FromClause) -> tuple[ColumnElement[Any], ...]:
    return table.c.received_ns, table.c.session_id, table.c.seq, table.c.item


def _wanted(
    query: Select[Any], table: FromClause, wanted: Filter, symbol: ColumnElement[Any] | None = None
) -> Select[Any]:
    query = query.join(accounts, accounts.c.account_id == table.c.account_id)
    if wanted.account is not None:
        query = query.where(account_is(wanted.account))
    if wanted.symbol is not None:
        query = query.where(func.lower(table.c.symbol if symbol is None else symbol) == wanted.symbol.lower())
    if wanted.order_id is not None and "order_id" in table.c:
        query = query.where(table.c.order_id == wanted.order_id)
    if wanted.since_ns is not None:
        query = query.where(table.c.received_ns >= wanted.since_ns)
    if wanted.until_ns is not None:
        query = query.where(table.c.received_ns < wanted.until_ns)
    return query


def _of_answer(rows: FromClause) -> ColumnElement[bool]:
    r = reconciliations.c
    return (r.account_id == rows.c.account_id) & (r.reconciliation_id == rows.c.session_id)


def history(record: type[tuple[Any, ...]], table: Table, wanted: Filter, connection: Connection) -> Select[Any]:
    """Every state of everything, in the order of receipt."""
    rows = rows_until(connection, table, wanted.until_ns)
    symbol = symbol_of_order(rows) if table is order_updates else None
    return _wanted(select(*columns_of(record, rows, connection)), rows, wanted, symbol).order_by(*_receipt(rows))


def positions_as_they_happened(wanted: Filter, connection: Connection) -> Select[Any]:
    """Every state of every position, in the order in which they came to be by the venue's clock."""
    rows = rows_until(connection, position_updates, wanted.until_ns)
    query = select(*columns_of(Position, rows, connection)).join_from(
        rows, reconciliations, _of_answer(rows), isouter=True
    )
    at_ms = func.coalesce(rows.c.updated_ms, rows.c.event_ms, rows.c.received_ns // NS_PER_MS)
    return _wanted(query, rows, wanted).order_by(at_ms, counts_ns(rows.c), *_receipt(rows))


def rounds(wanted: Filter, connection: Connection) -> Select[Any]:
    """The rounds of REST requests, oldest first."""
    r = reconciliations
    query = select(*columns_of(RestRound, r, connection)).join(accounts, accounts.c.account_id == r.c.account_id)
    if wanted.account is not None:
        query = query.where(account_is(wanted.account))
    return query.order_by(r.c.began_ns, r.c.reconciliation_id)


def latest_orders(wanted: Filter, connection: Connection) -> Select[Any]:
    """The latest state of each order, the oldest change first."""
    rows = rows_until(connection, order_updates, wanted.until_ns)
    symbol = symbol_of_order(rows).label("symbol")
    columns = [symbol if one.name == "symbol" else one for one in columns_of(Order, rows, connection)]
    more = rows.c.account_id, counts_ns(rows.c).label("counts_ns"), is_listed_open(rows.c).label("is_listed_open")
    query = select(*columns, *more).join_from(rows, reconciliations, _of_answer(rows), isouter=True)
    updates = _wanted(query, rows, wanted._replace(since_ns=None), symbol).subquery()
    order = "account_id", "order_id", "market", "symbol"
    receipt = "received_ns", "session_id", "seq", "item"
    found = latest_of_orders(updates, order, ("counts_ns", *receipt), Order._fields).subquery()
    newest = select(found)
    if wanted.since_ns is not None:
        newest = newest.where(found.c.received_ns >= wanted.since_ns)
    return newest.order_by(*_receipt(found))


def money_movements(wanted: Filter, newest: int | None, connection: Connection) -> Select[Any]:
    """Each transaction once, in the order of receipt.

    Args:
        wanted: which.
        newest: only so many, the last ones, and these backwards; None: all.
        connection: to the record.
    """
    once = ONCE[transactions]
    at_ms = func.coalesce(once.c.occurred_ms, once.c.event_ms, once.c.received_ns // NS_PER_MS)
    rows = select(once, at_ms.label("at_ms")).subquery()
    query = _wanted(select(*columns_of(Transaction, rows, connection)), rows, wanted)
    if newest is None:
        return query.order_by(*_receipt(rows))
    return query.order_by(*(column.desc() for column in _receipt(rows))).limit(newest)


def latest_instruments(wanted: Filter, connection: Connection) -> Select[Any]:
    """What was said last of each symbol, oldest first."""
    rows = instruments
    newest_first = [column.desc() for column in _receipt(rows)]
    age = (
        func.row_number()
        .over(partition_by=(rows.c.account_id, rows.c.market, rows.c.symbol), order_by=newest_first)
        .label("age")
    )
    aged = _wanted(select(*columns_of(Instrument, rows, connection), age), rows, wanted).subquery()
    newest = select(*[aged.c[name] for name in Instrument._fields]).where(aged.c.age == 1)
    return newest.order_by(*_receipt(aged))


def closed_orders(closed: Closed, wanted: Filter, connection: Connection) -> Select[Any]:
    """The latest state of each order that can no longer change, the order that was created last first.

    Where the latest state does not repeat when the order was created, when it ended counts instead.
    """
    o = latest_orders(wanted, connection).order_by(None).subquery().c
    query = select(*[o[name] for name in Order._fields]).where(o.status.in_(sorted(FINAL_STATUSES)))
    created_ms = func.coalesce(o.created_ms, o.updated_ms)
    query = query.where(created_ms >= closed.created_since_ms, created_ms < closed.created_until_ms)
    # Of orders created in one millisecond, the longer id is the greater one, which is right for ids that count up.
    place = created_ms, func.length(o.order_id), o.order_id
    if closed.before_id is not None:
        before = latest_orders(wanted._replace(order_id=closed.before_id), connection).order_by(None).subquery().c
        made = select(func.coalesce(before.created_ms, before.updated_ms)).limit(1).scalar_subquery()
        query = query.where(tuple_(*place) < tuple_(made, len(closed.before_id), closed.before_id))
    return query.order_by(*(part.desc() for part in place))


def reused_order_ids(connection: Connection, account_id: int) -> tuple[str, ...]:
    """The ids that the exchange has given twice, such as a testnet that was reset, among an account's newest orders.

    Two orders have one id where its updates name two times of creation, or its executions of one `trade_id` two times.
    Only `REUSE_ORDERS` orders are looked at, so it takes the same time for a record of any length.

    Args:
        connection: to the record.
        account_id: of the account.
    """
    o, u, f = order_states.c, order_updates.c, fills.c
    newest = select(o.order_id).where(o.account_id == account_id).order_by(o.received_ns.desc()).limit(REUSE_ORDERS)
    ids = newest.subquery("ids")

    def differ(table: Table, at_ms: ColumnElement[int], *same: ColumnElement[Any]) -> ColumnElement[bool]:
        mine = table.c.account_id == account_id, table.c.order_id == ids.c.order_id
        apart = func.max(at_ms) - func.min(at_ms) > REUSE_MS
        return select(literal(1)).select_from(table).where(*mine).group_by(*same).having(apart).correlate(ids).exists()

    created = differ(order_updates, u.created_ms, u.market, u.symbol)
    executed = differ(fills, f.executed_ms, f.market, f.symbol, f.trade_id)
    return tuple(connection.scalars(select(ids.c.order_id).where(created | executed)))
