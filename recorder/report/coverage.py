"""How the period is covered: what is not covered, and how long it lasted. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from recorder.read.coverage import NOT_KNOWN, first_covered_ns, missing_ns, whole_gaps
from recorder.read.records import Gap
from recorder.report.source import Period, ReportedAccount


class Uncovered(NamedTuple):
    """A part of the period that is not covered."""

    begins_ns: int
    ends_ns: int
    #: `open`, `reconciled`, `unrecoverable`; or `not known yet`: before the record, or not written yet.
    state: str
    reason: str
    #: None: all topics.
    topic: str | None
    #: Its number in the table of gaps; None if it is not there.
    number: int | None


class Lane(NamedTuple):
    """How an account, or one recorder of it, covers the period."""

    name: str
    uncovered: Sequence[Uncovered]


class NumberedGap(NamedTuple):
    """A gap as the table shows it."""

    #: None before the record.
    number: int | None
    gap: Gap
    #: Within the period.
    lasted_ns: int


class AccountCoverage(NamedTuple):
    """How much of the period is covered for an account, all topics together."""

    account: str
    venue: str
    #: The time that `covered_ns` is a part of; None: never all topics were acknowledged.
    begins_ns: int | None
    ends_ns: int
    covered_ns: int
    #: State → how many gaps there were, and how long they lasted, without the time before the record.
    gaps: Mapping[str, int]
    gaps_ns: Mapping[str, int]
    #: The gap that is going on at the end of the period.
    ongoing: Gap | None
    whole: Lane
    #: If there are several recorders: of each of them.
    recorders: Sequence[Lane]
    #: Every gap that touches the period, oldest first.
    numbered: Sequence[NumberedGap]


def cover(account: ReportedAccount, hosts: Mapping[int, str], period: Period, first_number: int) -> AccountCoverage:
    """How an account's record covers the period.

    If the user gave no beginning, it is when all topics were first acknowledged; if they gave no end, it is the last
    frame, as in `recorder status`. It is the last frame too if a recorder is still running.

    Args:
        account: the account.
        hosts: recorder → its host.
        period: of the report.
        first_number: of the account's gaps in the table.
    """
    gaps = _touching(period, whole_gaps(account.name, account.sides) if account.sides else [])
    last_ns = account.last_frame_ns
    ongoing = _ongoing(gaps)
    is_known = ongoing is not None and period.until_asked
    ends_ns = period.until_ns if is_known or last_ns is None else min(period.until_ns, last_ns)
    first_ns = first_covered_ns(gaps, period.since_ns)
    begins_ns = period.since_ns if period.since_asked else first_ns
    if not account.sides or begins_ns is None or begins_ns >= ends_ns:
        begins_ns = None
    counted = [gap for gap in gaps if gap.topic is None and gap.begins_ns is not None and gap is not ongoing]
    lengths: Counter[str] = Counter()
    for gap in counted:
        lengths[gap.state] += _clipped_ns(gap, period.since_ns, period.until_ns)
    numbered = list(_numbered(gaps, period, first_number))
    return AccountCoverage(
        account.name,
        account.venue,
        begins_ns,
        ends_ns,
        0 if begins_ns is None else max(ends_ns - begins_ns - missing_ns(gaps, begins_ns, ends_ns), 0),
        Counter(gap.state for gap in counted),
        lengths,
        ongoing,
        Lane(account.name, list(_uncovered(numbered, last_ns, period))),
        list(_lanes(account, hosts, period)) if len(account.sides) > 1 else [],
        numbered,
    )


def covered_intervals(covered: AccountCoverage) -> list[tuple[int, int]]:
    """The beginning and end of each covered interval, oldest first."""
    found = []
    at_ns = covered.begins_ns
    if at_ns is None:
        return []
    for one in covered.whole.uncovered:
        if one.topic is None and one.ends_ns > at_ns:
            if one.begins_ns > at_ns:
                found.append((at_ns, min(one.begins_ns, covered.ends_ns)))
            # A clock that went back can end a gap before its beginning.
            at_ns = max(one.begins_ns, one.ends_ns)
    if at_ns < covered.ends_ns:
        found.append((at_ns, covered.ends_ns))
    return found


def _touching(period: Period, gaps: Sequence[Gap]) -> list[Gap]:
    """The gaps that touch the period, oldest first."""
    touching = [
        gap
        for gap in gaps
        if (gap.begins_ns is None or gap.begins_ns < period.until_ns)
        and (gap.ends_ns is None or gap.ends_ns >= period.since_ns)
    ]
    return sorted(touching, key=lambda gap: (gap.begins_ns is not None, gap.begins_ns or 0, gap.topic or ""))


def _ongoing(gaps: Sequence[Gap]) -> Gap | None:
    return next((gap for gap in gaps if gap.topic is None and gap.ends_ns is None), None)


def _clipped_ns(gap: Gap, since_ns: int, until_ns: int) -> int:
    begins_ns = since_ns if gap.begins_ns is None else max(gap.begins_ns, since_ns)
    ends_ns = until_ns if gap.ends_ns is None else min(gap.ends_ns, until_ns)
    return max(ends_ns - begins_ns, 0)


def _numbered(gaps: Sequence[Gap], period: Period, first_number: int | None) -> Iterator[NumberedGap]:
    number = first_number
    for gap in gaps:
        lasted_ns = _clipped_ns(gap, period.since_ns, period.until_ns)
        if gap.begins_ns is None or number is None:
            yield NumberedGap(None, gap, lasted_ns)
        else:
            yield NumberedGap(number, gap, lasted_ns)
            number += 1


def _uncovered(numbered: Sequence[NumberedGap], last_ns: int | None, period: Period) -> Iterator[Uncovered]:
    for number, gap, _ in numbered:
        begins_ns = max(gap.begins_ns or 0, period.since_ns)
        ends_ns = period.until_ns if gap.ends_ns is None else min(gap.ends_ns, period.until_ns)
        # Before the record, the gap's state only says that a snapshot was taken.
        state = NOT_KNOWN if gap.begins_ns is None else gap.state
        yield Uncovered(begins_ns, ends_ns, state, gap.reason, gap.topic, number)
    if _ongoing([one.gap for one in numbered]) is None and last_ns is not None and last_ns + 1 < period.until_ns:
        yield Uncovered(last_ns, period.until_ns, NOT_KNOWN, NOT_KNOWN, None, None)


def _lanes(account: ReportedAccount, hosts: Mapping[int, str], period: Period) -> Iterator[Lane]:
    for recorder_id, side in account.sides.items():
        own = list(_numbered(_touching(period, side.gaps), period, None))
        yield Lane(hosts.get(recorder_id, ""), list(_uncovered(own, side.last_ns, period)))
