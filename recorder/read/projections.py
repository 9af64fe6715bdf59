"""Orders and fills, computed from the typed rows of one order after the other.

An order is always computed from all its rows. So it does not matter in which order they arrived, or whether some were
added, deleted or sent by a second recorder meanwhile.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    select,
)

from recorder.clock import NS_PER_MS
from recorder.model import FILLED, FINAL_STATUSES, MARKET, TAKER, UNKNOWN
from recorder.read.fills import VENUE
from recorder.read.fills import fills as fills_of
from recorder.read.merging import LEFT_OUT, completed, latest
from recorder.read.records import Fill, Order
from recorder.read.scope import LabelledAccount, labelled_accounts
from recorder.store.columns import ExactDecimal
from recorder.store.deduplication import in_bursts, seen_by_one, seen_first
from recorder.store.projection_tables import order_states, trades
from recorder.store.schema import fills, order_updates, reconciliations, recorders, runs, sessions
from recorder.store.state_index import content_of, counts_ns
from recorder.venues import find_venue

Row = tuple[Any, ...]
#: Market and symbol; an order's id, market and symbol. Empty where the venue sends none.
_Market = tuple[str, ...]
_Order = tuple[str, ...]

#: Orders that one statement reads.
ORDERS_PER_STATEMENT = 400
#: After everything that was ever received, ns.
NEVER_NS = 2**63 - 1

_RECEIPT = ("received_ns", "session_id", "seq", "item")
_receipt = attrgetter(*_RECEIPT)
#: Fields of a fill that its order knows, if the venue does not repeat them with the fill.
_OF_ORDER = ("client_order_id", "market", "symbol", "side", "position_side", "order_type", "fee_currency")


class OrderKey(NamedTuple):
    """An order of an account, or a fill without an order."""

    #: Empty: a fill without an order.
    order_id: str
    #: Of a fill without an order; empty if it has none, and for an order.
    trade_id: str = ""


#: In the place of an order: the account's balances, positions, contracts and funding.
ACCOUNT = OrderKey("")


def key_of(order_id: str | None, trade_id: str | None) -> OrderKey:
    """The key under which a fill is projected."""
    return OrderKey(order_id) if order_id else OrderKey("", trade_id or "")


class Projected(NamedTuple):
    """What follows from the rows of some orders."""

    #: Rows of `order_states`.
    states: list[Row]
    #: Rows of `trades`, and the fills that readers get.
    trades: list[tuple[Row, Fill]]
    #: The latest state of each order, for readers.
    orders: list[Order]


def project(
    connection: Connection, account: LabelledAccount, keys: Collection[OrderKey], until_ns: int = NEVER_NS
) -> Iterator[tuple[Sequence[OrderKey], Projected]]:
    """Compute some orders, a few at a time.

    Args:
        connection: to the record.
        account: whose orders.
        keys: which orders.
        until_ns: only from what was received before this instant, ns since 1970.

    Yields:
        Some of the keys, and what follows from their rows.
    """
    several = are_several(connection)
    venue = find_venue(account.venue)
    pushes_fills = venue is not None and venue.pushes_fills
    in_order = sorted(keys)
    for start in range(0, len(in_order), ORDERS_PER_STATEMENT):
        some = in_order[start : start + ORDERS_PER_STATEMENT]
        reading = _Reading(connection, account, some, until_ns, several=several)
        yield some, reading.project(pushes_fills=pushes_fills)


def complete_orders(connection: Connection, orders: Iterable[Order], until_ns: int) -> Iterator[Order]:
    """Complete latest states of orders with what older updates say, as `project` does.

    Args:
        connection: to the record.
        orders: of any accounts.
        until_ns: only from what was received before this instant, ns since 1970.
    """
    several = are_several(connection)
    accounts = {one.label: one for one in labelled_accounts(connection)}
    waiting = iter(orders)
    while some := list(islice(waiting, ORDERS_PER_STATEMENT)):
        known: dict[_Order, Order] = {}
        for label in {one.account for one in some}:
            keys = [OrderKey(order_id) for order_id in {one.order_id for one in some if one.account == label}]
            reading = _Reading(connection, accounts[label], keys, until_ns, several=several)
            known |= {_identity(one): one for one in reading.orders()}
        unnamed = {(account, order_id): one for (account, order_id, *_), one in known.items()}
        for one in some:
            whole = known.get(_identity(one)) or (None if one.symbol else unnamed.get((one.account, one.order_id)))
            yield one if whole is None else completed(one, whole, LEFT_OUT)


def _identity(order: Order) -> _Order:
    return order.account, order.order_id, order.market or "", order.symbol or ""


def are_several(connection: Connection) -> bool:
    """Whether several recorders wrote the record."""
    return (connection.scalar(select(func.count()).select_from(recorders)) or 0) > 1


class _Reading:
    """Reads the rows of some orders and computes what follows from them."""

    def __init__(
        self,
        connection: Connection,
        account: LabelledAccount,
        keys: Sequence[OrderKey],
        until_ns: int,
        *,
        several: bool,
    ) -> None:
        self._connection = connection
        self._account = account
        self._keys = keys
        self._several = several
        self._wanted = {
            "account_id": account.account_id,
            "until_ns": until_ns,
            "order_ids": [key.order_id for key in keys if key.order_id],
        }

    def project(self, *, pushes_fills: bool) -> Projected:
        """Compute their states and fills."""
        of_order = self._rows_of_orders()
        steps: dict[str, dict[_Market, list[Order]]] = defaultdict(dict)
        if not pushes_fills:
            for (order_id, *of), rows in of_order.items():
                filled = [_order(self._account.label, row) for row in rows if row[_FILLED] not in _UNFILLED]
                if filled:
                    steps[order_id][tuple(of)] = filled
        found = self._trades(steps, pushes_fills=pushes_fills)
        times: dict[_Order, list[int]] = defaultdict(list)
        for _, fill in found:
            if fill.quantity > 0:
                times[fill.order_id or "", fill.market or "", fill.symbol or ""].append(fill.at_ms)
        newest = {order: self._latest(rows) for order, rows in of_order.items()}
        states = [self._state(order, rows, newest[order], times.get(order, ())) for order, rows in of_order.items()]
        return Projected(states, found, [one for _, one in newest.values()])

    def orders(self) -> Iterator[Order]:
        """Their latest states only."""
        return (self._latest(rows)[1] for rows in self._rows_of_orders().values())

    def _rows_of_orders(self) -> dict[_Order, list[Row]]:
        # The beginnings differ, so nothing that may be NULL is compared.
        updates = sorted(map(tuple, self._run(_updates(several=self._several))))
        return _join_unnamed({key: list(rows) for key, rows in groupby(updates, _order_of)})

    def _latest(self, rows: list[Row]) -> tuple[Row, Order]:
        """The latest update of an order, and its state, completed with what older updates say."""
        in_order = rows if len(rows) == 1 else sorted(rows, key=_counts)
        place, state = latest([_order(self._account.label, row) for row in in_order])
        return in_order[place], state

    def _state(self, order: _Order, rows: list[Row], newest: tuple[Row, Order], filled_ms: Sequence[int]) -> Row:
        last, state = newest
        first_ms, last_ms = (min(filled_ms), max(filled_ms)) if filled_ms else (None, None)
        status, ended_ms = state.status, None
        if status in FINAL_STATUSES:
            ends = [row[_AT_MS] for row in rows if row[_STATUS] in FINAL_STATUSES and row[_AT_MS] is not None]
            # A filled order may be known from an answer without a time: then its last fill ended it.
            ended_ms = min(ends) if ends else (last_ms if status == FILLED else None)
        said = last[_FIELDS:]
        known = (None if said[place] is not None else getattr(state, name) for place, name in _KNOWN)
        received_ns, session_id, seq, item = last[_RECEIVED]
        return (
            *(self._account.account_id, *order, session_id, seq, item, last[_COUNTS_NS], received_ns),
            *(int(status not in FINAL_STATUSES), rows[0][_RECEIVED][0], len(rows), state.created_ms),
            *(len(filled_ms), first_ms, last_ms, ended_ms, *known),
        )

    def _trades(
        self, steps: Mapping[str, Mapping[_Market, list[Order]]], *, pushes_fills: bool
    ) -> list[tuple[Row, Fill]]:
        executions: dict[str, list[Any]] = defaultdict(list)
        for row in self._executions():
            executions[row.order_id or ""].append(row)
        known = self._known(executions.keys() - {""})
        found: list[tuple[Row, Fill]] = []
        for order_id in executions.keys() | steps.keys():
            matched: dict[_Market, list[Fill]] = defaultdict(list)
            for row in _once(executions.get(order_id, ()), known.get(order_id), pushes_fills=pushes_fills):
                matched[row["market"] or "", row["symbol"] or ""].append(_fill(self._account.label, row))
            its_steps = steps.get(order_id, {})
            for of in matched.keys() | its_steps.keys():
                found += [(self._row(fill), fill) for fill in fills_of(its_steps.get(of, ()), matched.get(of, ()))]
        return found

    def _executions(self) -> list[Any]:
        found = self._run(_executions_of_orders())
        without = [key.trade_id for key in self._keys if not key.order_id]
        if without:
            found += self._run(_executions_without_order(), trade_ids=without)
        return found

    def _known(self, order_ids: Collection[str]) -> dict[str, Any]:
        """What updates say of orders."""
        if not order_ids:
            return {}
        return {row.order_id: row for row in self._run(_known_of_orders(), order_ids=sorted(order_ids))}

    def _row(self, fill: Fill) -> Row:
        *values, price_is_estimate, origin = _trade_fields(fill)
        return (self._account.account_id, *values, int(price_is_estimate), origin)

    def _run(self, query: Select[Any], **values: object) -> list[Any]:
        return list(self._connection.execute(query, self._wanted | values).all())


_trade_fields = attrgetter(*(column.name for column in trades.c if column.name != "account_id"))

# The places in a row of `_updates`.
_order_of = itemgetter(slice(0, 3))
_RECEIVED = slice(3, 7)
_received = itemgetter(_RECEIVED)
_COUNTS_NS, _STATUS, _CREATED_MS, _AT_MS, _FILLED, _FIELDS = range(7, 13)
#: Without market and symbol.
_UNNAMED = ("", "")
#: A row without a filled quantity, or with 0, makes no step; `0.0` neither, but that costs a look.
_UNFILLED = (None, "0", 0)
_FIELD_NAMES = [name for name in Order._fields if name != "account"]
#: Columns of `order_states` that are not told by `_KNOWN`.
_OF_KEY = frozenset(["market", "symbol", "created_ms"])
#: The columns of `order_states` with what the latest row leaves out: where they are among the fields, and their names.
KNOWN = tuple(name for name in order_states.c.keys() if name in LEFT_OUT and name not in _OF_KEY)  # noqa: SIM118
_KNOWN = [(_FIELD_NAMES.index(name), name) for name in KNOWN]
_FIELD_DECIMALS = [
    place for place, name in enumerate(_FIELD_NAMES) if isinstance(order_updates.c[name].type, ExactDecimal)
]


def _join_unnamed(of_order: dict[_Order, list[Row]]) -> dict[_Order, list[Row]]:
    """Count updates without a symbol to the order with the same id that has one."""
    named = {order[0]: order for order in of_order if order[1:] != _UNNAMED}
    for order in [one for one in of_order if one[1:] == _UNNAMED and one[0] in named]:
        rows = of_order[named[order[0]]]
        rows += of_order.pop(order)
        rows.sort(key=_received)
    return of_order


def _counts(row: Row) -> tuple[int, ...]:
    return (row[_COUNTS_NS], *row[_RECEIVED])


def _order(account: str, row: Row) -> Order:
    values = list(row[_FIELDS:])
    for place in _FIELD_DECIMALS:
        if values[place] is not None:
            values[place] = Decimal(values[place])
    return Order(account, *values)


def _once(rows: Sequence[Any], order: Any, *, pushes_fills: bool) -> list[dict[str, Any]]:
    """The executions of one order, each once, in the order of receipt.

    Reports of one execution have the same trade id: the first counts, and later ones add what it left out. Without
    trade ids, an answer lists all executions of the order: the newest counts, and one without a quantity does not.
    """
    found: dict[Any, dict[str, Any]] = {}
    answers = [_receipt(row)[:3] for row in rows if row.trade_id is None]
    newest = max(answers, default=None)
    for row in rows:
        if row.trade_id is None:
            if pushes_fills or _receipt(row)[:3] == newest:
                found[_receipt(row)] = dict(row._mapping)
            continue
        held = found.setdefault((row.market, row.symbol, row.trade_id), dict(row._mapping))
        for name, value in row._mapping.items():
            if held[name] is None:
                held[name] = value
    for one in found.values():
        for name in _OF_ORDER:
            if one.get(name) is None:
                one[name] = None if order is None else getattr(order, name)
    told = [one for one in found.values() if one["quantity"] is not None]
    return sorted(told, key=lambda one: tuple(one[name] for name in _RECEIPT))


def _fill(account: str, row: Mapping[str, Any]) -> Fill:
    at_ms = next(ms for ms in (row["executed_ms"], row["event_ms"], row["received_ns"] // NS_PER_MS) if ms is not None)
    by_order = TAKER if row["order_type"] == MARKET else UNKNOWN
    values = {name: row[name] for name in Fill._fields if name in row}
    more = {"account": account, "liquidity": row["liquidity"] or by_order, "at_ms": at_ms}
    return Fill(**(values | more), price_is_estimate=False, origin=VENUE)


# The statements are cached: making one takes longer than running it.


@cache
def _updates(*, several: bool) -> Select[Any]:
    """All updates of some orders, each push once: order and receipt, what a state needs, the fields of an `Order`."""
    u, r, s = order_updates.c, reconciliations.c, sessions.c
    content = content_of(order_updates)
    of_round = and_(r.account_id == u.account_id, r.reconciliation_id == u.session_id)
    source = order_updates.outerjoin(reconciliations, of_round)
    columns: list[ColumnElement[Any]] = [*u, counts_ns(u).label("counts_ns")]
    these = [
        u.account_id == bindparam("account_id"),
        u.order_id.in_(bindparam("order_ids", expanding=True)),
        u.received_ns < bindparam("until_ns"),
        seen_by_one(order_updates, order_updates, content),
    ]
    if several:
        source = source.outerjoin(sessions, and_(s.account_id == u.account_id, s.session_id == u.session_id))
        source = source.join(runs, runs.c.run_id == func.coalesce(s.run_id, r.run_id))
        columns.append(runs.c.recorder_id)
    rows: Subquery = select(*columns).select_from(source).where(*these).subquery("u")
    if several:
        rows = select(seen_first(in_bursts(rows, content), content)).subquery("u")
    names = [
        *("order_id", "coalesce(u.market, '')", "coalesce(u.symbol, '')", *_RECEIPT, "counts_ns", "status"),
        *("created_ms", "coalesce(u.updated_ms, u.event_ms)", "filled_quantity", *_FIELD_NAMES),
    ]
    # Literal columns: most decimals are not needed, and making them costs more than reading the row.
    texts = [name if "(" in name else f"u.{name}" for name in names]
    wanted: list[ColumnElement[Any]] = [literal_column(text).label(f"c{place}") for place, text in enumerate(texts)]
    return select(*wanted).select_from(rows)


def _text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(column, literal(""))


def _executions_where(*these: ColumnElement[bool]) -> Select[Any]:
    f = fills.c
    mine = f.account_id == bindparam("account_id"), f.received_ns < bindparam("until_ns")
    return select(fills).where(*mine, *these).order_by(*(f[name] for name in _RECEIPT))


@cache
def _executions_of_orders() -> Select[Any]:
    return _executions_where(fills.c.order_id.in_(bindparam("order_ids", expanding=True)))


@cache
def _executions_without_order() -> Select[Any]:
    f = fills.c
    return _executions_where(f.order_id.is_(None), _text(f.trade_id).in_(bindparam("trade_ids", expanding=True)))


@cache
def _known_of_orders() -> Select[Any]:
    u = order_updates.c
    known = [func.max(u[name]).label(name) for name in _OF_ORDER]
    these = u.order_id.in_(bindparam("order_ids", expanding=True)), u.received_ns < bindparam("until_ns")
    mine = u.account_id == bindparam("account_id")
    return select(u.order_id, *known).where(mine, *these).group_by(u.order_id)
