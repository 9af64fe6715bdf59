"""`recorder balances`."""

from pathlib import Path
from typing import Any

import click

from recorder import open as open_record
from recorder.cli import options
from recorder.cli.look import BALANCE_COLUMNS
from recorder.cli.output import show
from recorder.read.records import Balance

NOTHING = "No balances here yet."


@click.command(
    help="The latest balance of each currency; with --history every balance there was; with --plot a chart of them, "
    "the gaps of the record in grey.\n\n"
    "\b\nExample:  recorder balances --account main --format json\n"
    "          recorder balances --since 30d --plot balance.png"
)
@options.database
@options.filters
@options.output_format
@click.option("--history", is_flag=True, help="Every balance, in the order of receipt.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw them over time into an image, .png or .svg; needs pip install 'recorder[plot]'.",
)
def balances(
    database: str | None, config: Path | None, form: str, history: bool, plot: Path | None, **filters: Any
) -> None:
    """The latest balance of each currency, all of them, or a chart."""
    wanted = options.filter_of(filters)._replace(symbol=None)
    with open_record(options.database_url(database, config)) as record:
        if plot is not None:
            from recorder.cli.plot import plot_balances  # noqa: PLC0415  only who draws waits for it

            drawn = plot_balances(record.balance_history(wanted), list(record.gaps(wanted)), plot)
            click.echo(f"{drawn:,} balances drawn into {plot}." if drawn else NOTHING)
            return
        read = record.balance_history if history else record.balances
        show(read(wanted), BALANCE_COLUMNS, form, NOTHING, Balance._fields)
