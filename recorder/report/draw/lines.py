"""A value over time: a line in steps, for a value holds until the next one is told."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup

from recorder.report.draw import svg
from recorder.report.draw.axes import BOTTOM, TOP, Across, Up, bands, room
from recorder.report.draw.ticks import ticks
from recorder.report.facts import Line, Period, Point, Stretch

#: Of a picture, and of one among many.
HEIGHT, LOW = 168, 128
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
        path = _path(across, up, line.points, look.steps)
        if look.from_zero:
            zero, first = svg.number(up.y(Decimal(0))), svg.number(across.x(line.points[0].at_ns))
            yield svg.element("path", d=f"{path}V{zero}H{first}Z", class_="area")
        kind = KINDS[number % len(KINDS)]
        yield svg.element("path", d=path, class_=kind if look.steps else f"{kind} fine")


def _path(across: Across, up: Up, points: Sequence[Point], steps: bool) -> str:
    told: list[str] = []
    for point in points:
        x, y = svg.number(across.x(point.at_ns)), svg.number(up.y(point.value))
        if not told:
            told.append(f"M{x} {y}")
        else:
            told.append(f"H{x}V{y}" if steps else f"L{x} {y}")
    if steps:
        # What was told last holds to the end.
        told.append(f"H{svg.number(across.right)}")
    return "".join(told)
