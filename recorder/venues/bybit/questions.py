"""What to ask Bybit over REST, and what its answers mean for further requests. Pure.

Order and position lists are by category, and those of linear contracts by the coin that they settle in. Histories are
asked for in windows of at most seven days (`histories`).
Source: bybit-exchange.github.io/docs/v5 (Order, Position, Account, Rate Limit Rules, Error Codes).
"""

from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from recorder.clock import NS_PER_MS, utc_text
from recorder.errors import Refused, Undecodable
from recorder.venues.bybit import sign
from recorder.venues.bybit.answers import (
    ACCOUNT,
    BALANCES,
    INSTRUMENTS,
    KEY_PERMISSIONS,
    OPEN_ORDERS,
    ORDER_HISTORY,
    POSITIONS,
    TIME,
)
from recorder.venues.bybit.histories import (
    CANCELLED_MS,
    CATEGORIES,
    DAY_MS,
    DEMO,
    HISTORY_MS,
    LEDGER,
    WINDOW_MS,
    History,
    base_coins,
    histories,
    old_histories,
    option_executions,
    orders_kept_ms,
)
from recorder.venues.bybit.words import INVERSE, LINEAR, OPTION, SPOT, UNIFIED
from recorder.venues.paging import Orders, Pages, completed, day, pages, windows
from recorder.venues.rest import (
    Credentials,
    Forgotten,
    Known,
    Login,
    MakeRequest,
    OrderKey,
    Purpose,
    Questions,
    RestLimit,
    RestRequest,
    Unrecorded,
    Verdict,
    verdict_of,
)

T = TypeVar("T")

#: Of a user, for each path; the lowest of those asked for, that of the ledger. And of an address.
REST_LIMITS = (RestLimit(25, 1.0), RestLimit(600, 5.0, str))

#: Lists may lag behind the stream, and the clocks may differ.
MARGIN_MS = 60_000
#: For how long an order that has just ended may be in no list.
LAG_MS = 60_000
#: Seconds to wait after the address was refused for too many requests.
BANNED_S = 600.0

#: Instruments of a category that are asked for one by one. If there are more, the whole list is, of some 500 KB.
ONE_BY_ONE_MAX = 20

#: What positions and open orders are asked for by.
_LINEAR = tuple({"category": LINEAR, "settleCoin": coin} for coin in ("USDT", "USDC"))
_POSITIONS = (*_LINEAR, {"category": INVERSE}, {"category": OPTION})
_ORDERS = (*_POSITIONS, {"category": SPOT})

#: Account types of `/v5/account/info`: unified, version 2.
_UNIFIED = frozenset([5, 6])


def get(path: str, query: Mapping[str, str] | None = None, cursor: str = "") -> MakeRequest:
    """A signed GET request. A cursor comes percent-encoded, and goes back as it came."""
    pairs = [urlencode(query or {}), f"cursor={cursor}" if cursor else ""]
    text = "&".join(pair for pair in pairs if pair)

    def make(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
        address = f"{url}{path}?{text}" if text else f"{url}{path}"
        return RestRequest("GET", address, sign.headers(credentials["key"], credentials["secret"], text, now_ms))

    return make


def server_time(url: str) -> RestRequest:
    """The exchange's clock; unsigned."""
    return RestRequest("GET", f"{url}{TIME}", {})


class _Answer(msgspec.Struct):
    code: int = msgspec.field(name="retCode")
    message: str = msgspec.field(name="retMsg", default="")
    result: msgspec.Raw = msgspec.Raw()
    time: int | None = None


class _Key(msgspec.Struct):
    read_only: int = msgspec.field(name="readOnly", default=0)
    permissions: dict[str, list[str]] = {}
    expires: str = msgspec.field(name="expiredAt", default="")


class _Account(msgspec.Struct):
    unified: int = msgspec.field(name="unifiedMarginStatus")


_read = msgspec.json.Decoder(_Answer).decode


def server_time_ms(answer: bytes) -> int:
    """The exchange's clock, milliseconds since 1970."""
    read = _read(answer)
    if read.code != 0 or read.time is None:
        raise Undecodable(f"the answer to {TIME} has no time")
    return read.time


#: What the error codes of an answer mean; any other one is transient.
_CODES = {
    0: Verdict.ANSWER,
    10001: Verdict.GONE,  # a parameter is wrong
    10002: Verdict.REFUSED,  # the time is outside the window
    10003: Verdict.REFUSED,  # the key is not known
    10004: Verdict.REFUSED,  # the signature is wrong
    10005: Verdict.GONE,  # the key may not ask this
    10006: Verdict.WAIT,  # too many requests
    10010: Verdict.REFUSED,  # the key is bound to other addresses
    10024: Verdict.REFUSED,  # compliance
    10027: Verdict.REFUSED,  # banned
    10028: Verdict.REFUSED,  # not a unified account
    10029: Verdict.GONE,  # the symbol is not allowed
    33004: Verdict.REFUSED,  # the key has expired
    -2015: Verdict.REFUSED,  # the same
    100028: Verdict.GONE,  # not for unified accounts, and no other one is recorded
    110001: Verdict.GONE,  # there is no such order
    170213: Verdict.GONE,  # there is no such order
}


def classify(status: int, body: bytes) -> Verdict:
    """Classify an HTTP answer. Errors usually have the HTTP status 200 and a code in the body."""
    return verdict_of(status, body, lambda _status, body: _CODES.get(_read(body).code))


def wait_s(status: int, headers: Mapping[str, str], _body: bytes, now_ms: int) -> float:
    """Until the limit of the user and path is reset; ten minutes where the address was refused."""
    if status == 403:
        return BANNED_S
    reset = headers.get("x-bapi-limit-reset-timestamp", "")
    reset_ms = int(reset) if reset.isascii() and reset.isdigit() and len(reset) < 16 else 0
    return min(max((reset_ms - now_ms) / 1000, 0.0), BANNED_S)


def check(_login: Login) -> Unrecorded[tuple[str, ...]]:
    """What the key may do, and whether the account is one that is recorded completely."""
    warnings: list[str] = []
    account = _account((yield get(ACCOUNT)))
    if account is None:
        warnings.append("the exchange does not say what kind of account this is; only unified accounts are recorded")
    elif account.unified not in _UNIFIED:
        raise Refused(
            f"This is not a unified account of version 2 (unifiedMarginStatus {account.unified}), so a part of it "
            "would not be recorded; upgrade it at the exchange."
        )
    key = _key((yield get(KEY_PERMISSIONS)))
    if key is None:
        warnings.append("the exchange does not say what the key may do")
    elif not key.read_only:
        can = "trade and withdraw" if "Withdraw" in key.permissions.get("Wallet", ()) else "trade"
        warnings.append(f"the key can {can}; recording needs a read-only key: make one and use it instead")
    if key is not None and key.expires:
        warnings.append(f"the key expires at {key.expires}; bind it to an address to keep it longer")
    return tuple(warnings)


def _account(body: bytes) -> _Account | None:
    return _result(body, msgspec.json.Decoder(_Account))


def _key(body: bytes) -> _Key | None:
    return _result(body, msgspec.json.Decoder(_Key))


def _result(body: bytes, result: msgspec.json.Decoder[T]) -> T | None:
    """The result of an answer; None if it is an error, or something else."""
    try:
        read = _read(body)
        return result.decode(read.result) if read.code == 0 else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def questions(purpose: Purpose, known: Known) -> Questions:
    """What to ask for a purpose."""
    match purpose:
        case Purpose.SNAPSHOT:
            return _snapshot(Orders())
        case Purpose.RECONCILE:
            return _reconcile(known)
        case Purpose.REGULAR:
            return _regular(known)
        case Purpose.INSTRUMENTS:
            return _instruments(known)
        case Purpose.BACKFILL:
            return _backfill(known)


def _snapshot(found: Orders) -> Questions:
    yield from _list("balances", BALANCES, {"accountType": UNIFIED}, "wallet")
    for query in _POSITIONS:
        yield from _list(f"positions of {_name(query)}", POSITIONS, {**query, "limit": "200"}, "position")
    for query in _ORDERS:
        yield from _list(f"open orders of {_name(query)}", OPEN_ORDERS, {**query, "limit": "50"}, "order", found)
    return None


def _reconcile(known: Known) -> Questions:
    found = Orders()
    yield from _snapshot(found)
    if known.since_ms is None:
        return None
    begin_ms = max(known.since_ms - MARGIN_MS, known.now_ms - HISTORY_MS)
    if begin_ms > known.since_ms:
        yield Forgotten(f"everything before {day(begin_ms)}", "the exchange keeps two years")
    cancelled_ms = known.now_ms - CANCELLED_MS
    if known.since_ms < cancelled_ms:
        before = utc_text(cancelled_ms * NS_PER_MS)
        reason = "the exchange keeps orders without a fill for 24 hours"
        yield Forgotten(f"orders cancelled before {before}", reason, "order")
    kept_ms = known.now_ms - orders_kept_ms(known.environment)
    if known.environment == DEMO and known.since_ms < kept_ms:
        before = utc_text(kept_ms * NS_PER_MS)
        yield Forgotten(f"orders before {before}", "the exchange keeps orders of demo trading for seven days", "order")
    asked = list(windows(begin_ms, known.now_ms + MARGIN_MS, WINDOW_MS))
    for window in asked:
        for history in histories(known.environment):
            yield from _history(history, window, found)
    # Last, because a coin may have been traded for the first time: its orders say so.
    for history in option_executions(_coins(known) | base_coins(found.symbols_of(OPTION))):
        for window in asked:
            yield from _history(history, window, found)
    is_recent = known.since_ms > known.now_ms - LAG_MS
    for order in known.unfinished:
        if not found.has(order):
            yield from _one_order(known, order, is_recent, found)
    # A list of positions leaves out those that are flat; the answer about a symbol does not.
    for market, symbol in sorted({(one.market, one.symbol) for one in known.positions if one.market and one.symbol}):
        query = {"category": str(market), "symbol": str(symbol)}
        yield from _list(f"position of {_name(query)}", POSITIONS, query, "position")
    return None


def _regular(known: Known) -> Questions:
    begin_ms = known.now_ms - WINDOW_MS if known.since_ms is None else known.since_ms
    for window in windows(max(begin_ms, known.now_ms - HISTORY_MS), known.now_ms + MARGIN_MS, WINDOW_MS):
        yield from _history(LEDGER, window, Orders())
    return None


def _instruments(known: Known) -> Questions:
    for category in CATEGORIES:
        symbols = sorted(one.symbol for one in known.instruments if one.market == category and one.symbol)
        asked: list[dict[str, str]] = [{"symbol": symbol} for symbol in symbols]
        if len(symbols) > ONE_BY_ONE_MAX:
            coins = sorted(base_coins(symbols))
            by_coin: list[dict[str, str]] = [{"baseCoin": coin} for coin in coins] if category == OPTION else [{}]
            asked = [{**one, "limit": "1000"} for one in by_coin]
        for one in asked:
            query = {"category": category, **one}
            yield from _list(f"instruments: {_name(query)}", INSTRUMENTS, query, "instruments")
    return None


def _backfill(known: Known) -> Questions:
    until_ms = (known.now_ms if known.until_ms is None else known.until_ms) + MARGIN_MS
    weeks = list(windows(max(known.since_ms or 0, known.now_ms - HISTORY_MS), until_ms, WINDOW_MS, aligned=True))
    coins = _coins(known)
    for week in weeks:
        found = Orders()
        for history in (*histories(known.environment), LEDGER):
            yield from _week(known, history, week, found)
        coins |= base_coins(found.symbols_of(OPTION))
    for week in weeks:
        for history in option_executions(coins):
            yield from _week(known, history, week, Orders())
    # Last: whatever the exchange says of them costs nothing else. Accounts for demo trading never were another kind.
    if known.environment != DEMO:
        yield from _before_upgrade(known, weeks, coins)
    return None


def _coins(known: Known) -> set[str]:
    """The base coins of the options that the record knows."""
    return base_coins(one.symbol for one in known.instruments if one.market == OPTION and one.symbol)


def _before_upgrade(known: Known, weeks: list[tuple[int, int]], coins: set[str]) -> Questions:
    """What was before the account was upgraded to a unified one, if it ever was another kind.

    A list that has no answer is not asked for again in this round.
    """
    unanswered: set[str] = set()
    for week in weeks:
        for history in old_histories(known, coins):
            if history.name not in unanswered and not (yield from _week(known, history, week, Orders())):
                unanswered.add(history.name)
        subject = f"all of before an upgrade, week of {day(week[0])}"
        if not unanswered and subject not in known.done:
            asked = max(week[0], known.now_ms - HISTORY_MS), week[1]
            is_past = week[1] < known.now_ms - DAY_MS
            yield completed(subject, "what was before a unified account", asked, known.now_ms, is_past=is_past)
    return None


def _week(known: Known, history: History, week: tuple[int, int], found: Orders) -> Pages:
    """A week of a history, unless it is known or forgotten already. Returns whether nothing of it is left to ask for.

    It is asked for whole, even if less of it is wanted, because its subject says that all of it is known. The exchange
    refuses one that begins before what it keeps.
    """
    subject = f"{history.name}, week of {day(week[0])}"
    if subject in known.done or week[1] <= known.now_ms - history.kept_ms:
        return True
    asked = max(week[0], known.now_ms - history.kept_ms), week[1]
    is_complete = yield from _history(history, asked, found, subject)
    if is_complete:
        yield completed(subject, history.kept, asked, known.now_ms, is_past=week[1] < known.now_ms - DAY_MS)
    return is_complete


def _history(history: History, window: tuple[int, int], found: Orders, subject: str = "") -> Pages:
    named = subject or f"{history.name} since {utc_text(window[0] * NS_PER_MS)}"
    return (yield from _list(named, history.path, {**history.query, **_times(window)}, history.topic, found))


def _one_order(known: Known, order: OrderKey, is_recent: bool, found: Orders) -> Questions:
    """Ask for an order that no list had.

    If it is not in the history of its symbol either, the exchange no longer knows it (`answers.decode_answer`). An
    order that has just ended can be in neither list for some seconds: then its symbol is not named.

    Without times the history is that of the last seven days, and nobody says whether by the beginning or by the end of
    an order. The exchange remembers an order with a fill, so such a one is looked for further back first, and has not
    ended while one of these questions has no answer.
    """
    if order.market is not None:
        categories: tuple[str, ...] = (order.market,)
    else:
        # Ids of spot orders are numbers, all others are not.
        categories = (SPOT,) if order.order_id.isdigit() else (LINEAR, INVERSE, OPTION)
    is_filled = known.unfinished[order] > 0 or order.order_id in found.filled
    until_ms = known.now_ms + MARGIN_MS
    begin_ms = known.now_ms - orders_kept_ms(known.environment)
    weeks = list(windows(begin_ms, until_ms, WINDOW_MS)) if is_filled and not is_recent else []
    for category in categories:
        one, can_end = {"category": category, "orderId": order.order_id}, not is_recent
        asked = [(ORDER_HISTORY, {**one, **_times(week)}) for week in reversed(weeks)]
        for path, query in ((OPEN_ORDERS, one), *asked):
            can_end &= yield from _list(f"order {order.order_id}", path, query, "order", found)
            if found.has(order):
                return None
        symbol = {"symbol": order.symbol} if order.symbol and can_end else {}
        yield from _list(f"order {order.order_id}", ORDER_HISTORY, {**one, **symbol}, "order", found)
        if found.has(order):
            return None
    return None


def _times(window: tuple[int, int]) -> dict[str, str]:
    begin_ms, end_ms = window
    return {"startTime": str(begin_ms), "endTime": str(end_ms)}


def _list(subject: str, path: str, query: Mapping[str, str], topic: str, found: Orders | None = None) -> Pages:
    take = (found or Orders()).take
    return (yield from pages(subject, lambda cursor: get(path, query, cursor), topic=topic, take=take))


def _name(query: Mapping[str, str]) -> str:
    return " ".join(query.values())
