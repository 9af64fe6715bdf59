"""What the record knew of an account when its oldest open gap began: where reconciling starts from."""

from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Connection, func, or_, select

from recorder.store.gaps import OPEN
from recorder.store.schema import gaps, order_updates


class KnownOrders(NamedTuple):
    """Orders as far as they were known."""

    #: When the gap began, ns since 1970; None where only the time before the record is open.
    since_ns: int | None
    #: Orders not at their end → filled quantity.
    unfinished: dict[int, Decimal]
    last_order_id: int | None


def known_orders(
    connection: Connection, account_id: int, session_id: int, final_statuses: Collection[str]
) -> KnownOrders | None:
    """What was known when the oldest gap began that is open and ended with this session, or before it.

    Returns:
        None where there is no such gap: nothing is to be reconciled.
    """
    ended = gaps.c.account_id == account_id, gaps.c.state == OPEN, gaps.c.end_session_id <= session_id
    gap = connection.execute(
        select(gaps.c.begins_ns, gaps.c.begin_session_id)
        .where(*ended)
        .order_by(gaps.c.begins_ns.is_(None), gaps.c.begins_ns)
        .limit(1)
    ).first()
    if gap is None:
        return None
    if gap.begins_ns is None:
        return KnownOrders(None, {}, None)
    # Sessions are numbered by time: everything up to the one at whose end the gap began.
    before = order_updates.c.account_id == account_id, order_updates.c.session_id <= gap.begin_session_id
    last_order_id = connection.scalar(select(func.max(order_updates.c.order_id)).where(*before))
    newest_first = order_updates.c.received_ns.desc(), order_updates.c.session_id.desc(), order_updates.c.seq.desc()
    age = func.row_number().over(partition_by=order_updates.c.order_id, order_by=newest_first).label("age")
    columns = [order_updates.c[name] for name in ("order_id", "status", "quantity", "unfilled_quantity")]
    latest = select(*columns, age).where(*before).subquery()
    unfinished = or_(latest.c.status.is_(None), latest.c.status.not_in(sorted(final_statuses)))
    rows = connection.execute(select(latest).where(latest.c.age == 1, unfinished))
    zero = Decimal(0)
    return KnownOrders(
        gap.begins_ns,
        {row.order_id: (row.quantity or zero) - (row.unfilled_quantity or zero) for row in rows},
        last_order_id,
    )
