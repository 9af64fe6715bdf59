"""What the engines spell differently in the writing of rows, and in the reading of very many."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Select, Table, insert
from sqlalchemy.exc import DBAPIError

SQLITE = "sqlite"
POSTGRESQL = "postgresql"


def insert_new(connection: Connection, table: Table, *, older: str | None = None) -> Any:
    """An insert that leaves a row alone which is there already, by its key.

    Args:
        connection: whose dialect counts.
        table: into which.
        older: a column in which the smaller of the two values stays.
    """
    upsert: Any = _upsert_of(connection.dialect.name)(table)
    if older is None:
        return upsert.on_conflict_do_nothing()
    told = upsert.excluded[older]
    return upsert.on_conflict_do_update(
        index_elements=list(table.primary_key), set_={older: told}, where=told < table.c[older]
    )


def _upsert_of(dialect: str) -> Callable[[Table], Any]:
    """The `INSERT ... ON CONFLICT` of an engine; the other engine's dialect is not imported."""
    if dialect == SQLITE:
        from sqlalchemy.dialects.sqlite import insert as upsert_sqlite  # noqa: PLC0415

        return upsert_sqlite
    from sqlalchemy.dialects.postgresql import insert as upsert_postgresql  # noqa: PLC0415

    return upsert_postgresql


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows whose values are what the driver takes, in the order of the table's columns.

    Driver-level `executemany` over the tuples as they are on SQLite, COPY on PostgreSQL: nothing is made for a row.
    """
    if not rows:
        return
    if connection.dialect.name == SQLITE:
        connection.exec_driver_sql(_insert_sql(table, connection.dialect), list(rows))
        return
    _copy(connection, _copy_sql(table), rows)


def _copy(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    errors = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(sql) as copy:
            write_row = copy.write_row
            for row in rows:
                write_row(row)
    except errors as error:
        # As SQLAlchemy, which knows nothing of COPY, would have raised it.
        raise DBAPIError.instance(sql, None, error, errors, dialect=connection.dialect) from error


class Rows:
    """A query asked again and again, with other values, whose rows are taken as the driver gives them.

    Compiled once, and nothing is made of a row: either would cost as much as the reading.

    Args:
        query: with a `bindparam` for each value that changes, and a default of each.
        dialect: of the connections it is asked on.
    """

    def __init__(self, query: Select[Any], dialect: Dialect) -> None:
        compiled = query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self._sql = str(compiled)
        self._fixed = compiled.construct_params()
        self._order = compiled.positiontup if compiled.positional else None

    def fetch(self, connection: Connection, **values: object) -> Sequence[tuple[Any, ...]]:
        """All rows, given the values that change, in a transaction of their own."""
        named = {**self._fixed, **values}
        parameters = named if self._order is None else [named[name] for name in self._order]
        driver: Any = connection.connection.driver_connection
        errors = connection.dialect.loaded_dbapi.Error
        try:
            rows: Sequence[tuple[Any, ...]] = driver.execute(self._sql, parameters).fetchall()
            driver.rollback()
        except errors as error:
            raise DBAPIError.instance(self._sql, None, error, errors, dialect=connection.dialect) from error
        return rows


def lock_run(connection: Connection, run_id: int) -> None:
    """Let nobody else move a run's batches until the transaction ends; on SQLite a writer is alone anyway."""
    if connection.dialect.name == POSTGRESQL:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({run_id:d})")


#: Key of the advisory lock under which credentials are compared and added.
_CREDENTIALS = 0x52434B59


def lock_credentials(connection: Connection) -> None:
    """Let nobody else add credentials until the transaction ends; on SQLite a writer is alone anyway."""
    if connection.dialect.name == POSTGRESQL:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREDENTIALS})")


#: A part of the key of the advisory locks of accounts; the other is the account's own.
_ACCOUNTS = 0x5243


def share_account(connection: Connection, account_id: int) -> None:
    """Let nobody take an account until the transaction ends, in which something of it is written; others may share it.

    On SQLite a writer is alone anyway.
    """
    if connection.dialect.name == POSTGRESQL:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_ACCOUNTS}, {account_id & 0x7FFFFFFF:d})")


def take_account(connection: Connection, account_id: int) -> bool:
    """Have an account alone until the transaction ends; without waiting. Returns whether nobody else writes it."""
    if connection.dialect.name != POSTGRESQL:
        return True
    taken = f"SELECT pg_try_advisory_xact_lock({_ACCOUNTS}, {account_id & 0x7FFFFFFF:d})"
    return bool(connection.exec_driver_sql(taken).scalar())


@lru_cache(maxsize=64)
def _insert_sql(table: Table, dialect: Dialect) -> str:
    return str(insert(table).compile(dialect=dialect))


@lru_cache(maxsize=64)
def _copy_sql(table: Table) -> str:
    return f"COPY {table.name} ({', '.join(table.c.keys())}) FROM STDIN"
