"""Everything that happened to an account, in the order of receipt: pushes, REST answers, events."""

import heapq
from collections.abc import Container, Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, select

from recorder.model import UNKNOWN
from recorder.read.records import Balance, Order, Position
from recorder.read.scope import account_is, account_label
from recorder.store.schema import accounts, discrepancies, fills, gaps, reconciliations, sessions, transactions

#: Events of the event log come before the first frame that they concern, or after the last.
_FIRST, _LAST = -1, 10**9


class TimelineEvent(NamedTuple):
    """Something that happened or became known."""

    account: str
    #: When it was received, or noticed, ns since 1970.
    received_ns: int
    #: `order`, `fill`, `position`, `balance`, `transaction`, `session`, `gap`, `reconciliation`, `discrepancy`.
    kind: str
    #: What it is about: an order's id, a symbol, a currency, a session, a gap's number, ...
    subject: str
    #: An order's status; a fill's liquidity; the source of a position or balance; a transaction's type; the text of an
    #: event.
    event: str | None
    #: Of an order or fill `buy` or `sell`; of a position in hedge mode `long` or `short`.
    side: str | None
    #: The filled quantity of an order, the quantity of a fill or position.
    quantity: Decimal | None
    #: The average price of an order, the price of a fill, the entry price of a position.
    price: Decimal | None
    #: The fee of an order or fill; the realized PnL of a position; a balance; the amount of a transaction.
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
    """Merge all of it into one sequence.

    Args:
        orders, positions, balances: every state, as received.
        others: events of other kinds; held in memory.
        rounds: keys of the rounds of REST requests, whose updates were not pushed.
    """

    def source(state: Position | Balance) -> str:
        return "rest" if state.session_id in rounds else "push"

    parts = (
        map(_of_order, orders),
        (_of_position(one, source(one)) for one in positions),
        (_of_balance(one, source(one)) for one in balances),
        sorted(others, key=key_of),
    )
    return heapq.merge(*parts, key=key_of)


def _of_order(order: Order) -> TimelineEvent:
    numbers = order.filled_quantity, order.average_price, order.fee
    return _of_frame(order, "order", order.order_id, order.status or order.venue_status, order.side, *numbers)


def _of_position(position: Position, source: str) -> TimelineEvent:
    numbers = position.quantity, position.entry_price, position.realized_pnl
    return _of_frame(position, "position", position.symbol, source, position.position_side, *numbers)


def _of_balance(balance: Balance, source: str) -> TimelineEvent:
    return _of_frame(balance, "balance", balance.currency, source, None, None, None, balance.balance)


def _of_frame(
    row: Order | Position | Balance,
    kind: str,
    subject: str,
    event: str | None,
    side: str | None,
    quantity: Decimal | None,
    price: Decimal | None,
    amount: Decimal | None,
) -> TimelineEvent:
    details = kind, subject, event, side, quantity, price, amount
    return TimelineEvent(row.account, row.received_ns, *details, row.session_id, row.seq, row.item)


def other_events(connection: Connection, account: str | None, order_id: str | None = None) -> Iterator[TimelineEvent]:
    """Fills, transactions and the events of the event log, in no order.

    Args:
        connection: to the record.
        account: only this one's; None: all.
        order_id: only what is about this order; None: everything.
    """
    of_order = () if order_id is None else (fills.c.order_id == order_id,)
    for row in _rows(connection, fills, account, *of_order):
        subject = str(row.order_id if row.order_id is not None else row.trade_id)
        details = "fill", subject, row.liquidity or UNKNOWN, row.side, row.quantity, row.price, row.fee
        yield TimelineEvent(row.name, row.received_ns, *details, row.session_id, row.seq, row.item)
    of_order = () if order_id is None else (discrepancies.c.subject == f"order {order_id}",)
    for row in _rows(connection, discrepancies, account, *of_order):
        of = "discrepancy", row.subject
        yield from _event(row.name, row.found_ns, of, row.field, row.session_id, row.seq, _LAST)
    if order_id is None:
        yield from _other_events(connection, account)


def _other_events(connection: Connection, account: str | None) -> Iterator[TimelineEvent]:
    for row in _rows(connection, transactions, account):
        subject = str(row.transaction_id if row.transaction_id is not None else row.currency)
        details = "transaction", subject, row.type, None, None, None, row.amount
        yield TimelineEvent(row.name, row.received_ns, *details, row.session_id, row.seq, row.item)
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


def _rows(connection: Connection, table: Table, account: str | None, *these: ColumnElement[bool]) -> Iterable[Any]:
    query = select(table, account_label(connection).label("name")).join(
        accounts, accounts.c.account_id == table.c.account_id
    )
    query = query.where(*these)
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
    """One event, or none if it has not happened."""
    if at_ns is not None:
        yield TimelineEvent(account, at_ns, *of, event, None, None, None, None, session_id, seq, item)
