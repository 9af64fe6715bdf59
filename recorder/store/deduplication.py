"""Each push once, where several recorders saw it: the rule of the views `..._once`, for a part of the record.

The rule looks back only, in the order of receipt: what came later changes nothing about what was a second sighting
before. So it holds as of any instant; and a part of the record is enough that begins before the bursts in question.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Subquery, case, func, select

from recorder.clock import NS_PER_S

#: Sightings of one update by different recorders within this of each other are of one push: two clocks that an exchange
#: accepts are at most 60 s apart, and a recorder that cannot write reads up to 60 s late. The views use this bound too.
APART_NS = 120 * NS_PER_S


def in_bursts(rows: FromClause, said: Sequence[str]) -> Subquery:
    """Number the bursts in which the same was said again and again, never further apart than `APART_NS`.

    Args:
        rows: typed rows of one account, with their `recorder_id`.
        said: the columns that say what an update says.
    """
    same = [rows.c[name] for name in said]
    before = func.lag(rows.c.received_ns).over(partition_by=same, order_by=_receipt(rows)).label("before_ns")
    first = func.min(rows.c.received_ns).over(partition_by=same).label("first_ns")
    near = select(rows, before, first).subquery()
    follows = near.c.received_ns - near.c.before_ns <= APART_NS
    number = func.sum(case((follows, 0), else_=1)).over(
        partition_by=[near.c[name] for name in said], order_by=_receipt(near)
    )
    return select(near, number.label("burst")).subquery()


def cut_off(bursts: FromClause, from_ns: ColumnElement[int], after_ns: ColumnElement[int]) -> Select[Any]:
    """How many rows received after an instant are of bursts that may have begun before what is looked at.

    Args:
        bursts: of rows received after `from_ns`.
        from_ns: what is looked at begins there.
        after_ns: the instant.
    """
    first = bursts.c.burst == 1, bursts.c.first_ns <= from_ns + APART_NS
    return select(func.count()).select_from(bursts).where(bursts.c.received_ns > after_ns, *first)


def seen_first(bursts: FromClause, said: Sequence[str]) -> Subquery:
    """The first sighting of each push: as many in a burst as the recorder has that saw it most often."""
    of_recorder = [*(bursts.c[name] for name in said), bursts.c.burst, bursts.c.recorder_id]
    repeat = func.row_number().over(partition_by=of_recorder, order_by=_receipt(bursts)).label("repeat_no")
    repeats = select(bursts, repeat).subquery()
    of_repeat = [*(repeats.c[name] for name in said), repeats.c.burst, repeats.c.repeat_no]
    sighting = func.row_number().over(partition_by=of_repeat, order_by=_receipt(repeats)).label("sighting")
    sightings = select(repeats, sighting).subquery()
    return select(sightings).where(sightings.c.sighting == 1).subquery()


def _receipt(rows: FromClause) -> list[Any]:
    return [rows.c[name] for name in ("received_ns", "session_id", "seq", "item")]
