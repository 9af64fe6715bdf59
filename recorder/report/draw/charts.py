"""The pictures: values over time, the distribution of latencies, and the timeline of coverage."""

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from markupsafe import Markup

from recorder.clock import utc_text
from recorder.report.activity import Activity, Latency
from recorder.report.coverage import AccountCoverage, Lane, Uncovered
from recorder.report.draw import svg
from recorder.report.draw.axes import BOTTOM, TOP, TimeAxis, ValueAxis, inside, room, state_class, ticks
from recorder.report.series import PlotLine, PlotPoint
from recorder.report.source import Period
from recorder.report.words import NAME_MAX, duration, words

#: Height of a plot, and of one among many.
HEIGHT, LOW = 172, 136
#: Joined points that are also shown as dots, at most.
DOTS_MAX = 60
#: Classes that tell lines apart: by dashes too, so they differ in black and white.
KINDS = ("line", "line second", "line third")
#: How values are drawn: each holds until the next; each is joined with the next; each by itself.
STEPS, JOINED, DOTS = "steps", "joined", "dots"

HISTOGRAM_HEIGHT, HISTOGRAM_BOTTOM = 156, 36

#: Heights in the timeline: of an account, of a recorder or topic, of the activity; and the space between accounts.
LANE, THIN, BUSY, APART = 20, 7, 34, 14
#: Topics with gaps of their own that are drawn of each account.
TOPICS_MAX = 6

LEGEND = (
    ("covered", "covered"),
    ("reconciled", "gap, reconciled"),
    ("unrecoverable", "gap, not recoverable"),
    ("open", "gap, open"),
    ("not-known-yet", "outside the record"),
)


class Look(NamedTuple):
    """How a plot is drawn."""

    #: What it shows, for screen readers.
    label: str
    #: Of the values.
    unit: str
    height: float = HEIGHT
    #: Whether to include zero, and shade the area between it and the line.
    from_zero: bool = False
    #: `STEPS`, `JOINED` or `DOTS`.
    marks: str = STEPS


def plot(period: Period, lines: Sequence[PlotLine], uncovered: Sequence[Uncovered], look: Look) -> Markup:
    """Draw values over the period.

    Args:
        period: from left to right.
        lines: at least one, in the same unit; those without points are not drawn.
        uncovered: what is not covered, shown as bands.
        look: how to draw.
    """
    low = min(line.low for line in lines)
    high = max(line.high for line in lines)
    if look.from_zero:
        low, high = min(low, Decimal(0)), max(high, Decimal(0))
    up = ValueAxis(ticks(low, high, 5), TOP, look.height - BOTTOM)
    across = TimeAxis(period, room(up.ticks))
    return svg.picture(look.height, look.label, _plot_parts(across, up, lines, uncovered, look))


def _plot_parts(
    across: TimeAxis, up: ValueAxis, lines: Sequence[PlotLine], uncovered: Sequence[Uncovered], look: Look
) -> Iterator[Markup]:
    for one in uncovered:
        yield across.band(one, up.top, up.bottom - up.top, "band")
    yield from up.draw(across.left, across.right, look.unit)
    yield from across.draw(up.bottom)
    for number, line in enumerate(lines):
        if not line.points:
            continue
        if look.marks == DOTS:
            yield from _dots(across, up, line.points, number)
            continue
        is_steps = look.marks == STEPS
        path = _steps(across, up, line.points) if is_steps else _joined(across, up, line.points, uncovered)
        if look.from_zero:
            zero, first = svg.coordinate(up.y(Decimal(0))), svg.coordinate(across.x(line.points[0].at_ns))
            yield svg.element("path", d=f"{path}V{zero}H{first}Z", class_="area")
        kind = KINDS[number % len(KINDS)]
        yield svg.element("path", d=path, class_=kind if is_steps else f"{kind} fine")
        if not is_steps and len(line.points) <= DOTS_MAX:
            yield from _dots(across, up, line.points, 0)


def _dots(across: TimeAxis, up: ValueAxis, points: Sequence[PlotPoint], number: int) -> Iterator[Markup]:
    kind = f"dot shape-{number % len(svg.SHAPES)}"
    for point in points:
        yield svg.dot(across.x(point.at_ns), up.y(point.value), number, kind)


def _place(across: TimeAxis, up: ValueAxis, point: PlotPoint) -> tuple[str, str]:
    return svg.coordinate(across.x(point.at_ns)), svg.coordinate(up.y(point.value))


def _steps(across: TimeAxis, up: ValueAxis, points: Sequence[PlotPoint]) -> str:
    """Each value holds until the next, the last one to the end."""
    first, *others = [_place(across, up, point) for point in points]
    steps = "".join(f"H{x}V{y}" for x, y in others)
    return f"M{first[0]} {first[1]}{steps}H{svg.coordinate(across.right)}"


def _joined(across: TimeAxis, up: ValueAxis, points: Sequence[PlotPoint], uncovered: Sequence[Uncovered]) -> str:
    """From each to the next, but not across what is not covered."""
    parts: list[str] = []
    breaks = deque(sorted(one.begins_ns for one in uncovered))
    for point in points:
        is_new = not parts
        while breaks and breaks[0] < point.at_ns:
            breaks.popleft()
            is_new = True
        parts.append(f"{'M' if is_new else 'L'}{' '.join(_place(across, up, point))}")
    return "".join(parts)


def histogram(latency: Latency) -> Markup:
    """Draw how many pushes had which latency."""
    label = f"Distribution of {latency.pushes} receipt latencies in milliseconds"
    return svg.picture(HISTOGRAM_HEIGHT, label, _histogram_parts(latency))


def _histogram_parts(latency: Latency) -> Iterator[Markup]:
    most = Decimal(max(pushes for _, pushes in latency.bars))
    up = ValueAxis(ticks(Decimal(0), most, 5), TOP, HISTOGRAM_HEIGHT - HISTOGRAM_BOTTOM)
    first, end = latency.bars[0][0], latency.bars[-1][0] + latency.bar_width
    left, right = room(up.ticks), float(svg.WIDTH)
    per_ms = (right - left) / (end - first)
    yield from up.draw(left, right, "pushes")
    for begins, pushes in latency.bars:
        title = f"{begins} to {begins + latency.bar_width} ms: {pushes:,}"
        y, wide = up.y(Decimal(pushes)), latency.bar_width * per_ms
        yield svg.rect(left + (begins - first) * per_ms + 0.5, y, wide - 1, up.bottom - y, "bar", title)
    yield svg.line(left, up.bottom, right, up.bottom, "axis")
    for tick in ticks(Decimal(first), Decimal(end), 10):
        if first <= tick.value <= end:
            x = left + float(tick.value - first) * per_ms
            yield svg.line(x, up.bottom, x, up.bottom + 4, "axis")
            yield svg.text(inside(x, tick.label), up.bottom + 15, tick.label, "tick", "middle")
    below = "milliseconds from the exchange's stamp to receipt"
    yield svg.text((left + right) / 2, up.bottom + 29, below, "tick", "middle")
    for per_mille, label in ((500, "median"), (990, "99 %")):
        at_ms = latency.quantiles[per_mille]
        x = min(left + (at_ms + 0.5 - first) * per_ms, svg.WIDTH)
        yield svg.line(x, TOP - 14, x, up.bottom, "mark")
        # On the side where there is room.
        side, anchor = (-4, "end") if x > svg.WIDTH / 2 else (4, "start")
        yield svg.text(x + side, TOP - 8, f"{label} {at_ms:,} ms", "mark-words", anchor)


def share_bar(share: float) -> Markup:
    """A bar as long as a share of the whole, for a cell of a table."""
    bars = svg.rect(0, 0, 100, 8, "share-whole"), svg.rect(0, 0, 100 * share, 8, "bar")
    return svg.element("svg", *bars, viewBox="0 0 100 8", class_="share", aria_hidden="true")


def timeline(period: Period, covered: Sequence[tuple[AccountCoverage, str]], activity: Sequence[Activity]) -> Markup:
    """Draw how the period is covered: for each account a lane with its gaps, and below it how busy it was.

    Args:
        period: from left to right.
        covered: the accounts, each with its share in words.
        activity: of the same accounts.
    """
    across = TimeAxis(period, 0)
    parts: list[Markup] = []
    y = 4.0
    for (its, share), received in zip(covered, activity, strict=True):
        parts.append(svg.text(across.right, y + 11, share, "name", "end"))
        y = _account(parts, across, its, received, y) + APART
    y -= APART
    parts += across.draw(y)
    return svg.picture(y + 34, "Coverage of the period", parts, "timeline")


def _account(parts: list[Markup], across: TimeAxis, covered: AccountCoverage, received: Activity, y: float) -> float:
    """Draw one account from y on; returns where the next may begin."""
    parts.append(svg.text(across.left, y + 11, words(covered.account, NAME_MAX), "name"))
    y += 32
    parts += _lane(across, covered.whole, None, y, LANE)
    parts += _numbers(across, covered.whole.uncovered, y - 4, None, across.left)
    y += LANE + 4
    for lane in covered.recorders:
        parts += _lane(across, lane, None, y, THIN)
        parts.append(svg.text(across.left + 4, y + THIN + 10, f"recorder on {words(lane.name, NAME_MAX)}", "tick"))
        y += THIN + 15
    topics = sorted({one.topic for one in covered.whole.uncovered if one.topic is not None})
    for topic in topics[:TOPICS_MAX]:
        parts += _lane(across, covered.whole, topic, y, THIN)
        parts.append(svg.text(across.left + 4, y + THIN + 10, words(topic, NAME_MAX), "tick"))
        own = [one for one in covered.whole.uncovered if one.topic == topic]
        parts += _numbers(across, own, y + THIN + 10, topic, across.left + 8 + 5.5 * len(topic))
        y += THIN + 15
    parts += _activity(across, received, y)
    return y + BUSY


def _lane(across: TimeAxis, lane: Lane, topic: str | None, y: float, height: float) -> Iterator[Markup]:
    yield svg.rect(across.left, y, across.right - across.left, height, "covered")
    for one in lane.uncovered:
        if one.topic in {None, topic}:
            yield across.band(one, y, height, "gap", _title(one))


def _title(one: Uncovered) -> str:
    what = "outside the record"
    if one.number is not None:
        what = f"gap {one.number}: {words(one.reason)}, {one.state}"
    length = duration(one.ends_ns - one.begins_ns)
    return f"{what}; {utc_text(one.begins_ns)} to {utc_text(one.ends_ns)} UTC, {length}"


def _numbers(
    across: TimeAxis, uncovered: Sequence[Uncovered], y: float, topic: str | None, from_x: float
) -> Iterator[Markup]:
    """The numbers of the gaps, as far as there is room for them."""
    before = from_x - APART
    for one in uncovered:
        x = inside((across.x(one.begins_ns) + across.x(one.ends_ns)) / 2, str(one.number))
        if one.number is not None and one.topic == topic and x - before >= APART:
            yield svg.text(x, y, str(one.number), f"gap-number {state_class(one.state)}-words", "middle")
            before = x


def _activity(across: TimeAxis, received: Activity, y: float) -> Iterator[Markup]:
    most = max(received.by_part)
    if most == 0:
        return
    bottom = y + BUSY
    for number, pushes in enumerate(received.by_part):
        if pushes:
            begins_ns = across.period.since_ns + number * received.part_ns
            x = across.x(begins_ns)
            wide = across.x(min(begins_ns + received.part_ns, across.period.until_ns)) - x
            height = (BUSY - 12) * pushes / most
            yield svg.rect(x, bottom - height, wide, height, "busy")
    legend = f"pushes received in each {duration(received.part_ns)}, {most:,} at most"
    yield svg.text(across.right, y + 7, legend, "tick", "end")
