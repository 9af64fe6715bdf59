"""How a database is opened, and what a user is told of one that cannot be."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, make_url, text
from sqlalchemy.exc import OperationalError

from recorder.errors import ConfigurationError, DatabaseBusy, DatabaseError, NotOurs
from recorder.store import migrate, sqlite
from recorder.store.engine import (
    database_path,
    explain,
    explained,
    may_pass,
    open_engine,
    parse_url,
    place,
    schema_transaction,
)
from tests.server import PostgresServer


@pytest.fixture
def engine(url: str) -> Engine:
    """A database of ours."""
    engine = open_engine(url)
    migrate.upgrade(engine)
    return engine


@contextmanager
def held(url: str, *statements: str) -> Iterator[None]:
    """Another program's connection, in the middle of something."""
    with closing(sqlite3.connect(database_path(url), isolation_level=None)) as other:
        for statement in statements:
            other.execute(statement).fetchall()
        yield


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return pragma_in(connection, name)


def pragma_in(connection: Connection, name: str) -> object:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "recorder.db",
        "user:hunter2@host/db",
        "postgresql://me:hunter2@host:port/db",
        "postgresql+asyncpg://me:hunter2@host/db",
        "postgresql://me@host:hunter2/db",
        "postgresql+psycopg://me:hunter2@host",
        "mysql://me:hunter2@host/db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://me:hunter2@host/recorder.db",
        "sqlite://recorder/recorder.db",
        "sqlite:///recorder.db?mode=hunter2",
    ],
)
def test_an_address_that_cannot_be_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"write for example .*sqlite:///recorder\.db") as refused:
        parse_url(text)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_server_by_any_usual_scheme(scheme: str) -> None:
    url = f"{scheme}://me@db.example:5433/recorder"
    assert str(parse_url(url)) == "postgresql+psycopg://me@db.example:5433/recorder"
    assert open_engine(url).driver == "psycopg"


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("db.example", "db.example"),
        ("db.example:5433", "db.example:5433"),
        ("[::1]:5433", "[::1]:5433"),
        ("[fe80::1]", "[fe80::1]"),
        ("", "the local server"),
    ],
)
def test_where_a_server_is_in_words(host: str, where: str) -> None:
    assert place(f"postgresql://me:hunter2@{host}/trades") == f"trades on {where}"


def test_another_engine_is_refused_clearly() -> None:
    with pytest.raises(ConfigurationError, match="records into SQLite and PostgreSQL, not into mysql;"):
        open_engine("mysql://me:hunter2@host/db")


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.store.postgresql.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'exchange-recorder\[postgresql\]'"):
        open_engine("postgresql+psycopg://me:hunter2@host/db")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///recorder.db", "recorder.db"),
        ("sqlite:////var/lib/r.db", "/var/lib/r.db"),
        ("sqlite:///a%20b", "a b"),
    ],
)
def test_the_path_of_an_address(url: str, path: str) -> None:
    assert database_path(url) == Path(path)


@pytest.mark.parametrize("name", ["a b.db", "100%.db", "a%3Fb.db", "büro.db", "a#b.db", "file:x.db", "'quoted'.db"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    url = f"sqlite:///{tmp_path / name}"
    migrate.upgrade(open_engine(url))
    migrate.require_current(open_engine(url, read_only=True))
    names = {path.name for path in tmp_path.iterdir() if not path.name.endswith(("-wal", "-shm"))}
    assert names == {name.replace("%3F", "?")}


def test_a_writer_waits_for_the_disk_and_checks_keys(engine: Engine) -> None:
    assert pragma(engine, "synchronous") == 2  # FULL
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "foreign_keys") == 1
    assert pragma(engine, "busy_timeout") == sqlite.BUSY_TIMEOUT_MS
    assert pragma(engine, "application_id") == 0x52434452


def test_every_connection_is_a_new_one(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=7")
    assert pragma(engine, "busy_timeout") == sqlite.BUSY_TIMEOUT_MS


def test_a_transaction_of_a_writer_is_one_from_the_start(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 1)
    with engine.begin() as first:
        first.execute(text("SELECT 1"))
        with pytest.raises(OperationalError, match="locked"), engine.begin() as second:
            second.execute(text("SELECT 1"))
        with open_engine(url, read_only=True).begin() as reader:
            assert reader.execute(text("SELECT count(*) FROM runs")).scalar() == 0


def test_what_a_reader_sees_stands_still(engine: Engine, url: str) -> None:
    count = text("SELECT count(*) FROM recorders")
    with open_engine(url, read_only=True).connect() as reader:
        assert reader.execute(count).scalar() == 0
        with engine.begin() as writer:
            writer.execute(text("INSERT INTO recorders VALUES (1, 1, 'h')"))
        assert reader.execute(count).scalar() == 0
        reader.rollback()
        assert reader.execute(count).scalar() == 1


@pytest.mark.parametrize("statement", ["DELETE FROM runs", "CREATE TABLE x (y)", "PRAGMA user_version=7"])
def test_a_reader_cannot_write(engine: Engine, url: str, statement: str) -> None:
    with (
        pytest.raises(DatabaseError, match=r"recorder\.db is read-only; give this user the right"),
        explained(url),
        open_engine(url, read_only=True).begin() as connection,
    ):
        connection.exec_driver_sql(statement)


def test_a_foreign_key_is_checked_except_while_the_schema_changes(engine: Engine) -> None:
    orphan = text("INSERT INTO batches (run_id, batch, frames, written_ns) VALUES (7, 0, 0, 0)")
    with pytest.raises(Exception, match="FOREIGN KEY"), engine.begin() as connection:
        connection.execute(orphan)
    with schema_transaction(engine) as connection:
        connection.execute(orphan)


def test_a_schema_transaction_is_all_or_nothing(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), schema_transaction(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE half (way INTEGER)")
        connection.exec_driver_sql("DROP TABLE batches")
        raise ZeroDivisionError
    with engine.connect() as connection:
        names = set(connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars())
    assert "half" not in names
    assert "batches" in names


def test_a_database_that_is_not_there(url: str) -> None:
    with pytest.raises(DatabaseError, match=r"There is no database at .*recorder\.db; `recorder run` makes one"):
        open_engine(url, read_only=True)
    assert not database_path(url).exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"The folder .*missing does not exist; make it"):
        open_engine(f"sqlite:///{tmp_path / 'missing' / 'recorder.db'}")


@pytest.mark.parametrize("read_only", [False, True])
def test_a_folder_in_place_of_the_file(tmp_path: Path, read_only: bool) -> None:
    with pytest.raises(DatabaseError, match="is a folder; name a file in it"):
        open_engine(f"sqlite:///{tmp_path}", read_only=read_only)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database(url: str, read_only: bool) -> None:
    database_path(url).write_bytes(b"Dear diary, " * 500)
    with pytest.raises(NotOurs, match=r"recorder\.db is not a SQLite database; name another file"), explained(url):
        migrate.require_current(open_engine(url, read_only=read_only))
    assert database_path(url).read_bytes() == b"Dear diary, " * 500


def test_a_database_of_another_program(url: str) -> None:
    with held(url, "CREATE TABLE letters (words)"):
        pass
    before = database_path(url).read_bytes()
    for attempt in (migrate.upgrade, migrate.require_usable, migrate.require_current):
        with pytest.raises(NotOurs, match="belongs to another program"), explained(url):
            attempt(open_engine(url))
    assert database_path(url).read_bytes() == before


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_that_is_empty(url: str, read_only: bool) -> None:
    database_path(url).touch()
    with pytest.raises(DatabaseError, match="is empty; `recorder run` or `recorder db upgrade` makes its tables"):
        migrate.require_current(open_engine(url, read_only=read_only))


@pytest.mark.parametrize(
    "held_by",
    [
        ("BEGIN IMMEDIATE",),
        ("BEGIN EXCLUSIVE",),
        ("BEGIN", "SELECT * FROM sqlite_master"),  # lets a writer begin, but not change the journal mode
    ],
)
def test_an_empty_database_that_another_program_holds(
    url: str, held_by: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 1)
    with (
        held(url, *held_by),
        pytest.raises(DatabaseBusy, match=r"recorder\.db is locked by another program; close it there"),
        explained(url),
    ):
        migrate.require_usable(open_engine(url))
    migrate.require_usable(open_engine(url))


def test_a_transaction_waits_for_its_turn(engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 1)
    waiting = open_engine(url, turn_s=60)

    def begin() -> None:
        with waiting.begin() as connection:
            assert pragma_in(connection, "busy_timeout") == 1

    with ThreadPoolExecutor() as threads:
        with held(url, "BEGIN IMMEDIATE"):
            with pytest.raises(DatabaseBusy), explained(url), open_engine(url, turn_s=0.1).begin():
                pass
            begun = threads.submit(begin)
            with pytest.raises(TimeoutError):
                begun.result(timeout=0.2)
        begun.result()


def test_a_database_of_ours_that_another_program_holds(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 1)
    with held(url, "BEGIN IMMEDIATE"):
        with pytest.raises(DatabaseBusy, match="is locked by another program"), explained(url), engine.begin():
            pass
        migrate.require_current(open_engine(url, read_only=True))


@pytest.mark.parametrize(
    ("cause", "kind", "words", "passing"),
    [
        ("database is locked", DatabaseBusy, "is locked by another program; close it there and try again.", True),
        ("database or disk is full", DatabaseError, "The disk of .* is full; make room and start again.", True),
        ("disk I/O error", DatabaseError, "cannot be used: disk I/O error.", False),
        ("database disk image is malformed", DatabaseError, "cannot be used: database disk image is malformed.", False),
        ("unable to open database file", DatabaseError, "look at the rights of the file and of its folder.", False),
        ("attempt to write a readonly database", DatabaseError, "give this user the right to write", False),
        ("file is not a database", NotOurs, "is not a SQLite database; name another file.", False),
    ],
)
def test_what_the_driver_says_becomes_a_sentence(
    url: str, cause: str, kind: type[DatabaseError], words: str, passing: bool
) -> None:
    error = OperationalError("SELECT secret", None, sqlite3.OperationalError(cause))
    told = explain(url, error)
    assert type(told) is kind
    assert str(database_path(url)) in str(told)
    assert "SELECT" not in str(told)
    with pytest.raises(kind, match=words), explained(url):
        raise error
    assert may_pass(url, error) is passing


def test_a_full_disk_may_call_itself_an_io_error(url: str) -> None:
    """So it does where a connection is opened again, and the memory beside the file finds no room."""
    cause = sqlite3.OperationalError("disk I/O error")
    cause.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    error = OperationalError("BEGIN IMMEDIATE", None, cause)
    assert "is full; make room" in str(explain(url, error))
    assert may_pass(url, error)
    cause.sqlite_errorname = "SQLITE_IOERR_WRITE"
    assert not may_pass(url, error)


def test_a_full_disk_by_sqlite_itself(engine: Engine, url: str) -> None:
    pages = pragma(engine, "page_count")
    with pytest.raises(DatabaseError, match="is full; make room"), explained(url), engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        for run in range(500):
            connection.execute(
                text("INSERT INTO recorders VALUES (:run, 1, :host)"),
                {"run": run, "host": "h" * 4000},
            )


def test_a_torn_database_by_sqlite_itself(engine: Engine, url: str) -> None:
    engine.dispose()
    path = database_path(url)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(DatabaseError, match="malformed"), explained(url):
        migrate.require_current(open_engine(url))


def test_an_old_sqlite_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 0))
    with pytest.raises(ConfigurationError, match=r"recorder needs 3\.38 or newer: use a newer Python"):
        open_engine(url)


def test_a_copy_without_a_write_ahead_log_is_given_one(engine: Engine, url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(database_path(url))) as source:
        source.execute("VACUUM INTO ?", [str(copy)])
    with held(f"sqlite:///{copy}"):
        pass
    assert copy.read_bytes()[18:20] == b"\x01\x01"  # no WAL (sqlite.org/fileformat2.html, section 1.3)
    migrate.require_current(open_engine(f"sqlite:///{copy}", read_only=True))
    assert copy.read_bytes()[18:20] == b"\x01\x01"
    opened = open_engine(f"sqlite:///{copy}")
    with opened.begin() as writer:
        writer.execute(text("INSERT INTO recorders VALUES (1, 1, 'h')"))
        # A reader would hold this up otherwise.
        with held(f"sqlite:///{copy}", "BEGIN", "SELECT count(*) FROM recorders"):
            writer.commit()
    assert pragma(opened, "journal_mode") == "wal"


def test_a_copy_that_is_being_read_waits_for_its_write_ahead_log(
    engine: Engine, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 1)
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(database_path(url))) as source:
        source.execute("VACUUM INTO ?", [str(copy)])
    with (
        held(f"sqlite:///{copy}", "BEGIN", "SELECT count(*) FROM recorders"),
        pytest.raises(DatabaseBusy, match="is locked by another program"),
        explained(f"sqlite:///{copy}"),
    ):
        migrate.require_usable(open_engine(f"sqlite:///{copy}"))


@pytest.mark.parametrize("made", ["new", "copied"])
def test_a_file_system_without_write_ahead_logs_is_refused(
    url: str, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if made == "copied":
        migrate.upgrade(open_engine(url))
        with held(url, "PRAGMA journal_mode=DELETE"):
            pass
    # SQLite's own virtual file system without shared memory: as on one that cannot map files.
    whole = sqlite3.connect

    def connect(database: str, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = whole(f"file:{database}?vfs=unix-dotfile", uri=True, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", connect)
    with pytest.raises(DatabaseError, match=r"cannot have a write-ahead log .* put it on a local disk"), explained(url):
        migrate.require_usable(open_engine(url))


ON_READ_ONLY_MEDIA = """
import shutil, sqlite3, subprocess, sys
from pathlib import Path
from recorder.errors import DatabaseError
from recorder.store import migrate
from recorder.store.engine import explained, open_engine
from recorder.store.engine import sole_writer

template, folder = map(Path, sys.argv[1:])
subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
whole, in_log = folder / "whole.db", folder / "in_log.db"
shutil.copy(template, whole)
shutil.copy(template, in_log)
with sqlite3.connect(in_log, isolation_level=None) as writing:
    writing.execute("INSERT INTO recorders VALUES (1, 1, 'h')")
    for end in ("", "-wal"):
        shutil.copy(f"{in_log}{end}", f"{folder / 'no_index.db'}{end}")
    for end in ("", "-wal", "-shm"):
        shutil.copy(f"{in_log}{end}", f"{folder / 'with_index.db'}{end}")
writing.close()
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
for path in (whole, folder / "with_index.db", folder / "no_index.db"):
    url = f"sqlite:///{path}"
    try:
        with explained(url), open_engine(url, read_only=True).connect() as reader:
            print(reader.exec_driver_sql("SELECT count(*) FROM recorders").scalar())
    except DatabaseError as error:
        print(error)
for attempt in (lambda: migrate.require_usable(open_engine(url)), lambda: sole_writer(url).__enter__()):
    url = f"sqlite:///{whole}"
    try:
        with explained(url):
            attempt()
    except DatabaseError as error:
        print(error)
"""


def test_an_archived_record_on_read_only_media(tmp_path: Path, sqlite_template: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    command = ["unshare", "-rm", sys.executable, "-c", ON_READ_ONLY_MEDIA, str(sqlite_template), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr or "mount: " in done.stderr:
        pytest.skip("this machine lets nobody mount a file system")
    assert done.stderr == ""
    whole, with_index, no_index, writing, locking = done.stdout.splitlines()
    assert (whole, with_index) == ("0", "1")
    assert no_index == (
        f"{folder}/no_index.db has a write-ahead log (no_index.db-wal) and is on read-only media; "
        "copy both files into a folder that you can write to."
    )
    assert writing == f"{folder}/whole.db is read-only; give this user the right to write to it and to its folder."
    assert locking.startswith(f"{folder}/whole.db.lock cannot be made (Read-only file system)")


def test_a_commit_is_on_the_server_s_disk_whatever_its_default(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    name = make_url(url).database
    postgres.run_sql(f"ALTER DATABASE {name} SET synchronous_commit TO off")
    engine = open_engine(url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    engine.dispose()
