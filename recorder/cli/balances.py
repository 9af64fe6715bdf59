"""`recorder balances`."""

from pathlib import Path
from typing import Any

import click

from recorder.cli import options
from recorder.cli.look import BALANCE_COLUMNS
from recorder.cli.moment import show_coverage
from recorder.cli.output import show
from recorder.read.records import Balance


@click.command(
    help="The latest balance of each currency; with --history every balance there was; with --plot a chart of them, "
    "the gaps of the record in grey.\n\n"
    "\b\nExample:  recorder balances --account main --format json\n"
    "          recorder balances --as-of 2020-02-04T12:00:00Z\n"
    "          recorder balances --since 30d --plot balance.png"
)
@options.database
@options.filters
@options.output_format
@options.as_of
@click.option("--history", is_flag=True, help="Every balance, in the order of receipt.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw them over time into an image, .png or .svg; needs pip install 'exchange-recorder[plot]'.",
)
def balances(
    database: str | None,
    config: Path | None,
    form: str,
    history: bool,
    plot: Path | None,
    as_of: int | None,
    **filters: Any,
) -> None:
    """The latest balance of each currency, all of them, or a chart."""
    wanted = options.filter_of(filters)._replace(symbol=None)
    options.refuse_two_ends(as_of, wanted.until_ns)
    nothing = options.nothing("balances", wanted)
    if as_of is not None and (history or plot is not None):
        raise click.UsageError("--as-of is one instant, --history and --plot show many: leave one away.")
    with options.opened(database, config, wanted) as record:
        if plot is not None:
            from recorder.cli.plot import plot_balances  # noqa: PLC0415  only who draws waits for it

            drawn = plot_balances(record.balance_history(wanted), list(record.gaps(wanted)), plot)
            click.echo(f"{drawn:,} balances drawn into {plot}." if drawn else nothing)
            return
        if as_of is not None:
            then = record.as_of(as_of)
            show(then.balances(wanted), BALANCE_COLUMNS, form, nothing, Balance._fields)
            show_coverage(then, wanted, form)
            return
        read = record.balance_history if history else record.balances
        show(read(wanted), BALANCE_COLUMNS, form, nothing, Balance._fields)
