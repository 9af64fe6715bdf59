"""`recorder report`: the HTML report."""

import os
from pathlib import Path

import click

from recorder.cli import options
from recorder.cli.books import read_transfers
from recorder.cli.progress import bar
from recorder.cli.verify import claims_in
from recorder.errors import ConfigurationError
from recorder.read.record import Filter
from recorder.report.evidence import verify_record
from recorder.report.gather import gather, require
from recorder.report.page import render


@click.command(
    help="Write a report: one self-contained HTML page to read, print or pass on. It shows how complete the record of "
    "a period is: sessions, gaps, discrepancies and seals; then balances, positions, orders, fills and fees; silences, "
    "clocks and latency. With --verify, the exit code is 1 if the record was changed after it was written.\n\n"
    "\b\nExample:  recorder report --since 2020-02-01 --until 2020-03-01 --out february.html"
)
@options.record_address
@options.filters(symbol=False)
@options.file("--out", "out", "The HTML file to write.", default=Path("report.html"), show_default=True)
@options.file("--transfers", "transfers", "A CSV file of known transfers, as for recorder books.")
@click.option("--verify", "verified", is_flag=True, help="Verify the whole record first, and report the findings.")
@options.checkpoints
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.pass_context
def report(
    ctx: click.Context,
    at: options.RecordAddress,
    wanted: Filter,
    out: Path,
    transfers: Path | None,
    verified: bool,
    files: tuple[Path, ...],
    key_file: Path | None,
    force: bool,
) -> None:
    """Write the report."""
    if (files or key_file) and not verified:
        raise click.UsageError("--checkpoint and --public-key need --verify.")
    _require_free(out, force)
    url = at.url
    key, claims = claims_in(files, key_file)
    named = [] if transfers is None else read_transfers(transfers)
    # A wrong account or period is refused at once, not after minutes of verifying.
    require(url, wanted)
    verification = None
    if verified:
        with bar("verifying frames") as advance:
            verification = verify_record(url, claims, key, advance)
    with bar("reading rows") as advance:

        def progress(table: str, rows: int) -> None:
            advance(rows, None, f"reading {table}")

        page = render(gather(url, wanted, progress, transfers=named, verification=verification))
    _write(page, out, force)
    click.echo(f"Report written to {out}, {len(page.encode()) / 2**10:,.0f} KiB.")
    ctx.exit(int(verification is not None and verification.findings.total > 0))


def _require_free(out: Path, force: bool) -> None:
    """Refuse a file that is there, or cannot be, before minutes of reading."""
    if out.is_dir():
        raise ConfigurationError(f"{out} is a folder; name a file in it with --out.")
    if not out.absolute().parent.is_dir():
        raise ConfigurationError(
            f"The folder {out.absolute().parent} does not exist; create it, or name another --out."
        )
    if out.exists() and not force:
        raise ConfigurationError(f"{out} exists; name another --out, or replace it with --force.")


def _write(page: str, out: Path, force: bool) -> None:
    """All of it or nothing: under another name first."""
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        beside.write_text(page, encoding="utf-8")
        _require_free(out, force)
        beside.replace(out)
    except OSError as error:
        raise ConfigurationError(
            f"The report cannot be written to {out}: {error.strerror}; check the free space and the permissions there."
        ) from None
    finally:
        beside.unlink(missing_ok=True)
