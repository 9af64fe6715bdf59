"""The state index: which row holds the latest state of each balance, position and order, as of an instant.

The latest states at an instant are found without reading the whole record: a *snapshot* lists the rows that hold them
at an earlier instant, and only what was received after it is read. Snapshots save reading and nothing else: the result
is the same with any of them, and with none. `recorder.store.snapshots` makes them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Select,
    Subquery,
    Table,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
    union_all,
)

from recorder.clock import NS_PER_MS
from recorder.model import BALANCES, POSITIONS, AccountUpdate, PositionUpdate
from recorder.store.columns import Words
from recorder.store.deduplication import APART_NS, cut_off, in_bursts, seen_first
from recorder.store.latest_orders import KNOWN_ENDS, LISTED_OPEN, is_listed_open
from recorder.store.receipts import EVER_NS, ranges
from recorder.store.schema import (
    account_updates,
    accounts,
    listings,
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
from recorder.venues import find_venue
from recorder.venues.comparable import CompleteList

#: A typed table → the columns that identify the thing (see `model.Thing.key`) whose states it holds, or the list of
#: which it has the newest.
THINGS: dict[Table, tuple[str, ...]] = {
    listings: ("kind", "topic"),
    account_updates: ("currency", "wallet"),
    order_updates: ("order_id", "market", "symbol"),
    position_updates: ("symbol", "market", "position_side", "position_id"),
}

#: A typed table of states that lists may leave out → the number that is then zero, and what such a list is called.
LISTED: dict[Table, tuple[str, str]] = {
    account_updates: ("balance", BALANCES),
    position_updates: ("quantity", POSITIONS),
}
#: `StateRow.status` of a balance or position that is zero.
ZERO = "zero"

#: What identifies a thing: the values of these columns.
ThingKey = tuple[str | None, ...]

#: Market and symbol of an order update without them.
_UNNAMED = (None, None)

#: `reconciliations.purpose` of a backfill.
BACKFILL = "backfill"

#: Ranges of frames that one statement names; if there are more, everything from the first to the last is read.
PARTS_MAX = 100

#: The columns of a state that are not part of its content.
_NOT_SAID = frozenset(["account_id", "session_id", "seq", "item", "received_ns", "event_ms", "is_snapshot"])
_KEY = ("account_id", "session_id", "seq", "item")
#: Begins the labels of the columns that identify a thing.
_KEY_LABEL = "of_"
#: Parameters of a statement.
Parameters = dict[str, int]


class StateRow(NamedTuple):
    """The row that holds a state. Of two rows of one thing the greater one is the later, as in the views."""

    #: When the state was true: for a REST answer, when the request was made; for a push, when it was received.
    counts_ns: int
    received_ns: int
    session_id: int
    seq: int
    item: int
    #: Of an order, or `LISTED_OPEN`; `ZERO` of a balance or position that is zero. None of anything else.
    status: str | None

    @property
    def place(self) -> tuple[int, ...]:
        """What says which of two frames is the later."""
        return self[:4]

    def key(self) -> tuple[int, ...]:
        """What says which of two rows is the later."""
        return self[:5]


def latest(connection: Connection, account_id: int, table: Table, until_ns: int) -> dict[ThingKey, StateRow]:
    """Find the latest state of each thing of an account, as known at an instant. Ended orders may be missing.

    Args:
        connection: to the record.
        account_id: the account.
        table: one of `THINGS`.
        until_ns: the instant, included; ns since 1970, by time of receipt.
    """
    wanted: Parameters = {"account_id": account_id, "until_ns": until_ns, "not_after_ns": until_ns}
    while True:
        wanted["at_ns"], recorders_count = connection.execute(_newest(), wanted).one()
        kept = dict(_states(connection.execute(_kept(table), wanted)))
        # Each list counts, whoever received an equal one before.
        seen_by_one = recorders_count < 2 or table is listings
        since = list(_states((_since if seen_by_one else _since_once)(connection, table, wanted)))
        if table is not order_updates:
            return kept | {thing: max(kept.get(thing, row), row) for thing, row in since}
        found = _by_order([*kept.items(), *since])
        # A REST answer that was requested before the snapshot, or a state without a time of its own, mentions an order
        # that the snapshot does not list. The order may have ended before the snapshot and been left out: use an older
        # snapshot instead.
        older = [row.counts_ns for thing, row in since if thing not in kept and row.counts_ns <= wanted["at_ns"]]
        known = {thing[0] for thing in kept}
        listed = {thing[0] for thing, rows in found.items() if all(row.status == LISTED_OPEN for row in rows)}
        if wanted["at_ns"] != EVER_NS and listed - known:
            older += connection.scalars(_ended(), {**wanted, "order_ids": sorted(filter(None, listed - known))})
        if not older:
            return {thing: _latest_of(rows) for thing, rows in found.items()}
        wanted["not_after_ns"] = min(older) - 1


def present(connection: Connection, account_id: int, table: Table, until_ns: int) -> dict[ThingKey, StateRow]:
    """As `latest`, without the balances and positions that a newer complete list does not have."""
    found = latest(connection, account_id, table, until_ns)
    if table not in LISTED or not found:
        return found
    is_gone = Lists(connection, account_id, latest(connection, account_id, listings, until_ns)).is_gone
    return {thing: row for thing, row in found.items() if not is_gone(table, thing, row)}


class Lists:
    """The newest complete lists of an account.

    Args:
        connection: to the record.
        account_id: the account.
        newest: the row of each, by kind and topic.
    """

    def __init__(self, connection: Connection, account_id: int, newest: Mapping[ThingKey, StateRow]) -> None:
        venue = find_venue(connection.scalar(select(accounts.c.venue).where(accounts.c.account_id == account_id)) or "")
        #: Kind → each list, its topic, and its row.
        self._lists: dict[str, list[tuple[CompleteList, str, StateRow]]] = defaultdict(list)
        for (kind, topic), row in newest.items():
            for one in () if venue is None else venue.lists:
                if topic is not None and one.kind == kind and one.has(topic):
                    self._lists[one.kind].append((one, topic, row))

    def is_gone(self, table: Table, thing: ThingKey, row: StateRow) -> bool:
        """Whether the latest state of a balance or position is not zero, and a newer list does not have it."""
        newer = [one for one in self._lists[LISTED[table][1]] if row.status != ZERO and row.place < one[2].place]
        if not newer:
            return False
        fields = dict(zip(THINGS[table], thing, strict=True))
        of = AccountUpdate if table is account_updates else PositionUpdate
        state = of(**{"event_ms": None, "is_snapshot": 0, "is_partial": 0, **fields})  # type: ignore[arg-type]
        return any(one.covers(topic, state) for one, topic, _ in newer)


def _by_order(states: Sequence[tuple[ThingKey, StateRow]]) -> dict[ThingKey, list[StateRow]]:
    """States by order, where one without a symbol is of the order with the same id that has one."""
    named = {thing[0]: thing for thing, _ in states if thing[1:] != _UNNAMED}
    found: dict[ThingKey, list[StateRow]] = defaultdict(list)
    for thing, row in states:
        found[named.get(thing[0], thing) if thing[1:] == _UNNAMED else thing].append(row)
    return found


def _latest_of(rows: Sequence[StateRow]) -> StateRow:
    """The latest state of an order: what `latest_of_orders` selects."""
    timed = max((row for row in rows if row.status != LISTED_OPEN), default=None, key=StateRow.key)
    return timed if timed is not None and timed.status in KNOWN_ENDS else max(rows, key=StateRow.key)


def _states(rows: Iterable[Any]) -> Iterator[tuple[ThingKey, StateRow]]:
    fields = len(StateRow._fields)
    for row in rows:
        yield tuple(row[:-fields]), StateRow(*row[-fields:])


def _since(connection: Connection, table: Table, wanted: Parameters) -> Sequence[Any]:
    """The latest state of each thing that had an update after the snapshot."""
    size, values = _parts(connection, wanted, wanted["at_ns"])
    wanted = wanted | values | {"from_ns": wanted["at_ns"]}
    return connection.execute(_latest(table, size), wanted).all() if size else ()


def _since_once(connection: Connection, table: Table, wanted: Parameters) -> Sequence[Any]:
    """The same for a record of several recorders, where each push counts once."""
    at_ns = wanted["at_ns"]
    began_ns = connection.scalar(_began(), wanted) or 0
    # Whether a push is a second sighting of another one depends on what was received in the minutes before it.
    back_ns = 2 * APART_NS
    while True:
        from_ns = at_ns - back_ns if at_ns - back_ns > began_ns else EVER_NS
        size, values = _parts(connection, wanted, from_ns)
        if not size:
            return ()
        wanted = wanted | values | {"from_ns": from_ns}
        if from_ns == EVER_NS or not connection.scalar(_cut_off(table, size), wanted):
            return connection.execute(_latest_once(table, size), wanted).all()
        back_ns *= 4


def _parts(connection: Connection, wanted: Parameters, after_ns: int) -> tuple[int, Parameters]:
    """How many ranges of frames were received after an instant (`PARTS_MAX` + 1: read as one), and their parameters."""
    these = ranges(connection, wanted["account_id"], after_ns, wanted["until_ns"])
    if len(these) > PARTS_MAX:
        return PARTS_MAX + 1, {"first_id": these[0].session_id, "last_id": these[-1].session_id}
    values = {f"{name}_{part}": value for part, one in enumerate(these) for name, value in one._asdict().items()}
    return len(these), values


# The statements are cached: making one takes longer than running it.


@cache
def _newest() -> Select[Any]:
    """The newest snapshot up to an instant, and the number of recorders."""
    s = snapshots.c
    at_ns = select(func.coalesce(func.max(s.at_ns), EVER_NS))
    at_ns = at_ns.where(s.account_id == bindparam("account_id"), s.at_ns <= bindparam("not_after_ns"))
    count = select(func.count()).select_from(recorders)
    return select(at_ns.scalar_subquery(), count.scalar_subquery())


@cache
def _kept(table: Table) -> Select[Any]:
    """The rows that a snapshot lists."""
    s = snapshot_rows.c
    pointed = snapshot_rows.join(table, and_(*(table.c[name] == s[name] for name in _KEY)))
    rows = select(*_columns(table)).select_from(pointed.outerjoin(reconciliations, _of_round(table)))
    this = s.account_id == bindparam("account_id"), s.at_ns == bindparam("at_ns"), s.kind == table.name
    return select(*_found(rows.where(*this).subquery()))


@cache
def _ended() -> Select[Any]:
    """When the ends of some orders were received, up to the snapshot."""
    o = order_updates.c
    these = o.order_id.in_(bindparam("order_ids", expanding=True)), o.status.in_(sorted(KNOWN_ENDS))
    mine = o.account_id == bindparam("account_id"), o.received_ns <= bindparam("at_ns")
    return select(o.received_ns).where(*mine, *these)


@cache
def _began() -> Select[Any]:
    """When the first frame of an account was received."""
    r = receipts.c
    return select(r.first_ns).where(r.account_id == bindparam("account_id")).order_by(r.first_ns).limit(1)


@lru_cache(maxsize=64)
def _latest(table: Table, parts: int) -> Select[Any]:
    """The latest state of each thing, in the record of one recorder."""
    source = table.outerjoin(reconciliations, _of_round(table))
    return _newest_of_each(_received(table, source, _columns(table), parts))


@lru_cache(maxsize=64)
def _latest_once(table: Table, parts: int) -> Select[Any]:
    """The latest state of each thing, in the record of several recorders."""
    return _newest_of_each(seen_first(_bursts(table, parts), content_of(table)))


@lru_cache(maxsize=64)
def _cut_off(table: Table, parts: int) -> Select[Any]:
    return cut_off(_bursts(table, parts), bindparam("from_ns"), bindparam("at_ns"))


def _bursts(table: Table, parts: int) -> Subquery:
    of_session = (sessions.c.account_id == table.c.account_id) & (sessions.c.session_id == table.c.session_id)
    source = table.outerjoin(reconciliations, _of_round(table)).outerjoin(sessions, of_session)
    source = source.join(runs, runs.c.run_id == func.coalesce(sessions.c.run_id, reconciliations.c.run_id))
    said = [table.c[name] for name in content_of(table) if name != "status"]
    return in_bursts(_received(table, source, [*_columns(table), runs.c.recorder_id, *said], parts), content_of(table))


def content_of(table: Table) -> list[str]:
    """The columns by which two rows of a table are equal, whoever received them."""
    return [column.name for column in table.c if column.name not in _NOT_SAID]


def _newest_of_each(rows: FromClause) -> Select[Any]:
    newest_first = [rows.c[name].desc() for name in StateRow._fields if name != "status"]
    # Of an order, the newest state of either kind.
    key = [one for one in rows.c if one.name.startswith(_KEY_LABEL) or one.name == "is_listed_open"]
    age = func.row_number().over(partition_by=key, order_by=newest_first).label("age")
    names = (*(column.name for column in key), *StateRow._fields)
    aged = select(*(rows.c[name] for name in names), age).where(rows.c.received_ns > bindparam("at_ns")).subquery()
    return select(*_found(aged)).where(aged.c.age == 1)


def _found(rows: FromClause) -> list[ColumnElement[Any]]:
    """What identifies a thing, and the fields of its `StateRow`, from columns that include those of `_columns`."""
    c: Any = rows.c
    found = [one for one in rows.c if one.name.startswith(_KEY_LABEL)] + [c[name] for name in StateRow._fields[:-1]]
    is_listed = case((c.is_listed_open == 1, LISTED_OPEN), else_=c.status) if "is_listed_open" in c else c.status
    return [*found, is_listed]


def _received(table: Table, source: FromClause, columns: Sequence[ColumnElement[Any]], parts: int) -> Subquery:
    """An account's rows that were received in a period."""
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
    # UNION ALL instead of OR: any planner then reads each range along the key.
    return union_all(*(mine.where(walk) for walk in walks)).subquery()


def _columns(table: Table) -> list[ColumnElement[Any]]:
    """What identifies a thing, and the fields of its `StateRow`."""
    t = table.c
    if table is order_updates:
        status = [t.status, is_listed_open(t).label("is_listed_open")]
    else:
        status = [zero_or_none(table).label("status")]
    return [
        *(t[name].label(f"{_KEY_LABEL}{name}") for name in THINGS[table]),
        counts_ns(t).label("counts_ns"),
        *(t.received_ns, t.session_id, t.seq, t.item),
        *status,
    ]


def zero_or_none(table: Table) -> ColumnElement[Any]:
    """`StateRow.status` of a balance or position."""
    if table not in LISTED:
        return literal(None, Words)
    # Texts of SQLite are not compared as numbers, and whether a number is zero survives even as a float.
    return case((cast(table.c[LISTED[table][0]], Float) == 0, literal(ZERO, Words)), else_=literal(None, Words))


def counts_ns(states: Any) -> ColumnElement[Any]:
    """When a state counts from, ns since 1970; the greatest is the latest.

    An answer counts from its request: a push received before the answer arrived is newer. An answer of a backfill tells
    what was before, so each state counts from the venue's own time of it; without one, before all others.

    Args:
        states: the columns of a table of states, joined with `reconciliations`.
    """
    r = reconciliations.c
    times = [states[name] for name in ("updated_ms", "event_ms") if name in states]
    of_state_ms = func.coalesce(*times, 0)
    is_before = (r.purpose == BACKFILL) & of_state_ms.between(0, r.began_ns // NS_PER_MS)
    return case((is_before, of_state_ms * NS_PER_MS), else_=func.coalesce(r.began_ns, states.received_ns))


def _of_round(table: Table) -> ColumnElement[bool]:
    r = reconciliations.c
    return (r.account_id == table.c.account_id) & (r.reconciliation_id == table.c.session_id)
