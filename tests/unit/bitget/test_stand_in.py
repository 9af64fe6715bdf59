"""The exchange's side: as strict as the exchange."""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any
from urllib.parse import quote

import pytest

from recorder.simulator.exchange import Exchange
from recorder.venues.bitget import answers, questions, sign
from recorder.venues.bitget.portal import TOPICS
from recorder.venues.bitget.stand_in import face
from recorder.venues.bitget.stand_in.conversation import BitgetConversation, passphrase_of
from recorder.venues.bitget.stand_in.rest import BitgetRequestHandler
from recorder.venues.rest import Credentials
from recorder.venues.stand_in import (
    AccountQuery,
    Backend,
    Close,
    HttpError,
    PortalAccess,
    Reply,
    Request,
    Said,
    Snapshot,
)

KEY, SECRET = "a-key", "a-secret"
WHO = Credentials(key=KEY, secret=SECRET, passphrase=passphrase_of(SECRET))
NOW_MS = 1_795_600_000_000
DAY_MS = 86_400_000


def backend(**more: Any) -> Backend:
    return Backend(secret_of={KEY: SECRET}.get, clock_ms=lambda: NOW_MS, **more)


def exchange() -> Exchange:
    made = Exchange(7, venue="bitget", funding_interval_ms=5_000)
    for _ in islice(made, 1_500):
        pass
    return made


TRADED = exchange()


def asking(path: str, query: Mapping[str, str] | None = None, **headers: str) -> Request:
    """A request as the recorder makes it, with other headers."""
    request = questions.get(path, query)("", WHO, NOW_MS)
    given = {**request.headers, **{f"ACCESS-{name.upper()}": value for name, value in headers.items()}}
    return Request("GET", request.url, given, "http://here", peer="127.0.0.1")


def told(handler: BitgetRequestHandler, request: Request) -> tuple[int, Any]:
    """Status and body of the answer."""
    answer = handler.handle(request)
    if isinstance(answer, AccountQuery):
        answer = answer.answer(TRADED.view())
    if isinstance(answer, Reply):
        return answer.status, json.loads(answer.body)
    assert isinstance(answer, bytes)
    return 200, json.loads(answer)


def code(request: Request, **more: Any) -> str:
    found: str = told(BitgetRequestHandler(backend(**more)), request)[1]["code"]
    return found


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "00000"),
        ({"sign": sign.signature("another", f"{NOW_MS}GET{answers.ASSETS}")}, "40009"),
        ({"sign": sign.signature(SECRET, f"{NOW_MS}GET{answers.INFO}")}, "40009"),
        ({"sign": ""}, "40009"),
        ({"sign": "é"}, "40009"),
        ({"key": "unknown"}, "40006"),
        ({"passphrase": "wrong"}, "40012"),
        ({"timestamp": str(NOW_MS - 31_000)}, "40008"),
        ({"timestamp": "now"}, "40005"),
        ({"timestamp": "²"}, "40005"),
    ],
)
def test_a_request_that_is_not_signed_right_is_refused(headers: dict[str, str], expected: str) -> None:
    request = asking(answers.ASSETS, None, **headers)
    assert code(request) == expected
    if expected != "00000":
        assert told(BitgetRequestHandler(backend()), request)[0] == 400


def test_a_key_that_has_expired_is_refused() -> None:
    assert code(asking(answers.ASSETS), is_expired=lambda _key: True) == "40037"


def test_what_is_signed_is_decoded() -> None:
    request = asking(answers.POSITIONS, {"category": "USDT-FUTURES", "symbol": "牛来USDT"})
    assert quote("牛来USDT") in request.target
    assert code(request) == "00000"


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (answers.ORDERS, {}, "40020"),
        (answers.ORDERS, {"category": "STOCKS"}, "40020"),
        (answers.POSITIONS, {"category": "SPOT"}, "40020"),
        (answers.RECORDS, {"category": "OTHER"}, "00000"),
        (answers.FILLS, {"cursor": "later"}, "40020"),
        (answers.FILLS, {"startTime": "²", "limit": "²"}, "00000"),
        (answers.FILLS, {"startTime": str(NOW_MS - 31 * DAY_MS), "endTime": str(NOW_MS)}, "43111"),
        (answers.FILLS, {"startTime": str(NOW_MS - 30 * DAY_MS), "endTime": str(NOW_MS)}, "00000"),
        (answers.FILLS, {"startTime": str(NOW_MS - 91 * DAY_MS), "endTime": str(NOW_MS - 90 * DAY_MS)}, "25200"),
        (answers.ORDER, {"orderId": "1"}, "25204"),
        ("/api/v3/trade/something", {}, "40404"),
    ],
)
def test_parameters_are_checked(path: str, query: dict[str, str], expected: str) -> None:
    assert code(asking(path, query)) == expected


def test_it_only_reads() -> None:
    request = asking(answers.ORDERS, {"category": "SPOT"})._replace(method="POST")
    assert code(request) == "40014"


def test_twenty_requests_a_second_for_each_path() -> None:
    handler = BitgetRequestHandler(backend())
    assert {told(handler, asking(answers.ASSETS))[0] for _ in range(20)} == {200}
    assert told(handler, asking(answers.ASSETS)) == (
        429,
        {
            "code": "429",
            "msg": "Too Many Requests",
            "requestTime": NOW_MS,
            "data": None,
        },
    )
    assert told(handler, asking(answers.INFO))[0] == 200


def test_the_clock_and_the_instruments_need_no_key() -> None:
    handler = BitgetRequestHandler(backend(terms=face.terms(face.DEFAULT_SYMBOLS)))
    clock = told(handler, Request("GET", answers.TIME, {}, "http://here"))[1]
    assert clock["data"] == {"serverTime": str(NOW_MS)}
    listed = told(handler, Request("GET", f"{answers.INSTRUMENTS}?category=USDT-FUTURES", {}, "http://here"))[1]
    assert [one["symbol"] for one in listed["data"]] == ["BTCUSDT", "ETHUSDT"]
    assert json.loads(handler.error_body(HttpError(503, "busy")))["code"] == "40015"


def pages(path: str, query: dict[str, str]) -> list[Any]:
    """All rows of a list, in pages of seven, each asked for in a second of its own."""
    rows: list[Any] = []
    asked = {**query, "limit": "7"}
    while True:
        status, answer = told(BitgetRequestHandler(backend()), asking(path, asked))
        assert status == 200
        rows += answer["data"]["list"] or []
        if not answer["data"]["cursor"]:
            return rows
        asked["cursor"] = answer["data"]["cursor"]


def test_every_fill_and_every_record_is_listed_once_page_by_page() -> None:
    fills = pages(answers.FILLS, {})
    assert len(fills) == len({one["execId"] for one in fills}) == len(TRADED.history.fills) > 100
    lines = ("SPOT", "MARGIN", "USDT-FUTURES", "COIN-FUTURES", "USDC-FUTURES", "OTHER")
    records = [one for line in lines for one in pages(answers.RECORDS, {"category": line})]
    assert len({one["id"] for one in records}) == len(records) == len(TRADED.history.transactions)
    ended = [one for line in lines[:5] for one in pages(answers.ORDERS, {"category": line})]
    assert len({one["orderId"] for one in ended}) == len(ended) > 100


def said(it: BitgetConversation, command: object) -> list[Said]:
    message = command if isinstance(command, bytes) else json.dumps(command).encode()
    return list(it.receive(message, NOW_MS, 0.0))


def conversation(**more: Any) -> BitgetConversation:
    return BitgetConversation(PortalAccess(None, {}), backend(**more), 0.0)


def login(**changed: str) -> dict[str, object]:
    return {"op": "login", "args": [sign.login(KEY, SECRET, passphrase_of(SECRET), NOW_MS) | changed]}


def logged_in(**more: Any) -> BitgetConversation:
    it = conversation(**more)
    assert said(it, login()) == [b'{"event":"login","code":0}']
    return it


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"sign": "wrong"}, 30015),
        ({"sign": "é"}, 30015),
        ({"timestamp": "²"}, 30013),
        ({"apiKey": "unknown"}, 30011),
        ({"passphrase": "wrong"}, 30012),
        ({"timestamp": "now"}, 30013),
        ({"timestamp": str(NOW_MS // 1000 - 31)}, 30014),
        # The page says milliseconds in words, and means seconds.
        ({"timestamp": str(NOW_MS)}, 30014),
    ],
)
def test_a_login_that_is_not_right_is_refused_and_the_connection_closed(changed: dict[str, str], expected: int) -> None:
    error, close = said(conversation(), login(**changed))
    assert isinstance(error, bytes) and isinstance(close, Close)
    told = json.loads(error)
    assert (told["event"], told["code"]) == ("error", expected)


def test_each_subscription_is_acknowledged_and_balances_and_positions_begin_with_their_state() -> None:
    it = logged_in()
    args = [{"instType": "UTA", "topic": topic} for topic in TOPICS]
    answer = said(it, {"op": "subscribe", "args": args})
    acknowledged = [json.loads(one)["arg"]["topic"] for one in answer if isinstance(one, bytes)]
    assert acknowledged == list(TOPICS)
    assert [one.topic for one in answer if isinstance(one, Snapshot)] == ["position", "account"]
    assert set(it.topics_of(KEY)) == set(TOPICS)
    said(it, {"op": "unsubscribe", "args": args[:1]})
    assert set(it.topics_of(KEY)) == set(TOPICS[1:])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ({"op": "subscribe", "args": [{"instType": "UTA", "topic": "orders"}]}, 30001),
        ({"op": "subscribe", "args": [{"instType": "SPOT", "topic": "order"}]}, 30001),
        ({"op": "cancel", "args": []}, 30003),
        ({"op": "subscribe"}, 30002),
        (b"{", 30002),
        (b"[]", 30002),
        (b" " * 5_000, 30002),
    ],
)
def test_a_command_that_is_not_right_is_refused(command: object, expected: int) -> None:
    (error,) = said(logged_in(), command)
    assert isinstance(error, bytes)
    assert json.loads(error)["code"] == expected


def test_before_the_login_nothing_can_be_subscribed_to() -> None:
    (error,) = said(conversation(), {"op": "subscribe", "args": [{"instType": "UTA", "topic": "order"}]})
    assert isinstance(error, bytes)
    assert json.loads(error)["code"] == 30004


def test_ten_messages_a_second_and_twenty_subscriptions_a_command() -> None:
    it = conversation()
    assert [said(it, b"ping") for _ in range(10)] == [[b"pong"]] * 10
    assert isinstance(said(it, b"ping")[-1], Close)
    many = [{"instType": "UTA", "topic": "order"}] * 21
    assert isinstance(said(logged_in(), {"op": "subscribe", "args": many})[0], Close)


def test_only_a_ping_in_words_keeps_the_connection() -> None:
    it = conversation()
    it.receive(json.dumps(login()).encode(), NOW_MS, 100.0)
    it.heard(NOW_MS, 100.0)
    assert it.wake_s == 120.0
    it.receive(b"ping", NOW_MS, 100.0)
    assert it.wake_s == 220.0
    assert isinstance(next(iter(it.wake(NOW_MS, 220.0))), Close)


@pytest.mark.parametrize(
    "symbols", [["BTCUSD"], ["btcusdt"], ["USDT"], ["spot:BTCPERP"], ["margin:BTCUSDT"], ["A", "A"]]
)
def test_what_is_no_symbol_of_the_simulated_exchange(symbols: list[str]) -> None:
    with pytest.raises(ValueError, match="symbol"):
        face.terms(symbols)
