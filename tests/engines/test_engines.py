"""The same questions give the same rows, on the databases and in engines that read their exports as Parquet.

Spark is in `make engines` only: it is large, and needs Java.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import text

from tests.engines.conftest import Recorded
from tests.engines.queries import QUERIES
from tests.unit.read.desk import Desk

# py4j leaves its sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.long,
]

#: Relation of the queries → table of the export.
TABLES = {"executions": "fills", "position_history": "position_history", "gaps": "gaps"}
Rows = list[tuple[Any, ...]]


class Database:
    """The record itself."""

    def __init__(self, desk: Desk) -> None:
        self._engine = desk.engine

    def rows(self, sql: str) -> Rows:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql.replace(":", "\\:")))]


class DuckDB:
    """DuckDB over an export."""

    def __init__(self, folder: Path) -> None:
        self._connection = duckdb.connect()
        self._connection.execute("SET TimeZone = 'UTC'")
        for name, table in TABLES.items():
            files = f"{table}/**/*.parquet" if (folder / table).is_dir() else f"{table}.parquet"
            read = f"read_parquet('{folder / files}', hive_partitioning = true)"
            self._connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {read}")

    def rows(self, sql: str) -> Rows:
        return self._connection.execute(sql).fetchall()


class Spark:
    """Spark over an export, in its own session."""

    def __init__(self, session: Any, folder: Path) -> None:
        self._session = session.newSession()
        for name, table in TABLES.items():
            place = folder / table if (folder / table).is_dir() else folder / f"{table}.parquet"
            self._session.read.parquet(str(place)).createOrReplaceTempView(name)

    def rows(self, sql: str) -> Rows:
        return [tuple(row) for row in self._session.sql(sql).collect()]


@pytest.fixture(scope="session")
def sparks(in_sqlite: Recorded, in_postgresql: Recorded) -> Iterator[list[Spark]]:
    """A local Spark, over both exports."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").appName("recorder")
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield [Spark(session, recorded.folder) for recorded in (in_sqlite, in_postgresql)]
    session.stop()


def plain(rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows with values of one kind: a float, decimal or integer becomes one kind of number, a time becomes text."""
    return [tuple(_plain(value) for value in row) for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):  # Spark's have no zone, and are of this machine's
        return value.astimezone(UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")
    return Decimal(str(value)).normalize() + 0 if isinstance(value, int | float | Decimal) else value


@pytest.mark.parametrize("name", QUERIES)
def test_databases_and_duckdb_give_the_same_rows(in_sqlite: Recorded, in_postgresql: Recorded, name: str) -> None:
    sql = QUERIES[name]
    expected = plain(Database(in_postgresql.desk).rows(sql))
    assert expected
    assert plain(Database(in_sqlite.desk).rows(sql)) == expected
    for recorded in (in_sqlite, in_postgresql):
        assert plain(DuckDB(recorded.folder).rows(sql)) == expected


@pytest.mark.engines
@pytest.mark.parametrize("name", QUERIES)
def test_spark_gives_the_same_rows(sparks: list[Spark], in_postgresql: Recorded, name: str) -> None:
    expected = plain(Database(in_postgresql.desk).rows(QUERIES[name]))
    for spark in sparks:
        assert plain(spark.rows(QUERIES[name])) == expected


def test_the_story_is_complete(in_sqlite: Recorded) -> None:
    sql = "SELECT received_ns, order_id, symbol, quantity FROM executions ORDER BY received_ns, order_id"
    expected = [(fill.at_ns, fill.order_id, fill.symbol, fill.quantity) for fill in in_sqlite.fills]
    assert len(expected) > 100
    assert DuckDB(in_sqlite.folder).rows(sql) == sorted(expected)


def sum_of_fees(recorded: Recorded) -> Decimal:
    with recorded.desk.open() as record:
        return sum((fill.fee for fill in record.fills() if fill.fee is not None), Decimal(0))


def test_duckdb_adds_up_exactly(in_sqlite: Recorded) -> None:
    ((fees,),) = DuckDB(in_sqlite.folder).rows("SELECT SUM(fee) FROM executions")
    assert fees == sum_of_fees(in_sqlite)


@pytest.mark.engines
def test_spark_adds_up_exactly(sparks: list[Spark], in_sqlite: Recorded) -> None:
    ((fees,),) = sparks[0].rows("SELECT SUM(fee) FROM executions")
    assert fees == sum_of_fees(in_sqlite)
