"""What the record knew of an account's orders when its oldest open gap began: where reconciling starts from.

Not all of a record is looked through: the last round that reconciled told every order that was open, so only what came
since then counts; and where the gap began in this run, `CurrentState` has most of it ready.
"""

from collections.abc import Collection
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, func, or_, select

from recorder.read.state.current import CurrentState
from recorder.store.gaps import OPEN, RECONCILED
from recorder.store.schema import gaps, order_updates, reconciliations, runs, sessions

_ZERO = Decimal(0)


class KnownOrders(NamedTuple):
    """Orders as far as they were known."""

    #: When the gap began, ns since 1970; None where only the time before the record is open.
    since_ns: int | None
    #: Orders not at their end → filled quantity.
    unfinished: dict[int, Decimal]
    last_order_id: int | None


class _Gap(NamedTuple):
    account_id: int
    recorder_id: int
    begins_ns: int | None
    begin_session_id: int


def known_orders(
    connection: Connection,
    account_id: int,
    session_id: int,
    final_statuses: Collection[str],
    held: CurrentState | None = None,
) -> KnownOrders | None:
    """What was known when the oldest gap began that is open and ended with this session, or before it.

    Args:
        connection: to the record.
        account_id: whose.
        session_id: a session of the recorder whose gaps are meant.
        final_statuses: of orders that can change no more.
        held: what was held of a session before this one, where it is known; it is brought up to its end.

    Returns:
        None where there is no such gap: nothing is to be reconciled.
    """
    recorder_id = connection.scalar(
        select(runs.c.recorder_id)
        .join(sessions, sessions.c.run_id == runs.c.run_id)
        .where(sessions.c.account_id == account_id, sessions.c.session_id == session_id)
    )
    mine = gaps.c.account_id == account_id, gaps.c.recorder_id == recorder_id
    row = connection.execute(
        select(*[gaps.c[name] for name in _Gap._fields])
        .where(*mine, gaps.c.state == OPEN, gaps.c.end_session_id <= session_id)
        .order_by(gaps.c.begins_ns.is_(None), gaps.c.begins_ns)
        .limit(1)
    ).first()
    if row is None:
        return None
    gap = _Gap(*row)
    if gap.begins_ns is None:
        return KnownOrders(None, {}, None)
    if held is not None and held.session_id == gap.begin_session_id:
        held.advance(connection)
        unfinished = {order.order_id: _filled(order.quantity, order.unfilled_quantity) for order in held.open_orders()}
        return KnownOrders(gap.begins_ns, unfinished, held.last_order_id or _last_order_id(connection, gap))
    return KnownOrders(gap.begins_ns, _unfinished(connection, gap, final_statuses), _last_order_id(connection, gap))


def _unfinished(connection: Connection, gap: _Gap, final_statuses: Collection[str]) -> dict[int, Decimal]:
    since = order_updates.c.account_id == gap.account_id, order_updates.c.session_id.in_(_since_last_round(gap))
    newest_first = order_updates.c.received_ns.desc(), order_updates.c.session_id.desc(), order_updates.c.seq.desc()
    age = func.row_number().over(partition_by=order_updates.c.order_id, order_by=newest_first).label("age")
    columns = [order_updates.c[name] for name in ("order_id", "status", "quantity", "unfilled_quantity")]
    latest = select(*columns, age).where(*since).subquery()
    unfinished = or_(latest.c.status.is_(None), latest.c.status.not_in(sorted(final_statuses)))
    rows = connection.execute(select(latest).where(latest.c.age == 1, unfinished))
    return {row.order_id: _filled(row.quantity, row.unfilled_quantity) for row in rows}


def _last_order_id(connection: Connection, gap: _Gap) -> int | None:
    """The newest order that was known.

    Ids grow, so it is looked for where orders were told last. Should an older session have told of a newer one all the
    same, more is asked for than needed, and nothing is missed.
    """
    o = order_updates.c
    mine = o.account_id == gap.account_id
    told = select(func.max(o.order_id)).where(mine, o.session_id.in_(_since_last_round(gap)))
    last: int | None = connection.scalar(told)
    if last is None:
        newest = select(func.max(o.session_id)).where(mine, o.session_id <= gap.begin_session_id)
        last = connection.scalar(select(func.max(o.order_id)).where(mine, o.session_id == newest.scalar_subquery()))
    return last


def _since_last_round(gap: _Gap) -> CompoundSelect[Any]:
    """The sessions and rounds of this recorder from the last round on that reconciled and ended before a gap began.

    All of them where there is none.
    """
    r, s = reconciliations.c, sessions.c
    of_recorder = runs.c.recorder_id == gap.recorder_id
    before = r.account_id == gap.account_id, r.ended_ns <= gap.begins_ns
    rounds = select(r.reconciliation_id).join(runs, runs.c.run_id == r.run_id).where(of_recorder, *before)
    last = _latest(rounds.where(r.result == RECONCILED), r.reconciliation_id)
    mine = s.account_id == gap.account_id, s.session_id <= gap.begin_session_id
    connections = select(s.session_id).join(runs, runs.c.run_id == s.run_id).where(of_recorder, *mine)
    # The session that the round was asked in: the last that was covered before it.
    asked_in = _latest(connections.where(s.covered_ns.is_not(None), s.session_id < last), s.session_id)
    pushed = connections.where(s.session_id >= func.coalesce(asked_in, 0))
    told = rounds.where(r.reconciliation_id >= func.coalesce(last, 0))
    return pushed.union_all(told)


def _latest(query: Select[Any], column: ColumnElement[int]) -> Any:
    return query.with_only_columns(func.max(column)).scalar_subquery()


def _filled(quantity: Decimal | str | None, unfilled: Decimal | str | None) -> Decimal:
    return Decimal(quantity or _ZERO) - Decimal(unfilled or _ZERO)
