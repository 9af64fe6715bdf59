"""Where the latest state of each thing stands, as of an instant: of a balance, a position, an order.

Not all of a record is looked through: the newest snapshot before the instant (`snapshots.py`) tells of everything until
then, and only what was received since is read. The answer is the same with any snapshots, and with none.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Subquery,
    Table,
    and_,
    bindparam,
    func,
    literal,
    select,
    union_all,
)

from recorder.store.once import APART_NS, cut_off, in_bursts, seen_first
from recorder.store.receipts import EVER_NS, ranges
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
PARTS_MAX = 100
#: So many statements are kept of each kind.
STATEMENTS_MAX = 64

#: The columns of a state that do not say what it says.
_NOT_SAID = frozenset(["account_id", "session_id", "seq", "item", "received_ns", "ts"])
_KEY = ("account_id", "session_id", "seq", "item")


AnyRow = Row[*tuple[Any, ...]]
#: The parameters of a question.
Wanted = dict[str, int]


class _Parts(NamedTuple):
    """Ranges of frames: how many, beyond `PARTS_MAX` as one; and the parameters that name them."""

    size: int
    values: Wanted


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
    wanted: Wanted = {"account_id": account_id, "until_ns": until_ns, "not_after_ns": until_ns}
    while True:
        wanted["at_ns"], recorders_count = connection.execute(_newest(), wanted).one()
        found = dict(_states(connection.execute(_kept(table), wanted)))
        since = (_since if recorders_count < 2 else _since_once)(connection, table, wanted)
        older = []
        for thing, told in _states(since):
            if table is order_updates and thing not in found and told.counts_ns <= wanted["at_ns"]:
                older.append(told.counts_ns)
            found[thing] = max(found.get(thing, told), told)
        if not older:
            return found
        # An order that was told of by an answer to a question from before the snapshot. It may have been at its end
        # then, and been left out: an older snapshot is asked, which knows nothing of that time.
        wanted["not_after_ns"] = min(older) - 1


def _states(rows: Iterable[AnyRow]) -> Iterator[tuple[Any, Place]]:
    """Things, and where their states stand."""
    for thing, counts_ns, received_ns, session_id, seq, item, status in rows:
        yield thing, Place(counts_ns, received_ns, session_id, seq, item, status)


def _since(connection: Connection, table: Table, wanted: Wanted) -> Sequence[AnyRow]:
    """The latest state of each thing of which something was received after a snapshot."""
    parts = _parts(connection, wanted, wanted["at_ns"])
    wanted = wanted | parts.values | {"from_ns": wanted["at_ns"]}
    return connection.execute(_latest(table, parts.size), wanted).all() if parts.size else ()


def _since_once(connection: Connection, table: Table, wanted: Wanted) -> Sequence[AnyRow]:
    """The same where there are several recorders, each push once."""
    at_ns = wanted["at_ns"]
    began_ns = connection.scalar(_began(), wanted) or 0
    # Whether a push is a second sighting of another is seen from what was received in the minutes before it.
    back_ns = 2 * APART_NS
    while True:
        from_ns = at_ns - back_ns if at_ns - back_ns > began_ns else EVER_NS
        parts = _parts(connection, wanted, from_ns)
        if not parts.size:
            return ()
        wanted = wanted | parts.values | {"from_ns": from_ns}
        if from_ns == EVER_NS or not connection.scalar(_cut_off(table, parts.size), wanted):
            return connection.execute(_latest_once(table, parts.size), wanted).all()
        back_ns *= 4


def _parts(connection: Connection, wanted: Wanted, after_ns: int) -> _Parts:
    """Where rows stand that were received after an instant."""
    these = ranges(connection, wanted["account_id"], after_ns, wanted["until_ns"])
    if len(these) > PARTS_MAX:
        return _Parts(PARTS_MAX + 1, {"first_id": these[0].session_id, "last_id": these[-1].session_id})
    values = {f"{name}_{part}": value for part, one in enumerate(these) for name, value in one._asdict().items()}
    return _Parts(len(these), values)


# The statements, made once: making one takes longer than asking it.


@cache
def _newest() -> Select[Any]:
    """The newest snapshot until an instant, and how many recorders there are."""
    s = snapshots.c
    at_ns = select(func.coalesce(func.max(s.at_ns), EVER_NS))
    at_ns = at_ns.where(s.account_id == bindparam("account_id"), s.at_ns <= bindparam("not_after_ns"))
    count = select(func.count()).select_from(recorders)
    return select(at_ns.scalar_subquery(), count.scalar_subquery())


@cache
def _kept(table: Table) -> Select[Any]:
    """What a snapshot points to."""
    s = snapshot_rows.c
    pointed = snapshot_rows.join(table, and_(*(table.c[name] == s[name] for name in _KEY)))
    query = select(*_columns(table)).select_from(pointed.outerjoin(reconciliations, _of_round(table)))
    this = s.account_id == bindparam("account_id"), s.at_ns == bindparam("at_ns"), s.kind == table.name
    return query.where(*this)


@cache
def _began() -> Select[Any]:
    """When the first frame of an account was received."""
    r = receipts.c
    return select(r.first_ns).where(r.account_id == bindparam("account_id")).order_by(r.first_ns).limit(1)


@lru_cache(maxsize=STATEMENTS_MAX)
def _latest(table: Table, parts: int) -> Select[Any]:
    """The latest state of each thing, as one recorder alone saw it."""
    source = table.outerjoin(reconciliations, _of_round(table))
    return _newest_of_each(_received(table, source, _columns(table), parts))


@lru_cache(maxsize=STATEMENTS_MAX)
def _latest_once(table: Table, parts: int) -> Select[Any]:
    """The latest state of each thing, where several recorders saw it."""
    return _newest_of_each(seen_first(_bursts(table, parts), _said(table)))


@lru_cache(maxsize=STATEMENTS_MAX)
def _cut_off(table: Table, parts: int) -> Select[Any]:
    return cut_off(_bursts(table, parts), bindparam("from_ns"), bindparam("at_ns"))


def _bursts(table: Table, parts: int) -> Subquery:
    of_session = (sessions.c.account_id == table.c.account_id) & (sessions.c.session_id == table.c.session_id)
    source = table.outerjoin(reconciliations, _of_round(table)).outerjoin(sessions, of_session)
    source = source.join(runs, runs.c.run_id == func.coalesce(sessions.c.run_id, reconciliations.c.run_id))
    said = [table.c[name] for name in _said(table) if name != "status"]
    return in_bursts(_received(table, source, [*_columns(table), runs.c.recorder_id, *said], parts), _said(table))


def _said(table: Table) -> list[str]:
    return [column.name for column in table.c if column.name not in _NOT_SAID]


def _newest_of_each(rows: FromClause) -> Select[Any]:
    newest_first = [rows.c[name].desc() for name in Place._fields if name != "status"]
    age = func.row_number().over(partition_by=rows.c.thing, order_by=newest_first).label("age")
    names = ("thing", *Place._fields)
    aged = select(*(rows.c[name] for name in names), age).where(rows.c.received_ns > bindparam("at_ns")).subquery()
    return select(*(aged.c[name] for name in names)).where(aged.c.age == 1)


def _received(table: Table, source: FromClause, columns: Sequence[ColumnElement[Any]], parts: int) -> Subquery:
    """An account's rows that were received within a time."""
    session_id, seq = table.c.session_id, table.c.seq
    walks = [
        and_(
            session_id == bindparam(f"session_id_{part}"),
            seq.between(bindparam(f"first_seq_{part}"), bindparam(f"last_seq_{part}")),
        )
        for part in range(parts)
    ]
    if parts > PARTS_MAX:
        walks = [session_id.between(bindparam("first_id"), bindparam("last_id"))]
    time = table.c.received_ns > bindparam("from_ns"), table.c.received_ns <= bindparam("until_ns")
    mine = select(*columns).select_from(source).where(table.c.account_id == bindparam("account_id"), *time)
    # Not one question with OR in it: each of these is a walk along the key, for any planner.
    return union_all(*(mine.where(walk) for walk in walks)).subquery()


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
