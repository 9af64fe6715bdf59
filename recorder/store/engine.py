"""Engines: how a database is opened for writing, for reading, and for changing its schema."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import DatabaseError as DriverError

from recorder.errors import ConfigurationError, DatabaseBusy, DatabaseError, NotOurs

#: How long a statement waits for somebody else's lock, in milliseconds.
BUSY_TIMEOUT_MS = 2_000
#: STRICT tables need it.
SQLITE_VERSION_MIN = (3, 37, 0)


def parse_url(text: str) -> URL:
    """The address of a database.

    Raises:
        ConfigurationError: it is none, or of an engine that this version does not write to.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text may hold a password: it is not repeated.
        raise ConfigurationError(
            "The database address cannot be read; write for example sqlite:///recorder.db (a path after three slashes)."
        ) from None
    if url.get_backend_name() != "sqlite":
        raise ConfigurationError(
            f"This version records into SQLite only, not into {url.get_backend_name()}; "
            "write for example sqlite:///recorder.db."
        )
    if url.host or url.query:
        raise ConfigurationError(
            "The address of a SQLite database is three slashes and a path, and no ? in it; "
            "write for example sqlite:///recorder.db."
        )
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("A record lives in a file; write for example sqlite:///recorder.db.")
    return url


def database_path(url: str | URL) -> Path:
    """The file of a SQLite database."""
    return Path(str((parse_url(url) if isinstance(url, str) else url).database))


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine whose connections keep the promises: `synchronous=FULL`, transactions that begin as writers.

    Args:
        url: the database's address.
        read_only: no connection of it can write, whatever is asked.
    """
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        raise ConfigurationError(
            f"This Python carries SQLite {sqlite3.sqlite_version}; recorder needs 3.37 or newer: use a newer Python."
        )
    path = database_path(url)
    if path.is_dir():
        raise DatabaseError(f"{path} is a folder; name a file in it.")
    if read_only:
        if not path.exists():
            raise DatabaseError(
                f"There is no database at {path}; `recorder run` makes one, or name another with --database."
            )
        address = URL.create(
            "sqlite", database=f"file:{quote(str(path.absolute()))}", query={"mode": "ro", "uri": "true"}
        )
    else:
        require_folder(path)
        address = URL.create("sqlite", database=str(path))
    # No pool: a connection is opened for a purpose and closed with it, so that none outlives its file.
    engine = create_engine(
        address, poolclass=NullPool, connect_args={"isolation_level": None, "check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # pysqlite opens transactions late and of the wrong kind; `_begin` below does it.
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys=ON")
        if not read_only:
            connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A reader that turns writer fails at once with BUSY_SNAPSHOT: a writer is one from the start.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def outside_transaction(connection: Connection, statement: str) -> None:
    """Run a statement that SQLite ignores or refuses in a transaction: SQLAlchemy would begin one for it."""
    assert not connection.in_transaction()
    driver: Any = connection.connection.driver_connection
    driver.execute(statement)


def require_folder(path: Path) -> None:
    """Refuse a file in a folder that is not there, rather than make folders where a name has a typing error.

    Raises:
        DatabaseError: with the folder's name.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise DatabaseError(f"The folder {folder} does not exist; make it, or name another database.")


@contextmanager
def schema_transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction in which the schema changes: all of it or nothing.

    Foreign keys are off in it, because SQLite checks them while tables are dropped.
    """
    with engine.connect() as connection:
        outside_transaction(connection, "PRAGMA foreign_keys=OFF")
        with connection.begin():
            yield connection


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what the driver says about a database that cannot be used into one sentence.

    Raises:
        DatabaseError: one that names the file and what to do.
    """
    try:
        yield
    except (DriverError, sqlite3.Error) as error:
        raise explain(url, error) from error


def explain(url: str, error: DriverError | sqlite3.Error) -> DatabaseError:
    """The error a user can act on."""
    path, cause = database_path(url), _words(error.orig if isinstance(error, DriverError) else error)
    if "locked" in cause or "busy" in cause:
        return DatabaseBusy(f"{path} is locked by another program; close it there and try again.")
    if "readonly" in cause or "read-only" in cause:
        return DatabaseError(f"{path} is read-only; give this user the right to write to it and to its folder.")
    if "not a database" in cause:
        return NotOurs(f"{path} is not a SQLite database; name another file.")
    if "unable to open" in cause:
        return DatabaseError(f"{path} cannot be opened; look at the rights of the file and of its folder.")
    if "full" in cause:
        return DatabaseError(f"The disk of {path} is full; make room and start again.")
    return DatabaseError(f"{path} cannot be used: {cause}.")


def may_pass(error: DriverError) -> bool:
    """Whether waiting may help: somebody else's lock, a full disk."""
    cause = _words(error.orig)
    return "locked" in cause or "busy" in cause or "full" in cause


def _words(cause: BaseException | None) -> str:
    """SQLite's own words, but for a full disk that it meets where it opens a database again.

    The shared memory beside the file is made anew then, and where there is no room for it SQLite tells of an I/O error.
    """
    shared_memory = getattr(cause, "sqlite_errorname", None) == "SQLITE_IOERR_SHMSIZE"
    return "database or disk is full" if shared_memory else str(cause)
