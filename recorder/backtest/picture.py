"""Live against backtest, as a picture."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from recorder.backtest.matching import EXTRA, MATCHED, MISSED, Match, Traded
from recorder.backtest.needs import needed
from recorder.clock import NS_PER_S

PLOT = "plot"
#: Blue and orange differ in a grey print, and for most people who see colours differently.
_LIVE, _BACKTEST = "#1f4e79", "#d9822b"


def draw(path: Path, recorded: Sequence[Traded], backtest: Sequence[Traded], matches: Sequence[Match]) -> None:
    """Draw how much each side had traded by when, and how far prices and times were apart, into an SVG or PNG file.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    matplotlib: Any = needed("matplotlib", PLOT)
    matplotlib.use("agg")
    pyplot: Any = needed("matplotlib.pyplot", PLOT)
    figure, (position, prices, times) = pyplot.subplots(
        3, 1, figsize=(10, 8), sharex=True, height_ratios=(2, 1, 1), layout="constrained"
    )
    for label, fills, colour in (("recorded", recorded, _LIVE), ("backtest", backtest, _BACKTEST)):
        ordered = sorted(fills, key=lambda fill: fill.time_ns)
        position.step(
            _times([fill.time_ns for fill in ordered]), _sums(ordered), where="post", label=label, color=colour
        )
    position.set_ylabel("contracts held")
    position.legend(loc="best", frameon=False)
    for kind, marker, colour in ((MISSED, "v", _LIVE), (EXTRA, "^", _BACKTEST)):
        alone = [one for one in matches if one.kind == kind]
        at = _times([one.recorded_ns or one.backtest_ns or 0 for one in alone])
        prices.plot(at, [0] * len(alone), marker, color=colour, label=kind)
    matched = [one for one in matches if one.kind == MATCHED and one.price_difference is not None]
    at = _times([one.recorded_ns or 0 for one in matched])
    prices.plot(at, [float(one.price_difference or 0) for one in matched], ".", color="#444444", label="matched")
    prices.axhline(0, color="#bbbbbb", linewidth=0.8)
    prices.set_ylabel("price,\nbacktest - recorded")
    prices.legend(loc="best", frameon=False, ncols=3)
    times.plot(at, [(one.time_difference_ns or 0) / NS_PER_S for one in matched], ".", color="#444444")
    times.axhline(0, color="#bbbbbb", linewidth=0.8)
    times.set_ylabel("time, s,\nbacktest - recorded")
    times.set_xlabel("UTC")
    for axes in (position, prices, times):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#eeeeee")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _times(times_ns: Sequence[int]) -> list[datetime]:
    return [datetime.fromtimestamp(time_ns / NS_PER_S, UTC) for time_ns in times_ns]


def _sums(fills: Sequence[Traded]) -> list[float]:
    held, sums = Decimal(0), []
    for fill in fills:
        held += fill.quantity if fill.direction == "LONG" else -fill.quantity
        sums.append(float(held))
    return sums
