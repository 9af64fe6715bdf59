"""Decodes the answers of Binance spot's REST interface. Source: developers.binance.com/docs/binance-spot-api-docs.

An answer is a list or an object, and an error is `{"code":-1021,"msg":"..."}` with an HTTP status of its own. Lists are
oldest first. The next page of a list begins at the time of the last row, whose rows come again. The fills of one order
may all be of one millisecond, and more than a page.
"""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from recorder.errors import Undecodable
from recorder.model import CONTROL, DECODED, Decoded, OrderUpdate, RefusedCommand, Update, unknown_order
from recorder.venues.binance_spot import objects as records
from recorder.venues.fields import Fields, as_object, identifier, names, objects, read_json, text, unknown, whole
from recorder.venues.reading import printable

TIME = "/api/v3/time"
INSTRUMENTS = "/api/v3/exchangeInfo"
ACCOUNT = "/api/v3/account"
OPEN_ORDERS = "/api/v3/openOrders"
ORDER = "/api/v3/order"
ORDERS = "/api/v3/allOrders"
TRADES = "/api/v3/myTrades"
RIGHTS = "/sapi/v1/account/apiRestrictions"

#: Rows of a page at most.
PAGE_ROWS = 1_000

_INFO = names("timezone serverTime rateLimits exchangeFilters symbols sors")


def _orders(is_snapshot: int) -> Callable[[list[Fields]], Sequence[Update]]:
    return lambda rows: [records.answered_order(row, {}, is_snapshot=is_snapshot) for row in rows]


def _trades(rows: list[Fields]) -> Sequence[Update]:
    return [records.answered_fill(row, {}) for row in rows]


def _order(order: Fields) -> Sequence[Update]:
    return [records.answered_order(order, {}, is_snapshot=1)]


def _account(account: Fields) -> Sequence[Update]:
    return records.answered_balances(account, {})


def _info(info: Fields) -> Sequence[Update]:
    around = unknown(info, _INFO)
    return [records.instrument(row, around) for row in objects(info, "symbols")]


def _nothing(_answer: Fields) -> Sequence[Update]:
    return ()


_LISTS: dict[str, Callable[[list[Fields]], Sequence[Update]]] = {
    OPEN_ORDERS: _orders(1),
    ORDERS: _orders(0),
    TRADES: _trades,
}
_OBJECTS: dict[str, Callable[[Fields], Sequence[Update]]] = {
    ORDER: _order,
    ACCOUNT: _account,
    INSTRUMENTS: _info,
    TIME: _nothing,
}
#: The field of the last row by which the next page is asked for: its id in a list that is asked for by ids, its time
#: in one that is asked for by a period.
_IDS = {ORDERS: ("orderId", "orderId"), TRADES: ("fromId", "id")}


def decode_answer(target: str, payload: bytes) -> Decoded:
    """Decode an answer by its request.

    Args:
        target: path and query of the request; its method may stand before it.
        payload: the body.

    Raises:
        Undecodable, msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not as the exchange's page says.
    """
    path, _, query = target.removeprefix("GET ").partition("?")
    answer = read_json(payload)
    if isinstance(answer, dict) and "code" in answer and "msg" in answer:
        refusal = RefusedCommand(None, whole(answer, "code"), printable(text(answer, "msg") or ""))
        return Decoded(target, CONTROL, None, (), refusal)
    if path in _LISTS:
        rows = _rows(answer)
        updates = tuple(_LISTS[path](rows))
        return Decoded(target, DECODED, None, updates, None, _next_page(path, query, rows))
    if path in _OBJECTS:
        return Decoded(target, DECODED, None, tuple(_OBJECTS[path](as_object(answer, "answer"))))
    raise Undecodable(f"{path[:60]} is not a request whose answer we know")


def _rows(answer: Any) -> list[Fields]:
    if not isinstance(answer, list):
        raise Undecodable("the answer is not a list")
    return [as_object(row, "row") for row in answer]


def _next_page(path: str, query: str, rows: list[Fields]) -> str | None:
    """Where the page after a full one begins; None if there is none."""
    asked = dict(parse_qsl(query))
    limit = asked.get("limit", "")
    if path not in _IDS or not rows or len(rows) < (int(limit) if limit.isdigit() else PAGE_ROWS // 2):
        return None
    by, name = _IDS[path]
    if by in asked:
        last = identifier(rows[-1], name) or ""
        return str(int(last) + 1) if last.isascii() and last.isdigit() else ""
    at_ms = whole(rows[-1], "time")
    return "" if at_ms is None else str(at_ms)


#: Error codes of a request for one order: there is no such order; it was archived.
_UNKNOWN = frozenset([-2013, -2026])


def ended_order(status: int, target: str, payload: bytes) -> OrderUpdate | None:
    """The order of which an error answer says that the exchange no longer knows it."""
    path, _, query = target.partition("?")
    asked = dict(parse_qsl(query))
    if status != 400 or path != ORDER or not {"symbol", "orderId"} <= asked.keys():
        return None
    if whole(as_object(read_json(payload), "answer"), "code") not in _UNKNOWN:
        return None
    return unknown_order(asked["orderId"], asked["symbol"])
