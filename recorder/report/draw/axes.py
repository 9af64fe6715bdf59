"""The frame of a picture over time: marks on both axes, and the stretches in which the record does not know."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup

from recorder.report.draw import svg
from recorder.report.draw.ticks import Tick, time_ticks
from recorder.report.facts import Period, Stretch

#: Room for the numbers on the left: the same for most pictures, so that instants stand below each other.
LEFT = 64
CHARACTER = 6.2
TOP, BOTTOM = 20, 34

#: Fewer units than this nobody sees: a gap of a second in a month is drawn so wide.
SEEN = 1.5


class Across(NamedTuple):
    """Time to the right."""

    period: Period
    left: float = LEFT
    right: float = svg.WIDTH

    def x(self, at_ns: int) -> float:
        """Where an instant lies."""
        since_ns, until_ns = self.period.since_ns, self.period.until_ns
        return self.left + (self.right - self.left) * (at_ns - since_ns) / (until_ns - since_ns)

    def axis(self, y: float) -> Iterator[Markup]:
        """The line of time, marked below."""
        yield svg.line(self.left, y, self.right, y, "axis")
        before = -1000.0
        for tick in time_ticks(self.period.since_ns, self.period.until_ns, 9):
            x = self.x(tick.at_ns)
            yield svg.line(x, y, x, y + 4, "axis")
            yield svg.text(inside(x, tick.label), y + 15, tick.label, "tick", "middle")
            if tick.day and x - before > 70:
                yield svg.text(inside(x, tick.day), y + 27, tick.day, "tick", "middle")
                before = x

    def stretch(self, stretch: Stretch, y: float, height: float, kind: str, title: str | None = None) -> Markup:
        """A stretch of time, wide enough to be seen."""
        x = self.x(stretch.begins_ns)
        width = self.x(stretch.ends_ns) - x
        if width < SEEN:
            x, width = min(x - (SEEN - width) / 2, self.right - SEEN), SEEN
        return svg.rect(x, y, width, height, f"{kind} {state_class(stretch.state)}", title)


class Up(NamedTuple):
    """Values upwards."""

    ticks: Sequence[Tick]
    top: float
    bottom: float

    def y(self, value: Decimal) -> float:
        """Where a value lies. Only here is it made a float: for the place of a dot."""
        low, high = self.ticks[0].value, self.ticks[-1].value
        return self.bottom - (self.bottom - self.top) * float((value - low) / (high - low))

    def grid(self, left: float, right: float, unit: str) -> Iterator[Markup]:
        """Hairlines and their numbers; the unit stands above."""
        for tick in self.ticks:
            y = self.y(tick.value)
            yield svg.line(left, y, right, y, "grid zero" if tick.value == 0 else "grid")
            yield svg.text(left - 8, y + 3.5, tick.label, "tick", "end")
        yield svg.text(0, self.top - 8, unit, "tick")


def inside(x: float, words: str) -> float:
    """Where the middle of some words must stand so that they do not go over the edge of the picture."""
    half = len(words) * CHARACTER / 2
    return min(max(x, half), svg.WIDTH - half)


def room(ticks: Sequence[Tick]) -> float:
    """Where the picture begins, right of the numbers."""
    return max(LEFT, CHARACTER * max(len(tick.label) for tick in ticks) + 12)


def state_class(state: str) -> str:
    """The class of a state in the style sheet."""
    return state.replace(" ", "-")


def bands(across: Across, stretches: Sequence[Stretch], top: float, bottom: float) -> Iterator[Markup]:
    """What is not covered, from top to bottom."""
    for stretch in stretches:
        yield across.stretch(stretch, top, bottom - top, "band")
