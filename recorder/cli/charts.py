"""Charts as SVG files: `recorder balances --plot` and `recorder compare --plot`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from markupsafe import Markup

from recorder.backtest.matching import EXTRA, MATCHED, MISSED, FillMatch, Traded
from recorder.clock import NS_PER_S, utc_text
from recorder.errors import ConfigurationError
from recorder.model import BUY
from recorder.read.records import Balance, Gap
from recorder.report.coverage import Uncovered
from recorder.report.draw.charts import DOTS, KINDS, LOW, Look, plot
from recorder.report.draw.document import Entry, Panel, document
from recorder.report.series import LineReducer, PlotLine, PlotPoint
from recorder.report.source import Period
from recorder.venues.accounting import EXACT
from recorder.venues.reading import printable

HEIGHT = 200
#: The most symbols whose positions are drawn.
SYMBOLS_MAX = 6


def require_svg(path: Path) -> None:
    """Refuse a chart that would not be SVG.

    Raises:
        ConfigurationError: the file's name does not end in `.svg`.
    """
    if path.suffix.lower() != ".svg":
        raise ConfigurationError(
            f"{path} cannot be drawn: charts are SVG files, which any browser opens; "
            f"write --plot {path.with_suffix('.svg')}."
        )


def plot_balances(balances: Iterable[Balance], gaps: Iterable[Gap], path: Path) -> int:
    """Draw the balance of each currency over time, of each wallet; gaps of the record are grey.

    Args:
        balances: in the order of receipt.
        gaps: of the same accounts and time.
        path: the file to write.

    Returns:
        How many balances there were; without any, no file is written.

    Raises:
        ConfigurationError: the file cannot be written, or is not named `.svg`.
    """
    require_svg(path)
    series: dict[tuple[str, str], list[PlotPoint]] = defaultdict(list)
    for one in balances:
        if one.balance is not None:
            name = one.account if one.wallet is None else f"{one.account} {one.wallet}"
            series[one.currency, name].append(PlotPoint(one.received_ns, one.balance))
    if not series:
        return 0
    period = _period([point.at_ns for points in series.values() for point in points])
    uncovered = list(_uncovered(gaps, period))
    panels: list[Panel] = []
    for currency in sorted({currency for currency, _ in series}):
        lines = [_line(name, points, period) for (its, name), points in sorted(series.items()) if its == currency]
        panels += [
            _balance_panel(currency, lines[begin : begin + len(KINDS)], period, uncovered)
            for begin in range(0, len(lines), len(KINDS))
        ]
    _write(path, document("Balances", _subtitle(period), panels))
    return sum(map(len, series.values()))


def _balance_panel(currency: str, lines: Sequence[PlotLine], period: Period, uncovered: Sequence[Uncovered]) -> Panel:
    name = printable(currency)
    picture = plot(period, lines, uncovered, Look(f"Balance in {name}", name, HEIGHT))
    legend = [Entry(kind, printable(line.name)) for kind, line in zip(KINDS, lines, strict=False)]
    if uncovered:
        legend.append(Entry("band", "not covered"))
    return Panel(f"{name}: balance, without unrealized PnL", legend, picture, HEIGHT)


def plot_comparison(
    recorded: Sequence[Traded], backtest: Sequence[Traded], matches: Sequence[FillMatch], path: Path
) -> None:
    """Draw a backtest beside the record: what each held, and how far prices and times of matching fills differ.

    Args:
        recorded: the fills of the record.
        backtest: the fills of the backtest.
        matches: which of them belong together.
        path: the file to write.

    Raises:
        ConfigurationError: the file cannot be written, or is not named `.svg`.
    """
    require_svg(path)
    times = [fill.time_ns for fill in (*recorded, *backtest)]
    if not times:
        return
    period = _period(times)
    symbols = sorted({fill.symbol for fill in (*recorded, *backtest)})[:SYMBOLS_MAX]
    alone = [_line(kind, _alone(matches, kind), period) for kind in (MISSED, EXTRA)]
    matched = [one for one in matches if one.kind == MATCHED and one.recorded_ns is not None]
    differences = [(one.recorded_ns or 0, one.price_difference) for one in matched]
    prices = [PlotPoint(at_ns, price) for at_ns, price in differences if price is not None]
    delays = [PlotPoint(one.recorded_ns or 0, Decimal(one.time_difference_ns or 0) / NS_PER_S) for one in matched]
    dots = [Entry("dot shape-0", MATCHED), Entry("dot shape-1", MISSED), Entry("dot shape-2", EXTRA)]
    panels = [
        *(_position_panel(symbol, recorded, backtest, period) for symbol in symbols),
        Panel(
            "Price of fills: backtest - record",
            dots,
            _scatter(period, [_line(MATCHED, prices, period), *alone], "price"),
            LOW,
        ),
        Panel("Time of fills: backtest - record", dots[:1], _scatter(period, [_line("", delays, period)], "s"), LOW),
    ]
    _write(path, document("Backtest and record", _subtitle(period), panels))


def _position_panel(symbol: str, recorded: Sequence[Traded], backtest: Sequence[Traded], period: Period) -> Panel:
    name = printable(symbol)
    sides = {"record": recorded, "backtest": backtest}
    lines = [
        _line(side, _held([fill for fill in fills if fill.symbol == symbol]), period) for side, fills in sides.items()
    ]
    picture = plot(period, lines, (), Look(f"Position in {name}", "quantity, short below zero", HEIGHT))
    return Panel(
        f"Position in {name}", [Entry(kind, side) for kind, side in zip(KINDS, sides, strict=False)], picture, HEIGHT
    )


def _scatter(period: Period, lines: Sequence[PlotLine], unit: str) -> Markup:
    return plot(period, lines, (), Look(f"Differences, {unit}", unit, LOW, from_zero=True, marks=DOTS))


def _period(times_ns: Sequence[int]) -> Period:
    """From the first instant to the last; never empty."""
    return Period(min(times_ns), max(*times_ns, min(times_ns) + NS_PER_S) + 1, False, False)


def _subtitle(period: Period) -> str:
    return f"{utc_text(period.since_ns)[:19]} to {utc_text(period.until_ns)[:19]} UTC"


def _line(name: str, points: Sequence[PlotPoint], period: Period) -> PlotLine:
    reducer = LineReducer(period)
    for point in points:
        reducer.add(point.at_ns, point.value)
    return reducer.line(name, name)


def _uncovered(gaps: Iterable[Gap], period: Period) -> Iterator[Uncovered]:
    for gap in gaps:
        begins_ns = max(gap.begins_ns or 0, period.since_ns)
        ends_ns = min(period.until_ns if gap.ends_ns is None else gap.ends_ns, period.until_ns)
        if begins_ns < ends_ns:
            yield Uncovered(begins_ns, ends_ns, gap.state, gap.reason, gap.topic, None)


def _held(fills: Sequence[Traded]) -> list[PlotPoint]:
    held, points = Decimal(0), []
    for fill in sorted(fills, key=lambda fill: fill.time_ns):
        held = EXACT.add(held, fill.quantity if fill.side == BUY else fill.quantity.copy_negate())
        points.append(PlotPoint(fill.time_ns, held))
    return points


def _alone(matches: Sequence[FillMatch], kind: str) -> list[PlotPoint]:
    times_ns = sorted(one.recorded_ns or one.backtest_ns or 0 for one in matches if one.kind == kind)
    return [PlotPoint(at_ns, Decimal(0)) for at_ns in times_ns]


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}; name another file with --plot."
        ) from None
