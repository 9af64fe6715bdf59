"""`recorder redact`."""

import sys
import time

import click
from sqlalchemy import Connection, Engine, func, select

from recorder.cli import options
from recorder.cli.progress import bar, project_everything
from recorder.errors import ConfigurationError
from recorder.read.scope import find_account, require_past
from recorder.store import migrate, redactions
from recorder.store.engine import explained, is_file, open_engine, place, sole_writer
from recorder.store.journal import FrameRange
from recorder.store.redactions import redactable
from recorder.store.schema import frames


class Seqs(options.Parsed[tuple[int, int]]):
    """The number of a frame, or a range of numbers: `17`, `17-29`."""

    name = "seq"

    def read(self, text: str) -> tuple[int, int]:
        """Read the first and the last number."""
        first, _, last = text.partition("-")
        if not first.isdigit() or not (last or first).isdigit() or int(last or first) < int(first):
            raise ValueError(f"{text!r} is not the number of a frame; write for example 17, or 17-29")
        return int(first), int(last or first)


@click.command(
    help="Erase the payloads of some frames, and the typed rows derived from them, for good: all before a time "
    "(--before), of one session (--session), or single frames (--session with --seq). Their digests stay, so the seals "
    "still prove everything else. Who erased what, when and why is sealed in the event log and travels with the "
    "record.\n\n"
    "\b\nExample:  recorder redact --account main --before 2019-01-01 --why 'kept for seven years'\n"
    "          recorder redact --account main --session 1657730073673728 --seq 17 --why 'a court asked for it'",
)
@options.record_address
@click.option("--account", required=True, metavar="NAME", help="The account whose frames are erased.")
@click.option(
    "--before",
    type=options.Instant(),
    metavar="TIME",
    help="Frames received before this time: 2020-02-04, or 2h (ago).",
)
@click.option("--session", "session_id", type=int, metavar="ID", help="Only frames of this session, by its session_id.")
@click.option("--seq", "seqs", type=Seqs(), metavar="N[-M]", help="Only frame N of the session, or frames N to M.")
@click.option("--why", required=True, metavar="TEXT", help="The reason, for those who read the record.")
@click.option("--who", metavar="TEXT", help="Who decided it.  [default: this user on this machine]")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def redact(
    at: options.RecordAddress,
    account: str,
    before: int | None,
    session_id: int | None,
    seqs: tuple[int, int] | None,
    why: str,
    who: str | None,
    yes: bool,
) -> None:
    """Erase payloads."""
    if before is None and session_id is None:
        raise click.UsageError("Choose frames with --before, or with --session and, for single frames, --seq.")
    if seqs is not None and session_id is None:
        raise click.UsageError("--seq needs --session: a frame's number is unique only within its session.")
    if not why.strip():
        raise click.UsageError("--why must give a reason.")
    url = at.url
    if not is_file(url):
        raise click.UsageError(
            "A server's database is redacted through its journal: redact that file, and the next run or recorder "
            "merge sends it."
        )
    with explained(url), sole_writer(url):
        reading = open_engine(url, read_only=True)
        migrate.require_current(reading)
        with reading.connect() as connection:
            account_id = find_account(connection, account).account_id
            if before is not None:
                require_past(connection, "--before", before, time.time_ns())
            if session_id is not None:
                _require_frames(connection, account_id, account, session_id, seqs)
            chosen = list(redactable(connection, account_id, session_id, seqs, before))
        reading.dispose()
        engine = open_engine(url)
        if not chosen:
            redactions.sweep(engine, url)
            click.echo("No such frame has a payload; nothing was changed.")
            return
        if not yes and not _confirmed(chosen, account, place(url)):
            click.echo("Nothing was changed.")
            return
        count = _redact(engine, url, chosen, who or options.this_user(), why)
        # What follows from the erased frames goes, too, before the file is swept.
        project_everything(engine)
        redactions.sweep(engine, url)
    click.echo(
        f"{count:,} frames of {account} erased; the record keeps their digests, and who erased them, when and why."
    )


def _require_frames(
    connection: Connection, account_id: int, account: str, session_id: int, seqs: tuple[int, int] | None
) -> None:
    """Refuse a session, or a number in it, that the account does not have: nothing would be erased, silently."""
    mine = frames.c.account_id == account_id, frames.c.session_id == session_id
    last: int | None = connection.scalar(select(func.max(frames.c.seq)).where(*mine))
    if last is None:
        raise ConfigurationError(
            f"Account {account} has no session {session_id} in this record; the tables sessions and reconciliations "
            "list them."
        )
    if seqs is not None and seqs[1] > last:
        raise ConfigurationError(f"Session {session_id} has no frame {seqs[1]}; its last is {last}.")


def _confirmed(chosen: list[FrameRange], account: str, where: str) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError(
            "Standard input is not a terminal, so nobody can confirm this: check the command, then add --yes."
        )
    count, sessions = sum(one.frames for one in chosen), len({one.session_id for one in chosen})
    return click.confirm(
        f"The payloads of {count:,} frames of {account} in {sessions:,} sessions of {where} will be erased for good. "
        "Continue?"
    )


def _redact(engine: Engine, url: str, chosen: list[FrameRange], who: str, why: str) -> int:
    done, total = 0, sum(one.frames for one in chosen)
    with bar("erasing payloads") as advance:
        for count in redactions.redact(engine, url, chosen, who, why):
            done += count
            advance(done, total)
    return done
