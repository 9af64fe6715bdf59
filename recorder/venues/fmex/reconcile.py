"""What to ask FMex after a gap, and what its answers say. Pure: the questions are a generator that is sent the answers.

A pushed stream has no snapshot and no sequence numbers, so only REST can tell what happened while nobody was connected:
balances and positions as they are now, the open orders, the orders closed since, and each execution.
Source: `fmex/protocol.md`, "REST, for reconciling".
"""

import re
from collections.abc import Generator, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from recorder.errors import Undecodable
from recorder.model import DECODED, Decoded, FillUpdate, OrderUpdate, Update
from recorder.venues.base import Answer, Known, Question, Unanswered
from recorder.venues.fmex import rest
from recorder.venues.fmex.sign import TIMESTAMP_WINDOW_MS

#: An exchange that answers with more pages of one month than this is repeating itself.
PAGES_MAX = 10_000

_ORDER = re.compile(rf"{rest.ORDERS}/(\d{{1,19}})(/matches)?")
_ZERO = Decimal(0)

#: Order id → order.
_Orders = dict[int, OrderUpdate]
_Asking = Generator[Question | Unanswered, Answer | None, _Orders]


def questions(known: Known) -> _Asking:
    """Ask for everything that the gaps may have hidden; returns the orders that were told."""
    told = yield from snapshot()
    if known.since_ms is not None:
        for symbol in known.symbols:
            told |= yield from _closed_orders(known, symbol)
        for order_id in known.unfinished:
            if order_id not in told:
                told |= _orders((yield Question(f"order {order_id}", partial(rest.order, order_id=order_id), "order.")))
    for order in told.values():
        if _filled_unseen(order, known):
            request = partial(rest.matches, order_id=order.order_id)
            yield Question(f"executions of order {order.order_id}", request, _topic(order.symbol))
    return told


def snapshot() -> _Asking:
    """Ask for the state of the account as it is now; returns the open orders."""
    yield Question("balances", rest.accounts, "account")
    yield Question("positions", rest.positions, "position.")
    return _orders((yield Question("open orders", rest.open_orders, "order.")))


def decode_answer(target: str, payload: bytes) -> Decoded:
    """What one answer says.

    Args:
        target: path and query of the request.
        payload: the body.

    Raises:
        Undecodable: it is not what the exchange's page describes.
    """
    path = target.partition("?")[0]
    one_order = _ORDER.fullmatch(path)
    updates: tuple[Update, ...]
    next_page = None
    if path == rest.ACCOUNTS:
        updates = rest.read_accounts(payload)
    elif path == rest.POSITIONS:
        updates = rest.read_positions(payload)
    elif path == rest.OPEN_ORDERS:
        updates = rest.read_open_orders(payload)
    elif path == rest.CLOSED_ORDERS:
        page = rest.read_closed_orders(payload)
        updates = page.orders
        next_page = (page.next_offset_id or "") if page.has_more else None
    elif one_order is not None and one_order[2] is None:
        updates = (rest.read_order(payload),)
    elif one_order is not None:
        matches = rest.read_matches(payload)
        updates = tuple(_fill(int(one_order[1]), match) for match in matches)
    else:
        raise Undecodable(f"{path[:60]} is not a request whose answer we know")
    return Decoded(target, DECODED, None, updates, None, next_page)


def _closed_orders(known: Known, symbol: str) -> _Asking:
    """Page back, newest first, month by month, to the last order that was known."""
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
            # A whole page, not one order: newest first may go by the time of closing, which the page does not say.
            if page and all(order_id <= (known.last_order_id or 0) for order_id in page):
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


def _filled_unseen(order: OrderUpdate, known: Known) -> bool:
    """Whether an order filled further than the record knew, and not only after the gaps."""
    if order.quantity is None or order.unfilled_quantity is None:
        return False
    filled = Decimal(order.quantity) - Decimal(order.unfilled_quantity)
    if order.order_id in known.unfinished:
        return filled > known.unfinished[order.order_id]
    # The exchange's clock and ours may differ by as much as it tolerates.
    until_ms = None if known.until_ms is None else known.until_ms + TIMESTAMP_WINDOW_MS
    if until_ms is not None and order.created_at is not None and order.created_at > until_ms:
        return False
    is_new = known.last_order_id is None or order.order_id > known.last_order_id
    return is_new and filled > _ZERO


def _fill(order_id: int, match: rest.Match) -> FillUpdate:
    taker = None if match.taker is None else int(match.taker)
    return FillUpdate(order_id, taker, match.price, match.quantity, match.fee, match.created_at)


def months_back(from_ms: int, to_ms: int) -> Iterator[str]:
    """The months (`YYYYMM`, UTC) from one instant back to an earlier one, both included, newest first."""
    last = datetime.fromtimestamp(from_ms / 1000, UTC)
    first = datetime.fromtimestamp(min(to_ms, from_ms) / 1000, UTC)
    for month in range(last.year * 12 + last.month - 1, first.year * 12 + first.month - 2, -1):
        yield f"{month // 12:04d}{month % 12 + 1:02d}"
