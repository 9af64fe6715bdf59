"""The commands for the database's schema."""

from pathlib import Path

import click

from recorder.cli import options
from recorder.errors import DatabaseError, SchemaOutdated
from recorder.store import migrate
from recorder.store.engine import explained, open_engine, place
from recorder.store.lock import sole_writer


@click.group(
    help="The database's schema. A new database needs none of this: `recorder run` makes it.\n\n"
    "\b\nExample:  recorder db check"
)
def db() -> None:
    """The database's schema."""


@db.command(help="Bring the schema to this version's, all of it or nothing.\n\n\b\nExample:  recorder db upgrade")
@options.database
def upgrade(database: str | None, config: Path | None) -> None:
    """Upgrade."""
    for url in options.database_urls(database, config):
        engine = open_engine(url)
        with sole_writer(url), explained(url):
            migrate.upgrade(engine)
        click.echo(f"{place(url)} is at schema {migrate.head()}, the newest.")


@db.command(
    help="Take the schema back to an older revision. What only the newer one holds is lost: make a backup first.\n\n"
    "\b\nExample:  recorder db downgrade 0001"
)
@click.argument("revision")
@options.database
def downgrade(revision: str, database: str | None, config: Path | None) -> None:
    """Downgrade."""
    known = migrate.known_revisions()
    if revision not in known:
        raise click.UsageError(f"There is no schema {revision!r}; there are: {', '.join(known)}.")
    for url in options.database_urls(database, config):
        at = _revision(url)
        if at is None:
            raise DatabaseError(f"{place(url)} has no schema of ours: there is nothing to take back.")
        if at in known and known.index(at) < known.index(revision):
            raise click.UsageError(f"{place(url)} is at schema {at}; to go on from there: recorder db upgrade")
        engine = open_engine(url)
        with sole_writer(url), explained(url):
            migrate.downgrade(engine, revision)
        click.echo(f"{place(url)} is at schema {revision}.")


@db.command(help="Show the schema the database is at.\n\n\b\nExample:  recorder db current")
@options.database
def current(database: str | None, config: Path | None) -> None:
    """The revision."""
    for url in options.database_urls(database, config):
        click.echo(f"{_revision(url) or 'no schema of ours'} (this recorder's newest is {migrate.head()})")


@db.command(
    help="Exit with 0 where the schema is this version's, with 1 where it is older.\n\n\b\nExample:  recorder db check"
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
    """The revision of a database that is there; looking changes nothing."""
    engine = open_engine(url, read_only=True)
    with explained(url), engine.connect() as connection:
        return migrate.current(connection)
