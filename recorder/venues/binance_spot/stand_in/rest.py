"""The exchange's side of REST: authentication, limits, and the answers that a recorder asks for. Pure.

Source: developers.binance.com/docs/binance-spot-api-docs, "REST API", "Errors".
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from heapq import merge
from itertools import islice
from urllib.parse import parse_qsl, unquote

import msgspec

from recorder.venues.binance_spot import answers, questions, sign
from recorder.venues.binance_spot.portal import PATH
from recorder.venues.binance_spot.stand_in import frames, states
from recorder.venues.binance_spot.stand_in.conversation import Refusal, check_signature, check_time
from recorder.venues.limits import RateLimit
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Reply, Request, number_in
from recorder.venues.view import NEVER_MS, AccountView, Hint, Span

#: Weight of an address in a minute.
WEIGHT_MAX, MINUTE_MS = 6_000, 60_000
#: An address that goes on after so many refusals in a minute is banned.
REFUSALS_MAX, BAN_MS = 10, 120_000
#: For how long orders without a fill are listed, seconds.
CANCELLED_S = questions.CANCELLED_MS / 1000

#: Path → its weight; of any other path 1. Open orders of one symbol weigh less.
_WEIGHTS = {
    answers.ACCOUNT: 20,
    answers.OPEN_ORDERS: 80,
    answers.ORDER: 4,
    answers.ORDERS: 20,
    answers.TRADES: 20,
    answers.INSTRUMENTS: 20,
}
_OPEN_ORDERS_OF_ONE = 6
_LIMIT = 500

Query = Mapping[str, str]


class BinanceSpotRequestHandler:
    """Implements `recorder.venues.stand_in.RequestHandler`, which documents the methods."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._weights = RateLimit(WEIGHT_MAX, MINUTE_MS)
        self._refusals = RateLimit(REFUSALS_MAX, MINUTE_MS, ban_ms=BAN_MS)

    def handle(self, request: Request) -> bytes | Reply | AccountQuery | PortalAccess:
        """Decide how to answer one request, or refuse it."""
        path, _, query = request.target.partition("?")
        if path == PATH:
            # Clients subscribe with a command.
            return PortalAccess(None, dict(parse_qsl(query)), path)
        now_ms = self._backend.clock_ms()
        self._weigh(request.peer, path, query, now_ms)
        used = {"X-MBX-USED-WEIGHT-1M": str(WEIGHT_MAX - self._weights.left(request.peer, now_ms))}
        try:
            answer = self._answer(request, path, query, now_ms)
        except Refusal as refusal:
            return Reply(_error(refusal.code, refusal.message), refusal.status, used)
        if isinstance(answer, bytes):
            return Reply(answer, headers=used)
        return AccountQuery(answer.key, partial(_reply, answer.answer, used))

    def error_body(self, error: HttpError) -> bytes:
        """The body of an answer with another HTTP status than 200."""
        return _error(error.code or -1000, error.message)

    def _weigh(self, peer: str, path: str, query: str, now_ms: int) -> None:
        banned_ms = self._refusals.spend(peer, now_ms, 0)
        if banned_ms:
            raise HttpError(418, "Way too many requests; IP banned.", -(-banned_ms // 1000), -1003)
        weight = _WEIGHTS.get(path, 1)
        if path == answers.OPEN_ORDERS and "symbol=" in query:
            weight = _OPEN_ORDERS_OF_ONE
        wait_ms = self._weights.spend(peer, now_ms, weight)
        if wait_ms:
            self._refusals.spend(peer, now_ms)
            raise HttpError(429, "Too much request weight used.", -(-wait_ms // 1000), -1003)

    def _answer(self, request: Request, path: str, query: str, now_ms: int) -> bytes | AccountQuery:
        asked = dict(parse_qsl(query))
        if request.method != "GET":
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if path == answers.TIME:
            return frames.encode({"serverTime": now_ms})
        if path == answers.INSTRUMENTS:
            return self._instruments(asked, now_ms)
        listed = _LISTS.get(path)
        if listed is None and path != answers.RIGHTS:
            raise HttpError(404, "path not found")
        key = self._authenticate(request.headers, query, asked, now_ms)
        if listed is None:
            return frames.encode(_rights())
        return AccountQuery(key, lambda account: listed(account, asked, self._backend))

    def _authenticate(self, headers: Mapping[str, str], query: str, asked: Query, now_ms: int) -> str:
        key = next((value for name, value in headers.items() if name.upper() == sign.KEY), "")
        if not key:
            raise Refusal(-2014, "API-key format invalid.", 401)
        secret = self._backend.secret_of(key)
        if secret is None or self._backend.is_expired(key):
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        for name in ("timestamp", "signature"):
            if not asked.get(name):
                raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        at, window = asked["timestamp"], asked.get("recvWindow", str(sign.WINDOW_MS))
        at_ms, window_ms = number_in(at), number_in(window)
        if at_ms is None or window_ms is None:
            raise Refusal(-1100, "Illegal characters found in a parameter.")
        check_time(at_ms, window_ms, now_ms)
        # The signature has to be the last parameter.
        signed, _, last = query.rpartition("&signature=")
        check_signature(secret, signed, unquote(last))
        return key

    def _instruments(self, asked: Query, now_ms: int) -> bytes:
        listed = self._backend.listed(frames.instrument, ("symbols",), by=("symbol",))
        rows = {one.fields["symbol"]: one.row for one in listed}
        wanted = list(rows)
        if "symbols" in asked:
            try:
                wanted = msgspec.json.decode(asked["symbols"], type=list[str])
            except msgspec.DecodeError:
                raise Refusal(-1100, "Illegal characters found in parameter 'symbols'.") from None
        elif "symbol" in asked:
            wanted = [asked["symbol"]]
        if not rows.keys() >= set(wanted):
            raise Refusal(-1121, "Invalid symbol.")
        info = {
            "timezone": "UTC",
            "serverTime": now_ms,
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_MAX}
            ],
            "exchangeFilters": [],
            "symbols": [rows[symbol] for symbol in wanted],
        }
        return frames.encode(info)


def _reply(answer: Callable[[AccountView], bytes | Reply], headers: Mapping[str, str], account: AccountView) -> Reply:
    try:
        body = answer(account)
    except Refusal as refusal:
        return Reply(_error(refusal.code, refusal.message), refusal.status, headers)
    return body if isinstance(body, Reply) else Reply(body, headers=headers)


def _error(code: int, message: str) -> bytes:
    return frames.encode({"code": code, "msg": message})


def _account(account: AccountView, asked: Query, _backend: Backend) -> bytes:
    told = [states.balance(state) for state in account.balances()]
    rows = [row for row, _ in told if asked.get("omitZeroBalances") != "true" or _is_worth(row)]
    return frames.encode(frames.account(rows, max((at_ms for _, at_ms in told), default=0)))


def _is_worth(row: Mapping[str, str]) -> bool:
    return any(row[name].strip("0.") for name in ("free", "locked"))


def _open_orders(account: AccountView, asked: Query, _backend: Backend) -> bytes:
    rows = [states.order(state) for state in account.open_orders()]
    return frames.encode([row for row in reversed(rows) if asked.get("symbol") in {None, row["symbol"]}])


def _one_order(account: AccountView, asked: Query, backend: Backend) -> bytes:
    symbol, order_id = _needed(asked, "symbol"), _needed(asked, "orderId")
    state = account.order(order_id)
    row = None if state is None else states.order(state)
    if row is None or row["symbol"] != symbol:
        raise Refusal(-2013, "Order does not exist.")
    if not _is_kept(row, account, backend):
        raise Refusal(-2026, "Order was canceled or expired with no executed qty over 90 days ago and is archived.")
    return frames.encode(row)


def _orders(account: AccountView, asked: Query, backend: Backend) -> bytes:
    """The orders of a symbol from an id or a time on, oldest first; without either the newest."""
    symbol, first = _needed(asked, "symbol"), asked.get("orderId")
    begin_ms, end_ms = _period(asked, first)
    hint = Hint(beyond=int(first) - frames.ORDER - 1 if first else None)
    span = Span(begin_ms, end_ms + 1, symbol=symbol, oldest_first=True, hint=hint)

    def place(row: states.Row) -> tuple[int, int]:
        return row["time"], row["orderId"]

    closed = (states.order(entry.state) for entry in account.closed_orders(span))
    # Those of a record are in the order in which it knows them.
    in_order = closed if backend.terms else sorted(closed, key=place)
    opened = map(states.order, account.open_orders())
    mine = sorted((one for one in opened if one["symbol"] == symbol and begin_ms <= one["time"] <= end_ms), key=place)
    found = merge(in_order, mine, key=place)
    rows = (row for row in found if row["orderId"] >= int(first or 0) and _is_kept(row, account, backend))
    return frames.encode(_page(rows, asked, from_the_end=first is None and not begin_ms))


def _is_kept(row: Mapping[str, object], account: AccountView, backend: Backend) -> bool:
    """Whether an order is still known: one that ended without a fill is archived."""
    kept_ms = backend.retained_since_ms("cancelled", CANCELLED_S, account.now_ms)
    is_empty = not str(row["executedQty"]).strip("0.")
    return not (
        is_empty and row["status"] in {"CANCELED", "EXPIRED", "REJECTED"} and int(str(row["updateTime"])) < kept_ms
    )


def _trades(account: AccountView, asked: Query, backend: Backend) -> bytes:
    """The fills of a symbol from an id or a time on, oldest first; without either the newest."""
    symbol, first = _needed(asked, "symbol"), asked.get("fromId")
    begin_ms, end_ms = _period(asked, first)
    begin_ms = max(begin_ms, backend.retained_since_ms("fills", account.now_ms / 1000, account.now_ms))
    of_order = asked.get("orderId")
    hint = Hint(beyond=int(first) - frames.TRADE - 1 if first else None)
    span = Span(begin_ms, end_ms + 1, symbol=symbol, order_id=of_order, oldest_first=True, hint=hint)
    rows = (states.trade(entry.state) for entry in account.fills(span))
    found = (row for row in rows if row["id"] >= int(first or 0))
    return frames.encode(_page(found, asked, from_the_end=first is None and "startTime" not in asked))


_LISTS: dict[str, Callable[[AccountView, Query, Backend], bytes]] = {
    answers.ACCOUNT: _account,
    answers.OPEN_ORDERS: _open_orders,
    answers.ORDER: _one_order,
    answers.ORDERS: _orders,
    answers.TRADES: _trades,
}


def _needed(asked: Query, name: str) -> str:
    if not asked.get(name):
        raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return asked[name]


def _period(asked: Query, first: str | None) -> tuple[int, int]:
    """The times that are asked for, both included."""
    begin, end = (asked.get(name) for name in ("startTime", "endTime"))
    if any(one is not None and number_in(one) is None for one in (begin, end, first)):
        raise Refusal(-1100, "Illegal characters found in a parameter.")
    if first is not None and (begin or end):
        raise Refusal(-1128, "Combination of optional parameters invalid.")
    begin_ms, end_ms = int(begin or 0), int(end) if end else NEVER_MS
    if begin and end and end_ms - begin_ms > questions.WINDOW_MS:
        raise Refusal(-1127, "More than 24 hours between startTime and endTime.")
    return begin_ms, end_ms


def _limit(asked: Query) -> int:
    limit = number_in(asked.get("limit", ""))
    return _LIMIT if limit is None else min(max(limit, 1), answers.PAGE_ROWS)


def _page(rows: Iterable[states.Row], asked: Query, *, from_the_end: bool) -> list[states.Row]:
    limit = _limit(asked)
    return list(deque(rows, limit) if from_the_end else islice(rows, limit))


def _rights() -> frames.Row:
    """What the key may do: read."""
    refused = (
        *("enableWithdrawals", "enableInternalTransfer", "enableMargin", "enableFutures", "permitsUniversalTransfer"),
        *("enableVanillaOptions", "enableFixApiTrade", "enableSpotAndMarginTrading", "enablePortfolioMarginTrading"),
    )
    allowed = {"enableReading": True, "enableFixReadOnly": True}
    return {"ipRestrict": True, "createTime": 1_763_000_000_000, **allowed, **dict.fromkeys(refused, False)}
