"""`recorder status`: the record at a glance."""

import click

from recorder import open as open_record
from recorder.cli import options
from recorder.cli.output import heading, reused, show_json
from recorder.clock import NS_PER_MS, utc_text
from recorder.read.records import AccountStatus, RecorderRun, Status
from recorder.report.words import duration, percent
from recorder.venues.reading import printable


@click.command(
    help="Show the record at a glance: the last run, sessions and coverage of each account, and what could not be "
    "decoded.\n\n"
    "\b\nExample:  recorder status --format json"
)
@options.record_address
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "json")),
    default="table",
    show_default=True,
    help="Text for people, or one JSON object.",
)
def status(at: options.RecordAddress, form: str) -> None:
    """Show the status."""
    with open_record(at.url) as record:
        found = record.status()
    if form == "json":
        show_json(found)
    else:
        show_status(found)


def show_status(found: Status) -> None:
    """Print a status for people."""
    click.echo(f"{printable(found.database)}: {found.frames:,} frames, {found.size_bytes / 2**20:,.1f} MiB")
    click.echo(f"last run: {_run(found.last_run)}")
    for account in found.accounts:
        click.echo(f"\n{heading(printable(account.account))} ({printable(account.venue)})")
        for line in _account(account):
            click.echo(f"  {printable(line)}")


def _run(run: RecorderRun | None) -> str:
    if run is None:
        return "none yet"
    began = f"began {utc_text(run.started_ns)} UTC on {printable(run.host)}"
    if run.ended_ns is None:
        return f"{began} and has not ended (process {run.pid})"
    return f"{began}, ended {utc_text(run.ended_ns)} UTC: {run.end_reason}"


def _account(account: AccountStatus) -> list[str]:
    coverage = account.coverage
    lines = [f"recorders    {account.recorders}"] if account.recorders > 1 else []
    lines += [
        f"sessions     {account.sessions}, the latest: {account.session}",
        f"last frame   {utc_text(account.last_frame_ns) or 'none yet'}",
    ]
    if coverage.begins_ns is None or coverage.until_ns is None:
        lines.append("coverage     none yet: no session has had all its topics acknowledged")
    else:
        whole_ns = coverage.until_ns - coverage.begins_ns
        share = f"{percent(coverage.covered_ns, whole_ns)} %" if whole_ns else "all"
        lines.append(f"coverage     {share} of {duration(whole_ns)} since {utc_text(coverage.begins_ns)}")
        lines.append(f"gaps since   {coverage.gaps}{' (one has not ended)' if coverage.in_gap else ''}")
    lines += [
        f"history      {history} since {utc_text(since_ms * NS_PER_MS)} UTC from REST"
        for history, since_ms in account.history_since_ms.items()
    ]
    if account.reused_order_ids:
        lines.append(f"reused ids   {reused(account.reused_order_ids)}")
    found = account.discrepancies
    lines.append(f"contradicted {found}" + (" (see recorder discrepancies)" if found else ""))
    lines.append(f"undecoded    {account.undecoded}" + (" (kept verbatim in frames)" if account.undecoded else ""))
    return lines
