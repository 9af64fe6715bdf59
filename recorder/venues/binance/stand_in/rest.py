"""The exchange's side of REST: authentication, weights, listen keys, and a page for each path that a recorder asks for.

Source: developers.binance.com, the pages of the paths, "General Info", "Error Code".
"""

import re
from functools import partial
from math import ceil
from urllib.parse import parse_qsl, unquote

from recorder.model import INVERSE
from recorder.venues.binance import answers, questions, sign
from recorder.venues.binance.portal import TOPICS
from recorder.venues.binance.stand_in import frames, states
from recorder.venues.binance.stand_in.conversation import EVENTS, LISTEN_KEY
from recorder.venues.binance.stand_in.face import product_of
from recorder.venues.binance.stand_in.keys import ListenKeys
from recorder.venues.binance.stand_in.listed import LISTS, List, Query
from recorder.venues.binance.words import COIN_M, USD_M, parts_of
from recorder.venues.limits import RateLimit
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Reply, Request, is_same, number_in
from recorder.venues.view import AccountView

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
    "positionSide/dual": 30,
}
#: Where COIN-M differs.
_COIN_M_WEIGHTS = {"balance": 1, "positionRisk": 1, "income": 20}
#: Product → the longest period of income that may be asked for, milliseconds.
_INCOME_MS = {USD_M: questions.WINDOW_MS, COIN_M: 366 * questions.DAY_MS}
#: Paths that refuse without a symbol, and those of COIN-M that do so.
_NEEDED = {
    USD_M: {"userTrades", "allAlgoOrders", "order"},
    COIN_M: {"userTrades", "allAlgoOrders", "order", "allOrders"},
}
#: Paths of COIN-M that take a pair instead of a symbol.
_BY_PAIR = {"userTrades", "allOrders"}
#: The default of `recvWindow`, and the largest.
_WINDOW_MS, _WINDOW_MAX_MS = 5_000, 60_000

_PATH = re.compile(r"/([fd])api/v\d/(.+)")
_SOCKET = re.compile(r"(/private|/public|/market)?/(?:ws|stream)(?:/(\w+))?")
#: Product → with what the path of its private socket begins.
_SOCKET_BEGINS = {USD_M: "/private", COIN_M: ""}
_SIGNED = re.compile(r"[?&]signature=([^&]*)$")


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
            listen_key = socket[2] or asked.get(LISTEN_KEY) or asked.get("streams", "")
            return self._connect(path, socket[1] or "", listen_key, asked)
        if path == answers.RIGHTS:
            self._authenticate(request, asked, now_ms)
            return frames.encode(_RIGHTS)
        if found is None:
            raise HttpError(404, "Not Found", code=-5000)
        product, name = COIN_M if found[1] == "d" else USD_M, found[2]
        used = self._spend(request, product, name, asked, now_ms)
        if name == "time":
            return frames.encode({"serverTime": now_ms})
        if name == "exchangeInfo":
            return frames.encode(self._info(product, now_ms))
        if name == "listenKey":
            return self._listen_key(request, now_ms)
        if request.method != "GET":
            raise HttpError(401, "Invalid API-key, IP, or permissions for action.", code=-2015)
        key = self._authenticate(request, asked, now_ms)
        read = LISTS[product].get(name)
        if read is None:
            raise HttpError(404, "Not Found", code=-5000)
        self._check(name, product, asked)
        return AccountQuery(key, partial(self._list, read, name, asked, used))

    def error_body(self, error: HttpError) -> bytes:
        """A code and its words."""
        code = error.code or {401: -2015, 418: -1003, 429: -1003, 503: -1008}.get(error.status, -1000)
        return frames.encode({"code": code, "msg": error.message})

    def _connect(self, path: str, begins: str, listen_key: str, asked: Query) -> PortalAccess:
        """Every client is accepted. Private events come to a live key, on the path of its product, and to no other."""
        product = product_of(self._backend.terms)
        # A served record does not say of which product it is.
        products = (product,) if self._backend.terms else (USD_M, COIN_M)
        is_right = begins in {_SOCKET_BEGINS[one] for one in products}

        def owner_of(one: str) -> str | None:
            key = self._listen_keys.owner(one, self._backend.clock_ms())
            return key if key is not None and is_right and not self._backend.is_expired(key) else None

        given = {**asked, LISTEN_KEY: listen_key, EVENTS: asked.get(EVENTS) or "/".join(TOPICS[USD_M])}
        return PortalAccess(owner_of(listen_key), given, path, owner_of)

    def _spend(self, request: Request, product: str, name: str, asked: Query, now_ms: int) -> int:
        banned_ms = self._refusals.spend(request.peer, now_ms, 0)
        if banned_ms:
            raise HttpError(418, "Way too many requests; IP banned.", ceil(banned_ms / 1000), -1003)
        weight = (_COIN_M_WEIGHTS if product == COIN_M else {}).get(name) or _WEIGHTS.get(name, 1)
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
        only_usd_m = {} if product == COIN_M else {"futuresType": "U_MARGINED", "assets": []}
        return {
            "timezone": "UTC",
            "serverTime": now_ms,
            **only_usd_m,
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_MAX}
            ],
            "exchangeFilters": [],
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
        by_pair = product == COIN_M and name in _BY_PAIR and bool(asked.get("pair"))
        if name in _NEEDED[product] and not asked.get("symbol") and not by_pair:
            message = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            raise HttpError(400, message, code=-1102)
        times = [asked[one] for one in ("startTime", "endTime") if one in asked]
        if not all(number_in(one) is not None and len(one) < 16 for one in (*times, asked.get("limit", "1"))):
            raise HttpError(400, "Illegal characters found in a parameter.", code=-1100)
        by_id = "fromId" in asked or "orderId" in asked
        if (times and by_id) or (by_pair and (by_id or "symbol" in asked)):
            raise HttpError(400, "Combination of optional parameters invalid.", code=-1128)
        longest_ms = _INCOME_MS[product] if name == "income" else questions.WINDOW_MS
        if len(times) == 2 and not 0 <= int(times[1]) - int(times[0]) <= longest_ms:
            raise HttpError(400, "Invalid time interval.", code=-4165)
        symbols = {one.symbol for one in self._backend.terms}
        pairs = {one.partition("_")[0] for one in symbols}
        if symbols and (asked.get("symbol") not in {None, *symbols} or asked.get("pair") not in {None, *pairs}):
            raise HttpError(400, "Invalid symbol.", code=-1121)

    def _list(self, read: List, name: str, asked: Query, used: int, account: AccountView) -> Reply:
        found = read(account, name, asked, self._backend)
        return Reply(frames.encode(found), headers={"X-MBX-USED-WEIGHT-1M": str(used)})


#: What the key may do: read.
_RIGHTS = {
    "ipRestrict": False,
    "createTime": 1_698_645_219_000,
    "enableReading": True,
    **dict.fromkeys(("enableWithdrawals", "enableInternalTransfer", "enableMargin", "enableFutures"), False),
    **dict.fromkeys(("permitsUniversalTransfer", "enableVanillaOptions", "enableFixApiTrade"), False),
    **dict.fromkeys(("enableFixReadOnly", "enableSpotAndMarginTrading", "enablePortfolioMarginTrading"), False),
}
