"""`recorder demo`: the main job from end to end, in one command."""

import time
from pathlib import Path

import click

from recorder import open as open_record
from recorder.cli import books, look, options
from recorder.cli.output import show, stdout_console
from recorder.cli.progress import progress
from recorder.cli.run import Until, record_until
from recorder.cli.stopping import Signals
from recorder.errors import ConfigurationError
from recorder.live.recording import Recording
from recorder.live.settings import Account
from recorder.venues import venue_named
from recorder.venues.base import Credentials

#: Of each table, the last so many rows.
ROWS = 8


@click.command(
    help="Watch it work: a simulated exchange on this machine, an account that trades there, a recording of what it is "
    "told, and a look at the result. Nothing to set up, nothing left but a folder with the record.\n\n"
    "\b\nExample:  recorder demo --for 5s"
)
@click.option("--for", "for_s", type=options.Duration(), default=6.0, show_default="6s", help="How long to record.")
@click.option("--rate", "rate_per_s", type=float, default=200.0, show_default=True, help="Pushes a second.")
@click.option("--seed", default=1, show_default=True, help="Of everything that happens.")
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Where the record goes."
)
def demo(for_s: float, rate_per_s: float, seed: int, folder: Path) -> None:
    """Demonstrate."""
    from recorder.simulator import Simulator, SimulatorOptions  # noqa: PLC0415  it brings a web server along

    signals = Signals()
    try:
        told = SimulatorOptions(seed=seed, rate_per_s=rate_per_s, live_clock=True, keep_sent=False)
        folder.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be made: {error.strerror}; name another --folder."
        ) from None
    file = folder / f"recorder-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.db"
    url = f"sqlite:///{file}"
    with Simulator(told) as exchange:
        account = Account(
            name="demo",
            venue=venue_named("fmex"),
            url=exchange.url,
            credentials=Credentials(exchange.key, exchange.secret),
            symbols=("btcusd_p",),
        )
        with progress() as shown, Recording(url, [account]) as recording:
            record_until(recording, Until(for_s=for_s), signals, shown)
    _look(url, file)


def _look(url: str, file: Path) -> None:
    console = stdout_console()
    with open_record(url) as record:
        for title, rows, columns in (
            ("Orders, latest state of each", record.orders(), look.ORDER_COLUMNS),
            ("Fills (derived from the orders' updates; ~ is an estimated price)", record.fills(), look.FILL_COLUMNS),
            ("Positions", record.positions(), look.POSITION_COLUMNS),
            ("Balances", record.balances(), look.BALANCE_COLUMNS),
            ("Books: what the balance changed by, and what explains it", record.books(), books.COLUMNS),
            ("Gaps: what the record does not cover, and why", record.gaps(), look.GAP_COLUMNS),
        ):
            all_rows = list(rows)
            more = f", the last {ROWS} of {len(all_rows):,}" if len(all_rows) > ROWS else ""
            console.print(f"\n[bold]{title}{more}[/bold]")
            show(all_rows[-ROWS:], columns, "table", "none")
        console.print("\n[bold]Status[/bold]")
        look.show_status(record.status())
    console.print(
        f"\n[bold]Look further[/bold], with any SQLite tool:\n"
        f'  sqlite3 {file} "SELECT time_utc, symbol, direction, quantity, price, fee FROM trade_history LIMIT 10"\n'
        f'  sqlite3 {file} "SELECT seq, received_ns, CAST(payload AS TEXT) FROM frames LIMIT 10"\n'
        f"  views: orders, order_history, trade_history, positions, balances; tables: frames, order_updates, ...\n"
        f"or:\n"
        f"  recorder fills --database sqlite:///{file} --format csv",
        soft_wrap=True,
    )
