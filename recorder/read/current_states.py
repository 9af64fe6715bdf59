"""Which rows hold the latest states of balances and positions: the projection `current_states`."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, Table, and_, delete, func, select

from recorder.read.position_times import within
from recorder.read.projections import are_several
from recorder.store.dialects import insert_rows, replace_rows
from recorder.store.journal import FrameRange
from recorder.store.projection_tables import current_states
from recorder.store.schema import account_updates, listings, position_updates, reconciliations
from recorder.store.state_index import (
    THINGS,
    Lists,
    StateRow,
    ThingKey,
    counts_ns,
    latest,
    zero_or_none,
)

#: After everything that was ever received, ns.
NOW_NS = 2**63 - 2
_CURRENT = (account_updates, position_updates)
_COLUMNS = [current_states.c[name] for name in StateRow._fields if name != "status"]
_thing = msgspec.json.Encoder().encode


def project_states(connection: Connection, account_id: int, ranges: Sequence[FrameRange]) -> None:
    """Let the latest states of balances and positions follow what was received."""
    if are_several(connection):
        # Which of two sightings of a push counts depends on what was received around them.
        replace_states(connection, account_id)
        return
    newer_lists = _newer(connection, account_id, listings, ranges)
    replace_rows(connection, current_states, _rows(account_id, listings, newer_lists))
    lists = stored_lists(connection, account_id)
    for table in _CURRENT:
        newer = _newer(connection, account_id, table, ranges)
        if newer_lists:
            # They may leave out what was there before.
            present = _not_gone(connection, account_id, table).items()
            newer = {thing: row for thing, row in present if lists.is_gone(table, _key(thing), row)} | newer
        replace_rows(connection, current_states, _rows(account_id, table, newer, lists))


def _newer(connection: Connection, account_id: int, table: Table, ranges: Sequence[FrameRange]) -> dict[str, StateRow]:
    """The latest states in some frames that are newer than those that are stored."""
    found = states_in(connection, table, ranges)
    if not found:
        return found
    c = current_states.c
    these = c.account_id == account_id, c.kind == table.name, c.thing.in_(sorted(found))
    held = {
        thing: StateRow._make((*row, None))
        for thing, *row in connection.execute(select(c.thing, *_COLUMNS).where(*these))
    }
    return {thing: row for thing, row in found.items() if thing not in held or row.key() > held[thing].key()}


def _not_gone(connection: Connection, account_id: int, table: Table) -> dict[str, StateRow]:
    """What is stored of the balances or positions that no list has left out so far."""
    c, t = current_states.c, table.c
    same = and_(*(t[name] == c[name] for name in ("account_id", "session_id", "seq", "item")))
    query = select(c.thing, *_COLUMNS, zero_or_none(table)).select_from(current_states.join(table, same))
    these = c.account_id == account_id, c.kind == table.name, c.is_gone == 0
    return {thing: StateRow._make(row) for thing, *row in connection.execute(query.where(*these))}


def stored_states(connection: Connection, account_id: int, table: Table) -> dict[ThingKey, tuple[StateRow, bool]]:
    """The latest state of each thing as far as it is projected, and whether a newer list left it out."""
    c = current_states.c
    query = select(c.thing, *_COLUMNS, c.is_gone).where(c.account_id == account_id, c.kind == table.name)
    return {
        _key(thing): (StateRow._make((*row, None)), bool(is_gone)) for thing, *row, is_gone in connection.execute(query)
    }


def stored_lists(connection: Connection, account_id: int) -> Lists:
    """The newest complete lists, as far as they are projected."""
    newest = {key: row for key, (row, _) in stored_states(connection, account_id, listings).items()}
    return Lists(connection, account_id, newest)


def _key(thing: str) -> ThingKey:
    return tuple(msgspec.json.decode(thing))


def _rows(
    account_id: int, table: Table, states: Mapping[str, StateRow], lists: Lists | None = None
) -> list[tuple[Any, ...]]:
    """Rows of `current_states`."""
    return [
        (account_id, table.name, thing, *row[:-1], int(lists is not None and lists.is_gone(table, _key(thing), row)))
        for thing, row in states.items()
    ]


def states_in(connection: Connection, table: Table, ranges: Iterable[FrameRange]) -> dict[str, StateRow]:
    """The latest state of each thing in some frames."""
    found: dict[str, StateRow] = {}
    things = len(THINGS[table])
    for one in ranges:
        for row in connection.execute(_states_within(table), one._asdict()):
            thing, state = _thing(list(row[:things])).decode(), StateRow._make(row[things:])
            found[thing] = max(found.get(thing, state), state, key=StateRow.key)
    return found


@cache
def _states_within(table: Table) -> Select[Any]:
    """The latest state of each thing in consecutive frames."""
    r = reconciliations.c
    joined = table.outerjoin(
        reconciliations, and_(r.account_id == table.c.account_id, r.reconciliation_id == table.c.session_id)
    )
    things = [table.c[name] for name in THINGS[table]]
    counts_from_ns = counts_ns(table.c)
    receipt = table.c.received_ns, table.c.session_id, table.c.seq, table.c.item
    newest_first = [part.desc() for part in (counts_from_ns, *receipt)]
    age = func.row_number().over(partition_by=things, order_by=newest_first).label("age")
    columns = [*things, counts_from_ns.label("counts_ns"), *receipt, zero_or_none(table).label("status")]
    aged = select(*columns, age).select_from(joined).where(*within(table)).subquery()
    return select(*list(aged.c)[:-1]).where(aged.c.age == 1)


def latest_states(connection: Connection, account_id: int) -> list[tuple[Any, ...]]:
    """The rows of `current_states` that an account should have."""
    found = {table: latest(connection, account_id, table, NOW_NS) for table in (*_CURRENT, listings)}
    lists = Lists(connection, account_id, found[listings])
    return [
        row
        for table, states in found.items()
        for row in _rows(
            account_id,
            table,
            {_thing(key).decode(): state for key, state in states.items()},
            None if table is listings else lists,
        )
    ]


def replace_states(connection: Connection, account_id: int) -> None:
    """Make the latest states of an account from all of its rows."""
    connection.execute(delete(current_states).where(current_states.c.account_id == account_id))
    insert_rows(connection, current_states, latest_states(connection, account_id))
