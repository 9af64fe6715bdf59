"""What to ask Binance spot over REST, and what its answers mean for further requests. Pure.

Orders and fills are listed by symbol only: by the symbols that a configuration names, those that the record knows, and
those of open orders. Lists are oldest first, and a period is at most a day. Orders that ended without a fill are
archived after 90 days. Money that comes and goes is pushed and in no list that says it in the same way.
Source: developers.binance.com/docs/binance-spot-api-docs, "REST API", "Errors"; "Wallet", "Get API Key Permission".
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from urllib.parse import urlencode

import msgspec

from recorder.clock import NS_PER_MS, utc_text
from recorder.errors import Refused, Undecodable
from recorder.model import AccountUpdate, FillUpdate, OrderUpdate, Update
from recorder.venues.binance_spot import answers, sign
from recorder.venues.paging import Orders, Pages, pages, windows
from recorder.venues.rest import (
    Completed,
    Credentials,
    Forgotten,
    Known,
    Login,
    MakeRequest,
    Purpose,
    Question,
    Questions,
    RestLimit,
    RestRequest,
    Unrecorded,
    Verdict,
    read_json,
    verdict_of,
)

#: Weight of an address in a minute.
REST_LIMITS = (RestLimit(6_000, 60.0, str),)
_COSTS = {
    answers.ACCOUNT: 20,
    answers.OPEN_ORDERS: 80,
    answers.ORDER: 4,
    answers.ORDERS: 20,
    answers.TRADES: 20,
    answers.INSTRUMENTS: 20,
}

DAY_MS = 86_400_000
#: The longest period that a history may be asked for.
WINDOW_MS = DAY_MS
#: For how long orders that ended without a fill can be asked for.
CANCELLED_MS = 90 * DAY_MS
#: Lists may lag behind the stream, and the clocks may differ.
MARGIN_MS = 60_000
#: When the exchange opened, 14 July 2017: there is nothing older.
BEGAN_MS = 1_499_990_400_000
#: Symbols in one question about what they mean.
SYMBOLS_MAX = 100

_LIMIT = {"limit": str(answers.PAGE_ROWS)}


def get(path: str, query: Mapping[str, str] | None = None) -> MakeRequest:
    """A signed GET request."""
    text = urlencode(query or {})

    def make(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
        signed = sign.signed(credentials["secret"], text, now_ms)
        return RestRequest("GET", _address(url, path, text), {sign.KEY: credentials["key"]}, signed=signed)

    return make


def get_public(path: str, query: Mapping[str, str]) -> MakeRequest:
    """A GET request without a key."""
    text = urlencode(query)
    return lambda url, _credentials, _now_ms: RestRequest("GET", _address(url, path, text), {})


def _address(url: str, path: str, query: str) -> str:
    return f"{url}{path}?{query}" if query else f"{url}{path}"


def server_time(url: str) -> RestRequest:
    """The exchange's clock; unsigned."""
    return RestRequest("GET", f"{url}{answers.TIME}", {})


class _Time(msgspec.Struct):
    at_ms: int = msgspec.field(name="serverTime")


class _Error(msgspec.Struct):
    code: int


_read_time = msgspec.json.Decoder(_Time).decode
_read_error = msgspec.json.Decoder(_Error).decode
_read_rights = msgspec.json.Decoder(dict[str, bool | int]).decode


def server_time_ms(answer: bytes) -> int:
    """The exchange's clock, milliseconds since 1970. Raises one of `errors.UNREADABLE` if the answer has none."""
    return _read_time(answer).at_ms


#: What error codes mean, whatever the HTTP status; any other one means what its status means.
_CODES = {
    **dict.fromkeys((-1002, -1021, -1022, -2014, -2015), Verdict.REFUSED),
    -1003: Verdict.WAIT,  # too many requests
    **dict.fromkeys((-1000, -1001, -1006, -1007, -1008), Verdict.TRANSIENT),
    **dict.fromkeys((-1100, -1101, -1102, -1103, -1104, -1105, -1106, -1127, -1128, -1130), Verdict.GONE),  # parameters
    -1121: Verdict.GONE,  # there is no such symbol
    -2013: Verdict.GONE,  # there is no such order
    -2026: Verdict.GONE,  # the order is archived
}


def classify(status: int, body: bytes) -> Verdict:
    """Classify an HTTP answer. Errors have a code in the body."""
    return verdict_of(status, body, _said)


def _said(status: int, body: bytes) -> Verdict | None:
    if status == 200:
        return read_json(status, body)
    code = _read_error(body).code
    if code > 0:
        raise Undecodable("the exchange's own codes are negative, or 0")
    return _CODES.get(code)


#: Right of a key → what it can do with it.
_RIGHTS = {
    "enableWithdrawals": "withdraw",
    "enableInternalTransfer": "transfer",
    "permitsUniversalTransfer": "transfer",
    "enableSpotAndMarginTrading": "trade",
    "enableMargin": "trade",
    "enableFutures": "trade",
    "enableVanillaOptions": "trade",
    "enablePortfolioMarginTrading": "trade",
    "enableFixApiTrade": "trade",
}
#: Hosts that cannot say what a key may do.
MADE_UP_MONEY = frozenset(["https://testnet.binance.vision", "https://demo-api.binance.com"])


def check(login: Login) -> Unrecorded[tuple[str, ...]]:
    """What the key may do. With made-up money it does not matter, and nothing says it."""
    if login.url in MADE_UP_MONEY:
        yield get(answers.ACCOUNT, {"omitZeroBalances": "true"})
        return ()
    body = yield get(answers.RIGHTS)
    try:
        rights = _read_rights(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ("the exchange does not say what the key may do",)
    if rights.get("enableReading") is False:
        raise Refused("The key may not read; enable reading for it at the exchange.")
    can = sorted({can for right, can in _RIGHTS.items() if rights.get(right)})
    if not can:
        return ()
    return (f"the key can {' and '.join(can)}; recording needs a read-only key: make one and use it instead",)


def questions(purpose: Purpose, known: Known) -> Questions:
    """What to ask for a purpose."""
    match purpose:
        case Purpose.SNAPSHOT:
            return _snapshot(Traded(known))
        case Purpose.RECONCILE:
            return _reconcile(known)
        case Purpose.REGULAR:
            return _nothing()
        case Purpose.INSTRUMENTS:
            return _instruments(known)
        case Purpose.BACKFILL:
            return _backfill(known)


def _nothing() -> Questions:
    """There is no ledger, and everything else is pushed."""
    yield from ()
    return None


class Traded(Orders):
    """The symbols that lists are asked for by, and the orders in the answers of a round."""

    def __init__(self, known: Known) -> None:
        super().__init__()
        self._symbols = set(known.symbols)
        for traded in (known.instruments, known.unfinished):
            self._symbols.update(one.symbol for one in traded if one.symbol)

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols so far."""
        return sorted(self._symbols)

    def take(self, updates: Sequence[Update]) -> None:
        """Note the orders of an answer, and their symbols."""
        super().take(updates)
        self._symbols.update(one.symbol for one in updates if isinstance(one, OrderUpdate) and one.symbol)


def _snapshot(found: Traded, spent: Collection[tuple[str | None, ...]] = ()) -> Questions:
    """The current state; with zeros, if one of these balances (currency first) may have been spent."""
    answer = yield _question("balances", answers.ACCOUNT, {"omitZeroBalances": "true"}, "outboundAccountPosition")
    listed = () if answer is None else (one.currency for one in answer.updates if isinstance(one, AccountUpdate))
    if answer is not None and not {of[0] for of in spent} <= set(listed):
        yield _question("balances of zero", answers.ACCOUNT, {}, "outboundAccountPosition")
    answer = yield _question("open orders", answers.OPEN_ORDERS, {}, "executionReport")
    if answer is not None:
        found.take(answer.updates)
    return None


def _reconcile(known: Known) -> Questions:
    found = Traded(known)
    yield from _snapshot(found, known.balances)
    if known.since_ms is None:
        return None
    begin_ms = known.since_ms - MARGIN_MS
    since = utc_text(known.since_ms * NS_PER_MS)
    reason = "the exchange pushes them, and has no list of all of them"
    yield Forgotten(f"deposits, withdrawals and transfers since {since}", reason, "balanceUpdate")
    unnamed = f"orders and fills since {since} of symbols that neither `symbols` nor the record names"
    yield Forgotten(unnamed, "the exchange lists them by symbol only", "executionReport")
    cancelled_ms = known.now_ms - CANCELLED_MS
    if known.since_ms < cancelled_ms:
        before = utc_text(cancelled_ms * NS_PER_MS)
        yield Forgotten(
            f"orders cancelled before {before}",
            "the exchange archives orders without a fill after 90 days",
            "executionReport",
        )
    for symbol in found.symbols:
        for window in windows(begin_ms, known.now_ms + MARGIN_MS, WINDOW_MS):
            yield from _window("orders", symbol, answers.ORDERS, window, found)
            yield from _window("fills", symbol, answers.TRADES, window, found)
    for order in known.unfinished:
        if order.symbol and not found.has(order):
            query = {"symbol": order.symbol, "orderId": order.order_id}
            yield _question(f"order {order.order_id} of {order.symbol}", answers.ORDER, query, "executionReport")
    return None


def _window(name: str, symbol: str, path: str, window: tuple[int, int], found: Traded) -> Pages:
    begin_ms, end_ms = window

    def page(at: str) -> MakeRequest:
        return get(path, {"symbol": symbol, "startTime": at or str(begin_ms), "endTime": str(end_ms), **_LIMIT})

    subject = f"{name} of {symbol} since {utc_text(begin_ms * NS_PER_MS)}"
    crowd = partial(_trades_at, symbol) if path == answers.TRADES else None
    asked = pages(
        subject, page, topic="executionReport", cost=_COSTS[path], take=found.take, crowd=crowd, end_ms=end_ms
    )
    return (yield from asked)


def _trades_at(symbol: str, at: str, updates: Sequence[Update]) -> Pages:
    """Ask by their ids for the rest of a symbol's fills of a millisecond, of which there may be more than a page."""
    ids = [int(one.trade_id) for one in updates if isinstance(one, FillUpdate) and one.trade_id]

    def is_later(updates: Sequence[Update]) -> bool:
        return any((one.executed_ms or 0) > int(at) for one in updates if isinstance(one, FillUpdate))

    subject = f"fills of {symbol} of {utc_text(int(at) * NS_PER_MS)}"
    return (yield from _by_ids(subject, symbol, answers.TRADES, "fromId", str(max(ids, default=0)), is_later))


def _instruments(known: Known) -> Questions:
    symbols = sorted({*known.symbols, *(one.symbol for one in known.instruments if one.symbol)})
    for start in range(0, len(symbols), SYMBOLS_MAX):
        some = symbols[start : start + SYMBOLS_MAX]
        asked = msgspec.json.encode(some).decode()
        request = get_public(answers.INSTRUMENTS, {"symbols": asked})
        named = some[0] if len(some) == 1 else f"{some[0]} to {some[-1]}"
        yield Question(f"instruments: {named}", request, "instruments", _COSTS[answers.INSTRUMENTS])
    return None


def _backfill(known: Known) -> Questions:
    """The lists go back to the first order of a symbol: by ids, it takes one request for each thousand rows."""
    until_ms = known.now_ms if known.until_ms is None else known.until_ms
    for symbol in Traded(known).symbols:
        # Orders that ended without a fill are missing if they are old.
        for kept, path, by in (("orders with fills", answers.ORDERS, "orderId"), ("fills", answers.TRADES, "fromId")):
            subject = f"{'fills' if path == answers.TRADES else 'orders'} of {symbol}"
            if subject not in known.done and (yield from _by_ids(subject, symbol, path, by)):
                yield Completed(subject, f"{kept} of {symbol}", BEGAN_MS, until_ms + 1)
    return None


def _by_ids(
    subject: str,
    symbol: str,
    path: str,
    by: str,
    begin: str = "0",
    is_enough: Callable[[Sequence[Update]], bool] = lambda updates: False,
) -> Pages:
    def page(first: str) -> MakeRequest:
        return get(path, {"symbol": symbol, by: first or begin, **_LIMIT})

    return (yield from pages(subject, page, topic="executionReport", cost=_COSTS[path], is_enough=is_enough))


def _question(subject: str, path: str, query: Mapping[str, str], topic: str) -> Question:
    return Question(subject, get(path, query), topic, _COSTS[path])
