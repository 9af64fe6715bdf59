"""Which rows hold the latest states of balances and positions: the projection `current_states`."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, Table, and_, delete, func, select

from recorder.read.position_times import within
from recorder.read.projections import are_several
from recorder.store.dialects import insert_rows, replace_rows
from recorder.store.journal import FrameRange
from recorder.store.projection_tables import current_states
from recorder.store.schema import account_updates, position_updates, reconciliations
from recorder.store.state_index import THINGS, StateRow, counts_ns, latest

#: After everything that was ever received, ns.
NOW_NS = 2**63 - 2
_CURRENT = (account_updates, position_updates)
_thing = msgspec.json.Encoder().encode


def project_states(connection: Connection, account_id: int, ranges: Sequence[FrameRange]) -> None:
    """Let the latest states of balances and positions follow what was received."""
    if are_several(connection):
        # Which of two sightings of a push counts depends on what was received around them.
        replace_states(connection, account_id)
        return
    c = current_states.c
    for table in _CURRENT:
        found = states_in(connection, table, ranges)
        stored = select(current_states).where(
            c.account_id == account_id, c.kind == table.name, c.thing.in_(sorted(found))
        )
        held = {row.thing: StateRow._make((*row[3:], None)) for row in connection.execute(stored)} if found else {}
        newer = {thing: row for thing, row in found.items() if thing not in held or row > held[thing]}
        replace_rows(
            connection, current_states, [(account_id, table.name, thing, *row[:-1]) for thing, row in newer.items()]
        )


def states_in(connection: Connection, table: Table, ranges: Iterable[FrameRange]) -> dict[str, StateRow]:
    """The latest state of each thing in some frames."""
    found: dict[str, StateRow] = {}
    things = len(THINGS[table])
    for one in ranges:
        for row in connection.execute(_states_within(table), one._asdict()):
            thing, state = _thing(list(row[:things])).decode(), StateRow._make((*row[things:], None))
            found[thing] = max(found.get(thing, state), state)
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
    columns = [*things, counts_from_ns.label("counts_ns"), *receipt]
    aged = select(*columns, age).select_from(joined).where(*within(table)).subquery()
    return select(*list(aged.c)[:-1]).where(aged.c.age == 1)


def latest_states(connection: Connection, account_id: int) -> list[tuple[Any, ...]]:
    """The rows of `current_states` that an account should have."""
    return [
        (account_id, table.name, _thing(key).decode(), *row[:-1])
        for table in _CURRENT
        for key, row in latest(connection, account_id, table, NOW_NS).items()
    ]


def replace_states(connection: Connection, account_id: int) -> None:
    """Make the latest states of an account from all of its rows."""
    connection.execute(delete(current_states).where(current_states.c.account_id == account_id))
    insert_rows(connection, current_states, latest_states(connection, account_id))
