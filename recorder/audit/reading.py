"""Reading a record to verify it: rows as the driver gives them, from one consistent state, in constant memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from recorder.store.dialects import SQLITE
from recorder.store.engine import blaming, explain, open_engine
from recorder.store.types import ExactDecimal

Row = tuple[Any, ...]

#: Rows fetched at a time: a single frame can have megabytes.
FETCH_ROWS = 64


class RecordReader:
    """A record opened read-only, below SQLAlchemy, which would cost as much per row as the reading itself.

    Statements have no parameters; only whole numbers are put into them.

    Args:
        url: of the database.

    Raises:
        DatabaseError: it cannot be read.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = blaming(open_engine(url, read_only=True), url)
        self._connection = self._engine.connect()
        self._driver: Any = self._connection.connection.driver_connection
        self._errors = self._engine.dialect.loaded_dbapi.Error
        self._names = count()
        #: Whether decimals have the digits that were written; a server only keeps their value.
        self.exact = self._engine.dialect.name == SQLITE

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._engine.dispose()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the record, whatever is written meanwhile."""
        with self._connection.begin():
            yield

    def rows(self, sql: str) -> list[Row]:
        """All rows of a statement with few rows."""
        with self._explained(sql):
            if self.exact:
                return list(self._driver.execute(sql))
            with self._driver.cursor(binary=True) as cursor:
                return list(cursor.execute(sql))

    def one(self, sql: str) -> Any:
        """The first value of the first row; None without rows."""
        rows = self.rows(sql)
        return rows[0][0] if rows else None

    def stream(self, sql: str, fetch: int = FETCH_ROWS) -> Iterator[list[Row]]:
        """The rows of a statement with many rows, some at a time."""
        with self._explained(sql):
            if self.exact:
                cursor = self._driver.execute(sql)
            else:
                cursor = self._driver.cursor(f"verify_{next(self._names)}", binary=True)
                cursor.execute(sql)
            try:
                while rows := cursor.fetchmany(fetch):
                    yield rows
            finally:
                cursor.close()

    def columns(self, table: Table) -> str:
        """The columns of a table, for a statement; decimals as text."""
        texts = {column.name for column in table.c if isinstance(column.type, ExactDecimal) and not self.exact}
        names = [column.name for column in table.c]
        return ", ".join(f"{name}::text" if name in texts else name for name in names)

    @contextmanager
    def _explained(self, sql: str) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            wrapped = DBAPIError.instance(sql, None, error, self._errors, dialect=self._engine.dialect)
            assert isinstance(wrapped, DBAPIError)
            raise explain(self._url, wrapped) from error
