"""How the period is covered: stretches without, and how long they are. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from recorder.read.coverage.gaps import NOT_KNOWN, RecorderCoverage, whole_gaps
from recorder.read.records import Gap
from recorder.report.facts import Covered, Lane, Numbered, Period, Stretch
from recorder.report.reading import Account


def covered(account: Account, hosts: Mapping[int, str], period: Period, first_number: int) -> Covered:
    """How an account's record covers the period.

    Without a beginning that was asked for it is reckoned from when all topics were first acknowledged, as `recorder
    status` does; up to the period's end, or to the last frame where a recorder goes on.
    """
    gaps = _in(period, whole_gaps(account.name, account.sides) if account.sides else [])
    last_ns = last_frame_ns(account.sides)
    lasting = next((gap for gap in gaps if gap.topic is None and gap.ends_ns is None), None)
    ends_ns = period.until_ns if lasting or last_ns is None else min(period.until_ns, last_ns)
    first_ns = next((gap.ends_ns for gap in gaps if gap.topic is None and gap.begins_ns is None), period.since_ns)
    begins_ns = period.since_ns if period.since_asked else first_ns
    if not account.sides or begins_ns is None or begins_ns >= ends_ns:
        begins_ns = None
    counted = [gap for gap in gaps if gap.topic is None and gap.begins_ns is not None and gap is not lasting]
    lengths: Counter[str] = Counter()
    for gap in counted:
        lengths[gap.state] += lasted_ns(gap, period)
    missing = sum(_clipped(gap, begins_ns or 0, ends_ns) for gap in gaps if gap.topic is None)
    whole = Lane(account.name, [*_stretches(gaps, period, first_number), *_not_known(lasting, last_ns, period)])
    return Covered(
        account.name,
        account.venue,
        begins_ns,
        ends_ns,
        0 if begins_ns is None else max(ends_ns - begins_ns - missing, 0),
        Counter(gap.state for gap in counted),
        lengths,
        lasting,
        whole,
        list(_lanes(account, hosts, period)) if len(account.sides) > 1 else [],
    )


def numbered(account: Account, period: Period, first_number: int) -> Iterator[Numbered]:
    """The gaps of an account in the period, oldest first, numbered as in the picture."""
    number = first_number
    for gap in _in(period, whole_gaps(account.name, account.sides) if account.sides else []):
        if gap.begins_ns is None:
            yield Numbered(None, gap, lasted_ns(gap, period))
        else:
            yield Numbered(number, gap, lasted_ns(gap, period))
            number += 1


def segments(covered: Covered) -> list[tuple[int, int]]:
    """The stretches that are covered, oldest first."""
    found = []
    at_ns = covered.begins_ns
    if at_ns is None:
        return []
    for stretch in covered.whole.stretches:
        if stretch.topic is None and stretch.ends_ns > at_ns:
            if stretch.begins_ns > at_ns:
                found.append((at_ns, min(stretch.begins_ns, covered.ends_ns)))
            # A clock that went back can end a gap before its beginning.
            at_ns = max(stretch.begins_ns, stretch.ends_ns)
    if at_ns < covered.ends_ns:
        found.append((at_ns, covered.ends_ns))
    return found


def last_frame_ns(sides: Mapping[int, RecorderCoverage]) -> int | None:
    """When the last frame of an account was received."""
    return max((side.last_ns for side in sides.values() if side.last_ns is not None), default=None)


def lasted_ns(gap: Gap, period: Period) -> int:
    """How much of the period a gap takes."""
    return _clipped(gap, period.since_ns, period.until_ns)


def _clipped(gap: Gap, since_ns: int, until_ns: int) -> int:
    begins_ns = since_ns if gap.begins_ns is None else max(gap.begins_ns, since_ns)
    ends_ns = until_ns if gap.ends_ns is None else min(gap.ends_ns, until_ns)
    return max(ends_ns - begins_ns, 0)


def _in(period: Period, gaps: Sequence[Gap]) -> list[Gap]:
    """The gaps that the period touches, oldest first."""
    touching = [
        gap
        for gap in gaps
        if (gap.begins_ns is None or gap.begins_ns < period.until_ns)
        and (gap.ends_ns is None or gap.ends_ns >= period.since_ns)
    ]
    return sorted(touching, key=lambda gap: (gap.begins_ns is not None, gap.begins_ns or 0, gap.topic or ""))


def _stretches(gaps: Sequence[Gap], period: Period, first_number: int | None) -> Iterator[Stretch]:
    number = first_number
    for gap in gaps:
        begins_ns = max(gap.begins_ns or 0, period.since_ns)
        ends_ns = period.until_ns if gap.ends_ns is None else min(gap.ends_ns, period.until_ns)
        if gap.begins_ns is None:
            # Before the record: its state says that a snapshot was taken, not that anything was missed.
            yield Stretch(begins_ns, ends_ns, NOT_KNOWN, gap.reason, gap.topic, None)
            continue
        yield Stretch(begins_ns, ends_ns, gap.state, gap.reason, gap.topic, number)
        if number is not None:
            number += 1


def _not_known(lasting: Gap | None, last_ns: int | None, period: Period) -> Iterator[Stretch]:
    if lasting is None and last_ns is not None and last_ns + 1 < period.until_ns:
        yield Stretch(last_ns, period.until_ns, NOT_KNOWN, NOT_KNOWN, None, None)


def _lanes(account: Account, hosts: Mapping[int, str], period: Period) -> Iterator[Lane]:
    for recorder_id, side in account.sides.items():
        gaps = _in(period, side.gaps)
        lasting = next((gap for gap in gaps if gap.topic is None and gap.ends_ns is None), None)
        tail = _not_known(lasting, side.last_ns, period)
        yield Lane(hosts.get(recorder_id, ""), [*_stretches(gaps, period, None), *tail])
