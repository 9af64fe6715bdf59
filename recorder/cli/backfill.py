"""`recorder backfill`."""

import time

import click

from recorder.cli import options
from recorder.cli.progress import Progress, progress, quiet_option
from recorder.cli.reconcile import accounts_named
from recorder.cli.stopping import Signals
from recorder.clock import Clock, utc_text
from recorder.errors import ConfigurationError, DatabaseBusy
from recorder.live.history import Asked, Backfill
from recorder.live.recording import Recording
from recorder.live.settings import Account
from recorder.read.backfilled import history_since
from recorder.store.engine import database_path, open_engine, place


@click.command(
    help="Ask the exchange for orders, fills and transactions from before the record began, as far back as it "
    "remembers. Its rate limits are respected. What is complete is not asked for again, so an interrupted backfill "
    "goes on where it was. It needs a record that has begun, and no recorder may run meanwhile. Exit code 1: something "
    "could not be answered; type it again.\n\n"
    "\b\nExample:  recorder backfill\n"
    "          recorder backfill --account main --since 2026-01-01"
)
@options.record_address
@options.account
@click.option("--since", "since_ns", type=options.Instant(), help="Go back to this time (UTC), such as 2026-01-01.")
@quiet_option
@click.pass_context
def backfill(
    ctx: click.Context, at: options.RecordAddress, account: str | None, since_ns: int | None, quiet: bool
) -> None:
    """Backfill."""
    if since_ns is not None and since_ns > (now_ns := time.time_ns()):
        raise ConfigurationError(f"--since {utc_text(since_ns)} is in the future; it is {utc_text(now_ns)} UTC now.")
    signals = Signals()
    settings, to = at.configured()
    accounts = accounts_named(settings.accounts, account, at.file)
    path = database_path(to.journal)
    if not path.exists():
        raise ConfigurationError(f"There is no record {path} yet: start recorder run first.")
    wanted = Backfill(None if since_ns is None else since_ns // 1_000_000)
    with progress(quiet=quiet) as shown:
        clock = Clock()
        recording = Recording(to.journal, accounts, settings.limits, clock, server=to.server, by_hand=wanted)
        try:
            with recording:
                _wait(recording, clock, signals, shown)
                incomplete = {one.account.name: one.history.incomplete for one in recording.asking}
        except DatabaseBusy:
            raise DatabaseBusy(
                f"Another recorder is writing to {place(to.journal)}: stop it, type recorder backfill, and start it "
                "again; the time until then is recorded as a gap and reconciled."
            ) from None
    _show(to.journal, accounts)
    for name, why in incomplete.items():
        if why:
            click.echo(f"{name}: not complete: {why}", err=True)
    if signals.received:
        click.echo("interrupted: type recorder backfill again to go on", err=True)
    ctx.exit(1 if any(incomplete.values()) else 0)


def _wait(recording: Recording, clock: Clock, signals: Signals, shown: Progress) -> None:
    """Wait until all rounds have ended, or for a signal."""
    signals.wakes(recording.wake)
    while signals.received is None and not recording.wait(shown.every_s):
        doing = [
            f"{one.account.name}: {_doing(one.history.asked, clock.monotonic_s())}"
            for one in recording.asking
            if not one.is_done
        ]
        shown.show(recording.state().frames, " | ".join(doing))
    recording.end_reason = signals.received or "backfilled"


def _doing(asked: Asked, now_s: float) -> str:
    """What is asked for, and how long the rest may take."""
    if not asked.number:
        return "starting"
    if asked.number > asked.of:
        return f"{asked.subject} ({asked.number:,} so far)"
    took_s = now_s - asked.began_s
    left_s = took_s / max(asked.number - 1, 1) * (asked.of - asked.number + 1)
    left = f", about {left_s / 60:.0f} min left" if asked.number > 1 else ""
    return f"{asked.subject} ({asked.number:,} of {asked.of:,}{left})"


def _show(url: str, accounts: tuple[Account, ...]) -> None:
    """Since when there is history now."""
    engine = open_engine(url, read_only=True)
    with engine.connect() as connection:
        for one in accounts:
            for history, since_ms in history_since(connection, one.account_id).items():
                click.echo(f"{one.name}: {history} since {utc_text(since_ms * 1_000_000)} UTC from REST")
    engine.dispose()
