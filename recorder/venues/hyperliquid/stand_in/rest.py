"""The exchange's side of REST: `POST /info`, told apart by `type` in the body. Pure.

Every account is public; of an unknown address every answer is empty. Source: hyperliquid.gitbook.io, "Info endpoint",
"Rate limits and user limits".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from recorder.venues.hyperliquid.portal import PATH as SOCKET
from recorder.venues.hyperliquid.questions import FILLS_MAX, ORDERS_MAX, PATH
from recorder.venues.hyperliquid.rest import FILLS_PER_PAGE, LEDGER_PER_PAGE
from recorder.venues.hyperliquid.stand_in import frames
from recorder.venues.limits import RateLimit
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Reply, Request
from recorder.venues.view import NEVER_MS, AccountView, Entry, SentState, Span

#: Weight of an address in a minute; of a request, by its type; a list costs one more for each 20 rows.
WEIGHT_MAX, WINDOW_MS = 1_200, 60_000
_WEIGHTS = dict.fromkeys(["exchangeStatus", "clearinghouseState", "spotClearinghouseState", "orderStatus"], 2)
_WEIGHTS["userRole"] = 60
_WEIGHT = 20
_ROWS_PER_WEIGHT = 20

#: The mode of every account: perpetual exchanges and spot have money of their own.
ABSTRACTION = "disabled"

Asked = Mapping[str, Any]


class HyperliquidRequestHandler:
    """Implements `recorder.venues.stand_in.RequestHandler`, which documents the methods."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._limit = RateLimit(WEIGHT_MAX, WINDOW_MS)

    def handle(self, request: Request) -> bytes | Reply | AccountQuery | PortalAccess:
        """Decide how to answer one request, or refuse it."""
        path, _, query = request.target.partition("?")
        if path == SOCKET:
            return PortalAccess(None, dict(parse_qsl(query)), path)
        if path != PATH or request.method != "POST":
            raise HttpError(404, "")
        try:
            asked = msgspec.json.decode(request.body)
            kind = asked["type"]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
            raise _unreadable() from None
        times = [asked.get(name) for name in ("startTime", "endTime")]
        if type(kind) is not str or any(type(at_ms) not in {int, type(None)} for at_ms in times):
            raise _unreadable()
        now_ms = self._backend.clock_ms()
        if self._limit.spend(request.peer, now_ms, _WEIGHTS.get(kind, _WEIGHT)):
            raise HttpError(429, "null")
        if kind in _PUBLIC:
            return frames.encode(_PUBLIC[kind](self._backend))
        user = str(asked.get("user", ""))
        key = next((one for one in (user, user.lower()) if self._backend.secret_of(one) is not None), None)
        if kind == "userRole":
            return frames.encode({"role": "missing" if key is None else "user"})
        if kind == "userAbstraction":
            return frames.encode("default" if key is None else ABSTRACTION)
        if kind not in _ANSWERS:
            raise _unreadable()
        read, nothing = _ANSWERS[kind]
        if key is None:
            return frames.encode(nothing)
        return AccountQuery(key, partial(self._answer, read, asked, request.peer))

    def error_body(self, error: HttpError) -> bytes:
        """Words."""
        return error.message.encode()

    def _answer(self, read: "_Read", asked: Asked, peer: str, account: AccountView) -> bytes:
        found = read(account, asked)
        if isinstance(found, list):
            self._limit.spend(peer, self._backend.clock_ms(), len(found) // _ROWS_PER_WEIGHT)
        return frames.encode(found)


_Read = Callable[[AccountView, Asked], Any]


def _unreadable() -> HttpError:
    return HttpError(422, "Failed to deserialize the JSON body into the target type")


def _margin_state(account: AccountView, asked: Asked) -> Any:
    if asked.get("dex"):
        return frames.margin_state(None, (), account.now_ms)
    for state in account.balances():
        found = _margin_of(state)
        if found is not None:
            # Whatever frame has the balance lists all positions, too.
            return {**found, "time": account.now_ms}
    return frames.margin_state(None, (), account.now_ms)


def _margin_of(state: SentState) -> Any:
    """The state of the main perpetual exchange in a frame; None if the frame is about something else."""
    frame = msgspec.json.decode(state.payload)
    if "channel" not in frame:
        return frame if "marginSummary" in frame else None
    states = frame["data"].get("clearinghouseStates", [])
    return next((one for dex, one in states if not dex), None)


def _spot_state(account: AccountView, _asked: Asked) -> Any:
    return {"balances": [one for state in account.balances() if (one := _token_of(state)) is not None]}


def _token_of(state: SentState) -> Any:
    frame = msgspec.json.decode(state.payload)
    spot = frame["data"].get("spotState", {}) if "channel" in frame else frame
    tokens = spot.get("balances", [])
    return tokens[min(state.item, len(tokens) - 1)] if tokens else None


def _open_orders(account: AccountView, asked: Asked) -> Any:
    return [] if asked.get("dex") else [_order_of(one)["order"] for one in account.open_orders()]


def _historical_orders(account: AccountView, _asked: Asked) -> Any:
    closed = (_order_of(one.state) for one in islice(account.closed_orders(Span()), ORDERS_MAX))
    found = [*map(_order_of, account.open_orders()), *closed]
    return sorted(found, key=lambda one: -int(one["statusTimestamp"]))[:ORDERS_MAX]


def _order_status(account: AccountView, asked: Asked) -> Any:
    state = account.order(str(asked.get("oid")))
    return {"status": "unknownOid"} if state is None else {"status": "order", "order": _order_of(state)}


def _order_of(state: SentState) -> Any:
    """An order with its status, from whatever frame holds it."""
    frame = msgspec.json.decode(state.payload)
    if "channel" in frame:
        rows = frame["data"]["orders"] if frame["channel"] == "openOrders" else frame["data"]
        row = rows[state.item]
    elif isinstance(frame, list):
        row = frame[state.item]
    else:
        row = frame["order"]
    return row if "order" in row else {"order": row, "status": "open", "statusTimestamp": row["timestamp"]}


def _fills(account: AccountView, asked: Asked) -> Any:
    """The newest fills, newest first."""
    return [_row(one.state) for one in islice(account.fills(Span()), FILLS_PER_PAGE)]


def _fills_by_time(account: AccountView, asked: Asked) -> Any:
    """The fills of a period, oldest first; only the newest are remembered."""
    remembered = list(islice(account.fills(Span()), FILLS_MAX))
    since_ms, until_ms = _period(asked)
    rows = (_row(one.state) for one in reversed(remembered) if since_ms <= one.at_ms < until_ms)
    return list(islice(rows, FILLS_PER_PAGE))


def _payments(account: AccountView, asked: Asked) -> Any:
    return _ledger_rows(account, asked, lambda row: row["delta"]["type"] == "funding")


def _ledger(account: AccountView, asked: Asked) -> Any:
    return _ledger_rows(account, asked, lambda row: row["delta"]["type"] != "funding")


def _ledger_rows(account: AccountView, asked: Asked, is_wanted: Callable[[Any], bool]) -> Any:
    since_ms, until_ms = _period(asked)
    entries = account.transactions(Span(since_ms=since_ms, until_ms=until_ms, oldest_first=True))
    rows = (row for row in _each_once(entries) if is_wanted(row))
    return list(islice(rows, LEDGER_PER_PAGE))


def _each_once(entries: Iterable[Entry]) -> Iterator[Any]:
    """The rows of the entries. A frame can have several rows, and a row can be two entries: one of each wallet."""
    seen: set[bytes] = set()
    for one in entries:
        for row in _rows(one.state):
            key = frames.encode([row["time"], row["delta"]])
            if row["time"] == one.at_ms and key not in seen:
                seen.add(key)
                yield row


def _period(asked: Asked) -> tuple[int, int]:
    """Beginning and end; both of the request are included."""
    end = asked.get("endTime")
    return asked.get("startTime") or 0, NEVER_MS if end is None else end + 1


def _row(state: SentState) -> Any:
    return _rows(state)[state.item]


def _rows(state: SentState) -> list[Any]:
    """The rows of a push or an answer with fills, payments or the ledger, as answers have them."""
    frame = msgspec.json.decode(state.payload)
    if isinstance(frame, list):
        return frame
    data = frame["data"]
    if "fundings" in data:
        return [
            {"time": one["time"], "hash": "", "delta": {"type": "funding", **_without_time(one)}}
            for one in data["fundings"]
        ]
    rows: list[Any] = data.get("fills", data.get("nonFundingLedgerUpdates", []))
    return rows


def _without_time(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "time"}


def _nothing(_account: AccountView, _asked: Asked) -> Any:
    return []


_EMPTY_STATE = frames.margin_state(None, (), 0)

#: Type → how it is answered, and the answer for an unknown address.
_ANSWERS: dict[str, tuple[_Read, Any]] = {
    "clearinghouseState": (_margin_state, _EMPTY_STATE),
    "spotClearinghouseState": (_spot_state, {"balances": []}),
    "openOrders": (_open_orders, []),
    "frontendOpenOrders": (_open_orders, []),
    "historicalOrders": (_historical_orders, []),
    "orderStatus": (_order_status, {"status": "unknownOid"}),
    "userFills": (_fills, []),
    "userFillsByTime": (_fills_by_time, []),
    "userTwapSliceFills": (_nothing, []),
    "userTwapSliceFillsByTime": (_nothing, []),
    "userFunding": (_payments, []),
    "userNonFundingLedgerUpdates": (_ledger, []),
    "extraAgents": (_nothing, []),
}


def _described(backend: Backend, kind: str) -> list[Any]:
    """The instruments of a kind, and what is traded beside each: by their terms, or the newest recorded answer."""
    target = f'POST {PATH} {{"type":"{kind}"}}'
    recorded = next((one for one in reversed(backend.instruments) if one.topic == target), None)
    if recorded is not None:
        universe = msgspec.json.decode(recorded.payload)["universe"]
        return [msgspec.Raw(recorded.payload), [frames.context(kind == "spotMeta")] * len(universe)]
    if kind == "meta":
        return [frames.perpetuals(backend.terms), frames.contexts(backend.terms, "linear")]
    return [frames.pairs(backend.terms), frames.contexts(backend.terms, "spot")]


#: Type → the answer that depends on no account.
_PUBLIC: dict[str, Callable[[Backend], Any]] = {
    "exchangeStatus": lambda backend: {"specialStatuses": None, "time": backend.clock_ms()},
    "meta": lambda backend: _described(backend, "meta")[0],
    "metaAndAssetCtxs": lambda backend: _described(backend, "meta"),
    "allPerpMetas": lambda backend: [_described(backend, "meta")[0]],
    "spotMeta": lambda backend: _described(backend, "spotMeta")[0],
    "spotMetaAndAssetCtxs": lambda backend: _described(backend, "spotMeta"),
    "perpDexs": lambda _backend: [None],
}
