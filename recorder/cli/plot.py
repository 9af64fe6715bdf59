"""A chart of balances over time, where looking beats reading. Needs the extra `plot`."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from recorder.clock import NS_PER_MS, NS_PER_S
from recorder.errors import ConfigurationError
from recorder.read.records import Balance, Gap

#: Inches, and dots an inch.
SIZE, DOTS = (10, 5), 120


def plot_balances(balances: Iterable[Balance], gaps: Iterable[Gap], path: Path) -> int:
    """Draw each currency's total, with the gaps of the record behind it.

    Args:
        balances: as received; two numbers are held of each.
        gaps: of the same accounts and time.
        path: the image; its ending says of which kind.

    Returns:
        How many balances were drawn; where there are none, no image is made.

    Raises:
        ConfigurationError: the library is not there, or the ending is of no image that it makes.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415  of an extra; and it takes its time
        from matplotlib.dates import ConciseDateFormatter  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "Charts need matplotlib: pip install 'exchange-recorder[plot]' brings it; or take --history --format csv."
        ) from None
    lines: dict[tuple[str, str], list[tuple[datetime, float]]] = defaultdict(list)
    for one in balances:
        total = sum((part or Decimal(0) for part in (one.available, one.frozen, one.position_margin)), Decimal(0))
        lines[one.account, one.currency].append((_when(one.received_ns), float(total)))
    if not lines:
        return 0
    # Text as text, not as shapes; and the same image of the same record.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "recorder"}):
        figure = Figure(figsize=SIZE, dpi=DOTS, layout="constrained")
        currencies = sorted({currency for _, currency in lines})
        for axes, currency in zip(figure.subplots(len(currencies), squeeze=False)[:, 0], currencies, strict=True):
            for (account, its_currency), points in sorted(lines.items()):
                if its_currency == currency:
                    axes.step(*zip(*points, strict=True), where="post", linewidth=1.2, label=account)
            first, last = axes.get_xlim()
            for gap in gaps:
                if gap.begins_ns is not None and gap.ends_ns is not None:
                    axes.axvspan(_when(gap.begins_ns), _when(gap.ends_ns), color="0.5", alpha=0.2, linewidth=0)
            axes.set_xlim(first, last)
            axes.set_ylabel(f"{currency} in all")
            axes.ticklabel_format(axis="y", useOffset=False)
            short: Any = ConciseDateFormatter  # the library tells nothing of its types
            axes.xaxis.set_major_formatter(short(axes.xaxis.get_major_locator()))
            axes.grid(alpha=0.3)
            axes.legend(loc="best", title="grey: not covered")
        figure.supxlabel("time of receipt, UTC")
        try:
            figure.savefig(path)
        except ValueError as error:
            raise ConfigurationError(f"{path}: {error}; end the name with .png or .svg.") from None
    return sum(map(len, lines.values()))


def _when(ns: int) -> datetime:
    return datetime.fromtimestamp(ns // NS_PER_S, UTC).replace(microsecond=ns % NS_PER_S // NS_PER_MS * 1000)
