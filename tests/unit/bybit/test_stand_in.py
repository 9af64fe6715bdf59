"""The exchange's side, as strict as the exchange; and pages of what a simulated account did."""

import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import pytest

from recorder.simulator.exchange import Exchange
from recorder.venues.bybit import answers, questions, sign
from recorder.venues.bybit.stand_in import face, ledger, rest
from recorder.venues.bybit.stand_in.conversation import BybitConversation
from recorder.venues.bybit.words import settle_coin
from recorder.venues.expiry import expires_ms
from recorder.venues.rest import Credentials
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, PortalAccess, Reply, Request

#: How orders end that are open when their instrument expires.
EXPIRED = {"CancelBySettle", "CancelByDelivery"}
BACKEND = Backend(secret_of=lambda _key: None, clock_ms=lambda: 0)


def listed(exchange: Exchange, query: str) -> list[Any]:
    """All pages of the list of executions, oldest first."""
    rows: list[Any] = []
    asked = dict(parse_qsl(query))
    while True:
        page, asked["cursor"] = rest._executions(exchange.view(), asked, BACKEND)
        assert page or not rows
        rows += page
        if not asked["cursor"]:
            return rows[::-1]


def test_every_execution_is_listed_once_funding_and_what_the_exchange_ended_among_them() -> None:
    exchange = Exchange(5, venue="bybit", funding_interval_ms=2_000)
    pushed: dict[str, Any] = {}
    for number in range(1_500):
        if number in {300, 600, 900}:
            exchange.end_position({300: "adl", 600: "settlement", 900: "liquidation"}[number])  # type: ignore[arg-type]
        topic, payload = next(exchange)
        if topic == "execution":
            row = json.loads(payload)["data"][0]
            pushed[row["execId"]] = row
    found = [
        row
        for category in ("linear", "inverse", "spot", "option")
        for row in listed(exchange, f"category={category}&limit=7")
    ]
    assert {row["execType"] for row in found} == {"Trade", "Funding", "AdlTrade", "Delivery", "BustTrade"}
    same = "execId", "category", "symbol", "side", "execType", "execPrice", "execQty", "execFee", "execPnl", "execTime"
    told = {row["execId"]: [row[name] for name in same] for row in found}
    assert len(told) == len(found)
    assert told == {one: [row[name] for name in same] for one, row in pushed.items()}
    paid = listed(exchange, "category=linear&execType=Funding")
    assert paid == [row for row in listed(exchange, "category=linear") if row["execType"] == "Funding"] != []


def test_executions_of_options_are_those_of_one_coin() -> None:
    day = "27MAR30"
    exchange = Exchange(3, ("BTCUSDT", "ETHUSDT", f"BTC-{day}-94500-C-USDT", f"ETH-{day}-2800-C"), venue="bybit")
    list(islice(exchange, 600))
    of = {
        query: {row["symbol"].partition("-")[0] for row in listed(exchange, f"category=option{query}")}
        for query in ("", "&baseCoin=BTC", "&baseCoin=ETH", f"&symbol=ETH-{day}-2800-C", "&baseCoin=SOL")
    }
    assert [*of.values()] == [{"BTC"}, {"BTC"}, {"ETH"}, {"ETH"}, set()]


def test_an_order_is_in_the_history_of_the_last_seven_days_unless_times_are_given(traded: Exchange) -> None:
    account = traded.view()
    first = next(row for row in _history_of(account, {"limit": "50"}) if Decimal(row["cumExecQty"]))
    one = {"category": first["category"], "orderId": first["orderId"]}
    assert _history_of(account, one) == [first]
    times = {"startTime": first["createdTime"], "endTime": first["createdTime"]}
    assert _history_of(account, one | times) == [first]
    later = {"startTime": str(int(first["createdTime"]) + 1)}
    assert _history_of(account, one | later) == []


def _history_of(account: Any, asked: Mapping[str, str]) -> list[Any]:
    rows, _ = rest._order_history(account, {"category": "linear", **asked}, BACKEND)
    return rows


def test_the_names_of_what_expires_and_of_what_does_not() -> None:
    at_ms = expires_ms("27MAR26")
    assert at_ms
    names = face.dated_symbols(at_ms - 1)
    assert names[:3] == ("BTCUSDT-27MAR26", "BTCUSDH26", "BTC-27MAR26-94500-C-USDT")
    assert face.dated_symbols(at_ms)[:2] == ("BTCUSDT-28MAR26", "BTCUSDM26")
    linear, inverse, call, put, *_ = dated = face.terms(names)
    assert {one.expires_ms for one in dated} == {at_ms}
    assert [one.market for one in dated] == ["linear", "inverse", "option", "option", "option"]
    assert (linear.settle, inverse.settle, call.settle, call.base) == ("USDT", "BTC", "USDT", "BTC")
    assert [(str(one.strike), one.is_put) for one in (call, put)] == [("94500", False), ("93500", True)]
    (usdc,) = face.terms(["ETH-27MAR26-2800-C"])
    assert usdc.settle == "USDC"
    assert not [one for one in face.terms(face.DEFAULT_SYMBOLS) if one.expires_ms]
    for one in (*dated, usdc):
        row = ledger.instrument_row(one)
        assert row["deliveryTime"] == str(at_ms)
        assert settle_coin(one.market, one.symbol) == row["settleCoin"] == one.settle
    assert ledger.instrument_row(put)["optionsType"] == "Put"
    assert [ledger.instrument_row(one)["contractType"] for one in (linear, inverse)] == [
        "LinearFutures",
        "InverseFutures",
    ]


@pytest.mark.parametrize(
    "symbol", ["BTC", "BTCUSDX26", "BTCUSDT-31FEB26", "BTCUSDC-27MAR26", "BTC-31FEB26-9-C-USDT", "spot:BTCUSDT-27MAR26"]
)
def test_other_instruments_are_not_simulated(symbol: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|needs a quote"):
        face.terms([symbol])


def test_what_expired_is_delivered() -> None:
    exchange = Exchange(2, venue="bybit", expiry_ms=30_000)
    pushed = [json.loads(payload) for _, payload in islice(exchange, 1_500)]
    rows = [row for push in pushed if push["topic"] == "execution" for row in push["data"]]
    types = {(row["category"], row["execType"]) for row in rows if row["createType"] == "CreateBySettle"}
    assert types == {("linear", "Delivery"), ("inverse", "Settle")}
    ended = [row for push in pushed if push["topic"] == "order" for row in push["data"] if "By" in row["cancelType"]]
    over = {(row["category"] == "option", row["cancelType"]) for row in ended if row["cancelType"] in EXPIRED}
    assert over and over <= {(False, "CancelBySettle"), (True, "CancelByDelivery")}
    asked = {"cursor": "", "limit": "50"}
    delivered: list[Any] = []
    while True:
        page, asked["cursor"] = rest._transactions(exchange.view(), asked, BACKEND)
        delivered += [row for row in page if row["type"] == "DELIVERY"]
        if not asked["cursor"]:
            break
    assert {row["category"] for row in delivered} == {"linear", "inverse", "option"}
    for row in delivered:
        change, flow, fee = (Decimal(row[name] or 0) for name in ("change", "cashFlow", "fee"))
        assert change == flow - fee
        assert (row["category"] == "option") == (row["tradeId"] == "") == (row["orderId"] == "")
    # Each position is told to be flat, and is in no list.
    for category in ("linear", "inverse", "option"):
        listed_now, _ = rest._positions(exchange.view(), {"category": category, "settleCoin": "USDT"}, BACKEND)
        assert not [row for row in listed_now if "-" in row["symbol"]]


KEY, SECRET = "a-key", "a-secret"
WHO = Credentials(key=KEY, secret=SECRET)
NOW_MS = 1_795_600_000_000


def backend(**more: Any) -> Backend:
    return Backend(secret_of={KEY: SECRET}.get, clock_ms=lambda: NOW_MS, **more)


def asking(path: str, query: Mapping[str, str] | None = None, **headers: str) -> Request:
    """A request as the recorder makes it, with other headers; `_` stands for `-`."""
    request = questions.get(path, query)("", WHO, NOW_MS)
    changed = {f"X-BAPI-{name.upper().replace('_', '-')}": value for name, value in headers.items()}
    return Request("GET", request.url, {**request.headers, **changed}, "http://here", peer="127.0.0.1")


@pytest.fixture(scope="module")
def traded() -> Exchange:
    exchange = Exchange(7, venue="bybit")
    list(islice(exchange, 300))
    return exchange


def code(handler: rest.BybitRequestHandler, request: Request, account: Exchange) -> int:
    answer = handler.handle(request)
    if isinstance(answer, AccountQuery):
        answer = answer.answer(account.view())
    body = answer.body if isinstance(answer, Reply) else answer
    assert isinstance(body, bytes)
    found: int = json.loads(body)["retCode"]
    return found


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 0),
        ({"sign": sign.signature("another", f"{NOW_MS - 1_000}{KEY}10000accountType=UNIFIED")}, 10004),
        ({"sign": sign.signature(SECRET, f"{NOW_MS - 1_000}{KEY}10000")}, 10004),
        ({"sign": ""}, 10004),
        ({"sign": "é"}, 10004),
        ({"api_key": "unknown"}, 10003),
        ({"timestamp": "now"}, 10002),
        ({"timestamp": "²"}, 10002),
        ({"timestamp": "9" * 5_000}, 10002),
        ({"timestamp": str(NOW_MS - 10_001)}, 10002),
        ({"timestamp": str(NOW_MS + 1_000)}, 10002),
        ({"recv_window": "long"}, 10002),
        ({"recv_window": "999"}, 10002),
        ({"recv_window": "10001"}, 10004),
    ],
)
def test_a_request_that_is_not_signed_right_is_refused(
    traded: Exchange, headers: dict[str, str], expected: int
) -> None:
    request = asking(answers.BALANCES, {"accountType": "UNIFIED"}, **headers)
    assert code(rest.BybitRequestHandler(backend()), request, traded) == expected


def test_a_key_that_has_expired_is_refused(traded: Exchange) -> None:
    handler = rest.BybitRequestHandler(backend(is_expired=lambda _key: True))
    assert code(handler, asking(answers.KEY_PERMISSIONS), traded) == 33004


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (answers.EXECUTIONS, {}, 10001),
        (answers.EXECUTIONS, {"category": "linear", "limit": "²", "cursor": "page:²"}, 0),
        (answers.EXECUTIONS, {"category": "linear", "startTime": "²", "endTime": "9" * 5_000}, 0),
        (answers.EXECUTIONS, {"category": "linear", "startTime": "0", "endTime": str(NOW_MS)}, 10001),
        (answers.POSITIONS, {"category": "linear"}, 10001),
        (answers.INSTRUMENTS, {"category": "linear", "symbol": "NONE"}, 10001),
    ],
)
def test_parameters_are_checked(traded: Exchange, path: str, query: dict[str, str], expected: int) -> None:
    assert code(rest.BybitRequestHandler(backend()), asking(path, query), traded) == expected


def test_it_only_reads_and_only_what_there_is(traded: Exchange) -> None:
    handler = rest.BybitRequestHandler(backend())
    assert code(handler, asking(answers.ACCOUNT)._replace(method="POST"), traded) == 10005
    with pytest.raises(HttpError, match="path not found"):
        handler.handle(asking("/v5/something"))


def test_each_path_has_a_limit_of_its_own_and_says_when_it_is_reset(traded: Exchange) -> None:
    handler = rest.BybitRequestHandler(backend())
    log = asking(answers.TRANSACTION_LOG)
    assert {code(handler, log, traded) for _ in range(rest.LEDGER_MAX)} == {0}
    refused = handler.handle(log)
    assert isinstance(refused, Reply)
    assert (refused.status, json.loads(refused.body)["retCode"]) == (200, 10006)
    assert refused.headers == {"X-Bapi-Limit-Reset-Timestamp": str(NOW_MS + 1_000)}
    assert questions.wait_s(200, {"x-bapi-limit-reset-timestamp": str(NOW_MS + 1_000)}, b"", NOW_MS) == 1.0
    assert code(handler, asking(answers.ACCOUNT), traded) == 0


def test_an_address_that_asks_too_much_is_banned_for_ten_minutes(traded: Exchange) -> None:
    clock_ms = [NOW_MS]
    handler = rest.BybitRequestHandler(Backend(secret_of=lambda _key: None, clock_ms=lambda: clock_ms[0]))
    clock = Request("GET", answers.TIME, {}, "http://here", peer="127.0.0.1")
    assert {code(handler, clock, traded) for _ in range(rest.ADDRESS_MAX)} == {0}
    for waited_ms in (0, rest.ADDRESS_WINDOW_MS, rest.BAN_MS - 1):
        clock_ms[0] = NOW_MS + waited_ms
        with pytest.raises(HttpError, match="access too frequent") as refused:
            handler.handle(clock)
        assert refused.value.status == 403
    assert code(handler, clock._replace(peer="127.0.0.2"), traded) == 0
    clock_ms[0] = NOW_MS + rest.BAN_MS
    assert code(handler, clock, traded) == 0


def said(it: BybitConversation, command: object) -> dict[str, Any]:
    message = command if isinstance(command, bytes) else json.dumps(command).encode()
    (answer,) = it.receive(message, NOW_MS, 0.0)
    assert isinstance(answer, bytes)
    found: dict[str, Any] = json.loads(answer)
    return found


def conversation(**more: Any) -> BybitConversation:
    return BybitConversation(PortalAccess(None, {}), backend(**more), 0.0)


def login(*changed: object) -> dict[str, object]:
    return {"op": "auth", "args": [*changed, *sign.login(KEY, SECRET, NOW_MS)[len(changed) :]]}


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (login(), ""),
        (login("unknown"), "Request not authorized"),
        (login(KEY, NOW_MS + 9_999), "Request not authorized"),
        (login(KEY, NOW_MS), "Params Error"),
        (login(KEY, "soon"), "Params Error"),
        (login(KEY, "²"), "Params Error"),
        (login(KEY, "9" * 5_000), "Params Error"),
        (login(KEY, NOW_MS + 10_000, "wrong"), "Request not authorized"),
        (login(KEY, NOW_MS + 10_000, "é"), "Request not authorized"),
        (login(KEY, NOW_MS + 10_000, None), "Request not authorized"),
        ({"op": "auth", "args": [KEY]}, "Params Error"),
        ({"op": "auth"}, "Params Error"),
    ],
)
def test_a_login_that_is_not_right_is_refused(command: object, refusal: str) -> None:
    it = conversation()
    answer = said(it, command)
    assert (answer["op"], answer["ret_msg"], answer["success"]) == ("auth", refusal, not refusal)
    assert tuple(it.keys) == (() if refusal else (KEY,))


def test_a_login_with_a_key_that_has_expired_is_refused() -> None:
    assert said(conversation(is_expired=lambda _key: True), login())["ret_msg"] == "Request not authorized"


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (b"{", "Failed to decode incoming data: not JSON"),
        (b"[" * 100_000, "Failed to decode incoming data: not JSON"),
        (b"[]", "error:invalid op"),
        ({"op": "cancel"}, "error:invalid op"),
        ({"op": ["auth"]}, "error:invalid op"),
        ({"op": "subscribe", "args": ["order", "orders"]}, "error:handler not found,topic:orders"),
        ({"op": "subscribe", "args": [["order"]]}, "error:handler not found,topic:['order']"),
        ({"op": "subscribe", "args": ["order"] * 11}, "error:args size >10"),
        ({"op": "subscribe", "args": ["wallet"]}, "error:already subscribed,topic:wallet"),
    ],
)
def test_a_command_that_is_not_right_is_refused(command: object, refusal: str) -> None:
    it = conversation()
    assert said(it, {"op": "subscribe", "args": ["wallet"]})["ret_msg"] == "error:topic:wallet needs auth first"
    said(it, login())
    assert said(it, {"op": "subscribe", "args": ["wallet"]})["success"]
    assert said(it, command)["ret_msg"] == refusal
    assert it.topics_of(KEY) == {"wallet"}
