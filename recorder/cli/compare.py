"""`recorder compare`: a backtest's fills beside the recorded ones."""

from pathlib import Path

import click

from recorder.backtest.matching import EXTRA, MATCHED, MISSED, WITHIN_NS, FillMatch, match, read_csv, recorded_trades
from recorder.cli import options
from recorder.cli.output import Column, Layout, number, show, word
from recorder.clock import NS_PER_MS, NS_PER_S, utc_text
from recorder.read.records import Filter

COLUMNS = [
    word("kind"),
    Column(
        "recorded_ns",
        "time (UTC)",
        lambda one: utc_text(one.recorded_ns if one.recorded_ns is not None else one.backtest_ns),
    ),
    word("symbol", rank=2),
    word("side"),
    number("quantity"),
    number("recorded_price"),
    number("backtest_price"),
    number("price_difference", rank=1),
    Column(
        "time_difference_ns",
        "later by, ms",
        lambda one: "" if one.time_difference_ns is None else f"{one.time_difference_ns / NS_PER_MS:,.0f}",
        right=True,
        rank=3,
    ),
]


@click.command(
    help="Compare a backtest's fills with the recorded ones: which fills the backtest missed, which are extra, and how "
    "far the prices and times of matching fills differ. FILE is CSV with a header: time (ISO in UTC, or milliseconds "
    "or nanoseconds since 1970), symbol, side (buy or sell), quantity, price.\n\n"
    "\b\nExample:  recorder compare backtest.csv --since 2020-02-01 --plot compared.svg"
)
@click.argument("file", type=click.Path(path_type=Path))
@options.record_address
@options.filters()
@click.option(
    "--within",
    "within_s",
    type=options.Duration(),
    default=WITHIN_NS / NS_PER_S,
    show_default="60s",
    help="Maximum difference in time between two fills that match.",
)
@options.file("--plot", "plot", "Draw positions and differences into this SVG file.", metavar="FILE.svg")
@options.layout
def compare(
    file: Path,
    at: options.RecordAddress,
    within_s: float,
    plot: Path | None,
    wanted: Filter,
    layout: Layout,
) -> None:
    """Compare fills."""
    if plot is not None:
        from recorder.cli.charts import plot_comparison, require_svg  # noqa: PLC0415  only a chart needs it

        require_svg(plot)
    backtest = read_csv(file)
    if wanted.symbol is not None:
        backtest = [one for one in backtest if one.symbol.lower() == wanted.symbol.lower()]
    if wanted.since_ns is not None:
        backtest = [one for one in backtest if one.time_ns >= wanted.since_ns]
    if wanted.until_ns is not None:
        backtest = [one for one in backtest if one.time_ns < wanted.until_ns]
    with at.opened(wanted) as record:
        recorded = list(recorded_trades(record.fills(wanted)))
    matches = match(recorded, backtest, int(within_s * NS_PER_S))
    show(matches, COLUMNS, layout, "Neither the record nor the backtest has a fill here.", FillMatch._fields)
    counts = {kind: sum(one.kind == kind for one in matches) for kind in (MATCHED, MISSED, EXTRA)}
    click.echo(", ".join(f"{count:,} {kind}" for kind, count in counts.items()), err=True)
    if plot is not None:
        plot_comparison(recorded, backtest, matches, plot)
        click.echo(f"Drawn into {plot}." if matches else "There is nothing to draw.", err=True)
