"""REST beside the push portal: a request's path and headers in, JSON out. No sockets.

Paths and answers as the exchange's REST pages have them; what is told is what has been pushed so far, never more.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from urllib.parse import parse_qsl, unquote

from recorder.simulator import frames
from recorder.simulator.exchange import Told
from recorder.simulator.guard import Guard, Refused

#: Orders on a page of closed orders where the request names no limit; at most 100.
PAGE = 20

SERVER_TIME = "/v2/public/server-time"

_ORDERS = "/v3/contracts/orders/"


class Rest:
    """Answers requests for all accounts.

    Args:
        guard: knows keys and counts requests.
        told: each key's account.
        clock_ms: the server's clock.
    """

    def __init__(self, guard: Guard, told: Mapping[str, Told], clock_ms: Callable[[], int]) -> None:
        self._guard = guard
        self._told = told
        self._clock_ms = clock_ms

    def answer(self, method: str, target: str, headers: Mapping[str, str], base: str) -> bytes:
        """Answer one request.

        Args:
            method: of HTTP; only ``GET`` is served.
            target: path and query as sent.
            headers: by the names the exchange documents.
            base: scheme and host the client addressed, ``http://127.0.0.1:9010``.

        Returns:
            A JSON body.

        Raises:
            Refused: with the HTTP status.
        """
        path, _, query = target.partition("?")
        if method != "GET":
            raise Refused(405, f"method {method} not allowed, this simulator only tells")
        if path == SERVER_TIME:
            return f'{{"status":0,"data":{self._clock_ms()}}}'.encode()
        route = _ROUTES.get(path)
        if route is None and not path.startswith(_ORDERS):
            raise Refused(404, "path not found")
        key = self._guard.admit(headers, base + _sorted_query(target), self._clock_ms())
        self._guard.count(key, self._clock_ms())
        told = self._told[key]
        told.catch_up()
        if route is not None:
            return route(told, dict(parse_qsl(query))).encode()
        return _one_order(told, unquote(path.removeprefix(_ORDERS))).encode()


def refusal(status: int, message: str) -> bytes:
    """The body that goes with an HTTP error."""
    return json.dumps({"status": status, "msg": message}, separators=(",", ":")).encode()


def _sorted_query(target: str) -> str:
    """Path and query with the parameters sorted by name, as they must be signed."""
    path, _, query = target.partition("?")
    return path if not query else path + "?" + "&".join(sorted(query.split("&"), key=lambda pair: pair.split("=")[0]))


def _accounts(told: Told, _query: dict[str, str]) -> str:
    return f'{{"status":0,"data":{{"BTC":{frames.balance_answer(told.balance)}}}}}'


def _positions(told: Told, _query: dict[str, str]) -> str:
    """Positions ever touched; one that was closed is told as such, with what it realized."""
    results = ",".join(frames.position_answer(held) for held in told.positions.values() if held.updated_at)
    return f'{{"status":"ok","data":{{"results":[{results}]}}}}'


def _open_orders(told: Told, _query: dict[str, str]) -> str:
    results = ",".join(frames.order_answer(order) for order in told.open_orders())
    return f'{{"status":0,"data":{{"results":[{results}]}}}}'


def _closed_orders(told: Told, query: dict[str, str]) -> str:
    """A page of one month's closed orders, by the month they were made in (UTC); the newest month unless told."""
    month = query.get("range") or _month(told.now_ms)
    if not (len(month) == 6 and month.isascii() and month.isdigit()) or not 1 <= int(month[4:]) <= 12:
        raise Refused(400, "range must be a month, YYYYMM")
    limit = _number(query, "limit", PAGE)
    if not 1 <= limit <= 100:
        raise Refused(400, "limit must be from 1 to 100")
    offset = _number(query, "offsetId", 0)
    symbol = query.get("symbol", "").upper()
    if symbol and symbol not in told.positions:
        raise Refused(400, "invalid symbol")
    fitting = (
        order
        for order in told.closed_orders(offset or None)
        if (not symbol or order.symbol == symbol) and _month(order.created_at) == month
    )
    page = list(islice(fitting, limit + 1))
    more = len(page) > limit
    results = ",".join(frames.order_answer(order) for order in page[:limit])
    return (
        f'{{"status":0,"data":{{"range":"{month}","hasMore":{"true" if more else "false"},'
        f'"nextOffsetId":{page[limit - 1].id if more else "null"},"results":[{results}]}}}}'
    )


def _one_order(told: Told, rest: str) -> str:
    """``<id>`` or ``<id>/matches``."""
    name, slash, what = rest.partition("/")
    if not (name.isascii() and name.isdigit() and len(name) < 20):
        raise Refused(400, "order id must be a number") if not slash else Refused(404, "path not found")
    if what not in {"", "matches"} or (slash and not what):
        raise Refused(404, "path not found")
    order = told.orders.get(int(name))
    if order is None:
        raise Refused(404, "order not found")
    if not what:
        return f'{{"status":0,"data":{frames.order_answer(order)}}}'
    results = ",".join(frames.match_answer(match) for match in order.matches)
    return f'{{"status":0,"data":{{"results":[{results}]}}}}'


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refused(400, f"{name} must be a number")
    return int(text)


def _month(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m")


_ROUTES: dict[str, Callable[[Told, dict[str, str]], str]] = {
    "/v3/contracts/accounts": _accounts,
    "/v3/broker/auth/contracts/positions": _positions,
    "/v3/contracts/orders/open": _open_orders,
    "/v3/contracts/orders/closed": _closed_orders,
}
