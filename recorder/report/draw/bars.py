"""A distribution: bars side by side, and where its middle is."""

from collections.abc import Iterator
from decimal import Decimal

from markupsafe import Markup

from recorder.report.draw import svg
from recorder.report.draw.axes import TOP, Up, inside, room
from recorder.report.draw.ticks import ticks
from recorder.report.facts import Latency

HEIGHT = 156
BOTTOM = 36


def histogram(latency: Latency) -> Markup:
    """Draw how many pushes took how long."""
    label = f"Distribution of {latency.pushes} receipt latencies in milliseconds"
    return svg.picture(HEIGHT, label, _parts(latency))


def _parts(latency: Latency) -> Iterator[Markup]:
    most = Decimal(max(pushes for _, pushes in latency.bars))
    up = Up(ticks(Decimal(0), most, 5), TOP, HEIGHT - BOTTOM)
    first, end = latency.bars[0][0], latency.bars[-1][0] + latency.bar_width
    left, right = room(up.ticks), float(svg.WIDTH)
    per_ms = (right - left) / (end - first)
    yield from up.grid(left, right, "pushes")
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
    yield from _mark(latency, 500, "median", left, first, per_ms, up)
    yield from _mark(latency, 990, "99 %", left, first, per_ms, up)


def _mark(
    latency: Latency, per_mille: int, words: str, left: float, first: int, per_ms: float, up: Up
) -> Iterator[Markup]:
    """Where so many of the pushes are to the left; its words on the side where there is room."""
    at_ms = latency.quantiles[per_mille]
    x = min(left + (at_ms + 0.5 - first) * per_ms, svg.WIDTH)
    yield svg.line(x, TOP - 14, x, up.bottom, "mark")
    is_right = x > svg.WIDTH / 2
    side, anchor = (-4, "end") if is_right else (4, "start")
    yield svg.text(x + side, TOP - 8, f"{words} {at_ms:,} ms", "mark-words", anchor)


def share_bar(share: float) -> Markup:
    """A bar as long as a share of the whole, for a cell of a table."""
    return svg.element(
        "svg",
        svg.rect(0, 0, 100, 8, "share-whole"),
        svg.rect(0, 0, 100 * share, 8, "bar"),
        viewBox="0 0 100 8",
        class_="share",
        aria_hidden="true",
    )
