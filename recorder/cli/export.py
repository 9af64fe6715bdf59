"""`recorder export`."""

import logging
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from recorder.cli import options
from recorder.cli.look import GAP_COLUMNS
from recorder.cli.output import Layout, show
from recorder.cli.progress import bar
from recorder.cli.stopping import STOPPING
from recorder.errors import ExportError, Incomplete
from recorder.export.exporting import export as write_export
from recorder.export.formats import DECIMAL128, DECIMALS, FORMATS, PARQUET, SCALE, STRING
from recorder.export.scope import Scope
from recorder.export.tables import TABLES
from recorder.read.records import Filter


@click.command(
    help="Write tables of the record into a new folder: Parquet for programs, CSV for sheets, JSON lines for both. All "
    "of it as it is at one moment, also while a recorder writes; whole or not at all. Its manifest.json tells the hash "
    "of each file, and the gaps; with frames go their seals.\n\n"
    f"Tables: {', '.join(TABLES)}.\n\n"
    "\b\nExample:  recorder export trades --table fills --since 2020-01-01 --until 2021-01-01\n"
    "          recorder export everything\n"
    "          recorder export sheet --format csv --table fills --columns time_utc,symbol,quantity,price,fee"
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--table", "tables", multiple=True, help="Only this table; repeat it for more.  [default: all]")
@click.option(
    "--columns",
    type=options.Names(),
    default=(),
    metavar="A,B,C",
    help="Only these columns of one table, in this order.",
)
@click.option("--topic", "topics", multiple=True, help="Of frames, only pushes of this topic; repeat it for more.")
@options.filters()
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default=PARQUET,
    show_default=True,
    help="Parquet has a folder for each account and day; the others a file for each table.",
)
@click.option(
    "--decimals",
    type=click.Choice(DECIMALS),
    help=f"How decimals are written: exact, but for float.  [default: {DECIMAL128} in Parquet, {STRING} in text]",
)
@click.option("--scale", default=SCALE, show_default=True, help=f"Digits after the point of a {DECIMAL128}.")
@click.option("--require-complete", is_flag=True, help="Refuse, with exit code 1, where there are gaps; list them.")
@options.database
def export(
    folder: Path,
    tables: tuple[str, ...],
    columns: tuple[str, ...],
    topics: tuple[str, ...],
    form: str,
    decimals: str | None,
    scale: int,
    require_complete: bool,
    database: str | None,
    config: Path | None,
    wanted: Filter,
) -> None:
    """Export."""
    scope = Scope(wanted, topics)
    with (
        options.opened(database, config) as record,
        _stoppable(folder) as go_on,
        bar("exporting") as advance,
    ):
        done: Counter[str] = Counter()

        def progress(table: str, rows: int, of: int | None) -> None:
            go_on()
            done[table] += rows
            advance(done[table], of, f"exporting {table}")

        try:
            made = write_export(
                record,
                folder,
                tables,
                scope,
                columns=columns,
                form=form,
                decimals=decimals,
                scale=scale,
                require_complete=require_complete,
                progress=progress,
            )
        except Incomplete as error:
            show(error.gaps, GAP_COLUMNS, Layout(), "")
            raise
    for name, rows in made.rows.items():
        click.echo(f"{rows:>12,}  {name}")
    click.echo(f"{made.files:,} files, {made.bytes / 2**20:,.1f} MiB in {made.folder}.")
    click.echo(f"SHA-256 of its manifest, which holds those of all files: {made.sha256}")


@contextmanager
def _stoppable(folder: Path) -> Iterator[Callable[[], None]]:
    """Signals end it where it is, and let it clear up; gives what ends it where a library kept that to itself."""
    received: list[str] = []

    def go_on() -> None:
        if received:
            raise KeyboardInterrupt(*received)

    def stop(number: int, _frame: FrameType | None) -> None:
        for one in signals:
            signal.signal(one, signal.SIG_IGN)  # clearing up is quick
        logging.disable()  # the database driver would tell of the question that was cut off
        received.append(signal.Signals(number).name)
        go_on()

    signals = (*STOPPING, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield go_on
    except KeyboardInterrupt as error:
        told = f"{folder} is whole" if folder.exists() else "nothing of the export is left"
        raise ExportError(f"Stopped ({error}); {told}.") from None
    finally:
        logging.disable(logging.NOTSET)
        for number, handler in before.items():
            signal.signal(number, handler)
