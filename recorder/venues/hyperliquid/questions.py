"""What to ask Hyperliquid over REST, and what its answers mean for further requests. Pure.

Every request is a POST of JSON to one path, and only reads: an account is public. An unknown address has empty answers.
The newest 10,000 fills and 2,000 order states are remembered; fundings and the ledger are remembered for ever.
Source: hyperliquid.gitbook.io, "Info endpoint" and "Rate limits and user limits".
"""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import msgspec

from recorder.clock import NS_PER_MS, utc_text
from recorder.errors import Refused, Undecodable
from recorder.model import FillUpdate, OrderUpdate, Transaction, Update
from recorder.venues.hyperliquid.portal import dexes_of
from recorder.venues.hyperliquid.rest import FILLS_PER_PAGE, LEDGER_PER_PAGE
from recorder.venues.paging import Orders, Pages, day, pages, windows
from recorder.venues.rest import (
    Answer,
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
    Step,
    Unrecorded,
    Verdict,
    verdict_of,
)

PATH = "/info"

#: Of an address: the weights of all requests of a minute.
REST_LIMITS = (RestLimit(1_200, 60.0, str),)
#: Weights: of a state, of a list; a list costs one more for each 20 rows.
_STATE, _LIST, _ROLE = 2, 20, 60
_ROWS_PER_WEIGHT = 20

#: Of a question whose answer restores nothing of any topic.
_NO_TOPIC = "instruments"

FILLS_MAX = 10_000
ORDERS_MAX = 2_000

DAY_MS = 86_400_000
#: What is remembered for ever is backfilled in periods of this length.
WINDOW_MS = 30 * DAY_MS
#: The exchange's first day.
BEGINNING_MS = int(datetime(2023, 2, 1, tzinfo=UTC).timestamp() * 1000)
#: Lists may lag behind the stream, and the clocks may differ.
MARGIN_MS = 60_000

#: How the exchange says that it cannot read a request.
_UNREAD = b"Failed to "
_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")

#: Answers to `userAbstraction`: perpetual exchanges and spot have money of their own; all of it is on spot.
_SEPARATE = frozenset(["default", "disabled", "dexAbstraction"])
_UNIFIED = frozenset(["unifiedAccount", "portfolioMargin"])

_encode = msgspec.json.Encoder().encode


def info(kind: str, **parameters: object) -> MakeRequest:
    """A request about the account."""

    def make(url: str, credentials: Credentials, _now_ms: int) -> RestRequest:
        return post(url, {"type": kind, "user": credentials["address"], **parameters})

    return make


def _public(kind: str, **parameters: object) -> MakeRequest:
    """A request that is about no account."""
    return lambda url, _credentials, _now_ms: post(url, {"type": kind, **parameters})


def post(url: str, body: Mapping[str, object]) -> RestRequest:
    """A request with this body."""
    return RestRequest("POST", url + PATH, {"Content-Type": "application/json"}, _encode(body))


def server_time(url: str) -> RestRequest:
    """The exchange's clock."""
    return post(url, {"type": "exchangeStatus"})


class _Status(msgspec.Struct):
    time: int


class _RoleData(msgspec.Struct):
    user: str = ""


class _Role(msgspec.Struct):
    role: str
    data: _RoleData | None = None


def server_time_ms(answer: bytes) -> int:
    """The exchange's clock, milliseconds since 1970."""
    return msgspec.json.decode(answer, type=_Status).time


def classify(status: int, body: bytes) -> Verdict:
    """Classify an HTTP answer. Only a request that cannot be read has an error of its own, in plain words."""
    return verdict_of(status, body, _said)


def _said(status: int, body: bytes) -> Verdict | None:
    if status == 422 and body.startswith(_UNREAD):
        return Verdict.GONE
    if status != 200 or not body or body[:1] not in b'{["n':
        raise Undecodable("it is no answer, and no error that the exchange words")
    return Verdict.ANSWER


def check(login: Login) -> Unrecorded[tuple[str, ...]]:
    """Whether the address is that of an account, which one of an API wallet is not, and where its money is."""
    address = login.credentials["address"]
    if not _ADDRESS.fullmatch(address):
        raise Refused(
            "The address must be 0x and 40 hexadecimal digits; give that of the account, and never a private key."
        )
    body = yield info("userRole")
    try:
        role = msgspec.json.decode(body, type=_Role)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ("the exchange does not say whether the address is that of an account",)
    if role.role == "agent":
        account = role.data.user if role.data else "its user"
        raise Refused(f"{address} is an API wallet, which has no orders of its own; record the account {account}.")
    if role.role == "missing":
        return (f"the exchange has never seen {address}: check the address and the environment",)
    return _warnings_of_mode((yield info("userAbstraction")))


def _warnings_of_mode(body: bytes) -> tuple[str, ...]:
    """What to know about the balances of an account in this mode."""
    try:
        mode = msgspec.json.decode(body, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        mode = ""
    if mode in _SEPARATE:
        return ()
    if mode in _UNIFIED:
        return (
            f"the account is unified ({mode}): its money is on spot; the balances of perpetual exchanges are not the "
            "account's money, and their books need not add up",
        )
    return ("the exchange does not say whether the account is unified; in one that is, all money is on spot",)


def questions(purpose: Purpose, known: Known) -> Questions:
    """What to ask for a purpose."""
    match purpose:
        case Purpose.SNAPSHOT:
            return _snapshot(known, Orders())
        case Purpose.RECONCILE:
            return _reconcile(known)
        case Purpose.REGULAR:
            return _regular(known)
        case Purpose.INSTRUMENTS:
            return _instruments(known)
        case Purpose.BACKFILL:
            return _backfill(known)


def _snapshot(known: Known, found: Orders) -> Questions:
    for dex in dexes_of(known.symbols):
        of = f" of {dex}" if dex else ""
        parameters = {"dex": dex} if dex else {}
        topic = "allDexsClearinghouseState"
        yield Question(f"balances and positions{of}", info("clearinghouseState", **parameters), topic, _STATE)
        answer = yield Question(f"open orders{of}", info("frontendOpenOrders", **parameters), "openOrders", _LIST)
        found.take(() if answer is None else answer.updates)
    yield Question("balances of spot", info("spotClearinghouseState"), "spotState", _STATE)
    return None


def _reconcile(known: Known) -> Questions:
    found = Orders()
    if known.since_ms is not None:
        begin_ms = known.since_ms - MARGIN_MS
        for name, ask in _NEWEST.items():
            yield from ask(name, begin_ms, found)
        for history in _LEDGERS:
            yield from _history(history, begin_ms, None)
    yield from _snapshot(known, found)
    for order in known.unfinished:
        if not found.has(order) and order.order_id.isdigit():
            request = info("orderStatus", oid=int(order.order_id))
            yield Question(f"order {order.order_id}", request, "orderUpdates", _STATE)
    return None


def _regular(known: Known) -> Questions:
    """The ledger, and the fills: now and then the socket leaves one out, although the connection lives on."""
    begin_ms = known.now_ms - WINDOW_MS if known.since_ms is None else known.since_ms
    asked_ms = begin_ms if known.asked_ms is None else known.asked_ms
    # Funding from before the record is for a backfill: what is hourly today it may find summed up by day.
    yield from _history(_FUNDINGS, asked_ms if known.since_ms is None else begin_ms, None)
    yield from _history(_TRANSACTIONS, begin_ms, None)
    for history in _FILLS:
        # Of a period with an end, so that the answer says nothing about positions: pushes of them may be newer.
        yield from _history(history, asked_ms, known.now_ms + MARGIN_MS)
    return None


def _instruments(known: Known) -> Questions:
    """What symbols mean: those of spot pairs say nothing (`@107`), and the books need to know what is exchanged."""
    traded = [one.symbol for one in known.instruments if one.symbol]
    for dex in dexes_of([*known.symbols, *traded]):
        of = {"dex": dex} if dex else {}
        yield Question(f"perpetuals of {dex}" if dex else "perpetuals", _public("meta", **of), _NO_TOPIC, _LIST)
    yield Question("spot pairs", _public("spotMeta"), _NO_TOPIC, _LIST)
    return None


def _backfill(known: Known) -> Questions:
    until_ms = (known.now_ms if known.until_ms is None else known.until_ms) + MARGIN_MS
    begin_ms = max(known.since_ms or 0, BEGINNING_MS)
    for name, ask in _NEWEST.items():
        subject = f"{name} since {utc_text(begin_ms * NS_PER_MS)}"
        if subject not in known.done:
            since_ms = yield from ask(name, begin_ms, Orders())
            if since_ms is not None:
                yield Completed(subject, name, since_ms, until_ms)
    for begins_ms, last_ms in windows(begin_ms, until_ms, WINDOW_MS, aligned=True):
        ends_ms = min(last_ms, until_ms)
        for history in _LEDGERS:
            subject = f"{history.name}, {day(begins_ms)} to {utc_text(ends_ms * NS_PER_MS)}"
            if subject not in known.done:
                complete = yield from _history(history, begins_ms, ends_ms, subject)
                # What has just happened is asked for again: lists lag behind.
                if complete and ends_ms < known.now_ms - MARGIN_MS:
                    yield Completed(subject, history.name, begins_ms, ends_ms + 1)
    return None


class _History(NamedTuple):
    name: str
    kind: str
    topic: str
    rows_max: int


_FUNDINGS = _History("fundings", "userFunding", "userFundings", LEDGER_PER_PAGE)
_TRANSACTIONS = _History("transactions", "userNonFundingLedgerUpdates", "userNonFundingLedgerUpdates", LEDGER_PER_PAGE)
_LEDGERS = _FUNDINGS, _TRANSACTIONS
#: Whether slices of TWAP orders are among the fills is not documented: both lists are asked for.
_FILLS = (
    _History("fills", "userFillsByTime", "userFills", FILLS_PER_PAGE),
    _History("TWAP fills", "userTwapSliceFillsByTime", "userTwapSliceFills", FILLS_PER_PAGE),
)


def _history(
    history: _History,
    begin_ms: int,
    end_ms: int | None,
    subject: str = "",
    take: Callable[[Sequence[Update]], object] = lambda updates: None,
) -> Pages:
    """Ask for a list of a period, whichever rows of it a full page has: the oldest or the newest, in any order.

    The next page begins with the newest time of the page before it. What is before the first page is asked for in the
    same way: where a full one has the oldest rows, that is only their first millisecond again.
    """
    subject = subject or f"{history.name} since {utc_text(begin_ms * NS_PER_MS)}"
    while True:
        earliest: list[int | None] = []

        def note(updates: Sequence[Update], earliest: list[int | None] = earliest) -> None:
            take(updates)
            earliest.append(_earliest_ms(updates))

        page = partial(_page, history.kind, begin_ms, end_ms)
        cost = _cost(history.rows_max)
        if not (yield from pages(subject, page, topic=history.topic, cost=cost, take=note, cost_of_rows=_cost)):
            return False
        first_ms = earliest[0]
        if len(earliest) == 1 or first_ms is None or first_ms <= begin_ms:
            return True
        end_ms = first_ms


def _earliest_ms(updates: Sequence[Update]) -> int | None:
    """The earliest time of the rows of an answer, milliseconds since 1970."""
    fills = [one.executed_ms for one in updates if isinstance(one, FillUpdate)]
    moved = [one.occurred_ms for one in updates if isinstance(one, Transaction)]
    return min([at_ms for at_ms in (*fills, *moved) if at_ms is not None], default=None)


class _Times:
    """Number and earliest time of the fills in the answers of a list, whose pages repeat some."""

    def __init__(self) -> None:
        self._ids: set[tuple[str | None, str | None]] = set()
        self.earliest_ms: int | None = None

    def take(self, updates: Sequence[Update]) -> None:
        self._ids.update((one.symbol, one.trade_id) for one in updates if isinstance(one, FillUpdate))
        times = self.earliest_ms, _earliest_ms(updates)
        self.earliest_ms = min([at for at in times if at is not None], default=None)

    @property
    def number(self) -> int:
        """How many different fills there were."""
        return len(self._ids)


#: Asks for a list of which only the newest entries exist. Returns since when it is complete, milliseconds since 1970;
#: None: it was not answered.
_Newest = Generator[Step, Answer | None, int | None]


def _fills(history: _History, subject: str, begin_ms: int, _found: Orders) -> _Newest:
    times = _Times()
    complete = yield from _history(history, begin_ms, None, subject, times.take)
    if times.number >= FILLS_MAX and times.earliest_ms is not None and times.earliest_ms > begin_ms:
        before = utc_text(times.earliest_ms * NS_PER_MS)
        yield Forgotten(f"{subject} before {before}", f"the exchange keeps the newest {FILLS_MAX:,}", history.topic)
        begin_ms = times.earliest_ms
    return begin_ms if complete else None


def _closed_orders(subject: str, begin_ms: int, found: Orders) -> _Newest:
    request = info("historicalOrders")
    answer = yield Question(subject, request, "orderUpdates", _cost(ORDERS_MAX), cost_of_rows=_cost)
    if answer is None:
        return None
    found.take(answer.updates)
    states = [update.updated_ms for update in answer.updates if isinstance(update, OrderUpdate) and update.updated_ms]
    if len(answer.updates) >= ORDERS_MAX and states and min(states) > begin_ms:
        before = utc_text(min(states) * NS_PER_MS)
        yield Forgotten(
            f"orders that ended before {before}", f"the exchange keeps the newest {ORDERS_MAX:,}", "orderUpdates"
        )
        return min(states)
    return begin_ms


_NEWEST: Mapping[str, Callable[[str, int, Orders], _Newest]] = {
    **{one.name: partial(_fills, one) for one in _FILLS},
    "closed orders": _closed_orders,
}


def _page(kind: str, begin_ms: int, end_ms: int | None, page: str) -> MakeRequest:
    """A request for a period, or for what of it begins with this page."""
    end = {} if end_ms is None else {"endTime": end_ms}
    return info(kind, startTime=int(page) if page else begin_ms, **end)


def _cost(rows: int) -> int:
    return _LIST + rows // _ROWS_PER_WEIGHT
