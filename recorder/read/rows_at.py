"""Reading the rows of a typed table at given places: their keys."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, bindparam, column, select, values

from recorder.read.records import Balance, Order, Position
from recorder.store.columns import Int64
from recorder.store.schema import account_updates, order_updates, position_updates
from recorder.store.state_index import StateRow

#: The rows of this many states are fetched in one statement, of the next larger number.
PLACES = (8, 50, PLACES_MAX := 300)
_KEY = ("session_id", "seq", "item")
_NOWHERE = StateRow(0, 0, -1, -1, -1, None)
#: Typed table → the record that readers get of its rows; the account's name comes first.
_RECORDS: dict[Table, type[Balance | Order | Position]] = {
    account_updates: Balance,
    order_updates: Order,
    position_updates: Position,
}


def rows_at(
    connection: Connection, table: Table, account_id: int, places: Sequence[StateRow]
) -> Iterator[Sequence[Any]]:
    """The rows at some places, without their account."""
    for start in range(0, len(places), PLACES_MAX):
        some = places[start : start + PLACES_MAX]
        size = next(size for size in PLACES if size >= len(some))
        key = {
            f"{name}_{number}": getattr(place, name)
            for number, place in enumerate([*some, *[_NOWHERE] * (size - len(some))])
            for name in _KEY
        }
        for row in connection.execute(_select_at(table, size), {"account_id": account_id, **key}):
            if row[0] is not None:
                yield row[1:]


@cache
def _select_at(table: Table, size: int) -> Select[Any]:
    """Selects the rows at this many places, each after its `account_id`."""
    rows = [tuple(bindparam(f"{name}_{number}", type_=Int64) for name in _KEY) for number in range(size)]
    wanted = values(*(column(name, Int64) for name in _KEY), name="wanted").data(rows).cte("wanted")
    same = and_(table.c.account_id == bindparam("account_id"), *(table.c[name] == wanted.c[name] for name in _KEY))
    fields = [table.c[name] for name in _RECORDS[table]._fields if name != "account"]
    # An outer join, so that every planner begins with the places instead of walking through the whole table.
    return select(table.c.account_id, *fields).select_from(wanted.outerjoin(table, same))
