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
    help="Write tables of the record into a new folder: Parquet for programs, CSV for spreadsheets, or JSON lines. The "
    "export is one consistent state, even while a recorder writes, and is written completely or not at all. Its "
    "manifest.json lists the SHA-256 of each file, and the gaps; exported frames come with their seals.\n\n"
    f"Tables: {', '.join(TABLES)}.\n\n"
    "\b\nExample:  recorder export trades --table fills --since 2020-01-01 --until 2021-01-01\n"
    "          recorder export everything\n"
    "          recorder export sheet --format csv --table fills --columns at_utc,symbol,side,quantity,price,fee"
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--table", "tables", multiple=True, help="Only this table. Can be given more than once.  [default: all]")
@click.option(
    "--columns",
    type=options.Names(),
    default=(),
    metavar="A,B,C",
    help="Only these columns, in this order; needs one --table.",
)
@click.option(
    "--topic", "topics", multiple=True, help="Of the frames, only pushes of this topic. Can be given more than once."
)
@options.filters()
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default=PARQUET,
    show_default=True,
    help="parquet: a folder for each account and day; csv, jsonl: a file for each table.",
)
@click.option(
    "--decimals",
    type=click.Choice(DECIMALS),
    help=f"How decimals are written; float may lose digits.  [default: {DECIMAL128} in Parquet, {STRING} in text]",
)
@click.option("--scale", default=SCALE, show_default=True, help=f"Digits after the decimal point of a {DECIMAL128}.")
@options.require_complete
@options.record_address
def export(
    folder: Path,
    tables: tuple[str, ...],
    columns: tuple[str, ...],
    topics: tuple[str, ...],
    form: str,
    decimals: str | None,
    scale: int,
    require_complete: bool,
    at: options.RecordAddress,
    wanted: Filter,
) -> None:
    """Write tables into a folder."""
    scope = Scope(wanted, topics)
    with (
        at.opened() as record,
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
    click.echo(f"SHA-256 of its manifest, which lists those of all files: {made.sha256}")


@contextmanager
def _stoppable(folder: Path) -> Iterator[Callable[[], None]]:
    """Let signals end an export and remove its files. Yields a check for code in which a library swallows signals."""
    received: list[str] = []

    def go_on() -> None:
        if received:
            raise KeyboardInterrupt(*received)

    def stop(number: int, _frame: FrameType | None) -> None:
        for one in signals:
            signal.signal(one, signal.SIG_IGN)  # removing the files is quick
        logging.disable()  # the database driver would report the interrupted query
        received.append(signal.Signals(number).name)
        go_on()

    signals = (*STOPPING, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield go_on
    except BaseException:
        # A library that was interrupted may raise an error of its own instead.
        if not received:
            raise
        left = f"{folder} is complete" if folder.exists() else "nothing of the export is left"
        raise ExportError(f"Stopped ({received[0]}); {left}.") from None
    finally:
        logging.disable(logging.NOTSET)
        for number, handler in before.items():
            signal.signal(number, handler)
