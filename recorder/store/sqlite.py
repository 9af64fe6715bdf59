"""SQLite: opening a file durably, and explaining the driver's errors."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event

from recorder.errors import ConfigurationError, DatabaseBusy, DatabaseError, NotOurs

#: How long a statement waits for another program's lock, milliseconds.
BUSY_TIMEOUT_MS = 2_000
#: The same while a command waits for its turn. SQLite tries again after 1, 2, 5, 10 ms and then ever more rarely; a
#: recorder with much to write leaves the lock free for a fraction of a millisecond, which rare attempts miss.
TURN_TIMEOUT_MS = 20
#: The first version with the operators `->` and `->>`, which views use; STRICT tables are older.
SQLITE_VERSION_MIN = (3, 38, 0)
#: `PRAGMA application_id` of our files: "RCDR".
APPLICATION_ID = 0x52434452

# For every NULL and every `bytes`, the driver searches for an adapter; finding none takes longer than all else it does
# with the value. These adapters are built-in functions that return the value itself.
sqlite3.register_adapter(type(None), {None: None}.__getitem__)
sqlite3.register_adapter(bytes, bytes)

_READ_ONLY = "{} is read-only; give this user the right to write to it and to its folder."


def check_url(url: URL) -> None:
    """Refuse an address that names no file.

    Raises:
        ConfigurationError: with what to write.
    """
    if url.host or url.query:
        raise ConfigurationError(
            "The address of a SQLite database is three slashes and a path, and no ? in it; "
            "write for example sqlite:///recorder.db."
        )
    if not url.database or url.database == ":memory:":
        raise ConfigurationError("A record lives in a file; write for example sqlite:///recorder.db.")


def path_of(url: URL) -> Path:
    """The file of a database."""
    return Path(str(url.database))


def open_engine(url: URL, *, read_only: bool, turn_s: float) -> Engine:
    """Return an engine with `synchronous=FULL` and transactions that begin as writers.

    Args:
        url: of the file.
        read_only: nothing can be written through it.
        turn_s: how long the begin of a transaction competes with another program for the lock, seconds, before it
            waits for `BUSY_TIMEOUT_MS` like any statement.
    """
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        raise ConfigurationError(
            f"This Python carries SQLite {sqlite3.sqlite_version}; recorder needs 3.38 or newer: use a newer Python."
        )
    path = path_of(url)
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
        _require_no_orphaned_log(path)
        address = URL.create("sqlite", database=str(path))
    # No pool, so that no connection outlives its file.
    engine = create_engine(
        address, poolclass=NullPool, connect_args={"isolation_level": None, "check_same_thread": False}
    )

    @event.listens_for(engine, "do_connect")
    def _locate(_dialect: Any, _record: Any, arguments: list[str], _options: Any) -> None:
        if read_only and _is_archived(path):
            arguments[0] += "&immutable=1"

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # pysqlite begins transactions too late and as readers; `_begin` below does it instead.
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys=ON")
        if not read_only:
            connection.execute("PRAGMA synchronous=FULL")
            if _is_a_record(connection):
                _require_wal(connection, path)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A reader that becomes a writer fails at once with BUSY_SNAPSHOT, so writers begin as writers.
        if turn_s and _takes_its_turn(connection.connection.driver_connection, time.monotonic() + turn_s):
            return
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _takes_its_turn(driver: Any, until_s: float) -> bool:
    """Try to begin a transaction until a time, often, and so that a signal can interrupt it. Returns its success."""
    driver.execute(f"PRAGMA busy_timeout={TURN_TIMEOUT_MS}")
    try:
        while time.monotonic() < until_s:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return True
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    return False  # what begins the transaction after us explains it
        return False
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def outside_transaction(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement that SQLite ignores or refuses in a transaction, which SQLAlchemy would begin."""
    assert not connection.in_transaction()
    driver: Any = connection.connection.driver_connection
    rows: list[tuple[Any, ...]] = driver.execute(statement).fetchall()
    return rows


def require_folder(path: Path) -> None:
    """Refuse a file in a missing folder, which is rather a typing error than a folder to create.

    Raises:
        DatabaseError: it names the folder.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise DatabaseError(f"The folder {folder} does not exist; make it, or name another database.")


def _require_no_orphaned_log(path: Path) -> None:
    """Refuse to create a database beside the log of a missing one, because SQLite would delete that log."""
    log = _beside(path, "-wal")
    if _file_bytes(path) == 0 and _file_bytes(log) > 0:
        raise DatabaseError(
            f"{path} is missing, but {log} holds the last part of it: put the database back beside its log, "
            "or move the log away if you no longer need it."
        )


def prepare_new(connection: Connection) -> None:
    """Switch a new file to a write-ahead log, which must be done outside a transaction.

    Raises:
        DatabaseError: its file system does not support one.
    """
    assert not connection.in_transaction()
    assert connection.engine.url.database is not None
    _require_wal(connection.connection.driver_connection, Path(connection.engine.url.database))


def _is_archived(path: Path) -> bool:
    """Whether a file is complete and in a folder that nobody can write to, such as read-only media.

    SQLite then can neither create nor needs the files that readers and writers share.
    """
    shared = any(_file_bytes(_beside(path, end)) for end in ("-wal", "-shm", "-journal"))
    return not shared and not os.access(path.absolute().parent, os.W_OK)


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _is_a_record(connection: Any) -> bool:
    """Whether the file has our tables. Another program's file must not be changed before it is refused."""
    names = "SELECT count(*) FROM sqlite_master WHERE name IN ('frames', 'event_log')"
    return bool(connection.execute(names).fetchone() == (2,))


def _require_wal(connection: Any, path: Path) -> None:
    """Switch a file to a write-ahead log, without which readers block the writer.

    A copy made by `VACUUM INTO` or from a dump has none.
    """
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise DatabaseError(
            f"{path} cannot have a write-ahead log (SQLite's WAL mode) on its file system; put it on a local disk."
        )


def back_up(connection: Connection, to: Path) -> None:
    """Copy a database to another file, which only a complete copy replaces.

    Raises:
        DatabaseError: the copy cannot be written.
    """
    driver: Any = connection.connection.driver_connection
    part = to.with_name(f"{to.name}.part")
    try:
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part)) as copy:
            copy.execute("PRAGMA synchronous=FULL")
            driver.backup(copy)
        part.replace(to)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise DatabaseError(f"The backup {to} cannot be written ({error}): make room, or give --no-backup.") from error


@contextmanager
def schema_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction in which the schema changes completely or not at all.

    Foreign keys are off, because SQLite checks them while tables are dropped.
    """
    with engine.connect() as connection:
        outside_transaction(connection, "PRAGMA foreign_keys=OFF")
        with connection.begin():
            connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
            yield connection


def size_bytes(connection: Connection, url: URL) -> int:
    """The size of the record on disk, including its log."""
    path = path_of(url)
    return sum(_file_bytes(file) for file in (path, _beside(path, "-wal")))


def _file_bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0  # a recorder that ends deletes its log at any time


def explain(url: URL, error: BaseException | None) -> DatabaseError:
    """Return an error that tells the user what to do."""
    path, cause = path_of(url), _words(error)
    if "locked" in cause or "busy" in cause:
        return DatabaseBusy(f"{path} is locked by another program; close it there and try again.")
    if "readonly" in cause or "read-only" in cause:
        return DatabaseError(_READ_ONLY.format(path))
    if "not a database" in cause:
        return NotOurs(f"{path} is not a SQLite database; name another file.")
    if "unable to open" in cause:
        return DatabaseError(_why_not_opened(path))
    if "full" in cause:
        return DatabaseError(f"The disk of {path} is full; make room and start again.")
    return DatabaseError(f"{path} cannot be used: {cause}.")


def _why_not_opened(path: Path) -> str:
    if os.access(path.absolute().parent, os.W_OK):
        return f"{path} cannot be opened; look at the rights of the file and of its folder."
    if _file_bytes(_beside(path, "-wal")):
        return (
            f"{path} has a write-ahead log ({path.name}-wal) and is on read-only media; "
            "copy both files into a folder that you can write to."
        )
    return _READ_ONLY.format(path)


def may_pass(error: BaseException | None) -> bool:
    """Whether waiting may help: another program's lock, a full disk."""
    cause = _words(error)
    return "locked" in cause or "busy" in cause or "full" in cause


def _words(cause: BaseException | None) -> str:
    """SQLite's message, except for a full disk on reopening a database.

    SQLite then reports an I/O error, because it has no room for the shared memory beside the file.
    """
    shared_memory = getattr(cause, "sqlite_errorname", None) == "SQLITE_IOERR_SHMSIZE"
    return "database or disk is full" if shared_memory else str(cause)
