"""The stored rows of projections: how they differ from what they should be, and writing what differs."""

from collections import defaultdict, namedtuple
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, bindparam, delete, func, select

from recorder.read.order_lives import Row
from recorder.read.projections import OrderKey, Projected, Stepped
from recorder.store.columns import ExactDecimal
from recorder.store.dialects import insert_rows
from recorder.store.projection_tables import order_states, trades


class Difference(NamedTuple):
    """A row of a projection that is not as it should be."""

    table: Table
    #: As stored, and as it should be; None: there should be none, or there is none.
    stored: Row | None
    wanted: Row | None


def differences(
    connection: Connection, account_id: int, keys: Sequence[OrderKey], found: Projected
) -> list[Difference]:
    """Compare what is stored about some orders with what follows from their rows."""
    order_ids = [key.order_id for key in keys if key.order_id]
    s = order_states.c
    differing = table_differences(
        order_states,
        connection.execute(select(order_states).where(s.account_id == account_id, s.order_id.in_(order_ids))),
        found.states,
    )
    stored = stored_trades(connection, account_id, keys)
    return differing + table_differences(trades, stored, [row for row, _ in found.trades])


def step_differences(connection: Connection, account_id: int, stepped: Stepped) -> list[Difference]:
    """Compare what is stored about orders with what they are after a step."""
    differing = [Difference(order_states, row, new) for row, new in stepped.states.values() if row != new]
    if not stepped.keys:
        return differing
    return differing + table_differences(trades, stored_trades(connection, account_id, stepped.keys), stepped.trades)


def stored_trades(connection: Connection, account_id: int, keys: Sequence[OrderKey]) -> list[Any]:
    """The rows of `trades` of some orders."""
    order_ids = [key.order_id for key in keys if key.order_id]
    trade_ids = [key.trade_id for key in keys if not key.order_id]
    t = trades.c
    stored = list(connection.execute(select(trades).where(t.account_id == account_id, t.order_id.in_(order_ids))))
    if trade_ids:
        without = t.account_id == account_id, t.order_id.is_(None), func.coalesce(t.trade_id, "").in_(trade_ids)
        stored += connection.execute(select(trades).where(*without))
    return stored


#: A row of `trades`, by the names of its columns.
TradeRow = namedtuple("TradeRow", trades.c.keys())  # type: ignore[misc]


def changed_trades(found: Iterable[Difference]) -> tuple[list[Any], list[Any]]:
    """The rows of `trades` that are deleted and inserted, if these differences are written."""
    of_trades = [one for one in found if one.table is trades]
    gone = [TradeRow._make(one.stored) for one in of_trades if one.stored is not None]
    return gone, [TradeRow._make(one.wanted) for one in of_trades if one.wanted is not None]


def table_differences(table: Table, stored: Iterable[Any], wanted: Iterable[Row]) -> list[Difference]:
    """Compare rows of a table as stored and as they should be."""
    size = len(table.primary_key)
    key = [place for place, column in enumerate(table.c) if column.primary_key]
    assert key == list(range(size)), f"{table.name}: the key does not come first"
    left = {row[:size]: tuple(row) for row in stored}
    found = []
    for row in wanted:
        other = left.pop(row[:size], None)
        if other != row:
            found.append(Difference(table, other, row))
    return found + [Difference(table, row, None) for row in left.values()]


def store(connection: Connection, found: Iterable[Difference]) -> None:
    """Write what differs."""
    of_table: dict[Table, list[Difference]] = defaultdict(list)
    for one in found:
        of_table[one.table].append(one)
    for table, its in of_table.items():
        key = [column.name for column in table.primary_key]
        gone = [dict(zip(key, one.stored, strict=False)) for one in its if one.stored is not None]
        if gone:
            these = (table.c[name] == bindparam(f"of_{name}") for name in key)
            values = [{f"of_{name}": value for name, value in row.items()} for row in gone]
            connection.execute(delete(table).where(*these), values)
        decimals = [place for place, column in enumerate(table.c) if isinstance(column.type, ExactDecimal)]
        insert_rows(connection, table, [_written(one.wanted, decimals) for one in its if one.wanted is not None])


def _written(row: Row, decimals: Sequence[int]) -> Row:
    """A row as the drivers take it, with decimals as digits."""
    values = list(row)
    for place in decimals:
        values[place] = None if values[place] is None else str(values[place])
    return tuple(values)
