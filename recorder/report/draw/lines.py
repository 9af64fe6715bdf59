"""Values over time: steps, joined points or dots, with what is not covered shown as bands."""

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup

from recorder.report.draw import svg
from recorder.report.draw.axes import BOTTOM, TOP, Across, Up, bands, room
from recorder.report.draw.ticks import ticks
from recorder.report.facts import Line, Period, Point, Stretch

#: Height of a picture, and of one among many.
HEIGHT, LOW = 172, 136
#: At most so many joined points are shown as dots too.
DOTS_MAX = 60
#: Classes that tell lines apart: by dashes, so that they differ in black and white too.
KINDS = ("line", "line second", "line third")
#: Dots are told apart by their shapes.
SHAPES = ("M-2.2 0A2.2 2.2 0 1 0 2.2 0A2.2 2.2 0 1 0-2.2 0Z", "M-4-3.5H4L0 3.5Z", "M-4 3.5H4L0-3.5Z")

#: How values are drawn: each holds until the next; each is joined with the next; each by itself.
STEPS, JOINED, DOTS = "steps", "joined", "dots"


class Look(NamedTuple):
    """How a picture is drawn."""

    #: What it shows, for screen readers.
    label: str
    #: Of the values.
    unit: str
    height: float = HEIGHT
    #: Whether zero is on the picture too, and the space between it and the line shaded.
    from_zero: bool = False
    #: `STEPS`, `JOINED` or `DOTS`.
    marks: str = STEPS


def plot(period: Period, lines: Sequence[Line], stretches: Sequence[Stretch], look: Look) -> Markup:
    """Draw lines over the period.

    Args:
        period: from left to right.
        lines: one at least, in the same unit; those without points are not drawn.
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
        if not line.points:
            continue
        if look.marks == DOTS:
            yield from _dots(across, up, line.points, number)
            continue
        is_steps = look.marks == STEPS
        path = _steps(across, up, line.points) if is_steps else _joined(across, up, line.points, stretches)
        if look.from_zero:
            zero, first = svg.number(up.y(Decimal(0))), svg.number(across.x(line.points[0].at_ns))
            yield svg.element("path", d=f"{path}V{zero}H{first}Z", class_="area")
        kind = KINDS[number % len(KINDS)]
        yield svg.element("path", d=path, class_=kind if is_steps else f"{kind} fine")
        if not is_steps and len(line.points) <= DOTS_MAX:
            yield from _dots(across, up, line.points, 0)


def _dots(across: Across, up: Up, points: Sequence[Point], number: int) -> Iterator[Markup]:
    number %= len(SHAPES)
    for point in points:
        x, y = _place(across, up, point)
        yield svg.element("path", d=SHAPES[number], transform=f"translate({x} {y})", class_=f"dot shape-{number}")


def _place(across: Across, up: Up, point: Point) -> tuple[str, str]:
    return svg.number(across.x(point.at_ns)), svg.number(up.y(point.value))


def _steps(across: Across, up: Up, points: Sequence[Point]) -> str:
    """Each value holds until the next, the last one to the end."""
    first, *others = [_place(across, up, point) for point in points]
    steps = "".join(f"H{x}V{y}" for x, y in others)
    return f"M{first[0]} {first[1]}{steps}H{svg.number(across.right)}"


def _joined(across: Across, up: Up, points: Sequence[Point], stretches: Sequence[Stretch]) -> str:
    """From one to the next, but not across what is not covered."""
    parts: list[str] = []
    breaks = deque(sorted(stretch.begins_ns for stretch in stretches))
    for point in points:
        is_new = not parts
        while breaks and breaks[0] < point.at_ns:
            breaks.popleft()
            is_new = True
        parts.append(f"{'M' if is_new else 'L'}{' '.join(_place(across, up, point))}")
    return "".join(parts)
