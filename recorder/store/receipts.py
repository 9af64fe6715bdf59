"""When frames were received: finds the frames of a period without an index over every frame.

A row of `receipts` covers frames of one batch and one session, with their first and last number and time. No row spans
more than one period of `PERIOD_NS`. So of all rows that begin before an instant only the last few can reach beyond it,
even if a clock went back, or ahead by a year, in the middle of a batch.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, case, func, select

from recorder.clock import NS_PER_S
from recorder.model import Frame
from recorder.store.schema import receipts

#: Length of the periods that the clock is divided into, ns, counted from 1970.
PERIOD_NS = 10 * NS_PER_S

#: Before everything that was ever received.
EVER_NS = -1

_session = itemgetter(Frame._fields.index("account_id"), Frame._fields.index("session_id"))
_received_ns = itemgetter(Frame._fields.index("received_ns"))


class Receipt(NamedTuple):
    """A row of `receipts`."""

    account_id: int
    session_id: int
    first_seq: int
    last_seq: int
    #: The earliest and the latest time; not always those of the first and the last frame, because clocks are set.
    first_ns: int
    last_ns: int

    @property
    def frames(self) -> int:
        """About how many frames it covers."""
        return self.last_seq - self.first_seq + 1


class Range(NamedTuple):
    """Consecutive frames of one session."""

    session_id: int
    first_seq: int
    last_seq: int


def receipts_of(frames: Sequence[Frame], sessions: int) -> list[Receipt]:
    """Return the rows for a batch.

    Args:
        frames: of the batch, those of a session together and in order.
        sessions: how many sessions they belong to. It is mostly one, and then no search for the next is needed.
    """
    groups: Iterable[Sequence[Frame]] = (
        [frames] if sessions == 1 else (list(one) for _, one in groupby(frames, _session))
    )
    return [receipt for group in groups for receipt in _of_session(group)]


def _of_session(frames: Sequence[Frame]) -> Iterable[Receipt]:
    times = list(map(_received_ns, frames))
    first_ns, last_ns = min(times), max(times)
    if first_ns // PERIOD_NS != last_ns // PERIOD_NS:
        return _by_period(frames)
    first, last = frames[0], frames[-1]
    return (Receipt(first.account_id, first.session_id, first.seq, last.seq, first_ns, last_ns),)


def _by_period(frames: Iterable[Frame]) -> Iterator[Receipt]:
    periods: dict[int, list[Frame]] = {}
    for frame in frames:
        periods.setdefault(frame.received_ns // PERIOD_NS, []).append(frame)
    for same in periods.values():
        times = [frame.received_ns for frame in same]
        yield Receipt(same[0].account_id, same[0].session_id, same[0].seq, same[-1].seq, min(times), max(times))


def ranges(connection: Connection, account_id: int, after_ns: int, until_ns: int) -> list[Range]:
    """Find an account's frames that were received in a period, as few ranges, which may contain other frames.

    Args:
        connection: to the record.
        account_id: the account.
        after_ns: the period's beginning, excluded, ns since 1970; `EVER_NS`: none.
        until_ns: its end, included.
    """
    # No row that begins before this period reaches into it.
    period_ns = after_ns - after_ns % PERIOD_NS
    wanted = {"account_id": account_id, "period_ns": period_ns, "after_ns": after_ns, "until_ns": until_ns}
    return [Range(*row) for row in connection.execute(_ranges(), wanted)]


@cache
def _ranges() -> Select[Any]:
    r = receipts.c
    near = (
        select(r.session_id, r.first_seq, r.last_seq)
        .where(r.account_id == bindparam("account_id"), r.last_ns > bindparam("after_ns"))
        .where(r.first_ns.between(bindparam("period_ns"), bindparam("until_ns")))
        .cte("near")
        # Otherwise a planner would read all rows along the key, to avoid sorting these few.
        .prefix_with("MATERIALIZED")
        .c
    )
    before = func.lag(near.last_seq).over(partition_by=near.session_id, order_by=near.first_seq)
    begins = case((near.first_seq <= before + 1, 0), else_=1).label("begins")
    told = select(near.session_id, near.first_seq, near.last_seq, begins).subquery().c
    number = func.sum(told.begins).over(partition_by=told.session_id, order_by=told.first_seq).label("number")
    joined = select(told.session_id, told.first_seq, told.last_seq, number).subquery().c
    first, last = func.min(joined.first_seq), func.max(joined.last_seq)
    return select(joined.session_id, first, last).group_by(joined.session_id, joined.number).order_by(joined.session_id)
