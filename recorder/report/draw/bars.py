"""A distribution: bars side by side, and where its middle is."""

from collections.abc import Iterator
from decimal import Decimal

from markupsafe import Markup

from recorder.report.draw import svg
from recorder.report.draw.axes import LEFT, RIGHT, TOP, Up
from recorder.report.draw.ticks import ticks
from recorder.report.facts import Latency

HEIGHT = 170
BOTTOM = 36


def histogram(latency: Latency) -> Markup:
    """Draw how many pushes took how long."""
    label = f"Distribution of {latency.count} receipt latencies in milliseconds"
    return svg.picture(HEIGHT, label, _parts(latency))


def _parts(latency: Latency) -> Iterator[Markup]:
    first = latency.bars[0][0]
    end = latency.bars[-1][0] + latency.bar_width
    right = svg.WIDTH - RIGHT
    wide = (right - LEFT) / len(latency.bars)
    up = Up(ticks(Decimal(0), Decimal(max(pushes for _, pushes in latency.bars)), 5), TOP + 14, HEIGHT - BOTTOM)
    yield from up.grid(LEFT, right, "pushes")
    for number, (begins, pushes) in enumerate(latency.bars):
        y = up.y(Decimal(pushes))
        title = f"{begins} to {begins + latency.bar_width} ms: {pushes:,}"
        yield svg.rect(LEFT + number * wide + 0.5, y, wide - 1, up.bottom - y, "bar", title)
    yield svg.line(LEFT, up.bottom, right, up.bottom, "axis")
    per_ms = (right - LEFT) / (end - first)
    for tick in ticks(Decimal(first), Decimal(end), 10):
        if first <= tick.value <= end:
            x = LEFT + float(tick.value - first) * per_ms
            yield svg.line(x, up.bottom, x, up.bottom + 4, "axis")
            yield svg.text(x, up.bottom + 15, tick.label, "tick", "middle")
    yield svg.text((LEFT + right) / 2, up.bottom + 29, "milliseconds from the exchange's stamp to receipt", "tick day", "middle")
    for per_mille, words in ((500, "median"), (990, "99 %")):
        at_ms = latency.quantiles[per_mille]
        x = min(LEFT + (at_ms + 0.5 - first) * per_ms, right)
        yield svg.line(x, TOP + 4, x, up.bottom, "mark")
        yield svg.text(x - 4 if per_mille == 990 else x + 4, TOP + 9, f"{words} {at_ms:,} ms", "mark-words", "end" if per_mille == 990 else "start")


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
