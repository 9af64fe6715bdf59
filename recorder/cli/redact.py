"""`recorder redact`."""

import sys
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine

from recorder.cli import options
from recorder.cli.progress import bar
from recorder.read.scope import find_account
from recorder.store import migrate, redactions
from recorder.store.engine import explained, is_file, open_engine, place, sole_writer
from recorder.store.journal import FrameRange
from recorder.store.redactions import redactable


class _Seqs(click.ParamType[tuple[int, int]]):
    name = "seq"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        first, _, last = str(value).partition("-")
        if not first.isdigit() or not (last or first).isdigit() or int(last or first) < int(first):
            self.fail(f"{value!r} is no frame's number; write for example 17, or 17-29", param, ctx)
        return int(first), int(last or first)


@click.command(
    help="Take the payloads of some frames away for good, and the rows that followed from them. Their digests stay, so "
    "that the seals still prove all else; who did it, when and why is sealed in the event log, and travels with the "
    "record. For retention (--before), or one frame (--session, --seq). Nobody can bring them back.\n\n"
    "\b\nExample:  recorder redact --account main --before 2019-01-01 --why 'kept for seven years'\n"
    "          recorder redact --account main --session 1657730073673728 --seq 17 --why 'a court asked for it'",
)
@options.database
@click.option("--account", required=True, help="Of this account, by its name in the configuration.")
@click.option("--before", type=options.Instant(), help="What was received before: 2020-02-04, or 2h (ago).")
@click.option("--session", "session_id", type=int, help="Only of this session.")
@click.option("--seq", "seqs", type=_Seqs(), metavar="N[-M]", help="Only this frame of it, or from N to M.")
@click.option("--why", required=True, help="The reason, for whoever reads the record.")
@click.option("--who", help="Who decided it.  [default: this user on this machine]")
@click.option("--yes", is_flag=True, help="Do not ask.")
def redact(
    database: str | None,
    config: Path | None,
    account: str,
    before: int | None,
    session_id: int | None,
    seqs: tuple[int, int] | None,
    why: str,
    who: str | None,
    yes: bool,
) -> None:
    """Redact."""
    if before is None and session_id is None:
        raise click.UsageError("Say which frames: --before a time, or --session with or without --seq.")
    if seqs is not None and session_id is None:
        raise click.UsageError("--seq is a number within a session: name it with --session.")
    if not why.strip():
        raise click.UsageError("--why must give a reason.")
    url = options.database_url(database, config)
    if not is_file(url):
        raise click.UsageError(
            "A server's record is redacted where it was recorded: redact the journal, then type recorder merge."
        )
    with explained(url), sole_writer(url):
        reading = open_engine(url, read_only=True)
        migrate.require_current(reading)
        with reading.connect() as connection:
            account_id = find_account(connection, account).account_id
            chosen = list(redactable(connection, account_id, session_id, seqs, before))
        reading.dispose()
        engine = open_engine(url)
        if not chosen:
            redactions.sweep(engine, url)
            click.echo("No frame there has a payload: nothing to take away.")
            return
        if not yes and not _confirmed(chosen, account, place(url)):
            click.echo("Nothing was changed.")
            return
        count = _redact(engine, url, chosen, who or options.this_user(), why)
        redactions.sweep(engine, url)
    click.echo(f"{count:,} frames of {account} emptied; their digests, and who, when and why, are in the record.")


def _confirmed(chosen: list[FrameRange], account: str, where: str) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to be asked: look at the command again, then add --yes.")
    count, sessions = sum(one.frames for one in chosen), len({one.session_id for one in chosen})
    told = f"{count:,} frames of {account} in {sessions:,} sessions of {where} lose their payload for good."
    return click.confirm(f"{told} Go on?")


def _redact(engine: Engine, url: str, chosen: list[FrameRange], who: str, why: str) -> int:
    done, total = 0, sum(one.frames for one in chosen)
    with bar("emptying frames") as advance:
        for count in redactions.redact(engine, url, chosen, who, why):
            done += count
            advance(done, total)
    return done
