"""`recorder demo`: record a simulated exchange for a few seconds and show the result."""

import shlex
import time
from pathlib import Path

import click

from recorder import open as open_record
from recorder.cli import books, look, options
from recorder.cli.output import Layout, heading, show
from recorder.cli.progress import progress
from recorder.cli.run import Until, record_until
from recorder.cli.status import show_status
from recorder.cli.stopping import Signals
from recorder.errors import ConfigurationError
from recorder.live.recording import Recording
from recorder.live.settings import Account
from recorder.venues import DEFAULT_VENUE, VENUES, venue_named

#: Rows shown of each table: the last ones.
ROWS = 8


@click.command(
    help="Record a simulated exchange for a few seconds and show the result. Needs no configuration, and leaves one "
    "SQLite file to explore.\n\n"
    "\b\nExample:  recorder demo --for 5s"
)
@click.option("--for", "for_s", type=options.Duration(), default=6.0, show_default="6s", help="How long to record.")
@click.option("--rate", "rate_per_s", type=float, default=200.0, show_default=True, help="Pushes per second.")
@click.option("--seed", default=1, show_default=True, help="Seed of the trading; another seed trades differently.")
@click.option(
    "--venue", type=click.Choice(sorted(VENUES)), default=DEFAULT_VENUE, show_default=True, help="Exchange to simulate."
)
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Folder for the record."
)
def demo(for_s: float, rate_per_s: float, seed: int, venue: str, folder: Path) -> None:
    """Record, then show what was recorded."""
    from recorder.simulator import Simulator, SimulatorOptions  # noqa: PLC0415  loads a web server

    signals = Signals()
    try:
        simulated = SimulatorOptions(venue=venue, seed=seed, rate_per_s=rate_per_s, live_clock=True, keep_sent=False)
        folder.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be created: {error.strerror}; choose another --folder."
        ) from None
    played = venue_named(venue)
    file = folder / f"recorder-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.db"
    url = f"sqlite:///{file}"
    with Simulator(simulated) as exchange:
        account = Account(
            name="main",
            venue=played,
            url=exchange.url,
            credentials=exchange.credentials,
            symbols=tuple(map(played.native_symbol, played.stand_in.default_symbols)) if played.needs_symbols else (),
        )
        with progress() as shown, Recording(url, [account]) as recording:
            record_until(recording, Until(for_s=for_s), signals, shown)
    _show(url)
    click.echo(_next_steps(file))


def _show(url: str) -> None:
    with open_record(url) as record:
        for title, rows, columns in (
            ("Orders, latest state of each", record.orders(), look.ORDER_COLUMNS),
            ("Fills (~: estimated price)", record.fills(), look.FILL_COLUMNS),
            ("Positions", record.positions(), look.POSITION_COLUMNS),
            ("Balances", record.balances(), look.BALANCE_COLUMNS),
            ("Books: how the balance changed, and what explains it", record.books(), books.COLUMNS),
            ("Gaps: when updates may have been missed, and why", record.gaps(), look.GAP_COLUMNS),
        ):
            all_rows = list(rows)
            more = f", the last {ROWS} of {len(all_rows):,}" if len(all_rows) > ROWS else ""
            click.echo(heading(f"\n{title}{more}"))
            show(all_rows[-ROWS:], columns, Layout(), "none")
        click.echo(heading("\nStatus"))
        show_status(record.status())


def _next_steps(file: Path) -> str:
    names = f"sqlite:///{file}", str(file), str(file.with_suffix(".html")), str(file.parent)
    url, path, report, folder = (shlex.quote(name) for name in names)
    database = f"--database {url}"
    return (
        f"\n{heading('The record is')} {path}; to remove all that this left behind, delete the folder {folder}.\n"
        f"\n{heading('Explore it:')}\n"
        f"  recorder fills {database} --format csv\n"
        f"  recorder trips {database}\n"
        f"  recorder verify {database}\n"
        f"  recorder report {database} --out {report}\n"
        f"  recorder serve {database} --speed 10\n"
        f"\n{heading('Or with any SQLite tool')} (views: orders, trade_history, positions, balances, ...):\n"
        f'  sqlite3 {path} "SELECT at_utc, symbol, side, quantity, price, fee FROM trade_history LIMIT 10"\n'
        f'  sqlite3 {path} "SELECT seq, received_ns, CAST(payload AS TEXT) FROM frames LIMIT 10"'
    )
