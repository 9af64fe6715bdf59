"""Coverage as a picture: a lane an account, its gaps by what became of them, and beneath how busy it was."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from recorder.clock import utc_text
from recorder.report.draw import svg
from recorder.report.draw.axes import Across, state_class
from recorder.report.facts import Covered, Lane, Period, Received, Stretch
from recorder.report.words import duration, share

LEFT = 8
LANE, THIN, BUSY = 20, 7, 34
#: Topics with gaps of their own are drawn, so many an account.
TOPICS_MAX = 6
#: Numbers of gaps stand so far apart at least.
APART = 14

LEGEND = (
    ("covered", "covered"),
    ("reconciled", "gap, reconciled"),
    ("unrecoverable", "gap, not recoverable"),
    ("open", "gap, open"),
    ("not-known", "outside the record"),
)


def timeline(period: Period, covered: Sequence[Covered], received: Sequence[Received]) -> Markup:
    """Draw how the period is covered."""
    across = Across(period, LEFT, svg.WIDTH - 8)
    parts: list[Markup] = []
    y = 4.0
    for its, came in zip(covered, received, strict=True):
        y = _account(parts, across, its, came, y)
    parts += across.axis(y)
    return svg.picture(y + 34, "Coverage of the period", parts, "timeline")


def _account(parts: list[Markup], across: Across, covered: Covered, came: Received, y: float) -> float:
    """Draw one account from y on; returns where the next may begin."""
    parts.append(svg.text(LEFT, y + 11, covered.account, "name"))
    parts.append(svg.text(across.right, y + 11, share(covered), "name", "end"))
    y += 32
    parts += _lane(across, covered.whole, None, y, LANE)
    parts += _numbers(across, covered.whole.stretches, y - 4)
    y += LANE + 4
    for lane in covered.recorders:
        parts += _lane(across, lane, None, y, THIN)
        parts.append(svg.text(LEFT + 4, y + THIN + 9, f"recorder {lane.name} alone", "tick"))
        y += THIN + 14
    topics = sorted({stretch.topic for stretch in covered.whole.stretches if stretch.topic is not None})
    for topic in topics[:TOPICS_MAX]:
        parts += _lane(across, covered.whole, topic, y, THIN)
        parts.append(svg.text(LEFT + 4, y + THIN + 9, topic, "tick"))
        y += THIN + 14
    parts += _activity(across, came, y)
    return y + BUSY


def _lane(across: Across, lane: Lane, topic: str | None, y: float, height: float) -> Iterator[Markup]:
    yield svg.rect(across.left, y, across.right - across.left, height, "covered")
    for stretch in lane.stretches:
        if stretch.topic in {None, topic}:
            yield across.stretch(stretch, y, height, "gap", _title(stretch))


def _title(stretch: Stretch) -> str:
    length = duration(stretch.ends_ns - stretch.begins_ns)
    what = "outside the record" if stretch.number is None else f"gap {stretch.number}: {stretch.reason}, {stretch.state}"
    return f"{what}; {utc_text(stretch.begins_ns)} to {utc_text(stretch.ends_ns)} UTC, {length}"


def _numbers(across: Across, stretches: Sequence[Stretch], y: float) -> Iterator[Markup]:
    before = -1000.0
    for stretch in stretches:
        x = (across.x(stretch.begins_ns) + across.x(stretch.ends_ns)) / 2
        if stretch.number is not None and stretch.topic is None and x - before >= APART:
            x = min(x, across.right - 4)
            yield svg.text(x, y, str(stretch.number), f"gap-number {state_class(stretch.state)}-words", "middle")
            before = x


def _activity(across: Across, came: Received, y: float) -> Iterator[Markup]:
    most = max(came.activity)
    if most == 0:
        return
    wide = (across.right - across.left) / len(came.activity)
    bottom = y + BUSY
    for number, pushes in enumerate(came.activity):
        height = (BUSY - 10) * pushes / most
        if pushes:
            yield svg.rect(across.left + number * wide, bottom - height, wide, height, "busy")
    part = duration((across.period.until_ns - across.period.since_ns) // len(came.activity))
    yield svg.text(across.right, y + 6, f"pushes received, at most {most:,} in {part}", "tick", "end")
