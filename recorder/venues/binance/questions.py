"""What to ask Binance over REST, and what its answers mean for further requests. Pure.

Lists are oldest first; the next page begins with the time of the last row. The fills of one order may all be of one
millisecond, and more than a page: then income is asked for by its types, and fills by their ids. Orders cancelled or
expired without a fill are remembered for three days, other orders for 90 days, fills and income for three months. Fills
and conditional orders are listed by symbol only; the income names every symbol that had a fill.
Source: developers.binance.com, "USDⓈ-M Futures" and "COIN-M Futures", "Account/Trade Endpoints", "Error Code".
"""

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

from recorder.clock import NS_PER_MS, utc_text
from recorder.model import FillUpdate, OrderUpdate, PositionUpdate, Transaction, Update
from recorder.venues.binance import answers, sign
from recorder.venues.binance.words import ALGO, COIN_M, INCOME_TYPES, product_of
from recorder.venues.paging import Orders, Pages, completed, day, pages, windows
from recorder.venues.rest import (
    Answer,
    Credentials,
    Forgotten,
    Known,
    MakeRequest,
    Purpose,
    Question,
    Questions,
    RestLimit,
    RestRequest,
    Step,
    Unanswered,
)

#: Weight of an address in a minute, of USD-M and COIN-M together, which have hosts of their own.
REST_LIMITS = (RestLimit(2_400, 60.0, lambda url: url.replace("dapi.", "fapi.")),)
_COSTS = {
    answers.BALANCES: 5,
    answers.POSITIONS: 5,
    answers.POSITIONS_OF: 5,
    answers.OPEN_ORDERS: 40,
    answers.OPEN_ALGOS: 40,
    answers.ORDER: 1,
    answers.ALGO: 1,
    answers.ORDERS: 5,
    answers.ALGOS: 5,
    answers.FILLS: 5,
    answers.INCOME: 30,
    answers.INSTRUMENTS: 1,
}

DAY_MS = 24 * 3_600_000
#: For how long orders without a fill are remembered, and everything else.
CANCELLED_MS = 3 * DAY_MS
HISTORY_MS = 90 * DAY_MS
#: The longest period that may be asked for.
WINDOW_MS = 7 * DAY_MS
#: Lists may lag behind the stream, and the clocks may differ: what is asked for begins and ends so much apart.
MARGIN_MS = 60_000
AHEAD_MS = sign.CLOCK_TOLERANCE_MS
#: For how long REST may not know a new order.
LAG_MS = 10_000

_ORDERS, _ALGOS, _ACCOUNT = "ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE"
_LIMIT = {"limit": str(answers.PAGE_ROWS)}


def get(product: str, path: str, query: Mapping[str, str] | None = None, since: str = "") -> MakeRequest:
    """A signed GET request; `since` is the time with which the page begins, where it is not the first."""
    asked = {**(query or {}), **({"startTime": since} if since else {})}
    text, path = urlencode(asked), answers.path_of(path, product)

    def make(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
        signed = sign.signed(credentials["secret"], text, now_ms)
        target = f"{url}{path}?{text}" if text else url + path
        return RestRequest("GET", target, {sign.KEY: credentials["key"]}, signed=signed)

    return make


def questions(purpose: Purpose, known: Known) -> Questions:
    """What to ask for a purpose."""
    round_of = _Round(product_of(known.environment), known.symbols)
    match purpose:
        case Purpose.SNAPSHOT:
            return _snapshot(round_of)
        case Purpose.RECONCILE:
            return _reconcile(round_of, known)
        case Purpose.REGULAR:
            return _regular(round_of, known)
        case Purpose.INSTRUMENTS:
            return _instruments(round_of, known)
        case Purpose.BACKFILL:
            return _backfill(round_of, known)


class _Round(Orders):
    """What the answers of a round have told.

    Args:
        product: that is asked about.
        symbols: that are known before.
    """

    def __init__(self, product: str, symbols: Sequence[str]) -> None:
        super().__init__()
        self.product = product
        self.symbols = set(symbols)
        #: Positions that were listed.
        self.positions: set[str] = set()

    def take(self, updates: Sequence[Update]) -> None:
        """Note the orders, positions and symbols of an answer."""
        super().take(updates)
        told = (one for one in updates if isinstance(one, OrderUpdate | PositionUpdate | Transaction))
        self.symbols.update(one.symbol for one in told if one.symbol)
        self.positions.update(one.symbol for one in updates if isinstance(one, PositionUpdate))

    def question(self, subject: str, path: str, query: Mapping[str, str], topic: str) -> Question:
        """A question with one answer."""
        return Question(subject, get(self.product, path, query), topic, _COSTS[path])


class _History(NamedTuple):
    """A list by time."""

    #: For people.
    name: str
    path: str
    topic: str
    #: What of it the exchange keeps, for people.
    kept: str
    #: Whether it is asked for symbol by symbol.
    by_symbol: bool


_INCOME = _History("transactions", answers.INCOME, _ACCOUNT, "transactions", by_symbol=False)
_FILLS = _History("fills", answers.FILLS, _ORDERS, "fills", by_symbol=True)
_ALGO_ORDERS = _History(
    "conditional orders", answers.ALGOS, _ALGOS, "conditional orders that were triggered", by_symbol=True
)


def _histories(product: str) -> tuple[_History, ...]:
    """Those that name symbols before those that are asked for by symbol."""
    orders = _History("orders", answers.ORDERS, _ORDERS, "orders with fills", by_symbol=product == COIN_M)
    return _INCOME, orders, _FILLS, _ALGO_ORDERS


def _snapshot(found: _Round) -> Questions:
    yield found.question("balances", answers.BALANCES, {}, _ACCOUNT)
    for subject, path, topic in (
        ("positions", answers.POSITIONS, _ACCOUNT),
        ("open orders", answers.OPEN_ORDERS, _ORDERS),
        ("open conditional orders", answers.OPEN_ALGOS, _ALGOS),
    ):
        answer = yield found.question(subject, path, {}, topic)
        if answer is not None:
            found.take(answer.updates)
    return None


def _reconcile(found: _Round, known: Known) -> Questions:
    yield from _snapshot(found)
    if known.since_ms is None:
        return None
    for traded in (known.positions, known.unfinished, known.instruments):
        found.symbols.update(one.symbol for one in traded if one.symbol)
    begin_ms = max(known.since_ms - MARGIN_MS, known.now_ms - HISTORY_MS)
    if known.since_ms < known.now_ms - HISTORY_MS:
        yield Forgotten(f"everything before {day(begin_ms)}", "the exchange keeps three months")
    cancelled_ms = known.now_ms - CANCELLED_MS
    if known.since_ms < cancelled_ms:
        before, reason = utc_text(cancelled_ms * NS_PER_MS), "the exchange keeps orders without a fill for three days"
        yield Forgotten(f"orders cancelled before {before}", reason, _ORDERS)
        yield Forgotten(f"conditional orders cancelled before {before}", reason, _ALGOS)
    for history in _histories(found.product):
        for window in windows(begin_ms, known.now_ms + AHEAD_MS, WINDOW_MS):
            yield from _ask(found, history, *window)
    is_recent = known.since_ms > known.now_ms - LAG_MS
    for order in known.unfinished:
        if order.symbol and not found.has(order):
            yield from _one_order(found, order.order_id, order.symbol, is_recent=is_recent)
    # Positions that are flat are left out of the list; the answer about a symbol has them.
    for symbol in sorted({one.symbol for one in known.positions if one.symbol} - found.positions):
        query = {"pair": symbol.partition("_")[0]} if found.product == COIN_M else {"symbol": symbol}
        yield found.question(f"position of {symbol}", answers.POSITIONS_OF, query, _ACCOUNT)
    return None


def _one_order(found: _Round, order_id: str, symbol: str, *, is_recent: bool) -> Questions:
    """Ask for an order that no list had.

    If the exchange does not know it, it has ended (`answers.ended_order`), or it is too new, which only time tells.
    """
    query = {"orderId": order_id, "symbol": symbol} if is_recent else {"symbol": symbol, "orderId": order_id}
    subject, answer = f"order {order_id} of {symbol}", None
    if not order_id.startswith(ALGO):
        answer = yield found.question(subject, answers.ORDER, query, _ORDERS)
    elif not is_recent:
        subject = f"conditional {subject}"
        yield found.question(subject, answers.ALGO, {"algoId": order_id.removeprefix(ALGO)}, _ALGOS)
    if is_recent and answer is None:
        yield Unanswered(subject, "it may be too new for the exchange's lists")
    return None


def _ask(found: _Round, history: _History, begin_ms: int, end_ms: int, subject: str = "") -> Pages:
    """Ask for a list in a period: whole, or for each symbol known by now."""
    named = subject or f"{history.name} since {utc_text(begin_ms * NS_PER_MS)}"
    period = {"startTime": str(begin_ms), "endTime": str(end_ms), **_LIMIT}
    complete = True
    for symbol in sorted(found.symbols) if history.by_symbol else [""]:
        query, of = ({"symbol": symbol, **period}, f"{symbol} {named}") if symbol else (period, named)
        page = partial(get, found.product, history.path, query)
        asked = pages(
            of,
            page,
            topic=history.topic,
            cost=_COSTS[history.path],
            take=found.take,
            crowd=partial(_CROWDS[history.path], found, symbol) if history.path in _CROWDS else None,
            end_ms=end_ms,
        )
        complete = (yield from asked) and complete
    return complete


def _income_at(found: _Round, _symbol: str, at: str, updates: Sequence[Update]) -> Pages:
    """Ask for the income of a millisecond by its types, and where a type fills a page, by the symbols known by now."""
    moment = {"startTime": at, "endTime": at, **_LIMIT}
    told = {one.venue_type for one in updates if isinstance(one, Transaction) and one.venue_type}
    complete = True

    def ask(more: Mapping[str, str]) -> Generator[Step, Answer | None, bool | None]:
        """Whether there is more of it than a page; None: it has no answer."""
        subject = " ".join(("transactions of", utc_text(int(at) * NS_PER_MS), *more.values()))
        answer = yield found.question(subject, answers.INCOME, {**more, **moment}, _ACCOUNT)
        if answer is None:
            return None
        found.take(answer.updates)
        if answer.next_page is not None and "symbol" in more:
            yield Unanswered(subject, f"there are {answers.PAGE_ROWS:,} or more, and no way to ask for fewer")
        return answer.next_page is not None

    for kind in sorted(told | {one for one in INCOME_TYPES if one}):
        is_more = yield from ask({"incomeType": kind})
        for symbol in sorted(found.symbols) if is_more else ():
            complete = (yield from ask({"incomeType": kind, "symbol": symbol})) is False and complete
        complete = complete and is_more is not None
    return complete


def _fills_at(found: _Round, symbol: str, at: str, updates: Sequence[Update]) -> Pages:
    """Ask for the rest of a symbol's fills of a millisecond by their ids."""
    ids = [int(one.trade_id) for one in updates if isinstance(one, FillUpdate) and one.trade_id]

    def page(first: str) -> MakeRequest:
        query = {"symbol": symbol, answers.FROM_ID: first or str(max(ids, default=0)), **_LIMIT}
        return get(found.product, answers.FILLS, query)

    def is_later(updates: Sequence[Update]) -> bool:
        return any((one.executed_ms or 0) > int(at) for one in updates if isinstance(one, FillUpdate))

    subject, cost = f"{symbol} fills of {utc_text(int(at) * NS_PER_MS)}", _COSTS[answers.FILLS]
    return (yield from pages(subject, page, topic=_ORDERS, cost=cost, take=found.take, is_enough=is_later))


#: Path of a list that can have more rows of one millisecond than a page → how they are asked for.
_CROWDS = {answers.INCOME: _income_at, answers.FILLS: _fills_at}


def _regular(found: _Round, known: Known) -> Questions:
    begin_ms = known.now_ms - WINDOW_MS if known.since_ms is None else known.since_ms
    since_ms = max(begin_ms, known.now_ms - HISTORY_MS)
    for window in windows(since_ms, known.now_ms + AHEAD_MS, WINDOW_MS):
        # Fills that were in no list yet when a gap was asked about are found by what they earned and cost.
        for history in (_INCOME, _FILLS):
            yield from _ask(found, history, *window)
    return None


def _instruments(found: _Round, known: Known) -> Questions:
    # There is one list of all symbols.
    if known.instruments:
        yield found.question("instruments", answers.INSTRUMENTS, {}, "instruments")
    return None


def _backfill(found: _Round, known: Known) -> Questions:
    until_ms = (known.now_ms if known.until_ms is None else known.until_ms) + AHEAD_MS
    # A week is asked for whole, even if less of it is wanted, because its subject says that all of it is known.
    kept_ms = known.now_ms - HISTORY_MS
    begin_ms = max(known.since_ms or 0, kept_ms)
    found.symbols.update(one.symbol for one in known.instruments if one.symbol)
    histories = _histories(found.product)
    weeks = [_Week(window, kept_ms) for window in windows(begin_ms, until_ms, WINDOW_MS, aligned=True)]
    weeks = [week for week in weeks if any(week.subject(one) not in known.done for one in histories)]
    are_named = True
    # Lists by symbol come last: the others tell the symbols, and are asked for again where only these are left.
    for by_symbol in (False, True):
        for week in weeks:
            for history in (one for one in histories if one.by_symbol == by_symbol):
                subject = week.subject(history)
                if by_symbol and subject in known.done:
                    continue
                end_ms = min(week.end_ms, known.now_ms + AHEAD_MS)
                complete = yield from _ask(found, history, week.begin_ms, end_ms, subject)
                are_named = are_named and (by_symbol or complete)
                is_past = week.end_ms < known.now_ms - DAY_MS
                if complete and are_named and subject not in known.done:
                    period = week.begin_ms, week.end_ms
                    yield completed(subject, history.kept, period, known.now_ms, is_past=is_past)
    return None


class _Week:
    """A period of a backfill."""

    def __init__(self, window: tuple[int, int], begin_ms: int) -> None:
        self._first_ms, self.end_ms = window
        self.begin_ms = max(self._first_ms, begin_ms)

    def subject(self, history: _History) -> str:
        """What is asked for."""
        return f"{history.name}, week of {day(self._first_ms)}"
