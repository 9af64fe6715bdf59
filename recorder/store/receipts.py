"""When frames were received: where those of a stretch of time stand, without an index over every frame.

A row of `receipts` tells of frames of one batch and one session, from the first to the last in number, and in time. No
row is of more than one stretch of `STRETCH_NS`, so that of all rows that begin before an instant only the last few can
reach beyond it, also where a clock went back, or ahead by a year, in the middle of a batch.
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

#: So long a stretch of the clock has a row of its own, ns; counted from 1970. The migration says the same.
STRETCH_NS = 10 * NS_PER_S

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
    #: The earliest of them, and the latest; not always the first and the last, for clocks are set.
    first_ns: int
    last_ns: int

    @property
    def frames(self) -> int:
        """How many frames it tells of, about."""
        return self.last_seq - self.first_seq + 1


class Range(NamedTuple):
    """Frames of one session, from the first to the last."""

    session_id: int
    first_seq: int
    last_seq: int


def receipts_of(frames: Sequence[Frame], sessions: int) -> list[Receipt]:
    """When the frames of a batch were received.

    Args:
        frames: of a session in the order of their numbers.
        sessions: of how many sessions they are. Mostly of one: then it is not looked where the next begins.
    """
    groups: Iterable[Sequence[Frame]] = (
        [frames] if sessions == 1 else (list(one) for _, one in groupby(frames, _session))
    )
    return [receipt for group in groups for receipt in _of_session(group)]


def _of_session(frames: Sequence[Frame]) -> Iterable[Receipt]:
    times = list(map(_received_ns, frames))
    first_ns, last_ns = min(times), max(times)
    if first_ns // STRETCH_NS != last_ns // STRETCH_NS:
        return _by_stretch(frames)
    first, last = frames[0], frames[-1]
    return (Receipt(first.account_id, first.session_id, first.seq, last.seq, first_ns, last_ns),)


def _by_stretch(frames: Iterable[Frame]) -> Iterator[Receipt]:
    stretches: dict[int, list[Frame]] = {}
    for frame in frames:
        stretches.setdefault(frame.received_ns // STRETCH_NS, []).append(frame)
    for same in stretches.values():
        times = [frame.received_ns for frame in same]
        yield Receipt(same[0].account_id, same[0].session_id, same[0].seq, same[-1].seq, min(times), max(times))


def ranges(connection: Connection, account_id: int, after_ns: int, until_ns: int) -> list[Range]:
    """Where an account's frames stand that were received within a time, as few ranges; others may stand among them.

    Args:
        connection: to the record.
        account_id: whose.
        after_ns: received after it; `EVER_NS`: ever.
        until_ns: received until then, that included.
    """
    # No row that begins before this stretch reaches into it.
    stretch_ns = after_ns - after_ns % STRETCH_NS
    wanted = {"account_id": account_id, "stretch_ns": stretch_ns, "after_ns": after_ns, "until_ns": until_ns}
    return [Range(*row) for row in connection.execute(_ranges(), wanted)]


@cache
def _ranges() -> Select[Any]:
    r = receipts.c
    near = (
        select(r.session_id, r.first_seq, r.last_seq)
        .where(r.account_id == bindparam("account_id"), r.last_ns > bindparam("after_ns"))
        .where(r.first_ns.between(bindparam("stretch_ns"), bindparam("until_ns")))
        .cte("near")
        # Or a planner would walk through all there are by the key, to be spared the sorting of these few.
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
