"""Where an axis is marked, and how: round numbers, and round times of the calendar in UTC."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.venues.base import EXACT

MINUTE, HOUR, DAY = 60 * NS_PER_S, 3600 * NS_PER_S, 86_400 * NS_PER_S
_MONTH = 30 * DAY

_STEPS = (
    *(ms * NS_PER_MS for ms in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(s * NS_PER_S for s in (1, 2, 5, 10, 15, 30)),
    *(minute * MINUTE for minute in (1, 2, 5, 10, 15, 30)),
    *(hour * HOUR for hour in (1, 2, 3, 6, 12)),
    *(day * DAY for day in (1, 2, 4, 7, 14)),
)
_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)


class TimeTick(NamedTuple):
    """A mark on the axis of time."""

    at_ns: int
    #: Such as `12:00`, or `5 Feb`.
    label: str
    #: The day, where the axis comes to a new one and the label is a time of day.
    day: str


class Tick(NamedTuple):
    """A mark on an axis of values."""

    value: Decimal
    label: str


def time_ticks(since_ns: int, until_ns: int, at_most: int) -> list[TimeTick]:
    """Round times from one instant to another, not more than so many."""
    step_ns = round_step_ns(until_ns - since_ns, at_most)
    if step_ns > _STEPS[-1]:
        return [TimeTick(at_ns, _month(at_ns), "") for at_ns in _months(since_ns, until_ns, at_most)]
    first_ns = -(-since_ns // step_ns) * step_ns
    marks: list[TimeTick] = []
    before = ""
    for at_ns in range(first_ns, until_ns, step_ns):
        day = _day(at_ns)
        label, its_day = (day, "") if step_ns >= DAY else (_time(at_ns, step_ns), day if day != before else "")
        marks.append(TimeTick(at_ns, label, its_day))
        before = day
    return marks


def round_step_ns(length_ns: int, at_most: int) -> int:
    """A round length of time that goes into a longer one so many times at most."""
    fitting = (step for step in _STEPS if length_ns <= step * at_most)
    return next(fitting, -(-length_ns // (_STEPS[-1] * at_most)) * _STEPS[-1])


def _months(since_ns: int, until_ns: int, at_most: int) -> Iterator[int]:
    step = next((months for months in _MONTHS if until_ns - since_ns <= months * _MONTH * at_most), _MONTHS[-1])
    first = _when(since_ns)
    month = first.year * 12 + first.month - 1
    month -= month % step
    while (at_ns := int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()) * NS_PER_S) < until_ns:
        if at_ns >= since_ns:
            yield at_ns
        month += step


def _when(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // NS_PER_S, UTC)


def _month(at_ns: int) -> str:
    return f"{_when(at_ns):%b %Y}"


def _day(at_ns: int) -> str:
    when = _when(at_ns)
    return f"{when.day} {when:%b %Y}"


def _time(at_ns: int, step_ns: int) -> str:
    when = _when(at_ns)
    if step_ns >= MINUTE:
        return f"{when:%H:%M}"
    if step_ns >= NS_PER_S:
        return f"{when:%H:%M:%S}"
    return f"{when:%H:%M:%S}.{at_ns % NS_PER_S // NS_PER_MS:03d}"


def ticks(low: Decimal, high: Decimal, at_most: int) -> list[Tick]:
    """Round numbers around a range: the first is not above it, the last not below it. Two at least."""
    if low == high:
        apart = abs(low).scaleb(-2) if low else Decimal(1)
        low, high = EXACT.subtract(low, apart), EXACT.add(high, apart)
    step = _step(EXACT.subtract(high, low), at_most)
    first = EXACT.multiply(EXACT.divide(low, step).to_integral_value("ROUND_FLOOR"), step)
    values = [first]
    while values[-1] < high:
        values.append(EXACT.add(values[-1], step))
    return [Tick(value, tick_label(value, step)) for value in values]


def _step(length: Decimal, at_most: int) -> Decimal:
    power = Decimal(1).scaleb(length.adjusted() - 2)
    while True:
        for factor in (1, 2, 5):
            # One more step may be needed where a range does not begin at a round number.
            if length <= power * factor * (at_most - 1):
                return power * factor
        power = power.scaleb(1)


def tick_label(value: Decimal, step: Decimal) -> str:
    """A round number with the digits that its step needs."""
    if abs(value.adjusted()) > 12 and value:
        return f"{value.normalize():E}".replace("E+", "e").replace("E", "e")
    decimals = max(-int(step.normalize().as_tuple().exponent), 0)
    return f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")
