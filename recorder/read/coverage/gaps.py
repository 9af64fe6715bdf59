"""How much of the time a record covers, by one recorder or by several together. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from recorder.read.records import Coverage, Gap
from recorder.store.gaps import UNSUBSCRIBED

#: Before every instant, and after every instant, ns since 1970.
_EVER, _FOR_EVER = -1, 2**63

#: Of a stretch, what one recorder knows least counts; and of several recorders the one that knows most.
_BEST_FIRST = ("reconciled", "open", "unrecoverable")
#: Of a recorder whose record ends while it covers: it runs, or has not sent more yet.
NOT_KNOWN = "not known yet"
#: Of a retired recorder, which nobody expects to cover the account any more.
RETIRED = "retired"
#: Of a topic, by a recorder that has nothing to say of it.
NEVER_ASKED = "never asked for"

#: Between the reasons of several recorders.
_AND = " / "

#: A topic that nobody asks for any more is not part of full coverage.
_GIVEN_UP = frozenset([UNSUBSCRIBED, NEVER_ASKED])

Interval = tuple[int, int]


class RecorderCoverage(NamedTuple):
    """What one recorder says of an account."""

    #: Its gaps, oldest first.
    gaps: Sequence[Gap]
    #: Every topic it ever asked for.
    topics: frozenset[str]
    #: Its last proof of life, ns since 1970; None where it never had one.
    last_ns: int | None


def with_retired(sides: Mapping[int, RecorderCoverage], retired: set[int]) -> dict[int, RecorderCoverage]:
    """Leave out what happened after the last frame of retired recorders: nobody expects them to cover the account.

    While other recorders of the account are active, their gaps alone say whether it is covered now, and why not. If all
    are retired, their record simply ends.

    Args:
        sides: recorder → its coverage.
        retired: the retired recorders.
    """
    return {
        key: side._replace(gaps=list(_until_retired(side, retired.issuperset(sides)))) if key in retired else side
        for key, side in sides.items()
    }


def _until_retired(side: RecorderCoverage, ends: bool) -> Iterator[Gap]:
    for gap in side.gaps:
        if gap.ends_ns is not None or gap.begins_ns is None or side.last_ns is None:
            yield gap
        elif not ends:
            yield gap._replace(reason=RETIRED)
        elif gap.begins_ns < side.last_ns:
            yield gap._replace(ends_ns=side.last_ns)


def whole_gaps(account: str, sides: Mapping[int, RecorderCoverage]) -> list[Gap]:
    """The gaps of an account as a whole: where every recorder has one.

    Args:
        account: its name.
        sides: recorder → what it says.

    Returns:
        One recorder's own gaps; of several, what they have in common, renumbered and oldest first. While one of them
        still covers the account, the time since its last frame is no gap.
    """
    if len(sides) == 1:
        (side,) = sides.values()
        return list(side.gaps)
    everywhere = {key: _stretches(side, None) for key, side in sides.items()}
    whole = _intersection(everywhere.values())
    found: list[tuple[str | None, Interval]] = [(None, stretch) for stretch in _known(whole, sides.values())]
    for topic in sorted(frozenset().union(*(side.topics for side in sides.values()))):
        own = [_union([*everywhere[key], *_stretches(side, topic)]) for key, side in sides.items()]
        found += [(topic, stretch) for stretch in _without(_intersection(own), whole)]
    found.sort(key=lambda one: (one[1], one[0] or ""))
    return [_gap(account, number, topic, stretch, sides) for number, (topic, stretch) in enumerate(found, 1)]


def coverage(account: str, gaps: Sequence[Gap], until_ns: int | None) -> Coverage:
    """The coverage of one account, from its first full subscription to the last frame received.

    Args:
        account: whose.
        gaps: all of this account's as a whole; those of a single topic do not count here.
        until_ns: the last frame received.
    """
    whole = [gap for gap in gaps if gap.topic is None]
    begins_ns = next((gap.ends_ns for gap in whole if gap.begins_ns is None), None)
    later = [gap for gap in whole if gap.begins_ns is not None and (until_ns is None or gap.begins_ns <= until_ns)]
    covered_ns = 0
    if begins_ns is not None and until_ns is not None:
        covered_ns = until_ns - begins_ns - sum(_missing_ns(gap, until_ns) for gap in later)
    in_gap = any(gap.ends_ns is None for gap in whole)
    return Coverage(account, begins_ns, until_ns, max(covered_ns, 0), len(later), in_gap)


def full_coverage(gaps: Sequence[Gap], until_ns: int) -> list[Interval]:
    """The stretches in which nothing of an account could be missed: all topics that are asked for were pushed.

    Args:
        gaps: all of this account's as a whole.
        until_ns: the last frame received.

    Returns:
        When each begins and ends, both included.
    """
    missing = _union([_stretch(gap) for gap in gaps if gap.topic is None or not _GIVEN_UP.issuperset(_reasons(gap))])
    stretches = [(max(begin, 0), min(end, until_ns)) for begin, end in _complement(missing)]
    return [(begin, end) for begin, end in stretches if begin <= end]


def _reasons(gap: Gap) -> list[str]:
    return gap.reason.split(_AND)


def _missing_ns(gap: Gap, until_ns: int) -> int:
    begins_ns = gap.begins_ns or 0
    ends_ns = until_ns if gap.ends_ns is None else min(gap.ends_ns, until_ns)
    return max(ends_ns - begins_ns, 0)


def _stretches(side: RecorderCoverage, topic: str | None) -> list[Interval]:
    """Where a recorder does not cover all topics, or this one."""
    if topic is not None and topic not in side.topics:
        return [(_EVER, _FOR_EVER)]
    return _union([_stretch(gap) for gap in _own(side) if gap.topic == topic])


def _covers_still(side: RecorderCoverage) -> bool:
    """Whether a recorder's record ends while it covers: it runs, or has not sent the rest yet."""
    return all(gap.ends_ns is not None for gap in side.gaps if gap.topic is None)


def _known(stretches: Sequence[Interval], sides: Iterable[RecorderCoverage]) -> Iterator[Interval]:
    """The stretches without the time since the last frame of a recorder that still covers the account."""
    last = [_EVER if side.last_ns is None else side.last_ns for side in sides if _covers_still(side)]
    for begin, end in stretches:
        if not last or end < _FOR_EVER or begin > max(last):
            yield begin, end
        elif begin < max(last):
            yield begin, max(last)


def _own(side: RecorderCoverage) -> list[Gap]:
    """A recorder's gaps; and the time after its last frame, of which nobody knows yet."""
    gaps = list(side.gaps)
    if _covers_still(side):
        account = gaps[0].account if gaps else ""
        gaps.append(Gap(account, side.last_ns, None, None, NOT_KNOWN, None, "open", 0))
    return gaps


def _stretch(gap: Gap) -> Interval:
    return (
        _EVER if gap.begins_ns is None else gap.begins_ns,
        _FOR_EVER if gap.ends_ns is None else gap.ends_ns,
    )


def _overlaps(gap: Gap, stretch: Interval) -> bool:
    return _stretch(gap)[0] < stretch[1] and _stretch(gap)[1] > stretch[0]


def _rank(gap: Gap) -> int:
    return _BEST_FIRST.index(gap.state)


def _union(stretches: Iterable[Interval]) -> list[Interval]:
    joined: list[Interval] = []
    for begin, end in sorted(stretches):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined


def _intersection(sides: Iterable[Sequence[Interval]]) -> list[Interval]:
    common: Sequence[Interval] = [(_EVER, _FOR_EVER)]
    for side in sides:
        common = list(_both(common, side))
    return list(common)


def _both(one: Sequence[Interval], other: Sequence[Interval]) -> Iterator[Interval]:
    """What two sorted rows of stretches have in common; each is walked once."""
    i = j = 0
    while i < len(one) and j < len(other):
        begin, end = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if begin < end:
            yield begin, end
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1


def _without(stretches: Sequence[Interval], taken: Sequence[Interval]) -> list[Interval]:
    return _intersection([stretches, _complement(taken)])


def _complement(stretches: Sequence[Interval]) -> list[Interval]:
    edges = [_EVER, *(edge for stretch in stretches for edge in stretch), _FOR_EVER]
    return [(begin, end) for begin, end in zip(edges[::2], edges[1::2], strict=True) if begin < end]


def _gap(account: str, number: int, topic: str | None, stretch: Interval, sides: Mapping[int, RecorderCoverage]) -> Gap:
    """A stretch that no recorder covers, with what they say of it."""
    begin, end = stretch
    touching: list[Gap] = []
    worst: list[Gap] = []
    for side in sides.values():
        its = [
            gap
            for gap in _own(side)
            if gap.topic in {None, topic} and gap.reason != RETIRED and _overlaps(gap, stretch)
        ]
        touching += its
        # What was before a recorder's own beginning it never asked about: a snapshot settles that for itself alone.
        asked = [gap for gap in its if gap.begins_ns is not None or begin == _EVER]
        if asked and len(asked) == len(its):
            worst.append(max(asked, key=_rank))
    best = min(worst, key=_rank, default=None)
    told = dict.fromkeys(gap.reason for gap in touching if gap.reason != NOT_KNOWN)
    return Gap(
        account,
        None if begin == _EVER else begin,
        None if end == _FOR_EVER else end,
        topic,
        _AND.join(told) or (NOT_KNOWN if touching else NEVER_ASKED),
        best.detail if best else None,
        best.state if best else "open",
        number,
        best.resolution if best else None,
    )


#: What may be said of an instant.
COVERED = "covered"
IN_GAP = "gap"
BEFORE = "before"
AFTER = "after"


class InstantCoverage(NamedTuple):
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


def instant_coverage(account: str, sides: Mapping[int, RecorderCoverage], at_ns: int) -> InstantCoverage:
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
    return InstantCoverage(
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
