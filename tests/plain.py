"""A made-up venue's server side, with every kind of instrument and all that a stand-in can do.

Frames and commands are JSON arrays, and the bare text `ping`. `/private` wants a login by command; on `/open` anybody
may follow any account. The topic `all` pushes each moment; `state` begins with the balances and repeats them.
REST is `POST /query` with a JSON body; a request that is refused for its key is answered with status 200.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import islice
from math import ceil
from typing import Any
from urllib.parse import parse_qsl

from recorder.venues.face import Push
from recorder.venues.limits import Connections, RateLimit
from recorder.venues.rest import CredentialField
from recorder.venues.simulated import (
    Funds,
    Moment,
    SimulatedFill,
    SimulatedOrder,
    SimulatedState,
    SimulatedTransaction,
    Terms,
)
from recorder.venues.stand_in import (
    AccountQuery,
    Backend,
    Close,
    HttpError,
    PortalAccess,
    ProtocolPing,
    Reply,
    Request,
    Said,
    Snapshot,
)
from recorder.venues.view import AccountView, Execution, SentState, Span

D = Decimal
MARGIN, CASH = "margin", "cash"

#: When what expires does: a minute and a half after the virtual clock's start.
EXPIRY_MS = 1_580_802_000_000 + 90_000


def derivative(
    symbol: str,
    kind: str,
    tick: str,
    step: str,
    price: str,
    *,
    hedged: bool = False,
    expires_ms: int = 0,
    closed_by_order: bool = False,
) -> Terms:
    """The terms of a derivative, settled in USDT if linear, in its base currency if inverse."""
    base = symbol[:3]
    return Terms(
        symbol=symbol,
        market=kind,
        kind="linear" if kind == "linear" else "inverse",
        base=base,
        quote="USDT" if kind == "linear" else "USD",
        settle="USDT" if kind == "linear" else base,
        wallet=MARGIN,
        price_tick=D(tick),
        quantity_step=D(step),
        unit=D("1E-8"),
        taker_rate=D("0.00055"),
        maker_rate=D("-0.0001"),
        maintenance_rate=D("0.005"),
        leverage=25,
        first_price=D(price),
        hedged=hedged,
        expires_ms=expires_ms,
        closed_by_order=closed_by_order,
    )


def option(symbol: str, settle: str, tick: str, first: str, *, hedged: bool = False) -> Terms:
    """The terms of an option on BTC, by its strike and `C` or `P`."""
    strike, _, form = symbol.partition("-")
    return Terms(
        symbol=symbol,
        market=f"option-{settle}",
        kind="option",
        base="BTC",
        quote="USDT" if settle == "USDT" else "USD",
        settle=settle,
        wallet=MARGIN,
        price_tick=D(tick),
        quantity_step=D("0.01"),
        unit=D("1E-8"),
        taker_rate=D("0.01"),
        maker_rate=D("-0.002"),
        first_price=D(first),
        hedged=hedged,
        expires_ms=EXPIRY_MS,
        strike=D(strike),
        is_put=form == "P",
    )


def spot(symbol: str, wallet: str, *, fee_in_received: bool) -> Terms:
    """The terms of a spot market."""
    return Terms(
        symbol=symbol,
        market=f"spot-{wallet}",
        kind="spot",
        base="BTC",
        quote="USDT",
        settle="USDT",
        wallet=wallet,
        price_tick=D("0.01"),
        quantity_step=D("0.00001"),
        unit=D("1E-8"),
        base_unit=D("1E-10"),
        taker_rate=D("0.001"),
        maker_rate=D("-0.0002"),
        first_price=D(67_000),
        fee_in_received=fee_in_received,
    )


TERMS = (
    derivative("BTCUSDT", "linear", "0.1", "0.001", "67000", hedged=True),
    derivative("ETHUSDT", "linear", "0.01", "0.01", "3391.25"),
    derivative("BTCUSD", "inverse", "0.5", "1", "67000"),
    spot("BTCUSDT", MARGIN, fee_in_received=True),
    spot("BTCUSDT", CASH, fee_in_received=False),
)

#: What expires.
DATED = (
    derivative("BTCUSDT-4FEB20", "linear", "0.1", "0.001", "67100", expires_ms=EXPIRY_MS, closed_by_order=True),
    derivative("ETHUSDT-4FEB20", "linear", "0.01", "0.01", "3395", expires_ms=EXPIRY_MS, hedged=True),
    derivative("BTCUSD-4FEB20", "inverse", "0.5", "1", "67050", expires_ms=EXPIRY_MS),
    option("66000-C", "BTC", "0.0001", "0.03"),
    option("68000-P", "BTC", "0.0001", "0.03"),
    option("68000-C", "USDT", "5", "1500", hedged=True),
    option("66000-P", "USDT", "5", "1500"),
)

FUNDS = (
    Funds(MARGIN, "USDT", D(60_000), D(20_000), D("30000.5")),
    Funds(MARGIN, "BTC", D(2), D("0.5"), D("1.00000001")),
    Funds(CASH, "USDT", D(20_000), D(5_000), D(10_000)),
    Funds(CASH, "BTC", D(1), D("0.1"), D("0.5")),
)


#: Seconds after which the topic `state` repeats itself, and without a sign of life until the connection closes.
REPEAT_S, SILENCE_S = 0.1, 20.0

#: Weight of a history and of any other request; the weight of an address in a second, and how long a ban lasts.
HISTORY_WEIGHT, WEIGHT, WEIGHT_MAX, WINDOW_MS, BAN_MS = 20, 1, 100, 60_000, 7_000

#: How long fills are served, seconds.
FILLS_S = 1e9


def dump(*said: object) -> bytes:
    """A JSON array; decimals are texts."""
    return json.dumps(said, default=str).encode()


class PlainFace:
    """Pushes each moment as it is; the frame says of what it consists."""

    def __init__(self, _terms: Sequence[Terms], key: str) -> None:
        self.moments: list[Moment] = []
        self._key = key

    def topics(self) -> Collection[str]:
        """Moments, and balances."""
        return ("all", "state")

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        """One frame a moment."""
        self.moments.append(moment)
        yield Push("all", dump("moment", self._key, now_ms, [type(event).__name__ for event in moment]), moment)

    def snapshot(self, topic: str, state: SimulatedState, now_ms: int, *, is_first: bool) -> Iterator[bytes]:
        """All balances in one frame."""
        if topic == "state":
            balances = {f"{one.wallet}/{one.currency}": one.total for one in state.current_balances()}
            yield dump("state", self._key, now_ms, is_first, balances)

    def balances(self, state: SimulatedState) -> Iterator[SentState]:
        """A row each."""
        for one in state.current_balances():
            yield SentState("balance", dump(one.wallet, one.currency, one.total))

    def positions(self, state: SimulatedState) -> Iterator[SentState]:
        """A row each."""
        for one in state.current_positions():
            yield SentState("position", dump(one.terms.name, one.position_side, one.signed, one.unrealized_pnl))

    def order_number(self, order_id: str) -> int | None:
        """The same."""
        return int(order_id)

    def order(self, order: SimulatedOrder) -> SentState:
        """A row."""
        return SentState("order", dump(order.id, order.terms.name, order.status))

    def fill(self, fill: SimulatedFill) -> SentState:
        """A row."""
        return SentState("fill", dump(fill.trade_id, fill.terms.name, fill.side, fill.price, fill.quantity, fill.fee))

    def transaction(self, transaction: SimulatedTransaction) -> SentState:
        """A row."""
        return SentState("transaction", dump(transaction.id, transaction.type, transaction.amount))

    def execution(self, fill: SimulatedFill) -> Execution:
        """None such."""
        raise NotImplementedError


class PlainConversation:
    """Implements `recorder.venues.stand_in.Conversation`."""

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        self._backend = backend
        self._is_private = access.path == "/private"
        self._followed: dict[str, set[str]] = {}
        self._silence_s = backend.ping_timeout_s or SILENCE_S
        self._closes_s = now_s + self._silence_s
        self._asks_s = now_s + self._silence_s / 2
        self._repeats_s = float("inf")
        self.wake_s = self._asks_s

    @property
    def keys(self) -> Collection[str]:
        """The account that has logged in, or those that are followed."""
        return tuple(self._followed)

    def topics_of(self, key: str) -> Collection[str]:
        """The topics of one of them."""
        return self._followed.get(key, ())

    def pushed(self, key: str, topic: str, payload: bytes) -> tuple[bytes]:
        """The push itself."""
        return (payload,)

    def open(self, now_ms: int, now_s: float) -> list[Said]:
        """No greeting."""
        return []

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Any frame is a sign of life."""
        self.heard(now_ms, now_s)
        if message == b"ping":
            return [b"pong"]
        match json.loads(message):
            case ["login", str(key), str(secret)]:
                return self._log_in(key, secret)
            case ["sub", str(topic), *key]:
                return self._subscribe(topic, key[0] if key else next(iter(self._followed), ""), now_s)
        return [dump("error", "unknown command")]

    def heard(self, now_ms: int, now_s: float) -> None:
        """Put off the end."""
        self._closes_s, self._asks_s = now_s + self._silence_s, now_s + self._silence_s / 2
        self._plan()

    def wake(self, now_ms: int, now_s: float) -> list[Said]:
        """Repeat the state, ask for a sign of life, or end."""
        if now_s >= self._closes_s:
            return [Close(4000, "no sign of life")]
        said: list[Said] = []
        if now_s >= self._asks_s:
            said.append(ProtocolPing())
            self._asks_s = self._closes_s
        if now_s >= self._repeats_s:
            said += [Snapshot(key, "state", False) for key, topics in self._followed.items() if "state" in topics]
            self._repeats_s = now_s + REPEAT_S
        self._plan()
        return said

    def _log_in(self, key: str, secret: str) -> list[Said]:
        if self._backend.secret_of(key) != secret:
            return [dump("error", "unknown key"), Close(4001, "unknown key")]
        if self._backend.is_expired(key):
            return [dump("error", "the key has expired")]
        self._followed = {key: set()}
        return [dump("ok", "login")]

    def _subscribe(self, topic: str, key: str, now_s: float) -> list[Said]:
        if self._is_private and key not in self._followed:
            return [dump("error", "login first")]
        if not self._backend.has_topic(key, topic):
            return [dump("error", f"no topic {topic}")]
        self._followed.setdefault(key, set()).add(topic)
        if topic != "state":
            return [dump("ok", topic)]
        self._repeats_s = now_s + REPEAT_S
        self._plan()
        return [dump("ok", topic), Snapshot(key, topic, True)]

    def _plan(self) -> None:
        self.wake_s = min(self._closes_s, self._asks_s, self._repeats_s)


class PlainHandler:
    """Implements `recorder.venues.stand_in.RequestHandler`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._weights = RateLimit(WEIGHT_MAX, WINDOW_MS, ban_ms=BAN_MS)

    def handle(self, request: Request) -> Reply | AccountQuery | PortalAccess:
        """One path answers everything."""
        path, _, query = request.target.partition("?")
        if path in {"/private", "/open"}:
            return PortalAccess(None, dict(parse_qsl(query)), path)
        if path == "/status":
            return Reply(b"up", content_type="text/plain")
        if (request.method, path) != ("POST", "/query"):
            raise HttpError(404, "no such path")
        asked = json.loads(request.body)
        weight = HISTORY_WEIGHT if asked["what"] in _HISTORIES else WEIGHT
        now_ms = self._backend.clock_ms()
        wait_ms = self._weights.spend(request.peer, now_ms, weight)
        if wait_ms:
            raise HttpError(429, "too much weight", ceil(wait_ms / 1000))
        key = request.headers.get("X-Key", "")
        if self._backend.secret_of(key) is None:
            return Reply(dump("error", 3, "unknown key"))
        if self._backend.is_expired(key):
            return Reply(dump("error", 33, "the key has expired"))
        left = str(self._weights.left(request.peer, now_ms))
        return AccountQuery(key, partial(self._answer, asked, left))

    def error_body(self, error: HttpError) -> bytes:
        """Plain words."""
        return error.message.encode()

    def _answer(self, asked: dict[str, Any], left: str, view: AccountView) -> Reply:
        what, limit = asked["what"], asked.get("limit", 100)
        headers = {"X-Weight-Left": left}
        if what == "balances":
            return Reply(dump(*[one.payload.decode() for one in view.balances()]), headers=headers)
        since_ms = max(asked.get("since", 0), self._backend.retained_since_ms(what, FILLS_S, view.now_ms))
        span = Span(
            since_ms=since_ms,
            until_ms=asked.get("until", 1 << 60),
            market=asked.get("market"),
            oldest_first=asked.get("oldest_first", False),
            beyond=asked.get("cursor"),
        )
        page = list(islice(_HISTORIES[what](view)(span), limit + 1))
        cursor = page[limit - 1].id if len(page) > limit else None
        rows = [[one.at_ms, *json.loads(one.state.payload)] for one in page[:limit]]
        return Reply(dump(rows, cursor), headers=headers)


_HISTORIES: dict[str, Callable[[AccountView], Callable[[Span], Any]]] = {
    "fills": lambda view: view.fills,
    "transactions": lambda view: view.transactions,
}


class PlainStandIn:
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols: tuple[str, ...] = ()
    default_account = ("plain-key", "plain-secret")
    public_paths: Collection[str] = frozenset(["/status"])
    face = PlainFace
    request_handler = PlainHandler
    conversation = PlainConversation

    def credentials(self, key: str, secret: str) -> Mapping[str, str]:
        """Key and secret."""
        return {"key": key, "secret": secret}

    def key_in(self, payload: bytes) -> None:
        """None."""

    def dated_symbols(self, _at_ms: int) -> tuple[str, ...]:
        """They are among `terms`."""
        return ()

    def terms(self, _symbols: Sequence[str]) -> tuple[Terms, ...]:
        """All instruments."""
        return TERMS + DATED

    def funds(self, _terms: Sequence[Terms]) -> tuple[Funds, ...]:
        """All currencies."""
        return FUNDS


class Plain:
    """As much of a venue as an exchange needs."""

    credential_fields = (CredentialField("key"), CredentialField("secret"))
    connections = Connections()
    stand_in = PlainStandIn()
