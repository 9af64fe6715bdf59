"""The exchange's side of REST: authentication, limits, and a page for each path that a recorder asks for. Pure.

Source: bitget.com/docs/uta, the pages of the paths, "Rate Limits", "Error Code".
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from recorder.venues.bitget import answers, questions, sign
from recorder.venues.bitget.portal import PATH
from recorder.venues.bitget.stand_in import frames, states
from recorder.venues.bitget.stand_in.conversation import passphrase_of
from recorder.venues.bitget.words import CATEGORIES, FUTURES, futures_line
from recorder.venues.limits import RateLimit
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Reply, Request, is_same, number_in
from recorder.venues.view import AccountView, Entry, Hint, SentState, Span

#: Of a user and path, a second; of an address, a minute, or else everything is refused for five.
USER_MAX, USER_WINDOW_MS = 20, 1_000
ADDRESS_MAX, ADDRESS_WINDOW_MS, BAN_MS = 6_000, 60_000, 300_000
#: For how long entries are served, seconds.
HISTORY_S = questions.KEPT_MS / 1000
#: Milliseconds: how much earlier than that a request may begin.
_GRACE_MS = 60_000
#: The coins of the exchange, which other clients ask for before anything else.
COINS = "/api/v2/spot/public/coins"

#: Parameters without which a path refuses.
_NEEDED = {
    answers.POSITIONS: ("category",),
    answers.ORDERS: ("category",),
    answers.ORDER: ("orderId",),
    answers.OPEN_STRATEGIES: ("category",),
    answers.STRATEGIES: ("category",),
    answers.RECORDS: ("category",),
    answers.INSTRUMENTS: ("category",),
}
_LINES = frozenset(line.upper() for line in CATEGORIES)

Query = Mapping[str, str]
_Rows = list[Any]


#: What does not depend on the account: the key may read, and of the funding account nothing is simulated.
_OF_KEY: dict[str, object] = {
    answers.INFO: {
        "userId": "1000000007",
        "inviterId": "",
        "parentId": "1000000007",
        "channelCode": "",
        "channel": "",
        "ips": "",
        "permType": "read-only",
        "permissions": ["uta_mgt", "uta_trade"],
        "regisTime": "1246566789345",
    },
    answers.SETTINGS: {
        "uid": "1000000007",
        "accountMode": "unified",
        "assetMode": "union",
        "accountLevel": "advanced",
        "holdMode": "one_way_mode",
        "stpMode": "none",
    },
    answers.FUNDING_ASSETS: [],
    answers.FUNDING_RECORDS: {"list": [], "cursor": ""},
}


class _Refused(Exception):
    """A request is refused with a code of the exchange."""

    def __init__(self, code: str, message: str, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers or {}


class BitgetRequestHandler:
    """Implements `recorder.venues.stand_in.RequestHandler`, which documents the methods."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._of_user = RateLimit(USER_MAX, USER_WINDOW_MS)
        self._of_address = RateLimit(ADDRESS_MAX, ADDRESS_WINDOW_MS, ban_ms=BAN_MS)

    def handle(self, request: Request) -> bytes | Reply | AccountQuery | PortalAccess:
        """Decide how to answer one request, or refuse it."""
        path, _, query = request.target.partition("?")
        if path == PATH:
            # Clients log in with a command.
            return PortalAccess(None, dict(parse_qsl(query)), path)
        try:
            return self._answer(request, path, dict(parse_qsl(query)))
        except _Refused as refused:
            return self._refusal(refused)

    def error_body(self, error: HttpError) -> bytes:
        """The body of an answer with another HTTP status than 200."""
        return frames.refusal(str(error.code or 40015), error.message, self._backend.clock_ms())

    def _refusal(self, refused: _Refused) -> Reply:
        body = frames.refusal(refused.code, refused.message, self._backend.clock_ms())
        return Reply(body, refused.status, refused.headers)

    def _answer(self, request: Request, path: str, asked: Query) -> bytes | AccountQuery:
        now_ms = self._backend.clock_ms()
        if self._of_address.spend(request.peer, now_ms):
            raise _Refused("429", "Too Many Requests", 429, {"x-mbx-used-remain-limit": "0"})
        if path == answers.TIME:
            return frames.answer({"serverTime": str(now_ms)}, now_ms)
        if request.method != "GET":
            raise _Refused("40014", "Incorrect permissions, need uta trade write permissions")
        missing = [name for name in _NEEDED.get(path, ()) if not asked.get(name)]
        if missing:
            raise _Refused("40020", f"Parameter {missing[0]} error")
        if path == answers.INSTRUMENTS:
            found = self._backend.listed(states.instrument_row, ("data",), by=("category", "symbol"))
            found = [one for one in found if one.fields["category"] == asked["category"].upper()]
            rows = [one.row for one in found if asked.get("symbol") in {None, one.fields["symbol"]}]
            return frames.answer(rows, now_ms)
        if path == COINS:
            return frames.answer([], now_ms)
        key = self._authenticate(request, now_ms)
        if self._of_user.spend(f"{key} {path}", now_ms):
            raise _Refused("429", "Too Many Requests", 429)
        if path in _OF_KEY:
            return frames.answer(_OF_KEY[path], now_ms)
        listed = _LISTS.get(path)
        if listed is None:
            raise _Refused("40404", "Request URL NOT FOUND", 404)
        return AccountQuery(key, partial(self._list, listed, asked))

    def _list(self, listed: "_List", asked: Query, account: AccountView) -> Reply:
        try:
            return Reply(frames.answer(listed(account, asked, self._backend), self._backend.clock_ms()))
        except _Refused as refused:
            return self._refusal(refused)

    def _authenticate(self, request: Request, now_ms: int) -> str:
        given = {name.upper(): value for name, value in request.headers.items()}
        key, at, signature, passphrase = (
            given.get(f"ACCESS-{name}", "") for name in ("KEY", "TIMESTAMP", "SIGN", "PASSPHRASE")
        )
        secret = self._backend.secret_of(key)
        if secret is None:
            raise _Refused("40006", "Invalid ACCESS_KEY")
        if self._backend.is_expired(key):
            raise _Refused("40037", "Apikey does not exist")
        at_ms = number_in(at)
        if at_ms is None:
            raise _Refused("40005", "Invalid ACCESS_TIMESTAMP")
        if abs(at_ms - now_ms) > sign.WINDOW_MS:
            raise _Refused("40008", "Request timestamp expired")
        text = f"{at}GET{unquote(request.target)}"
        if not is_same(signature, sign.signature(secret, text)):
            raise _Refused("40009", "sign signature error")
        if passphrase != passphrase_of(secret):
            raise _Refused("40012", "apikey/password is incorrect")
        return key


_List = Callable[[AccountView, Query, Backend], object]


def _balances(account: AccountView, asked: Query, _backend: Backend) -> object:
    coins = [_coin(state) for state in account.balances()]
    return states.assets(one for one in coins if _is_worth(one, "balance") and _has(one, asked, "coin"))


def _positions(account: AccountView, asked: Query, _backend: Backend) -> object:
    line = _line(asked)
    if line.lower() not in FUTURES:
        raise _Refused("40020", "Parameter category error")
    rows = [row for row in map(_position, account.positions()) if row["category"] == line and _is_worth(row, "total")]
    return {"list": [row for row in rows if _has(row, asked, "symbol") and _has(row, asked, "posSide")] or None}


def _open_orders(account: AccountView, asked: Query, _backend: Backend) -> object:
    rows = [row for row in map(_order, account.open_orders()) if not _is_strategy(row)]
    return _page([row for row in rows if _is_of(row, asked)], "orderId", asked)


def _open_strategies(account: AccountView, asked: Query, _backend: Backend) -> object:
    rows = [row for row in map(_order, account.open_orders()) if _is_strategy(row)]
    return [row for row in rows if _is_of(row, asked) and _has(row, asked, "type")]


def _one_order(account: AccountView, asked: Query, _backend: Backend) -> object:
    state = account.order(asked["orderId"])
    row = None if state is None else _order(state)
    if row is None or _is_strategy(row):
        raise _Refused("25204", "Order does not exist")
    return row


def _ended(account: AccountView, asked: Query, backend: Backend, *, trigger: bool) -> Iterable[Any]:
    _line(asked)
    since_ms, until_ms = _span(account, asked, backend, "orders")
    cursor = asked.get("cursor")
    hint = _hint(asked)._replace(trigger=trigger, beyond=frames.number_of(cursor) if cursor and not trigger else None)
    entries = account.closed_orders(Span(since_ms, until_ms + 1, symbol=asked.get("symbol"), hint=hint))
    return (row for row in (_order(entry.state) for entry in entries) if _is_of(row, asked))


def _ended_orders(account: AccountView, asked: Query, backend: Backend) -> object:
    rows = _ended(account, asked, backend, trigger=False)
    return _page((row for row in rows if not _is_strategy(row)), "orderId", asked)


def _ended_strategies(account: AccountView, asked: Query, backend: Backend) -> object:
    rows = _ended(account, asked, backend, trigger=True)
    return _page((row for row in rows if _is_strategy(row) and _has(row, asked, "type")), "orderId", asked)


def _fills(account: AccountView, asked: Query, backend: Backend) -> object:
    if asked.get("category"):
        _line(asked)
    rows = _history(account.fills, account, asked, backend, "fills", frames.EXECUTION)
    found = (_fill(row) for row in rows)
    return _page((row for row in found if _is_of(row, asked) and _has(row, asked, "orderId")), "execId", asked)


def _records(account: AccountView, asked: Query, backend: Backend) -> object:
    rows = _history(account.transactions, account, asked, backend, "transactions", frames.RECORD)
    mine = (row for row in rows if str(row["category"]).upper() == asked["category"].upper())
    return _page((row for row in mine if _has(row, asked, "coin") and _has(row, asked, "type")), "id", asked)


_LISTS: dict[str, _List] = {
    answers.ASSETS: _balances,
    answers.POSITIONS: _positions,
    answers.OPEN_ORDERS: _open_orders,
    answers.OPEN_STRATEGIES: _open_strategies,
    answers.ORDER: _one_order,
    answers.ORDERS: _ended_orders,
    answers.STRATEGIES: _ended_strategies,
    answers.FILLS: _fills,
    answers.RECORDS: _records,
}


def _history(
    read: Callable[[Span], Iterable[Entry]],
    account: AccountView,
    asked: Query,
    backend: Backend,
    kind: str,
    first_id: int,
) -> Iterable[Any]:
    since_ms, until_ms = _span(account, asked, backend, kind)
    cursor = number_in(asked.get("cursor", ""))
    hint = _hint(asked)._replace(beyond=None if cursor is None else cursor - first_id)
    entries = read(Span(since_ms=since_ms, until_ms=until_ms + 1, symbol=asked.get("symbol"), hint=hint))
    return (_row(entry.state) for entry in entries)


def _hint(asked: Query) -> Hint:
    """What belongs to another product line is left out."""
    line = asked.get("category", "").lower()
    return Hint((lambda terms: terms.market == line) if line else None)


def _span(account: AccountView, asked: Query, backend: Backend, kind: str) -> tuple[int, int]:
    """Beginning and end of what is asked for, which may not be too long ago, nor too far apart."""
    kept_ms = backend.retained_since_ms(kind, HISTORY_S, account.now_ms)
    begin, end = (number_in(asked.get(name, "")) for name in ("startTime", "endTime"))
    if begin is not None and begin < backend.clock_ms() - questions.KEPT_MS - _GRACE_MS:
        raise _Refused("25200", "FinancialQueryParam time range illegal")
    if begin is not None and end is not None and end - begin > questions.SPAN_MS:
        raise _Refused("43111", "startTime and endTime interval cannot be greater than 30 days")
    return max(begin or 0, kept_ms), account.now_ms if end is None else end


def _page(rows: Iterable[Any], key: str, asked: Query) -> object:
    """The newest rows, or those behind the one that the cursor names."""
    limit, cursor = (number_in(asked[name]) if asked.get(name) else None for name in ("limit", "cursor"))
    if asked.get("cursor") and cursor is None:
        raise _Refused("40020", "Parameter cursor error")
    limit = answers.PAGE_ROWS if limit is None else min(limit, answers.PAGE_ROWS)
    older = rows if cursor is None else (row for row in rows if int(row[key]) < cursor)
    found = list(islice(older, max(limit, 1) + 1))
    shown = found[:limit]
    return {"list": shown or None, "cursor": str(shown[-1][key]) if len(found) > limit else ""}


def _line(asked: Query) -> str:
    line = asked.get("category", "").upper()
    if line not in _LINES:
        raise _Refused("40020", "Parameter category error")
    return line


def _is_of(row: Mapping[str, Any], asked: Query) -> bool:
    if asked.get("category") and str(row["category"]).upper() != _line(asked):
        return False
    return _has(row, asked, "symbol")


def _has(row: Mapping[str, Any], asked: Query, name: str) -> bool:
    return asked.get(name) in {None, "", row.get(name)}


def _is_strategy(row: Mapping[str, Any]) -> bool:
    return "triggerPrice" in row


def _is_worth(row: Mapping[str, Any], name: str) -> bool:
    return bool(str(row[name]).strip("0.-"))


def _row(state: SentState) -> Any:
    """The row of a push or an answer that holds a record."""
    data = msgspec.json.decode(state.payload)["data"]
    rows = data if isinstance(data, list) else data.get("list", [data])
    return rows[min(state.item, len(rows) - 1)]


def _coin(state: SentState) -> Any:
    """The coin of a push or an answer about the account."""
    data = msgspec.json.decode(state.payload)["data"]
    coins = data[0]["coin"] if isinstance(data, list) else data["assets"]
    return coins[state.item]


def _order(state: SentState) -> Any:
    """An order, whose fields have other names in pushes."""
    row = _row(state)
    if "holdSide" in row:
        row["posSide"] = row.pop("holdSide")
    return {**row, "category": str(row["category"]).upper()}


def _fill(row: dict[str, Any]) -> Any:
    names = {"holdSide": "posSide", "execTime": "createdTime"}
    named = {names.get(name, name): value for name, value in row.items()}
    return {**named, "category": str(row["category"]).upper()}


def _position(state: SentState) -> Any:
    row = _row(state)
    category = row.get("category") or futures_line(row["symbol"], row["marginCoin"])
    return states.answered_position(row, category)
