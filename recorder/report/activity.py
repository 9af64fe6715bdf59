"""When frames were received: how many, the longest silences while covered, and how late pushes were."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, Subquery, case, func, select, union_all

from recorder.clock import NS_PER_MS
from recorder.model import CONTROL, PUSHES
from recorder.report.coverage import AccountCoverage, covered_intervals
from recorder.report.draw.axes import round_step_ns
from recorder.report.source import Period, ReportedAccount, ReportSource
from recorder.store.schema import (
    account_updates,
    fills,
    frames,
    heartbeats,
    order_updates,
    position_updates,
    transactions,
)

#: Equal parts of the period at most for which pushes are counted.
PARTS_MAX = 180

#: Shares of the pushes, in per mille.
QUANTILES = (10, 500, 900, 990, 999)
#: The picture ends at this quantile.
SHOWN = 990
BARS_MAX = 48
#: A larger latency (ten years) is a wrong stamp, milliseconds.
PLAUSIBLE_MS = 10 * 365 * 86_400_000

#: A latency in milliseconds, and how many pushes had it.
LatencyCount = tuple[int, int]


class Silence(NamedTuple):
    """A time while covered in which nothing was received, nanoseconds since 1970."""

    begins_ns: int
    ends_ns: int

    @property
    def lasted_ns(self) -> int:
        """How long it lasted."""
        return self.ends_ns - self.begins_ns


class Activity(NamedTuple):
    """What was received for an account in the period."""

    account: str
    #: Without greetings, acknowledgements and refusals.
    pushes: int
    pings: int
    #: Everything that was received.
    frames: int
    #: Pushes in each of the equal parts of the period (the last may be shorter), and the length of a part.
    by_part: Sequence[int]
    part_ns: int
    #: The longest time without a push, and without any frame.
    without_push: Silence | None
    without_frame: Silence | None


class Latency(NamedTuple):
    """From the venue's stamp to the receipt of an account's pushes, milliseconds."""

    account: str
    pushes: int
    #: Share of the pushes in per mille → their latency at most.
    quantiles: Mapping[int, int]
    lowest: int
    highest: int
    #: Bars of equal width: where each begins, and how many pushes it holds.
    bars: Sequence[LatencyCount]
    bar_width: int
    #: Pushes beyond the last bar.
    beyond: int
    #: Wrong stamps, which are left out.
    implausible: int


class Silences:
    """Finds the longest time without an event while covered. Events come in the order of time. Pure."""

    def __init__(self, covered: Sequence[tuple[int, int]]) -> None:
        self._left = list(reversed(covered))
        self._last_ns = self._left[-1][0] if self._left else 0
        self._longest: Silence | None = None

    def add(self, at_ns: int) -> None:
        """An event."""
        while self._left and at_ns > self._left[-1][1]:
            self._end_interval()
        if self._left and at_ns >= self._left[-1][0]:
            self._note(at_ns)
            self._last_ns = at_ns

    def longest(self) -> Silence | None:
        """The longest, if no more events come; of several the first."""
        while self._left:
            self._end_interval()
        return self._longest

    def _end_interval(self) -> None:
        self._note(self._left.pop()[1])
        if self._left:
            self._last_ns = self._left[-1][0]

    def _note(self, until_ns: int) -> None:
        if self._longest is None or until_ns - self._last_ns > self._longest.lasted_ns:
            self._longest = Silence(self._last_ns, until_ns)


class _ActivityCount:
    """Counts what was received for one account."""

    def __init__(self, name: str, period: Period, covered: Sequence[tuple[int, int]]) -> None:
        self._name = name
        length_ns = period.until_ns - period.since_ns
        self._since_ns, self._part_ns = period.since_ns, round_step_ns(length_ns, PARTS_MAX)
        self._by_part = [0] * -(-length_ns // self._part_ns)
        self._pushes = self._pings = self._frames = 0
        self._without_push, self._without_frame = Silences(covered), Silences(covered)

    def add(self, at_ns: int, status: str, *, is_ping: bool) -> None:
        self._frames += 1
        self._without_frame.add(at_ns)
        self._pings += is_ping
        if is_ping or status == CONTROL:
            return
        self._pushes += 1
        self._without_push.add(at_ns)
        self._by_part[(at_ns - self._since_ns) // self._part_ns] += 1

    def result(self) -> Activity:
        silences = self._without_push.longest(), self._without_frame.longest()
        return Activity(self._name, self._pushes, self._pings, self._frames, self._by_part, self._part_ns, *silences)


def activity(source: ReportSource, covered: Sequence[AccountCoverage]) -> tuple[Counter[str], list[Activity]]:
    """Read in one pass when each frame was received.

    Returns:
        How many frames there are of each source and of each status; and what each account received.
    """
    f, h = frames.c, heartbeats.c
    same = (h.account_id == f.account_id) & (h.session_id == f.session_id) & (h.seq == f.seq)
    query = (
        select(f.account_id, f.received_ns, f.source, f.status, case((h.seq.is_not(None), 1), else_=0))
        .outerjoin(heartbeats, same)
        .where(source.is_reported(f.account_id), source.is_received(f.received_ns))
        .order_by(f.received_ns)
    )
    found = {
        account.account_id: _ActivityCount(account.name, source.period, covered_intervals(its))
        for account, its in zip(source.accounts, covered, strict=True)
    }
    counts: Counter[str] = Counter()
    for account_id, at_ns, origin, status, is_ping in source.rows("frames", query):
        counts[origin] += 1
        counts[status] += 1
        if origin in PUSHES:
            found[account_id].add(at_ns, status, is_ping=bool(is_ping))
    return counts, [one.result() for one in found.values()]


def latencies(source: ReportSource) -> list[Latency]:
    """The latency of each account that has pushes with a stamp in the period."""
    found = (_latency(source, account) for account in source.accounts)
    return [latency for latency in found if latency is not None]


def _latency(source: ReportSource, account: ReportedAccount) -> Latency | None:
    late = _late(source, account)
    is_plausible = late.c.late_ms.between(-PLAUSIBLE_MS, PLAUSIBLE_MS)
    plausible, implausible = (
        source.connection.scalar(select(func.count()).select_from(late).where(one)) or 0
        for one in (is_plausible, ~is_plausible)
    )
    if plausible == 0:
        return None
    # The distribution can have very many different values, so it is read twice rather than held in memory.
    query = _counts(late, is_plausible)
    quantiles, lowest, highest = _quantiles(source.rows("latencies", query), plausible)
    end_ms = max(quantiles[SHOWN], lowest + 1)
    width = bar_width(end_ms - lowest + 1)
    bars = _bars(source.rows("latencies", query), lowest // width * width, end_ms, width)
    beyond = plausible - sum(pushes for _, pushes in bars)
    return Latency(account.name, plausible, quantiles, lowest, highest, bars, width, beyond, implausible)


def _late(source: ReportSource, account: ReportedAccount) -> Subquery:
    """The latency of each push of an event in milliseconds. A snapshot may be of an earlier time."""
    return union_all(
        *[
            select((table.c.received_ns // NS_PER_MS - table.c.event_ms).label("late_ms")).where(
                table.c.account_id == account.account_id,
                table.c.item == 0,
                table.c.is_snapshot == 0,
                source.is_received(table.c.received_ns),
                # Near the ends of 64 bits, the difference would overflow.
                table.c.event_ms.between(-(2**62), 2**62),
            )
            for table in (account_updates, order_updates, position_updates, fills, transactions)
        ]
    ).subquery()


def _counts(late: Subquery, is_plausible: ColumnElement[bool]) -> Select[LatencyCount]:
    by_latency = select(late.c.late_ms, func.count()).where(is_plausible).group_by(late.c.late_ms)
    return by_latency.order_by(late.c.late_ms)


def _quantiles(counts: Iterable[LatencyCount], total: int) -> tuple[dict[int, int], int, int]:
    """The quantiles, the lowest and the highest of counts in ascending order."""
    found: dict[int, int] = {}
    left, passed, lowest, highest = list(QUANTILES), 0, 0, 0
    for late_ms, pushes in counts:
        lowest = lowest if passed else late_ms
        highest = late_ms
        passed += pushes
        while left and passed * 1000 >= left[0] * total:
            found[left.pop(0)] = late_ms
    return found, lowest, highest


def bar_width(range_ms: int) -> int:
    """The smallest round number of milliseconds (1, 2, 5, 10, ...) with which `BARS_MAX` bars fill a range."""
    return next(width for width in _round_widths() if range_ms <= BARS_MAX * width)


def _round_widths() -> Iterator[int]:
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10


def _bars(counts: Iterable[LatencyCount], begin_ms: int, end_ms: int, width: int) -> Sequence[LatencyCount]:
    bars = [0] * ((end_ms - begin_ms) // width + 1)
    for late_ms, pushes in counts:
        number = (late_ms - begin_ms) // width
        if number < len(bars):
            bars[number] += pushes
    return [(begin_ms + number * width, pushes) for number, pushes in enumerate(bars)]
