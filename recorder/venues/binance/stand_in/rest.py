"""The exchange's side of REST: authentication, weights, listen keys, and a page for each path that a recorder asks for.

Source: developers.binance.com, the pages of the paths, "General Info", "Error Code".
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from heapq import merge
from itertools import islice
from math import ceil
from typing import Any
from urllib.parse import parse_qsl, unquote

from recorder.model import INVERSE
from recorder.venues.binance import answers, questions, sign
from recorder.venues.binance.portal import TOPICS
from recorder.venues.binance.stand_in import frames, rows, states
from recorder.venues.binance.stand_in.conversation import EVENTS
from recorder.venues.binance.stand_in.face import product_of
from recorder.venues.binance.stand_in.keys import ListenKeys
from recorder.venues.binance.words import ALGO, COIN_M, USD_M, parts_of
from recorder.venues.limits import RateLimit
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Reply, Request, is_same, number_in
from recorder.venues.view import AccountView, Hint, SentState, Span

#: Weight of an address in a minute, over both products.
WEIGHT_MAX, WINDOW_MS = 2_400, 60_000
#: An address that goes on after so many refusals in a minute is banned.
REFUSALS_MAX, BAN_MS = 10, 120_000
#: End of a path → its weight; of lists of open orders, that of all symbols.
_WEIGHTS = {
    "balance": 5,
    "positionRisk": 5,
    "account": 5,
    "openOrders": 40,
    "openAlgoOrders": 40,
    "allOrders": 5,
    "allAlgoOrders": 5,
    "userTrades": 5,
    "income": 30,
}
#: For how long entries are served, seconds.
KEPT_S, CANCELLED_S = questions.HISTORY_MS / 1000, questions.CANCELLED_MS / 1000
#: Default number of rows on a page.
_ROWS = {"income": 100}
_ROWS_DEFAULT = 500
#: Parameters without which a path refuses.
_NEEDED = {"userTrades": ("symbol",), "allAlgoOrders": ("symbol",), "order": ("symbol",)}
#: The default of `recvWindow`, and the largest.
_WINDOW_MS, _WINDOW_MAX_MS = 5_000, 60_000

_PATH = re.compile(r"/([fd])api/v\d/(.+)")
_SOCKET = re.compile(r"(/private)?/(?:ws|stream)(?:/(\w+))?")
_SIGNED = re.compile(r"[?&]signature=([^&]*)$")

Query = Mapping[str, str]
_Rows = list[frames.Row]


class BinanceRequestHandler:
    """Implements `recorder.venues.stand_in.RequestHandler`, which documents the methods."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._limit = RateLimit(WEIGHT_MAX, WINDOW_MS)
        self._refusals = RateLimit(REFUSALS_MAX, WINDOW_MS, ban_ms=BAN_MS)
        self._listen_keys = ListenKeys()

    def handle(self, request: Request) -> bytes | Reply | AccountQuery | PortalAccess:
        """Decide how to answer one request, or refuse it."""
        path, _, query = request.target.partition("?")
        asked = dict(parse_qsl(query))
        socket, found, now_ms = _SOCKET.fullmatch(path), _PATH.fullmatch(path), self._backend.clock_ms()
        if socket is not None:
            return self._connect(path, socket[2] or asked.get("listenKey", ""), asked, is_private=bool(socket[1]))
        if path == answers.RIGHTS:
            self._authenticate(request, asked, now_ms)
            return frames.encode(_RIGHTS)
        if found is None:
            raise HttpError(404, "Not Found", code=-5000)
        product, name = COIN_M if found[1] == "d" else USD_M, found[2]
        used = self._spend(request, name, asked, now_ms)
        if name == "time":
            return frames.encode({"serverTime": now_ms})
        if name == "exchangeInfo":
            return frames.encode(self._info(product, now_ms))
        if name == "listenKey":
            return self._listen_key(request, now_ms)
        if request.method != "GET":
            raise HttpError(401, "Invalid API-key, IP, or permissions for action.", code=-2015)
        key = self._authenticate(request, asked, now_ms)
        read = _LISTS.get(name)
        if read is None:
            raise HttpError(404, "Not Found", code=-5000)
        self._check(name, product, asked)
        return AccountQuery(key, partial(self._list, read, name, asked, used))

    def error_body(self, error: HttpError) -> bytes:
        """A code and its words."""
        code = error.code or {401: -2015, 418: -1003, 429: -1003, 503: -1008}.get(error.status, -1000)
        return frames.encode({"code": code, "msg": error.message})

    def _connect(self, path: str, listen_key: str, asked: Query, *, is_private: bool) -> PortalAccess:
        """Every client is accepted. Private events come to a live key, on the path of its product, and to no other."""
        key = self._listen_keys.owner(listen_key, self._backend.clock_ms())
        product = product_of(self._backend.terms)
        # A served record does not say of which product it is.
        is_right = not self._backend.terms or is_private == (product == USD_M)
        events = asked.get(EVENTS) or "/".join(TOPICS[USD_M])
        if key is None or not is_right or self._backend.is_expired(key):
            return PortalAccess(None, {}, path)
        return PortalAccess(key, {EVENTS: events}, path)

    def _spend(self, request: Request, name: str, asked: Query, now_ms: int) -> int:
        banned_ms = self._refusals.spend(request.peer, now_ms, 0)
        if banned_ms:
            raise HttpError(418, "Way too many requests; IP banned.", ceil(banned_ms / 1000), -1003)
        weight = _WEIGHTS.get(name, 1)
        if weight == _WEIGHTS["openOrders"] and asked.get("symbol"):
            weight = 1
        wait_ms = self._limit.spend(request.peer, now_ms, weight)
        if wait_ms:
            self._refusals.spend(request.peer, now_ms)
            raise HttpError(429, "Too many requests; current limit is 2400 per minute.", ceil(wait_ms / 1000), -1003)
        return WEIGHT_MAX - self._limit.left(request.peer, now_ms)

    def _info(self, product: str, now_ms: int) -> frames.Row:
        found = self._backend.listed(states.instrument_row, ("symbols",), by=("symbol",))
        kinds = {one.fields["symbol"]: parts_of(one.fields["symbol"])[2] for one in found}
        return {
            "timezone": "UTC",
            "serverTime": now_ms,
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_MAX}
            ],
            "exchangeFilters": [],
            "assets": [],
            "symbols": [one.row for one in found if (kinds[one.fields["symbol"]] == INVERSE) == (product == COIN_M)],
        }

    def _known_key(self, request: Request) -> str:
        key = next((value for name, value in request.headers.items() if name.upper() == sign.KEY), "")
        if not key:
            raise HttpError(401, "API-key format invalid.", code=-2014)
        if self._backend.secret_of(key) is None or self._backend.is_expired(key):
            raise HttpError(401, "Invalid API-key, IP, or permissions for action.", code=-2015)
        return key

    def _listen_key(self, request: Request, now_ms: int) -> bytes:
        """Needs the API key, and no signature."""
        key = self._known_key(request)
        if request.method == "DELETE":
            self._listen_keys.end(key)
            return b"{}"
        if request.method == "POST":
            return frames.encode({"listenKey": self._listen_keys.start(key, now_ms)})
        kept = self._listen_keys.keep(key, now_ms) if request.method == "PUT" else None
        if kept is None:
            raise HttpError(400, "This listenKey does not exist.", code=-1125)
        return frames.encode({"listenKey": kept})

    def _authenticate(self, request: Request, asked: Query, now_ms: int) -> str:
        key = self._known_key(request)
        at, window = asked.get("timestamp", ""), asked.get("recvWindow", str(_WINDOW_MS))
        if number_in(at) is None or len(at) > 16:
            raise HttpError(
                400, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.", 0, -1102
            )
        if not 0 < (number_in(window) or 0) <= _WINDOW_MAX_MS:
            raise HttpError(400, "Parameter 'recvWindow' is not valid.", code=-1130)
        if not now_ms - int(window) <= int(at) < now_ms + sign.AHEAD_MS:
            raise HttpError(400, "Timestamp for this request is outside of the recvWindow.", code=-1021)
        target = request.target.partition("?")[2]
        found = _SIGNED.search(f"?{target}")
        signed = target[: found.start() - 1] if found and found.start() else ""
        right = sign.signature(self._backend.secret_of(key) or "", signed)
        given = unquote(found[1]) if found else ""
        if not is_same(given.lower(), right):
            raise HttpError(400, "Signature for this request is not valid.", code=-1022)
        return key

    def _check(self, name: str, product: str, asked: Query) -> None:
        """Refuse what is missing, wrong, or too much."""
        needed = ("symbol",) if name == "allOrders" and product == COIN_M and "pair" not in asked else ()
        for one in (*_NEEDED.get(name, ()), *needed):
            if not asked.get(one):
                message = f"Mandatory parameter '{one}' was not sent, was empty/null, or malformed."
                raise HttpError(400, message, code=-1102)
        times = [asked[one] for one in ("startTime", "endTime") if one in asked]
        if not all(number_in(one) is not None and len(one) < 16 for one in (*times, asked.get("limit", "1"))):
            raise HttpError(400, "Illegal characters found in a parameter.", code=-1100)
        if times and ("fromId" in asked or "orderId" in asked):
            raise HttpError(400, "Combination of optional parameters invalid.", code=-1128)
        if len(times) == 2 and not 0 <= int(times[1]) - int(times[0]) <= questions.WINDOW_MS:
            raise HttpError(400, "Invalid time interval.", code=-4165)
        symbols = {one.symbol for one in self._backend.terms}
        if symbols and asked.get("symbol") not in {None, *symbols}:
            raise HttpError(400, "Invalid symbol.", code=-1121)

    def _list(self, read: "_List", name: str, asked: Query, used: int, account: AccountView) -> Reply:
        found = read(account, name, asked, self._backend)
        return Reply(frames.encode(found), headers={"X-MBX-USED-WEIGHT-1M": str(used)})


_List = Callable[[AccountView, str, Query, Backend], "_Rows | frames.Row"]


def _balances(account: AccountView, _name: str, _asked: Query, _backend: Backend) -> _Rows:
    return list(map(rows.balance, account.balances()))


def _account(account: AccountView, name: str, asked: Query, backend: Backend) -> frames.Row:
    """Assets and open positions, without the sums in USD."""
    assets = [
        {
            "asset": row["asset"],
            "walletBalance": row["balance"],
            "unrealizedProfit": row["crossUnPnl"],
            "marginBalance": row["balance"],
            "maintMargin": "0",
            "initialMargin": "0",
            "positionInitialMargin": "0",
            "openOrderInitialMargin": "0",
            "crossWalletBalance": row["crossWalletBalance"],
            "crossUnPnl": row["crossUnPnl"],
            "availableBalance": row["availableBalance"],
            "maxWithdrawAmount": row["maxWithdrawAmount"],
            "updateTime": row["updateTime"],
        }
        for row in _balances(account, name, asked, backend)
    ]
    return {"assets": assets, "positions": _positions(account, name, asked, backend)}


def _positions(account: AccountView, _name: str, asked: Query, _backend: Backend) -> _Rows:
    """Of all symbols those that are open; of one symbol in any case."""
    found = map(rows.position, account.positions())
    one = asked.get("symbol", asked.get("pair"))
    if one is not None:
        return [row for row in found if row["symbol"].startswith(one)]
    return [row for row in found if str(row["positionAmt"]).strip("0.-")]


def _open_orders(account: AccountView, name: str, asked: Query, _backend: Backend) -> _Rows:
    found = (row for row in map(rows.order, account.open_orders()) if _is_algo(row) == (name == "openAlgoOrders"))
    return [row for row in found if asked.get("symbol") in {None, row["symbol"]}]


def _one_order(account: AccountView, name: str, asked: Query, backend: Backend) -> frames.Row:
    is_algo = name == "algoOrder"
    order_id = f"{ALGO}{asked.get('algoId', '')}" if is_algo else asked.get("orderId", "")
    state = account.order(order_id)
    row = None if state is None else rows.order(state)
    if row is not None and is_algo and not _is_algo(row):
        row = frames.algo_of(row) if backend.terms else None
    if row is None or _is_algo(row) != is_algo or asked.get("symbol") not in {None, row["symbol"]}:
        raise HttpError(400, "Order does not exist.", code=-2013)
    return row


def _orders(account: AccountView, name: str, asked: Query, backend: Backend) -> _Rows:
    """By the time of their creation. Of a simulated account, an order that was triggered is on both lists."""
    since_ms, until_ms = _span(account, asked, backend, "orders")
    cancelled_ms = backend.retained_since_ms("cancelled", CANCELLED_S, account.now_ms)
    symbol, is_algo = asked.get("symbol"), name == "allAlgoOrders"
    at, number = ("createTime", "algoId") if is_algo else ("time", "orderId")
    first = number_in(asked.get("orderId", "")) or 0

    def row_of(state: SentState) -> frames.Row:
        row = rows.order(state)
        is_both = is_algo and backend.terms and not _is_algo(row) and str(row["stopPrice"]).strip("0.")
        return frames.algo_of(row) if is_both else row

    def is_wanted(row: frames.Row) -> bool:
        return (
            _is_algo(row) == is_algo
            and symbol in {None, row["symbol"]}
            and since_ms <= row[at] <= until_ms
            and row[number] >= first
            and (
                row["updateTime"] >= cancelled_ms
                or bool(str(row["actualQty" if is_algo else "executedQty"]).strip("0."))
            )
        )

    def place(row: frames.Row) -> tuple[int, int]:
        return row[at], row[number]

    span = Span(since_ms, until_ms + 1, symbol=symbol, oldest_first=True, hint=Hint(trigger=is_algo))
    ended = filter(is_wanted, (row_of(entry.state) for entry in account.closed_orders(span)))
    # What was pushed of an order does not say when it was made.
    in_order = ended if backend.terms else sorted(ended, key=place)
    opened = sorted(filter(is_wanted, map(row_of, account.open_orders())), key=place)
    return _page(merge(in_order, opened, key=place), name, asked)


def _fills(account: AccountView, name: str, asked: Query, backend: Backend) -> _Rows:
    since_ms, until_ms = _span(account, asked, backend, "fills")
    first = number_in(asked.get("fromId", "")) or 0
    hint = Hint(beyond=first - 1)
    span = Span(since_ms=since_ms, until_ms=until_ms + 1, symbol=asked["symbol"], oldest_first=True, hint=hint)
    order_id = asked.get("orderId")
    found = (rows.fill(one.state) for one in account.fills(span))
    wanted = (row for row in found if row["id"] >= first and order_id in {None, str(row["orderId"])})
    return _page(wanted, name, asked)


def _income(account: AccountView, name: str, asked: Query, backend: Backend) -> _Rows:
    since_ms, until_ms = _span(account, asked, backend, "transactions")
    span = Span(since_ms=since_ms, until_ms=until_ms + 1, symbol=asked.get("symbol"), oldest_first=True)
    kind = asked.get("incomeType")
    found = (row for row in rows.income(account.transactions(span)) if kind in {None, row["incomeType"]})
    return _page(found, name, asked)


def _span(account: AccountView, asked: Query, backend: Backend, kind: str) -> tuple[int, int]:
    """The period that is asked for, of what is remembered; by default the last seven days."""
    kept_ms = backend.retained_since_ms(kind, KEPT_S, account.now_ms)
    until_ms = int(asked.get("endTime", account.now_ms))
    by_id = "fromId" in asked or "orderId" in asked
    since_ms = int(asked["startTime"]) if "startTime" in asked else 0 if by_id else until_ms - questions.WINDOW_MS
    return max(since_ms, kept_ms), until_ms


def _page(found: Iterable[Any], name: str, asked: Query) -> _Rows:
    limit = int(asked.get("limit", _ROWS.get(name, _ROWS_DEFAULT)))
    return list(islice(found, min(max(limit, 1), answers.PAGE_ROWS)))


def _is_algo(row: frames.Row) -> bool:
    return "algoId" in row


_LISTS: dict[str, _List] = {
    "balance": _balances,
    "account": _account,
    "positionRisk": _positions,
    "openOrders": _open_orders,
    "openAlgoOrders": _open_orders,
    "order": _one_order,
    "algoOrder": _one_order,
    "allOrders": _orders,
    "allAlgoOrders": _orders,
    "userTrades": _fills,
    "income": _income,
}
#: What the key may do: read.
_RIGHTS = {
    "ipRestrict": False,
    "createTime": 1_698_645_219_000,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "enableMargin": False,
    "enableFutures": False,
    "permitsUniversalTransfer": False,
    "enableVanillaOptions": False,
    "enableFixApiTrade": False,
    "enableFixReadOnly": False,
    "enableSpotAndMarginTrading": False,
    "enablePortfolioMarginTrading": False,
}
