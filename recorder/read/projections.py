"""Orders and fills, computed from the typed rows of one order after the other.

An order is computed from all its rows. So it does not matter in which order they arrived, or whether some were added,
deleted or sent by a second recorder meanwhile. Only where the new rows of an order are known to come after all that are
stored (`step`), its stored life is continued: otherwise each push of a list would cost as much as all lists before it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, literal, select

from recorder.clock import NS_PER_MS
from recorder.model import MARKET, TAKER, UNKNOWN
from recorder.read.fills import VENUE
from recorder.read.fills import fills as fills_of
from recorder.read.merging import LEFT_OUT, completed
from recorder.read.order_lives import (
    FILLED_QUANTITY,
    RECEIPT,
    Life,
    OrderOf,
    Row,
    continued,
    life,
    order_in,
    rows_in,
    rows_of,
    stored_lives,
    updates_of_each,
)
from recorder.read.position_times import within
from recorder.read.records import Fill, Order
from recorder.read.scope import LabelledAccount, labelled_accounts
from recorder.store.journal import FrameRange
from recorder.store.projection_tables import order_states, trades
from recorder.store.schema import fills, recorders
from recorder.venues import find_venue

#: Market and symbol. Empty where the venue sends none.
_Market = tuple[str, ...]

#: Orders that one statement reads.
ORDERS_PER_STATEMENT = 400
#: Updates that one statement reads, unless one order has more.
UPDATES_PER_STATEMENT = 20_000
#: After everything that was ever received, ns.
NEVER_NS = 2**63 - 1

_receipt = attrgetter(*RECEIPT)
#: Fields of a fill that its order knows, if the venue does not repeat them with the fill.
_OF_ORDER = ("client_order_id", "market", "symbol", "side", "position_side", "order_type", "fee_currency")

_terms_of = attrgetter(*_OF_ORDER)


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
    for some in _parts(connection, account.account_id, keys):
        reading = _Reading(connection, account, some, until_ns, several=several)
        yield some, reading.project(pushes_fills=_pushes_fills(account))


class Stepped(NamedTuple):
    """Orders whose stored lives were continued."""

    #: Order → its stored row of `order_states`, and what that should be.
    states: dict[OrderOf, tuple[Row, Row]]
    #: Those whose fills were computed, and the rows of `trades` of these.
    keys: list[OrderKey]
    trades: list[Row]


def step(
    connection: Connection, account: LabelledAccount, keys: Collection[OrderKey], ranges: Sequence[FrameRange]
) -> Stepped:
    """Continue the stored lives of those orders that need not be computed from all their rows.

    Args:
        connection: to the record.
        account: whose orders.
        keys: the orders that the frames say something about.
        ranges: frames of the account that were not projected.
    """
    stepped = Stepped({}, [], [])
    order_ids = [key.order_id for key in keys if key.order_id]
    # Derived fills follow from all updates; and whether a second recorder saw a push too, from those around it.
    if not order_ids or not _pushes_fills(account) or are_several(connection):
        return stepped
    of_order = rows_in(connection, ranges)
    filled = {row.order_id for one in ranges for row in connection.execute(_executed_orders(), one._asdict())}
    for start in range(0, len(order_ids), ORDERS_PER_STATEMENT):
        some = set(order_ids[start : start + ORDERS_PER_STATEMENT])
        stored = stored_lives(connection, account, some)
        its_rows = {order: rows for order, rows in of_order.items() if order[0] in some}
        lives: dict[OrderOf, Life] = {}
        for order, rows in continued(its_rows, stored).items():
            before, _ = stored[order]
            lives[order] = life(account.label, rows, before) if rows else before
        executed = {
            order: one
            for order, one in lives.items()
            if order[0] in filled or _terms_of(one.state) != _terms_of(stored[order][0].state)
        }
        found: list[tuple[Row, Fill]] = []
        if executed:
            its_keys = [OrderKey(order[0]) for order in executed]
            reading = _Reading(connection, account, its_keys, NEVER_NS, several=False)
            found = reading.trades(executed, {}, pushes_fills=True)
            stepped.keys.extend(its_keys)
        stepped.trades.extend(row for row, _ in found)
        fills_of_each = _filled(found)
        for order, one in lives.items():
            row = stored[order][1]
            fills_so_far = fills_of_each.get(order, _NO_FILLS) if order in executed else row[_FILLS]
            stepped.states[order] = row, one.row(account.account_id, order, fills_so_far)
    return stepped


def _pushes_fills(account: LabelledAccount) -> bool:
    venue = find_venue(account.venue)
    return venue is not None and venue.pushes_fills


def _parts(connection: Connection, account_id: int, keys: Collection[OrderKey]) -> Iterator[Sequence[OrderKey]]:
    """Some of the keys at a time, as many as one statement reads."""
    in_order = sorted(keys)
    for start in range(0, len(in_order), ORDERS_PER_STATEMENT):
        some = in_order[start : start + ORDERS_PER_STATEMENT]
        sizes = updates_of_each(connection, account_id, [key.order_id for key in some if key.order_id])
        part: list[OrderKey] = []
        size = 0
        for key in some:
            size += sizes.get(key.order_id, 0)
            if part and size > UPDATES_PER_STATEMENT:
                yield part
                part, size = [], sizes.get(key.order_id, 0)
            part.append(key)
        yield part


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
        known: dict[OrderOf, Order] = {}
        for label in {one.account for one in some}:
            keys = [OrderKey(order_id) for order_id in {one.order_id for one in some if one.account == label}]
            for part in _parts(connection, accounts[label].account_id, keys):
                reading = _Reading(connection, accounts[label], part, until_ns, several=several)
                known |= {_identity(one): one for one in reading.orders()}
        unnamed = {(account, order_id): one for (account, order_id, *_), one in known.items()}
        for one in some:
            whole = known.get(_identity(one)) or (None if one.symbol else unnamed.get((one.account, one.order_id)))
            yield one if whole is None else completed(one, whole, LEFT_OUT)


def _identity(order: Order) -> OrderOf:
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
        of_order = self._rows()
        steps: dict[str, dict[_Market, list[Order]]] = defaultdict(dict)
        if not pushes_fills:
            for (order_id, *of), rows in of_order.items():
                its_steps = [
                    order_in(self._account.label, row) for row in rows if row[FILLED_QUANTITY] not in _UNFILLED
                ]
                if its_steps:
                    steps[order_id][tuple(of)] = its_steps
        lives = {order: life(self._account.label, rows) for order, rows in of_order.items()}
        found = self.trades(lives, steps, pushes_fills=pushes_fills)
        filled = _filled(found)
        states = [
            one.row(self._account.account_id, order, filled.get(order, _NO_FILLS)) for order, one in lives.items()
        ]
        return Projected(states, found, [one.state for one in lives.values()])

    def orders(self) -> Iterator[Order]:
        """Their latest states only."""
        return (life(self._account.label, rows).state for rows in self._rows().values())

    def _rows(self) -> dict[OrderOf, list[Row]]:
        return rows_of(self._connection, self._wanted, several=self._several)

    def trades(
        self, lives: Mapping[OrderOf, Life], steps: Mapping[str, Mapping[_Market, list[Order]]], *, pushes_fills: bool
    ) -> list[tuple[Row, Fill]]:
        """Rows of `trades` of the orders, and the fills that readers get.

        Args:
            lives: all orders with their ids.
            steps: by order id, market and symbol: the updates with a filled quantity; empty if the venue pushes fills.
            pushes_fills: whether it does.
        """
        executions: dict[str, list[Any]] = defaultdict(list)
        for row in self._executions():
            executions[row.order_id or ""].append(row)
        known: dict[str, list[Order]] = defaultdict(list)
        for order, one in lives.items():
            known[order[0]].append(one.state)
        found: list[tuple[Row, Fill]] = []
        for order_id in executions.keys() | steps.keys():
            matched: dict[_Market, list[Fill]] = defaultdict(list)
            for row in _once(executions.get(order_id, ()), known.get(order_id, ()), pushes_fills=pushes_fills):
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

    def _row(self, fill: Fill) -> Row:
        *values, price_is_estimate, origin = _trade_fields(fill)
        return (self._account.account_id, *values, int(price_is_estimate), origin)

    def _run(self, query: Select[Any], **values: object) -> list[Any]:
        return list(self._connection.execute(query, self._wanted | values).all())


_trade_fields = attrgetter(*(column.name for column in trades.c if column.name != "account_id"))

#: A row without a filled quantity, or with 0, makes no step; `0.0` neither, but that costs a look.
_UNFILLED = (None, "0", 0)


#: Number of fills, times of the first and the last: of an order without fills; their places in `order_states`.
_NO_FILLS = (0, None, None)
_FILLS = slice(*(order_states.c.keys().index(name) for name in ("fills", "ended_ms")))


def _filled(found: Iterable[tuple[Row, Fill]]) -> dict[OrderOf, Row]:
    """How many fills orders have, and the times of the first and the last, ms since 1970."""
    times: dict[OrderOf, list[int]] = defaultdict(list)
    for _, one in found:
        if one.quantity > 0:
            times[one.order_id or "", one.market or "", one.symbol or ""].append(one.at_ms)
    return {order: (len(its), min(its), max(its)) for order, its in times.items()}


def _once(rows: Sequence[Any], orders: Sequence[Order], *, pushes_fills: bool) -> list[dict[str, Any]]:
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
        order = _order_of(one, orders)
        for name in _OF_ORDER:
            if one.get(name) is None:
                one[name] = None if order is None else getattr(order, name)
    told = [one for one in found.values() if one["quantity"] is not None]
    return sorted(told, key=lambda one: tuple(one[name] for name in RECEIPT))


def _order_of(fill: Mapping[str, Any], orders: Sequence[Order]) -> Order | None:
    """The order of a fill, among those with its id; None: it cannot be known."""
    if len(orders) > 1:
        same = ("market", "symbol")
        orders = [one for one in orders if all(fill[name] in {None, getattr(one, name)} for name in same)]
    return orders[0] if len(orders) == 1 else None


def _fill(account: str, row: Mapping[str, Any]) -> Fill:
    at_ms = next(ms for ms in (row["executed_ms"], row["event_ms"], row["received_ns"] // NS_PER_MS) if ms is not None)
    by_order = TAKER if row["order_type"] == MARKET else UNKNOWN
    values = {name: row[name] for name in Fill._fields if name in row}
    more = {"account": account, "liquidity": row["liquidity"] or by_order, "at_ms": at_ms}
    return Fill(**(values | more), price_is_estimate=False, origin=VENUE)


# The statements are cached: making one takes longer than running it.


def _text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(column, literal(""))


def _executions_where(*these: ColumnElement[bool]) -> Select[Any]:
    f = fills.c
    mine = f.account_id == bindparam("account_id"), f.received_ns < bindparam("until_ns")
    return select(fills).where(*mine, *these).order_by(*(f[name] for name in RECEIPT))


@cache
def _executed_orders() -> Select[Any]:
    """The orders of which some frames report fills."""
    return select(fills.c.order_id).distinct().where(*within(fills), fills.c.order_id.is_not(None))


@cache
def _executions_of_orders() -> Select[Any]:
    return _executions_where(fills.c.order_id.in_(bindparam("order_ids", expanding=True)))


@cache
def _executions_without_order() -> Select[Any]:
    f = fills.c
    return _executions_where(f.order_id.is_(None), _text(f.trade_id).in_(bindparam("trade_ids", expanding=True)))
