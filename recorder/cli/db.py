"""The commands for the database's schema."""

from pathlib import Path

import click

from recorder.cli import options
from recorder.errors import SchemaOutdated
from recorder.store import migrate
from recorder.store.engine import explained, open_engine, place
from recorder.store.lock import sole_writer


@click.group(help="The database's schema. A new database needs none of this: `recorder run` makes it.")
def db() -> None:
    """The database's schema."""


@db.command(help="Bring the schema to this version's, all of it or nothing.\n\n\b\nExample:  recorder db upgrade")
@options.database
def upgrade(database: str | None, config: Path | None) -> None:
    """Upgrade."""
    url = options.database_url(database, config)
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
    url = options.database_url(database, config)
    engine = open_engine(url)
    with sole_writer(url), explained(url):
        migrate.downgrade(engine, revision)
    click.echo(f"{place(url)} is at schema {revision}.")


@db.command(help="Show the schema the database is at.\n\n\b\nExample:  recorder db current")
@options.database
def current(database: str | None, config: Path | None) -> None:
    """The revision."""
    url = options.database_url(database, config)
    engine = open_engine(url, read_only=True)
    with explained(url), engine.connect() as connection:
        at = migrate.current(connection)
    click.echo(f"{at or 'no schema yet'} (this recorder's newest is {migrate.head()})")


@db.command(
    help="Exit with 0 where the schema is this version's, with 1 where it is older.\n\n\b\nExample:  recorder db check"
)
@options.database
@click.pass_context
def check(ctx: click.Context, database: str | None, config: Path | None) -> None:
    """Whether the schema is current."""
    url = options.database_url(database, config)
    try:
        with explained(url):
            migrate.require_current(open_engine(url, read_only=True))
    except SchemaOutdated as error:
        click.echo(str(error))
        ctx.exit(1)
    click.echo(f"{place(url)} is at schema {migrate.head()}, the newest.")
