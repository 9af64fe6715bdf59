"""Intervals of time: what several have in common, and what is in none of them."""

from collections.abc import Iterable, Iterator, Sequence

#: Beginning and end, ns since 1970.
Interval = tuple[int, int]

#: Before every instant, and after every instant, ns since 1970.
EVER, FOR_EVER = -1, 2**63


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """What is in any of some intervals, sorted and without overlaps."""
    joined: list[Interval] = []
    for begin, end in sorted(intervals):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined


def intersection(sides: Iterable[Sequence[Interval]]) -> list[Interval]:
    """What several lists of intervals, each as `union` returns it, have in common."""
    common: Sequence[Interval] = [(EVER, FOR_EVER)]
    for side in sides:
        common = list(_both(common, side))
    return list(common)


def _both(one: Sequence[Interval], other: Sequence[Interval]) -> Iterator[Interval]:
    """What two sorted lists of intervals have in common, in one pass."""
    i = j = 0
    while i < len(one) and j < len(other):
        begin, end = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if begin < end:
            yield begin, end
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1


def complement(intervals: Sequence[Interval]) -> list[Interval]:
    """All time that is in none of some intervals, as `union` returns them."""
    edges = [EVER, *(edge for interval in intervals for edge in interval), FOR_EVER]
    return [(begin, end) for begin, end in zip(edges[::2], edges[1::2], strict=True) if begin < end]
