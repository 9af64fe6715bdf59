"""`recorder rebuild`."""

from pathlib import Path

import click

from recorder.audit.verify.rebuilding import Rebuilt, damage
from recorder.audit.verify.rebuilding import rebuild as make_again
from recorder.cli import options
from recorder.cli.progress import bar
from recorder.cli.verify import require_account, show_findings


@click.command(
    help="Make again what follows from the frames and is not there, or is not what follows: typed rows (orders, "
    "positions, balances, fills, heartbeats), and what was read in each frame, as after an upgrade that reads more "
    "than the version that recorded. Frames are never touched, and where all is right nothing is written. It may run "
    "beside a recorder.\n\n"
    "The frames are held against their seals first. Where they are not as they were sealed, nothing is rebuilt: what "
    "stands in the typed rows is then evidence.\n\n"
    "\b\nExample:  recorder rebuild\n"
    "          recorder rebuild --account main --database sqlite:///old.db"
)
@options.database
@click.option("--account", help="Only this account's, by its name in the configuration.")
@click.pass_context
def rebuild(ctx: click.Context, database: str | None, config: Path | None, account: str | None) -> None:
    """Rebuild."""
    url = options.database_url(database, config)
    account_id = require_account(url, account)
    with bar("verifying frames") as progress:
        found = damage(url, progress)
    if found:
        show_findings(found)
        click.echo(
            f"The journal itself is not as it was sealed ({len(found):,} findings), so nothing was rebuilt: what "
            "stands in the typed rows is evidence. Begin with a backup, or another recorder's record.",
            err=True,
        )
        ctx.exit(1)
    done = Rebuilt()
    with bar("rebuilding") as progress:
        for some in make_again(url, account_id, progress):
            done += some
    if done.frames == 0:
        click.echo("Everything follows from its frame: nothing to make again.")
    else:
        told = f", {done.read_anew:,} of them read anew" if done.read_anew else ""
        click.echo(f"Made again what follows from {done.frames:,} frames{told}: {done.rows:,} rows.")
    if done.left:
        click.echo(f"{done.left:,} findings are of another kind: recorder verify names them.", err=True)
        ctx.exit(1)
