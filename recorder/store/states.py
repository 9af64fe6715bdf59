"""Where the latest state of each thing stands, as of an instant: of a balance, a position, an order.

Not all of a record is looked through: the newest snapshot before the instant (`snapshots.py`) tells of everything until
then, and only what was received since is read. The answer is the same with any snapshots, and with none.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    Table,
    and_,
    func,
    literal,
    select,
    union_all,
)

from recorder.store.once import APART_NS, cut_off, in_bursts, seen_first
from recorder.store.receipts import ranges
from recorder.store.schema import (
    account_updates,
    order_updates,
    position_updates,
    receipts,
    reconciliations,
    recorders,
    runs,
    sessions,
    snapshot_rows,
    snapshots,
)
from recorder.store.types import Words

#: A typed table → the column that names the thing whose states it holds.
THINGS: dict[Table, str] = {account_updates: "currency", order_updates: "order_id", position_updates: "symbol"}

#: So many ranges of frames are named in one statement; where there are more, what lies between them is read too.
RANGES_MAX = 100

#: The columns of a state that do not say what it says.
_NOT_SAID = frozenset(["account_id", "session_id", "seq", "item", "received_ns", "ts"])
_KEY = ("account_id", "session_id", "seq", "item")


class Place(NamedTuple):
    """Where a state stands. Of two, the later word is the greater: as in the views."""

    #: A REST answer counts from when it was asked for, a push from its receipt.
    counts_ns: int
    received_ns: int
    session_id: int
    seq: int
    item: int
    #: Of an order; None of anything else.
    status: str | None


def latest(connection: Connection, account_id: int, table: Table, until_ns: int) -> dict[Any, Place]:
    """The latest state of each thing of an account that was known at an instant. Orders that had ended may lack.

    Args:
        connection: to the record.
        account_id: whose.
        table: one of `THINGS`.
        until_ns: the instant by receipt, that included, ns since 1970.
    """
    newest = select(func.max(snapshots.c.at_ns))
    newest = newest.where(snapshots.c.account_id == account_id, snapshots.c.at_ns <= until_ns)
    at_ns: int | None = connection.scalar(newest)
    found: dict[Any, Place] = {}
    for query in (_kept(table, account_id, at_ns), _since(connection, table, account_id, at_ns, until_ns)):
        for thing, *place in () if query is None else connection.execute(query):
            told = Place(*place)
            if thing not in found or found[thing] < told:
                found[thing] = told
    return found


def _kept(table: Table, account_id: int, at_ns: int | None) -> Select[Any] | None:
    """What a snapshot points to."""
    if at_ns is None:
        return None
    s = snapshot_rows.c
    pointed = snapshot_rows.join(table, and_(*(table.c[name] == s[name] for name in _KEY)))
    query = select(*_columns(table)).select_from(pointed.outerjoin(reconciliations, _of_round(table)))
    return query.where(s.account_id == account_id, s.at_ns == at_ns, s.kind == table.name)


def _since(
    connection: Connection, table: Table, account_id: int, at_ns: int | None, until_ns: int
) -> Select[Any] | None:
    """The latest state of each thing of which something was received after a snapshot."""
    several = (connection.scalar(select(func.count()).select_from(recorders)) or 0) > 1
    told = (_once if several else _all)(connection, table, account_id, at_ns, until_ns)
    if told is None:
        return None
    newest_first = [told.c[name].desc() for name in Place._fields if name != "status"]
    age = func.row_number().over(partition_by=told.c.thing, order_by=newest_first).label("age")
    aged = select(*(told.c[name] for name in ("thing", *Place._fields)), age)
    if at_ns is not None:
        aged = aged.where(told.c.received_ns > at_ns)
    rows = aged.subquery()
    return select(*(rows.c[name] for name in ("thing", *Place._fields))).where(rows.c.age == 1)


def _all(connection: Connection, table: Table, account_id: int, after_ns: int | None, until_ns: int) -> Subquery | None:
    """What was received after an instant, as one recorder alone saw it."""
    source = table.outerjoin(reconciliations, _of_round(table))
    return _received(connection, table, source, _columns(table), account_id, after_ns, until_ns)


def _once(
    connection: Connection, table: Table, account_id: int, after_ns: int | None, until_ns: int
) -> Subquery | None:
    """What several recorders received after an instant, each push once; and some that was received before it."""
    said = [column for column in table.c if column.name not in _NOT_SAID]
    names = [column.name for column in said]
    columns = [*_columns(table), runs.c.recorder_id, *(one for one in said if one.name != "status")]
    of_session = (sessions.c.account_id == table.c.account_id) & (sessions.c.session_id == table.c.session_id)
    source = table.outerjoin(reconciliations, _of_round(table)).outerjoin(sessions, of_session)
    source = source.join(runs, runs.c.run_id == func.coalesce(sessions.c.run_id, reconciliations.c.run_id))
    began_ns = connection.scalar(select(func.min(receipts.c.first_ns)).where(receipts.c.account_id == account_id)) or 0
    # Whether a push is a second sighting of another is seen from what was received in the minutes before it.
    back_ns = 2 * APART_NS
    while True:
        from_ns = None if after_ns is None or after_ns - back_ns < began_ns else after_ns - back_ns
        told = _received(connection, table, source, columns, account_id, from_ns, until_ns)
        if told is None:
            return None
        bursts = in_bursts(told, names)
        if after_ns is None or from_ns is None or not connection.scalar(cut_off(bursts, from_ns, after_ns)):
            return seen_first(bursts, names)
        back_ns *= 4


def _received(
    connection: Connection,
    table: Table,
    source: FromClause,
    columns: Sequence[ColumnElement[Any]],
    account_id: int,
    after_ns: int | None,
    until_ns: int,
) -> Subquery | None:
    """An account's rows that were received within a time; None where there are no frames."""
    these = ranges(connection, account_id, after_ns, until_ns)
    if not these:
        return None
    session_id, seq = table.c.session_id, table.c.seq
    parts = [and_(session_id == one.session_id, seq.between(one.first_seq, one.last_seq)) for one in these]
    if len(parts) > RANGES_MAX:
        parts = [session_id.between(these[0].session_id, these[-1].session_id)]
    mine = [table.c.account_id == account_id, table.c.received_ns <= until_ns]
    if after_ns is not None:
        mine.append(table.c.received_ns > after_ns)
    # Not one question with OR in it: each of these is a walk along the key, for any planner.
    return union_all(*(select(*columns).select_from(source).where(*mine, part) for part in parts)).subquery()


def _columns(table: Table) -> list[ColumnElement[Any]]:
    """What a thing is, and the fields of its `Place`."""
    t = table.c
    return [
        t[THINGS[table]].label("thing"),
        func.coalesce(reconciliations.c.began_ns, t.received_ns).label("counts_ns"),
        *(t.received_ns, t.session_id, t.seq, t.item),
        t.status if table is order_updates else literal(None, Words).label("status"),
    ]


def _of_round(table: Table) -> ColumnElement[bool]:
    r = reconciliations.c
    return (r.account_id == table.c.account_id) & (r.reconciliation_id == table.c.session_id)
