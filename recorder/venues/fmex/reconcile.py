"""What to ask FMex after a gap: a generator that yields questions and is sent the answers. Pure.

Pushes have no snapshot and no sequence numbers, so only REST knows what happened while nothing was received: current
balances and positions, the open orders, the orders closed since, and each execution.
Source: `fmex/protocol.md`, "REST, for reconciling".
"""

from collections.abc import Generator, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from recorder.model import OrderUpdate, Update
from recorder.venues.fmex import rest
from recorder.venues.fmex.sign import TIMESTAMP_WINDOW_MS
from recorder.venues.rest import Answer, Known, Question, Step, Unanswered

#: The most pages of one month: an exchange that sends more is repeating itself.
PAGES_MAX = 10_000

_ZERO = Decimal(0)

#: Order id → order.
_Orders = dict[str, OrderUpdate]
_Questions = Generator[Step, Answer | None, _Orders]


def questions(known: Known) -> _Questions:
    """Ask for everything that may have happened in the gaps. Returns the orders in the answers."""
    found = yield from snapshot()
    # An id is unique here.
    unfinished = {order.order_id: filled for order, filled in known.unfinished.items()}
    if known.since_ms is not None:
        for symbol in known.symbols:
            found |= yield from _closed_orders(known, symbol)
        for order_id in unfinished:
            if order_id not in found:
                found |= _orders(
                    (yield Question(f"order {order_id}", partial(rest.order, order_id=order_id), "order."))
                )
    for order in found.values():
        if _filled_unseen(order, known, unfinished.get(order.order_id)):
            request = partial(rest.matches, order_id=order.order_id)
            yield Question(f"executions of order {order.order_id}", request, _topic(order.symbol))
    return found


def snapshot() -> _Questions:
    """Ask for the current state of the account. Returns the open orders."""
    yield Question("balances", rest.accounts, "account")
    yield Question("positions", rest.positions, "position.")
    return _orders((yield Question("open orders", rest.open_orders, "order.")))


def _closed_orders(known: Known, symbol: str) -> _Questions:
    """Page back, newest first, month by month, to the last known order."""
    found: _Orders = {}
    subject, topic = f"closed orders of {symbol}", _topic(symbol)
    for month in months_back(known.now_ms, known.since_ms or known.now_ms):
        offset_id: str | None = None
        for _ in range(PAGES_MAX):
            request = partial(rest.closed_orders, month=month, symbol=symbol, offset_id=offset_id)
            answer = yield Question(subject, request, topic)
            if answer is None:
                return found
            page = _orders(answer)
            found |= page
            # A whole page: the order may be that of closing times, which the answer does not contain.
            if page and all(int(order_id) <= _newest(known) for order_id in page):
                return found
            if answer.next_page is None:
                break
            if answer.next_page in {"", offset_id}:
                yield Unanswered(subject, "its pages do not say where the next one begins (data.nextOffsetId)")
                return found
            offset_id = answer.next_page
        else:
            yield Unanswered(subject, f"more than {PAGES_MAX:,} pages in one month")
            return found
    return found


def _orders(answer: Answer | None) -> _Orders:
    updates: Iterable[Update] = () if answer is None else answer.updates
    return {update.order_id: update for update in updates if isinstance(update, OrderUpdate)}


def _topic(symbol: str | None) -> str:
    return "order." if symbol is None else f"order.{symbol.lower()}"


def _filled_unseen(order: OrderUpdate, known: Known, seen: Decimal | None) -> bool:
    """Whether an order has fills that the record lacks, unless all of them came after the gaps.

    Args:
        order: as it is now.
        known: what the record knew.
        seen: how much of it was filled then; None: it was not known, or final.
    """
    if order.filled_quantity is None:
        return False
    filled = Decimal(order.filled_quantity)
    if seen is not None:
        return filled > seen
    # The clocks may differ by as much as the exchange tolerates.
    until_ms = None if known.until_ms is None else known.until_ms + TIMESTAMP_WINDOW_MS
    if until_ms is not None and order.created_ms is not None and order.created_ms > until_ms:
        return False
    return int(order.order_id) > _newest(known) and filled > _ZERO


def _newest(known: Known) -> int:
    """The newest order that was known: FMex counts its orders up."""
    return int(known.newest_order_id or 0)


def months_back(from_ms: int, to_ms: int) -> Iterator[str]:
    """The months (`YYYYMM`, UTC) from one instant back to an earlier one, both included, newest first."""
    last = datetime.fromtimestamp(from_ms / 1000, UTC)
    first = datetime.fromtimestamp(min(to_ms, from_ms) / 1000, UTC)
    for month in range(last.year * 12 + last.month - 1, first.year * 12 + first.month - 2, -1):
        yield f"{month // 12:04d}{month % 12 + 1:02d}"
