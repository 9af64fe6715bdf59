"""Whether an instant is covered. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from recorder.read.coverage.gaps import Side, whole_gaps
from recorder.read.records import Gap

#: What may be said of an instant.
COVERED = "covered"
IN_GAP = "gap"
BEFORE = "before"
AFTER = "after"


class Moment(NamedTuple):
    """What a record covers of an account at an instant, as is known now."""

    account: str
    at_ns: int
    #: `covered`; `gap`: pushes may have been missed; `before` all coverage; `after` the last frame that was received.
    state: str
    #: The gap over all topics that it lies in, if it lies in one.
    gap: Gap | None
    #: The gaps of single topics that it lies in.
    topic_gaps: tuple[Gap, ...]
    #: The last frame received; None: none yet.
    last_frame_ns: int | None


def moment(account: str, sides: Mapping[int, Side], at_ns: int) -> Moment:
    """Whether an instant is covered by one of the recorders.

    Args:
        account: its name.
        sides: recorder → what it says.
        at_ns: the instant, ns since 1970.
    """
    gaps = whole_gaps(account, sides) if sides else []
    around = [gap for gap in gaps if _is_in(gap, at_ns)]
    whole = next((gap for gap in around if gap.topic is None), None)
    last_ns = max((side.last_ns for side in sides.values() if side.last_ns is not None), default=None)
    return Moment(
        account,
        at_ns,
        _state(whole, last_ns, at_ns),
        whole,
        tuple(gap for gap in around if gap.topic is not None),
        last_ns,
    )


def _state(whole: Gap | None, last_ns: int | None, at_ns: int) -> str:
    if last_ns is None or (whole is not None and whole.begins_ns is None):
        return BEFORE
    if at_ns > last_ns:
        return AFTER
    return COVERED if whole is None else IN_GAP


def _is_in(gap: Gap, at_ns: int) -> bool:
    """The last frame before a gap, and the one that ends it, are covered themselves."""
    return (gap.begins_ns is None or gap.begins_ns < at_ns) and (gap.ends_ns is None or at_ns < gap.ends_ns)
