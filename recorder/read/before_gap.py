"""What was known of an account when a gap began, which the reconciliation starts from.

Not the whole record is read: the last round with a complete snapshot before the gap listed every open order, so only
what came after it is needed.
"""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Row, Select, Table, func, or_, select

from recorder.model import DECODED, FINAL_STATUSES, PENDING
from recorder.read.contracts import traded_instruments
from recorder.read.current_states import NOW_NS
from recorder.read.known_state import UNKNOWN_MS, CurrentState
from recorder.store.gaps import OPEN, PARTIAL, RECONCILED
from recorder.store.latest_orders import is_listed_open, latest_of_orders, symbol_of_order
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
from recorder.store.state_index import THINGS, ThingKey, present
from recorder.venues.reading import masked_topic
from recorder.venues.rest import OrderKey, Traded

_ZERO = Decimal(0)


class KnownOrders(NamedTuple):
    """An account's orders, as far as they were known."""

    #: When the oldest gap began, ns since 1970; None if only the time before the record is asked for.
    since_ns: int | None
    #: Orders that were not final → filled quantity.
    unfinished: dict[OrderKey, Decimal]
    #: The order that the venue created last; None: there was none.
    newest_order_id: str | None
    #: When the newest gap ended, ns since 1970.
    until_ns: int | None = None
    #: The venue's time of the newest fill, milliseconds since 1970; None: there was none.
    last_fill_ms: int | None = None
    #: Markets and symbols of the positions that are not known to be flat.
    positions: tuple[Traded, ...] = ()
    #: What the account trades, as far as the record knows.
    instruments: frozenset[Traded] = frozenset()
    #: Currency and wallet of the balances that are not known to be zero.
    balances: frozenset[ThingKey] = frozenset()
    #: The streams that have a gap which began within the record.
    streams: frozenset[str] = frozenset()
    #: Those of `unfinished` that are pending, or of which no update says how much was filled.
    conditional: frozenset[OrderKey] = frozenset()


class EndedGap(NamedTuple):
    """A gap that can be reconciled."""

    account_id: int
    recorder_id: int
    gap_id: int
    stream: str
    begins_ns: int | None
    begin_session_id: int | None
    ends_ns: int
    state: str
    #: The round that settled it, if any; what that restored and what it did not.
    reconciliation_id: int | None
    resolution: str | None


class Period(NamedTuple):
    """A time of which pushes may be missing: from the beginning of a gap, or from when REST last agreed with them."""

    account_id: int
    recorder_id: int
    #: The session before it, or the one that it is in.
    session_id: int
    #: Nanoseconds since 1970.
    begins_ns: int
    ends_ns: int


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
    ends_ns = max(one.ends_ns for one in ended)
    period = Period(gap.account_id, gap.recorder_id, gap.begin_session_id, gap.begins_ns, ends_ns)
    streams = frozenset(one.stream for one in ended if one.begins_ns is not None)
    return known_before(connection, period, held)._replace(streams=streams)


def known_before(connection: Connection, period: Period, held: CurrentState | None) -> KnownOrders:
    """What was known when a period began.

    Args:
        connection: to the record.
        period: the period.
        held: the state of its session, if it is at hand; it is advanced to that session's end.
    """
    if held is not None and held.session_id == period.session_id:
        held.advance(connection)
        unfinished: Sequence[Any] = held.open_orders()
        newest_order_id = held.newest_order_id or _newest_order_id(connection, period)
    else:
        unfinished = _unfinished(connection, period)
        newest_order_id = _newest_order_id(connection, period)
    orders = {OrderKey(order.market, order.symbol, order.order_id): order for order in unfinished}
    filled = {key: Decimal(order.filled_quantity or _ZERO) for key, order in orders.items()}
    traded = {Traded(order.market, order.symbol) for order in filled}
    known = frozenset(traded_instruments(connection, period.account_id))
    return KnownOrders(
        period.begins_ns,
        filled,
        newest_order_id,
        period.ends_ns,
        _last_fill_ms(connection, period),
        positions=_open_positions(connection, period.account_id),
        instruments=known.union(traded, () if held is None else held.traded()),
        balances=frozenset(_not_zero(connection, period.account_id, account_updates, "balance")),
        conditional=frozenset(key for key, order in orders.items() if is_conditional(order)),
    )


def is_conditional(order: Any) -> bool:
    """Whether an order, or a row of one, waits for a trigger, or nothing said how much of it was filled."""
    return order.status == PENDING or order.filled_quantity is None


def _not_zero(connection: Connection, account_id: int, table: Table, name: str) -> Iterator[ThingKey]:
    """The things of an account of which this number is not known to be zero, whoever recorded them."""
    t = table.c
    for thing, row in present(connection, account_id, table, NOW_NS).items():
        this = t.account_id == account_id, t.session_id == row.session_id, t.seq == row.seq, t.item == row.item
        number = connection.scalar(select(t[name]).where(*this))
        if number is None or Decimal(number) != _ZERO:
            yield thing


def _open_positions(connection: Connection, account_id: int) -> tuple[Traded, ...]:
    """The markets and symbols of positions that are not known to be flat."""
    things = _not_zero(connection, account_id, position_updates, "quantity")
    found = {(market or "", symbol or "", side or "") for symbol, market, side, *_ in things}
    return tuple(Traded(market or None, symbol, side or None) for market, symbol, side in sorted(found))


def _last_fill_ms(connection: Connection, period: Period) -> int | None:
    t = trades.c
    query = select(t.at_ms).where(t.account_id == period.account_id, t.received_ns <= period.begins_ns)
    return connection.scalar(query.order_by(t.at_ms.desc()).limit(1))


def is_answered(connection: Connection, account_id: int, round_ids: Collection[int], target: str) -> bool:
    """Whether one of these rounds has an answer to this request."""
    f = frames.c
    topics = target, masked_topic(target)
    query = select(f.seq).where(f.account_id == account_id, f.session_id.in_(round_ids), f.topic.in_(topics))
    return connection.execute(query.where(f.status == DECODED).limit(1)).first() is not None


def _unfinished(connection: Connection, period: Period) -> list[Row[Any]]:
    o = order_updates.c
    since = o.account_id == period.account_id, o.session_id.in_(_since_last_round(period))
    receipt = "received_ns", "session_id", "seq", "item"
    order = "order_id", "market", "symbol"
    names = o.order_id, o.market, symbol_of_order(order_updates).label("symbol"), o.status, o.filled_quantity
    rows = select(*names, *(o[name] for name in receipt), is_listed_open(o).label("is_listed_open")).where(*since)
    found = latest_of_orders(rows.subquery(), order, receipt, (*order, "status", "filled_quantity")).subquery()
    unfinished = or_(found.c.status.is_(None), found.c.status.not_in(sorted(FINAL_STATUSES)))
    return list(connection.execute(select(found).where(unfinished)).all())


def _newest_order_id(connection: Connection, period: Period) -> str | None:
    """The order that the venue created last, as far as it was known.

    Only the latest sessions with orders are searched. If an older session had a newer order after all, more is
    requested than necessary, and nothing is missed.
    """
    o = order_updates.c
    found = _created_last(connection, period, o.session_id.in_(_since_last_round(period)))
    if found is None:
        newest = select(func.max(o.session_id)).where(
            o.account_id == period.account_id, o.session_id <= period.session_id
        )
        found = _created_last(connection, period, o.session_id == newest.scalar_subquery())
    return None if found is None else found.order_id


def _created_last(connection: Connection, period: Period, these: ColumnElement[bool]) -> Row[tuple[str]] | None:
    """Of orders created at the same time, the one that was received last."""
    o = order_updates.c
    receipt = o.received_ns, o.session_id, o.seq, o.item
    key = [o[name] for name in THINGS[order_updates]]
    rows = select(*key, o.created_ms, *receipt).where(o.account_id == period.account_id, these)
    # Materialized, or SQLite would read all orders along the index by which it can group them.
    some = rows.cte("some").prefix_with("MATERIALIZED").c
    created_ms = func.coalesce(func.max(some.created_ms), UNKNOWN_MS)
    first_seen = [func.min(some[column.name]) for column in receipt]
    query = select(some.order_id).group_by(*(some[column.name] for column in key))
    return connection.execute(query.order_by(created_ms.desc(), *(one.desc() for one in first_seen)).limit(1)).first()


def _since_last_round(period: Period) -> CompoundSelect[Any]:
    """This recorder's sessions and rounds from the last complete snapshot on that ended before the period began.

    All of them if there is none.
    """
    r, s = reconciliations.c, sessions.c
    of_recorder = runs.c.recorder_id == period.recorder_id
    before = r.account_id == period.account_id, r.ended_ns <= period.begins_ns
    rounds = select(r.reconciliation_id).join(runs, runs.c.run_id == r.run_id).where(of_recorder, *before)
    last = _latest(rounds.where(r.result.in_((RECONCILED, PARTIAL))), r.reconciliation_id)
    # Sessions of other streams that were open when the period began may have a greater id than its own.
    mine = s.account_id == period.account_id, or_(s.session_id <= period.session_id, s.opened_ns <= period.begins_ns)
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
