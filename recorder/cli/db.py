"""The commands for the database: its schema, and which recorders and API keys belong to it."""

import re
import time
from pathlib import Path

import click
from sqlalchemy import Engine, select

from recorder.audit.verify.rebuilding import rebuild_after_upgrade
from recorder.cli import options
from recorder.cli.progress import bar, project_everything
from recorder.config import configured_accounts
from recorder.errors import SchemaOutdated
from recorder.model import account_id
from recorder.read.scope import LabelledAccount, labelled_accounts, listed
from recorder.store import identity, migrate, sqlite
from recorder.store.credentials import DIGITS
from recorder.store.engine import database_path, explained, is_file, open_engine, place, sole_writer
from recorder.store.entries import CredentialAccepted, LogEntry, RecorderRetired
from recorder.store.opening import add_entry
from recorder.store.schema import recorders
from recorder.venues import VENUES


@click.group(
    help="The database's schema, and which recorders and API keys belong to it. A new database needs none of this: "
    "`recorder run` makes it.\n\n"
    "\b\nExample:  recorder db check"
)
def db() -> None:
    """The database itself."""


@db.command(
    help="Upgrade the schema to this version's, completely or not at all. A file is copied first, to a file beside it "
    "such as recorder.db.schema-0001; back up a server's database yourself, for example with pg_dump. Where the tables "
    "of orders, positions, balances and fills have changed, their rows are made again from the frames; if that is "
    "interrupted, type the command again.\n\n"
    "\b\nExample:  recorder db upgrade"
)
@options.record_address
@click.option("--no-backup", is_flag=True, help="Do not copy the file first.")
def upgrade(at: options.RecordAddress, no_backup: bool) -> None:
    """Upgrade."""
    for url in at.urls:
        engine = open_engine(url)
        with sole_writer(url), explained(url):
            if is_file(url) and not no_backup:
                _back_up(engine, database_path(url))
            migrate.upgrade(engine)
            with engine.connect() as connection:
                must_rebuild = migrate.must_rebuild(connection)
            if must_rebuild:
                with bar("decoding frames") as progress:
                    rows = rebuild_after_upgrade(url, progress)
                click.echo(f"{rows:,} rows were made again from the frames.")
            project_everything(engine)
        click.echo(f"{place(url)} is at schema {migrate.HEAD}, the newest.")


def _back_up(engine: Engine, path: Path) -> None:
    """Copy a file before it is upgraded."""
    with engine.connect() as connection:
        at = migrate.require_known(connection)
        connection.rollback()
        if at in {None, migrate.HEAD}:
            return
        backup = path.with_name(f"{path.name}.schema-{at}")
        sqlite.back_up(connection, backup)
    click.echo(f"Copied {path} to {backup}; remove it once you have seen that all is well.")


@db.command(
    help="Let a copy continue as the recorder it was copied from: a restored backup, or a file that was moved to "
    "another disk or machine. Otherwise a copy continues as a recorder of its own, and the gap that the original left "
    "stays open. The original must never be recorded into again. The next run logs this and reconciles the gap.\n\n"
    "\b\nExample:  recorder db adopt --database sqlite:///recorder.db"
)
@options.record_address
@click.option(
    "--by-path",
    is_flag=True,
    help="From now on, recognise the file by its path: for file systems that renumber files whenever they are mounted.",
)
def adopt(at: options.RecordAddress, by_path: bool) -> None:
    """Adopt."""
    url = at.urls[-1]
    if not is_file(url):
        raise click.UsageError("Only a file can be adopted: name the file, or the journal, with --database.")
    with explained(url):
        migrate.require_current(open_engine(url, read_only=True))
        with sole_writer(url), open_engine(url).begin() as connection:
            adopted = identity.adopt(connection, database_path(url), time.time_ns(), by_path=by_path)
    if not adopted.changed:
        click.echo(f"{place(url)} already is recorder {adopted.recorder_id}.")
        return
    click.echo(f"{place(url)} continues as recorder {adopted.recorder_id}.")
    if adopted.closed_id is not None:
        click.echo(f"Recorder {adopted.closed_id}, which it was since it was copied, ends here.")


@db.command(
    help="Retire a recorder whose machine or file is gone for good, so that its open gap is no longer reported. "
    "RECORDER is its number in the table `recorders`. The retirement is sealed in the event log of the file, and sent "
    "or merged with it. If the recorder runs again, its retirement ends.\n\n"
    "\b\nExample:  recorder db retire 1654334580326400001 --why 'sold the laptop'"
)
@click.argument("recorder_id", metavar="RECORDER", type=int)
@click.option("--why", required=True, help="The reason, for those who read the record.")
@click.option("--who", help="Who decided it.  [default: this user on this machine]")
@options.record_address
def retire(recorder_id: int, why: str, who: str | None, at: options.RecordAddress) -> None:
    """Retire."""
    urls = at.urls
    known = {found for url in urls for found in _recorders(url)}
    if recorder_id not in known:
        listed = ", ".join(map(str, sorted(known))) or "none"
        raise click.UsageError(f"There is no recorder {recorder_id} in {place(urls[0])}; there are: {listed}.")
    if not why.strip():
        raise click.UsageError("--why must give a reason.")
    now_ns = time.time_ns()
    _add_entry(urls, RecorderRetired(recorder_id, now_ns, who or options.this_user(), why), now_ns, "recorder retired")
    click.echo(f"Recorder {recorder_id} is retired.{_sent(urls)}")


@db.command(
    "accept-key",
    help="Accept that an API key belongs to an account: its new key, or the key that another recorder uses for it. "
    "ACCOUNT is venue/name. `recorder run` and `recorder merge` print the FINGERPRINT of the key when they cannot tell "
    "whether it belongs to the same exchange account as the key used before. Accept it in the file that is sent or "
    "merged.\n\n"
    f"\b\nExample:  recorder db accept-key {next(iter(VENUES))}/main 9f86d081884c7d65",
)
@click.argument("account")
@click.argument("fingerprint")
@options.record_address
def accept_key(account: str, fingerprint: str, at: options.RecordAddress) -> None:
    """Accept a key."""
    venue, _, name = account.partition("/")
    if venue not in VENUES or not name:
        raise click.UsageError(f"{account!r} is not an account; write venue/name, such as {next(iter(VENUES))}/main.")
    if not re.fullmatch(f"[0-9a-f]{{{DIGITS}}}", fingerprint):
        raise click.UsageError(f"{fingerprint!r} is not a fingerprint; copy it from the message that asks for it.")
    urls = at.urls
    _require_known(at, urls, account)
    now_ns = time.time_ns()
    _add_entry(urls, CredentialAccepted(account_id(venue, name), fingerprint, now_ns), now_ns, "key accepted")
    click.echo(f"API key {fingerprint} belongs to {account}.{_sent(urls)}")


def _require_known(at: options.RecordAddress, urls: list[str], account: str) -> None:
    """Refuse an account that neither the record nor the configuration has; a file may not have recorded it yet."""
    recorded = {f"{one.venue}/{one.name}" for url in urls for one in _accounts(url)}
    if account in recorded:
        return
    configured = configured_accounts(at.file) if at.file.exists() else []
    if account not in configured:
        raise click.UsageError(
            f"Neither the record nor the configuration has an account {account!r}; "
            f"{listed(account, recorded.union(configured))}."
        )


def _accounts(url: str) -> list[LabelledAccount]:
    engine = open_engine(url, read_only=True)
    with explained(url), engine.connect() as connection:
        migrate.require_current(engine)
        return labelled_accounts(connection)


def _sent(urls: list[str]) -> str:
    return " The next run sends this to the server." if len(urls) > 1 else ""


def _add_entry(urls: list[str], entry: LogEntry, now_ns: int, reason: str) -> None:
    """Add an entry to the event log of the file among the databases."""
    url = urls[-1]
    if not is_file(url):
        raise click.UsageError("A server gets this from a file: name the file, or the journal, with --database.")
    with explained(url), sole_writer(url):
        migrate.require_current(open_engine(url, read_only=True))
        for warning in add_entry(open_engine(url), url, entry, now_ns, reason):
            click.echo(warning, err=True)


def _recorders(url: str) -> list[int]:
    engine = open_engine(url, read_only=True)
    with explained(url), engine.connect() as connection:
        migrate.require_current(engine)
        return list(connection.scalars(select(recorders.c.recorder_id)))


@db.command(help="Show the revision of the database's schema.\n\n\b\nExample:  recorder db current")
@options.record_address
def current(at: options.RecordAddress) -> None:
    """The revision."""
    for url in at.urls:
        click.echo(f"{_revision(url) or 'no schema'} (this version's is {migrate.HEAD})")


@db.command(
    help="Check the schema: exit code 0 if it is this version's, 1 if it is older.\n\n\b\nExample:  recorder db check"
)
@options.record_address
@click.pass_context
def check(ctx: click.Context, at: options.RecordAddress) -> None:
    """Whether the schema is current."""
    outdated = False
    for url in at.urls:
        try:
            with explained(url):
                migrate.require_current(open_engine(url, read_only=True))
            click.echo(f"{place(url)} is at schema {migrate.HEAD}, the newest.")
        except SchemaOutdated as error:
            outdated = True
            click.echo(f"{place(url)}: {error}")
    ctx.exit(1 if outdated else 0)


def _revision(url: str) -> str | None:
    """Read the revision of an existing database."""
    engine = open_engine(url, read_only=True)
    with explained(url), engine.connect() as connection:
        return migrate.current(connection)
