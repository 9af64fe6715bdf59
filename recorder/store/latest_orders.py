"""Which update of an order holds its latest state, and of which symbol it is, in SQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, case, func, or_, select

from recorder.model import ENDED, FINAL_STATUSES, OPEN_STATUSES
from recorder.store.schema import order_updates

#: Final statuses that say how an order ended. An open state without a time of its own is no later.
KNOWN_ENDS = FINAL_STATUSES - {ENDED}
#: `StateRow.status` of an order that is open by a state without a time of its own.
LISTED_OPEN = "listed open"


def is_listed_open(states: Any) -> ColumnElement[int]:
    """1 if an order is open by a state without a time of its own; else 0.

    A list of open orders may be older than the end of an order that was pushed before it.

    Args:
        states: the columns of order updates.
    """
    is_timeless = func.coalesce(states.updated_ms, states.event_ms).is_(None)
    return case((is_timeless & states.status.in_(sorted(OPEN_STATUSES)), 1), else_=0)


def latest_of_orders(
    rows: FromClause, order: Sequence[str], newest_first: Sequence[str], names: Sequence[str]
) -> Select[Any]:
    """The latest state of each order: the newest; but the end, if all newer states are open and have no time.

    Args:
        rows: order updates, with `is_listed_open`.
        order: the columns that identify an order.
        newest_first: the columns that say which row is the newer.
        names: the columns to select.
    """
    age = func.row_number().over(
        partition_by=[*(rows.c[name] for name in order), rows.c.is_listed_open],
        order_by=[rows.c[name].desc() for name in newest_first],
    )
    aged = select(rows, age.label("age")).subquery()
    same = [aged.c[name] for name in order]
    # Of each order, at most two rows are left.
    place = func.row_number().over(partition_by=same, order_by=[aged.c[name].desc() for name in newest_first])
    is_end = case(((aged.c.is_listed_open == 0) & aged.c.status.in_(sorted(KNOWN_ENDS)), 1), else_=0)
    two = select(aged, place.label("place"), func.max(is_end).over(partition_by=same).label("has_ended"))
    t = two.where(aged.c.age == 1).subquery().c
    return select(*(t[name] for name in names)).where(
        or_(and_(t.has_ended == 1, t.is_listed_open == 0), and_(t.has_ended == 0, t.place == 1))
    )


def symbol_of_order(rows: FromClause) -> ColumnElement[Any]:
    """The symbol of an order update; where it has none, that of the order with the same id.

    Args:
        rows: of `order_updates`.
    """
    other = order_updates.alias()
    same = other.c.account_id == rows.c.account_id, other.c.order_id == rows.c.order_id
    return func.coalesce(rows.c.symbol, select(func.max(other.c.symbol)).where(*same).scalar_subquery())
