"""The life of an order: what follows from its updates, read from its rows or continued from what is stored of it."""

from collections import namedtuple
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Subquery, and_, bindparam, func, literal_column, select

from recorder.model import FILLED, FINAL_STATUSES
from recorder.read.merging import LEFT_OUT, is_behind, latest
from recorder.read.position_times import within
from recorder.read.records import Order
from recorder.read.scope import LabelledAccount
from recorder.store.columns import ExactDecimal
from recorder.store.deduplication import in_bursts, seen_by_one, seen_first
from recorder.store.journal import FrameRange
from recorder.store.projection_tables import order_states
from recorder.store.schema import order_updates, reconciliations, runs, sessions
from recorder.store.state_index import content_of, counts_ns

Row = tuple[Any, ...]
#: An order's id, market and symbol. Empty where the venue sends none.
OrderOf = tuple[str, ...]

RECEIPT = ("received_ns", "session_id", "seq", "item")
# The places in a row of `_updates`.
_order_of = itemgetter(slice(0, 3))
_RECEIVED = slice(3, 7)
_received = itemgetter(_RECEIVED)
_COUNTS_NS, FILLED_QUANTITY, _FIELDS = range(7, 10)
#: Without market and symbol.
_UNNAMED = ("", "")
_FIELD_NAMES = [name for name in Order._fields if name != "account"]
#: Columns of `order_states` that are not among `KNOWN`.
_OF_KEY = frozenset(["market", "symbol", "created_ms"])
#: The columns of `order_states` with what the latest row leaves out: where they are among the fields, and their names.
KNOWN = tuple(name for name in order_states.c.keys() if name in LEFT_OUT and name not in _OF_KEY)  # noqa: SIM118
_KNOWN = [(_FIELD_NAMES.index(name), name) for name in KNOWN]
_FIELD_DECIMALS = [
    place for place, name in enumerate(_FIELD_NAMES) if isinstance(order_updates.c[name].type, ExactDecimal)
]


#: A row of `order_states`, by the names of its columns.
_State = namedtuple("_State", order_states.c.keys())  # type: ignore[misc]


class Life(NamedTuple):
    """What follows from the updates of an order."""

    #: The latest state, completed with what other updates say.
    state: Order
    #: When the latest update counts from, and its receipt; the greatest is the latest (`counts`).
    place: tuple[int, ...]
    #: What that update leaves out, and others say: the columns `KNOWN`.
    known: Row
    first_ns: int
    updates: int
    #: When it ended, by its updates, ms since 1970; None: it is open, or they do not say.
    ended_ms: int | None

    def row(self, account_id: int, order: OrderOf, filled: Row) -> Row:
        """The row of `order_states`.

        Args:
            account_id: the account.
            order: which.
            filled: number of fills, and the times of the first and the last, ms since 1970; None if there is none.
        """
        ended_ms, (counts_from_ns, received_ns, *key) = self.ended_ms, self.place
        if ended_ms is None and self.state.status == FILLED:
            # A filled order may be known from an answer without a time: then its last fill ended it.
            ended_ms = filled[-1]
        return (
            *(account_id, *order, *key, counts_from_ns, received_ns, int(self.is_open), self.first_ns, self.updates),
            *(self.state.created_ms, *filled, ended_ms, *self.known),
        )

    @property
    def is_open(self) -> bool:
        """Whether the order can still change."""
        return self.state.status not in FINAL_STATUSES


def life(account: str, rows: Sequence[Row], before: Life | None = None) -> Life:
    """The life of an order.

    Args:
        account: the account's label.
        rows: all its updates, at least one; or all that are not in `before`, and they count after it.
        before: the life so far, of an open order.
    """
    in_order = sorted(rows, key=counts)
    orders = [order_in(account, row) for row in in_order]
    place, state = latest(orders if before is None else [before.state, *orders])
    last = in_order[place if before is None else place - 1]
    said = last[_FIELDS:]
    known = tuple(None if said[at] is not None else getattr(state, name) for at, name in _KNOWN)
    first_ns = min(row[_RECEIVED][0] for row in rows)
    if before is not None:
        first_ns = min(first_ns, before.first_ns)
    updates = len(rows) + (0 if before is None else before.updates)
    return Life(state, counts(last), known, first_ns, updates, _ended_ms(orders))


def _ended_ms(states: Iterable[Order]) -> int | None:
    """The earliest time that the final states give since the order was open, ms since 1970; the oldest state first."""
    times: list[int] = []
    final: Order | None = None
    for one in states:
        if one.status in FINAL_STATUSES:
            final, at_ms = one, one.event_ms if one.updated_ms is None else one.updated_ms
            times += [] if at_ms is None else [at_ms]
        elif final is None or not is_behind(one, final):
            is_unchanged = final is not None and one.status is None and one.is_partial
            final = one if is_unchanged else None
            times = times if is_unchanged else []
    return min(times, default=None)


def counts(row: Row) -> tuple[int, ...]:
    """What says which of two updates is the later: when it counts from, and its receipt."""
    return (row[_COUNTS_NS], *row[_RECEIVED])


def order_in(account: str, row: Row) -> Order:
    """The state in a row."""
    values = list(row[_FIELDS:])
    for place in _FIELD_DECIMALS:
        if values[place] is not None:
            values[place] = Decimal(values[place])
    return Order(account, *values)


def updates_of_each(connection: Connection, account_id: int, order_ids: Collection[str]) -> dict[str, int]:
    """How many updates orders have."""
    u = order_updates.c
    these = u.account_id == account_id, u.order_id.in_(order_ids)
    found = connection.execute(select(u.order_id, func.count()).where(*these).group_by(u.order_id))
    return {row[0]: row[1] for row in found}


def rows_of(connection: Connection, wanted: Mapping[str, object], *, several: bool) -> dict[OrderOf, list[Row]]:
    """All updates of some orders, each push once, in the order of receipt.

    Args:
        connection: to the record.
        wanted: `account_id`, `order_ids`, and `until_ns`: only what was received before this instant, ns since 1970.
        several: whether several recorders wrote the record.
    """
    return _by_order(connection.execute(_of_orders(several=several), wanted))


def rows_in(connection: Connection, ranges: Iterable[FrameRange]) -> dict[OrderOf, list[Row]]:
    """The updates in some frames of one account, each push once, in the record of one recorder."""
    return _by_order(row for one in ranges for row in connection.execute(_within_frames(), one._asdict()))


def _by_order(rows: Iterable[Any]) -> dict[OrderOf, list[Row]]:
    # The beginnings differ, so nothing that may be NULL is compared.
    updates = sorted(map(tuple, rows))
    return _join_unnamed({key: list(its) for key, its in groupby(updates, _order_of)})


def _join_unnamed(of_order: dict[OrderOf, list[Row]]) -> dict[OrderOf, list[Row]]:
    """Count updates without a symbol to the order with the same id that has one."""
    named = {order[0]: order for order in of_order if order[1:] != _UNNAMED}
    for order in [one for one in of_order if one[1:] == _UNNAMED and one[0] in named]:
        rows = of_order[named[order[0]]]
        rows += of_order.pop(order)
        rows.sort(key=_received)
    return of_order


def continued(
    of_order: Mapping[OrderOf, list[Row]], stored: Mapping[OrderOf, tuple[Life, Row]]
) -> dict[OrderOf, list[Row]]:
    """The orders whose stored lives can be continued, and their new updates: they are the same as made from nothing.

    The order is open and the only one with its id, and all its new updates count after the latest one. Of an open
    order, that is the last one; so none of them is stored already, or counts between older ones.

    Args:
        of_order: the updates in frames that were not projected.
        stored: what is stored of the orders with these ids.
    """
    ids = [order[0] for order in stored]
    found: dict[OrderOf, list[Row]] = {
        order: [] for order, (before, _) in stored.items() if before.is_open and ids.count(order[0]) == 1
    }
    named = {order[0]: order for order in found}
    left_out = set()
    for order, rows in of_order.items():
        same = named.get(order[0])
        if same is None or order[1:] not in {same[1:], _UNNAMED} or min(map(counts, rows)) <= stored[same][0].place:
            left_out.add(order[0])
        else:
            found[same] = rows
    return {order: rows for order, rows in found.items() if order[0] not in left_out}


def stored_lives(
    connection: Connection, account: LabelledAccount, order_ids: Collection[str]
) -> dict[OrderOf, tuple[Life, Row]]:
    """What is stored of some orders: the life, and the row of `order_states`."""
    wanted = {"account_id": account.account_id, "order_ids": list(order_ids)}
    size = len(order_states.c)
    found: dict[OrderOf, tuple[Life, Row]] = {}
    for row in connection.execute(_stored(), wanted):
        s: Any = _State._make(row[:size])
        values = dict(zip(_FIELD_NAMES, row[size:], strict=True))
        more = {name: getattr(s, name) for name in (*KNOWN, "created_ms")} | {
            "market": s.market or None,
            "symbol": s.symbol or None,
        }
        values |= {name: value for name, value in more.items() if values[name] is None}
        place = s.counts_ns, s.received_ns, s.session_id, s.seq, s.item
        known = tuple(getattr(s, name) for name in KNOWN)
        life_so_far = Life(Order(account.label, **values), place, known, s.first_ns, s.updates, s.ended_ms)
        found[s.order_id, s.market, s.symbol] = life_so_far, tuple(row[:size])
    return found


# The statements are cached: making one takes longer than running it.


@cache
def _of_orders(*, several: bool) -> Select[Any]:
    u = order_updates.c
    these = u.order_id.in_(bindparam("order_ids", expanding=True)), u.received_ns < bindparam("until_ns")
    return _updates(u.account_id == bindparam("account_id"), *these, several=several)


@cache
def _within_frames() -> Select[Any]:
    return _updates(*within(order_updates), several=False)


def _updates(*wanted: ColumnElement[bool], several: bool) -> Select[Any]:
    """Updates of orders, each push once: order and receipt, what a life needs, the fields of an `Order`."""
    u, r, s = order_updates.c, reconciliations.c, sessions.c
    content = content_of(order_updates)
    of_round = and_(r.account_id == u.account_id, r.reconciliation_id == u.session_id)
    source = order_updates.outerjoin(reconciliations, of_round)
    columns: list[ColumnElement[Any]] = [*u, counts_ns(u).label("counts_ns")]
    these = [*wanted, seen_by_one(order_updates, order_updates, content)]
    if several:
        source = source.outerjoin(sessions, and_(s.account_id == u.account_id, s.session_id == u.session_id))
        source = source.join(runs, runs.c.run_id == func.coalesce(s.run_id, r.run_id))
        columns.append(runs.c.recorder_id)
    rows: Subquery = select(*columns).select_from(source).where(*these).subquery("u")
    if several:
        rows = select(seen_first(in_bursts(rows, content), content)).subquery("u")
    names = [
        *("order_id", "coalesce(u.market, '')", "coalesce(u.symbol, '')", *RECEIPT),
        *("counts_ns", "filled_quantity", *_FIELD_NAMES),
    ]
    # Literal columns: most decimals are not needed, and making them costs more than reading the row.
    texts = [name if "(" in name else f"u.{name}" for name in names]
    columns_wanted: list[ColumnElement[Any]] = [
        literal_column(text).label(f"c{place}") for place, text in enumerate(texts)
    ]
    return select(*columns_wanted).select_from(rows)


@cache
def _stored() -> Select[Any]:
    """Rows of `order_states`, and the fields of an `Order` in the updates that they point to."""
    s, u = order_states.c, order_updates.c
    same = and_(*(u[name] == s[name] for name in ("account_id", *RECEIPT[1:])))
    # The names of the columns repeat.
    fields = [u[name].label(f"u_{name}") for name in _FIELD_NAMES]
    these = s.account_id == bindparam("account_id"), s.order_id.in_(bindparam("order_ids", expanding=True))
    return select(*s, *fields).select_from(order_states.join(order_updates, same)).where(*these)
