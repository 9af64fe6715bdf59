"""The exchange's side of REST: authentication, limits, and an answer for each path that a recorder asks for. Pure.

Source: docs.kraken.com, "Spot REST": the pages of the paths, "Rate Limits", "Errors".
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from urllib.parse import parse_qsl

from recorder.clock import NS_PER_MS, utc_text
from recorder.venues.kraken import answers, questions, sign
from recorder.venues.kraken.derivatives import channel_of
from recorder.venues.kraken.names import TOKENIZED, currency, is_contract, is_tokenized
from recorder.venues.kraken.portal import PATH, UNIFIED_PATH
from recorder.venues.kraken.stand_in import frames, listed
from recorder.venues.kraken.stand_in.conversation import token_of
from recorder.venues.kraken.stand_in.spelling import code_of
from recorder.venues.limits import DecayingLimit
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Reply, Request, is_same, number_in
from recorder.venues.view import AccountView, Entry, SentState, Span

ASSETS = "/0/public/Assets"
PRIVATE = "/0/private/"

#: What the counter of a key may reach, and by how much it falls in a second: of the tier that traders have.
COUNT_MAX, FALLS_PER_S = 20, 0.5
#: Path → by how much a request raises it; of any other path by 1.
_WEIGHTS = {answers.TRADES: questions.HISTORY_COST, answers.LEDGER: questions.HISTORY_COST}

#: After so many wrong requests of a key in a row it is locked out for so long, milliseconds. The exchange says "too
#: many", and "typically a few minutes".
LOCKED_AFTER, LOCKED_MS = 10, 300_000

#: Longer than any simulated or recorded account is old, seconds.
_EVER_S = 10.0**9

Asked = Mapping[str, str]


class _Refused(Exception):
    """A request is refused with an error of the exchange."""


class _Lockouts:
    """The keys that are locked out, and those that may be soon."""

    def __init__(self) -> None:
        #: Key → how often it was refused in a row.
        self._refused: Counter[str] = Counter()
        #: Key → until when it is locked out, milliseconds since 1970.
        self._until_ms: dict[str, int] = {}

    def check(self, key: str, now_ms: int) -> None:
        """Refuse a key that is locked out. Each attempt prolongs that."""
        if now_ms < self._until_ms.get(key, 0):
            self._until_ms[key] = now_ms + LOCKED_MS
            raise _Refused("EGeneral:Temporary lockout")

    def refused(self, key: str, now_ms: int) -> None:
        """Count a refusal."""
        self._refused[key] += 1
        if self._refused[key] >= LOCKED_AFTER:
            self._until_ms[key] = now_ms + LOCKED_MS
            del self._refused[key]

    def accepted(self, key: str) -> None:
        """Note that a request has the right signature."""
        self._refused.pop(key, None)


class KrakenRequestHandler:
    """Implements `recorder.venues.stand_in.RequestHandler`, which documents the methods."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._limit = DecayingLimit(COUNT_MAX, FALLS_PER_S)
        #: Key → the greatest nonce so far.
        self._nonces: dict[str, int] = {}
        self._lockouts = _Lockouts()

    def handle(self, request: Request) -> bytes | Reply | AccountQuery | PortalAccess:
        """Decide how to answer one request, or refuse it."""
        path, _, query = request.target.partition("?")
        if path in {PATH, UNIFIED_PATH}:
            # Clients name their account when they subscribe.
            return PortalAccess(None, dict(parse_qsl(query)), path)
        try:
            if path.startswith(PRIVATE):
                return self._private(request, path)
            return self._public(path, dict(parse_qsl(query)))
        except _Refused as refused:
            return frames.refusal(str(refused))

    def error_body(self, error: HttpError) -> bytes:
        """The body of an answer with another HTTP status than 200."""
        return frames.refusal(f"EGeneral:{error.message}")

    def _public(self, path: str, asked: Asked) -> bytes:
        if path == answers.TIME:
            now_s = self._backend.clock_ms() // 1000
            return frames.answer({"unixtime": now_s, "rfc1123": utc_text(now_s * 1000 * NS_PER_MS)})
        every = self._backend.listed(frames.listed_pair, ("result",), by=())
        found = [one for one in every if not is_contract(one.name)]
        if path == ASSETS:
            coins = dict.fromkeys(currency(one.fields[name]) for one in found for name in ("base", "quote"))
            return frames.answer({code_of(coin): listed.asset(coin) for coin in coins})
        if path != answers.PAIRS:
            raise _Refused("EGeneral:Unknown method")
        wanted = asked.get("aclass_base") == TOKENIZED
        pairs = {one.name: one.row for one in found if is_tokenized(one.fields["base"]) == wanted}
        if "pair" in asked:
            pairs = listed.named(pairs, asked["pair"].split(","))
            if not pairs:
                raise _Refused("EQuery:Unknown asset pair")
        return frames.answer(pairs)

    def _private(self, request: Request, path: str) -> bytes | AccountQuery:
        if request.method != "POST":
            raise _Refused("EGeneral:Unknown method")
        asked = dict(parse_qsl(request.body.decode(errors="replace")))
        now_ms = self._backend.clock_ms()
        key, secret = self._admit(request, path, asked.get("nonce", ""), now_ms)
        if path == answers.TOKEN:
            return frames.answer({"token": token_of(key, secret, now_ms), "expires": 900})
        if path == answers.KEY:
            return frames.answer(listed.key_info())
        read = _ANSWERS.get(path)
        if read is None:
            raise _Refused("EGeneral:Unknown method")
        return AccountQuery(key, partial(self._answer, read, asked))

    def _answer(self, read: "_Read", asked: Asked, account: AccountView) -> bytes:
        try:
            return frames.answer(read(account, asked, self._backend))
        except _Refused as refused:
            return frames.refusal(str(refused))

    def _admit(self, request: Request, path: str, nonce: str, now_ms: int) -> tuple[str, str]:
        """Key and secret of a request that may be answered."""
        given = {name.upper(): value for name, value in request.headers.items()}
        key = given.get("API-KEY", "")
        secret = self._backend.secret_of(key)
        if secret is None:
            raise _Refused("EAPI:Invalid key")
        self._lockouts.check(key, now_ms)
        right = sign.signature(secret, path, nonce, request.body)
        try:
            self._authenticate(key, is_same(given.get("API-SIGN", ""), right), nonce)
        except _Refused:
            self._lockouts.refused(key, now_ms)
            raise
        self._lockouts.accepted(key)
        if self._limit.spend(key, now_ms, _WEIGHTS.get(path, 1)):
            raise _Refused("EAPI:Rate limit exceeded")
        return key, secret

    def _authenticate(self, key: str, is_signed: bool, nonce: str) -> None:
        if self._backend.is_expired(key):
            raise _Refused("EAPI:Invalid key")
        if not is_signed:
            raise _Refused("EAPI:Invalid signature")
        number = number_in(nonce)
        if number is None or number <= self._nonces.get(key, 0):
            raise _Refused("EAPI:Invalid nonce")
        self._nonces[key] = number


_Read = Callable[[AccountView, Asked, Backend], object]


def _balances(account: AccountView, _asked: Asked, _backend: Backend) -> object:
    return dict(map(listed.balance, filter(_is_of_spot, account.balances())))


def _open_orders(account: AccountView, _asked: Asked, _backend: Backend) -> object:
    return {"open": dict(map(listed.order, filter(_is_of_spot, account.open_orders())))}


def _one_order(account: AccountView, asked: Asked, _backend: Backend) -> object:
    states = [account.order(order_id) for order_id in asked.get("txid", "").split(",")]
    found = [state for state in states if state is not None and _is_of_spot(state)]
    if not found:
        raise _Refused(answers.NO_SUCH_ORDER)
    return dict(map(listed.order, found))


def _ended_orders(account: AccountView, asked: Asked, backend: Backend) -> object:
    since_ms, until_ms = _span(account, asked, backend, "orders")
    entries = account.closed_orders(Span(since_ms=since_ms, until_ms=until_ms, by_end=True))
    return _page("closed", _of_spot(account, entries), listed.order, asked)


def _trades(account: AccountView, asked: Asked, backend: Backend) -> object:
    since_ms, until_ms = _span(account, asked, backend, "fills")
    entries = account.fills(Span(since_ms=since_ms, until_ms=until_ms))
    return _page("trades", _of_spot(account, entries), listed.trade, asked)


def _ledger(account: AccountView, asked: Asked, backend: Backend) -> object:
    since_ms, until_ms = _span(account, asked, backend, "transactions")
    entries = account.transactions(Span(since_ms=since_ms, until_ms=until_ms))
    wanted = asked.get("aclass") == TOKENIZED
    return _page("ledger", (one for one in entries if listed.is_of_shares(one.state) == wanted), listed.entry, asked)


def _positions(_account: AccountView, _asked: Asked, _backend: Backend) -> object:
    return {}


_ANSWERS: dict[str, _Read] = {
    answers.BALANCES: _balances,
    answers.OPEN_ORDERS: _open_orders,
    answers.ORDER: _one_order,
    answers.ORDERS: _ended_orders,
    answers.TRADES: _trades,
    answers.LEDGER: _ledger,
    answers.POSITIONS: _positions,
}


def _is_of_spot(state: SentState) -> bool:
    """Whether it is told over REST: derivatives have topics of their own."""
    return channel_of(state.topic) == state.topic


def _of_spot(account: AccountView, entries: Iterable[Entry]) -> Iterable[Entry]:
    """The entries of spot. They are rendered only if there may be others."""
    if all(channel_of(topic) == topic for topic in account.topics):
        return entries
    return (entry for entry in entries if _is_of_spot(entry.state))


def _span(account: AccountView, asked: Asked, backend: Backend, kind: str) -> tuple[int, int]:
    """From which time on, and before which, milliseconds: the start is not included, the end is."""
    kept_ms = backend.retained_since_ms(kind, _EVER_S, account.now_ms)
    start, end = (_milliseconds(asked.get(name, "")) for name in ("start", "end"))
    return max(kept_ms, 0 if start is None else start + 1), account.now_ms + 1 if end is None else end + 1


def _milliseconds(seconds: str) -> int | None:
    is_number = seconds.isascii() and seconds.replace(".", "", 1).isdigit()
    return int(Decimal(seconds) * 1000) if is_number else None


def _page(name: str, entries: Iterable[Entry], row_of: listed.RowOf, asked: Asked) -> object:
    ofs = number_in(asked.get("ofs", "")) or 0
    found = list(entries)
    shown = found[ofs : ofs + answers.PAGE_ROWS]
    return {name: dict(row_of(entry.state) for entry in shown), "count": len(found)}
