"""Orders and fills as they are now: from the projections, and computed for what is not projected yet.

So an answer costs as much on ten million updates as on a hundred thousand, and is never behind the record.
"""

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, exists, func, literal_column, select

from recorder.model import FINAL_STATUSES
from recorder.read.merging import completed
from recorder.read.order_lives import KNOWN
from recorder.read.projections import NEVER_NS, OrderKey, Projected, key_of, project
from recorder.read.projector import unprojected_orders
from recorder.read.records import Fill, Filter, Order
from recorder.read.rows_at import PLACES_MAX, rows_at
from recorder.read.scope import LabelledAccount, labelled_accounts
from recorder.store.dialects import POSTGRESQL
from recorder.store.projection_tables import order_states, trades
from recorder.store.schema import fills as reported
from recorder.store.schema import order_updates
from recorder.store.state_index import StateRow
from recorder.venues import find_venue

T = TypeVar("T", Fill, Order)

#: Rows fetched at a time.
_FETCH = 500
_RECEIPT = ("received_ns", "session_id", "seq", "item")
#: The order of fills in which they happened.
AS_THEY_HAPPENED = ("at_ms", *_RECEIPT)
_receipt = attrgetter(*_RECEIPT)
_LEFT_OUT = (*KNOWN, "created_ms")
_SYMBOL = func.nullif(order_states.c.symbol, "").label("symbol")
_ORDER_COLUMNS: list[ColumnElement[Any]] = [
    func.coalesce(u, _SYMBOL if u.name == "symbol" else order_states.c[u.name]).label(u.name)
    if u.name in {*_LEFT_OUT, "symbol"}
    else u
    for u in (order_updates.c[name] for name in Order._fields if name != "account")
]
_SAME_ROW = and_(*(order_updates.c[name] == order_states.c[name] for name in ("account_id", *_RECEIPT[1:])))
_IS_ESTIMATE = Fill._fields.index("price_is_estimate")


def orders(
    connection: Connection, wanted: Filter, newest: int | None = None, *, only_open: bool = False
) -> Iterator[Order]:
    """The latest state of each order, the oldest change first.

    Args:
        connection: to the record.
        wanted: which; it sets no end.
        newest: only so many, those that changed last; None: all.
        only_open: only those that can still change.
    """
    # A literal, not a parameter: only then does the planner use the partial index.
    these = [order_states.c.is_open == literal_column("1")] if only_open else []

    def stored(account: LabelledAccount, keys: set[OrderKey]) -> Iterator[Order]:
        backwards = newest is not None
        if not backwards or connection.dialect.name != POSTGRESQL:
            query = select(*_ORDER_COLUMNS).select_from(order_states.join(order_updates, _SAME_ROW)).where(*these)
            for row in _rows(connection, query, order_states, account, wanted, backwards=backwards):
                if OrderKey(row.order_id) not in keys:
                    yield Order(account.label, *row)
            return
        # Not joined: PostgreSQL would read all orders to sort them.
        names = ("counts_ns", *_RECEIPT, "order_id", *_LEFT_OUT)
        query = select(*(order_states.c[name] for name in names), _SYMBOL).where(*these)
        rows = _rows(connection, query, order_states, account, wanted, backwards=backwards)
        mine = (row for row in rows if OrderKey(row.order_id) not in keys)
        while some := {_receipt(row): row for row in islice(mine, PLACES_MAX)}:
            places = [StateRow._make((*row[:5], None)) for row in some.values()]
            found = (
                Order(account.label, *row) for row in rows_at(connection, order_updates, account.account_id, places)
            )
            whole = (completed(one, some[_receipt(one)], (*_LEFT_OUT, "symbol")) for one in found)
            yield from sorted(whole, key=_receipt, reverse=True)

    def computed(account: LabelledAccount, found: Projected) -> Iterator[Order]:
        return (
            one for one in found.orders if _is_wanted(one, wanted) and not (only_open and one.status in FINAL_STATUSES)
        )

    return _answer(connection, wanted, newest, stored, computed)


def fills(
    connection: Connection, wanted: Filter, newest: int | None = None, order: tuple[str, ...] = _RECEIPT
) -> Iterator[Fill]:
    """Each fill once, in the order of receipt or `AS_THEY_HAPPENED`. `wanted` may set an end; else as for `orders`.

    With an end, the fills are those that were known then: executions that the venue reported later are left out.
    """

    def stored(account: LabelledAccount, keys: set[OrderKey]) -> Iterator[Fill]:
        query = select(*(trades.c[name] for name in Fill._fields if name != "account"))
        for row in _rows(connection, query, trades, account, wanted, order, backwards=newest is not None):
            if not keys or key_of(row.order_id, row.trade_id) not in keys:
                yield _fill(account.label, row)

    def computed(account: LabelledAccount, found: Projected) -> Iterator[Fill]:
        return (fill for _, fill in found.trades if _is_wanted(fill, wanted))

    return _answer(connection, wanted, newest, stored, computed, order)


def _fill(account: str, row: Any) -> Fill:
    return Fill._make((account, *row[: _IS_ESTIMATE - 1], bool(row[_IS_ESTIMATE - 1]), *row[_IS_ESTIMATE:]))


def _answer(
    connection: Connection,
    wanted: Filter,
    newest: int | None,
    stored: Callable[[LabelledAccount, set[OrderKey]], Iterator[T]],
    computed: Callable[[LabelledAccount, Projected], Iterator[T]],
    order: tuple[str, ...] = _RECEIPT,
) -> Iterator[T]:
    """What is stored of all orders but those that are computed, in that order."""
    backwards, in_order_of = newest is not None, attrgetter(*order)
    until_ns = NEVER_NS if wanted.until_ns is None else wanted.until_ns
    streams: list[Iterator[T]] = []
    touched = None if wanted.order_id else unprojected_orders(connection)
    for account in labelled_accounts(connection, wanted.account):
        if touched is None:
            # One order is computed from its rows, which is as cheap.
            keys = {OrderKey(wanted.order_id or "")}
        else:
            keys = touched[account.account_id] | _reported_since(connection, account, wanted.since_ns, wanted.until_ns)
            streams.append(stored(account, keys))
        fresh = [one for _, found in project(connection, account, keys, until_ns) for one in computed(account, found)]
        if fresh:
            streams.append(iter(sorted(fresh, key=in_order_of, reverse=backwards)))
    # Merging costs as much as reading; mostly there is one account, and everything is projected.
    in_order = streams[0] if len(streams) == 1 else merge(*streams, key=in_order_of, reverse=backwards)
    yield from reversed(list(islice(in_order, newest))) if backwards else in_order


def _reported_since(
    connection: Connection, account: LabelledAccount, since_ns: int | None, until_ns: int | None
) -> set[OrderKey]:
    """The orders about whose fills, between two instants, something was reported later: they were known otherwise."""
    if until_ns is None:
        return set()
    r, t = reported.c, trades.c
    query = (
        select(r.order_id, r.trade_id).distinct().where(r.account_id == account.account_id, r.received_ns >= until_ns)
    )
    venue = find_venue(account.venue)
    if venue is not None and venue.pushes_fills:
        # Another report of a fill may add what the first one left out.
        same = t.account_id == r.account_id, t.order_id == r.order_id, t.trade_id == r.trade_id
        query = query.where(exists().where(*same, t.received_ns < until_ns))
        if since_ns is not None:
            # From the fills that are wanted: there may be many more reports after the instant.
            later = exists().where(*same, r.received_ns >= until_ns)
            wanted = t.account_id == account.account_id, t.received_ns >= since_ns, t.received_ns < until_ns
            query = select(t.order_id, t.trade_id).distinct().where(*wanted, later)
    return {key_of(row.order_id, row.trade_id) for row in connection.execute(query)}


def _rows(
    connection: Connection,
    query: Select[Any],
    table: Table,
    account: LabelledAccount,
    wanted: Filter,
    order: tuple[str, ...] = _RECEIPT,
    *,
    backwards: bool,
) -> Iterator[Any]:
    """The rows of an account in that order, as they are fetched."""
    t = table.c
    query = query.where(t.account_id == account.account_id)
    if wanted.symbol is not None:
        query = query.where(func.lower(t.symbol) == wanted.symbol.lower())
    if wanted.since_ns is not None:
        query = query.where(t.received_ns >= wanted.since_ns)
    if wanted.until_ns is not None:
        query = query.where(t.received_ns < wanted.until_ns)
    in_order = [t[name].desc() if backwards else t[name] for name in order]
    streamed = {"yield_per": _FETCH}
    with connection.execute(query.order_by(*in_order), execution_options=streamed) as rows:
        yield from rows


def _is_wanted(one: Fill | Order, wanted: Filter) -> bool:
    if wanted.symbol is not None and (one.symbol or "").lower() != wanted.symbol.lower():
        return False
    since_ns, until_ns = wanted.since_ns, wanted.until_ns
    return (since_ns is None or one.received_ns >= since_ns) and (until_ns is None or one.received_ns < until_ns)
