"""The axes of a picture: where they are marked, with round numbers and round UTC times, and how they are drawn."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup

from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.report.coverage import Uncovered
from recorder.report.draw import svg
from recorder.report.source import Period
from recorder.venues.accounting import EXACT

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

#: Room for the numbers on the left: the same in most pictures, so that the same time is at the same place.
LEFT = 64
#: Width of a character.
CHARACTER = 6.2
TOP, BOTTOM = 20, 34
#: The least width that is visible: a gap of a second in a month is drawn this wide.
VISIBLE = 1.5


class TimeTick(NamedTuple):
    """A mark on the axis of time."""

    at_ns: int
    #: Such as `12:00`, or `5 Feb 2020`.
    label: str
    #: The day, if the label is a time and the day differs from that of the mark before.
    day: str


class Tick(NamedTuple):
    """A mark on an axis of values."""

    value: Decimal
    label: str


def time_ticks(since_ns: int, until_ns: int, at_most: int) -> list[TimeTick]:
    """Round times in a period, `at_most` of them."""
    step_ns = round_step_ns(until_ns - since_ns, at_most)
    if step_ns > _STEPS[-1]:
        return [TimeTick(at_ns, f"{_utc(at_ns):%b %Y}", "") for at_ns in _months(since_ns, until_ns, at_most)]
    first_ns = -(-since_ns // step_ns) * step_ns
    marks: list[TimeTick] = []
    before = ""
    for at_ns in range(first_ns, until_ns, step_ns):
        day = f"{_utc(at_ns).day} {_utc(at_ns):%b %Y}"
        label, its_day = (day, "") if step_ns >= DAY else (_time(at_ns, step_ns), day if day != before else "")
        marks.append(TimeTick(at_ns, label, its_day))
        before = day
    return marks


def round_step_ns(length_ns: int, at_most: int) -> int:
    """The shortest round length of time that fits `at_most` times into another."""
    fitting = (step for step in _STEPS if length_ns <= step * at_most)
    return next(fitting, -(-length_ns // (_STEPS[-1] * at_most)) * _STEPS[-1])


def _months(since_ns: int, until_ns: int, at_most: int) -> Iterator[int]:
    step = next((months for months in _MONTHS if until_ns - since_ns <= months * _MONTH * at_most), _MONTHS[-1])
    first = _utc(since_ns)
    month = first.year * 12 + first.month - 1
    month -= month % step
    while (at_ns := int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()) * NS_PER_S) < until_ns:
        if at_ns >= since_ns:
            yield at_ns
        month += step


def _utc(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // NS_PER_S, UTC)


def _time(at_ns: int, step_ns: int) -> str:
    if step_ns >= MINUTE:
        return f"{_utc(at_ns):%H:%M}"
    milliseconds = "" if step_ns >= NS_PER_S else f".{at_ns % NS_PER_S // NS_PER_MS:03d}"
    return f"{_utc(at_ns):%H:%M:%S}{milliseconds}"


def ticks(low: Decimal, high: Decimal, at_most: int) -> list[Tick]:
    """Round numbers around a range: the first is not above it, the last not below it. At least two."""
    if low == high:
        apart = abs(low).scaleb(-2) if low else Decimal(1)
        low, high = EXACT.subtract(low, apart), EXACT.add(high, apart)
    step = _step(EXACT.subtract(high, low), at_most)
    first = EXACT.multiply(EXACT.divide(low, step).to_integral_value("ROUND_FLOOR"), step)
    values = [first]
    while values[-1] < high:
        values.append(EXACT.add(values[-1], step))
    return [Tick(value, _tick_label(value, step)) for value in values]


def _step(length: Decimal, at_most: int) -> Decimal:
    power = Decimal(1).scaleb(length.adjusted() - 2)
    while True:
        for factor in (1, 2, 5):
            # One more step may be needed if the range does not begin at a round number.
            if length <= power * factor * (at_most - 1):
                return power * factor
        power = power.scaleb(1)


def _tick_label(value: Decimal, step: Decimal) -> str:
    """A round number with the digits that its step needs."""
    if abs(value.adjusted()) > 12 and value:
        return f"{value.normalize():E}".replace("E+", "e").replace("E", "e")
    decimals = max(-int(step.normalize().as_tuple().exponent), 0)
    return f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")


class TimeAxis(NamedTuple):
    """Time to the right."""

    period: Period
    left: float = LEFT
    right: float = svg.WIDTH

    def x(self, at_ns: int) -> float:
        """The place of a time."""
        since_ns, until_ns = self.period.since_ns, self.period.until_ns
        return self.left + (self.right - self.left) * (at_ns - since_ns) / (until_ns - since_ns)

    def draw(self, y: float) -> Iterator[Markup]:
        """The axis, with its labels below."""
        yield svg.line(self.left, y, self.right, y, "axis")
        before = -1000.0
        for tick in time_ticks(self.period.since_ns, self.period.until_ns, 9):
            x = self.x(tick.at_ns)
            yield svg.line(x, y, x, y + 4, "axis")
            yield svg.text(inside(x, tick.label), y + 15, tick.label, "tick", "middle")
            if tick.day and x - before > 70:
                yield svg.text(inside(x, tick.day), y + 27, tick.day, "tick", "middle")
                before = x

    def band(self, one: Uncovered, y: float, height: float, kind: str, title: str | None = None) -> Markup:
        """What is not covered, wide enough to be seen."""
        x = self.x(one.begins_ns)
        width = self.x(one.ends_ns) - x
        if width < VISIBLE:
            x, width = min(x - (VISIBLE - width) / 2, self.right - VISIBLE), VISIBLE
        return svg.rect(x, y, width, height, f"{kind} {state_class(one.state)}", title)


class ValueAxis(NamedTuple):
    """Values upwards."""

    ticks: Sequence[Tick]
    top: float
    bottom: float

    def y(self, value: Decimal) -> float:
        """The place of a value. Only the place on the picture is a float."""
        low, high = self.ticks[0].value, self.ticks[-1].value
        return self.bottom - (self.bottom - self.top) * float((value - low) / (high - low))

    def draw(self, left: float, right: float, unit: str) -> Iterator[Markup]:
        """Horizontal lines with their numbers, and the unit above."""
        for tick in self.ticks:
            y = self.y(tick.value)
            yield svg.line(left, y, right, y, "grid zero" if tick.value == 0 else "grid")
            yield svg.text(left - 8, y + 3.5, tick.label, "tick", "end")
        yield svg.text(0, self.top - 8, unit, "tick")


def inside(x: float, words: str) -> float:
    """The middle of some words, moved so that they stay inside the picture."""
    half = len(words) * CHARACTER / 2
    return min(max(x, half), svg.WIDTH - half)


def room(ticks: Sequence[Tick]) -> float:
    """The left edge of the plot, right of the numbers."""
    return max(LEFT, CHARACTER * max(len(tick.label) for tick in ticks) + 12)


def state_class(state: str) -> str:
    """The class of a gap's state in the style sheet."""
    return state.replace(" ", "-")
