"""The way from one schema to the next, with data in it, and what is refused on the way."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, event

import recorder
from recorder.errors import DatabaseError, NotOurs, SchemaOutdated, SchemaTooNew
from recorder.store import migrate
from recorder.store.engine import open_engine
from recorder.store.schema import metadata
from recorder.store.sqlite import APPLICATION_ID
from tests.migration.rows import ROWS, contents_of, schema_of, write

ONCE = ("account_updates_once", "order_updates_once", "position_updates_once")
JOURNAL = ("frames", "batches", "spans", "event_log", "seals", "checkpoints", "redactions")
GUARDS = tuple(f"{table}_{guard}" for table in JOURNAL for guard in ("unchanged", "undeleted"))
#: Those in which each of the rows of the first revision makes one row at most, and one that tells all of them.
VIEWS = (
    *("orders", "order_history", "positions", "balances", "trade_history"),
    *("executions", "order_lives", "position_history", "balance_history", "round_trips"),
)
TIMELINE = "timeline"
CHECKOUT = Path(recorder.__file__).parent.parent


def test_the_guards_are_there_after_every_way(engine: Engine) -> None:
    migrate.upgrade(engine)
    migrate.downgrade(engine, "0001")
    migrate.upgrade(engine)
    assert set(GUARDS) <= schema_of(engine).keys()


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def revision_of(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return migrate.current(connection)


def set_revision(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = ?", (revision,))


@contextmanager
def dying_at(engine: Engine, nth: int) -> Iterator[Callable[[], bool]]:
    """Fail at the nth statement that changes something; tells afterwards whether it came to that."""
    left, died = nth, False

    def count(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        nonlocal left, died
        if statement.split(maxsplit=1)[0] in {"CREATE", "DROP", "INSERT", "UPDATE", "DELETE", "ALTER"}:
            left -= 1
            if left == 0:
                died = True
                raise InterruptedError(statement)

    event.listen(engine, "before_cursor_execute", count)
    try:
        yield lambda: died
    finally:
        event.remove(engine, "before_cursor_execute", count)


def test_the_migrated_schema_is_the_declared_one(engine: Engine, tmp_path: Path) -> None:
    migrate.upgrade(engine)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    declared = open_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    with declared.begin() as connection:
        metadata.create_all(connection)
    others = {*ONCE, *VIEWS, *GUARDS, TIMELINE, migrate.VERSION_TABLE}
    tables = {name: sql for name, sql in schema_of(engine).items() if name not in others}
    # Column by column, in order, with every constraint and its name.
    assert tables == schema_of(declared)


def test_every_table_of_ours_is_strict_and_has_its_key_as_order(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.connect() as connection:
        tables = connection.exec_driver_sql("PRAGMA table_list").all()
    ours = {table.name: (table.strict, table.wr) for table in tables if table.name in metadata.tables}
    assert ours == dict.fromkeys(metadata.tables, (1, 1))


def test_every_revision_can_be_reached_and_left_with_rows_in_it(engine: Engine) -> None:
    revisions = migrate.known_revisions()
    assert list(ROWS) == revisions
    stages = []
    for revision in revisions:
        migrate.upgrade(engine, revision)
        assert revision_of(engine) == revision
        write(engine, revision)
        stages.append((revision, schema_of(engine), contents_of(engine)))
    migrate.require_current(engine)
    for revision, schema, contents in reversed(stages[:-1]):
        migrate.downgrade(engine, revision)
        assert schema_of(engine) == schema
        assert contents_of(engine) == contents
    for revision in revisions[1:]:
        migrate.upgrade(engine, revision)
        write(engine, revision)  # what only a newer schema holds was lost on the way back
    revision, schema, contents = stages[-1]
    assert schema_of(engine) == schema
    assert contents_of(engine) == contents


def test_the_rows_of_the_first_revision_are_in_every_table(engine: Engine) -> None:
    migrate.upgrade(engine, "0001")
    write(engine, "0001")
    assert {name for name, rows in contents_of(engine).items() if not rows} == set()


def test_the_views_answer_on_a_database_that_was_upgraded(engine: Engine) -> None:
    migrate.upgrade(engine, "0001")
    write(engine, "0001")
    migrate.upgrade(engine)
    with engine.connect() as connection:
        for view in VIEWS:
            (row,) = connection.exec_driver_sql(f"SELECT * FROM {view}").mappings().all()
            assert row["account"] == "main"
        kinds = connection.exec_driver_sql(f"SELECT DISTINCT kind FROM {TIMELINE}").scalars()
        told = {"order", "execution", "position", "balance", "session", "gap", "reconciliation", "discrepancy"}
        assert set(kinds) == told


def test_when_frames_were_received_is_told_of_a_database_that_was_upgraded(engine: Engine) -> None:
    migrate.upgrade(engine, "0003")
    write(engine, "0001")
    with engine.begin() as connection:
        # Of the same span, one in the next ten seconds, and one from before the clock was set back.
        for seq, at_ns in ((1, 1580802054_000000000), (2, 1580802061_000000000), (3, 1580802053_000000000)):
            connection.exec_driver_sql(
                f"INSERT INTO frames VALUES (7, 11, {seq}, {at_ns}, 'push', NULL, 'control', NULL, x'')"
            )
    migrate.upgrade(engine)
    assert contents_of(engine)["receipts"] == [
        (7, 11, 0, 3, 1580802053_000000000, 1580802054_000000000),
        (7, 11, 2, 2, 1580802061_000000000, 1580802061_000000000),
    ]


def test_a_database_taken_back_to_nothing_can_be_made_again(engine: Engine) -> None:
    migrate.upgrade(engine)
    made = schema_of(engine)
    write(engine, "0001")
    migrate.downgrade(engine, "base")
    assert schema_of(engine).keys() == {migrate.VERSION_TABLE}
    with pytest.raises(DatabaseError, match="is empty; `recorder run` or `recorder db upgrade` makes its tables"):
        migrate.require_current(engine)
    migrate.require_usable(engine)
    assert schema_of(engine) == made


def test_upgrading_again_changes_nothing(engine: Engine) -> None:
    migrate.upgrade(engine)
    write(engine, "0001")
    before = schema_of(engine), contents_of(engine)
    migrate.upgrade(engine)
    migrate.require_usable(engine)
    assert (schema_of(engine), contents_of(engine)) == before


def test_an_older_schema_is_refused_with_the_command_that_upgrades_it(engine: Engine, url: str) -> None:
    migrate.upgrade(engine, "0001")
    write(engine, "0001")
    before = schema_of(engine)
    for check in (migrate.require_current, migrate.require_usable):
        with pytest.raises(SchemaOutdated, match=r"\(0001\) is older .* make a backup, and type: recorder db upgrade"):
            check(engine)
    with pytest.raises(SchemaOutdated):
        migrate.require_current(open_engine(url, read_only=True))
    assert schema_of(engine) == before


def downgrade(engine: Engine) -> None:
    migrate.downgrade(engine, "0001")


@pytest.mark.parametrize("attempt", [migrate.require_current, migrate.require_usable, migrate.upgrade, downgrade])
def test_a_newer_schema_is_refused(engine: Engine, attempt: Callable[[Engine], None]) -> None:
    migrate.upgrade(engine)
    write(engine, "0001")
    set_revision(engine, "9999")
    before = schema_of(engine), contents_of(engine)
    with pytest.raises(SchemaTooNew, match=r"\(9999\) is not one this recorder knows .* use the newer recorder"):
        attempt(engine)
    assert (schema_of(engine), contents_of(engine)) == before


@pytest.mark.parametrize("revision", ["0001", "0003", "ae1027a6acf"])
@pytest.mark.parametrize("attempt", [migrate.require_current, migrate.require_usable, migrate.upgrade])
def test_another_program_s_alembic_database_is_refused(
    engine: Engine, revision: str, attempt: Callable[[Engine], None]
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("CREATE TABLE letters (words TEXT)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (revision,))
    before = schema_of(engine), contents_of(engine)
    with pytest.raises(NotOurs, match="belongs to another program"):
        attempt(engine)
    assert (schema_of(engine), contents_of(engine)) == before
    assert pragma(engine, "application_id") == 0
    assert pragma(engine, "journal_mode") == "delete"


def test_a_migration_that_dies_at_any_statement_leaves_the_old_schema(engine: Engine) -> None:
    ways: list[tuple[str, Callable[[], None]]] = [
        ("base", lambda: migrate.upgrade(engine)),
        ("0001", lambda: migrate.upgrade(engine)),
        (migrate.head(), lambda: migrate.downgrade(engine, "0001")),
        (migrate.head(), lambda: migrate.downgrade(engine, "base")),
    ]
    for revision, way in ways:
        migrate.upgrade(engine)
        if revision != migrate.head():
            migrate.downgrade(engine, revision)
        if revision != "base" and not contents_of(engine)["accounts"]:
            write(engine, "0001")
        before = schema_of(engine), contents_of(engine)
        statements = 0
        while True:
            with dying_at(engine, statements + 1) as died, suppress(InterruptedError):
                way()
            if not died():
                break
            statements += 1
            assert (schema_of(engine), contents_of(engine)) == before
        assert statements > 5
        assert schema_of(engine) != before[0]


KILLED = """
import os, signal, sys
from sqlalchemy import event
from recorder.store import migrate
from recorder.store.engine import open_engine

engine = open_engine(sys.argv[1])

@event.listens_for(engine, "before_cursor_execute")
def kill(connection, cursor, statement, *rest):
    if statement.startswith("CREATE VIEW balances"):
        os.kill(os.getpid(), signal.SIGKILL)

migrate.upgrade(engine)
"""


def test_a_migration_that_is_killed_leaves_the_old_schema(engine: Engine, url: str) -> None:
    migrate.upgrade(engine, "0001")
    write(engine, "0001")
    before = schema_of(engine), contents_of(engine)
    killed = subprocess.run([sys.executable, "-c", KILLED, url], check=False, cwd=CHECKOUT)
    assert killed.returncode == -signal.SIGKILL
    assert (schema_of(engine), contents_of(engine)) == before
    migrate.upgrade(engine)
    migrate.require_current(engine)


def alembic(url: str, *arguments: str) -> str:
    """What `alembic` prints, at the top of the checkout."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "alembic", *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "RECORDER_DATABASE": url},
    )
    return done.stdout


def test_alembic_s_own_command_makes_the_same_database(engine: Engine, url: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    alembic(other, "upgrade", "head")
    migrate.upgrade(engine)
    by_alembic = open_engine(other)
    assert schema_of(by_alembic) == schema_of(engine)
    for name in ("journal_mode", "application_id", "user_version"):
        assert pragma(by_alembic, name) == pragma(engine, name)
    assert pragma(engine, "application_id") == APPLICATION_ID
    migrate.require_current(by_alembic)
    alembic(other, "downgrade", "0001")
    assert revision_of(by_alembic) == "0001"
    assert "No new upgrade operations" in alembic(url, "check")


def test_the_migrations_are_found_wherever_they_are_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "100% mine" / "recorder"
    (package / "migrations").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(recorder, "__file__", str(package / "__init__.py"))
    with pytest.raises(DatabaseError, match=r"is incomplete .* install it again"):
        migrate.migrations_folder()
    (package / "migrations" / "env.py").touch()
    assert migrate.migrations_folder() == package / "migrations"


def test_a_percent_sign_in_the_way_to_the_migrations(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = migrate.migrations_folder()
    linked = tmp_path / "100% mine"
    linked.mkdir()
    (linked / "migrations").symlink_to(real, target_is_directory=True)
    monkeypatch.setattr(migrate, "migrations_folder", lambda: linked / "migrations")
    migrate.upgrade(engine)
    migrate.require_current(engine)


def test_a_migrated_database_is_sound(engine: Engine) -> None:
    migrate.upgrade(engine, "0001")
    write(engine, "0001")
    for revision in (migrate.head(), "0001", migrate.head()):
        (migrate.upgrade if revision == migrate.head() else migrate.downgrade)(engine, revision)
        assert pragma(engine, "integrity_check") == "ok"
        assert pragma(engine, "foreign_key_check") is None
