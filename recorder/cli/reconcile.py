"""`recorder reconcile`."""

from pathlib import Path

import click

from recorder.cli import options
from recorder.cli.progress import Progress, progress, quiet_option
from recorder.cli.stopping import Signals
from recorder.errors import ConfigurationError, DatabaseBusy
from recorder.live.reconciler import Retry
from recorder.live.recording import Recording
from recorder.live.settings import Account
from recorder.store.engine import database_path, place
from recorder.store.gaps import RECONCILED


@click.command(
    help="Reconcile gaps with the exchange's REST interface again: open gaps, and unrecoverable ones, for example "
    "after correcting a symbol in the configuration. `recorder run` reconciles open gaps by itself; only this command "
    "tries an unrecoverable gap again. Exit code 1: a gap is still not reconciled.\n\n"
    "\b\nExample:  recorder reconcile\n"
    "          recorder reconcile --account main --gap 3"
)
@options.record_address
@options.account
@click.option("--gap", "gap_id", type=int, metavar="N", help="Only this gap: its number in `recorder gaps`.")
@quiet_option
@click.pass_context
def reconcile(
    ctx: click.Context, at: options.RecordAddress, account: str | None, gap_id: int | None, quiet: bool
) -> None:
    """Reconcile by hand."""
    signals = Signals()
    settings, to = at.configured()
    accounts = accounts_named(settings.accounts, account, at.file)
    if gap_id is not None and len(accounts) > 1:
        raise click.UsageError("--gap numbers the gaps of one account: name it with --account.")
    path = database_path(to.journal)
    if not path.exists():
        raise ConfigurationError(f"There is no record {path} yet: start recorder run first.")
    with progress(quiet=quiet) as shown:
        recording = Recording(to.journal, accounts, settings.limits, server=to.server, by_hand=Retry(gap_id))
        try:
            with recording:
                _wait(recording, signals, shown)
        except DatabaseBusy:
            raise DatabaseBusy(
                f"Another recorder is writing to {place(to.journal)}: it reconciles open gaps by itself; to ask about "
                "unrecoverable gaps again, stop it, type recorder reconcile, and start it again."
            ) from None
    settled = recording.retried()
    if gap_id is not None and not settled:
        raise ConfigurationError(
            f"Account {accounts[0].name} has no gap {gap_id} that can be reconciled: it must have ended and not be "
            "reconciled yet; recorder gaps lists all gaps."
        )
    names = {one.account_id: one.name for one in accounts}
    for one in settled:
        resolution = f": {one.resolution}" if one.resolution else ""
        click.echo(f"{names[one.account_id]}: gap {one.gap_id}: {one.state}{resolution}")
    left = [one for one in settled if one.state != RECONCILED]
    click.echo(f"{len(settled) - len(left)} of {len(settled)} gaps reconciled")
    ctx.exit(1 if left else 0)


def accounts_named(configured: tuple[Account, ...], name: str | None, file: Path) -> tuple[Account, ...]:
    """The accounts of a configuration with this name, or `venue/name`; None: all."""
    chosen = tuple(one for one in configured if name in {None, one.name, f"{one.venue.name}/{one.name}"})
    if not chosen:
        known = ", ".join(one.name for one in configured)
        raise ConfigurationError(f"There is no account {name!r} in {file}; it has: {known}.")
    return chosen


def _wait(recording: Recording, signals: Signals, shown: Progress) -> None:
    """Wait until all rounds have ended, or for a signal."""
    signals.wakes(recording.wake)
    while signals.received is None and not recording.wait(shown.every_s):
        shown.show(recording.state().frames, "asking the exchange")
    recording.end_reason = signals.received or "reconciled by hand"
