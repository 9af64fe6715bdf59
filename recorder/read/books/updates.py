"""What the exchange told of an account's money, update by update: streamed in the order of receipt, each push once."""

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, literal, select

from recorder.store.gaps import PARTIAL, RECONCILED
from recorder.store.schema import ONCE, account_updates, order_updates, position_updates, reconciliations

#: Rows are fetched so many at a time.
_ROWS_PER_FETCH = 1_000
#: After every frame of a round.
_LAST = 2**62


class BookBalance(NamedTuple):
    """What an account update says. The first four fields of each of these order them."""

    received_ns: int
    session_id: int
    seq: int
    item: int
    #: When a REST answer was asked for; None: it was pushed.
    asked_ns: int | None
    currency: str
    available: Decimal | None
    frozen: Decimal | None
    position_margin: Decimal | None
    updated_at: int | None


class BookPosition(NamedTuple):
    """What a position update says."""

    received_ns: int
    session_id: int
    seq: int
    item: int
    asked_ns: int | None
    symbol: str
    quantity: Decimal | None
    realized_pnl: Decimal | None
    updated_at: int | None


class BookOrder(NamedTuple):
    """What an order update says."""

    received_ns: int
    session_id: int
    seq: int
    item: int
    asked_ns: int | None
    order_id: int
    symbol: str | None
    margin_currency: str | None
    status: str | None
    quantity: Decimal | None
    unfilled_quantity: Decimal | None
    fee: Decimal | None
    created_at: int | None


class BookSnapshot(NamedTuple):
    """A round of REST questions has told all there is: what it did not tell of, there is not."""

    received_ns: int
    session_id: int
    seq: int
    item: int


BookUpdate = BookBalance | BookPosition | BookOrder | BookSnapshot

_TABLES: dict[Table, type[BookBalance | BookPosition | BookOrder]] = {
    account_updates: BookBalance,
    position_updates: BookPosition,
    order_updates: BookOrder,
}


def book_updates(connection: Connection, account_id: int, since_ns: int, until_ns: int) -> Iterator[BookUpdate]:
    """Stream an account's updates.

    Args:
        connection: to the record.
        account_id: whose.
        since_ns: received at or after; of orders all, for what filled since is a difference to what was before.
        until_ns: received before.
    """
    with ExitStack() as stack:
        streams: list[Iterator[BookUpdate]] = []
        for table, record in _TABLES.items():
            query = _updates(ONCE[table], record, account_id).where(ONCE[table].c.received_ns < until_ns)
            if table is not order_updates:
                query = query.where(ONCE[table].c.received_ns >= since_ns)
            streams.append(_stream(stack, connection, record, query))
        r = reconciliations.c
        rounds = select(r.ended_ns, r.reconciliation_id, literal(_LAST), literal(0))
        rounds = rounds.where(r.account_id == account_id, r.result.in_((RECONCILED, PARTIAL)))
        rounds = rounds.where(r.ended_ns >= since_ns, r.ended_ns < until_ns).order_by(r.ended_ns, r.reconciliation_id)
        streams.append(_stream(stack, connection, BookSnapshot, rounds))
        yield from heapq.merge(*streams, key=_receipt)


def _updates(table: Table, record: type[Any], account_id: int) -> Select[Any]:
    r = reconciliations.c
    columns = [r.began_ns if name == "asked_ns" else table.c[name] for name in record._fields]
    of_answer = (r.account_id == table.c.account_id) & (r.reconciliation_id == table.c.session_id)
    query = select(*columns).join_from(table, reconciliations, of_answer, isouter=True)
    query = query.where(table.c.account_id == account_id)
    return query.order_by(table.c.received_ns, table.c.session_id, table.c.seq, table.c.item)


def _stream(stack: ExitStack, connection: Connection, record: type[Any], query: Select[Any]) -> Iterator[Any]:
    # As an option of the statement: several are open at once.
    rows = stack.enter_context(connection.execute(query.execution_options(yield_per=_ROWS_PER_FETCH)))
    return (record(*row) for row in rows)


def _receipt(update: BookUpdate) -> tuple[int, int, int, int]:
    return update[:4]
