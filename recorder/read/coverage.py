"""How much of the time the record covers. Pure."""

from collections.abc import Sequence

from recorder.read.records import Coverage, Gap


def coverage(account: str, gaps: Sequence[Gap], until_ns: int | None) -> Coverage:
    """The coverage of one account, from its first full subscription to the last frame received.

    Args:
        account: whose.
        gaps: all of this account's; those of a single topic do not count here.
        until_ns: the last frame received.
    """
    whole = [gap for gap in gaps if gap.topic is None]
    begins_ns = next((gap.ends_ns for gap in whole if gap.begins_ns is None), None)
    later = [gap for gap in whole if gap.begins_ns is not None]
    covered_ns = 0
    if begins_ns is not None and until_ns is not None:
        covered_ns = until_ns - begins_ns - sum(_missing_ns(gap, until_ns) for gap in later)
    in_gap = any(gap.ends_ns is None for gap in whole)
    return Coverage(account, begins_ns, until_ns, max(covered_ns, 0), len(later), in_gap)


def _missing_ns(gap: Gap, until_ns: int) -> int:
    begins_ns = gap.begins_ns or 0
    ends_ns = until_ns if gap.ends_ns is None else min(gap.ends_ns, until_ns)
    return max(ends_ns - begins_ns, 0)
