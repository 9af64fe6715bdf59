"""What to ask Bitget over REST, and what its answers mean for further requests. Pure.

Most lists are by product line, newest first, in pages that continue with a cursor. Histories reach back 90 days, and a
request may span 30. Source: bitget.com/docs/uta, "Trade", "Account", "Position", "Error Code", "Rate Limits".
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from recorder.clock import NS_PER_MS, utc_text
from recorder.errors import Undecodable
from recorder.model import AccountUpdate
from recorder.venues.bitget import answers, sign
from recorder.venues.bitget.words import CATEGORIES, FUNDING, FUTURES, UNIFIED
from recorder.venues.paging import Orders, Pages, completed, day, pages, windows
from recorder.venues.rest import (
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
    verdict_of,
)

#: Each path has a limit of its own for a user, 20 requests a second. One limit keeps them all, with room for requests
#: that arrive closer together than they were sent. And an address may send 6,000 a minute.
REST_LIMITS = (RestLimit(15, 1.0), RestLimit(6_000, 60.0, str))

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: How far back histories reach. A request from before that is refused as a whole, so it begins a little later.
KEPT_MS = 90 * DAY_MS
HISTORY_MS = KEPT_MS - HOUR_MS
#: The longest span of a request, and what is backfilled by one.
SPAN_MS = 30 * DAY_MS
WINDOW_MS = 7 * DAY_MS
#: Lists may lag behind the stream, and the clocks may differ.
MARGIN_MS = 60_000
#: If a line has more instruments than this to ask for, the whole list is asked for.
ONE_BY_ONE_MAX = 20
#: Seconds for which the exchange refuses an address that has sent too many requests.
BANNED_S = 300.0

#: The documented types of conditional orders, which are listed one by one; empty: the list of any type. Clients know
#: more types than the documentation, and the list of one that the exchange does not have would be refused.
STRATEGY_TYPES = ("", "tpsl", "trigger")
#: The topic of conditional orders.
STRATEGY = "strategy-order"
#: Records of no product line, such as transfers.
OTHER = "OTHER"

_LIMIT = {"limit": str(answers.PAGE_ROWS)}


def get(path: str, query: Mapping[str, str] | None = None, cursor: str = "") -> MakeRequest:
    """A signed GET request. Its parameters are sorted; what is signed is not percent-encoded, and what is sent is."""
    asked = sorted({**(query or {}), **({"cursor": cursor} if cursor else {})}.items())
    plain = "&".join(f"{name}={value}" for name, value in asked)
    sent = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked)
    mark = "?" if asked else ""

    def make(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
        key, secret, passphrase = credentials["key"], credentials["secret"], credentials["passphrase"]
        signed = sign.headers(key, secret, passphrase, f"{path}{mark}{plain}", now_ms)
        return RestRequest("GET", f"{url}{path}{mark}{sent}", signed)

    return make


def server_time(url: str) -> RestRequest:
    """The exchange's clock; unsigned."""
    return RestRequest("GET", f"{url}{answers.TIME}", {})


class _Answer(msgspec.Struct):
    code: str | int
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Time(msgspec.Struct):
    serverTime: str  # noqa: N815 - the exchange's name


class _Info(msgspec.Struct):
    permType: str = ""  # noqa: N815 - the exchange's name
    permissions: list[str] = []


_read = msgspec.json.Decoder(_Answer).decode


def server_time_ms(answer: bytes) -> int:
    """The exchange's clock, milliseconds since 1970. Raises one of `errors.UNREADABLE` if the answer has none."""
    told = msgspec.json.decode(_read(answer).data, type=_Time).serverTime
    if not (told.isascii() and told.isdigit() and len(told) < 16):
        raise Undecodable(f"the answer to {answers.TIME} has no time")
    return int(told)


#: A key of the classic account, whose interface is another one (v2).
CLASSIC = "40084"
#: What the error codes of an answer mean; any other one is transient, as those that come during upgrades are.
_CODES = {
    answers.SUCCESS: Verdict.ANSWER,
    "429": Verdict.WAIT,
    "30006": Verdict.WAIT,
    **dict.fromkeys(("40001", "40002", "40003", "40005", "40011"), Verdict.REFUSED),  # something is missing
    **dict.fromkeys(("40006", "40037", "40012", "40036", "40009"), Verdict.REFUSED),  # key, passphrase, signature
    "40008": Verdict.REFUSED,  # the time is outside the window
    "40018": Verdict.REFUSED,  # the key is bound to other addresses
    "40038": Verdict.REFUSED,
    CLASSIC: Verdict.REFUSED,
    "40085": Verdict.REFUSED,
    "40099": Verdict.REFUSED,  # the key is of another environment
    "40014": Verdict.GONE,  # the key may not ask this
    "40040": Verdict.GONE,
    **dict.fromkeys(("00001", "40017", "40020", "40034", "40404"), Verdict.GONE),  # a parameter is wrong, or the path
    "43111": Verdict.GONE,  # the time is too long ago
    "25200": Verdict.GONE,
    **dict.fromkeys(answers.NO_SUCH_ORDER, Verdict.GONE),
}


def classify(status: int, body: bytes) -> Verdict:
    """Classify an HTTP answer. Errors have a code in the body, with the status 200 or 4xx."""
    return verdict_of(status, body, lambda _status, body: _CODES.get(str(_read(body).code)), {})


def wait_s(status: int, headers: Mapping[str, str], _body: bytes, _now_ms: int) -> float:
    """A second after the limit of a path; minutes if the address itself is refused."""
    if status != 429:
        return 0.0
    return BANNED_S if headers.get("x-mbx-used-remain-limit") == "0" else 1.0


def check(_login: Login) -> Unrecorded[tuple[str, ...]]:
    """What the key may do."""
    body = yield get(answers.INFO)
    try:
        told = msgspec.json.decode(_read(body).data, type=_Info)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = _Info()
    if not told.permType:
        return ("the exchange does not say what the key may do",)
    warnings = []
    can = ["trade"] * (told.permType != "read-only") + ["withdraw"] * ("withdraw" in told.permissions)
    if can:
        warnings.append(
            f"the key can {' and '.join(can)}; recording needs a read-only key: make one and use it instead"
        )
    missing = [one for one in ("uta_trade", "uta_mgt") if one not in told.permissions]
    if told.permissions and missing:
        warnings.append(f"the key may not read everything ({', '.join(missing)} is missing): add the right to read it")
    return tuple(warnings)


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
    yield from _balances(answers.ASSETS, "balances", ())
    yield from _state(found)
    return None


def _balances(path: str, subject: str, held: Iterable[str]) -> Questions:
    """All balances, and those of coins that may have been spent: a list leaves out zeros, and so does that of one."""
    answer = yield Question(subject, get(path), "account")
    if answer is not None:
        listed = {one.currency for one in answer.updates if isinstance(one, AccountUpdate)}
        for coin in sorted(set(held) - listed):
            yield Question(f"{subject}: {coin}", get(path, {"coin": coin}), "account")
    return None


def _state(found: Orders) -> Questions:
    """Positions and open orders."""
    for line in FUTURES:
        yield Question(f"positions of {line}", get(answers.POSITIONS, _of(line)), "position")
    for line in CATEGORIES:
        yield from _list(f"open orders of {line}", answers.OPEN_ORDERS, _of(line), "order", found)
    for line in CATEGORIES:
        for name, query in _by_type(line):
            answer = yield Question(f"open {name}", get(answers.OPEN_STRATEGIES, query), STRATEGY)
            found.take(() if answer is None else answer.updates)
            found.are_all &= answer is not None
    return None


def _reconcile(known: Known) -> Questions:
    found = Orders()
    for wallet, path in ((UNIFIED, answers.ASSETS), (FUNDING, answers.FUNDING_ASSETS)):
        held = [str(currency) for currency, of, *_ in known.balances if of == wallet]
        yield from _balances(path, f"balances of the {wallet} account", held)
    yield from _state(found)
    if known.since_ms is None:
        return None
    begin_ms = max(known.since_ms - MARGIN_MS, known.now_ms - HISTORY_MS)
    if begin_ms > known.since_ms:
        yield Forgotten(f"everything before {day(begin_ms)}", "the exchange keeps 90 days")
    for window in windows(begin_ms, known.now_ms + MARGIN_MS, SPAN_MS):
        for history in (*_histories(), *_all_strategies()):
            yield from _history(history, window, found)
    yield from _older_strategies(known, begin_ms, found)
    for order in known.unfinished if found.are_all else ():
        if found.has(order):
            continue
        if order in known.conditional:
            # It would look as if it had ended, because it is not found by the question for one order.
            yield Forgotten(f"conditional order {order.order_id}", "no list of the exchange has it", STRATEGY)
        else:
            yield Question(f"order {order.order_id}", get(answers.ORDER, {"orderId": order.order_id}), "order")
    # A list of positions leaves out those that are flat; so does the answer about one, which says it by that.
    for one in known.positions:
        if one.market and one.symbol:
            query = {**_of(one.market), "symbol": one.symbol}
            side = {"posSide": one.position_side} if one.position_side else {}
            subject = " ".join(filter(None, ("position of", one.market, one.symbol, one.position_side)))
            yield Question(subject, get(answers.POSITIONS, query | side), "position")
    return None


def _older_strategies(known: Known, begin_ms: int, found: Orders) -> Questions:
    """Look for conditional orders that no list has among older ones, newest first.

    Nobody says whether the history lists them by when they began or by when they ended.
    """
    for window in reversed(list(windows(known.now_ms - HISTORY_MS, begin_ms - 1, SPAN_MS))):
        missing = [order for order in known.conditional if not found.has(order)] if found.are_all else []
        for line in CATEGORIES:
            if any(order.market in {line, None} for order in missing):
                for history in _strategies(line):
                    yield from _history(history, window, found)
    return None


def _of(line: str) -> dict[str, str]:
    return {"category": line.upper()}


def _by_type(line: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and parameters of the lists of conditional orders of a product line."""
    for kind in STRATEGY_TYPES:
        name = f"conditional orders of {line}"
        yield (f"{name}: {kind}", {**_of(line), "type": kind}) if kind else (name, _of(line))


def _regular(known: Known) -> Questions:
    begin_ms = known.now_ms - WINDOW_MS if known.since_ms is None else known.since_ms
    for window in windows(max(begin_ms, known.now_ms - HISTORY_MS), known.now_ms + MARGIN_MS, SPAN_MS):
        # The exchange says itself that pushes can be lost. That fills and conditional orders are missing shows in no
        # comparison with the snapshot; that orders are does, and their histories can be long.
        for history in (*_records(), _FILLS, *_all_strategies()):
            yield from _history(history, window, Orders())
    return None


def _instruments(known: Known) -> Questions:
    for line in CATEGORIES:
        symbols = sorted({one.symbol for one in known.instruments if one.market == line and one.symbol})
        asked = [{"symbol": symbol} for symbol in symbols] if len(symbols) <= ONE_BY_ONE_MAX else [{}]
        for one in asked:
            subject = " ".join(("instruments:", line, *one.values()))
            yield Question(subject, get(answers.INSTRUMENTS, {**_of(line), **one}), "instruments")
    return None


def _backfill(known: Known) -> Questions:
    until_ms = (known.now_ms if known.until_ms is None else known.until_ms) + MARGIN_MS
    # A period is asked for whole, even if less of it is wanted, or its subject would say what is not so.
    kept_ms = known.now_ms - HISTORY_MS
    begin_ms = max(known.since_ms or 0, kept_ms)
    for window in windows(begin_ms, until_ms, WINDOW_MS, aligned=True):
        # A week that has just ended is asked for again: lists lag behind.
        is_past = window[1] < known.now_ms - DAY_MS
        for history in (*_histories(), *_records()):
            subject = f"{history.name}, week of {day(window[0])}"
            yield from _backfill_one(known, history, subject, (max(window[0], kept_ms), window[1]), is_past)
    # Conditional orders are few: the fewest requests, counted from the beginning of the record.
    for end_ms in range(until_ms, begin_ms, -SPAN_MS):
        for history in _all_strategies():
            subject = f"{history.name}, 30 days until {day(end_ms)}"
            window = max(end_ms - SPAN_MS + 1, kept_ms), end_ms
            yield from _backfill_one(known, history, subject, window, known.until_ms is not None)
    return None


def _backfill_one(known: Known, history: "_History", subject: str, window: tuple[int, int], is_past: bool) -> Questions:
    if subject in known.done:
        return None
    complete = yield from _history(history, window, Orders(), subject)
    if complete:
        yield completed(subject, history.kind, window, known.now_ms, is_past=is_past)
    return None


class _History(NamedTuple):
    name: str
    path: str
    query: Mapping[str, str]
    topic: str
    #: What it is a history of, for people.
    kind: str


_FILLS = _History("fills", answers.FILLS, {}, "fill", "fills")


def _histories() -> Iterator[_History]:
    """The lists of orders and fills."""
    for line in CATEGORIES:
        yield _History(f"orders of {line}", answers.ORDERS, _of(line), "order", "orders")
    yield _FILLS


def _strategies(line: str) -> Iterator[_History]:
    """The lists of conditional orders of a product line that have ended."""
    for name, query in _by_type(line):
        yield _History(name, answers.STRATEGIES, query, STRATEGY, "conditional orders")


def _all_strategies() -> Iterator[_History]:
    for line in CATEGORIES:
        yield from _strategies(line)


def _records() -> Iterator[_History]:
    """The lists of money movements."""
    for line in (*CATEGORIES, OTHER):
        yield _History(f"records of {line.lower()}", answers.RECORDS, _of(line), "account", "transactions")
    yield _History("records of the funding account", answers.FUNDING_RECORDS, {}, "account", "transactions")


def _history(history: _History, window: tuple[int, int], found: Orders, subject: str = "") -> Pages:
    named = subject or f"{history.name} since {utc_text(window[0] * NS_PER_MS)}"
    period = {"startTime": str(window[0]), "endTime": str(window[1])}
    return (yield from _list(named, history.path, {**history.query, **period}, history.topic, found))


def _list(subject: str, path: str, query: Mapping[str, str], topic: str, found: Orders) -> Pages:
    page = partial(get, path, {**query, **_LIMIT})
    is_complete = yield from pages(subject, page, topic=topic, take=found.take)
    found.are_all &= is_complete
    return is_complete
