"""Count each push once where several recorders received it: the rule of the views `..._once`, for a part of the record.

The rule looks back only, in the order of receipt: a later row never changes whether an earlier one was a second
sighting. So it holds as of any instant, and needs only a part of the record that begins before the bursts in question.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, MetaData, Select, Subquery, Table, case, func, select, tuple_

from recorder.clock import NS_PER_S
from recorder.store.columns import ints

#: Maximum time between two recorders' sightings of one push, ns. Two clocks that an exchange accepts are at most 60 s
#: apart, and a recorder that cannot write reads up to 60 s late. The views use the same bound.
APART_NS = 120 * NS_PER_S


#: The view of pairs of sessions of one recorder that were open at the same time, each in both orders: from the opening
#: of the newer one until the pushes of that time have come.
session_overlaps = Table(
    "session_overlaps", MetaData(), *ints("account_id", "session_id", "other_session_id", "since_ns", "until_ns")
)


def in_bursts(rows: FromClause, content: Sequence[str]) -> Subquery:
    """Number the bursts of rows with the same content, each at most `APART_NS` after the one before.

    Args:
        rows: typed rows of one account, with their `recorder_id`.
        content: the columns that make up an update's content.
    """
    same = [rows.c[name] for name in content]
    before = func.lag(rows.c.received_ns).over(partition_by=same, order_by=_receipt(rows)).label("before_ns")
    first = func.min(rows.c.received_ns).over(partition_by=same).label("first_ns")
    near = select(rows, before, first).subquery()
    follows = near.c.received_ns - near.c.before_ns <= APART_NS
    number = func.sum(case((follows, 0), else_=1)).over(
        partition_by=[near.c[name] for name in content], order_by=_receipt(near)
    )
    return select(near, number.label("burst")).subquery()


def seen_by_one(rows: FromClause, table: Table, content: Sequence[str]) -> ColumnElement[bool]:
    """Whether an update is not one that another session of its recorder had received: the two overlapped, and both were
    open when the first of two equal updates was received. As many are left as the session received that received most.

    Args:
        rows: of the table, such as the table itself.
        table: of order updates.
        content: the columns that make up an update's content.
    """
    o, u, other = session_overlaps.c, rows.c, table.alias()
    v = other.c
    is_mine = v.session_id == u.session_id
    mine = is_mine & (tuple_(v.received_ns, v.seq, v.item) <= tuple_(u.received_ns, u.seq, u.item))
    before = tuple_(v.received_ns, v.session_id) < tuple_(u.received_ns, u.session_id)
    its = (v.session_id == o.other_session_id) & before
    of = v.account_id == u.account_id, v.order_id == u.order_id, mine | its
    time = v.received_ns >= o.since_ns, v.received_ns >= u.received_ns - APART_NS
    same = [v[name].is_not_distinct_from(u[name]) for name in content if name != "order_id"]
    found = select(func.sum(case((is_mine, -1), else_=1))).select_from(other).where(*of, *time, *same)
    # By how many the other session had received more.
    more = found.correlate(rows, session_overlaps).scalar_subquery()
    overlap = o.account_id == u.account_id, o.session_id == u.session_id
    both = u.received_ns.between(o.since_ns, o.until_ns)
    return ~select(o.session_id).where(*overlap, both, more >= 0).correlate(rows).exists()


def cut_off(bursts: FromClause, from_ns: ColumnElement[int], after_ns: ColumnElement[int]) -> Select[Any]:
    """Count the rows received after an instant whose burst may have begun before the rows that were read.

    Args:
        bursts: of the rows received after `from_ns`.
        from_ns: where the rows that were read begin.
        after_ns: the instant.
    """
    first = bursts.c.burst == 1, bursts.c.first_ns <= from_ns + APART_NS
    return select(func.count()).select_from(bursts).where(bursts.c.received_ns > after_ns, *first)


def seen_first(bursts: FromClause, content: Sequence[str]) -> Subquery:
    """Select the first sighting of each push: of a burst, as many as the recorder received that received most."""
    of_recorder = [*(bursts.c[name] for name in content), bursts.c.burst, bursts.c.recorder_id]
    repeat = func.row_number().over(partition_by=of_recorder, order_by=_receipt(bursts)).label("repeat_no")
    repeats = select(bursts, repeat).subquery()
    of_repeat = [*(repeats.c[name] for name in content), repeats.c.burst, repeats.c.repeat_no]
    sighting = func.row_number().over(partition_by=of_repeat, order_by=_receipt(repeats)).label("sighting")
    sightings = select(repeats, sighting).subquery()
    return select(sightings).where(sightings.c.sighting == 1).subquery()


def _receipt(rows: FromClause) -> list[Any]:
    return [rows.c[name] for name in ("received_ns", "session_id", "seq", "item")]
