"""Upgrades from one schema to the next, with data in the database, on both engines; and what is refused."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal, InvalidOperation
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from click.testing import CliRunner
from sqlalchemy import Engine, event, select, text

import recorder
from recorder.cli.commands import recorder as program
from recorder.errors import DatabaseError, NotOurs, SchemaOutdated, SchemaTooNew
from recorder.store import migrate
from recorder.store.engine import open_engine
from recorder.store.schema import TYPED, metadata
from recorder.store.sqlite import APPLICATION_ID
from recorder.venues import VENUES
from recorder.venues.base import Venue
from recorder.venues.reading import read_frame
from tests.made import unguard
from tests.migration.rows import ROWS, contents_of, schema_of, write
from tests.samples import FMEX, sample
from tests.server import PostgresServer
from tests.unit.okx.frames import VENUE as OKX
from tests.unit.okx.frames import sample as okx_sample

#: Views that show each push once, and the one that they need.
ONCE = ("account_updates_once", "order_updates_once", "position_updates_once", "transactions_once", "session_overlaps")
JOURNAL = ("frames", "batches", "spans", "event_log", "seals", "checkpoints", "redactions")
GUARDS = tuple(f"{table}_{guard}" for table in JOURNAL for guard in ("unchanged", "undeleted"))
#: Views with one row for the rows of the baseline; `timeline` has several.
VIEWS = (
    *("orders", "order_history", "positions", "balances", "trade_history"),
    *("executions", "order_lives", "position_history", "balance_history", "transaction_history", "round_trips", "pnl"),
)
TIMELINE = "timeline"
#: Where SQLite keeps what its planner should expect.
STATISTICS = "sqlite_stat1"
#: How the views of a venue's channels begin: `tests/contract/test_venue_views.py` shows what is in them.
VENUE_VIEWS = tuple(f"{name}_" for name in VENUES)
CHECKOUT = Path(recorder.__file__).parent.parent

#: What refuses a schema that is not its own.
ATTEMPTS = (migrate.require_current, migrate.require_usable, migrate.upgrade)
on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def set_revision(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


@contextmanager
def dying_at(engine: Engine, nth: int) -> Iterator[Callable[[], bool]]:
    """Fail at the nth statement that changes something. Yields a function that says whether there was one."""
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


@on_sqlite
# Its index by the time of a position; `schema_of` compares it.
@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_the_migrated_schema_is_the_declared_one(engine: Engine, tmp_path: Path) -> None:
    migrate.upgrade(engine)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    declared = open_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    with declared.begin() as connection:
        metadata.create_all(connection)
    others = {*ONCE, *VIEWS, *GUARDS, TIMELINE, migrate.VERSION_TABLE, STATISTICS}
    assert others <= schema_of(engine).keys()
    tables = {
        name: sql for name, sql in schema_of(engine).items() if name not in others and not name.startswith(VENUE_VIEWS)
    }
    # Column by column, in order, with every constraint and its name.
    assert tables == schema_of(declared)


@on_sqlite
def test_every_table_but_that_of_frames_is_stored_in_the_order_of_its_key(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.connect() as connection:
        tables = connection.exec_driver_sql("PRAGMA table_list").all()
    ours = {table.name: (table.strict, table.wr) for table in tables if table.name in metadata.tables}
    assert ours == dict.fromkeys(metadata.tables, (1, 1)) | {"frames": (1, 0)}


def test_the_revision_that_the_program_needs_is_the_newest() -> None:
    assert migrate.known_revisions()[-1] == migrate.HEAD


def test_there_are_rows_of_every_revision_and_they_are_in_every_table(tmp_path: Path) -> None:
    assert list(ROWS) == migrate.known_revisions()
    for revision in ROWS:
        engine = open_engine(f"sqlite:///{tmp_path / revision}.db")
        migrate.upgrade(engine, revision)
        write(engine, revision)
        assert {name for name, rows in contents_of(engine).items() if not rows} <= {"rebuild_needed"}


def test_the_views_answer(engine: Engine) -> None:
    migrate.upgrade(engine)
    write(engine)
    with engine.connect() as connection:
        for view in VIEWS:
            (row,) = connection.exec_driver_sql(f"SELECT * FROM {view}").mappings().all()
            assert row["account"] == "main"
        kinds = set(connection.exec_driver_sql(f"SELECT DISTINCT kind FROM {TIMELINE}").scalars())
    assert kinds == {
        *("order", "fill", "position", "balance", "transaction"),
        *("session", "gap", "reconciliation", "discrepancy"),
    }


def test_upgrading_again_changes_nothing(engine: Engine) -> None:
    migrate.upgrade(engine)
    write(engine)
    before = schema_of(engine), contents_of(engine)
    migrate.upgrade(engine)
    migrate.require_usable(engine)
    assert (schema_of(engine), contents_of(engine)) == before


def test_a_filled_database_is_upgraded_to_the_next_version(
    engine: Engine, url: str, request: pytest.FixtureRequest
) -> None:
    migrate.upgrade(engine)
    write(engine)
    before, old = schema_of(engine), contents_of(engine)
    older = rf"\({migrate.HEAD}\) is older .* \(next\); .* type: recorder db upgrade"
    request.getfixturevalue("next_version")
    for check in (migrate.require_current, migrate.require_usable):
        with pytest.raises(SchemaOutdated, match=older):
            check(engine)
    with pytest.raises(SchemaOutdated):
        migrate.require_current(open_engine(url, read_only=True))
    assert schema_of(engine) == before
    migrate.upgrade(engine)
    migrate.require_current(engine)
    # Guards and views included.
    new = schema_of(engine)
    assert {
        name for name in before if not re.match("(frames|order_updates)", name) and new[name] != before[name]
    } == set()
    assert before.keys() < new.keys()
    expected = old | {
        "alembic_version": [("next",)],
        "frames": [(*row, None) for row in old["frames"]],
        "order_updates": [(*row, "BUY") for row in old["order_updates"]],
    }
    assert contents_of(engine) == expected


SESSION_ID = 11
PUSHED = ("account", "order", "position", "ping")


def write_frames(
    engine: Engine, revision: str, venue: Venue = FMEX, payloads: Sequence[bytes] = tuple(map(sample, PUSHED))
) -> None:
    """Rows of a revision, with a journal of the exchange's sample frames."""
    write(engine, revision)
    with engine.begin() as connection:
        unguard(connection)
        for table in ("frames", "spans"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
        for seq, payload in enumerate(payloads):
            topic, status, error = read_frame(venue, payload)[:3]
            frame = {"seq": seq, "topic": topic, "status": status, "error": error, "payload": payload}
            statement = "INSERT INTO frames VALUES (7, 11, :seq, 1580802053670000000, 'push', :topic, :status, :error,"
            connection.execute(text(f"{statement} :payload)"), frame)
        last = len(payloads) - 1
        connection.exec_driver_sql(f"INSERT INTO spans VALUES (1, 0, 7, 11, 0, {last})")


def test_an_upgrade_makes_the_typed_rows_again(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Whatever the old tables held, the new ones follow from the frames; an interrupted upgrade is noticed."""
    server: PostgresServer = request.getfixturevalue("postgres")
    for url in (f"sqlite:///{tmp_path / 'recorder.db'}", server.new_database(empty=True)):
        engine = open_engine(url)
        migrate.upgrade(engine, "0001")
        write_frames(engine, "0001")
        migrate.upgrade(engine)
        with pytest.raises(SchemaOutdated, match=r"was interrupted .* type again: recorder db upgrade"):
            migrate.require_current(engine)
        done = CliRunner().invoke(program, ["db", "upgrade", "--database", url], catch_exceptions=False)
        assert (done.exit_code, "4 rows were made again from the frames" in done.stdout) == (0, True), done.output
        migrate.require_current(engine)
        with engine.connect() as connection:
            for seq, name in enumerate(PUSHED):
                (update,) = read_frame(FMEX, sample(name)).updates
                table = TYPED[type(update)]
                (row,) = connection.execute(select(table))
                assert row[2] == seq
                for column, expected, stored in zip(table.c, (*row[:5], *update), row, strict=True):
                    exact = isinstance(stored, Decimal)
                    assert stored == (Decimal(str(expected)) if exact else expected), column
        again = CliRunner().invoke(program, ["db", "upgrade", "--database", url], catch_exceptions=False)
        assert (again.exit_code, "made again" in again.stdout) == (0, False), again.output
        engine.dispose()


def test_a_file_is_copied_before_it_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "recorder.db"
    url = f"sqlite:///{path}"
    engine = open_engine(url)
    migrate.upgrade(engine, "0001")
    write_frames(engine, "0001")
    before = schema_of(engine), contents_of(engine)
    command = ["db", "upgrade", "--database", url]
    done = CliRunner().invoke(program, command, catch_exceptions=False)
    copy = tmp_path / "recorder.db.schema-0001"
    assert f"Copied {path} to {copy};" in done.stdout
    kept = open_engine(f"sqlite:///{copy}", read_only=True)
    assert (schema_of(kept), contents_of(kept)) == before
    kept.dispose()
    migrate.require_current(engine)
    engine.dispose()
    copy.unlink()
    again = CliRunner().invoke(program, command, catch_exceptions=False)
    assert (again.exit_code, "Copied" in again.stdout, copy.exists()) == (0, False, False), "nothing had to change"


def test_no_copy_is_made_where_none_is_wanted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    engine = open_engine(url)
    migrate.upgrade(engine, "0001")
    engine.dispose()
    done = CliRunner().invoke(program, ["db", "upgrade", "--no-backup", "--database", url], catch_exceptions=False)
    assert (done.exit_code, "Copied" in done.stdout) == (0, False)
    assert [path.name for path in tmp_path.iterdir() if "schema" in path.name] == []


def test_no_file_is_upgraded_whose_copy_cannot_be_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'recorder.db'}"
    engine = open_engine(url)
    migrate.upgrade(engine, "0001")
    (tmp_path / "recorder.db.schema-0001.part").mkdir()
    done = CliRunner().invoke(program, ["db", "upgrade", "--database", url])
    assert isinstance(done.exception, DatabaseError)
    assert "cannot be written" in str(done.exception)
    with engine.connect() as connection:
        assert migrate.current(connection) == "0001"
    engine.dispose()


@pytest.mark.parametrize("venue", ["okx", "fmex"])
def test_fields_of_okx_have_columns_and_are_in_no_extra(
    tmp_path: Path, request: pytest.FixtureRequest, venue: str
) -> None:
    """A record of another exchange needs no typed row again."""
    server: PostgresServer = request.getfixturevalue("postgres")
    for url in (f"sqlite:///{tmp_path / 'recorder.db'}", server.new_database(empty=True)):
        engine = open_engine(url)
        migrate.upgrade(engine, "0006")
        write_frames(engine, "0006", OKX, [okx_sample("orders")])
        with engine.begin() as connection:
            connection.execute(text("UPDATE accounts SET venue = :venue"), {"venue": venue})
            connection.exec_driver_sql("UPDATE order_updates SET seq = 0, extra = 'slippage'")
        migrate.upgrade(engine)
        done = CliRunner().invoke(program, ["db", "upgrade", "--database", url], catch_exceptions=False)
        assert (done.exit_code, "made again" in done.stdout) == (0, venue == "okx"), done.output
        migrate.require_current(engine)
        with engine.connect() as connection:
            expected = None if venue == "okx" else "slippage"
            assert connection.exec_driver_sql("SELECT extra FROM order_updates").scalars().all() == [expected]
            if venue == "okx":
                shown = 'SELECT slippage, "riskBypassResult" FROM okx_orders'
                assert connection.exec_driver_sql(shown).all() == [("0", "")]
        engine.dispose()


def test_sums_of_fills_are_kept_and_those_of_funding_are_made(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server: PostgresServer = request.getfixturevalue("postgres")
    for url in (f"sqlite:///{tmp_path / 'recorder.db'}", server.new_database(empty=True)):
        engine = open_engine(url)
        migrate.upgrade(engine, "0003")
        write(engine, "0003")
        migrate.upgrade(engine)
        with engine.begin() as connection:
            # These typed rows follow from no frames, so they cannot be made again.
            connection.exec_driver_sql("DELETE FROM rebuild_needed")
        names = "lasts_ms, begins_ms, symbol, currency, trades, quantity, taker_quantity, paid, payments, funding_paid"
        query = f"SELECT {names} FROM period_sums ORDER BY lasts_ms"
        with engine.connect() as connection:
            of_fills = ("BTCUSD_P", "BTC", 1, Decimal(1), Decimal(1), Decimal("4.8449612403E-8"))
            found = [tuple(map(_exact, row)) for row in connection.exec_driver_sql(query)]
            expected = [(900_000, 1580801400000, *of_fills), (86_400_000, 1580774400000, *of_fills)]
            assert found == [(*row, 0, 0) for row in expected]
            assert (7, "", "") in connection.exec_driver_sql("SELECT * FROM stale").all()
        with recorder.open(url) as record:
            (before,) = record.funding()
        done = CliRunner().invoke(program, ["db", "upgrade", "--database", url], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        with engine.connect() as connection:
            found = [tuple(map(_exact, row)) for row in connection.exec_driver_sql(query)]
            paid = ("BTCUSD_P", "BTC", 1, Decimal("1E-8"))
            stretches = [(900_000, 1580802300000), (86_400_000, 1580774400000)]
            assert [(*row[:4], *row[-2:]) for row in found if row[-2]] == [(*one, *paid) for one in stretches]
            assert not connection.exec_driver_sql("SELECT * FROM stale").all()
        with recorder.open(url) as record:
            assert (before.payments, before.amount) == (1, Decimal("-1E-8"))
            assert record.funding() == [before]
        engine.dispose()


def test_trips_are_made_anew(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server: PostgresServer = request.getfixturevalue("postgres")
    for url in (f"sqlite:///{tmp_path / 'recorder.db'}", server.new_database(empty=True)):
        engine = open_engine(url)
        migrate.upgrade(engine, "0008")
        write(engine, "0008")
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE trips SET fee = '7', currency = 'BNB'")
        migrate.upgrade(engine)
        with recorder.open(url) as record:
            (trip,) = before = list(record.trips())
        assert (trip.fee, trip.fee_currency, trip.currency) == (Decimal("4.8449612403E-8"), "BTC", "BTC")
        done = CliRunner().invoke(program, ["db", "upgrade", "--database", url], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        with engine.connect() as connection:
            for table in ("stale", "stale_quarters"):
                assert not connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            (shown,) = connection.exec_driver_sql("SELECT fee, fee_currency, currency FROM round_trips")
        assert (float(shown[0]), *shown[1:]) == (pytest.approx(4.8449612403e-8), "BTC", "BTC")
        with recorder.open(url) as record:
            assert list(record.trips()) == before
        engine.dispose()


def test_orders_that_a_list_opened_again_have_ended(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server: PostgresServer = request.getfixturevalue("postgres")
    for url in (f"sqlite:///{tmp_path / 'recorder.db'}", server.new_database(empty=True)):
        engine = open_engine(url)
        migrate.upgrade(engine, "0009")
        write(engine, "0009")
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE order_states SET is_open = 1")
            connection.exec_driver_sql("UPDATE order_updates SET status = 'filled'")
            (order,) = connection.exec_driver_sql("SELECT account_id, order_id, '' FROM order_states").all()
        migrate.upgrade(engine)
        with engine.connect() as connection:
            assert order in connection.exec_driver_sql("SELECT * FROM stale").all()
            assert not connection.exec_driver_sql("SELECT * FROM snapshots").all()
        engine.dispose()


def _exact(value: Any) -> Any:
    """A value of either engine: decimals are text on SQLite."""
    with suppress(InvalidOperation):
        return Decimal(value) if isinstance(value, str) else value
    return value


def test_an_upgrade_that_fails_at_any_statement_leaves_the_old_schema(
    engine: Engine, request: pytest.FixtureRequest
) -> None:
    migrate.upgrade(engine)
    write(engine)
    before = schema_of(engine), contents_of(engine)
    request.getfixturevalue("next_version")
    # Five statements of the revision and of Alembic, between those that drop and create the views of venues: of one on
    # SQLite, of all on PostgreSQL.
    for nth in count(1, 1 if engine.dialect.name == "sqlite" else 17):
        with dying_at(engine, nth) as died, suppress(InterruptedError):
            migrate.upgrade(engine)
        if not died():
            break
        assert (schema_of(engine), contents_of(engine)) == before
    views = [name for name in before[0] if name.startswith(VENUE_VIEWS) and "." not in name]
    assert nth > 5 + 2 * len(views)
    migrate.require_current(engine)


@on_sqlite
@pytest.mark.parametrize("nth", [1, 20])
def test_a_schema_that_could_not_be_made_whole_is_not_made(engine: Engine, nth: int) -> None:
    with dying_at(engine, nth) as died, pytest.raises(InterruptedError):
        migrate.upgrade(engine)
    assert died()
    assert schema_of(engine) == {}
    migrate.upgrade(engine)
    migrate.require_current(engine)


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from recorder.store import migrate
from recorder.store.engine import open_engine

engine = open_engine(sys.argv[1])
migrate.migrations_folder = lambda: Path(sys.argv[2])

@event.listens_for(engine, "before_cursor_execute")
def kill(connection, cursor, statement, *rest):
    if statement.startswith("CREATE VIEW parents"):
        os.kill(os.getpid(), signal.SIGKILL)

migrate.upgrade(engine)
"""


def test_an_upgrade_that_is_killed_leaves_the_old_schema(
    engine: Engine, url: str, next_migrations: Path, request: pytest.FixtureRequest
) -> None:
    migrate.upgrade(engine)
    write(engine)
    before = schema_of(engine), contents_of(engine)
    arguments = [sys.executable, "-c", KILLED, url, str(next_migrations)]
    assert subprocess.run(arguments, check=False, cwd=CHECKOUT).returncode == -signal.SIGKILL
    assert (schema_of(engine), contents_of(engine)) == before
    request.getfixturevalue("next_version")
    migrate.upgrade(engine)
    migrate.require_current(engine)


@pytest.mark.parametrize("revision", ["0001", "0007"])
def test_a_schema_from_before_the_first_release_is_refused(engine: Engine, revision: str) -> None:
    migrate.upgrade(engine)
    write(engine)
    with engine.begin() as connection:
        # Its revisions had the numbers 0001 to 0007.
        connection.exec_driver_sql("DROP TABLE credentials")
    set_revision(engine, revision)
    before = schema_of(engine), contents_of(engine)
    for attempt in ATTEMPTS:
        with pytest.raises(NotOurs, match=r"from before the first release, .* cannot be upgraded: start a new one"):
            attempt(engine)
        assert (schema_of(engine), contents_of(engine)) == before


def test_a_newer_schema_is_refused(engine: Engine) -> None:
    migrate.upgrade(engine)
    write(engine)
    set_revision(engine, "9999")
    before = schema_of(engine), contents_of(engine)
    for attempt in ATTEMPTS:
        with pytest.raises(SchemaTooNew, match=r"\(9999\) is not one this recorder knows .* use the newer recorder"):
            attempt(engine)
        assert (schema_of(engine), contents_of(engine)) == before


@pytest.mark.parametrize("revision", ["0001", "ae1027a6acf"])
@on_sqlite
def test_another_program_s_alembic_database_is_refused(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("CREATE TABLE letters (words TEXT)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (revision,))
    before = schema_of(engine), contents_of(engine)
    for attempt in ATTEMPTS:
        with pytest.raises(NotOurs, match="belongs to another program"):
            attempt(engine)
        assert (schema_of(engine), contents_of(engine)) == before
    assert pragma(engine, "application_id") == 0
    assert pragma(engine, "journal_mode") == "delete"


def test_a_migration_imports_nothing_of_the_program() -> None:
    folder = migrate.migrations_folder()
    files = [file for file in folder.rglob("*.py") if file.name != "env.py"]
    assert len(files) > 9
    for file in files:
        assert not re.search(r"^\s*(from|import) recorder", file.read_text(encoding="utf-8"), re.MULTILINE), file


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


@on_sqlite
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
    assert "No new upgrade operations" in alembic(url, "check")


def test_the_migrations_are_found_wherever_they_are_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # An editable install leaves a copy in site-packages, which may be older: the checkout's are used.
    assert migrate.migrations_folder() == CHECKOUT / "migrations"
    package = tmp_path / "100% mine" / "recorder"
    (package / "migrations").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(recorder, "__file__", str(package / "__init__.py"))
    with pytest.raises(DatabaseError, match=r"is incomplete .* install it again"):
        migrate.migrations_folder()
    (package / "migrations" / "env.py").touch()
    assert migrate.migrations_folder() == package / "migrations"


@on_sqlite
def test_a_percent_sign_in_the_path_of_the_migrations(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = migrate.migrations_folder()
    linked = tmp_path / "100% mine"
    linked.mkdir()
    (linked / "migrations").symlink_to(real, target_is_directory=True)
    monkeypatch.setattr(migrate, "migrations_folder", lambda: linked / "migrations")
    migrate.upgrade(engine)
    migrate.require_current(engine)


@on_sqlite
def test_an_upgraded_database_is_sound(engine: Engine, request: pytest.FixtureRequest) -> None:
    migrate.upgrade(engine)
    write(engine)
    request.getfixturevalue("next_version")
    migrate.upgrade(engine)
    assert pragma(engine, "integrity_check") == "ok"
    assert pragma(engine, "foreign_key_check") is None
