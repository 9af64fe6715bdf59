"""What the record knows of an account while a recorder runs: its states now, and its orders when a gap began.

Neither reads the whole record. `CurrentState` starts from a complete snapshot and adds the pushes of its sessions, as
they come. A reconciliation starts from the last round with a complete snapshot before the gap, which listed every open
order; only what came after that is read.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Row, Select, Table, func, or_, select, type_coerce

from recorder.model import (
    DECODED,
    FINAL_STATUSES,
    AccountUpdate,
    OrderUpdate,
    PositionUpdate,
    State,
    Thing,
    Update,
    thing_of,
)
from recorder.read.contracts import traded_instruments
from recorder.read.current_states import NOW_NS
from recorder.read.merging import completed
from recorder.store.columns import ExactDecimal, Words
from recorder.store.gaps import OPEN, PARTIAL, RECONCILED
from recorder.store.projection_tables import trades
from recorder.store.schema import (
    account_updates,
    frames,
    gaps,
    order_updates,
    position_updates,
    reconciliations,
    runs,
    sessions,
)
from recorder.store.state_index import THINGS, ThingKey, latest, symbol_of_order
from recorder.venues.comparable import Passed, Seen
from recorder.venues.reading import masked_topic
from recorder.venues.rest import Traded

_ZERO = Decimal(0)

#: When an order was created, if the venue does not say: before all others.
_UNKNOWN_MS = -1

#: Table → its record.
_STATES: dict[Table, type[State]] = {
    account_updates: AccountUpdate,
    order_updates: OrderUpdate,
    position_updates: PositionUpdate,
}

#: Final orders remembered, in case the venue lists one of them as open.
ENDED_MAX = 10_000


class CurrentState:
    """The states of an account's things, from its sessions' own rows and a snapshot that `take` must get first.

    The snapshot must have been requested when all topics were pushed. Neither other recorders' rows nor snapshots
    requested for a comparison are read.

    Args:
        account_id: of the account.
        session_id: the session that covers it; of several streams, the newest.
        seq: the frame from which on everything is pushed.
        streams: likewise of every stream; None: there is one.
    """

    def __init__(self, account_id: int, session_id: int, seq: int, streams: Mapping[int, int] | None = None) -> None:
        self.account_id = account_id
        self.session_id = session_id
        #: The last frame of each session that is included.
        self._seqs = {session_id: seq, **(streams or {})}
        #: The order that the venue created last, so far; None: there is none.
        self.newest_order_id: str | None = None
        self._newest_ms = _UNKNOWN_MS
        self._states: dict[Thing, Seen] = {}
        self._ended: dict[Thing, Seen] = {}
        #: The orders among them, and those seen since, by their ids.
        self._named: dict[str, Thing] = {}

    def take(self, session_id: int, updates: Iterable[Update]) -> None:
        """Add the updates of an answer or of pushes."""
        for update in updates:
            if isinstance(update, State):
                self.keep(self._thing_of(update), Seen(session_id, update))

    def keep(self, thing: Thing, seen: Seen | None) -> None:
        """Set the state of a thing; None: it does not exist."""
        before = self._states.pop(thing, None) or self._ended.pop(thing, None)
        is_new = before is None
        if seen is None:
            return
        if before is not None:
            seen = Seen(seen.session_id, _merged(before.state, seen.state))
        ended = False
        if isinstance(seen.state, OrderUpdate):
            ended = seen.state.status in FINAL_STATUSES
            created_ms = _UNKNOWN_MS if seen.state.created_ms is None else seen.state.created_ms
            if created_ms > self._newest_ms or (is_new and created_ms == self._newest_ms):
                self.newest_order_id, self._newest_ms = seen.state.order_id, created_ms
        (self._ended if ended else self._states)[thing] = seen
        if len(self._ended) > ENDED_MAX:
            self._ended.pop(oldest := next(iter(self._ended)))
            self._named.pop(oldest.name, None)

    def states(self) -> list[Seen]:
        """The states of things that can still change, as of the last `advance`."""
        return list(self._states.values())

    def traded(self) -> set[Traded]:
        """What its orders and positions are of, as of the last `advance`."""
        states = (seen.state for seen in self.states())
        return {Traded(one.market, one.symbol) for one in states if not isinstance(one, AccountUpdate) and one.symbol}

    def open_orders(self) -> list[OrderUpdate]:
        """The orders that can still change, as of the last `advance`."""
        return [seen.state for seen in self.states() if isinstance(seen.state, OrderUpdate)]

    def advance(self, connection: Connection) -> None:
        """Add everything that has been pushed since: the last state of each thing."""
        for session_id, seq in self._seqs.items():
            newest = newest_seq(connection, self.account_id, session_id)
            for table, record in _STATES.items():
                new = *self._mine(table, session_id), table.c.seq <= newest
                whole = *new, table.c.is_partial == 0
                last = select(func.max(table.c.seq)).where(*whole).group_by(*(table.c[name] for name in THINGS[table]))
                needed = or_(table.c.seq.in_(last), table.c.is_partial == 1)
                self.take(session_id, _states(connection, table, record, *new, needed))
            self._seqs[session_id] = max(seq, newest)

    def passed(self, connection: Connection) -> Passed:
        """The states of each thing from the last `advance` on, oldest first. None: it did not exist."""
        passed: dict[Thing, list[Seen | None]] = {thing: [seen] for thing, seen in (self._states | self._ended).items()}
        for session_id, (table, record) in product(self._seqs, _STATES.items()):
            for state in _states(connection, table, record, *self._mine(table, session_id)):
                passed.setdefault(self._thing_of(state), [None]).append(Seen(session_id, state))
        return passed

    def _thing_of(self, state: State) -> Thing:
        """What a state is of. A change of an order that names no symbol is of the order with that id."""
        thing = thing_of(state)
        if isinstance(state, OrderUpdate) and state.symbol is not None:
            self._named[state.order_id] = thing
        return self._named.get(thing.name, thing) if thing.kind is OrderUpdate else thing

    def _mine(self, table: Table, session_id: int) -> tuple[ColumnElement[bool], ...]:
        """The rows of a session that are not included yet."""
        t = table.c
        return t.account_id == self.account_id, t.session_id == session_id, t.seq > self._seqs[session_id]


def _merged(before: State, state: State) -> State:
    """A state, and what it left unchanged if it is a change."""
    if not state.is_partial:
        return state
    return completed(state, before, state._fields)._replace(is_partial=before.is_partial)


def newest_seq(connection: Connection, account_id: int, session_id: int) -> int:
    """The last frame of a session; -1 if there is none."""
    mine = frames.c.account_id == account_id, frames.c.session_id == session_id
    newest = connection.scalar(select(func.max(frames.c.seq)).where(*mine))
    return -1 if newest is None else newest


def _states(connection: Connection, table: Table, record: type[State], *these: ColumnElement[bool]) -> Iterator[State]:
    """The states in some rows, in order, with numbers as text."""
    columns = [table.c[name] for name in record._fields]
    exact = [isinstance(column.type, ExactDecimal) for column in columns]
    texts = [type_coerce(one, Words) if is_exact else one for one, is_exact in zip(columns, exact, strict=True)]
    for row in connection.execute(select(*texts).where(*these).order_by(table.c.seq, table.c.item)):
        # A server's driver gives a number anyway.
        values: list[Any] = [
            str(one) if is_exact and one is not None else one for one, is_exact in zip(row, exact, strict=True)
        ]
        yield record(*values)


class KnownOrders(NamedTuple):
    """An account's orders, as far as they were known."""

    #: When the oldest gap began, ns since 1970; None if only the time before the record is asked for.
    since_ns: int | None
    #: Orders that were not final → filled quantity.
    unfinished: dict[str, Decimal]
    #: The order that the venue created last; None: there was none.
    newest_order_id: str | None
    #: When the newest gap ended, ns since 1970.
    until_ns: int | None = None
    #: Of each unfinished order, its market and symbol.
    traded: dict[str, Traded] = {}  # noqa: RUF012  never changed
    #: The venue's time of the newest fill, milliseconds since 1970; None: there was none.
    last_fill_ms: int | None = None
    #: Markets and symbols of the positions that are not known to be flat.
    positions: tuple[Traded, ...] = ()
    #: What the account trades, as far as the record knows.
    instruments: frozenset[Traded] = frozenset()
    #: Currency and wallet of the balances that are not known to be zero.
    balances: frozenset[ThingKey] = frozenset()


class EndedGap(NamedTuple):
    """A gap that can be reconciled."""

    account_id: int
    recorder_id: int
    gap_id: int
    begins_ns: int | None
    begin_session_id: int | None
    ends_ns: int
    state: str
    #: The round that settled it, if any; what that restored and what it did not.
    reconciliation_id: int | None
    resolution: str | None


def recorder_of(connection: Connection, account_id: int, session_id: int) -> int | None:
    """The recorder whose session this is."""
    query = select(runs.c.recorder_id).join(sessions, sessions.c.run_id == runs.c.run_id)
    return connection.scalar(query.where(sessions.c.account_id == account_id, sessions.c.session_id == session_id))


def newest_covered(connection: Connection, recorder_id: int, account_id: int) -> int:
    """A recorder's newest session of an account that was covered; 0 if there is none."""
    query = select(func.max(sessions.c.session_id)).join(runs, runs.c.run_id == sessions.c.run_id)
    mine = runs.c.recorder_id == recorder_id, sessions.c.account_id == account_id
    return connection.scalar(query.where(*mine, sessions.c.covered_ns.is_not(None))) or 0


def ended_gaps(
    connection: Connection,
    recorder_id: int,
    account_id: int,
    session_id: int,
    *,
    states: Collection[str] = (OPEN,),
    gap_id: int | None = None,
) -> list[EndedGap]:
    """The gaps of one recorder that ended when a session was covered, or earlier; oldest first.

    Args:
        connection: to the record.
        recorder_id: of the recorder.
        account_id: of the account.
        session_id: of the session.
        states: only gaps in these states.
        gap_id: only this gap; None: all.
    """
    mine = gaps.c.account_id == account_id, gaps.c.recorder_id == recorder_id
    query = (
        select(*[gaps.c[name] for name in EndedGap._fields])
        .where(*mine, gaps.c.state.in_(sorted(states)), gaps.c.end_session_id <= session_id)
        .order_by(gaps.c.begins_ns.is_(None), gaps.c.begins_ns)
    )
    if gap_id is not None:
        query = query.where(gaps.c.gap_id == gap_id)
    return [EndedGap(*row) for row in connection.execute(query)]


def gaps_by_id(connection: Connection, recorder_id: int, account_id: int, gap_ids: Collection[int]) -> list[EndedGap]:
    """Some gaps of one recorder, as they are now."""
    mine = gaps.c.account_id == account_id, gaps.c.recorder_id == recorder_id, gaps.c.gap_id.in_(gap_ids)
    query = select(*[gaps.c[name] for name in EndedGap._fields]).where(*mine).order_by(gaps.c.gap_id)
    return [EndedGap(*row) for row in connection.execute(query)]


def known_orders(connection: Connection, ended: Sequence[EndedGap], held: CurrentState | None = None) -> KnownOrders:
    """What was known when the oldest of some gaps began.

    Args:
        connection: to the record.
        ended: the gaps, as `ended_gaps` returns them; at least one.
        held: the state of the session before the gap, if it is at hand; it is advanced to that session's end.
    """
    gap = ended[0]
    if gap.begins_ns is None or gap.begin_session_id is None:
        return KnownOrders(None, {}, None)
    until_ns = max(one.ends_ns for one in ended)
    if held is not None and held.session_id == gap.begin_session_id:
        held.advance(connection)
        unfinished: Sequence[Any] = held.open_orders()
        newest_order_id = held.newest_order_id or _newest_order_id(connection, gap)
    else:
        unfinished = _unfinished(connection, gap)
        newest_order_id = _newest_order_id(connection, gap)
    filled = {order.order_id: Decimal(order.filled_quantity or _ZERO) for order in unfinished}
    traded = {order.order_id: Traded(order.market, order.symbol) for order in unfinished}
    last_fill_ms = _last_fill_ms(connection, gap)
    positions = _open_positions(connection, gap.account_id)
    known = frozenset(traded_instruments(connection, gap.account_id))
    instruments = known.union(traded.values(), () if held is None else held.traded())
    found = positions, instruments, frozenset(_not_zero(connection, gap.account_id, account_updates, "balance"))
    return KnownOrders(gap.begins_ns, filled, newest_order_id, until_ns, traded, last_fill_ms, *found)


def _not_zero(connection: Connection, account_id: int, table: Table, name: str) -> Iterator[ThingKey]:
    """The things of an account of which this number is not known to be zero, whoever recorded them."""
    t = table.c
    for thing, row in latest(connection, account_id, table, NOW_NS).items():
        this = t.account_id == account_id, t.session_id == row.session_id, t.seq == row.seq, t.item == row.item
        number = connection.scalar(select(t[name]).where(*this))
        if number is None or Decimal(number) != _ZERO:
            yield thing


def _open_positions(connection: Connection, account_id: int) -> tuple[Traded, ...]:
    """The markets and symbols of positions that are not known to be flat."""
    things = _not_zero(connection, account_id, position_updates, "quantity")
    found = {(market or "", symbol or "", side or "") for symbol, market, side, *_ in things}
    return tuple(Traded(market or None, symbol, side or None) for market, symbol, side in sorted(found))


def _last_fill_ms(connection: Connection, gap: EndedGap) -> int | None:
    t = trades.c
    query = select(t.at_ms).where(t.account_id == gap.account_id, t.received_ns <= gap.begins_ns)
    return connection.scalar(query.order_by(t.at_ms.desc()).limit(1))


def told_in(connection: Connection, account_id: int, round_ids: Collection[int], target: str) -> bool:
    """Whether one of these rounds has an answer to this request."""
    f = frames.c
    topics = target, masked_topic(target)
    query = select(f.seq).where(f.account_id == account_id, f.session_id.in_(round_ids), f.topic.in_(topics))
    return connection.execute(query.where(f.status == DECODED).limit(1)).first() is not None


def _unfinished(connection: Connection, gap: EndedGap) -> list[Row[Any]]:
    o = order_updates.c
    since = o.account_id == gap.account_id, o.session_id.in_(_since_last_round(gap))
    newest_first = o.received_ns.desc(), o.session_id.desc(), o.seq.desc(), o.item.desc()
    symbol = symbol_of_order(order_updates).label("symbol")
    age = func.row_number().over(partition_by=[o.order_id, o.market, symbol], order_by=newest_first).label("age")
    aged = select(o.order_id, o.market, symbol, o.status, o.filled_quantity, age).where(*since).subquery()
    unfinished = or_(aged.c.status.is_(None), aged.c.status.not_in(sorted(FINAL_STATUSES)))
    return list(connection.execute(select(aged).where(aged.c.age == 1, unfinished)).all())


def _newest_order_id(connection: Connection, gap: EndedGap) -> str | None:
    """The order that the venue created last, as far as it was known.

    Only the latest sessions with orders are searched. If an older session had a newer order after all, more is
    requested than necessary, and nothing is missed.
    """
    o = order_updates.c
    found = _created_last(connection, gap, o.session_id.in_(_since_last_round(gap)))
    if found is None:
        newest = select(func.max(o.session_id)).where(
            o.account_id == gap.account_id, o.session_id <= gap.begin_session_id
        )
        found = _created_last(connection, gap, o.session_id == newest.scalar_subquery())
    return None if found is None else found.order_id


def _created_last(connection: Connection, gap: EndedGap, these: ColumnElement[bool]) -> Row[tuple[str]] | None:
    """Of orders created at the same time, the one that was received last."""
    o = order_updates.c
    receipt = o.received_ns, o.session_id, o.seq, o.item
    key = [o[name] for name in THINGS[order_updates]]
    rows = select(*key, o.created_ms, *receipt).where(o.account_id == gap.account_id, these)
    # Materialized, or SQLite would read all orders along the index by which it can group them.
    some = rows.cte("some").prefix_with("MATERIALIZED").c
    created_ms = func.coalesce(func.max(some.created_ms), _UNKNOWN_MS)
    first_seen = [func.min(some[column.name]) for column in receipt]
    query = select(some.order_id).group_by(*(some[column.name] for column in key))
    return connection.execute(query.order_by(created_ms.desc(), *(one.desc() for one in first_seen)).limit(1)).first()


def _since_last_round(gap: EndedGap) -> CompoundSelect[Any]:
    """This recorder's sessions and rounds from the last complete snapshot on that ended before the gap began.

    All of them if there is none.
    """
    r, s = reconciliations.c, sessions.c
    of_recorder = runs.c.recorder_id == gap.recorder_id
    before = r.account_id == gap.account_id, r.ended_ns <= gap.begins_ns
    rounds = select(r.reconciliation_id).join(runs, runs.c.run_id == r.run_id).where(of_recorder, *before)
    last = _latest(rounds.where(r.result.in_((RECONCILED, PARTIAL))), r.reconciliation_id)
    # Sessions of other streams that were open when the gap began may have a greater id than the gap's own.
    mine = s.account_id == gap.account_id, or_(s.session_id <= gap.begin_session_id, s.opened_ns <= gap.begins_ns)
    connections = select(s.session_id).join(runs, runs.c.run_id == s.run_id).where(of_recorder, *mine)
    # The sessions that the round was asked in: of each stream, the last that was covered before it, in the same run.
    covered = connections.where(s.covered_ns.is_not(None), s.session_id < last)
    its_run = covered.with_only_columns(s.run_id).order_by(s.session_id.desc()).limit(1).scalar_subquery()
    last_ones = covered.where(s.run_id == its_run).with_only_columns(func.max(s.session_id).label("id"))
    asked_in = select(func.min(last_ones.group_by(s.stream).subquery().c.id)).scalar_subquery()
    pushed = connections.where(s.session_id >= func.coalesce(asked_in, 0))
    told = rounds.where(r.reconciliation_id >= func.coalesce(last, 0))
    return pushed.union_all(told)


def _latest(query: Select[Any], column: ColumnElement[int]) -> Any:
    return query.with_only_columns(func.max(column)).scalar_subquery()
