"""`recorder compare`."""

from pathlib import Path
from typing import Any

import click

from recorder.backtest.matching import EXTRA, MATCHED, MISSED, WITHIN_NS, Match, match
from recorder.backtest.picture import draw
from recorder.backtest.trades import read_csv, recorded_trades
from recorder.cli import options
from recorder.cli.output import Column, number, show, word
from recorder.clock import NS_PER_MS, NS_PER_S, utc_text

COLUMNS = [
    word("kind", ""),
    Column("time (UTC)", lambda one: utc_text(one.recorded_ns if one.recorded_ns is not None else one.backtest_ns)),
    word("symbol"),
    word("direction"),
    number("quantity"),
    number("recorded_price"),
    number("backtest_price"),
    number("price_difference"),
    Column(
        "later by, ms",
        lambda one: "" if one.time_difference_ns is None else f"{one.time_difference_ns / NS_PER_MS:,.0f}",
        right=True,
    ),
]


@click.command(
    help="Hold a backtest's fills against the recorded ones: which it missed, which are extra, and how far prices and "
    "times of the others are apart. FILE is CSV with a head: time (ISO, UTC; or milliseconds or nanoseconds since "
    "1970), symbol, direction (LONG or SHORT, BUY or SELL), quantity, price.\n\n"
    "\b\nExample:  recorder compare backtest.csv --since 2020-02-01 --plot compared.svg"
)
@click.argument("file", type=click.Path(path_type=Path))
@options.database
@options.filters
@click.option(
    "--within",
    "within_s",
    type=options.Duration(),
    default=WITHIN_NS / NS_PER_S,
    show_default="60s",
    help="Fills further apart than this are not the same.",
)
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it into this file, .svg or .png.")
@options.output_format
def compare(
    file: Path, database: str | None, config: Path | None, within_s: float, plot: Path | None, form: str, **filters: Any
) -> None:
    """Compare."""
    if plot is not None and plot.suffix not in {".svg", ".png"}:
        raise click.UsageError("--plot draws .svg and .png files.")
    wanted = options.filter_of(filters)
    backtest = read_csv(file)
    if wanted.symbol is not None:
        backtest = [one for one in backtest if one.symbol.lower() == wanted.symbol.lower()]
    if wanted.since_ns is not None:
        backtest = [one for one in backtest if one.time_ns >= wanted.since_ns]
    if wanted.until_ns is not None:
        backtest = [one for one in backtest if one.time_ns < wanted.until_ns]
    with options.opened(database, config, wanted) as record:
        recorded = list(recorded_trades(record.fills(wanted)))
    matches = match(recorded, backtest, int(within_s * NS_PER_S))
    show(matches, COLUMNS, form, "Neither has a fill here.", Match._fields)
    counts = {kind: sum(one.kind == kind for one in matches) for kind in (MATCHED, MISSED, EXTRA)}
    click.echo(", ".join(f"{count:,} {kind}" for kind, count in counts.items()), err=True)
    if plot is not None:
        draw(plot, recorded, backtest, matches)
        click.echo(f"drawn into {plot}", err=True)
