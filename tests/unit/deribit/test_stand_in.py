"""The exchange's side: who is let in, what each list has of a simulated account, and the course of a connection."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from recorder.model import FINAL_STATUSES, FillUpdate, OrderUpdate, PositionUpdate, Transaction
from recorder.simulator.exchange import Exchange
from recorder.venues.deribit import answers, sign
from recorder.venues.deribit.portal import CHANGES, PATH, PORTFOLIO, TOPICS
from recorder.venues.deribit.stand_in import frames, rest
from recorder.venues.deribit.stand_in.conversation import DeribitConversation
from recorder.venues.stand_in import AccountQuery, Backend, Close, PortalAccess, Reply, Request, Snapshot
from tests.unit.deribit.frames import VENUE, asked, read

KEY, SECRET = "Ab3dE6gH", "AMANDASECRET"
#: The exchange traded for some minutes before this.
PUSHES = 1_500


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    """An account that has traded, received funding and lost a position, and whose options have expired."""
    found = Exchange(5, venue="deribit", funding_interval_ms=2_000, expiry_ms=40_000)
    for number in range(PUSHES):
        if number in {300, 900}:
            found.end_position("liquidation")
        next(found)
    return found


class Server:
    """The stand-in's REST, at the end of the exchange's trading."""

    def __init__(self, exchange: Exchange, **options: Any) -> None:
        self.exchange = exchange
        self.now_ms = exchange.view().now_ms
        self.backend = Backend(
            secret_of={KEY: SECRET}.get,
            clock_ms=lambda: self.now_ms,
            terms=exchange.terms,
            **options,
        )
        self.handler = rest.DeribitRequestHandler(self.backend)

    def send(self, target: str, headers: Mapping[str, str], method: str = "GET") -> tuple[int, Any]:
        """The HTTP status and the body of an answer."""
        got = self.handler.handle(Request(method, target, headers, "http://x"))
        if isinstance(got, AccountQuery):
            assert got.key == KEY
            got = got.answer(self.exchange.view())
        reply = got if isinstance(got, Reply) else Reply(got)  # type: ignore[arg-type]
        return reply.status, json.loads(reply.body)

    def ask(self, path: str, secret: str = SECRET, once: str = "", at_ms: int | None = None, **query: Any) -> Any:
        """Ask with a signature: the result, or the code of the error."""
        target = f"{path}?{urlencode(query)}" if query else path
        now_ms = self.now_ms if at_ms is None else at_ms
        given = sign.authorization(KEY, secret, "GET", target, now_ms, once or sign.nonce())
        status, body = self.send(target, {"authorization": given})
        assert (status == 200) == ("result" in body)
        return body["result"] if status == 200 else body["error"]["code"]

    def all(self, path: str, place: str, **query: Any) -> list[Any]:
        """All pages of a list."""
        rows: list[Any] = []
        while True:
            self.now_ms += 1_000  # within its limits
            told = self.ask(path, **query)
            rows += told[place]
            if told["continuation"] is None:
                return rows
            query["continuation"] = told["continuation"]


@pytest.fixture
def server(exchange: Exchange) -> Server:
    return Server(exchange)


def test_a_signature_lets_in_once(server: Server) -> None:
    assert server.ask(answers.BALANCES, once="abc")["summaries"]
    assert server.ask(answers.BALANCES, once="abc") == 13004
    assert server.ask(answers.BALANCES, secret="wrong") == 13004
    assert server.ask(answers.BALANCES, at_ms=server.now_ms - 60_001) == 13004
    assert server.ask(answers.BALANCES, at_ms=server.now_ms + 60_000)["summaries"]


def test_a_signature_is_of_what_is_asked(server: Server) -> None:
    given = sign.authorization(KEY, SECRET, "GET", f"{answers.ORDER}?order_id=1", server.now_ms, "once")
    assert server.send(f"{answers.ORDER}?order_id=2", {"Authorization": given})[1]["error"]["code"] == 13004
    for header in ({}, {"Authorization": "Bearer abc"}):
        status, body = server.send(answers.BALANCES, header)
        assert (status, body["error"]) == (
            400,
            {"code": 13009, "message": "unauthorized", "data": {"reason": "invalid_token"}},
        )


def test_a_login_over_rest_says_what_the_key_may_do(server: Server) -> None:
    asked = sign.login(KEY, SECRET, server.now_ms, "once")
    _, body = server.send(f"{answers.AUTH}?{urlencode(asked)}", {})
    assert "trade:read" in body["result"]["scope"].split()
    wrong = {**sign.login(KEY, "wrong", server.now_ms, "another")}
    assert server.send(f"{answers.AUTH}?{urlencode(wrong)}", {})[1]["error"]["code"] == 13004
    other = {"grant_type": "password"}
    assert server.send(f"{answers.AUTH}?{urlencode(other)}", {})[1]["error"]["code"] == -32602


def test_errors_have_codes_and_the_status_400(server: Server) -> None:
    assert server.ask(answers.LOG, currency="BTC") == -32602
    assert server.ask(answers.FILLS, currency="BTC", start_timestamp="soon", end_timestamp="1") == -32602
    assert server.ask(f"{answers.API}private/get_secret") == -32601
    assert server.ask(answers.ORDER, order_id="7") == 10004
    assert server.send(answers.BALANCES, {}, "POST")[1]["error"]["code"] == -32600
    assert server.send(f"{answers.INSTRUMENT}?instrument_name=X", {})[1]["error"]["code"] == 13020


def test_too_many_requests_are_refused_and_those_for_the_log_apart(server: Server) -> None:
    log: dict[str, Any] = {"currency": "BTC", "start_timestamp": 0, "end_timestamp": 1}
    told = [server.ask(answers.LOG, **log) for _ in range(9)]
    assert told[8] == 10028 and 10028 not in told[:8]
    told = [server.ask(answers.BALANCES) for _ in range(101)]
    assert told[100] == 10028 and 10028 not in told[:100]
    server.now_ms += 8_000
    assert server.ask(answers.LOG, **log) != 10028


def test_every_fill_is_listed_page_by_page_once_in_time(server: Server) -> None:
    server.now_ms += 100 * rest.LAG_MS
    found: list[str] = []
    for currency in ("BTC", "ETH", "USDC"):
        begins = 0
        while True:
            server.now_ms += 1_000
            query: dict[str, Any] = {
                "currency": currency,
                "start_timestamp": begins,
                "end_timestamp": server.now_ms,
                "count": 7,
            }
            told = server.ask(answers.FILLS, sorting="asc", historical="false", **query)
            times = [one["timestamp"] for one in told["trades"]]
            assert times == sorted(times) and all(at_ms >= begins for at_ms in times)
            found += [one["trade_id"] for one in told["trades"]]
            if not told["has_more"]:
                break
            assert len(times) == 7 and times[-1] > begins
            begins = times[-1]
    truth = {frames.trade_id(fill) for fill in server.exchange.history.fills}
    assert set(found) == truth


def test_the_halves_of_a_history(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "LAG_MS", 5_000)
    server = Server(exchange, retention_s={"fills": 10, "orders": 10})
    view_ms = exchange.view().now_ms
    query: dict[str, Any] = {
        "currency": "BTC",
        "start_timestamp": 0,
        "end_timestamp": view_ms,
        "count": 1_000,
        "sorting": "asc",
    }
    recent = server.ask(answers.FILLS, historical="false", **query)["trades"]
    old = server.ask(answers.FILLS, historical="true", **query)["trades"]
    assert recent and all(one["timestamp"] >= view_ms - 10_000 for one in recent)
    assert old and all(one["timestamp"] <= view_ms - rest.LAG_MS for one in old)
    orders: dict[str, Any] = {
        "currency": "BTC",
        "count": 1_000,
        "with_continuation": "true",
        "include_unfilled": "true",
    }
    newest = server.ask(answers.ORDERS, historical="false", **orders)["orders"]
    kept = server.ask(answers.ORDERS, historical="true", **orders)["orders"]
    assert all(one["last_update_timestamp"] >= view_ms - 10_000 for one in newest)
    # Those that were never filled are forgotten.
    assert kept and all(one["filled_amount"] > 0 for one in kept)
    assert any(not one["filled_amount"] for one in newest)
    without = server.ask(answers.ORDERS, historical="false", **{**orders, "include_unfilled": "false"})["orders"]
    assert without == [one for one in newest if one["filled_amount"]]


def test_the_log_leads_from_each_balance_to_the_next(server: Server) -> None:
    for currency in ("BTC", "ETH", "USDC"):
        query: dict[str, Any] = {"currency": currency, "start_timestamp": 0, "end_timestamp": server.now_ms, "count": 9}
        rows = server.all(answers.LOG, "logs", **query)[::-1]
        assert len({one["id"] for one in rows}) == len(rows) > 9
        assert [one["id"] for one in rows] == sorted(one["id"] for one in rows)
        target = f"{answers.LOG}?currency={currency}"
        body = json.dumps({"result": {"logs": rows, "continuation": None}}).encode()
        after = Decimal(0)
        for one in asked(target, body).updates:
            if isinstance(one, PositionUpdate):
                continue  # a delivery ended it
            assert isinstance(one, Transaction)
            after += Decimal(one.amount or 0).quantize(Decimal("1E-8"))
            assert Decimal(one.balance_after or 0).quantize(Decimal("1E-8")) == after
        types = {one["type"] for one in rows}
        assert types >= {"trade", "deposit"}
        # Of a future, the fee; what was earned is settled at once.
        trades = [one for one in rows if one["type"] == "trade" and one["instrument_name"].endswith("PERPETUAL")]
        assert all(one["change"] == -one["commission"] for one in trades) and (currency == "ETH" or trades)


def test_open_orders_positions_and_ended_trigger_orders(server: Server) -> None:
    told = server.ask(answers.OPEN_ORDERS, type="all")
    truth = {one.id for one in server.exchange.history.open_orders()}
    assert {server.exchange.face.order_number(one["order_id"]) for one in told} == truth
    for one in told[:5]:
        assert server.ask(answers.ORDER, order_id=one["order_id"]) == one
    positions = server.ask(answers.POSITIONS, currency="any")
    assert all(one["size"] for one in positions)
    in_bitcoin = server.ask(answers.POSITIONS, currency="BTC")
    assert {one["instrument_name"] for one in in_bitcoin} <= {"BTC-PERPETUAL"}
    assert server.ask(answers.BALANCE, currency="BTC")["balance"] > 0
    assert server.ask(answers.BALANCE, currency="SOL")["balance"] == 0
    never = server.ask(answers.POSITION, instrument_name="SOL-PERPETUAL")
    assert (never["size"], never["direction"]) == (0, "zero")
    ended = [
        one for of in ("BTC", "ETH", "USDC") for one in server.all(answers.TRIGGERS, "entries", currency=of, count=3)
    ]
    assert ended and all("SLT" in one["trigger_order_id"] for one in ended)
    decoded = asked(answers.TRIGGERS, json.dumps({"result": {"entries": ended, "continuation": None}}).encode())
    assert {one.status for one in decoded.updates if isinstance(one, OrderUpdate)} <= FINAL_STATUSES


def test_instruments_by_currency_and_kind(server: Server) -> None:
    def names(query: str) -> set[str]:
        return {one["instrument_name"] for one in server.send(f"{answers.INSTRUMENTS}?{query}", {})[1]["result"]}

    def one(name: str) -> dict[str, Any]:
        found: dict[str, Any] = server.send(f"{answers.INSTRUMENT}?instrument_name={name}", {})[1]["result"]
        return found

    assert names("currency=any") == set(VENUE.stand_in.default_symbols)
    assert names("currency=BTC") == {"BTC-PERPETUAL", "BTC_USDC-PERPETUAL"}
    assert names("currency=any&kind=spot") == {"ETH_USDC"}
    assert names("currency=any&kind=option") == set()
    assert one("ETH_USDC")["instrument_name"] == "ETH_USDC"
    expired = {"BTC-3FEB20-91000-C", "BTC-3FEB20-92000-P", "BTC_USDC-3FEB20-91500-C"}
    assert names("currency=any&kind=option&expired=true") == expired
    put = one("BTC-3FEB20-92000-P")
    assert (put["option_type"], put["strike"], put["state"], put["is_active"]) == ("put", 92000, "delivered", False)
    assert (put["settlement_currency"], put["quote_currency"], put["instrument_type"]) == ("BTC", "BTC", "reversed")
    server.now_ms = put["expiration_timestamp"] - 1
    assert names("currency=any&kind=option") == expired
    assert one("BTC_USDC-3FEB20")["state"] == "open"


def test_what_expired_is_delivered_in_the_log(server: Server) -> None:
    rows: list[dict[str, Any]] = []
    for currency in ("BTC", "USDC"):
        query: dict[str, Any] = {"currency": currency, "start_timestamp": 0, "end_timestamp": server.now_ms}
        rows += [one for one in server.all(answers.LOG, "logs", **query) if one["type"] == "delivery"]
    told = {one["instrument_name"]: one for one in rows}
    assert len(told) == len(rows) == 5
    assert {one["side"] for one in rows} == {"close buy", "close sell"}
    for name, row in told.items():
        assert (row["position"], row["trade_id"], row["order_id"]) == (0, None, None) and row["amount"] > 0
        body = json.dumps({"result": {"logs": [row], "continuation": None}}).encode()
        transaction, position = asked(answers.LOG, body).updates
        assert isinstance(transaction, Transaction) and isinstance(position, PositionUpdate)
        assert (transaction.type, transaction.symbol, position.symbol) == ("settlement", name, name)
        assert Decimal(position.quantity or 1) == 0
    listed = [one for of in ("BTC", "USDC") for one in server.all(answers.SETTLEMENTS, "settlements", currency=of)]
    assert {one["type"] for one in listed} == {"settlement", "delivery"}
    query = {"currency": "BTC", "type": "delivery", "count": 1}
    of_bitcoin = server.all(answers.SETTLEMENTS, "settlements", **query)
    assert of_bitcoin == [one for one in listed if one["type"] == "delivery" and "_USDC" not in one["instrument_name"]]
    for one in listed:
        if one["type"] == "delivery":
            row = told[one["instrument_name"]]
            assert (one["profit_loss"], abs(one["position"])) == (row["change"], row["amount"])
            assert (one["position"] > 0) == (row["side"] == "close sell")
    # What each was worth, by its name and the settlement price.
    price = Decimal(str(told["BTC-3FEB20-91000-C"]["settlement_price"]))
    worth = {
        "BTC-3FEB20-91000-C": max(price - 91_000, Decimal(0)) / price,
        "BTC-3FEB20-92000-P": max(92_000 - price, Decimal(0)) / price,
        "BTC_USDC-3FEB20-91500-C": max(price - 91_500, Decimal(0)),
    }
    for name, each in worth.items():
        row = told[name]
        amount = Decimal(str(row["amount"])) * each * (1 if row["side"] == "close sell" else -1)
        assert abs(amount - Decimal(str(row["change"]))) < Decimal("1E-8")
    assert any(worth.values()) and not all(worth.values())
    # Nobody is pushed the end of the position, and it is in no list.
    assert all("3FEB20" not in one["instrument_name"] for one in server.ask(answers.POSITIONS, currency="any"))


@pytest.mark.parametrize(
    "symbol", ["BTC-31FEB26", "btc-perpetual", "BTC-25DEC26-C", "X", "BTC-FS-A_B", "BTC-25DEC26-1-X"]
)
def test_other_instruments_are_not_simulated(symbol: str) -> None:
    with pytest.raises(ValueError, match="is not a symbol"):
        VENUE.stand_in.terms([symbol])
    with pytest.raises(ValueError, match="given once"):
        VENUE.stand_in.terms(["ETH_USDC", "ETH_USDC"])


class Line:
    """A client of the socket."""

    def __init__(self, **options: Any) -> None:
        self.now_ms, self.now_s = 1_795_852_800_000, 0.0
        self.backend = Backend(
            secret_of={KEY: SECRET}.get,
            clock_ms=lambda: self.now_ms,
            has_topic=lambda _key, topic: topic in TOPICS and topic != "platform_state",
            **options,
        )
        self.line = DeribitConversation(PortalAccess(None, {}, PATH), self.backend, self.now_s)

    def say(self, method: str, request_id: object = 1, **params: object) -> list[Any]:
        """What is answered: JSON, and anything else as it is."""
        message = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}).encode()
        return self.told(message)

    def told(self, message: bytes) -> list[Any]:
        said = self.line.receive(message, self.now_ms, self.now_s)
        return [json.loads(one) if isinstance(one, bytes) else one for one in said]

    def log_in(self) -> None:
        (answer,) = self.say("public/auth", **sign.login(KEY, SECRET, self.now_ms, sign.nonce()))
        assert answer["result"]["token_type"] == "bearer"


def test_a_connection_logs_in_and_subscribes() -> None:
    line = Line()
    (refused,) = line.say("private/subscribe", channels=list(TOPICS))
    assert refused["error"]["code"] == 13009
    line.log_in()
    assert list(line.line.keys) == [KEY]
    answer, snapshot = line.say("private/subscribe", "subscribe", channels=[*TOPICS, 7])
    # A channel that does not exist is left out, without an error.
    assert (answer["id"], answer["result"]) == ("subscribe", [CHANGES, PORTFOLIO, "user.lock"])
    assert snapshot == Snapshot(KEY, PORTFOLIO, is_first=True)
    assert set(line.line.topics_of(KEY)) == {CHANGES, PORTFOLIO, "user.lock"}
    # Some clients write a method as a path.
    (left,) = line.say("/private/unsubscribe", channels=["user.lock", "unknown"])
    assert left["result"] == ["user.lock"]
    assert set(line.line.topics_of(KEY)) == {CHANGES, PORTFOLIO}
    # A renewed login leaves the subscriptions.
    line.log_in()
    assert set(line.line.topics_of(KEY)) == {CHANGES, PORTFOLIO}


@pytest.mark.parametrize(
    "params",
    [
        sign.login(KEY, "wrong", 1_795_852_800_000, "once"),
        sign.login("nobody", SECRET, 1_795_852_800_000, "once"),
        sign.login(KEY, SECRET, 1_795_852_700_000, "once"),
        sign.login(KEY, SECRET, 1_795_852_800_000, "once") | {"signature": "é"},
        sign.login(KEY, SECRET, 1_795_852_800_000, "once") | {"timestamp": "9" * 5_000},
        {"grant_type": "client_credentials", "client_id": KEY, "client_secret": "é"},
        {"grant_type": "client_credentials", "client_id": KEY, "client_secret": "wrong"},
    ],
)
def test_a_wrong_login_is_refused(params: dict[str, object]) -> None:
    line = Line()
    (answer,) = line.say("public/auth", **params)
    assert answer["error"] == {"code": 13004, "message": "invalid_credentials"}
    assert not line.line.keys


def test_the_secret_itself_lets_in_too() -> None:
    line = Line()
    line.say("public/auth", grant_type="client_credentials", client_id=KEY, client_secret=SECRET)
    assert list(line.line.keys) == [KEY]


def test_a_client_that_does_not_answer_the_question_is_disconnected() -> None:
    line = Line()
    assert line.line.wake_s > 10**6
    assert line.say("public/set_heartbeat", interval=30)[0]["result"] == "ok"
    for _ in range(3):
        line.now_s = line.line.wake_s
        assert line.now_s % 30 == 0
        beat, question = (read(one) for one in line.line.wake(line.now_ms, line.now_s) if isinstance(one, bytes))
        assert (beat.topic, question.topic) == ("heartbeat", "heartbeat")
        assert line.say("public/test", "test")[0]["result"] == {"version": "1.2.26"}
    line.now_s = line.line.wake_s
    assert len(line.line.wake(line.now_ms, line.now_s)) == 2
    # Anything else that it says is no answer.
    line.say("public/get_time")
    line.now_s = line.line.wake_s
    assert line.line.wake(line.now_ms, line.now_s) == [Close(1000, "")]


def test_heartbeats_come_every_ten_seconds_at_most_and_a_silent_client_may_be_ended_sooner() -> None:
    assert Line().say("public/set_heartbeat", interval=9)[0]["error"]["code"] == -32602
    line = Line(ping_timeout_s=0.5)
    assert line.line.wake_s == 0.5
    assert line.line.wake(line.now_ms, 0.5) == [Close(1000, "")]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"nonsense", -32700),
        (b"[]", -32600),
        (b'{"method":7}', -32600),
        (b'{"method":"private/buy","id":3}', -32601),
        (b'{"method":"public/subscribe","params":{"channels":"x"}}', -32602),
    ],
)
def test_nonsense_is_refused(message: bytes, code: int) -> None:
    (answer,) = Line().told(message)
    assert answer["error"]["code"] == code


def test_channels_that_show_the_same_in_other_forms(exchange: Exchange) -> None:
    line = Line()
    line.log_in()
    wanted = ["user.orders.any.any.raw", "user.trades.any.any.raw", "user.portfolio.BTC", "user.books.any"]
    answer, _ = line.say("private/subscribe", channels=wanted)
    assert answer["result"] == wanted[:3]
    pushes = [next(exchange) for _ in range(300)]
    whole = [update for _, payload in pushes for update in read(payload).updates]
    parts = [
        read(one)
        for topic, payload in pushes
        for one in line.line.pushed(KEY, topic, payload)
        if topic in line.line.topics_of(KEY)
    ]
    assert {one.topic for one in parts} == {*wanted[:2], "user.portfolio.btc"}
    for kind in (FillUpdate, OrderUpdate):
        assert [one for part in parts for one in part.updates if isinstance(one, kind)] == [
            one for one in whole if isinstance(one, kind)
        ]
