"""How long after the exchange's stamp its pushes were received: a distribution. It contains the clocks' difference."""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Select, func, select, union_all

from recorder.clock import NS_PER_MS
from recorder.report.facts import Latency
from recorder.report.reading import Account, Reading
from recorder.store.schema import account_updates, order_updates, position_updates

#: Shares of the pushes, in per mille.
QUANTILES = (10, 500, 900, 990, 999)
#: The picture ends where so many per mille of the pushes are left of it.
SHOWN = 990
BARS_MAX = 48
#: Wider than this (ten years) is not a latency but another calendar, milliseconds.
PLAUSIBLE_MS = 10 * 365 * 86_400_000

#: So many pushes took so many milliseconds.
Group = tuple[int, int]


def latencies(reading: Reading) -> list[Latency]:
    """Of each account with pushes in the period."""
    found = (_of(reading, account) for account in reading.accounts)
    return [latency for latency in found if latency is not None]


def _of(reading: Reading, account: Account) -> Latency | None:
    query = _groups(reading, account)
    count, implausible = 0, 0
    for late_ms, pushes in reading.rows("latencies", query):
        if abs(late_ms) < PLAUSIBLE_MS:
            count += pushes
        else:
            implausible += pushes
    if count == 0:
        return None
    quantiles, lowest, highest = _quantiles(_plausible(reading.rows("latencies", query)), count)
    end_ms = max(quantiles[SHOWN], lowest + 1)
    width = bar_width(end_ms - lowest + 1)
    bars = _bars(_plausible(reading.rows("latencies", query)), lowest // width * width, end_ms, width)
    beyond = count - sum(pushes for _, pushes in bars)
    return Latency(account.name, count, quantiles, lowest, highest, bars, width, beyond, implausible)


def _groups(reading: Reading, account: Account) -> Select[Group]:
    """Milliseconds, and how many pushes took them, least first. An answer over REST has no stamp."""
    tables = account_updates, order_updates, position_updates
    late = union_all(
        *[
            select((table.c.received_ns // NS_PER_MS - table.c.ts).label("late_ms")).where(
                table.c.account_id == account.account_id,
                table.c.item == 0,
                reading.received(table.c.received_ns),
                # A 64-bit number can be anything: near its ends the difference would not be one.
                table.c.ts.between(-(2**62), 2**62),
            )
            for table in tables
        ]
    ).subquery()
    return select(late.c.late_ms, func.count()).group_by(late.c.late_ms).order_by(late.c.late_ms)


def _plausible(groups: Iterable[Group]) -> Iterator[Group]:
    return (group for group in groups if abs(group[0]) < PLAUSIBLE_MS)


def _quantiles(groups: Iterable[Group], count: int) -> tuple[dict[int, int], int, int]:
    """Each quantile, the least and the most; groups come in their order."""
    found: dict[int, int] = {}
    left, passed, lowest, highest = list(QUANTILES), 0, 0, 0
    for late_ms, pushes in groups:
        lowest = lowest if passed else late_ms
        highest = late_ms
        passed += pushes
        while left and passed * 1000 >= left[0] * count:
            found[left.pop(0)] = late_ms
    return found, lowest, highest


def bar_width(range_ms: int) -> int:
    """A round number of milliseconds, so that not too many bars fill a range."""
    width = 1
    while True:
        for step in (1, 2, 5):
            if range_ms <= BARS_MAX * width * step:
                return width * step
        width *= 10


def _bars(groups: Iterable[Group], begin_ms: int, end_ms: int, width: int) -> Sequence[Group]:
    bars = [0] * ((end_ms - begin_ms) // width + 1)
    for late_ms, pushes in groups:
        number = (late_ms - begin_ms) // width
        if number < len(bars):
            bars[number] += pushes
    return [(begin_ms + number * width, pushes) for number, pushes in enumerate(bars)]
