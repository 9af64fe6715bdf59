"""The updates that books are kept from, streamed in the order of receipt with each push once; and fees from orders."""

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Table, literal, select

from recorder.model import FINAL_STATUSES
from recorder.read.fills import is_another
from recorder.store.gaps import PARTIAL, RECONCILED
from recorder.store.schema import ONCE, account_updates, order_updates, position_updates, reconciliations
from recorder.venues.accounting import EXACT

_ZERO = Decimal(0)
#: Rows fetched at a time.
_ROWS_PER_FETCH = 1_000
#: After every frame of a round.
_LAST = 2**62


class BookBalance(NamedTuple):
    """An account update. The first four fields of each of these records give its order."""

    received_ns: int
    session_id: int
    seq: int
    item: int
    #: When the REST answer was requested; None: it was pushed.
    asked_ns: int | None
    wallet: str | None
    currency: str
    balance: Decimal | None
    updated_ms: int | None


class BookPosition(NamedTuple):
    """A position update."""

    received_ns: int
    session_id: int
    seq: int
    item: int
    asked_ns: int | None
    market: str | None
    symbol: str
    position_side: str | None
    position_id: str | None
    quantity: Decimal | None
    realized_pnl: Decimal | None
    updated_ms: int | None


class BookOrder(NamedTuple):
    """An order update."""

    received_ns: int
    session_id: int
    seq: int
    item: int
    asked_ns: int | None
    order_id: str
    market: str | None
    symbol: str | None
    status: str | None
    filled_quantity: Decimal | None
    fee: Decimal | None
    fee_currency: str | None
    created_ms: int | None


class BookSnapshot(NamedTuple):
    """A round of REST requests has returned everything: what it did not list does not exist."""

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
        account_id: of the account.
        since_ns: received at or after. Orders are always complete, because a fill is a difference to what was before.
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
    # An option of the statement, because several are open at once.
    rows = stack.enter_context(connection.execute(query.execution_options(yield_per=_ROWS_PER_FETCH)))
    return (record(*row) for row in rows)


def _receipt(update: BookUpdate) -> tuple[int, int, int, int]:
    return update[:4]


#: Final orders remembered: another recorder may report an earlier state late.
ENDED_MAX = 10_000

#: Order id, market and symbol; with its time of creation if an earlier order has the same ones.
_Key = tuple[str | int | None, ...]


class _FilledOrder(NamedTuple):
    """How far an order had filled, and in which interval that was pushed; None: it came from REST, or is older."""

    filled: Decimal
    fee: Decimal
    interval: int | None
    created_ms: int | None = None


_NOTHING = _FilledOrder(_ZERO, _ZERO, None)


class OrderFees:
    """Remembers how far each order had filled, and its fee."""

    def __init__(self) -> None:
        self._interval = 0
        self._open: dict[_Key, _FilledOrder] = {}
        self._ended: dict[_Key, _FilledOrder] = {}

    def begin(self) -> None:
        """Begin a new interval."""
        self._interval += 1

    def learn(self, order: BookOrder) -> None:
        """Remember an order's state from before this interval."""
        self._take(order, self._seen(order), None)

    def step(self, order: BookOrder) -> tuple[Decimal, int] | None:
        """What an update adds to the ones before it.

        Returns:
            The fee, and 1 if the order filled further, else 0; None if there is nothing new.
        """
        before = self._seen(order)
        if order.asked_ns is not None:
            if before is None or before.interval != self._interval:
                self._take(order, before, None)
            return None
        now = self._take(order, before, self._interval)
        earlier = before or _NOTHING
        return None if now is None else (EXACT.subtract(now.fee, earlier.fee), int(now.filled > earlier.filled))

    def _take(self, order: BookOrder, before: _FilledOrder | None, interval: int | None) -> _FilledOrder | None:
        """Remember how far an order has filled; None if the update does not say, or says less than is known."""
        filled, earlier = order.filled_quantity, before or _NOTHING
        if filled is None or filled < earlier.filled:
            return None
        fee = earlier.fee if order.fee is None else order.fee
        created_ms = earlier.created_ms if order.created_ms is None else order.created_ms
        # One zero for all orders that never filled: up to ENDED_MAX of these are kept.
        seen = _FilledOrder(filled or _ZERO, fee, interval, created_ms)
        self._keep(order, seen)
        return seen

    def _key(self, order: BookOrder) -> _Key:
        key = order.order_id, order.market, order.symbol
        seen = self._open.get(key) or self._ended.get(key)
        return (*key, order.created_ms) if seen is not None and is_another(order.created_ms, seen.created_ms) else key

    def _seen(self, order: BookOrder) -> _FilledOrder | None:
        key = self._key(order)
        return self._open.get(key) or self._ended.get(key)

    def _keep(self, order: BookOrder, seen: _FilledOrder) -> None:
        key = self._key(order)
        self._open.pop(key, None)
        if order.status not in FINAL_STATUSES:
            self._open[key] = seen
            return
        self._ended[key] = seen
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]
