"""The exchange's side, as strict as the exchange; and what it tells of what expires in a simulated account."""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

import pytest

from recorder.simulator.exchange import Exchange
from recorder.venues.expiry import expires_ms
from recorder.venues.okx import answers, questions, sign
from recorder.venues.okx.portal import PATHS, PRIVATE
from recorder.venues.okx.stand_in import face, frames, states
from recorder.venues.okx.stand_in.conversation import OKXConversation, passphrase_of
from recorder.venues.okx.stand_in.rest import OKXRequestHandler
from recorder.venues.okx.words import inst_type
from recorder.venues.rest import Credentials
from recorder.venues.stand_in import AccountQuery, Backend, Close, HttpError, PortalAccess, Reply, Request, Said
from recorder.venues.view import Span


def test_the_names_of_what_expires_and_of_what_does_not() -> None:
    at_ms = expires_ms("260327")
    assert at_ms
    names = face.dated_symbols(at_ms - 1)
    assert names[:3] == ("BTC-USDT-260327", "BTC-USD-260327", "BTC-USD-260327-83500-C")
    linear, inverse, call, put, _ = dated = face.terms(names)
    assert {one.expires_ms for one in dated} == {at_ms}
    assert [(one.kind, one.settle) for one in (linear, inverse, call)] == [
        ("linear", "USDT"),
        ("inverse", "BTC"),
        ("option", "BTC"),
    ]
    assert [(str(one.strike), one.is_put) for one in (call, put)] == [("83500", False), ("84500", True)]
    assert not [one for one in face.terms(face.DEFAULT_SYMBOLS) if one.expires_ms]
    for one in dated:
        row = states.instrument_row(one)
        assert (row["expTime"], row["instType"]) == (str(at_ms), inst_type(one.symbol))
    row = states.instrument_row(put)
    assert (row["optType"], row["stk"], row["ctType"], row["settleCcy"]) == ("P", "84500", "", "BTC")


@pytest.mark.parametrize(
    "symbol",
    ["BTC", "BTC-USDT-261332", "BTC-USDT-260327-9-C", "BTC-USD-260327-C", "BTC-USD-260327-9-X", "BTC-USD-SWAP-C"],
)
def test_other_instruments_are_not_simulated(symbol: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        face.terms([symbol])


def test_futures_are_delivered_by_an_order_and_options_exercised_by_a_bill() -> None:
    exchange = Exchange(8, venue="okx", expiry_ms=30_000)
    pushed = [json.loads(payload) for _, payload in islice(exchange, 2_000)]

    def told(channel: str) -> list[dict[str, Any]]:
        return [row for push in pushed if push["arg"]["channel"] == channel for row in push["data"]]

    orders = told("orders")
    delivered = [row for row in orders if row["category"] == "delivery" and row["state"] == "filled"]
    assert {row["instId"] for row in delivered} == {"BTC-USDT-200203", "BTC-USD-200203"}
    ended = {(row["instType"], row["cancelSource"]) for row in orders if row["cancelSource"] in {"7", "10"}}
    assert ended and ended <= {("FUTURES", "7"), ("OPTION", "10")}
    reasons = [row["eventType"] for row in told("balance_and_position")]
    assert reasons.count("delivered") == 2
    entries = [entry.state for entry in exchange.view().transactions(Span())]
    bills = [row for state in entries for row in json.loads(state.payload)["data"] if row["type"] == "3"]
    assert {row["subType"] for row in bills if row["instType"] == "FUTURES"} <= {"112", "113"}
    exercised = [row for row in bills if row["instType"] == "OPTION"]
    assert reasons.count("exercised") == len(exercised) == 3
    for row in exercised:
        assert {"170": row["balChg"][0] != "-", "171": row["balChg"][0] == "-", "172": not float(row["balChg"])}[
            row["subType"]
        ]
        assert (row["tradeId"], row["ordId"]) == ("", "")
    # The last push of an option's position is from before its end; that of a future's is that it is flat.
    last = {row["instId"]: row for row in told("positions") if row["instId"].count("-") > 1}
    assert not any(float(row["pos"]) for row in last.values() if row["instType"] == "FUTURES")
    open_options = {row["instId"] for row in last.values() if row["instType"] == "OPTION" and float(row["pos"])}
    assert open_options == {row["instId"] for row in exercised}
    held = [row for state in exchange.view().positions() for row in json.loads(state.payload)["data"]]
    assert not [row for row in held if float(row["pos"]) and row["instId"] in last and row["instType"] != "SWAP"]


def test_a_fill_that_the_exchange_made_says_so() -> None:
    exchange = Exchange(3, venue="okx")
    list(islice(exchange, 300))
    for kind in ("adl", "settlement", "liquidation"):
        exchange.end_position(kind)
        assert exchange.waiting
        list(islice(exchange, exchange.waiting))
    kinds = {fill.kind: fill for fill in exchange.history.fills}
    types = {kind: frames.fill_row(fill)["subType"] for kind, fill in kinds.items()}
    assert types["liquidation"] in {"104", "105"} and types["adl"] in {"125", "126"}
    assert types["settlement"] in {"112", "113"} and types["trade"] in {"1", "2"}
    entries = [one for one in exchange.history.transactions if one.kind != "trade"]
    assert {states.bill_row(one)["type"] for one in entries if one.type == "trade"} == {"3", "5", "9"}
    assert answers.BILLS in {entry.state.topic for entry in exchange.view().transactions(Span())}


def test_options_are_listed_by_their_underlying() -> None:
    terms = face.terms([*face.DEFAULT_SYMBOLS, "BTC-USD-260327-9-C", "ETH-USD-260327-9-C"])
    handler = OKXRequestHandler(Backend(secret_of=lambda _key: None, clock_ms=lambda: 0, terms=terms))

    def listed(query: str) -> list[str]:
        answer = handler.handle(Request("GET", f"{answers.INSTRUMENTS}?instType={query}", {}, "http://x"))
        body = json.loads(answer.body if isinstance(answer, Reply) else bytes(answer))  # type: ignore[arg-type]
        return [one["instId"] for one in body["data"]] or [body["code"]]

    assert listed("OPTION") == ["50014"]
    assert listed("OPTION&uly=BTC-USD") == listed("OPTION&instFamily=BTC-USD") == ["BTC-USD-260327-9-C"]
    assert listed("OPTION&instFamily=ETH-USD&instId=BTC-USD-260327-9-C") == ["0"]
    assert listed("SWAP") == ["BTC-USDT-SWAP", "ETH-USDT-SWAP", "BTC-USD-SWAP"]


KEY, SECRET = "a-key", "a-secret"
WHO = Credentials(key=KEY, secret=SECRET, passphrase=passphrase_of(SECRET))
NOW_MS = 1_795_600_000_000


def backend(**more: Any) -> Backend:
    return Backend(secret_of={KEY: SECRET}.get, clock_ms=lambda: NOW_MS, **more)


@pytest.fixture(scope="module")
def traded() -> Exchange:
    exchange = Exchange(7, venue="okx", funding_interval_ms=5_000)
    list(islice(exchange, 500))
    return exchange


def asking(path: str, query: Mapping[str, str] | None = None, **headers: str) -> Request:
    """A request as the recorder makes it, with other headers."""
    request = questions.get(path, query)("", WHO, NOW_MS)
    given = {**request.headers, **{f"OK-ACCESS-{name.upper()}": value for name, value in headers.items()}}
    return Request("GET", request.url, given, "http://here", peer="127.0.0.1")


def told(handler: OKXRequestHandler, request: Request, account: Exchange) -> tuple[int, str]:
    """Status and code of the answer."""
    answer = handler.handle(request)
    if isinstance(answer, AccountQuery):
        answer = answer.answer(account.view())
    if isinstance(answer, Reply):
        return answer.status, json.loads(answer.body)["code"]
    assert isinstance(answer, bytes)
    return 200, json.loads(answer)["code"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (200, "0")),
        ({"sign": sign.signature("another", f"{sign.timestamp(NOW_MS)}GET{answers.BALANCE}")}, (401, "50113")),
        ({"sign": sign.signature(SECRET, f"{sign.timestamp(NOW_MS)}GET{answers.CONFIG}")}, (401, "50113")),
        ({"sign": ""}, (401, "50113")),
        ({"sign": "é"}, (401, "50113")),
        ({"key": "unknown"}, (401, "50119")),
        ({"passphrase": "wrong"}, (401, "50105")),
        ({"timestamp": sign.timestamp(NOW_MS - 30_001)}, (401, "50102")),
        ({"timestamp": sign.timestamp(NOW_MS + 30_001)}, (401, "50102")),
        ({"timestamp": str(NOW_MS)}, (401, "50112")),
        ({"timestamp": "now"}, (401, "50112")),
    ],
)
def test_a_request_that_is_not_signed_right_is_refused(
    traded: Exchange, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    assert told(OKXRequestHandler(backend()), asking(answers.BALANCE, None, **headers), traded) == expected


def test_a_key_that_has_expired_is_refused(traded: Exchange) -> None:
    handler = OKXRequestHandler(backend(is_expired=lambda _key: True))
    assert told(handler, asking(answers.BALANCE), traded) == (401, "50119")


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (answers.ORDERS, {}, (400, "50014")),
        (answers.ORDERS, {"instType": "SWAP", "limit": "²"}, (200, "0")),
        (answers.ORDERS, {"instType": "SWAP", "after": "later"}, (400, "51000")),
        (answers.BILLS, {"begin": "²", "end": "9" * 5_000}, (200, "0")),
        (answers.BILLS, {"after": "9" * 5_000}, (400, "51000")),
        (answers.ORDER, {"instId": "BTC-USDT-SWAP", "ordId": "1"}, (200, "51603")),
    ],
)
def test_parameters_are_checked(traded: Exchange, path: str, query: dict[str, str], expected: tuple[int, str]) -> None:
    assert told(OKXRequestHandler(backend()), asking(path, query), traded) == expected


def test_it_only_reads_and_only_what_there_is(traded: Exchange) -> None:
    handler = OKXRequestHandler(backend())
    assert told(handler, asking(answers.BALANCE)._replace(method="POST"), traded) == (200, "50120")
    with pytest.raises(HttpError, match="path not found"):
        handler.handle(asking("/api/v5/account/something"))


def test_each_path_has_a_limit_of_its_own(traded: Exchange) -> None:
    handler = OKXRequestHandler(backend())
    assert {told(handler, asking(answers.BILLS), traded) for _ in range(5)} == {(200, "0")}
    assert told(handler, asking(answers.BILLS), traded) == (429, "50011")
    assert told(handler, asking(answers.BALANCE), traded) == (200, "0")


def conversation(**more: Any) -> OKXConversation:
    return OKXConversation(PortalAccess(None, {}, PATHS[PRIVATE]), backend(**more), 0.0)


def said(it: OKXConversation, command: object) -> list[Said]:
    return it.receive(command if isinstance(command, bytes) else json.dumps(command).encode(), NOW_MS, 0.0)


def codes(answer: list[Said]) -> list[str]:
    return [json.loads(one)["code"] for one in answer if isinstance(one, bytes)]


def login(**changed: Any) -> dict[str, object]:
    return {"op": "login", "args": [sign.login(KEY, SECRET, passphrase_of(SECRET), NOW_MS) | changed]}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"sign": "wrong"}, "60007"),
        ({"sign": "é"}, "60007"),
        ({"sign": None}, "60007"),
        ({"apiKey": "unknown"}, "60032"),
        ({"passphrase": "wrong"}, "60024"),
        ({"timestamp": "now"}, "60006"),
        ({"timestamp": "²"}, "60006"),
        ({"timestamp": "9" * 5_000}, "60006"),
        ({"timestamp": str(NOW_MS // 1000 - 31)}, "60006"),
        # It is in seconds.
        ({"timestamp": str(NOW_MS)}, "60006"),
    ],
)
def test_a_login_that_is_not_right_is_refused_and_the_connection_closed(
    changed: dict[str, object], expected: str
) -> None:
    it = conversation()
    answer = said(it, login(**changed))
    assert (codes(answer), answer[1:]) == ([expected], [Close(4001, "Login Failed")])
    assert not it.keys


def test_a_login_with_a_key_that_has_expired_is_refused() -> None:
    assert codes(said(conversation(is_expired=lambda _key: True), login())) == ["60032"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (b"{", "60012"),
        (b"[]", "60012"),
        (b"[" * 100_000, "60012"),
        ({"op": "subscribe"}, "60012"),
        ({"op": "cancel", "args": []}, "60019"),
        (login(), "60031"),
        ({"op": "subscribe", "args": [{"channel": "order"}]}, "60018"),
        ({"op": "subscribe", "args": [{"channel": ["orders"]}]}, "60018"),
        ({"op": "subscribe", "args": [{"channel": "orders"}]}, "60018"),
        ({"op": "subscribe", "args": [{"channel": "orders", "instType": ["ANY"]}]}, "60018"),
        ({"op": "subscribe", "args": [{"channel": "orders-algo", "instType": "ANY"}]}, "64001"),
    ],
)
def test_a_command_that_is_not_right_is_refused(command: object, expected: str) -> None:
    it = conversation()
    assert codes(said(it, login())) == ["0"]
    assert codes(said(it, command)) == [expected]
    assert not it.topics_of(KEY)


def test_before_the_login_nothing_can_be_subscribed_to() -> None:
    subscribe = {"op": "subscribe", "args": [{"channel": "account"}]}
    it = conversation()
    assert codes(said(it, subscribe)) == ["60011"]
    said(it, login())
    said(it, subscribe)
    assert it.topics_of(KEY) == {"account"}


def test_a_client_that_says_nothing_is_disconnected() -> None:
    it = conversation()
    assert it.receive(b"ping", NOW_MS, 10.0) == [b"pong"]
    assert it.wake_s == 40.0
    assert it.wake(NOW_MS, 40.0) == [Close(4004, "No data received in 30s.")]
