"""What to ask Kraken over REST, and what its answers mean for further requests. Pure.

Histories are asked for by period, 50 rows at a time, newest first, at offsets. They have no end in the past; so a
backfill asks for periods of a year, and looks closer only where there is more than a page. A counter of each key rises
with its requests, and falls by and by.
Source: docs.kraken.com, "Spot REST": Account Data, "Rate Limits", "Errors".
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec

from recorder.clock import NS_PER_MS, utc_text
from recorder.errors import Refused, Undecodable
from recorder.venues.kraken import answers, sign
from recorder.venues.kraken.decode import BALANCES, EXECUTIONS
from recorder.venues.kraken.derivatives import POSITIONS, is_order_of_derivatives, topic
from recorder.venues.kraken.names import DERIVATIVES, TOKENIZED, is_contract, is_tokenized, split
from recorder.venues.paging import Orders, Pages, completed, day, pages, windows
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
    Token,
    Unrecorded,
    Verdict,
    verdict_of,
)

#: The counter of a key may reach 20, and falls by 1 in 2 s: 20 at once, and 20 more in 40 s. Of both, some is left for
#: tokens.
REST_LIMITS = (RestLimit(32, 40.0),)
#: By how much trades and the ledger raise it, and whatever else is private.
HISTORY_COST, COST = 4, 1

#: What a gap of derivatives hides for good, and the topics that would have told it. The list of positions and the
#: newest fills are pushed at each subscription; what was in between, and earlier fills, nobody can be asked for: the
#: REST interface of derivatives takes other keys, and ends in March 2027.
UNASKED = {
    topic(BALANCES): "what the wallets of derivatives were in between",
    POSITIONS: "what was held of derivatives in between",
    topic(EXECUTIONS): "orders and fills of derivatives",
}
_UNASKED_WHY = "no interface lists them for this key"

DAY_MS = 86_400_000
#: Lists may be a minute behind the stream.
MARGIN_MS = 60_000
#: How far back the ledger is asked for when nothing of it is known.
RECENT_MS = 7 * DAY_MS
#: A backfill's periods: the longer ones are asked for as a whole, and if they have more than a page, in shorter ones.
PERIODS_MS = (364 * DAY_MS, 28 * DAY_MS, 7 * DAY_MS)
#: Before the exchange opened: 2011-11-10.
FIRST_MS = 42 * PERIODS_MS[0]

#: What a key must be allowed to do, and what is not recorded without it.
NEEDED = {
    "query-funds": "balances",
    "query-open-trades": "open orders",
    "query-closed-trades": "ended orders and trades",
    "query-ledger": "the ledger",
}
STREAMING = "create-ws-token"
#: What it needs not be allowed to do.
ONLY_READS = frozenset([*NEEDED, STREAMING, "export-data"])

#: After how long a request that was one too many is tried again, and after a lockout, seconds. A lockout takes "a few
#: minutes", but each attempt before its end prolongs it.
LIMITED_S, LOCKED_S = 15.0, 900.0
#: For how long an address is banned that has connected too often, seconds. The CDN in front of the exchange does that.
BANNED_S = 600.0


def private(path: str, parameters: Mapping[str, str] | None = None, ofs: str = "") -> MakeRequest:
    """A signed request; `ofs` is the offset at which its page begins."""
    asked = {**(parameters or {}), **({"ofs": ofs} if ofs else {})}

    def make(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
        nonce = str(credentials.nonce(now_ms))
        body = urlencode({**asked, "nonce": nonce}).encode()
        return RestRequest(
            "POST", url + path, sign.headers(credentials["key"], credentials["secret"], path, nonce, body), body
        )

    return make


def server_time(url: str) -> RestRequest:
    """The exchange's clock; unsigned."""
    return RestRequest("GET", f"{url}{answers.TIME}", {})


class _Answer(msgspec.Struct):
    error: list[str]
    result: msgspec.Raw = msgspec.Raw(b"{}")


class _Time(msgspec.Struct):
    unixtime: int


class _Token(msgspec.Struct):
    token: str
    expires: int = 900


class _Key(msgspec.Struct):
    permissions: list[str]
    query_from: str | int | None = None
    query_to: str | int | None = None


_read = msgspec.json.Decoder(_Answer).decode


def server_time_ms(answer: bytes) -> int:
    """The exchange's clock, milliseconds since 1970. Raises one of `errors.UNREADABLE` if the answer has none.

    It is told in whole seconds: the middle of one is least wrong.
    """
    return msgspec.json.decode(_read(answer).result, type=_Time).unixtime * 1000 + 500


#: Beginnings of errors → what they mean; any other one is transient.
_ERRORS = {
    "EAPI:Rate limit exceeded": Verdict.WAIT,
    "EGeneral:Temporary lockout": Verdict.WAIT,
    "EService: Throttled": Verdict.WAIT,
    "EService:Throttled": Verdict.WAIT,
    "EAPI:Invalid key": Verdict.REFUSED,
    "EAPI:Invalid signature": Verdict.REFUSED,
    "EAPI:Feature disabled": Verdict.GONE,
    "EGeneral:Permission denied": Verdict.GONE,
    "EGeneral:Invalid arguments": Verdict.GONE,
    "EGeneral:Unknown": Verdict.GONE,
    "EQuery:Unknown": Verdict.GONE,
    answers.NO_SUCH_ORDER: Verdict.GONE,
    "EOrder:Invalid order": Verdict.GONE,
}
#: The statuses of a ban.
_BANNED = frozenset([403, 429])
_until_s = re.compile(r"Throttled: ?([0-9]{1,12})").search


def _errors(body: bytes) -> list[str]:
    """The errors of an answer, without warnings. Raises if it is none of the exchange."""
    return [one for one in _read(body).error if not one.startswith("W")]


def classify(status: int, body: bytes) -> Verdict:
    """Classify an HTTP answer. Errors are texts in the body, with status 200."""
    return verdict_of(status, body, _said, {})


def _said(_status: int, body: bytes) -> Verdict | None:
    errors = _errors(body)
    if not errors:
        return Verdict.ANSWER
    return next((verdict for begin, verdict in _ERRORS.items() if errors[0].startswith(begin)), None)


def wait_s(status: int, _headers: Mapping[str, str], body: bytes, now_ms: int) -> float:
    """How long to wait: until the counter has fallen, a lockout or ban is over, or the instant that the error names."""
    try:
        error = " ".join(_errors(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return BANNED_S if status in _BANNED else 0.0
    until = _until_s(error)
    if until is not None:
        return min(max(int(until[1]) - now_ms / 1000, 1.0), LOCKED_S)
    if "Temporary lockout" in error:
        return LOCKED_S
    return LIMITED_S if "Rate limit exceeded" in error else 0.0


def check(_login: Login) -> Unrecorded[tuple[str, ...]]:
    """What the key may do."""
    body = yield private(answers.KEY)
    try:
        key = msgspec.json.decode(_read(body).result, type=_Key)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ("the exchange does not say what the key may do",)
    may = frozenset(key.permissions)
    if STREAMING not in may:
        raise Refused("The key may not use WebSockets: allow it to access the WebSockets API, and start again.")
    warnings = [
        f"the key may not {need}: {what} cannot be asked for" for need, what in NEEDED.items() if need not in may
    ]
    more = sorted(may - ONLY_READS)
    if more:
        warnings.append(
            f"the key may {', '.join(more)}; recording needs a key that only queries: make one, use it instead"
        )
    if any(str(bound or 0) != "0" for bound in (key.query_from, key.query_to)):
        warnings.append("the key may only query a part of the history")
    return tuple(warnings)


def token(_login: Login) -> Unrecorded[Token]:
    """The token of a connection. It lives for as long as the connection is subscribed with it."""
    body = yield private(answers.TOKEN)
    given = msgspec.json.decode(_read(body).result, type=_Token)
    if not given.token:
        raise Undecodable("the answer has no token")
    return Token(given.token, float(given.expires))


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
    yield Question("balances", private(answers.BALANCES), BALANCES, COST)
    answer = yield Question("open orders", private(answers.OPEN_ORDERS), EXECUTIONS, COST)
    if answer is not None:
        found.take(answer.updates)
    return None


def _reconcile(known: Known) -> Questions:
    found = Orders()
    yield from _snapshot(found)
    if known.since_ms is None:
        return None
    # The ledger is asked for regularly, as a whole: pushes make no transactions.
    for history in (_ORDERS, _TRADES):
        yield from _history(history, known.since_ms - MARGIN_MS, known.now_ms + MARGIN_MS, found)
    if DERIVATIVES in known.streams:
        for of, subject in UNASKED.items():
            yield Forgotten(subject, _UNASKED_WHY, of, DERIVATIVES)
    for order in known.unfinished:
        if not found.has(order) and not is_order_of_derivatives(order.order_id, order.symbol):
            request = private(answers.ORDER, {"txid": order.order_id})
            yield Question(f"order {order.order_id}", request, EXECUTIONS, COST)
    return None


def _regular(known: Known) -> Questions:
    begin_ms = known.now_ms - RECENT_MS if known.since_ms is None else known.since_ms
    for ledger in (_LEDGER, _SHARES):
        yield from _history(ledger, begin_ms, known.now_ms + MARGIN_MS, Orders())
    yield Question("positions on margin", private(answers.POSITIONS), EXECUTIONS, COST)
    return None


def _instruments(known: Known) -> Questions:
    pairs = {one.symbol for one in known.instruments if one.symbol and not is_contract(one.symbol)}
    for symbol in sorted(pairs):
        base, _ = split(symbol) or ("", "")
        of_class = {"aclass_base": TOKENIZED} if is_tokenized(base) else {}
        target = f"{answers.PAIRS}?{urlencode({'pair': symbol, **of_class})}"
        yield Question(f"instrument {symbol}", partial(_public, target), "instruments", COST)
    return None


def _public(target: str, url: str, _credentials: Credentials, _now_ms: int) -> RestRequest:
    return RestRequest("GET", url + target, {})


class _History(NamedTuple):
    name: str
    path: str
    topic: str
    #: Parameters besides the period.
    parameters: Mapping[str, str]
    cost: int
    #: What it is a history of, for people.
    kind: str


#: Trades one by one, as they are pushed.
_ONE_BY_ONE = {"consolidate_taker": "false", "ledgers": "true"}
_ORDERS = _History("orders", answers.ORDERS, EXECUTIONS, {"closetime": "close"}, COST, "orders")
_TRADES = _History("trades", answers.TRADES, EXECUTIONS, _ONE_BY_ONE, HISTORY_COST, "fills")
_LEDGER = _History("ledger", answers.LEDGER, BALANCES, {}, HISTORY_COST, "transactions")
#: The ledger is filtered by class, even if none is named. What may be in both lists counts once, by its id.
_SHARES = _History(
    "ledger of tokenized assets",
    answers.LEDGER,
    BALANCES,
    {"aclass": TOKENIZED},
    HISTORY_COST,
    "transactions of tokenized assets",
)


def _backfill(known: Known) -> Questions:
    until_ms = known.now_ms if known.until_ms is None else known.until_ms
    begin_ms = max(known.since_ms or 0, FIRST_MS)
    longest, *shorter = PERIODS_MS
    for window in windows(begin_ms, until_ms, longest, aligned=True):
        for history in (_ORDERS, _TRADES, _LEDGER, _SHARES):
            yield from _period(known, history, window, begin_ms, until_ms, shorter)
    return None


def _period(
    known: Known, history: _History, window: tuple[int, int], begin_ms: int, until_ms: int, shorter: list[int]
) -> Pages:
    """A period of a backfill: as a whole if it has one page, else in shorter ones. Returns whether it is complete.

    A period that is only partly wanted is not asked for as a whole, unless there is no shorter one.
    """
    begins_ms, ends_ms = window
    subject = f"{history.name}, {(ends_ms + 1 - begins_ms) // DAY_MS} days from {day(begins_ms)}"
    if subject in known.done:
        return True
    is_past = ends_ms < known.now_ms - DAY_MS
    complete = False
    if not shorter:
        complete = yield from _history(history, begins_ms, ends_ms, Orders(), subject)
    elif begins_ms >= begin_ms:
        request = private(history.path, _asked(history, begins_ms, ends_ms))
        answer = yield Question(subject, request, history.topic, history.cost)
        if answer is None:
            return False
        complete = answer.next_page is None
    if complete:
        yield completed(subject, _kind(history, known), window, known.now_ms, is_past=is_past)
        return is_past
    if not shorter:
        return False
    length_ms, *rest = shorter
    are_complete = begin_ms <= begins_ms and ends_ms <= until_ms and is_past
    for part in windows(max(begins_ms, begin_ms), min(ends_ms, until_ms), length_ms, aligned=True):
        are_complete &= yield from _period(known, history, part, begin_ms, until_ms, rest)
    if are_complete:
        # What it is a history of, and since when, its parts have said.
        yield Completed(subject)
    return are_complete


def _kind(history: _History, known: Known) -> str:
    """What it is a history of, for people: of derivatives, nothing but the ledger is listed."""
    is_of_spot = known.environment == DERIVATIVES and history.path != answers.LEDGER
    return f"{history.kind} of spot" if is_of_spot else history.kind


def _asked(history: _History, begin_ms: int, end_ms: int) -> dict[str, str]:
    """The parameters of a history of a period: seconds, without the first one, and with the last one."""
    period = {"start": str(begin_ms // 1000 - 1), "end": str(end_ms // 1000 + 1)}
    return {**history.parameters, **period}


def _history(history: _History, begin_ms: int, end_ms: int, found: Orders, subject: str = "") -> Pages:
    named = subject or f"{history.name} since {utc_text(begin_ms * NS_PER_MS)}"
    page = partial(private, history.path, _asked(history, begin_ms, end_ms))
    return (yield from pages(named, page, topic=history.topic, cost=history.cost, take=found.take))
