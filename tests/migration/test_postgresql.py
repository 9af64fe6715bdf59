"""The schema on PostgreSQL: declared and migrated alike, all or nothing, in partitions, and fit to be distributed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, ForeignKeyConstraint, Index, PrimaryKeyConstraint, UniqueConstraint, inspect

from recorder.errors import NotOurs
from recorder.model import time_ordered_id
from recorder.store import migrate
from recorder.store.engine import open_engine
from recorder.store.schema import TYPED, metadata
from tests.migration.rows import write
from tests.migration.test_migrations import ONCE, TIMELINE, VENUE_VIEWS, VIEWS, dying_at
from tests.server import PostgresServer

GROWING = {"frames", *(table.name for table in TYPED.values())}

#: How a distributed PostgreSQL (Citus) would hold the tables: docs/postgresql.md says the same in its own words.
REFERENCE = {"accounts", "recorders", "runs", "identity", "checkpoints", "retirements", "rebuild_needed"}
BY_RUN = {"batches", "spans", "event_log", "seals", "projected"}
BY_ACCOUNT = set(metadata.tables) - REFERENCE - BY_RUN


@pytest.fixture
def url(postgres: PostgresServer, request: pytest.FixtureRequest) -> str:
    return postgres.new_database(empty=getattr(request, "param", "filled") == "empty")


empty = pytest.mark.parametrize("url", ["empty"], indirect=True)


def names(engine: Engine) -> tuple[set[str], set[str]]:
    """Tables that are no partitions, and views."""
    inspector = inspect(engine)
    partitions = {name for name in inspector.get_table_names() if name.rpartition("_")[0] in GROWING}
    return set(inspector.get_table_names()) - partitions, set(inspector.get_view_names())


@empty
def test_the_migrated_schema_is_the_declared_one(engine: Engine) -> None:
    migrate.upgrade(engine)

    def ours(_object: Any, name: str | None, kind: str, *_: Any) -> bool:
        return kind != "table" or name in metadata.tables

    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_object": ours}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    tables, views = names(engine)
    assert tables == {*metadata.tables, migrate.VERSION_TABLE}
    assert {name for name in views if not name.startswith(VENUE_VIEWS)} == {*ONCE, *VIEWS, TIMELINE}
    inspector = inspect(engine)
    for table in metadata.sorted_tables:
        assert [column["name"] for column in inspector.get_columns(table.name)] == list(table.c.keys())
        assert inspector.get_pk_constraint(table.name)["name"] == table.primary_key.name
        keys = {key["name"] for key in inspector.get_foreign_keys(table.name)}
        assert keys == {key.name for key in table.foreign_key_constraints}


@empty
@pytest.mark.parametrize(
    "nth", [pytest.param(1, marks=pytest.mark.long), 100, pytest.param(180, marks=pytest.mark.long)]
)
def test_a_schema_that_could_not_be_made_whole_is_not_made(engine: Engine, nth: int) -> None:
    with dying_at(engine, nth) as died, pytest.raises(InterruptedError):
        migrate.upgrade(engine)
    assert died()
    assert names(engine) == (set(), set())
    migrate.upgrade(engine)
    migrate.require_current(engine)


@empty
def test_several_recorders_may_make_the_schema_at_once(engine: Engine) -> None:
    engines = [open_engine(engine.url.render_as_string(hide_password=False)) for _ in range(4)]
    with ThreadPoolExecutor(len(engines)) as pool:
        list(pool.map(migrate.require_usable, engines))
    for one in engines:
        migrate.require_current(one)
        one.dispose()


@empty
def test_the_database_of_another_program_is_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE things (a INT)")
    with pytest.raises(NotOurs, match="belongs to another program"):
        migrate.require_usable(engine)
    assert names(engine) == ({"things"}, set())


@empty
def test_a_session_lies_in_the_partition_of_its_year(engine: Engine) -> None:
    migrate.upgrade(engine)
    lies_in = [
        (datetime(2018, 12, 31, 23, 59, 59, tzinfo=UTC), "frames_other"),
        (datetime(2019, 1, 1, tzinfo=UTC), "frames_2019"),
        (datetime(2020, 2, 4, 7, 40, 53, tzinfo=UTC), "frames_2020"),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "frames_2026"),
        (datetime(2027, 1, 1, tzinfo=UTC), "frames_2027"),
        (datetime(2041, 1, 1, tzinfo=UTC), "frames_other"),
    ]
    for when, partition in lies_in:
        session_id = time_ordered_id(int(when.timestamp()) * 10**9)
        with engine.begin() as connection:
            values = f"(7, {session_id}, 0, 1, 'push', NULL, 'control', NULL, '')"
            connection.exec_driver_sql(f"INSERT INTO frames VALUES {values}")
            found = connection.exec_driver_sql(
                f"SELECT tableoid::regclass::text FROM frames WHERE session_id = {session_id}"
            ).scalar()
        assert found == partition


def test_a_year_can_be_detached_and_attached_again(engine: Engine) -> None:
    migrate.upgrade(engine)
    write(engine)
    with engine.begin() as connection:
        year = connection.exec_driver_sql("SELECT tableoid::regclass::text FROM frames").scalar()
        bounds = connection.exec_driver_sql(
            f"SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = '{year}'"
        ).scalar()
        connection.exec_driver_sql(f"ALTER TABLE frames DETACH PARTITION {year}")
        assert connection.exec_driver_sql("SELECT count(*) FROM frames").scalar() == 0
        connection.exec_driver_sql(f"ALTER TABLE frames ATTACH PARTITION {year} {bounds}")
        assert connection.exec_driver_sql("SELECT count(*) FROM frames").scalar() == 1


@pytest.mark.parametrize("name", sorted(metadata.tables))
def test_every_constraint_is_legal_where_rows_are_distributed(name: str) -> None:
    """Citus: unique keys hold the distribution column; foreign keys lead to reference tables, or hold it on both sides.

    Source: Citus documentation, "Creating and Modifying Distributed Objects (DDL)".
    """
    table = metadata.tables[name]
    column = "account_id" if name in BY_ACCOUNT else "run_id" if name in BY_RUN else None
    for constraint in table.constraints:
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint) and column is not None:
            assert column in constraint.columns
        if isinstance(constraint, ForeignKeyConstraint):
            target = constraint.referred_table.name
            own_group = column is not None and column in constraint.columns and target not in REFERENCE
            assert target in REFERENCE or own_group
    for index in table.indexes:
        assert isinstance(index, Index)
        assert not index.unique or column is None or column in index.columns


def test_the_growing_tables_are_those_that_are_distributed_by_account() -> None:
    assert GROWING <= BY_ACCOUNT
