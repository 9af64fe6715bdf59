"""FMex's door: REST beside the push portal. A request's path and headers in, JSON out.

Paths and answers as the exchange's REST pages have them. Source: `fmex/protocol.md`, "REST, for reconciling".
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from urllib.parse import parse_qsl, unquote

from recorder.venues.fmex import rest
from recorder.venues.fmex.commands import PUSH_PATH
from recorder.venues.fmex.sign import KEY, SIGNATURE, TIMESTAMP
from recorder.venues.fmex.stand_in import answers
from recorder.venues.fmex.stand_in.guard import Guard
from recorder.venues.stand_in import Admitted, Declined, Question, Telling

#: Where clients of 2019 ask for positions.
OLD_POSITIONS = "/v3/contracts/positions"

#: What clients sign that were written for the exchange and pointed elsewhere by a proxy or a patched address.
PRODUCTION = "https://api.fmex.com"

#: Orders on a page of closed orders where the request names no limit.
PAGE = 20

#: Of an order.
NUMBER_MAX = 2**63 - 1


class FMexDoor:
    """Implements `recorder.venues.stand_in.Door`.

    Args:
        secret_of: key → its secret; None: there is no such key.
        clock_ms: the exchange's clock.
    """

    def __init__(self, secret_of: Callable[[str], str | None], clock_ms: Callable[[], int]) -> None:
        self._guard = Guard(secret_of)
        self._clock_ms = clock_ms

    def knock(self, method: str, target: str, headers: Mapping[str, str], base: str) -> bytes | Question | Admitted:
        """Decide on a request.

        Raises:
            Declined: with the HTTP status.
        """
        path, _, query = target.partition("?")
        if method == "POST":
            raise Declined(403, "this venue is read-only: it takes no orders and changes nothing")
        if method != "GET":
            raise Declined(405, f"method {method} not allowed")
        if path == rest.SERVER_TIME:
            return answers.answer(0, self._clock_ms())
        if path == PUSH_PATH:
            parameters = dict(parse_qsl(query))
            key = self._admit(parameters, base, PUSH_PATH)
            proofs = {KEY, SIGNATURE, TIMESTAMP}
            return Admitted(key, {name: value for name, value in parameters.items() if name not in proofs})
        route = _ROUTES.get(path)
        if route is None and not path.startswith(f"{rest.ORDERS}/"):
            raise Declined(404, "path not found")
        key = self._admit(headers, base, _sorted_query(target))
        self._guard.count(key, self._clock_ms())
        if route is not None:
            return Question(key, partial(route, query=dict(parse_qsl(query))))
        return Question(key, partial(_one_order, rest_of_path=unquote(path.removeprefix(f"{rest.ORDERS}/"))))

    def _admit(self, given: Mapping[str, str], base: str, target: str) -> str:
        return self._guard.admit(given, (base + target, PRODUCTION + target), self._clock_ms())

    def refusal(self, declined: Declined) -> bytes:
        """As JSON: `status` and `msg`."""
        return answers.refusal(declined.status, declined.message)


def _sorted_query(target: str) -> str:
    """Path and query with the parameters sorted by name, as they must be signed."""
    path, _, query = target.partition("?")
    return path if not query else path + "?" + "&".join(sorted(query.split("&"), key=lambda pair: pair.split("=")[0]))


def _accounts(told: Telling, query: dict[str, str]) -> bytes:
    return answers.answer(0, answers.balances(told.balances()))


def _positions(told: Telling, query: dict[str, str]) -> bytes:
    """Positions ever touched; one that was closed is told as such, with what it realized."""
    return answers.results("ok", map(answers.position, told.positions()))


def _old_positions(told: Telling, query: dict[str, str]) -> bytes:
    """As `_positions`, in the older form: clients rely on a `user_id`, which no record knows."""
    return answers.results(0, ({"user_id": 0} | answers.position(one) for one in told.positions()))


def _open_orders(told: Telling, query: dict[str, str]) -> bytes:
    return answers.results(0, map(answers.order, told.open_orders()))


def _closed_orders(told: Telling, query: dict[str, str]) -> bytes:
    """A page of one month's closed orders, by the month they were made in (UTC); the newest month unless told."""
    month = query.get("range") or f"{datetime.fromtimestamp(told.now_ms / 1000, UTC):%Y%m}"
    begins_ms, ends_ms = _bounds_ms(month)
    limit = _number(query, "limit", PAGE)
    if not 1 <= limit <= rest.CLOSED_ORDERS_PER_PAGE_MAX:
        raise Declined(400, f"limit must be from 1 to {rest.CLOSED_ORDERS_PER_PAGE_MAX}")
    offset = _number(query, "offsetId", 0)
    symbol = query.get("symbol", "").lower()
    if symbol and f"order.{symbol}" not in told.topics:
        raise Declined(400, "invalid symbol")
    fitting = told.closed_orders(symbol or None, begins_ms, ends_ms, offset or None)
    page = list(islice(fitting, limit + 1))
    more = len(page) > limit
    told_of_page = {"range": month, "hasMore": more, "nextOffsetId": page[limit - 1].order_id if more else None}
    return answers.results(0, map(answers.order, page[:limit]), **told_of_page)


def _one_order(told: Telling, rest_of_path: str) -> bytes:
    """``<id>`` or ``<id>/matches``."""
    name, slash, what = rest_of_path.partition("/")
    if not (name.isascii() and name.isdigit() and len(name) < 20):
        raise Declined(400, "order id must be a number") if not slash else Declined(404, "path not found")
    if what not in {"", "matches"} or (slash and not what):
        raise Declined(404, "path not found")
    order = told.order(int(name)) if int(name) <= NUMBER_MAX else None
    if order is None:
        raise Declined(404, "order not found")
    if not what:
        return answers.answer(0, answers.order(order))
    return answers.results(0, map(answers.match, told.executions(order.order_id)))


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) > NUMBER_MAX:
        raise Declined(400, f"{name} must be a number")
    return int(text)


def _bounds_ms(month: str) -> tuple[int, int]:
    """The instants at which a month (`YYYYMM`) and the next one begin, milliseconds since 1970."""
    if not (len(month) == 6 and month.isascii() and month.isdigit()) or not 1 <= int(month[4:]) <= 12:
        raise Declined(400, "range must be a month, YYYYMM")
    first = int(month[:4]) * 12 + int(month[4:]) - 1
    if not datetime.min.year * 12 <= first < datetime.max.year * 12:
        raise Declined(400, "range must be a month, YYYYMM")
    begins, ends = (datetime(one // 12, one % 12 + 1, 1, tzinfo=UTC) for one in (first, first + 1))
    return int(begins.timestamp()) * 1000, int(ends.timestamp()) * 1000


_ROUTES: dict[str, Callable[..., bytes]] = {
    rest.ACCOUNTS: _accounts,
    rest.POSITIONS: _positions,
    OLD_POSITIONS: _old_positions,
    rest.OPEN_ORDERS: _open_orders,
    rest.CLOSED_ORDERS: _closed_orders,
}
