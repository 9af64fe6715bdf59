"""`recorder audit`: the report for a person."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from recorder.audit.evidence.keys import verifier_key_in
from recorder.cli import options
from recorder.cli.transfers import read_transfers
from recorder.cli.verify import claims_in
from recorder.errors import ConfigurationError
from recorder.read.record import Filter
from recorder.report.checking import check
from recorder.report.gather import gather, require
from recorder.report.page import render
from recorder.report.reading import Progress as Told


@click.command(
    help="Write a report for a person: one HTML page that needs nothing else, to read, print or hand on. How complete "
    "the record of a period is, its sessions, gaps, discrepancies and seals; balances, positions, orders, fills and "
    "fees; silences, clocks and latency. With --verify it exits with 1 where the record is not as it was written.\n\n"
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
@click.option(
    "--transfers",
    type=click.Path(path_type=Path),
    help="A CSV file of known transfers, for the books: see recorder books.",
)
@click.option("--verify", "verified", is_flag=True, help="Verify the whole record first, and say what was found.")
@click.option(
    "--checkpoint",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="With --verify: a file of checkpoints that was kept elsewhere; may be given several times.",
)
@click.option("--public-key", "key_file", type=click.Path(path_type=Path), help="The key whose signatures count.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.pass_context
def audit(
    ctx: click.Context,
    database: str | None,
    config: Path | None,
    account: str | None,
    since: int | None,
    until: int | None,
    out: Path,
    transfers: Path | None,
    verified: bool,
    files: tuple[Path, ...],
    key_file: Path | None,
    force: bool,
) -> None:
    """Write the report."""
    if (files or key_file) and not verified:
        raise click.UsageError("--checkpoint and --public-key are for --verify.")
    if files and key_file is None:
        raise click.UsageError("A checkpoint counts by its signature: name the key with --public-key.")
    _require_free(out, force)
    url = options.database_url(database, config)
    key = None if key_file is None else verifier_key_in(key_file)
    claims = [claim for file in files for claim in claims_in(file, key)]
    named = [] if transfers is None else read_transfers(transfers)
    wanted = Filter(account, None, since, until)
    with _progress() as told:
        # A wrong account or period is told at once, not after minutes of verifying.
        require(url, wanted)
        checked = check(url, claims, key, lambda done, _of: told("all of it to verify", done)) if verified else None
        page = render(gather(url, wanted, told, transfers=named, checked=checked))
    _write(page, out, force)
    click.echo(f"{out} holds the report, {len(page.encode()) / 2**10:,.0f} KiB.")
    ctx.exit(int(checked is not None and checked.findings.total > 0))


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
