"""Opening databases: for reading, for writing, for changing the schema. Each dialect has a module of its own."""

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
    """Parse the address of a database.

    Raises:
        ConfigurationError: it is not an address, or the engine is not supported.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text may contain a password, so it is not repeated.
        raise ConfigurationError(
            "The database address cannot be read; write for example sqlite:///recorder.db (a path after three slashes)."
        ) from None
    if url.drivername in {"postgres", "postgresql"}:
        # The spelling of libpq and most other programs.
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
    """Whether a database is a file on this machine rather than on a server."""
    return parse_url(url).get_backend_name() == "sqlite"


def database_path(url: str) -> Path:
    """The file of an SQLite database."""
    assert is_file(url)
    return sqlite.path_of(parse_url(url))


def place(url: str) -> str:
    """A database for people: its file, or its name and host. Never a password."""
    parsed = parse_url(url)
    return str(sqlite.path_of(parsed)) if is_file(url) else postgresql.place(parsed)


def open_engine(url: str, *, read_only: bool = False, turn_s: float = 0.0) -> Engine:
    """Return an engine whose connections are durable and isolated as a record needs.

    Args:
        url: the database's address.
        read_only: none of its connections can write.
        turn_s: how long a transaction waits for its turn beside a recorder that writes to the same file without a
            pause, seconds. A server grants locks in the order of the requests and does not use it.
    """
    parsed = parse_url(url)
    if is_file(url):
        return sqlite.open_engine(parsed, read_only=read_only, turn_s=turn_s)
    return postgresql.open_engine(parsed, read_only=read_only)


def schema_transaction(engine: Engine) -> AbstractContextManager[Connection]:
    """A transaction in which the schema changes completely or not at all."""
    transaction: AbstractContextManager[Connection] = _dialect(engine.url).schema_transaction(engine)
    return transaction


def size_bytes(connection: Connection, url: str) -> int:
    """The size of a database on disk."""
    size: int = _dialect(parse_url(url)).size_bytes(connection, parse_url(url))
    return size


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn the driver's errors into one sentence.

    Raises:
        DatabaseError: it names the database and says what to do.
    """
    try:
        yield
    except (DriverError, sqlite3.Error) as error:
        raise explain(url, error) from error


def explain(url: str, error: DriverError | sqlite3.Error) -> DatabaseError:
    """Return the error as one that tells the user what to do."""
    parsed = parse_url(url)
    cause = error.orig if isinstance(error, DriverError) else error
    told: DatabaseError = _dialect(parsed).explain(parsed, cause)
    return told


def blaming(engine: Engine, url: str) -> Engine:
    """Make an engine's errors name its database, where two databases are used together.

    They are raised as `DatabaseError` instead of the driver's error.
    """

    @event.listens_for(engine, "handle_error")
    def _explained(context: ExceptionContext) -> None:
        if isinstance(context.sqlalchemy_exception, DriverError):
            raise explain(url, context.sqlalchemy_exception) from context.sqlalchemy_exception

    return engine


def may_pass(url: str, error: DriverError) -> bool:
    """Whether waiting may help: another program's lock, a full disk, an unreachable server."""
    passing: bool = _dialect(parse_url(url)).may_pass(error.orig)
    return passing


@contextmanager
def sole_writer(url: str) -> Iterator[None]:
    """Hold the lock of a database file, which the system releases when the process dies. A server needs none.

    Two processes that write to one SQLite file and checkpoint it could lose commits (SQLite before 3.51.3).

    Raises:
        DatabaseBusy: another recorder holds the lock.
        DatabaseError: the folder does not exist, or the lock file cannot be created in it.
    """
    if not is_file(url):
        yield
        return
    from filelock import FileLock, Timeout  # noqa: PLC0415  it imports asyncio, and readers do not need it

    path = database_path(url).resolve()  # links to one file share its lock
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
