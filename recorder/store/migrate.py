"""The schema's revision: refuse a database that is not at this program's, and upgrade it on request.

Alembic is imported only to change a schema: it takes longer to import than most commands take to run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, select

import recorder
from recorder.errors import DatabaseError, NotOurs, SchemaOutdated, SchemaTooNew
from recorder.store import sqlite, venue_views
from recorder.store.dialects import SQLITE
from recorder.store.engine import schema_transaction
from recorder.store.schema import rebuild_needed

if TYPE_CHECKING:
    from alembic.config import Config

#: The revision this program needs: the newest in `migrations/versions`.
HEAD = "0011"
#: Alembic's own table, with the revision.
VERSION_TABLE = "alembic_version"
#: A table of the baseline that no schema from before the first release had; those used the same revision numbers.
NEW_IN_BASELINE = "credentials"


def migrations_folder() -> Path:
    """The folder of the revisions: inside an installed package, or at the top of a checkout."""
    package = Path(recorder.__file__).parent
    for folder in (package / "migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise DatabaseError("This installation of recorder is incomplete (its migrations are missing): install it again.")


def _config(connection: Connection | None = None) -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def known_revisions() -> list[str]:
    """Every revision this program knows, oldest first."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory.from_config(_config())
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]


def current(connection: Connection) -> str | None:
    """The revision of a database; None if it has none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
    return revision


def is_empty(connection: Connection) -> bool:
    """Whether a database has no tables."""
    return not set(inspect(connection).get_table_names()) - {VERSION_TABLE}


@contextmanager
def migration(engine: Engine) -> Iterator[Connection]:
    """A transaction in which the schema of one of our databases, or of an empty one, changes.

    Raises:
        NotOurs: the database has another program's tables.
        SchemaTooNew: it was made by a newer recorder.
    """
    with engine.connect() as connection:
        # Check that it is ours before it is changed.
        require_known(connection)
        empty = is_empty(connection)
        connection.rollback()
        if empty and engine.dialect.name == SQLITE:
            sqlite.prepare_new(connection)
    with schema_transaction(engine) as connection:
        require_known(connection)
        yield connection


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Create or upgrade the schema. Raises what `migration` raises."""
    from alembic import command  # noqa: PLC0415

    with migration(engine) as connection:
        changes = current(connection) != HEAD
        if changes:
            venue_views.drop(connection)
        command.upgrade(_config(connection), revision)
        if changes:
            venue_views.create(connection)


def require_known(connection: Connection) -> str | None:
    """The revision of one of our databases; None for an empty one. Raises what `migration` raises."""
    at = current(connection)
    if at is None:
        if is_empty(connection):
            return None
        raise NotOurs("The database belongs to another program (it has tables that are not ours); name another one.")
    tables = inspect(connection)
    if not tables.has_table("frames"):
        raise NotOurs("The database belongs to another program that uses Alembic too; name another one.")
    if not tables.has_table(NEW_IN_BASELINE):
        raise NotOurs(
            "The database was made by a version of recorder from before the first release, whose schema cannot be "
            "upgraded: start a new one, and read the old one with the version that made it."
        )
    if at != HEAD and at not in known_revisions():
        raise SchemaTooNew(
            f"The database's schema ({at}) is not one this recorder knows (its newest is {HEAD}): "
            "it was made by a newer recorder, or by another program; use the newer recorder, or name another database."
        )
    return at


def require_current(engine: Engine) -> None:
    """Refuse a database whose schema is not this program's.

    Raises:
        NotOurs, SchemaOutdated, SchemaTooNew: with the command to type if there is one.
    """
    with engine.connect() as connection:
        at = require_known(connection)
        incomplete = at == HEAD and must_rebuild(connection)
    if at is None:
        raise DatabaseError("The database is empty; `recorder run` or `recorder db upgrade` makes its tables.")
    if at != HEAD:
        raise SchemaOutdated(
            f"The database's schema ({at}) is older than this recorder's ({HEAD}); "
            "stop the recorder, make a backup, and type: recorder db upgrade"
        )
    if incomplete:
        raise SchemaOutdated(
            "The upgrade of the database was interrupted before its typed rows were complete; "
            "stop the recorder, and type again: recorder db upgrade"
        )


def must_rebuild(connection: Connection) -> bool:
    """Whether typed rows have to be made again, because an upgrade replaced their tables."""
    return connection.execute(select(rebuild_needed.c.reason).limit(1)).first() is not None


def require_usable(engine: Engine) -> None:
    """Create the schema in an empty database, and refuse any other but the current one."""
    with engine.connect() as connection:
        empty = current(connection) is None and is_empty(connection)
    if empty:
        upgrade(engine)
    require_current(engine)
