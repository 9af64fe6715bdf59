"""Engines: how a database is opened for writing, for reading, and for changing its schema; a file each per dialect."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

from sqlalchemy import URL, Connection, Engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError
from sqlalchemy.exc import DBAPIError as DriverError

from recorder.errors import ConfigurationError, DatabaseBusy, DatabaseError
from recorder.store import postgresql, sqlite

_DIALECTS: dict[str, ModuleType] = {"sqlite": sqlite, "postgresql": postgresql}


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
    if url.drivername in {"postgres", "postgresql"}:
        # As libpq and most other programs write it.
        url = url.set(drivername=postgresql.DRIVER)
    if url.get_backend_name() not in _DIALECTS:
        raise ConfigurationError(
            f"This version records into SQLite and PostgreSQL, not into {url.get_backend_name()}; "
            "write for example sqlite:///recorder.db or postgresql+psycopg://user@host/recorder."
        )
    _dialect(url).check_url(url)
    return url


def _dialect(url: URL) -> ModuleType:
    return _DIALECTS[url.get_backend_name()]


def is_file(url: str) -> bool:
    """Whether a database is a file of this machine, not a server's."""
    return parse_url(url).get_backend_name() == "sqlite"


def database_path(url: str) -> Path:
    """The file of a SQLite database."""
    assert is_file(url)
    return sqlite.path_of(parse_url(url))


def place(url: str) -> str:
    """A database in words for people: its file, or its name and host. Never a password."""
    parsed = parse_url(url)
    return str(sqlite.path_of(parsed)) if is_file(url) else postgresql.place(parsed)


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine whose connections keep the promises.

    Args:
        url: the database's address.
        read_only: no connection of it can write, whatever is asked.
    """
    parsed = parse_url(url)
    engine: Engine = _dialect(parsed).open_engine(parsed, read_only=read_only)
    return engine


def schema_transaction(engine: Engine) -> AbstractContextManager[Connection]:
    """One transaction in which the schema changes: all of it or nothing."""
    transaction: AbstractContextManager[Connection] = _dialect(engine.url).schema_transaction(engine)
    return transaction


def size_bytes(connection: Connection, url: str) -> int:
    """What a database takes on disk."""
    size: int = _dialect(parse_url(url)).size_bytes(connection, parse_url(url))
    return size


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what the driver says about a database that cannot be used into one sentence.

    Raises:
        DatabaseError: one that names the database and what to do.
    """
    try:
        yield
    except (DriverError, sqlite3.Error) as error:
        raise explain(url, error) from error


def explain(url: str, error: DriverError | sqlite3.Error) -> DatabaseError:
    """The error a user can act on."""
    parsed = parse_url(url)
    cause = error.orig if isinstance(error, DriverError) else error
    told: DatabaseError = _dialect(parsed).explain(parsed, cause)
    return told


def blaming(engine: Engine, url: str) -> Engine:
    """The engine of a database that another one is used together with: its errors say whose they are.

    They come as a `DatabaseError`, where others come as the driver's.
    """

    @event.listens_for(engine, "handle_error")
    def _explained(context: ExceptionContext) -> None:
        if isinstance(context.sqlalchemy_exception, DriverError):
            raise explain(url, context.sqlalchemy_exception) from context.sqlalchemy_exception

    return engine


def may_pass(url: str, error: DriverError) -> bool:
    """Whether waiting may help: somebody else's lock, a full disk, a server that is away."""
    passing: bool = _dialect(parse_url(url)).may_pass(error.orig)
    return passing


@contextmanager
def sole_writer(url: str) -> Iterator[None]:
    """Hold the right to write to a file; the system gives it back when the process dies. A server keeps order itself.

    Raises:
        DatabaseBusy: another recorder holds it.
        DatabaseError: the folder is not there, or the lock file cannot be made in it.
    """
    if not is_file(url):
        yield
        return
    from filelock import FileLock, Timeout  # noqa: PLC0415  it imports asyncio, and readers do not need it

    path = database_path(url).resolve()  # one file has one lock, whatever leads to it
    sqlite.require_folder(path)
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DatabaseBusy(f"Another recorder is writing to {path}; stop it, or name another database.") from None
    except OSError as error:
        raise DatabaseError(
            f"{path}.lock cannot be made ({error.strerror}); give this user the right to write to that folder."
        ) from None
    try:
        yield
    finally:
        lock.release()
