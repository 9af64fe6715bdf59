"""What to ask FMex after a gap, and what its answers say. Pure: the questions are a generator that is fed the answers.

A pushed stream has no snapshot and no numbers, so only REST can tell what happened while nobody listened: balances
and positions as they are now, the orders that are open, those that closed since, and each execution.
Source: `fmex/protocol.md`, "REST, for reconciling".
"""

import re
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from recorder.errors import Undecodable
from recorder.model import DECODED, Decoded, FillUpdate, OrderUpdate, Update
from recorder.venues.base import Ask, Known
from recorder.venues.fmex import rest

#: An exchange that answers with more pages of one month than this is going round in circles.
PAGES_MAX = 10_000

_ORDER = re.compile(rf"{rest.ORDERS}/(\d{{1,19}})(/matches)?")
_ZERO = Decimal(0)


def questions(known: Known) -> Generator[Ask, bytes, None]:
    """Ask for all that a gap may have hidden.

    Raises:
        Undecodable: an answer is not what the exchange's page describes.
    """
    told = {order.order_id: order for order in (yield from snapshot())}
    if known.since_ms is not None:
        for symbol in known.symbols:
            told |= yield from _closed_orders(known, symbol)
        for order_id in known.unfinished:
            if order_id not in told:
                told[order_id] = rest.read_order((yield partial(rest.order, order_id=order_id)))
    for order in told.values():
        if _filled_since(order, known):
            rest.read_matches((yield partial(rest.matches, order_id=order.order_id)))


def snapshot() -> Generator[Ask, bytes, tuple[OrderUpdate, ...]]:
    """Ask how things are now; returns the open orders.

    Raises:
        Undecodable: an answer is not what the exchange's page describes.
    """
    rest.read_accounts((yield rest.accounts))
    rest.read_positions((yield rest.positions))
    return rest.read_open_orders((yield rest.open_orders))


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
    if path == rest.ACCOUNTS:
        updates = rest.read_accounts(payload)
    elif path == rest.POSITIONS:
        updates = rest.read_positions(payload)
    elif path == rest.OPEN_ORDERS:
        updates = rest.read_open_orders(payload)
    elif path == rest.CLOSED_ORDERS:
        updates = rest.read_closed_orders(payload).orders
    elif one_order is not None and one_order[2] is None:
        updates = (rest.read_order(payload),)
    elif one_order is not None:
        matches = rest.read_matches(payload)
        updates = tuple(_fill(int(one_order[1]), match) for match in matches)
    else:
        raise Undecodable(f"{path[:60]} is not a request whose answer we know")
    return Decoded(target, DECODED, None, updates, None)


def _closed_orders(known: Known, symbol: str) -> Generator[Ask, bytes, dict[int, OrderUpdate]]:
    """Page back, newest first, month by month, to the last order that was known."""
    found: dict[int, OrderUpdate] = {}
    for month in months_back(known.now_ms, known.since_ms or known.now_ms):
        offset_id: str | None = None
        for _ in range(PAGES_MAX):
            ask = partial(rest.closed_orders, month=month, symbol=symbol, offset_id=offset_id)
            page = rest.read_closed_orders((yield ask))
            found |= {order.order_id: order for order in page.orders}
            # A whole page, not one order: newest first may go by the time of closing, which the page does not say.
            if page.orders and all(order.order_id <= (known.last_order_id or 0) for order in page.orders):
                return found
            if not page.has_more:
                break
            if page.next_offset_id is None or page.next_offset_id == offset_id:
                raise Undecodable("data.nextOffsetId: the pages of closed orders do not go on")
            offset_id = page.next_offset_id
        else:
            raise Undecodable(f"more than {PAGES_MAX} pages of closed orders in one month")
    return found


def _filled_since(order: OrderUpdate, known: Known) -> bool:
    if order.quantity is None or order.unfilled_quantity is None:
        return False
    filled = Decimal(order.quantity) - Decimal(order.unfilled_quantity)
    if order.order_id in known.unfinished:
        return filled > known.unfinished[order.order_id]
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
