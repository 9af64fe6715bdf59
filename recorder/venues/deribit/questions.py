"""What to ask Deribit over REST, and what its answers mean for further requests. Pure.

Histories are by currency; which ones there are, the balances say. Those of orders and trades have two halves: without
`historical`, what happened in the last 30 minutes (orders) or 24 hours (trades); with it, everything, but for the
newest, as it is filled with a delay. The transaction log has everything. The credits that requests cost are shared
with the trader's own programs. Source: docs.deribit.com, "Rate Limits", "Errors", the page of each method.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from urllib.parse import urlencode

from recorder.clock import NS_PER_MS, utc_text
from recorder.model import AccountUpdate, OrderUpdate, PositionUpdate, Update
from recorder.venues.deribit import answers, sign
from recorder.venues.deribit.portal import CHANGES, PORTFOLIO
from recorder.venues.deribit.symbols import described, expires_ms
from recorder.venues.paging import Orders, Pages, completed, day, pages, windows
from recorder.venues.rest import (
    Answer,
    Completed,
    Credentials,
    Forgotten,
    Known,
    MakeRequest,
    Purpose,
    Question,
    Questions,
    RestLimit,
    RestRequest,
)

#: Of an account: 20 requests a second, of which we want less than 5; of the transaction log one a second, at most 8 at
#: once, so that it costs `LOG_COST` of the others.
REST_LIMITS = (RestLimit(20, 2.0), RestLimit(80, 16.0))
LOG_COST = 5

MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS
#: For how long the recent half of the history has orders, and trades.
RECENT_ORDERS_MS = 30 * MINUTE_MS
RECENT_FILLS_MS = DAY_MS
#: How far back the ledger is asked for if the record has nothing of it.
FIRST_LEDGER_MS = 7 * DAY_MS
#: What is backfilled is asked for in periods of these lengths.
MONTH_MS = 30 * DAY_MS
YEAR_MS = 12 * MONTH_MS
#: The historical half may lag behind by this much.
LAG_MS = 2 * DAY_MS
#: The exchange opened in June 2016.
OPENED_MS = 1_464_739_200_000
#: Lists may lag behind the stream, and the clocks may differ.
MARGIN_MS = MINUTE_MS

#: Rows of a page at most: of orders and trades, of the transaction log.
PAGE_ROWS, LOG_ROWS = 1_000, 250

#: The currencies, if the exchange does not say which ones the account has.
CURRENCIES = ("BTC", "ETH", "USDC", "USDT", "EURR", "SOL", "XRP", "PAXG", "BNB", "USYC", "USDE", "STETH")


def get(path: str, query: Mapping[str, str] | None = None, page: tuple[str, str] = ("", "")) -> MakeRequest:
    """A signed GET request; `page` is the parameter that says where a page begins, and its value."""
    name, begins = page
    asked = {**(query or {}), **({name: begins} if begins else {})}
    target = f"{path}?{urlencode(asked)}" if asked else path

    def make(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
        once = sign.nonce()
        given = sign.authorization(credentials["key"], credentials["secret"], "GET", target, now_ms, once)
        return RestRequest("GET", url + target, {"Authorization": given})

    return make


def questions(purpose: Purpose, known: Known) -> Questions:
    """What to ask for a purpose."""
    match purpose:
        case Purpose.SNAPSHOT:
            return _snapshot(_Found())
        case Purpose.RECONCILE:
            return _reconcile(known)
        case Purpose.REGULAR:
            return _regular(known)
        case Purpose.INSTRUMENTS:
            return _instruments(known)
        case Purpose.BACKFILL:
            return _backfill(known)


class _Found(Orders):
    """What the answers of a round have told.

    Args:
        known: what the record knows.
    """

    def __init__(self, known: Known | None = None) -> None:
        super().__init__()
        traded = [described(one.symbol) for one in known.instruments if one.symbol] if known else []
        #: On a spot market, both currencies move.
        moved = [(one.base, one.quote) if one.kind == "spot" else (one.settle,) for one in traded]
        self._traded = {currency for of in moved for currency in of if currency}
        #: The currencies of which the record has something.
        self._held = {of[0] for of in known.balances if of[0]} if known else set()
        self._listed: set[str] = set()
        self.positions: set[str] = set()

    @property
    def currencies(self) -> Sequence[str]:
        """The account's currencies: those listed, and those that it has had or traded in."""
        return sorted(self._traded.union(self._held, self._listed or CURRENCIES))

    @property
    def spent(self) -> Sequence[str]:
        """The currencies that the record has, and the list does not."""
        return sorted(self._held - self._listed) if self._listed else ()

    def note(self, answer: Answer | None) -> None:
        """Note what an answer says."""
        updates = () if answer is None else answer.updates
        self.take(updates)
        for update in updates:
            if isinstance(update, AccountUpdate):
                self._listed.add(update.currency)
            elif isinstance(update, PositionUpdate):
                self.positions.add(update.symbol)


def _balances(found: _Found) -> Questions:
    found.note((yield Question("balances", get(answers.BALANCES), PORTFOLIO)))
    return None


def _snapshot(found: _Found) -> Questions:
    yield from _balances(found)
    found.note((yield Question("positions", get(answers.POSITIONS, {"currency": "any"}), CHANGES)))
    found.note((yield Question("open orders", get(answers.OPEN_ORDERS, {"type": "all"}), CHANGES)))
    return None


def _reconcile(known: Known) -> Questions:
    found = _Found(known)
    yield from _snapshot(found)
    for currency in found.spent:
        yield Question(f"balance of {currency}", get(answers.BALANCE, {"currency": currency}), PORTFOLIO)
    if known.since_ms is None:
        return None
    # The exchange's clock may be ahead.
    begin_ms, end_ms = known.since_ms - MARGIN_MS, known.now_ms + MARGIN_MS
    recent_ms = known.now_ms - RECENT_ORDERS_MS
    if begin_ms < recent_ms:
        before = utc_text(recent_ms * NS_PER_MS)
        reason = "the exchange keeps orders without a fill for 30 minutes"
        yield Forgotten(f"orders cancelled before {before}", reason, CHANGES)
    for currency in found.currencies:
        since = f"of {currency} since {utc_text(begin_ms * NS_PER_MS)}"
        for half in _halves(begin_ms, known.now_ms, RECENT_ORDERS_MS):
            yield from _orders(f"orders {since}", currency, half, begin_ms, found)
        yield from _triggers(f"trigger orders {since}", currency, begin_ms, found)
        for half in _halves(begin_ms, known.now_ms, RECENT_FILLS_MS):
            yield from _fills(f"fills {since}", currency, half, begin_ms, end_ms)
        yield from _ledger(f"transactions {since}", currency, begin_ms, end_ms)
    for order in known.unfinished:
        if not found.has(order):
            request = get(answers.ORDER, {"order_id": order.order_id})
            yield Question(f"order {order.order_id}", request, CHANGES)
    # The list of positions leaves out those that were closed before the last settlement; those that expired are in the
    # transaction log.
    for symbol in sorted({one.symbol for one in known.positions if one.symbol} - found.positions):
        if not _has_expired(symbol, known.now_ms):
            yield Question(f"position of {symbol}", get(answers.POSITION, {"instrument_name": symbol}), CHANGES)
    return None


def _regular(known: Known) -> Questions:
    found = _Found(known)
    yield from _balances(found)
    begin_ms = known.now_ms - FIRST_LEDGER_MS if known.since_ms is None else known.since_ms
    for currency in found.currencies:
        subject = f"transactions of {currency} since {utc_text(begin_ms * NS_PER_MS)}"
        yield from _ledger(subject, currency, begin_ms, known.now_ms + MARGIN_MS)
    return None


def _instruments(known: Known) -> Questions:
    for symbol in sorted({one.symbol for one in known.instruments if one.symbol}):
        if not _has_expired(symbol, known.now_ms - DAY_MS):
            yield Question(f"instrument {symbol}", get(answers.INSTRUMENT, {"instrument_name": symbol}))
    return None


def _has_expired(symbol: str, now_ms: int) -> bool:
    at_ms = expires_ms(symbol)
    return at_ms is not None and at_ms <= now_ms


def _backfill(known: Known) -> Questions:
    until_ms = known.now_ms if known.until_ms is None else known.until_ms
    found = _Found(known)
    yield from _balances(found)
    for year in windows(max(known.since_ms or 0, OPENED_MS), until_ms, YEAR_MS, aligned=True):
        for currency in found.currencies:
            yield from _backfill_year(known, currency, year, until_ms)
    # These lists take no period.
    for currency in found.currencies:
        orders, triggers = f"orders of {currency}", f"trigger orders of {currency}"
        if orders not in known.done and (yield from _orders(orders, currency, "true", 0, Orders())):
            yield Completed(orders, "orders with fills", OPENED_MS, until_ms)
        if triggers not in known.done and (yield from _triggers(triggers, currency, 0, Orders())):
            yield Completed(triggers, "trigger orders", OPENED_MS, until_ms)
    return None


def _backfill_year(known: Known, currency: str, year: tuple[int, int], until_ms: int) -> Questions:
    """A year of a currency, month by month; at once if it has no transaction, and so no fill."""
    subject = f"transactions of {currency}, year from {day(year[0])}"
    is_past = year[1] < known.now_ms - LAG_MS
    if subject in known.done:
        return None
    if is_past:
        one = {**_period(currency, *year), "count": "1"}
        answer = yield Question(subject, get(answers.LOG, one), PORTFOLIO, LOG_COST)
        if answer is None:
            return None
        if not answer.updates:
            yield Completed(f"fills of {currency}, year from {day(year[0])}", "fills", year[0], year[1] + 1)
            yield Completed(subject, "transactions", year[0], year[1] + 1)
            return None
    complete = True
    for month in windows(year[0], min(year[1], until_ms), MONTH_MS, aligned=True):
        complete &= yield from _backfill_month(known, currency, month)
    if complete and is_past:
        yield Completed(subject)
    return None


def _backfill_month(known: Known, currency: str, month: tuple[int, int]) -> Pages:
    """A month of a currency; returns whether it is complete. One that has just ended is asked for again."""
    named = f"of {currency}, 30 days from {day(month[0])}"
    is_past = month[1] < known.now_ms - LAG_MS
    complete = is_past
    if f"fills {named}" not in known.done:
        is_whole = True
        for half in ["true"] if is_past else ["true", "false"]:
            is_whole &= yield from _fills(f"fills {named}", currency, half, *month)
        complete &= is_whole
        if is_whole:
            yield completed(f"fills {named}", "fills", month, known.now_ms, is_past=is_past)
    if f"transactions {named}" not in known.done:
        is_whole = yield from _ledger(f"transactions {named}", currency, *month)
        complete &= is_whole
        if is_whole:
            yield completed(f"transactions {named}", "transactions", month, known.now_ms, is_past=is_past)
    return complete


def _halves(begin_ms: int, now_ms: int, recent_ms: int) -> Iterator[str]:
    """Which halves of a history reach back so far: values of `historical`."""
    if begin_ms < now_ms - recent_ms + MARGIN_MS:
        yield "true"
    yield "false"


def _orders(subject: str, currency: str, half: str, begin_ms: int, found: Orders) -> Pages:
    query = {"currency": currency, "count": str(PAGE_ROWS), "include_old": "true", "include_unfilled": "true"}
    query |= {"with_continuation": "true", "historical": half}
    return (yield from _newest_first(subject, answers.ORDERS, query, begin_ms, found))


def _triggers(subject: str, currency: str, begin_ms: int, found: Orders) -> Pages:
    query = {"currency": currency, "count": str(PAGE_ROWS)}
    return (yield from _newest_first(subject, answers.TRIGGERS, query, begin_ms, found))


def _newest_first(subject: str, path: str, query: Mapping[str, str], begin_ms: int, found: Orders) -> Pages:
    """A list that takes no period: it is followed until all of a page is older."""

    def page(begins: str) -> MakeRequest:
        return get(path, query, ("continuation", begins))

    is_older = partial(_is_older, begin_ms)
    return (yield from pages(subject, page, topic=CHANGES, take=found.take, is_enough=is_older))


def _is_older(begin_ms: int, updates: Sequence[Update]) -> bool:
    orders = [update for update in updates if isinstance(update, OrderUpdate)]
    return bool(orders) and all(one.updated_ms is not None and one.updated_ms < begin_ms for one in orders)


def _fills(subject: str, currency: str, half: str, begin_ms: int, end_ms: int) -> Pages:
    query = {"count": str(PAGE_ROWS), "sorting": "asc", "historical": half}

    def page(begins: str) -> MakeRequest:
        return get(answers.FILLS, {**_period(currency, int(begins or begin_ms), end_ms), **query})

    return (yield from pages(subject, page, topic=CHANGES))


def _ledger(subject: str, currency: str, begin_ms: int, end_ms: int) -> Pages:
    query = {**_period(currency, begin_ms, end_ms), "count": str(LOG_ROWS)}

    def page(begins: str) -> MakeRequest:
        return get(answers.LOG, query, ("continuation", begins))

    return (yield from pages(subject, page, topic=PORTFOLIO, cost=LOG_COST))


def _period(currency: str, begin_ms: int, end_ms: int) -> dict[str, str]:
    return {"currency": currency, "start_timestamp": str(begin_ms), "end_timestamp": str(end_ms)}
