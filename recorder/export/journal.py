"""Rows of the tables that grow, as the journal has them: in the order of their keys, session by session.

No row is sorted and none is held: memory grows neither with the record nor with what is taken from it.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, func, literal_column, or_, select

from recorder.export.columns import Row
from recorder.export.scope import Account, Scope
from recorder.model import PUSH
from recorder.store.schema import frames, reconciliations, sessions

#: Rows are fetched so many at a time; frames so few, for one alone may be of megabytes.
FETCH_ROWS, FETCH_FRAMES = 2_000, 32


def rows(connection: Connection, table: Table, account: Account, scope: Scope) -> Iterator[Row]:
    """A table's rows of one account, as the driver has them: digits as written.

    Args:
        connection: to the record.
        table: `frames` or a typed table.
        account: whose; its name stands first in each row.
        scope: which of them.
    """
    conditions = _conditions(table, scope)
    fetch = FETCH_FRAMES if table is frames else FETCH_ROWS
    for session_id in _sessions(connection, table, account.account_id):
        # As literal columns, or each number would be made a `Decimal` and lose the form in which it was sent.
        columns: list[ColumnElement[Any]] = [literal_column(column.name) for column in table.c]
        query = select(*columns).select_from(table)
        query = query.where(table.c.account_id == account.account_id, table.c.session_id == session_id, *conditions)
        before = (account.name, _run_of(connection, account, session_id)) if table is frames else (account.name,)
        query = query.order_by(*list(table.primary_key)[1:]).execution_options(yield_per=fetch)
        with connection.execute(query) as found:
            for row in found:
                yield (*before, *row)


def _sessions(connection: Connection, table: Table, account_id: int) -> Iterator[int]:
    """The sessions that a table has rows of: a look into its key for each, without reading them."""
    session_id: int | None = -1
    while True:
        later: Select[Any] = select(func.min(table.c.session_id))
        later = later.where(table.c.account_id == account_id, table.c.session_id > session_id)
        session_id = connection.scalar(later)
        if session_id is None:
            return
        yield session_id


def _run_of(connection: Connection, account: Account, session_id: int) -> int | None:
    """The run of a session, or of a round of REST questions."""
    for table, key in ((sessions, sessions.c.session_id), (reconciliations, reconciliations.c.reconciliation_id)):
        mine = table.c.account_id == account.account_id, key == session_id
        run_id: int | None = connection.scalar(select(table.c.run_id).where(*mine))
        if run_id is not None:
            return run_id
    return None


def _conditions(table: Table, scope: Scope) -> list[ColumnElement[bool]]:
    wanted = scope.wanted
    found: list[ColumnElement[bool]] = []
    if wanted.since_ns is not None:
        found.append(table.c.received_ns >= wanted.since_ns)
    if wanted.until_ns is not None:
        found.append(table.c.received_ns < wanted.until_ns)
    if table is frames and scope.topics:
        found += [table.c.source == PUSH, table.c.topic.in_(scope.topics)]
    if wanted.symbol is not None:
        found += _of_contract(table, wanted.symbol.lower())
    return found


def _of_contract(table: Table, symbol: str) -> list[ColumnElement[bool]]:
    """Leave out what names another contract. What names none stays: balances, commands, answers."""
    if table is frames:
        topic = func.lower(table.c.topic)
        another = topic.contains(".", autoescape=True) & ~topic.endswith(f".{symbol}", autoescape=True)
        return [or_(table.c.source != PUSH, table.c.topic.is_(None), ~another)]
    return [func.lower(table.c.symbol) == symbol] if "symbol" in table.c else []
