"""The exchange's side of REST: authentication, limits, and a page for each path that a recorder asks for. Pure.

Refusals have the HTTP status 200 and a code in the body. Source: API v5, the pages of the paths, "Rate Limit Rules",
"Error Codes".
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from heapq import merge
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec

from recorder.venues.bybit import answers, histories, sign
from recorder.venues.bybit.histories import DEFAULT_COIN
from recorder.venues.bybit.portal import PATH
from recorder.venues.bybit.stand_in import frames, ledger, upgrade
from recorder.venues.bybit.words import FUNDING, OPTION, SETTLEMENT, settle_coin
from recorder.venues.limits import RateLimit
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Reply, Request, is_same, number_in
from recorder.venues.view import AccountView, Entry, SentState, Span

#: Of an address: requests in a window; then everything is refused for some minutes.
ADDRESS_MAX, ADDRESS_WINDOW_MS, BAN_MS = 600, 5_000, 600_000
#: Of a user and path, a second.
USER_MAX, LEDGER_MAX, USER_WINDOW_MS = 50, 25, 1_000

#: The longest window that a history may be asked for, and the one that is answered by default.
WINDOW_MS = histories.WINDOW_MS
#: For how long entries are served, seconds: with fills or without, and the ledger.
HISTORY_S = histories.HISTORY_MS / 1000
CANCELLED_S = histories.CANCELLED_MS / 1000

#: The coins of the exchange, which other clients ask for before anything else.
COINS = "/v5/asset/coin/query-info"

#: Path → rows on a page by default, and at most.
_PAGES = {
    answers.POSITIONS: (20, 200),
    answers.OPEN_ORDERS: (20, 50),
    answers.ORDER_HISTORY: (20, 50),
    answers.EXECUTIONS: (50, 100),
    answers.TRANSACTION_LOG: (20, 50),
    answers.INSTRUMENTS: (500, 1000),
}

Query = Mapping[str, str]


class _Refused(Exception):
    """A request is refused with a code of the exchange."""

    def __init__(self, code: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers or {}


class BybitRequestHandler:
    """Implements `recorder.venues.stand_in.RequestHandler`, which documents the methods."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._of_address = RateLimit(ADDRESS_MAX, ADDRESS_WINDOW_MS, ban_ms=BAN_MS)
        self._of_user = RateLimit(USER_MAX, USER_WINDOW_MS)
        self._of_ledger = RateLimit(LEDGER_MAX, USER_WINDOW_MS)

    def handle(self, request: Request) -> bytes | Reply | AccountQuery | PortalAccess:
        """Decide how to answer one request, or refuse it."""
        path, _, query = request.target.partition("?")
        now_ms = self._backend.clock_ms()
        if path == PATH:
            # Clients log in with a command.
            return PortalAccess(None, dict(parse_qsl(query)), path)
        if self._of_address.spend(request.peer, now_ms):
            raise HttpError(403, "access too frequent")
        try:
            return self._answer(request, path, query, now_ms)
        except _Refused as refused:
            return Reply(frames.refusal(refused.code, refused.message, now_ms), headers=refused.headers)

    def error_body(self, error: HttpError) -> bytes:
        """The body of an answer with another HTTP status than 200."""
        return frames.refusal(error.code or 10000, error.message, self._backend.clock_ms())

    def _answer(self, request: Request, path: str, query: str, now_ms: int) -> bytes | AccountQuery:
        asked = dict(parse_qsl(query))
        if request.method != "GET":
            raise _Refused(10005, "Permission denied, please check your API key permissions.")
        if path == answers.TIME:
            return frames.answer({"timeSecond": str(now_ms // 1000), "timeNano": f"{now_ms}000000"}, now_ms)
        if path == answers.INSTRUMENTS:
            page = _cut(_instruments(self._backend, asked), asked, path)
            return _page_of(path, asked, page, now_ms)
        key = self._authenticate(request.headers, query, now_ms)
        limit = self._of_ledger if path in {answers.TRANSACTION_LOG, answers.OLD_LOG} else self._of_user
        wait_ms = limit.spend(f"{key} {path}", now_ms)
        if wait_ms:
            reset = {"X-Bapi-Limit-Reset-Timestamp": str(now_ms + wait_ms)}
            raise _Refused(10006, "Too many visits. Exceeded the API Rate Limit.", reset)
        if path == answers.KEY_PERMISSIONS:
            return frames.answer(_key(key), now_ms)
        if path == answers.ACCOUNT:
            return frames.answer({"unifiedMarginStatus": 6, "marginMode": "ISOLATED_MARGIN"}, now_ms)
        if path == COINS:
            return AccountQuery(key, lambda account: frames.answer({"rows": _coins(account)}, self._backend.clock_ms()))
        listed = _LISTS.get(upgrade.TODAY.get(path, path))
        if listed is None:
            raise HttpError(404, "path not found")
        return AccountQuery(key, partial(self._page, listed, path, asked))

    def _authenticate(self, headers: Mapping[str, str], query: str, now_ms: int) -> str:
        given = {name.upper(): value for name, value in headers.items()}
        key, at, signature = (given.get(f"X-BAPI-{name}", "") for name in ("API-KEY", "TIMESTAMP", "SIGN"))
        window = given.get("X-BAPI-RECV-WINDOW", "5000")
        secret = self._backend.secret_of(key)
        if secret is None:
            raise _Refused(10003, "API key is invalid.")
        if self._backend.is_expired(key):
            raise _Refused(33004, "Your api key has expired.")
        at_ms, window_ms = number_in(at), number_in(window)
        if at_ms is None or window_ms is None or not now_ms - window_ms <= at_ms < now_ms + sign.AHEAD_MS:
            raise _Refused(
                10002,
                "invalid request, please check your server timestamp or recv_window param. "
                f"req_timestamp[{at}],server_timestamp[{now_ms}],recv_window[{window}]",
            )
        text = f"{at}{key}{given.get('X-BAPI-RECV-WINDOW', '')}{query}"
        if not is_same(signature, sign.signature(secret, text)):
            raise _Refused(10004, f"error sign! origin_string[{text}]")
        return key

    def _page(self, listed: "_List", path: str, asked: Query, account: AccountView) -> Reply:
        now_ms = self._backend.clock_ms()
        try:
            page = upgrade.read(path, listed, account, asked, self._backend)
            if page is None:
                raise _Refused(10001, "params error")
            return Reply(_page_of(path, asked, page, now_ms))
        except _Refused as refused:
            return Reply(frames.refusal(refused.code, refused.message, now_ms), headers=refused.headers)


#: Rows of a page, and the cursor of the next one.
_Page = tuple[list[Any], str]
_List = Callable[[AccountView, Query, Backend], _Page]


def _page_of(path: str, asked: Query, page: _Page, now_ms: int) -> bytes:
    rows, cursor = page
    result: dict[str, object] = {"list": rows, "nextPageCursor": quote(cursor, safe="")}
    if path not in {answers.BALANCES, answers.OLD_LOG}:
        result["category"] = asked.get("category", "")
    return frames.answer(result, now_ms)


def _instruments(backend: Backend, asked: Query) -> list[frames.Row]:
    category, symbol = _category(asked), asked.get("symbol")
    found = [
        one.row
        for one in backend.listed(ledger.instrument_row, ("result", "list"), by=("category", "symbol"))
        if one.fields["category"] == category and symbol in {None, one.fields["symbol"]}
    ]
    if symbol is not None and not found:
        raise _Refused(10001, "params error: symbol invalid")
    return found


def _balances(account: AccountView, _asked: Query, _backend: Backend) -> _Page:
    coins = [_coin(state) for state in account.balances()]
    return [{**frames.wallet_row({}), "coin": [coin for coin in coins if Decimal(coin["walletBalance"])]}], ""


def _positions(account: AccountView, asked: Query, _backend: Backend) -> _Page:
    category, symbol = _category(asked), asked.get("symbol")
    if category == "linear" and not symbol and not asked.get("settleCoin"):
        raise _Refused(10001, "Missing some parameters that must be filled in, symbol or settleCoin")
    rows = [_as_answer(_row(state)) for state in account.positions()]
    found = [
        row
        for row in rows
        if row["category"] == category
        and (symbol == row["symbol"] or (not symbol and row["side"] and _settles(row, asked)))
    ]
    return _cut(found, asked, answers.POSITIONS)


def _open_orders(account: AccountView, asked: Query, _backend: Backend) -> _Page:
    category = _category(asked)
    one = asked.get("orderId")
    if one is not None:
        state = account.order(one)
        return ([] if state is None else [_row(state)]), ""
    if category == "linear" and not {"symbol", "baseCoin", "settleCoin"} & asked.keys():
        raise _Refused(10001, "Missing some parameters that must be filled in, symbol or settleCoin or baseCoin")
    rows = (_row(state) for state in account.open_orders())
    return _cut([row for row in rows if _is_wanted(row, asked) and _settles(row, asked)], asked, answers.OPEN_ORDERS)


def _order_history(account: AccountView, asked: Query, backend: Backend) -> _Page:
    category, one = _category(asked), asked.get("orderId")
    begin_ms, end_ms = _window(asked, account.now_ms, WINDOW_MS)
    if one is not None:
        state = account.order(one)
        its = [] if state is None else [(one, _row(state))]
        rows = iter([(one, row) for one, row in its if begin_ms <= int(row["createdTime"]) <= end_ms])
    else:
        since_ms = max(begin_ms, backend.retained_since_ms("orders", HISTORY_S, account.now_ms))
        span = Span(since_ms, end_ms + 1, category, asked.get("symbol"), beyond=asked.get("cursor") or None)
        rows = ((entry.id, _row(entry.state)) for entry in account.closed_orders(span))
    kept_ms = backend.retained_since_ms("cancelled", CANCELLED_S, account.now_ms)
    found = (
        (order_id, row)
        for order_id, row in rows
        if row["category"] == category
        and (Decimal(row["cumExecQty"] or 0) or int(row["updatedTime"]) >= kept_ms)
        and _settles(row, asked)
    )
    limit = _limit(asked, answers.ORDER_HISTORY)
    page = list(islice(found, limit + 1))
    return [row for _, row in page[:limit]], page[limit - 1][0] if len(page) > limit else ""


def _executions(account: AccountView, asked: Query, backend: Backend) -> _Page:
    category = _category(asked)
    begin_ms, end_ms = _window(asked, account.now_ms, WINDOW_MS)
    span = Span(
        since_ms=max(begin_ms, backend.retained_since_ms("fills", HISTORY_S, account.now_ms)),
        until_ms=end_ms + 1,
        market=category,
        symbol=asked.get("symbol"),
        order_id=asked.get("orderId"),
    )
    limit, kind = _limit(asked, answers.EXECUTIONS), asked.get("execType")
    coin = None if category != OPTION or {"symbol", "orderId"} & asked.keys() else asked.get("baseCoin", DEFAULT_COIN)
    # Each list goes on after its own last entry.
    beyond_fill, _, beyond_payment = asked.get("cursor", "").partition(" ")
    fills = ((entry, _row(entry.state)) for entry in account.fills(span._replace(beyond=beyond_fill or None)))
    payments = _payments(account, span._replace(beyond=beyond_payment or None))
    merged = merge(fills, payments, key=lambda one: one[0].at_ms, reverse=True)
    wanted = (one for one in merged if kind in {None, one[1]["execType"]} and _is_of(one[1], coin))
    found = list(islice(wanted, limit + 1))
    for entry, row in found[:limit]:
        if row["execType"] == FUNDING:
            beyond_payment = entry.id
        else:
            beyond_fill = entry.id
    rows = [row for _, row in found[:limit]]
    return rows, f"{beyond_fill} {beyond_payment}" if len(found) > limit else ""


def _payments(account: AccountView, span: Span) -> Iterator[tuple[Entry, frames.Row]]:
    """The payments of funding, which belong to no order, as executions. A record may have them as such."""
    known: set[object] = set()
    for entry in account.transactions(span) if span.order_id is None else ():
        row = _row(entry.state)
        if row.get("type") == SETTLEMENT and row.get("funding"):
            row = frames.funding_row(row)
        if row.get("execType") == FUNDING and row["execId"] not in known:
            known.add(row["execId"])
            yield entry, row


def _transactions(account: AccountView, asked: Query, backend: Backend) -> _Page:
    begin_ms, end_ms = _window(asked, account.now_ms, histories.DAY_MS)
    span = Span(
        since_ms=max(begin_ms, backend.retained_since_ms("transactions", HISTORY_S, account.now_ms)),
        until_ms=end_ms + 1,
        market=asked.get("category"),
        currency=asked.get("currency"),
    )
    limit = _limit(asked, answers.TRANSACTION_LOG)
    entries = account.transactions(span._replace(beyond=asked.get("cursor") or None))
    # A record has payments of funding as executions, too.
    rows = ((entry.id, _row(entry.state)) for entry in entries)
    found = list(islice((one for one in rows if "execType" not in one[1]), limit + 1))
    return [row for _, row in found[:limit]], found[limit - 1][0] if len(found) > limit else ""


_LISTS: dict[str, _List] = {
    answers.BALANCES: _balances,
    answers.POSITIONS: _positions,
    answers.OPEN_ORDERS: _open_orders,
    answers.ORDER_HISTORY: _order_history,
    answers.EXECUTIONS: _executions,
    answers.TRANSACTION_LOG: _transactions,
}


def _cut(rows: list[Any], asked: Query, path: str) -> _Page:
    first, limit = _first(asked), _limit(asked, path)
    return rows[first : first + limit], f"page:{first + limit}" if len(rows) > first + limit else ""


def _first(asked: Query) -> int:
    """The place of a page's first row, which is in its cursor."""
    return number_in(asked.get("cursor", "").removeprefix("page:")) or 0


def _limit(asked: Query, path: str) -> int:
    default, most = _PAGES[path]
    limit = number_in(asked.get("limit", ""))
    return default if limit is None else min(max(limit, 1), most)


def _window(asked: Query, now_ms: int, default_ms: int) -> tuple[int, int]:
    """Beginning and end of what is asked for; one bound alone means the default length from or to it."""
    begin, end = (number_in(asked.get(name, "")) for name in ("startTime", "endTime"))
    if begin is None:
        end = now_ms if end is None else end
        return end - default_ms, end
    end = begin + default_ms if end is None else end
    if end - begin > WINDOW_MS:
        raise _Refused(10001, "The time range between startTime and endTime cannot exceed 7 days")
    return begin, end


def _category(asked: Query) -> str:
    category = asked.get("category", "")
    if category not in {"linear", "inverse", "option", "spot"}:
        raise _Refused(10001, "params error: category invalid")
    return category


def _is_wanted(row: Mapping[str, Any], asked: Query) -> bool:
    return row["category"] == asked["category"] and asked.get("symbol") in {None, row["symbol"]}


def _is_of(option: Mapping[str, Any], coin: str | None) -> bool:
    return coin is None or histories.base_coins([option["symbol"]]) == {coin}


def _settles(row: Mapping[str, Any], asked: Query) -> bool:
    coin = asked.get("settleCoin")
    return coin in {None, settle_coin(row["category"], row["symbol"])}


def _coins(account: AccountView) -> list[dict[str, object]]:
    """The coins that the account holds, without the chains that they could be sent over."""
    coins = [_coin(state)["coin"] for state in account.balances()]
    return [{"name": coin, "coin": coin, "remainAmount": "0", "chains": []} for coin in coins]


def _row(state: SentState) -> Any:
    """The row of a push or an answer that holds a record."""
    rows = _rows(state)
    return rows[min(state.item, len(rows) - 1)]


def _coin(state: SentState) -> Any:
    coins = [coin for row in _rows(state) for coin in row["coin"]]
    return coins[state.item]


def _rows(state: SentState) -> list[Any]:
    frame = msgspec.json.decode(state.payload)
    rows: list[Any] = frame["data"] if "data" in frame else frame["result"]["list"]
    return rows


def _as_answer(row: dict[str, Any]) -> dict[str, Any]:
    """A position, whose entry price has another name in pushes."""
    return {("avgPrice" if name == "entryPrice" else name): value for name, value in row.items()}


def _key(key: str) -> dict[str, object]:
    """What the key may do: read."""
    permissions: Iterator[str] = iter(("ContractTrade", "Spot", "Wallet", "Options", "Derivatives", "Exchange"))
    return {
        "apiKey": key,
        "readOnly": 1,
        "permissions": {name: [] for name in permissions},
        "ips": ["*"],
        "deadlineDay": 83,
        "expiredAt": "",
        "uta": 1,
        "userID": 100000007,
        "isMaster": True,
    }
