"""Coverage as a picture: a lane an account, its gaps by what became of them, and beneath how busy it was."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from recorder.clock import utc_text
from recorder.report.draw import svg
from recorder.report.draw.axes import Across, inside, state_class
from recorder.report.facts import Covered, Lane, Period, Received, Stretch
from recorder.report.words import NAME_MAX, duration, share, words

LEFT = 0
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
    ("not-known-yet", "outside the record"),
)


def timeline(period: Period, covered: Sequence[Covered], received: Sequence[Received]) -> Markup:
    """Draw how the period is covered."""
    across = Across(period, LEFT, svg.WIDTH)
    parts: list[Markup] = []
    y = 4.0
    for its, came in zip(covered, received, strict=True):
        y = _account(parts, across, its, came, y) + APART
    y -= APART
    parts += across.axis(y)
    return svg.picture(y + 34, "Coverage of the period", parts, "timeline")


def _account(parts: list[Markup], across: Across, covered: Covered, came: Received, y: float) -> float:
    """Draw one account from y on; returns where the next may begin."""
    parts.append(svg.text(LEFT, y + 11, words(covered.account, NAME_MAX), "name"))
    parts.append(svg.text(across.right, y + 11, share(covered), "name", "end"))
    y += 32
    parts += _lane(across, covered.whole, None, y, LANE)
    parts += _numbers(across, covered.whole.stretches, y - 4, None, LEFT)
    y += LANE + 4
    for lane in covered.recorders:
        parts += _lane(across, lane, None, y, THIN)
        parts.append(svg.text(LEFT + 4, y + THIN + 10, f"recorder on {words(lane.name, NAME_MAX)}", "tick"))
        y += THIN + 15
    topics = sorted({stretch.topic for stretch in covered.whole.stretches if stretch.topic is not None})
    for topic in topics[:TOPICS_MAX]:
        parts += _lane(across, covered.whole, topic, y, THIN)
        parts.append(svg.text(LEFT + 4, y + THIN + 10, words(topic, NAME_MAX), "tick"))
        own = [stretch for stretch in covered.whole.stretches if stretch.topic == topic]
        parts += _numbers(across, own, y + THIN + 10, topic, LEFT + 8 + 5.5 * len(topic))
        y += THIN + 15
    parts += _activity(across, came, y)
    return y + BUSY


def _lane(across: Across, lane: Lane, topic: str | None, y: float, height: float) -> Iterator[Markup]:
    yield svg.rect(across.left, y, across.right - across.left, height, "covered")
    for stretch in lane.stretches:
        if stretch.topic in {None, topic}:
            yield across.stretch(stretch, y, height, "gap", _title(stretch))


def _title(stretch: Stretch) -> str:
    length = duration(stretch.ends_ns - stretch.begins_ns)
    what = "outside the record"
    if stretch.number is not None:
        what = f"gap {stretch.number}: {words(stretch.reason)}, {stretch.state}"
    return f"{what}; {utc_text(stretch.begins_ns)} to {utc_text(stretch.ends_ns)} UTC, {length}"


def _numbers(
    across: Across, stretches: Sequence[Stretch], y: float, topic: str | None, from_x: float
) -> Iterator[Markup]:
    """The gaps' numbers, as far as there is room for them."""
    before = from_x - APART
    for stretch in stretches:
        x = inside((across.x(stretch.begins_ns) + across.x(stretch.ends_ns)) / 2, str(stretch.number))
        if stretch.number is not None and stretch.topic == topic and x - before >= APART:
            yield svg.text(x, y, str(stretch.number), f"gap-number {state_class(stretch.state)}-words", "middle")
            before = x


def _activity(across: Across, came: Received, y: float) -> Iterator[Markup]:
    most = max(came.activity)
    if most == 0:
        return
    bottom = y + BUSY
    for number, pushes in enumerate(came.activity):
        if pushes:
            begins_ns = across.period.since_ns + number * came.part_ns
            x = across.x(begins_ns)
            wide = across.x(min(begins_ns + came.part_ns, across.period.until_ns)) - x
            height = (BUSY - 12) * pushes / most
            yield svg.rect(x, bottom - height, wide, height, "busy")
    most_words = f"pushes received in each {duration(came.part_ns)}, {most:,} at most"
    yield svg.text(across.right, y + 7, most_words, "tick", "end")
