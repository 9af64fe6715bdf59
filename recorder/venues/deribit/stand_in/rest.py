"""The exchange's side of REST: signatures, limits, and an answer for each method that a recorder asks. Pure.

Errors have the HTTP status 400 and a code in the body. Source: docs.deribit.com, "Rate Limits", "Errors", the page of
each method.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw

from recorder.venues.deribit import answers, questions
from recorder.venues.deribit.ledger import DELIVERY, SETTLEMENT
from recorder.venues.deribit.ledger import entries as log_entries
from recorder.venues.deribit.portal import PATH
from recorder.venues.deribit.stand_in import frames, listed
from recorder.venues.deribit.stand_in.login import DeribitRefusal, Doorkeeper, tokens
from recorder.venues.deribit.symbols import described
from recorder.venues.fields import read_json
from recorder.venues.limits import RateLimit
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Reply, Request, number_in
from recorder.venues.view import AccountView, Entry, Hint, SentState, Span

#: Of an account: requests, of the transaction log apart from all others; in a window, milliseconds.
REQUESTS_MAX, REQUESTS_MS = 100, 5_000
LOGS_MAX, LOGS_MS = 8, 8_000

#: For how long the recent half of a history is served, seconds; how far the other half lags behind.
ORDERS_S, FILLS_S = questions.RECENT_ORDERS_MS / 1000, questions.RECENT_FILLS_MS / 1000
LAG_MS = 60_000

#: Path → rows of a page by default, and at most.
_PAGES = {
    answers.ORDERS: (20, 1_000),
    answers.TRIGGERS: (20, 1_000),
    answers.FILLS: (10, 1_000),
    answers.LOG: (100, 250),
    answers.SETTLEMENTS: (20, 1_000),
}

#: The currencies of the exchange, which other clients ask for before anything else.
CURRENCIES = f"{answers.API}public/get_currencies"

#: Parameters without which a method refuses.
_NEEDED = {
    answers.ORDERS: ("currency",),
    answers.TRIGGERS: ("currency",),
    answers.FILLS: ("currency", "start_timestamp", "end_timestamp"),
    answers.LOG: ("currency", "start_timestamp", "end_timestamp"),
    answers.SETTLEMENTS: ("currency",),
    answers.ORDER: ("order_id",),
    answers.POSITION: ("instrument_name",),
    answers.BALANCE: ("currency",),
    answers.INSTRUMENT: ("instrument_name",),
}

Query = Mapping[str, str]
_NULL = Raw(b"null")
#: No digit is lost.
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class DeribitRequestHandler:
    """Implements `recorder.venues.stand_in.RequestHandler`, which documents the methods."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._doorkeeper = Doorkeeper(backend)
        self._limit = RateLimit(REQUESTS_MAX, REQUESTS_MS)
        self._log_limit = RateLimit(LOGS_MAX, LOGS_MS)

    def handle(self, request: Request) -> bytes | Reply | AccountQuery | PortalAccess:
        """Decide how to answer one request, or refuse it."""
        path, _, query = request.target.partition("?")
        if path == PATH:
            # Clients log in with a command.
            return PortalAccess(None, dict(parse_qsl(query)), path)
        now_ms = self._backend.clock_ms()
        try:
            return self._answer(request, path, dict(parse_qsl(query)), now_ms)
        except DeribitRefusal as refused:
            return self._refused(refused)

    def error_body(self, error: HttpError) -> bytes:
        """The body of an answer with an error of HTTP."""
        return frames.refusal(error.code or 13028, error.message, self._backend.clock_ms())

    def _refused(self, refused: DeribitRefusal) -> Reply:
        now_ms = self._backend.clock_ms()
        return Reply(frames.refusal(refused.code, refused.message, now_ms, refused.reason), refused.status)

    def _answer(self, request: Request, path: str, asked: Query, now_ms: int) -> bytes | AccountQuery:
        missing = [name for name in _NEEDED.get(path, ()) if not asked.get(name)]
        if request.method != "GET":
            raise DeribitRefusal(-32600, "Invalid Request")
        if missing:
            raise DeribitRefusal(-32602, "Invalid params", missing[0])
        if path == answers.TIME:
            return frames.answer(now_ms, now_ms)
        if path == answers.AUTH:
            return frames.answer(tokens(self._doorkeeper.log_in(asked, now_ms), now_ms), now_ms)
        if path in {answers.INSTRUMENT, answers.INSTRUMENTS}:
            return frames.answer(listed.instruments(self._backend, path, asked, now_ms), now_ms)
        if path == CURRENCIES:
            return frames.answer(listed.currencies(self._backend), now_ms)
        if path not in _LISTS:
            raise DeribitRefusal(-32601, "Method not found")
        given = {name.lower(): value for name, value in request.headers.items()}.get("authorization", "")
        body = request.body.decode(errors="replace")
        key = self._doorkeeper.authenticate(given, request.method, request.target, body, now_ms)
        limit = self._log_limit if path == answers.LOG else self._limit
        if limit.spend(key, now_ms):
            raise DeribitRefusal(10028, "too_many_requests", status=429)
        return AccountQuery(key, partial(self._list, _LISTS[path], path, asked))

    def _list(self, listed: "_List", path: str, asked: Query, account: AccountView) -> Reply:
        try:
            return Reply(frames.answer(listed(account, path, asked, self._backend), self._backend.clock_ms()))
        except DeribitRefusal as refused:
            return self._refused(refused)


class _Row(NamedTuple):
    """A row of a list, as it was sent, and its fields."""

    sent: Raw
    fields: Mapping[str, Any]

    @property
    def currency(self) -> str | None:
        """In which its instrument is settled."""
        return described(str(self.fields["instrument_name"])).settle


_List = Callable[[AccountView, str, Query, Backend], object]


def _balances(account: AccountView, _path: str, _asked: Query, _backend: Backend) -> object:
    return {"id": frames.USER_ID, "type": "main", "summaries": [_row(one).sent for one in account.balances()]}


def _balance(account: AccountView, _path: str, asked: Query, _backend: Backend) -> object:
    """The portfolio of one currency, of which there may be nothing."""
    rows = [_row(one) for one in account.balances()]
    nothing = {"currency": asked["currency"], "balance": 0, "equity": 0, "available_funds": 0}
    return next((one.sent for one in rows if one.fields["currency"] == asked["currency"]), nothing)


def _positions(account: AccountView, path: str, asked: Query, _backend: Backend) -> object:
    """Open positions, or the one of an instrument, which may be flat or never have been."""
    rows = [_row(one) for one in account.positions()]
    # A delivery that ended a position is an entry of the log.
    rows = [one for one in rows if "size" in one.fields]
    if path == answers.POSITIONS:
        wanted = asked.get("currency", "any")
        return [one.sent for one in rows if one.fields["size"] and wanted in {"any", one.currency}]
    symbol = asked["instrument_name"]
    flat = {"instrument_name": symbol, "direction": "zero", "size": 0, "average_price": 0}
    return next((one.sent for one in rows if one.fields["instrument_name"] == symbol), flat)


def _open_orders(account: AccountView, _path: str, asked: Query, _backend: Backend) -> object:
    rows = map(_row, account.open_orders())
    return [one.sent for one in rows if asked.get("currency") in {None, one.currency}]


def _one_order(account: AccountView, _path: str, asked: Query, _backend: Backend) -> object:
    state = account.order(asked["order_id"])
    row = None if state is None else _row(state)
    if row is None or row.fields.get("order_id") != asked["order_id"]:
        raise DeribitRefusal(10004, "order_not_found")
    return row.sent


def _ended_orders(account: AccountView, path: str, asked: Query, backend: Backend) -> object:
    """One half of the history: the recent one with those that were never filled, or the other one without."""
    is_historical = asked.get("historical") == "true"
    mine = (row for row in _closed(account, asked) if not _is_trigger(row))
    if is_historical:
        lag_ms = backend.clock_ms() - LAG_MS
        mine = (row for row in mine if row.fields["last_update_timestamp"] < lag_ms and row.fields["filled_amount"])
    else:
        since_ms = backend.retained_since_ms("orders", ORDERS_S, account.now_ms)
        unfilled = asked.get("include_unfilled") == "true"
        mine = (
            row
            for row in mine
            if row.fields["last_update_timestamp"] >= since_ms and (unfilled or row.fields["filled_amount"])
        )
    page, begins = _continued(mine, path, asked)
    return {"orders": page, "continuation": begins} if asked.get("with_continuation") == "true" else page


def _ended_triggers(account: AccountView, path: str, asked: Query, _backend: Backend) -> object:
    mine = (row for row in _closed(account, asked, trigger=True) if _is_trigger(row))
    page, begins = _continued(map(_as_trigger, mine), path, asked, key="trigger_order_id")
    return {"entries": page, "continuation": begins}


def _fills(account: AccountView, path: str, asked: Query, backend: Backend) -> object:
    since_ms, until_ms = _span(asked)
    if asked.get("historical") == "true":
        until_ms = min(until_ms, backend.clock_ms() - LAG_MS)
    else:
        since_ms = max(since_ms, backend.retained_since_ms("fills", FILLS_S, account.now_ms))
    is_ascending = asked.get("sorting") == "asc"
    entries = account.fills(Span(since_ms, until_ms + 1, oldest_first=is_ascending, hint=_hint(asked)))
    mine = (row for row in (_row(entry.state) for entry in entries) if row.currency == asked["currency"])
    count = _count(path, asked)
    page = [row.sent for row in islice(mine, count + 1)]
    return {"trades": page[:count], "has_more": len(page) > count}


def _log(account: AccountView, path: str, asked: Query, _backend: Backend) -> object:
    since_ms, until_ms = _span(asked)
    behind = number_in(asked.get("continuation", ""))
    # An entry of a simulated account can be two rows.
    hint = Hint(beyond=None if behind is None else behind // 2 + 1)
    entries = account.transactions(Span(since_ms, until_ms + 1, currency=asked["currency"], hint=hint))
    page, begins = _continued(_log_rows(entries), path, asked, key="id")
    return {"logs": page, "continuation": begins}


def _settlements(account: AccountView, path: str, asked: Query, _backend: Backend) -> object:
    """Settlements and deliveries, which are entries of the log, newest first."""
    kinds = {asked["type"]} if asked.get("type") else {SETTLEMENT, DELIVERY}
    rows = _log_rows(account.transactions(Span(currency=asked["currency"])))
    page, begins = _continued((row for row in rows if row.fields["type"] in kinds), path, asked, key="id")
    return {"settlements": [frames.settlement_row(_decode(one)) for one in page], "continuation": begins}


_LISTS: dict[str, _List] = {
    answers.BALANCES: _balances,
    answers.BALANCE: _balance,
    answers.POSITIONS: _positions,
    answers.POSITION: _positions,
    answers.OPEN_ORDERS: _open_orders,
    f"{answers.OPEN_ORDERS}_by_currency": _open_orders,
    answers.ORDER: _one_order,
    answers.ORDERS: _ended_orders,
    answers.TRIGGERS: _ended_triggers,
    answers.FILLS: _fills,
    answers.LOG: _log,
    answers.SETTLEMENTS: _settlements,
}


def _closed(account: AccountView, asked: Query, *, trigger: bool = False) -> Iterator[_Row]:
    """The orders of a currency that have ended, newest first."""
    behind = frames.number_of(asked.get("continuation", ""))
    # The last row of the page before it is where the page begins.
    hint = _hint(asked)._replace(trigger=trigger, beyond=None if trigger or behind is None else behind + 1)
    rows = (_row(entry.state) for entry in account.closed_orders(Span(until_ms=account.now_ms + 1, hint=hint)))
    return (row for row in rows if "instrument_name" in row.fields and row.currency == asked["currency"])


def _hint(asked: Query) -> Hint:
    """What belongs to another currency is left out."""
    return Hint(lambda terms: described(terms.symbol).settle == asked["currency"])


def _is_trigger(row: _Row) -> bool:
    """Whether it is a trigger order, which is in a list of its own."""
    return "filled_amount" not in row.fields


def _as_trigger(row: _Row) -> _Row:
    """A trigger order that ended without becoming another, as the history of trigger orders shows it."""
    order = row.fields
    if "trigger_order_id" in order:
        return row
    names = "label instrument_name direction order_type price amount post_only reduce_only trigger trigger_price"
    return _read_row(
        Raw(
            frames.encode(
                {
                    **{name: order.get(name) for name in names.split()},
                    "order_state": order["order_state"],
                    "trigger_order_id": order["order_id"],
                    "request": "cancel",
                    "timestamp": order["creation_timestamp"],
                    "last_update_timestamp": order["last_update_timestamp"],
                }
            )
        )
    )


def _span(asked: Query) -> tuple[int, int]:
    try:
        return int(asked["start_timestamp"]), int(asked["end_timestamp"])
    except ValueError:
        raise DeribitRefusal(-32602, "Invalid params", "start_timestamp") from None


def _count(path: str, asked: Query) -> int:
    usual, most = _PAGES[path]
    count = number_in(asked.get("count", ""))
    return usual if count is None else min(max(count, 1), most)


def _continued(rows: Iterable[_Row], path: str, asked: Query, key: str = "order_id") -> tuple[list[Raw], str | None]:
    """The newest rows, or those behind the one that `continuation` names; and where the next page begins."""
    behind, count = asked.get("continuation"), _count(path, asked)
    rest = iter(rows)
    if behind:
        for row in rest:
            if str(row.fields[key]) == behind:
                break
    page = list(islice(rest, count + 1))
    begins = str(page[count - 1].fields[key]) if len(page) > count else None
    return [row.sent for row in page[:count]], begins


def _log_rows(entries: Iterable[Entry]) -> Iterator[_Row]:
    """The rows of entries, each once, newest first.

    A frame has the rows of many entries if it was recorded, else those of one, of which all belong to it.
    """
    known: set[object] = set()
    for entry in entries:
        state = entry.state
        logs = [_read_row(one) for one in msgspec.json.decode(_result(state)["logs"], type=list[Raw])]
        for row in _of_entry(logs, state.item):
            if row.fields["id"] not in known:
                known.add(row.fields["id"])
                yield row


def _of_entry(logs: list[_Row], place: int) -> Iterator[_Row]:
    """The row that an update of a frame is of, and before it the settlement that followed at once."""
    updates = 0
    for row in logs:
        updates += _records_of(row)
        if updates > place:
            yield from (
                one
                for one in reversed(logs)
                if one.fields["id"] == row.fields["id"] or _settles(one.fields, row.fields)
            )
            return


def _settles(settlement: Mapping[str, Any], trade: Mapping[str, Any]) -> bool:
    """Whether an entry settles what a simulated trade has earned."""
    return settlement["type"] == "settlement" and settlement.get("info") == {"settles": trade["id"]}


def _row(state: SentState) -> _Row:
    """The row of a push or an answer that holds a record."""
    told = msgspec.json.decode(state.payload, type=dict[str, Raw])
    if "params" in told:
        data = msgspec.json.decode(told["params"], type=dict[str, Raw])["data"]
        found: Any = msgspec.json.decode(data, type=dict[str, Raw])
    else:
        found = _result(state)
    return _updated(_listed(found))[state.item]


def _updated(sent: list[Raw]) -> list[_Row]:
    """The row of each record that a frame makes. A combo's trade makes none, and an entry of the log may make two."""
    rows = map(_read_row, sent)
    return [row for row in rows for _ in range(_records_of(row))]


def _records_of(row: _Row) -> int:
    if "change" in row.fields:
        return len(log_entries(read_json(bytes(row.sent)), {}))
    return int(not row.fields.get("legs"))


def _listed(found: Any) -> list[Raw]:
    """The objects of a push or a result, in the order in which their records come."""
    if isinstance(found, list):
        return found
    places = ("summaries", "trades", "orders", "positions", "entries", "logs")
    lists = [msgspec.json.decode(found[name], type=list[Raw]) for name in places if found.get(name, _NULL) != _NULL]
    return [one for rows in lists for one in rows] if lists else [Raw(msgspec.json.encode(found))]


def _result(state: SentState) -> Any:
    """The result of an answer: a list, or the fields of an object; of an error, an object without any."""
    result = msgspec.json.decode(state.payload, type=dict[str, Raw]).get("result", Raw(b"{}"))
    return msgspec.json.decode(result, type=list[Raw] | dict[str, Raw])


def _read_row(sent: Raw) -> _Row:
    return _Row(sent, _decode(sent))
