"""The commands for the database's schema."""

import time
from pathlib import Path

import click
from sqlalchemy import Engine

from recorder.cli import options
from recorder.errors import SchemaOutdated
from recorder.store import identity, migrate, sqlite
from recorder.store.engine import database_path, explained, is_file, open_engine, place
from recorder.store.lock import sole_writer


@click.group(
    help="The database's schema. A new database needs none of this: `recorder run` makes it.\n\n"
    "\b\nExample:  recorder db check"
)
def db() -> None:
    """The database's schema."""


@db.command(
    help="Upgrade the schema to this version's, completely or not at all. A file is copied first, to a file beside it "
    "such as recorder.db.schema-0001; of a server's database make a backup yourself, for example with pg_dump.\n\n"
    "\b\nExample:  recorder db upgrade"
)
@options.database
@click.option("--no-backup", is_flag=True, help="Do not copy a file first.")
def upgrade(database: str | None, config: Path | None, no_backup: bool) -> None:
    """Upgrade."""
    for url in options.database_urls(database, config):
        engine = open_engine(url)
        with sole_writer(url), explained(url):
            if is_file(url) and not no_backup:
                _back_up(engine, database_path(url))
            migrate.upgrade(engine)
        click.echo(f"{place(url)} is at schema {migrate.head()}, the newest.")


def _back_up(engine: Engine, path: Path) -> None:
    """Copy a file that is going to be upgraded."""
    with engine.connect() as connection:
        at = migrate.require_known(connection)
        connection.rollback()
        if at in {None, migrate.head()}:
            return
        backup = path.with_name(f"{path.name}.schema-{at}")
        sqlite.back_up(connection, backup)
    click.echo(f"Copied {path} to {backup}; remove it once you have seen that all is well.")


@db.command(
    help="Let a copy go on as the recorder that it is a copy of: a backup that was restored, or a file that was moved "
    "to another disk or machine. Without this, a copy goes on as a recorder of its own, and the gap that the original "
    "left stays open. The original must never be recorded into again. The next run notes it in the event log, and its "
    "reconciliation closes the gap.\n\n"
    "\b\nExample:  recorder db adopt --database sqlite:///recorder.db"
)
@options.database
@click.option(
    "--by-path",
    is_flag=True,
    help="From now on, know the file by its path: for file systems that number files anew whenever they are mounted.",
)
def adopt(database: str | None, config: Path | None, by_path: bool) -> None:
    """Adopt."""
    url = options.database_urls(database, config)[-1]
    if not is_file(url):
        raise click.UsageError("A server's database is not recorded into itself: name the file, or the journal.")
    with explained(url):
        migrate.require_current(open_engine(url, read_only=True))
        with sole_writer(url), open_engine(url).begin() as connection:
            adopted = identity.adopt(connection, database_path(url), time.time_ns(), by_path=by_path)
    if not adopted.changed:
        click.echo(f"{place(url)} is recorder {adopted.recorder_id} already.")
        return
    click.echo(f"{place(url)} goes on as recorder {adopted.recorder_id}.")
    if adopted.closed_id is not None:
        click.echo(f"Recorder {adopted.closed_id}, which it was since it was copied, records no more.")


@db.command(help="Show the revision of the database's schema.\n\n\b\nExample:  recorder db current")
@options.database
def current(database: str | None, config: Path | None) -> None:
    """The revision."""
    for url in options.database_urls(database, config):
        click.echo(f"{_revision(url) or 'no schema'} (this version's is {migrate.head()})")


@db.command(
    help="Check the schema: exit code 0 if it is this version's, 1 if it is older.\n\n\b\nExample:  recorder db check"
)
@options.database
@click.pass_context
def check(ctx: click.Context, database: str | None, config: Path | None) -> None:
    """Whether the schema is current."""
    outdated = False
    for url in options.database_urls(database, config):
        try:
            with explained(url):
                migrate.require_current(open_engine(url, read_only=True))
            click.echo(f"{place(url)} is at schema {migrate.head()}, the newest.")
        except SchemaOutdated as error:
            outdated = True
            click.echo(f"{place(url)}: {error}")
    ctx.exit(1 if outdated else 0)


def _revision(url: str) -> str | None:
    """The revision of an existing database; reading it changes nothing."""
    engine = open_engine(url, read_only=True)
    with explained(url), engine.connect() as connection:
        return migrate.current(connection)
