"""What to ask OKX over REST, and what its answers mean for further requests. Pure.

Lists are newest first, in pages that continue behind an id. Orders cancelled without a fill are remembered for two
hours, other ended orders for three months, fills and bills likewise, though in lists of their own after some days.
Deposits and withdrawals are listed by the time at which they began, and take no period.
Source: okx.com/docs-v5, "Trading Account", "Order Book Trading", "Error Code", "Rate Limits".
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from recorder.clock import NS_PER_MS, utc_text
from recorder.errors import Undecodable
from recorder.model import OrderUpdate, Transaction, Update
from recorder.venues.okx import answers, sign
from recorder.venues.okx.words import EVENTS, FUTURES, MARGIN, OPTION, SPOT, SWAP, inst_type
from recorder.venues.paging import Orders, Pages, completed, day, pages, windows
from recorder.venues.rest import (
    Credentials,
    Forgotten,
    Known,
    Login,
    MakeRequest,
    OrderKey,
    Purpose,
    Question,
    Questions,
    RestLimit,
    RestRequest,
    Unrecorded,
    Verdict,
    verdict_of,
)

#: Each path has a limit of its own for a user, from 5 to 60 requests in two seconds. One limit keeps them all: of it, a
#: request costs the share that it has of its own.
REST_LIMITS = (RestLimit(60, 2.0),)
_COSTS = {
    answers.OPEN_ORDERS: 1,
    answers.ORDER: 1,
    answers.FILLS: 1,
    answers.ORDERS: 2,
    answers.ORDERS_ARCHIVE: 3,
    answers.OPEN_ALGOS: 3,
    answers.ALGOS: 3,
    answers.FILLS_ARCHIVE: 6,
    answers.BALANCE: 6,
    answers.POSITIONS: 6,
    answers.INSTRUMENTS: 3,
    answers.BILLS: 6,
    answers.BILLS_ARCHIVE: 12,
    answers.DEPOSITS: 5,
    answers.WITHDRAWALS: 5,
}

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: For how long ended orders without a fill are remembered; the lists of recent orders, fills and bills; the old ones.
CANCELLED_MS = 2 * HOUR_MS
RECENT_FILLS_MS = 3 * DAY_MS
RECENT_MS = 7 * DAY_MS
HISTORY_MS = 90 * DAY_MS
#: What is backfilled is asked for in periods of this length.
WINDOW_MS = 7 * DAY_MS
#: Lists may lag behind the stream, and the clocks may differ.
MARGIN_MS = 60_000
#: How long before a gap a deposit or withdrawal that moved money in it may have begun: lists have only its beginning.
UNDER_WAY_MS = 30 * DAY_MS

INST_TYPES = (SPOT, MARGIN, SWAP, FUTURES, OPTION)
#: `ordType`s of conditional orders that are listed together.
ALGO_TYPES = ("conditional,oco", "trigger", "move_order_stop", "iceberg", "twap", "chase", "smart_iceberg")
#: Those of them that are pushed on a channel of their own.
_ADVANCED = ("move_order_stop", "iceberg", "twap", "smart_iceberg")
#: In the `venue_type` of a settlement after which a future goes on.
_DAILY = "34/"
#: Conditional orders that have ended are listed by state.
ALGO_ENDS = ("effective", "canceled", "order_failed")

_LIMIT = {"limit": str(answers.PAGE_ROWS)}


def get(path: str, query: Mapping[str, str] | None = None, after: str = "") -> MakeRequest:
    """A signed GET request; `after` is the id behind which the page begins."""
    asked = {**(query or {}), **({"after": after} if after else {})}
    target = f"{path}?{urlencode(asked)}" if asked else path

    def make(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
        key, secret, passphrase = credentials["key"], credentials["secret"], credentials["passphrase"]
        return RestRequest("GET", url + target, sign.headers(key, secret, passphrase, target, now_ms))

    return make


def server_time(url: str) -> RestRequest:
    """The exchange's clock; unsigned."""
    return RestRequest("GET", f"{url}{answers.TIME}", {})


class _Answer(msgspec.Struct):
    code: str
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Time(msgspec.Struct):
    ts: str


class _Config(msgspec.Struct):
    perm: str = ""
    ip: str = ""


_read = msgspec.json.Decoder(_Answer).decode


def server_time_ms(answer: bytes) -> int:
    """The exchange's clock, milliseconds since 1970. Raises one of `errors.UNREADABLE` if the answer has none."""
    rows = msgspec.json.decode(_read(answer).data, type=list[_Time])
    if not rows or not rows[0].ts.isdigit():
        raise Undecodable(f"the answer to {answers.TIME} has no time")
    return int(rows[0].ts)


#: What the error codes of an answer mean; any other one is transient.
_CODES = {
    "0": Verdict.ANSWER,
    "50011": Verdict.WAIT,  # too many requests
    "50061": Verdict.WAIT,
    "50014": Verdict.GONE,  # a parameter is missing
    "51000": Verdict.GONE,  # a parameter is wrong
    "51001": Verdict.GONE,  # there is no such instrument
    answers.NO_SUCH_ORDER: Verdict.GONE,
    "50030": Verdict.GONE,  # the key may not ask this
    "50120": Verdict.GONE,
    **dict.fromkeys(
        ("50101", "50102", "50103", "50104", "50105", "50106", "50107", "50110", "50111", "50112", "50113", "50119"),
        Verdict.REFUSED,
    ),
}


def classify(status: int, body: bytes) -> Verdict:
    """Classify an HTTP answer. Errors have a code in the body, with the status 200, 400 or 401."""
    return verdict_of(status, body, lambda _status, body: _CODES.get(_read(body).code), {})


def check(_login: Login) -> Unrecorded[tuple[str, ...]]:
    """What the key may do."""
    body = yield get(answers.CONFIG)
    try:
        rows = msgspec.json.decode(_read(body).data, type=list[_Config])
    except (msgspec.DecodeError, UnicodeDecodeError):
        rows = []
    if not rows or not rows[0].perm:
        return ("the exchange does not say what the key may do",)
    more = sorted(set(rows[0].perm.split(",")) - {"read_only"})
    if not more:
        return ()
    warnings = [f"the key can {' and '.join(more)}; recording needs a read-only key: make one and use it instead"]
    if not rows[0].ip:
        warnings.append("the key is bound to no address, so it expires after 14 days without a login")
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
    yield _question("balances", answers.BALANCE, {}, "account")
    yield _question("positions", answers.POSITIONS, {}, "positions")
    yield from _list("open orders", answers.OPEN_ORDERS, {}, "orders", found)
    for kind in ALGO_TYPES:
        subject, query = f"open conditional orders: {kind}", {"ordType": kind}
        yield from _list(subject, answers.OPEN_ALGOS, query, _algo_topic(kind), found)
    return None


def _reconcile(known: Known) -> Questions:
    found = Orders()
    yield from _snapshot(found)
    if known.since_ms is None:
        return None
    begin_ms = max(known.since_ms - MARGIN_MS, known.now_ms - HISTORY_MS)
    if known.since_ms < known.now_ms - HISTORY_MS:
        yield Forgotten(f"everything before {day(begin_ms)}", "the exchange keeps three months")
    cancelled_ms = known.now_ms - CANCELLED_MS
    if known.since_ms < cancelled_ms:
        before = utc_text(cancelled_ms * NS_PER_MS)
        reason = "the exchange keeps orders without a fill for two hours"
        yield Forgotten(f"orders cancelled before {before}", reason, "orders")
    is_older = partial(_is_older, begin_ms, known.conditional, found)
    for history in _histories(known.now_ms - begin_ms, _lines(known)):
        is_enough = None if history.has_period else is_older
        yield from _history(history, begin_ms, known.now_ms + MARGIN_MS, found, is_enough=is_enough)
    for history in _MOVEMENTS:
        yield from _history(history, begin_ms, known.now_ms, Orders())
    for order in known.unfinished if found.are_all else ():
        if not order.symbol or found.has(order):
            continue
        if order in known.conditional:
            # It would look as if it had ended, because it is not found by the question for one order.
            yield Forgotten(f"conditional order {order.order_id}", "no list of the exchange has it")
        else:
            query = {"instId": order.symbol, "ordId": order.order_id}
            yield _question(f"order {order.order_id}", answers.ORDER, query, "orders")
    # The list of positions leaves out those that are flat; the answer about an instrument does not.
    for symbol in sorted({one.symbol for one in known.positions if one.symbol}):
        yield _question(f"position of {symbol}", answers.POSITIONS, {"instId": symbol}, "positions")
    return None


def _regular(known: Known) -> Questions:
    begin_ms = max(known.now_ms - HISTORY_MS, known.now_ms - RECENT_MS if known.since_ms is None else known.since_ms)
    bills, fills = _bills(known.now_ms - begin_ms), _fills(known.now_ms - begin_ms, _lines(known))
    delivered = _Delivered()
    for history in (bills, *fills, *_MOVEMENTS):
        yield from _history(history, begin_ms, known.now_ms + MARGIN_MS, delivered)
    if delivered.are_any:
        # Nothing is pushed of a position in an option that expired: this list no longer has it.
        yield _question("positions", answers.POSITIONS, {}, "positions")
    return None


class _Delivered(Orders):
    """Whether the bills of a round say that futures were delivered, or options expired."""

    are_any = False

    def take(self, updates: Sequence[Update]) -> None:
        """Look at an answer."""
        bills = (one for one in updates if isinstance(one, Transaction) and one.type == "settlement")
        self.are_any |= any(_DAILY not in (one.venue_type or "") for one in bills)


def _instruments(known: Known) -> Questions:
    for symbol in sorted({one.symbol for one in known.instruments if one.symbol}):
        query = {"instType": inst_type(symbol), "instId": symbol}
        if query["instType"] == OPTION:
            # Without it, the exchange refuses.
            query["instFamily"] = "-".join(symbol.split("-")[:2])
        yield _question(f"instrument {symbol}", answers.INSTRUMENTS, query, "instruments")
    return None


def _lines(known: Known) -> tuple[str, ...]:
    """The product lines of which lists are asked for.

    Events are among them only if the account has traded one: whether every key may ask for them is not documented.
    """
    has_events = any(one.symbol and inst_type(one.symbol) == EVENTS for one in known.instruments)
    return (*INST_TYPES, EVENTS) if has_events else INST_TYPES


def _backfill(known: Known) -> Questions:
    until_ms = known.now_ms if known.until_ms is None else known.until_ms
    # A week is asked for whole, even if less of it is wanted, because its subject says that all of it is known.
    kept_ms = known.now_ms - HISTORY_MS
    begin_ms = max(known.since_ms or 0, kept_ms)
    histories = list(_histories(HISTORY_MS, _lines(known)))
    in_periods = [history for history in histories if history.has_period]
    for window in windows(begin_ms, until_ms, WINDOW_MS, aligned=True):
        for history in (*in_periods, _bills(HISTORY_MS)):
            subject = f"{history.name}, week of {day(window[0])}"
            # A week that has just ended is asked for again: lists lag behind.
            is_past = window[1] < known.now_ms - DAY_MS
            yield from _backfill_one(known, history, subject, max(window[0], kept_ms), window[1], is_past)
    for history in (*histories, *_MOVEMENTS):
        if not history.has_period:
            yield from _backfill_one(known, history, history.name, kept_ms, until_ms, True)
    return None


def _backfill_one(
    known: Known, history: "_History", subject: str, begin_ms: int, end_ms: int, is_past: bool
) -> Questions:
    if subject in known.done:
        return None
    complete = yield from _history(history, begin_ms, end_ms, Orders(), subject)
    if complete:
        yield completed(subject, history.kept, (begin_ms, end_ms), known.now_ms, is_past=is_past)
    return None


class _History(NamedTuple):
    name: str
    path: str
    query: Mapping[str, str]
    topic: str
    #: What of it the exchange keeps, for people.
    kept: str
    #: Whether it is asked for by period.
    has_period: bool = True


_MOVEMENTS = (
    _History("deposits", answers.DEPOSITS, {}, "deposit-info", "deposits", has_period=False),
    _History("withdrawals", answers.WITHDRAWALS, {}, "withdrawal-info", "withdrawals", has_period=False),
)


def _histories(age_ms: int, lines: Sequence[str]) -> Iterator[_History]:
    """The lists of these product lines that reach back so far, milliseconds."""
    path = answers.ORDERS if age_ms < RECENT_MS - HOUR_MS else answers.ORDERS_ARCHIVE
    for line in lines:
        yield _History(f"orders of {line}", path, {"instType": line}, "orders", "orders with fills")
    yield from _fills(age_ms, lines)
    for kind in ALGO_TYPES:
        for state in ALGO_ENDS:
            query = {"ordType": kind, "state": state}
            name = f"conditional orders: {kind}, {state}"
            yield _History(name, answers.ALGOS, query, _algo_topic(kind), "conditional orders", has_period=False)


def _algo_topic(kind: str) -> str:
    """The channel of conditional orders of a type."""
    return "algo-advance" if kind in _ADVANCED else "orders-algo"


def _fills(age_ms: int, lines: Sequence[str]) -> list[_History]:
    if age_ms < RECENT_FILLS_MS - HOUR_MS:
        return [_History("fills", answers.FILLS, {}, "orders", "fills")]
    return [
        _History(f"fills of {line}", answers.FILLS_ARCHIVE, {"instType": line}, "orders", "fills") for line in lines
    ]


def _bills(age_ms: int) -> _History:
    path = answers.BILLS if age_ms < RECENT_MS - HOUR_MS else answers.BILLS_ARCHIVE
    return _History("bills", path, {}, "account", "transactions")


def _history(
    history: _History,
    begin_ms: int,
    end_ms: int,
    found: Orders,
    subject: str = "",
    is_enough: Callable[[Sequence[Update]], bool] | None = None,
) -> Pages:
    named = subject or f"{history.name} since {utc_text(begin_ms * NS_PER_MS)}"
    period = {"begin": str(begin_ms), "end": str(end_ms)} if history.has_period else {}
    is_enough = is_enough or partial(_began_before, begin_ms - UNDER_WAY_MS)
    return (yield from _list(named, history.path, {**history.query, **period}, history.topic, found, is_enough))


def _began_before(at_ms: int, updates: Sequence[Update]) -> bool:
    """Whether all of a page are deposits or withdrawals that began before this time, milliseconds since 1970."""
    moved = [update for update in updates if isinstance(update, Transaction)]
    return bool(moved) and all(one.occurred_ms is not None and one.occurred_ms < at_ms for one in moved)


def _is_older(begin_ms: int, waiting: Collection[OrderKey], found: Orders, updates: Sequence[Update]) -> bool:
    """Whether a page is older than a gap and than each order that was open when it began and is not found yet."""
    orders = [update for update in updates if isinstance(update, OrderUpdate)]
    is_before = all(one.created_ms is not None and one.created_ms < begin_ms for one in orders)
    # Lists are sorted by ids.
    last = min((_age(one.order_id) for one in orders), default=None)
    return last is not None and is_before and all(last < _age(one.order_id) for one in waiting if not found.has(one))


def _age(order_id: str) -> tuple[int, str]:
    """Sorts ids as the numbers that they are."""
    return len(order_id), order_id


def _list(
    subject: str,
    path: str,
    query: Mapping[str, str],
    topic: str,
    found: Orders,
    is_enough: Callable[[Sequence[Update]], bool] = lambda updates: False,
) -> Pages:
    page, cost = partial(get, path, {**query, **_LIMIT}), _COSTS[path]
    is_complete = yield from pages(subject, page, topic=topic, cost=cost, take=found.take, is_enough=is_enough)
    found.are_all &= is_complete
    return is_complete


def _question(subject: str, path: str, query: Mapping[str, str], topic: str) -> Question:
    return Question(subject, get(path, query), topic, _COSTS[path])
