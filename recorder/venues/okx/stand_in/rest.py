"""The exchange's side of REST: authentication, limits, and a page for each path that a recorder asks for. Pure.

Source: okx.com/docs-v5, the pages of the paths, "Rate Limits", "Error Code".
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from recorder.venues.fields import names
from recorder.venues.limits import RateLimit
from recorder.venues.okx import answers, ledger, questions, sign
from recorder.venues.okx.portal import PATHS
from recorder.venues.okx.stand_in import frames, states
from recorder.venues.okx.stand_in.conversation import passphrase_of
from recorder.venues.okx.words import ALGO_STATUSES, OPTION
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Reply, Request, is_same, number_in
from recorder.venues.view import AccountView, Entry, Hint, SentState, Span

#: Path → requests of a user and path within its window, milliseconds; of any other path.
_LIMITS = {
    answers.OPEN_ORDERS: (60, 2_000),
    answers.ORDER: (60, 2_000),
    answers.FILLS: (60, 2_000),
    answers.ORDERS: (40, 2_000),
    answers.OPEN_ALGOS: (20, 2_000),
    answers.ALGOS: (20, 2_000),
    answers.BILLS: (5, 1_000),
    answers.BILLS_ARCHIVE: (5, 2_000),
    answers.FILLS_ARCHIVE: (10, 2_000),
    answers.ORDERS_ARCHIVE: (20, 2_000),
    answers.DEPOSITS: (6, 1_000),
    answers.WITHDRAWALS: (6, 1_000),
}
_LIMIT = (10, 2_000)

#: Path → for how long its entries are served, seconds.
_KEPT_S = {
    answers.ORDERS: questions.RECENT_MS / 1000,
    answers.ORDERS_ARCHIVE: questions.HISTORY_MS / 1000,
    answers.FILLS: questions.RECENT_FILLS_MS / 1000,
    answers.FILLS_ARCHIVE: questions.HISTORY_MS / 1000,
    answers.BILLS: questions.RECENT_MS / 1000,
    answers.BILLS_ARCHIVE: questions.HISTORY_MS / 1000,
    answers.ALGOS: questions.HISTORY_MS / 1000,
}
CANCELLED_S = questions.CANCELLED_MS / 1000

#: Parameters without which a path refuses.
_NEEDED = {
    answers.ORDERS: ("instType",),
    answers.ORDERS_ARCHIVE: ("instType",),
    answers.FILLS_ARCHIVE: ("instType",),
    answers.OPEN_ALGOS: ("ordType",),
    answers.ALGOS: ("ordType", "state"),
    answers.ORDER: ("instId", "ordId"),
    answers.INSTRUMENTS: ("instType",),
}

_ONLY_PUSHED = names(ledger.PUSHED)

Query = Mapping[str, str]
_Rows = list[Any]


class _Refused(Exception):
    """A request is refused with a code of the exchange."""

    def __init__(self, code: str, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class OKXRequestHandler:
    """Implements `recorder.venues.stand_in.RequestHandler`, which documents the methods."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._limits = {path: RateLimit(*limit) for path, limit in _LIMITS.items()}
        self._limit = RateLimit(*_LIMIT)

    def handle(self, request: Request) -> bytes | Reply | AccountQuery | PortalAccess:
        """Decide how to answer one request, or refuse it."""
        path, _, query = request.target.partition("?")
        if path in PATHS.values():
            # Clients log in with a command.
            return PortalAccess(None, dict(parse_qsl(query)), path)
        try:
            return self._answer(request, path, dict(parse_qsl(query)))
        except _Refused as refused:
            return Reply(frames.refusal(refused.code, refused.message), refused.status)

    def error_body(self, error: HttpError) -> bytes:
        """The body of an answer with another HTTP status than 200."""
        return frames.refusal(str(error.code or 50000), error.message)

    def _answer(self, request: Request, path: str, asked: Query) -> bytes | AccountQuery:
        now_ms = self._backend.clock_ms()
        missing = [name for name in _NEEDED.get(path, ()) if not asked.get(name)]
        if path == answers.TIME:
            return frames.answer([{"ts": str(now_ms)}])
        if request.method != "GET":
            raise _Refused("50120", "This API key doesn't have permission to use this function")
        if missing:
            raise _Refused("50014", f"Parameter {missing[0]} can not be empty", 400)
        if path == answers.INSTRUMENTS:
            return frames.answer(_instruments(self._backend, asked))
        key = self._authenticate(request, now_ms)
        if self._limits.get(path, self._limit).spend(f"{key} {path}", now_ms):
            raise _Refused("50011", "Too Many Requests", 429)
        if path == answers.CONFIG:
            return frames.answer([_config()])
        listed = _LISTS.get(path)
        if listed is None:
            raise HttpError(404, "path not found")
        return AccountQuery(key, partial(self._list, listed, path, asked))

    def _list(self, listed: "_List", path: str, asked: Query, account: AccountView) -> Reply:
        try:
            return Reply(frames.answer(listed(account, path, asked, self._backend)))
        except _Refused as refused:
            return Reply(frames.refusal(refused.code, refused.message), refused.status)

    def _authenticate(self, request: Request, now_ms: int) -> str:
        given = {name.upper(): value for name, value in request.headers.items()}
        key, at, signature, passphrase = (
            given.get(f"OK-ACCESS-{name}", "") for name in ("KEY", "TIMESTAMP", "SIGN", "PASSPHRASE")
        )
        secret = self._backend.secret_of(key)
        if secret is None or self._backend.is_expired(key):
            raise _Refused("50119", "API key doesn't exist", 401)
        at_ms = _milliseconds(at)
        if at_ms is None:
            raise _Refused("50112", "Invalid OK-ACCESS-TIMESTAMP", 401)
        if abs(at_ms - now_ms) > sign.WINDOW_MS:
            raise _Refused("50102", "Timestamp request expired", 401)
        if not is_same(signature, sign.signature(secret, f"{at}GET{request.target}")):
            raise _Refused("50113", "Invalid Sign", 401)
        if passphrase != passphrase_of(secret):
            raise _Refused("50105", "Request header OK-ACCESS-PASSPHRASE incorrect.", 401)
        return key


def _instruments(backend: Backend, asked: Query) -> _Rows:
    """Those of a product line, of an underlying, or one. Options are listed only by their underlying."""
    named = {name: asked[name] for name in ("instType", "uly", "instFamily", "instId") if asked.get(name)}
    if asked["instType"] == OPTION and not {"uly", "instFamily"} & named.keys():
        raise _Refused("50014", "Parameter instFamily can not be empty", 400)
    found = backend.listed(states.instrument_row, ("data",), by=("instType", "instId"))
    return [one.row for one in found if named.items() <= dict(one.fields).items()]


_List = Callable[[AccountView, str, Query, Backend], _Rows]


def _balances(account: AccountView, _path: str, _asked: Query, _backend: Backend) -> _Rows:
    details = [_detail(state) for state in account.balances()]
    return [
        {**states.account_row([], account.now_ms), "details": [one for one in details if _is_worth(one, "cashBal")]}
    ]


def _positions(account: AccountView, _path: str, asked: Query, _backend: Backend) -> _Rows:
    rows = map(_row, account.positions())
    return [row for row in rows if _is_of(row, asked) and (asked.get("instId") or _is_worth(row, "pos"))]


def _open_orders(account: AccountView, path: str, asked: Query, _backend: Backend) -> _Rows:
    algo = path == answers.OPEN_ALGOS
    rows = [row for row in map(_row, account.open_orders()) if _is_algo(row) == algo]
    if algo:
        rows = [row for row in rows if row["ordType"] in asked["ordType"].split(",")]
    return _page([row for row in rows if _is_of(row, asked)], "algoId" if algo else "ordId", asked)


def _one_order(account: AccountView, _path: str, asked: Query, _backend: Backend) -> _Rows:
    state = account.order(asked["ordId"])
    row = None if state is None else _row(state)
    if row is None or _is_algo(row) or row["instId"] != asked["instId"]:
        raise _Refused("51603", "Order does not exist")
    return [row]


def _ended_orders(account: AccountView, path: str, asked: Query, backend: Backend) -> _Rows:
    algo = path == answers.ALGOS
    since_ms, until_ms = _span(account, path, asked, backend, "orders")
    cancelled_ms = backend.retained_since_ms("cancelled", CANCELLED_S, account.now_ms)
    after = None if algo or not asked.get("after") else frames.number_of(asked["after"])
    hint = _hint(asked)._replace(trigger=algo, beyond=after)
    span = Span(since_ms=since_ms, until_ms=until_ms + 1, symbol=asked.get("instId"), hint=hint)
    rows = (_row(entry.state) for entry in account.closed_orders(span))
    found = (row for row in rows if _is_algo(row) == algo and _is_of(row, asked))
    if algo:
        wanted = asked["ordType"].split(",")
        ended = (row for row in found if row["ordType"] in wanted and row["state"] == asked["state"])
        return _page(ended, "algoId", asked)
    kept = (row for row in found if _is_worth(row, "accFillSz") or int(row["uTime"]) >= cancelled_ms)
    return _page(kept, "ordId", asked)


def _fills(account: AccountView, path: str, asked: Query, backend: Backend) -> _Rows:
    return _history(account.fills, account, path, asked, backend, "fills")


def _bills(account: AccountView, path: str, asked: Query, backend: Backend) -> _Rows:
    return _history(account.transactions, account, path, asked, backend, "transactions")


def _movements(id_name: str, done: Collection[str], account: AccountView, asked: Query) -> _Rows:
    """Deposits or withdrawals of a recorded account, without what only pushes say. A simulated one has none."""
    # Of a simulated account, only bills of no instrument are looked at.
    states_sent = (entry.state for entry in account.transactions(Span(hint=Hint(lambda _terms: False))))
    rows = (_movement(state, id_name, done) for state in states_sent)
    return _page((row for row in rows if row is not None), "ts", asked)


def _movement(state: SentState, id_name: str, done: Collection[str]) -> frames.Row | None:
    """The row that holds a record, which those of other states do not; None if it is of something else."""
    rows = [row for row in msgspec.json.decode(state.payload)["data"] if id_name in row and row["state"] in done]
    return {name: value for name, value in rows[state.item].items() if name not in _ONLY_PUSHED} if rows else None


def _deposits(account: AccountView, _path: str, asked: Query, _backend: Backend) -> _Rows:
    return _movements("depId", ledger.CREDITED, account, asked)


def _withdrawals(account: AccountView, _path: str, asked: Query, _backend: Backend) -> _Rows:
    return _movements("wdId", ledger.LEFT, account, asked)


_LISTS: dict[str, _List] = {
    answers.BALANCE: _balances,
    answers.POSITIONS: _positions,
    answers.OPEN_ORDERS: _open_orders,
    answers.OPEN_ALGOS: _open_orders,
    answers.ORDER: _one_order,
    answers.ORDERS: _ended_orders,
    answers.ORDERS_ARCHIVE: _ended_orders,
    answers.ALGOS: _ended_orders,
    answers.FILLS: _fills,
    answers.FILLS_ARCHIVE: _fills,
    answers.BILLS: _bills,
    answers.BILLS_ARCHIVE: _bills,
    answers.DEPOSITS: _deposits,
    answers.WITHDRAWALS: _withdrawals,
}


def _history(
    read: Callable[[Span], Iterable[Entry]], account: AccountView, path: str, asked: Query, backend: Backend, kind: str
) -> _Rows:
    since_ms, until_ms = _span(account, path, asked, backend, kind)
    after = number_in(asked.get("after", ""))
    hint = _hint(asked)._replace(beyond=None if after is None else after - frames.BILL)
    entries = read(Span(since_ms=since_ms, until_ms=until_ms + 1, symbol=asked.get("instId"), hint=hint))
    rows = (row for row in (_row(entry.state) for entry in entries) if _is_of(row, asked))
    # Deposits and withdrawals are in lists of their own.
    return _page((row for row in rows if not {"depId", "wdId"} & row.keys()), "billId", asked)


def _hint(asked: Query) -> Hint:
    """What belongs to another product line is left out."""
    line = asked.get("instType")
    return Hint(None if line is None else lambda terms: frames.inst_type(terms) == line)


def _span(account: AccountView, path: str, asked: Query, backend: Backend, kind: str) -> tuple[int, int]:
    kept_ms = backend.retained_since_ms(kind, _KEPT_S[path], account.now_ms)
    begin, end = (number_in(asked.get(name, "")) for name in ("begin", "end"))
    return max(begin or 0, kept_ms), account.now_ms if end is None else end


def _page(rows: Iterable[Any], key: str, asked: Query) -> _Rows:
    """The newest rows, or those behind the one that `after` names."""
    limit, after = (number_in(asked[name]) if asked.get(name) else None for name in ("limit", "after"))
    if asked.get("after") and after is None:
        raise _Refused("51000", "Parameter after error", 400)
    older = rows if after is None else (row for row in rows if int(row[key]) < after)
    return list(islice(older, min(max(answers.PAGE_ROWS if limit is None else limit, 1), answers.PAGE_ROWS)))


def _is_algo(row: Mapping[str, Any]) -> bool:
    return "triggerPx" in row and row["state"] in ALGO_STATUSES


def _is_of(row: Mapping[str, Any], asked: Query) -> bool:
    return all(asked.get(name) in {None, row.get(name)} for name in ("instType", "instId"))


def _is_worth(row: Mapping[str, Any], name: str) -> bool:
    return bool(str(row[name]).strip("0.-"))


def _row(state: SentState) -> Any:
    """The row of a push or an answer that holds a record."""
    rows = msgspec.json.decode(state.payload)["data"]
    return rows[min(state.item, len(rows) - 1)]


def _detail(state: SentState) -> Any:
    """The currency of a push or an answer about the account."""
    return msgspec.json.decode(state.payload)["data"][0]["details"][state.item]


def _milliseconds(text: str) -> int | None:
    try:
        at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(at.timestamp() * 1000 + 0.5)


def _config() -> frames.Row:
    """What the key may do: read."""
    return {
        "uid": frames.UID,
        "mainUid": frames.UID,
        "acctLv": "2",
        "posMode": "net_mode",
        "perm": "read_only",
        "ip": "",
        "label": "recorder",
        "feeType": "0",
        "settleCcy": "",
        "type": "0",
    }
