"""FMex's server side over HTTP: authentication, rate limit, and REST's routes.

Paths and answers follow the exchange's REST pages. Source: `fmex/protocol.md`, "REST, for reconciling".
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from math import ceil
from urllib.parse import parse_qsl, unquote

from recorder.venues.fmex import rest
from recorder.venues.fmex.portal import PUSH_PATH
from recorder.venues.fmex.rest import REQUESTS_MAX, REQUESTS_WINDOW_S
from recorder.venues.fmex.sign import KEY, SIGNATURE, TIMESTAMP, TIMESTAMP_WINDOW_MS, signature
from recorder.venues.fmex.stand_in import answers
from recorder.venues.limits import RateLimit
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Request, is_same
from recorder.venues.view import AccountView, Span

#: Window of the rate limit, milliseconds.
WINDOW_MS = int(REQUESTS_WINDOW_S * 1000)


class Authenticator:
    """Checks key, signature and timestamp, and limits the rate of each key's requests.

    Args:
        secret_of: maps a key to its secret; None if there is no such key.
    """

    def __init__(self, secret_of: Callable[[str], str | None]) -> None:
        self._secret_of = secret_of
        self._requests = RateLimit(REQUESTS_MAX, WINDOW_MS)

    def admit(self, given: Mapping[str, str], base: str, target: str, now_ms: int) -> str:
        """Authenticate a request.

        Args:
            given: key, signature and timestamp under their FC-ACCESS names: headers, or parameters of the push address.
            base: scheme and host that the client addressed; it may have signed `PRODUCTION` instead.
            target: path and query that must have been signed, the query sorted by name.
            now_ms: the server's clock.

        Returns:
            The key.

        Raises:
            HttpError: 401, with which of the three is wrong.
        """
        key = given.get(KEY, "")
        secret = self._secret_of(key)
        if secret is None:
            raise HttpError(401, "api key not found")
        stamp = given.get(TIMESTAMP, "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 16):
            raise HttpError(401, "timestamp missing or not in milliseconds")
        if abs(now_ms - int(stamp)) > TIMESTAMP_WINDOW_MS:
            raise HttpError(401, "timestamp expired, more than 30 seconds from the server's clock")
        # Many clients do not escape `+` in the push address, and query parsing turns it into a blank.
        signed = given.get(SIGNATURE, "").replace(" ", "+")
        right = [signature(secret, "GET", one + target, int(stamp)) for one in (base, PRODUCTION)]
        if not any(is_same(signed, one) for one in right):
            raise HttpError(401, "signature mismatch")
        return key

    def count(self, key: str, now_ms: int) -> None:
        """Count a request.

        Raises:
            HttpError: 429, if the key has made too many in the last ten seconds.
        """
        wait_ms = self._requests.spend(key, now_ms)
        if wait_ms:
            raise HttpError(429, "too many requests, slow down", ceil(wait_ms / 1000))


#: The path of positions in the API of 2019.
OLD_POSITIONS = "/v3/contracts/positions"

#: Public clients sign this address even if they are pointed at another one.
PRODUCTION = "https://api.fmex.com"

#: Default number of orders on a page of closed orders.
PAGE = 20

#: Largest order id.
NUMBER_MAX = 2**63 - 1


class FMexRequestHandler:
    """Implements `recorder.venues.stand_in.RequestHandler`, which documents the arguments."""

    def __init__(self, backend: Backend) -> None:
        self._authenticator = Authenticator(lambda key: None if backend.is_expired(key) else backend.secret_of(key))
        self._clock_ms = backend.clock_ms

    def handle(self, request: Request) -> bytes | AccountQuery | PortalAccess:
        """Decide how to answer one request, or refuse it."""
        method, target, base = request.method, request.target, request.base
        path, _, query = target.partition("?")
        if method == "POST":
            raise HttpError(403, "this venue is read-only: it takes no orders and changes nothing")
        if method != "GET":
            raise HttpError(405, f"method {method} not allowed")
        if path == rest.SERVER_TIME:
            return answers.answer(0, self._clock_ms())
        if path == PUSH_PATH:
            parameters = dict(parse_qsl(query))
            key = self._authenticator.admit(parameters, base, PUSH_PATH, self._clock_ms())
            proofs = {KEY, SIGNATURE, TIMESTAMP}
            return PortalAccess(key, {name: value for name, value in parameters.items() if name not in proofs})
        route = _ROUTES.get(path)
        if route is None and not path.startswith(f"{rest.ORDERS}/"):
            raise HttpError(404, "path not found")
        key = self._authenticator.admit(request.headers, base, _sorted_query(target), self._clock_ms())
        self._authenticator.count(key, self._clock_ms())
        if route is not None:
            return AccountQuery(key, partial(route, query=dict(parse_qsl(query))))
        return AccountQuery(key, partial(_one_order, rest_of_path=unquote(path.removeprefix(f"{rest.ORDERS}/"))))

    def error_body(self, error: HttpError) -> bytes:
        """A JSON object of `status` and `msg`."""
        return answers.error(error.status, error.message)


def _sorted_query(target: str) -> str:
    """Path and query, parameters sorted by name, as they must be signed."""
    path, _, query = target.partition("?")
    return path if not query else path + "?" + "&".join(sorted(query.split("&"), key=lambda pair: pair.split("=")[0]))


def _accounts(account: AccountView, query: dict[str, str]) -> bytes:
    return answers.answer(0, answers.balances(account.balances()))


def _positions(account: AccountView, query: dict[str, str]) -> bytes:
    """All positions so far; closed ones with their realized PnL."""
    return answers.results("ok", map(answers.position, account.positions()))


def _old_positions(account: AccountView, query: dict[str, str]) -> bytes:
    """The older form of `_positions`: clients rely on a `user_id`, which no record contains."""
    return answers.results(0, ({"user_id": 0} | answers.position(one) for one in account.positions()))


def _open_orders(account: AccountView, query: dict[str, str]) -> bytes:
    return answers.results(0, map(answers.order, account.open_orders()))


def _closed_orders(account: AccountView, query: dict[str, str]) -> bytes:
    """A page of the closed orders created in one month (UTC); by default the current one."""
    month = query.get("range") or f"{datetime.fromtimestamp(account.now_ms / 1000, UTC):%Y%m}"
    begins_ms, ends_ms = _bounds_ms(month)
    limit = _number(query, "limit", PAGE)
    if not 1 <= limit <= rest.CLOSED_ORDERS_PER_PAGE_MAX:
        raise HttpError(400, f"limit must be from 1 to {rest.CLOSED_ORDERS_PER_PAGE_MAX}")
    offset = _number(query, "offsetId", 0)
    symbol = query.get("symbol", "").lower()
    if symbol and f"order.{symbol}" not in account.topics:
        raise HttpError(400, "invalid symbol")
    before_id = str(offset) if offset else None
    if before_id is not None and account.order(before_id) is None:
        raise HttpError(400, "invalid offsetId, there is no such order")
    fitting = account.closed_orders(Span(begins_ms, ends_ms, symbol=symbol.upper() or None, beyond=before_id))
    page = [answers.order(entry.state) for entry in islice(fitting, limit + 1)]
    more = len(page) > limit
    about_page = {"range": month, "hasMore": more, "nextOffsetId": page[limit - 1]["id"] if more else None}
    return answers.results(0, page[:limit], **about_page)


def _one_order(account: AccountView, rest_of_path: str) -> bytes:
    """``<id>`` or ``<id>/matches``."""
    name, slash, what = rest_of_path.partition("/")
    if not (name.isascii() and name.isdigit() and len(name) < 20):
        raise HttpError(400, "order id must be a number") if not slash else HttpError(404, "path not found")
    if what not in {"", "matches"} or (slash and not what):
        raise HttpError(404, "path not found")
    order_id = str(int(name))
    order = account.order(order_id)
    if order is None:
        raise HttpError(404, "order not found")
    if not what:
        return answers.answer(0, answers.order(order))
    return answers.results(0, map(answers.match, account.executions(order_id)))


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) > NUMBER_MAX:
        raise HttpError(400, f"{name} must be a number")
    return int(text)


def _bounds_ms(month: str) -> tuple[int, int]:
    """When a month (`YYYYMM`) and the next one begin, milliseconds since 1970."""
    if not (len(month) == 6 and month.isascii() and month.isdigit()) or not 1 <= int(month[4:]) <= 12:
        raise HttpError(400, "range must be a month, YYYYMM")
    first = int(month[:4]) * 12 + int(month[4:]) - 1
    if not datetime.min.year * 12 <= first < datetime.max.year * 12:
        raise HttpError(400, "range must be a month, YYYYMM")
    begins, ends = (datetime(one // 12, one % 12 + 1, 1, tzinfo=UTC) for one in (first, first + 1))
    return int(begins.timestamp()) * 1000, int(ends.timestamp()) * 1000


_ROUTES: dict[str, Callable[..., bytes]] = {
    rest.ACCOUNTS: _accounts,
    rest.POSITIONS: _positions,
    OLD_POSITIONS: _old_positions,
    rest.OPEN_ORDERS: _open_orders,
    rest.CLOSED_ORDERS: _closed_orders,
}
