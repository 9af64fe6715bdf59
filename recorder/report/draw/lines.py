"""A value over time: a line in steps, for a value holds until the next one is told."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from markupsafe import Markup

from recorder.report.draw import svg
from recorder.report.draw.axes import BOTTOM, TOP, Across, Up, bands, room
from recorder.report.draw.ticks import ticks
from recorder.report.facts import Line, Period, Point, Stretch

#: Of a picture, and of one among many.
HEIGHT, LOW = 168, 128
#: Dashes tell lines apart where there are several, also in black and white.
KINDS = ("line", "line second", "line third")


def plot(
    period: Period,
    lines: Sequence[Line],
    stretches: Sequence[Stretch],
    *,
    label: str,
    unit: str,
    height: float = HEIGHT,
    from_zero: bool = False,
    steps: bool = True,
) -> Markup:
    """Draw lines over the period.

    Args:
        period: from left to right.
        lines: one at least, in the same unit.
        stretches: what is not covered.
        label: what it shows, for who cannot see it.
        unit: of the values.
        height: of the picture.
        from_zero: whether nothing is on the picture, and the space between it and the line shaded.
        steps: whether a value holds until the next one; otherwise dots are joined.
    """
    low = min(line.low for line in lines)
    high = max(line.high for line in lines)
    if from_zero:
        low, high = min(low, Decimal(0)), max(high, Decimal(0))
    up = Up(ticks(low, high, 5), TOP, height - BOTTOM)
    across = Across(period, room(up.ticks))
    return svg.picture(height, label, _parts(across, up, lines, stretches, unit, from_zero, steps))


def _parts(
    across: Across,
    up: Up,
    lines: Sequence[Line],
    stretches: Sequence[Stretch],
    unit: str,
    from_zero: bool,
    steps: bool,
) -> Iterator[Markup]:
    yield from bands(across, stretches, up.top, up.bottom)
    yield from up.grid(across.left, across.right, unit)
    yield from across.axis(up.bottom)
    for number, line in enumerate(lines):
        path = _path(across, up, line.points, steps)
        if from_zero and steps and line.points:
            zero = svg.number(up.y(Decimal(0)))
            first = svg.number(across.x(line.points[0].at_ns))
            yield svg.element("path", d=f"{path}V{zero}H{first}Z", class_="area")
        yield svg.element("path", d=path, class_=KINDS[number % len(KINDS)] + ("" if steps else " fine"))


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
