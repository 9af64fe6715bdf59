"""`recorder audit`: the report for a person."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from recorder.cli import options
from recorder.errors import ConfigurationError
from recorder.read.record import Filter
from recorder.report.gather import gather
from recorder.report.page import render
from recorder.report.reading import Progress as Told


@click.command(
    help="Write a report for a person: one HTML page that needs nothing else, to read, print or hand on. How complete "
    "the record of a period is, its sessions, gaps, discrepancies and seals; balances, positions, orders, fills and "
    "fees; silences, clocks and latency.\n\n"
    "\b\nExample:  recorder audit --since 2020-02-01 --until 2020-03-01 --out february.html"
)
@options.database
@click.option("--account", help="Only this account, by its name in the configuration.")
@click.option(
    "--since",
    type=options.Instant(),
    help="Only what was received since: 2020-02-04, 2020-02-04T07:40:53Z, or 2h (ago).  [default: the first]",
)
@click.option("--until", type=options.Instant(), help="Only what was received before; as --since.  [default: the last]")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True, help="The file to write."
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def audit(
    database: str | None,
    config: Path | None,
    account: str | None,
    since: int | None,
    until: int | None,
    out: Path,
    force: bool,
) -> None:
    """Write the report."""
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--until must be later than --since.")
    _require_free(out, force)
    wanted = Filter(account, None, since, until)
    with _progress() as told:
        page = render(gather(options.database_url(database, config), wanted, told))
    _write(page, out, force)
    click.echo(f"{out} holds the report, {len(page.encode()) / 2**10:,.0f} KiB.")


def _require_free(out: Path, force: bool) -> None:
    """Refuse a file that is there, or cannot be, before minutes of reading."""
    if out.is_dir():
        raise ConfigurationError(f"{out} is a folder; name a file in it with --out.")
    if not out.absolute().parent.is_dir():
        raise ConfigurationError(f"The folder {out.absolute().parent} does not exist; make it, or name another --out.")
    if out.exists() and not force:
        raise ConfigurationError(f"{out} is there already; name another --out, or replace it with --force.")


def _write(page: str, out: Path, force: bool) -> None:
    """All of it or nothing: under another name first."""
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        beside.write_text(page, encoding="utf-8")
        _require_free(out, force)
        beside.replace(out)
    except OSError as error:
        raise ConfigurationError(
            f"The report cannot be written to {out}: {error.strerror}; look at the room and the rights there."
        ) from None
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _progress() -> Iterator[Told]:
    """What is being read, on a terminal."""
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("reading {task.description}"), TextColumn("{task.completed:,} rows")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("the record", total=None)
        yield lambda what, rows: bar.update(task, description=what, completed=rows)
