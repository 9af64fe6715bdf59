"""Everything that happened to an account, in the order in which it became known: pushes, answers, events."""

import heapq
from collections.abc import Container, Iterable, Iterator
from decimal import Context, Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, select

from recorder.model import MAKER, TAKER, UNKNOWN
from recorder.read.records import Balance, Order, Position
from recorder.read.scope import account_is, account_label
from recorder.store.schema import accounts, discrepancies, fills, gaps, reconciliations, sessions

#: What the event log knows stands before the first frame that it is about, or behind the last.
_FIRST, _LAST = -1, 10**9
_EXACT = Context(prec=500)
_ZERO = Decimal(0)


class TimelineEvent(NamedTuple):
    """Something happened, or became known."""

    account: str
    #: When it was received, or noticed, ns since 1970.
    received_ns: int
    #: `order`, `execution`, `position`, `balance`, `session`, `gap`, `reconciliation`, `discrepancy`.
    kind: str
    #: Which one: the order's number, the contract, the currency, the session, the gap's number, ...
    subject: str
    #: Of an order its status; of an execution who was maker; of a position or balance who told; what an event says.
    event: str | None
    direction: str | None
    #: Of an order what is filled, of a position what is held.
    quantity: Decimal | None
    #: An average, but of an execution its own.
    price: Decimal | None
    #: Of an order or execution the fee; of a position the realized PnL; of a balance the total.
    amount: Decimal | None
    session_id: int | None
    seq: int | None
    item: int


def key_of(event: TimelineEvent) -> tuple[int, int, int, int]:
    """The order of a timeline."""
    return (
        event.received_ns,
        event.session_id or 0,
        _FIRST if event.seq is None else event.seq,
        event.item,
    )


def timeline(
    orders: Iterable[Order],
    positions: Iterable[Position],
    balances: Iterable[Balance],
    others: Iterable[TimelineEvent],
    rounds: Container[int],
) -> Iterator[TimelineEvent]:
    """All of it in one row.

    Args:
        orders, positions, balances: every state, as received.
        others: events of other kinds; held in memory.
        rounds: the rounds of questions, by their keys: what they tell was not pushed.
    """

    def told_by(state: Position | Balance) -> str:
        return "rest" if state.session_id in rounds else "push"

    parts = (
        map(_of_order, orders),
        (_of_position(one, told_by(one)) for one in positions),
        (_of_balance(one, told_by(one)) for one in balances),
        sorted(others, key=key_of),
    )
    return heapq.merge(*parts, key=key_of)


def _of_order(order: Order) -> TimelineEvent:
    filled = None
    if order.quantity is not None and order.unfilled_quantity is not None:
        filled = _EXACT.subtract(order.quantity, order.unfilled_quantity)
    numbers = filled, order.fill_price, order.fee
    return _of_frame(order, "order", str(order.order_id), order.status, order.direction, *numbers)


def _of_position(position: Position, told_by: str) -> TimelineEvent:
    numbers = position.quantity, position.entry_price, position.realized_pnl
    return _of_frame(position, "position", position.symbol, told_by, position.direction, *numbers)


def _of_balance(balance: Balance, told_by: str) -> TimelineEvent:
    total = _ZERO
    for part in (balance.available, balance.frozen, balance.position_margin):
        total = _EXACT.add(total, part or _ZERO)
    return _of_frame(balance, "balance", balance.currency, told_by, None, None, None, total)


def _of_frame(
    row: Order | Position | Balance,
    kind: str,
    subject: str,
    event: str | None,
    direction: str | None,
    quantity: Decimal | None,
    price: Decimal | None,
    amount: Decimal | None,
) -> TimelineEvent:
    told = kind, subject, event, direction, quantity, price, amount
    return TimelineEvent(row.account, row.received_ns, *told, row.session_id, row.seq, row.item)


def other_events(connection: Connection, account: str | None) -> Iterator[TimelineEvent]:
    """Executions that REST told, and what the event log holds, of one account or all; in no order."""
    for row in _rows(connection, fills, account):
        liquidity = UNKNOWN if row.taker is None else TAKER if row.taker else MAKER
        told = "execution", str(row.order_id), liquidity, None, row.quantity, row.price, row.fee
        yield TimelineEvent(row.name, row.received_ns, *told, row.session_id, row.seq, row.item)
    for row in _rows(connection, sessions, account):
        ended = f"ended: {row.end_reason or ''}"
        name, of = row.name, ("session", str(row.session_id))
        yield from _event(name, row.opened_ns, of, "opened", row.session_id, _FIRST, 0)
        yield from _event(name, row.covered_ns, of, "covered", row.session_id, 0, _LAST)
        yield from _event(name, row.ended_ns, of, ended, row.session_id, _LAST, 0)
    for row in _rows(connection, gaps, account):
        name, of = row.name, ("gap", str(row.gap_id))
        yield from _event(name, row.begins_ns, of, f"begins: {row.reason}", row.begin_session_id, row.begin_seq, _LAST)
        yield from _event(name, row.ends_ns, of, f"ends: {row.state}", row.end_session_id, row.end_seq, _LAST)
    for row in _rows(connection, reconciliations, account):
        name, of, key = row.name, ("reconciliation", str(row.reconciliation_id)), row.reconciliation_id
        yield from _event(name, row.began_ns, of, "began", key, _FIRST, 0)
        yield from _event(name, row.ended_ns, of, f"ended: {row.result or ''}", key, _LAST, 0)
    for row in _rows(connection, discrepancies, account):
        of = "discrepancy", row.subject
        yield from _event(row.name, row.found_ns, of, row.field, row.session_id, row.seq, _LAST)


def _rows(connection: Connection, table: Table, account: str | None) -> Iterable[Any]:
    query = select(table, account_label(connection).label("name")).join(
        accounts, accounts.c.account_id == table.c.account_id
    )
    return connection.execute(query if account is None else query.where(account_is(account)))


def _event(
    account: str,
    at_ns: int | None,
    of: tuple[str, str],
    event: str,
    session_id: int | None,
    seq: int | None,
    item: int,
) -> Iterator[TimelineEvent]:
    """One event, or none where it has not happened."""
    if at_ns is not None:
        yield TimelineEvent(account, at_ns, *of, event, None, None, None, None, session_id, seq, item)
