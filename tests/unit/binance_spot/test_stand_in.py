"""The exchange's side: what it refuses, and what it says of a simulated account and of a recorded one."""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from recorder.simulator.exchange import Exchange
from recorder.venues.binance_spot import answers, questions, sign
from recorder.venues.binance_spot.portal import METHOD, PATH, TOPICS
from recorder.venues.binance_spot.stand_in import rest, states
from recorder.venues.binance_spot.stand_in.conversation import BinanceSpotConversation, Refusal, check_signature
from recorder.venues.rest import Credentials
from recorder.venues.stand_in import AccountQuery, Backend, Close, HttpError, PortalAccess, ProtocolPing, Reply, Request
from recorder.venues.view import SentState
from tests.unit.binance_spot.frames import VENUE, row, sample

KEY, SECRET = "a-key", "a-secret"
MODERN = "a-modern-key"
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SECRETS = {KEY: SECRET, MODERN: PEM, "gone": "x"}
NOW_MS = 1_795_800_000_000


def backend(**more: Any) -> Backend:
    known: dict[str, Any] = {
        "secret_of": SECRETS.get,
        "clock_ms": lambda: NOW_MS,
        "is_expired": lambda key: key == "gone",
        "terms": VENUE.stand_in.terms(VENUE.stand_in.default_symbols),
    }
    return Backend(**known | more)


@pytest.fixture(scope="module")
def traded() -> Exchange:
    exchange = Exchange(5, venue="binance_spot", start_ms=NOW_MS - 3_600_000)
    for _ in islice(exchange, 1_500):
        pass
    return exchange


class Asking:
    """A client of REST."""

    def __init__(self, exchange: Exchange | None = None, **more: Any) -> None:
        self.handler = rest.BinanceSpotRequestHandler(backend(**more))
        self.exchange = exchange

    def send(self, target: str, headers: Mapping[str, str], method: str = "GET") -> Reply:
        answer = self.handler.handle(Request(method, target, headers, base="", peer="1.2.3.4"))
        if isinstance(answer, AccountQuery):
            assert self.exchange is not None
            found = answer.answer(self.exchange.view())
            return found if isinstance(found, Reply) else Reply(found)
        assert isinstance(answer, Reply)
        return answer

    def get(self, path: str, **query: object) -> Any:
        """The answer to a signed request; of a refusal, its status and its code."""
        return self.get_as(KEY, path, **query)

    def get_as(self, key: str, path: str, **query: object) -> Any:
        """The answer to a request signed with this key."""
        request = questions.get(path, {name: str(value) for name, value in query.items()})
        made = request("", Credentials(key=key, secret=SECRETS[key]), NOW_MS)
        reply = self.send(made.address, made.headers)
        told = json.loads(reply.body)
        return told if reply.status == 200 else (reply.status, told["code"])


def refusal(reply: Reply) -> tuple[int, int]:
    return reply.status, json.loads(reply.body)["code"]


@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        ({}, "timestamp={now}&signature={right}", (401, -2014)),
        ({sign.KEY: "unknown"}, "timestamp={now}&signature={right}", (401, -2015)),
        ({sign.KEY: "gone"}, "timestamp={now}&signature={right}", (401, -2015)),
        ({sign.KEY: KEY}, "signature={right}", (400, -1102)),
        ({sign.KEY: KEY}, "timestamp={now}", (400, -1102)),
        ({sign.KEY: KEY}, "timestamp=x&signature={right}", (400, -1100)),
        ({sign.KEY: KEY}, "timestamp=%C2%B2&signature={right}", (400, -1100)),
        ({sign.KEY: KEY}, "timestamp={late}&signature={right}", (400, -1021)),
        ({sign.KEY: KEY}, "timestamp={early}&signature={right}", (400, -1021)),
        ({sign.KEY: KEY}, "recvWindow=60001&timestamp={now}&signature={right}", (400, -1131)),
        ({sign.KEY: KEY}, "timestamp={now}&signature={wrong}", (400, -1022)),
        # The signature is of all that stands before it, and stands last.
        ({sign.KEY: KEY}, "timestamp={now}&signature={right}&recvWindow=5000", (400, -1022)),
    ],
)
def test_a_request_that_is_not_signed_as_it_should_be(
    headers: dict[str, str], query: str, expected: tuple[int, int]
) -> None:
    right = sign.signature(SECRET, f"timestamp={NOW_MS}")
    given = {"now": NOW_MS, "late": NOW_MS - 5_001, "early": NOW_MS + 1_000, "right": right, "wrong": right[::-1]}
    assert refusal(Asking().send(f"{answers.ACCOUNT}?{query.format(**given)}", headers)) == expected


@pytest.mark.parametrize("key", [KEY, MODERN])
def test_a_signed_request_is_answered(traded: Exchange, key: str) -> None:
    account = Asking(traded).get_as(key, answers.ACCOUNT)
    assert {one["asset"] for one in account["balances"]} == {"USDT", "BTC", "ETH", "BNB"}
    rights = Asking().get_as(key, answers.RIGHTS)
    assert [right for right, is_given in rights.items() if is_given is True] == [
        "ipRestrict",
        "enableReading",
        "enableFixReadOnly",
    ]


def test_the_hexadecimal_signature_may_be_in_capital_letters(traded: Exchange) -> None:
    query = f"timestamp={NOW_MS}"
    target = f"{answers.OPEN_ORDERS}?{query}&signature={sign.signature(SECRET, query).upper()}"
    assert Asking(traded).send(target, {sign.KEY: KEY}).status == 200


def test_it_only_reads() -> None:
    assert refusal(Asking().send(answers.ORDER, {}, "POST")) == (401, -2015)
    with pytest.raises(HttpError, match="path not found"):
        Asking().send("/api/v3/another", {})


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        (answers.ORDERS, {}, -1102),
        (answers.TRADES, {}, -1102),
        (answers.ORDER, {"symbol": "BTCUSDT"}, -1102),
        (answers.ORDER, {"symbol": "BTCUSDT", "orderId": "1"}, -2013),
        (answers.TRADES, {"symbol": "BTCUSDT", "startTime": 0, "endTime": 1}, None),
        (answers.TRADES, {"symbol": "BTCUSDT", "startTime": 1, "endTime": 86_400_002}, -1127),
        (answers.TRADES, {"symbol": "BTCUSDT", "startTime": 1, "fromId": 2}, -1128),
        (answers.TRADES, {"symbol": "BTCUSDT", "startTime": "x"}, -1100),
        (answers.TRADES, {"symbol": "BTCUSDT", "startTime": "²"}, -1100),
        (answers.TRADES, {"symbol": "BTCUSDT", "endTime": 1, "limit": "²"}, None),
        (answers.ORDERS, {"symbol": "BTCUSDT", "orderId": "x"}, -1100),
    ],
)
def test_parameters_that_are_refused(traded: Exchange, path: str, query: dict[str, object], code: int | None) -> None:
    told = Asking(traded).get(path, **query)
    assert told == ([] if code is None else (400, code))


def test_instruments_are_asked_for_by_name() -> None:
    def ask(**query: str) -> Any:
        reply = Asking().send(f"{answers.INSTRUMENTS}?{urlencode(query)}", {})
        told = json.loads(reply.body)
        return [one["symbol"] for one in told["symbols"]] if reply.status == 200 else told["code"]

    assert ask() == list(VENUE.stand_in.default_symbols)
    assert ask(symbols='["ETHUSDT"]') == ask(symbol="ETHUSDT") == ["ETHUSDT"]
    assert ask(symbols='["ETHUSDT","NONE"]') == ask(symbol="NONE") == -1121
    assert ask(symbols="ETHUSDT") == -1100


def test_too_much_weight_is_refused_and_then_banned(traded: Exchange) -> None:
    asking = Asking(traded)
    assert asking.send(answers.TIME, {}).headers["X-MBX-USED-WEIGHT-1M"] == "1"
    for _ in range(74):
        assert isinstance(asking.get(answers.OPEN_ORDERS), list)
    for number in range(rest.REFUSALS_MAX + 2):
        with pytest.raises(HttpError) as refused:
            asking.get(answers.OPEN_ORDERS)
        assert refused.value.code == -1003
        assert (refused.value.status == 418) == (number > rest.REFUSALS_MAX), number
        assert refused.value.retry_after_s > 0
        body = asking.handler.error_body(refused.value)
        assert json.loads(body) == {"code": -1003, "msg": refused.value.message}


@pytest.mark.parametrize(
    ("path", "by", "name"), [(answers.TRADES, "fromId", "id"), (answers.ORDERS, "orderId", "orderId")]
)
def test_pages_by_id_and_periods_have_everything_once(traded: Exchange, path: str, by: str, name: str) -> None:
    asking = Asking(traded)
    everything = asking.get(path, symbol="BTCUSDT", **{by: 0}, limit=1000)
    assert len(everything) > 50 and [one[name] for one in everything] == sorted({one[name] for one in everything})
    found: list[Any] = []
    while page := asking.get(path, symbol="BTCUSDT", **{by: found[-1][name] + 1 if found else 0}, limit=17):
        found += page
    assert found == everything
    middle_ms = everything[len(everything) // 2]["time"]
    begin_ms, end_ms = everything[0]["time"], everything[-1]["time"]
    earlier = asking.get(path, symbol="BTCUSDT", startTime=begin_ms, endTime=middle_ms - 1, limit=1000)
    later = asking.get(path, symbol="BTCUSDT", startTime=middle_ms, endTime=end_ms, limit=1000)
    assert earlier + later == everything
    assert asking.get(path, symbol="BTCUSDT", limit=5) == everything[-5:]


def test_orders_without_a_fill_are_archived(traded: Exchange) -> None:
    def empty(asking: Asking) -> list[Any]:
        orders = asking.get(answers.ORDERS, symbol="BTCUSDT", orderId=0, limit=1000)
        return [one for one in orders if one["status"] == "CANCELED" and one["executedQty"] == "0.00000000"]

    cancelled = empty(Asking(traded))
    assert cancelled
    archived = Asking(traded, retention_s={"cancelled": 0})
    assert empty(archived) == []
    one = cancelled[0]["orderId"]
    assert archived.get(answers.ORDER, symbol="BTCUSDT", orderId=one) == (400, -2026)
    assert Asking(traded).get(answers.ORDER, symbol="BTCUSDT", orderId=one) == cancelled[0]


def test_zero_balances_can_be_left_out(traded: Exchange) -> None:
    told = {"asset": "XYZ", "free": "0.00000000", "locked": "0.00000000"}

    class Account:
        def balances(self) -> Iterator[SentState]:
            yield SentState(answers.ACCOUNT, json.dumps({"balances": [told], "updateTime": 5}).encode())

    for query, expected in (({}, [told]), ({"omitZeroBalances": "true"}, [])):
        body = json.loads(rest._account(Account(), query, backend()))  # type: ignore[arg-type]
        assert (body["balances"], body["updateTime"]) == (expected, 5)


def test_what_was_pushed_is_answered_as_rest_would() -> None:
    """Of a served record, some states are known only as they were pushed."""
    pushed = SentState("executionReport", sample("executionReport"))
    assert states.trade(pushed) == row("rest-myTrades")
    order = states.order(pushed)
    same = ("symbol", "orderId", "price", "status", "origQty", "executedQty", "time", "updateTime", "clientOrderId")
    assert [order[name] for name in same] == [
        *("BTCUSDT", 51000000001, "87000.00000000", "FILLED", "0.01000000", "0.01000000"),
        *(1795800000100, 1795800000199, "a1"),
    ]
    assert order.keys() == row("rest-openOrders").keys()
    canceled = json.loads(sample("executionReport"))
    canceled["event"] |= {"x": "CANCELED", "c": "request", "C": "a1"}
    assert states.order(pushed._replace(payload=json.dumps(canceled).encode()))["clientOrderId"] == "a1"
    balances = SentState("outboundAccountPosition", sample("outboundAccountPosition"), 1)
    listed = SentState(answers.ACCOUNT, sample("rest-account"), 1)
    assert states.balance(balances) == states.balance(listed)
    assert states.order(SentState(answers.OPEN_ORDERS, sample("rest-openOrders"))) == row("rest-openOrders")
    assert states.order(SentState(answers.ORDER, json.dumps({"symbol": "X"}).encode())) == {"symbol": "X"}


def conversation(**more: Any) -> BinanceSpotConversation:
    return BinanceSpotConversation(PortalAccess(None, {}, PATH), backend(**more), 0.0)


def say(it: BinanceSpotConversation, method: object, params: object = None, now_ms: int = NOW_MS) -> Any:
    """The result of a command, or its status and code."""
    command = {"id": 7, "method": method} | ({} if params is None else {"params": params})
    (answer,) = it.receive(json.dumps(command).encode(), now_ms, 0.0)
    assert isinstance(answer, bytes)
    told = json.loads(answer)
    assert told["id"] == 7
    return told["result"] if "result" in told else (told["status"], told["error"]["code"])


@pytest.mark.parametrize("key", [KEY, MODERN])
def test_a_signed_command_subscribes_to_every_event_once(key: str) -> None:
    it = conversation()
    params = sign.parameters(key, SECRETS[key], NOW_MS)
    assert say(it, METHOD, params) == {"subscriptionId": 0}
    assert set(it.topics_of(key)) == set(TOPICS)
    assert say(it, METHOD, params) == (400, -2035)
    assert say(it, "session.subscriptions") == [{"subscriptionId": 0}]
    assert say(it, "userDataStream.unsubscribe", {"subscriptionId": 4}) == (400, -2036)
    assert say(it, "userDataStream.unsubscribe", {"subscriptionId": 0}) == {}
    assert it.topics_of(key) == ()
    # Its events are told apart by the number of the new subscription.
    payload = sample("executionReport")
    assert it.pushed(key, "executionReport", payload) == (payload,)
    assert say(it, METHOD, params) == {"subscriptionId": 1}
    (told,) = it.pushed(key, "executionReport", payload)
    assert json.loads(told) == json.loads(payload) | {"subscriptionId": 1}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"signature": "0" * 64}, (400, -1022)),
        ({"signature": None}, (400, -1102)),
        ({"apiKey": None}, (400, -1102)),
        ({"apiKey": 5}, (400, -1104)),
        ({"timestamp": str(NOW_MS)}, (400, -1104)),
        ({"timestamp": NOW_MS + 1_000}, (400, -1021)),
        ({"timestamp": NOW_MS - 5_001}, (400, -1021)),
        ({"recvWindow": 60_001}, (400, -1131)),
        ({"apiKey": "gone"}, (401, -2015)),
        ({"apiKey": "unknown"}, (401, -2015)),
    ],
)
def test_a_command_that_is_refused(changes: dict[str, object], expected: tuple[int, int]) -> None:
    it = conversation()
    params = sign.parameters(KEY, SECRET, NOW_MS) | changes
    given = {name: value for name, value in params.items() if value is not None}
    assert say(it, METHOD, given) == expected
    assert it.keys == ()


def test_only_a_key_of_ed25519_logs_on() -> None:
    it = conversation()
    assert say(it, "userDataStream.subscribe") == (401, -2015)
    assert say(it, "session.logon", sign.parameters(KEY, SECRET, NOW_MS)) == (400, -4056)
    assert say(it, "session.status")["apiKey"] is None
    assert say(it, "session.logon", sign.parameters(MODERN, PEM, NOW_MS))["apiKey"] == MODERN
    assert say(it, "userDataStream.subscribe") == {"subscriptionId": 0}
    assert say(it, "session.status")["userDataStream"] is True


def test_commands_and_nonsense_are_answered() -> None:
    it = conversation()
    assert say(it, "time") == {"serverTime": NOW_MS}
    assert say(it, "ping") == {}
    assert say(it, "another") == say(it, None) == (400, -1000)
    assert say(it, "time", [1]) == (400, -1102)
    for nonsense in (b"", b"[1]", b"\xff", b"[" * 10_000):
        (answer,) = it.receive(nonsense, NOW_MS, 0.0)
        assert isinstance(answer, bytes) and json.loads(answer)["id"] is None


def test_an_account_without_topics_cannot_be_subscribed_to() -> None:
    it = conversation(has_topic=lambda _key, _topic: False)
    assert say(it, METHOD, sign.parameters(KEY, SECRET, NOW_MS)) == (401, -2015)


def test_a_client_that_answers_no_ping_is_disconnected() -> None:
    it = conversation()
    assert (it.wake_s, it.wake(NOW_MS, 20.0)) == (20.0, [ProtocolPing()])
    it.heard(NOW_MS, 21.0)
    for at_s in (40.0, 60.0, 80.0):
        assert it.wake(NOW_MS, at_s) == [ProtocolPing()]
    assert it.wake_s == 81.0
    (closed,) = it.wake(NOW_MS, 81.0)
    assert isinstance(closed, Close) and closed.code == 1008


@pytest.mark.parametrize("given", ["\ud800", "\u00b2", ""])
def test_a_signature_may_be_any_text(given: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_signature("a-secret", "a=1", given)
    assert refused.value.code == -1022
