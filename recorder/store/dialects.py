"""Inserting and reading many rows fast, and advisory locks: what SQLite and PostgreSQL do differently."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Dialect, Select, Table, insert
from sqlalchemy.exc import DBAPIError

SQLITE = "sqlite"
POSTGRESQL = "postgresql"

#: Rows that one statement inserts into SQLite. The driver releases the interpreter lock for each statement, and while
#: another thread is busy, taking the lock again costs more than inserting a row.
ROWS_A_STATEMENT = 20


def insert_new(connection: Connection, table: Table, *, older: str | None = None) -> Any:
    """Return an insert that keeps an existing row with the same key.

    Args:
        connection: to the database.
        table: the table.
        older: a column of which the smaller of the two values is kept.
    """
    upsert: Any = _upsert_of(connection.dialect.name)(table)
    if older is None:
        return upsert.on_conflict_do_nothing()
    new = upsert.excluded[older]
    return upsert.on_conflict_do_update(
        index_elements=list(table.primary_key), set_={older: new}, where=new < table.c[older]
    )


def replace_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, in place of those with the same keys."""
    if not rows:
        return
    upsert: Any = _upsert_of(connection.dialect.name)(table)
    others = {column.name: upsert.excluded[column.name] for column in table.c if not column.primary_key}
    replacing = upsert.on_conflict_do_update(index_elements=list(table.primary_key), set_=others)
    names = table.c.keys()
    connection.execute(replacing, [dict(zip(names, row, strict=True)) for row in rows])


def _upsert_of(dialect: str) -> Callable[[Table], Any]:
    """The `INSERT ... ON CONFLICT` of an engine; the other engine's dialect is not imported."""
    if dialect == SQLITE:
        from sqlalchemy.dialects.sqlite import insert as upsert_sqlite  # noqa: PLC0415

        return upsert_sqlite
    from sqlalchemy.dialects.postgresql import insert as upsert_postgresql  # noqa: PLC0415

    return upsert_postgresql


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows whose values the driver takes as they are, in the order of the table's columns.

    It uses the driver's `executemany` on SQLite and COPY on PostgreSQL, so no object is created for a row.
    """
    if not rows:
        return
    if connection.dialect.name != SQLITE:
        _copy(connection, _copy_sql(table), rows)
        return
    whole = len(rows) - len(rows) % ROWS_A_STATEMENT
    if whole:
        groups = range(0, whole, ROWS_A_STATEMENT)
        values = [tuple(chain.from_iterable(rows[start : start + ROWS_A_STATEMENT])) for start in groups]
        connection.exec_driver_sql(_insert_sql(table, connection.dialect, ROWS_A_STATEMENT), values)
    if whole < len(rows):
        connection.exec_driver_sql(_insert_sql(table, connection.dialect, 1), list(rows[whole:]))


def _copy(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    errors = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(sql) as copy:
            write_row = copy.write_row
            for row in rows:
                write_row(row)
    except errors as error:
        # The error SQLAlchemy would raise if it supported COPY.
        raise DBAPIError.instance(sql, None, error, errors, dialect=connection.dialect) from error


class PreparedQuery:
    """A query that is compiled once, run often with other values, and returns the driver's own rows.

    Compiling it, or making SQLAlchemy's rows, would cost as much as reading.

    Args:
        query: with a `bindparam` and a default for each value that changes.
        dialect: of the connections it runs on.
    """

    def __init__(self, query: Select[Any], dialect: Dialect) -> None:
        compiled = query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self._sql = str(compiled)
        self._fixed = compiled.construct_params()
        self._order = compiled.positiontup if compiled.positional else None

    def fetch(self, connection: Connection, **values: object) -> Sequence[tuple[Any, ...]]:
        """Run the query with these values in a transaction of its own, and return all rows."""
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
    """Prevent others from moving a run's batches until the transaction ends. SQLite has only one writer anyway."""
    if connection.dialect.name == POSTGRESQL:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({run_id:d})")


#: Key of the advisory lock under which credentials are compared and added.
_CREDENTIALS = 0x52434B59


def lock_credentials(connection: Connection) -> None:
    """Prevent others from adding credentials until the transaction ends. SQLite has only one writer anyway."""
    if connection.dialect.name == POSTGRESQL:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREDENTIALS})")


#: First half of the key of an account's advisory lock; the account is the other.
_ACCOUNTS = 0x5243


def share_account(connection: Connection, account_id: int) -> None:
    """Prevent `take_account` until the transaction ends, which writes rows of the account. Several may share it."""
    if connection.dialect.name == POSTGRESQL:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_ACCOUNTS}, {account_id & 0x7FFFFFFF:d})")


def take_account(connection: Connection, account_id: int) -> bool:
    """Prevent others from writing rows of an account until the transaction ends.

    Returns:
        False, without waiting, if somebody else is writing them.
    """
    if connection.dialect.name != POSTGRESQL:
        return True
    taken = f"SELECT pg_try_advisory_xact_lock({_ACCOUNTS}, {account_id & 0x7FFFFFFF:d})"
    return bool(connection.exec_driver_sql(taken).scalar())


@lru_cache(maxsize=64)
def _insert_sql(table: Table, dialect: Dialect, rows: int) -> str:
    one_row = str(insert(table).compile(dialect=dialect))
    head, values, placeholders = one_row.partition(" VALUES ")
    return head + values + ", ".join([placeholders] * rows)


@lru_cache(maxsize=64)
def _copy_sql(table: Table) -> str:
    return f"COPY {table.name} ({', '.join(table.c.keys())}) FROM STDIN"
