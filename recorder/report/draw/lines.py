"""A value over time: a line in steps, for a value holds until the next one is told."""

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup

from recorder.report.draw import svg
from recorder.report.draw.axes import BOTTOM, TOP, Across, Up, bands, room
from recorder.report.draw.ticks import ticks
from recorder.report.facts import Line, Period, Point, Stretch

#: Of a picture, and of one among many.
HEIGHT, LOW = 172, 136
#: So few values are shown as dots too.
DOTS_MAX = 60
#: Dashes tell lines apart where there are several, also in black and white.
KINDS = ("line", "line second", "line third")


class Look(NamedTuple):
    """How a picture is made."""

    #: What it shows, for who cannot see it.
    label: str
    #: Of the values.
    unit: str
    height: float = HEIGHT
    #: Whether nothing is on the picture too, and the space between it and the line shaded.
    from_zero: bool = False
    #: Whether a value holds until the next one; otherwise they are joined.
    steps: bool = True


def plot(period: Period, lines: Sequence[Line], stretches: Sequence[Stretch], look: Look) -> Markup:
    """Draw lines over the period.

    Args:
        period: from left to right.
        lines: one at least, in the same unit.
        stretches: what is not covered.
        look: how.
    """
    low = min(line.low for line in lines)
    high = max(line.high for line in lines)
    if look.from_zero:
        low, high = min(low, Decimal(0)), max(high, Decimal(0))
    up = Up(ticks(low, high, 5), TOP, look.height - BOTTOM)
    across = Across(period, room(up.ticks))
    return svg.picture(look.height, look.label, _parts(across, up, lines, stretches, look))


def _parts(across: Across, up: Up, lines: Sequence[Line], stretches: Sequence[Stretch], look: Look) -> Iterator[Markup]:
    yield from bands(across, stretches, up.top, up.bottom)
    yield from up.grid(across.left, across.right, look.unit)
    yield from across.axis(up.bottom)
    for number, line in enumerate(lines):
        path = _steps(across, up, line.points) if look.steps else _joined(across, up, line.points, stretches)
        if look.from_zero:
            zero, first = svg.number(up.y(Decimal(0))), svg.number(across.x(line.points[0].at_ns))
            yield svg.element("path", d=f"{path}V{zero}H{first}Z", class_="area")
        kind = KINDS[number % len(KINDS)]
        yield svg.element("path", d=path, class_=kind if look.steps else f"{kind} fine")
        if not look.steps and len(line.points) <= DOTS_MAX:
            for point in line.points:
                yield svg.element("circle", cx=across.x(point.at_ns), cy=up.y(point.value), r=2, class_="dot")


def _place(across: Across, up: Up, point: Point) -> tuple[str, str]:
    return svg.number(across.x(point.at_ns)), svg.number(up.y(point.value))


def _steps(across: Across, up: Up, points: Sequence[Point]) -> str:
    """What was told last holds until the next, and to the end."""
    first, *others = [_place(across, up, point) for point in points]
    steps = "".join(f"H{x}V{y}" for x, y in others)
    return f"M{first[0]} {first[1]}{steps}H{svg.number(across.right)}"


def _joined(across: Across, up: Up, points: Sequence[Point], stretches: Sequence[Stretch]) -> str:
    """From one to the next, but not across what nobody knows."""
    told: list[str] = []
    breaks = deque(sorted(stretch.begins_ns for stretch in stretches))
    for point in points:
        is_new = not told
        while breaks and breaks[0] < point.at_ns:
            breaks.popleft()
            is_new = True
        told.append(f"{'M' if is_new else 'L'}{' '.join(_place(across, up, point))}")
    return "".join(told)
