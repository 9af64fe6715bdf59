"""The exchange's side: what it refuses, listen keys, and lists of what a simulated account did."""

import json
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

from recorder.simulator.exchange import Exchange
from recorder.venues.binance import answers, sign
from recorder.venues.binance.portal import TOPICS
from recorder.venues.binance.questions import get
from recorder.venues.binance.stand_in import BinanceStandIn, rows, states
from recorder.venues.binance.stand_in.conversation import PING_S, BinanceConversation
from recorder.venues.binance.stand_in.keys import LIVES_MS
from recorder.venues.binance.stand_in.rest import BAN_MS, REFUSALS_MAX, WEIGHT_MAX, BinanceRequestHandler
from recorder.venues.binance.words import COIN_M, USD_M
from recorder.venues.expiry import expires_ms
from recorder.venues.rest import Credentials
from recorder.venues.stand_in import (
    AccountQuery,
    Backend,
    Close,
    HttpError,
    PortalAccess,
    ProtocolPing,
    Reply,
    Request,
)
from recorder.venues.view import AccountView, SentState, Span
from tests.unit.binance.frames import asked, columns, encoded, read, sample

KEY, SECRET = "a-key", "a-secret"
WHO = Credentials(key=KEY, secret=SECRET)
BASE = "http://127.0.0.1:9"


class Desk:
    """The exchange, whose clock a test sets."""

    def __init__(self, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), expired: tuple[str, ...] = ()) -> None:
        self.now_ms = 1_795_800_000_000
        self.backend = Backend(
            secret_of={KEY: SECRET}.get,
            clock_ms=lambda: self.now_ms,
            is_expired=lambda key: key in expired,
            terms=BinanceStandIn.terms(symbols),
        )
        self.handler = BinanceRequestHandler(self.backend)

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None) -> Any:
        given = {sign.KEY: KEY} if headers is None else headers
        return self.handler.handle(Request(method, target, given, BASE, peer="1.2.3.4"))

    def signed(self, path: str, secret: str = SECRET, **asked: str) -> Any:
        request = get(USD_M, path, asked)(BASE, Credentials(key=KEY, secret=secret), self.now_ms)
        return self.ask("GET", request.address.removeprefix(BASE))

    def refusal(self, act: Callable[[], Any]) -> tuple[int, int]:
        """Status and code of a refusal."""
        with pytest.raises(HttpError) as refused:
            act()
        error = refused.value
        assert json.loads(self.handler.error_body(error)) == {"code": error.code, "msg": error.message}
        return error.status, error.code


def test_a_request_is_admitted() -> None:
    assert isinstance(Desk().signed("/fapi/v3/balance"), AccountQuery)


@pytest.mark.parametrize(
    ("act", "refusal"),
    [
        (lambda desk: desk.signed("/fapi/v3/balance", "another-secret"), (400, -1022)),
        (lambda desk: desk.ask("GET", "/fapi/v3/balance?timestamp=1795800000000"), (400, -1022)),
        (lambda desk: desk.ask("GET", "/fapi/v3/balance"), (400, -1102)),
        (lambda desk: desk.ask("GET", "/fapi/v3/balance?timestamp=1795800001000&signature=a"), (400, -1021)),
        (lambda desk: desk.ask("GET", "/fapi/v3/balance?timestamp=1795799994999&signature=a"), (400, -1021)),
        (lambda desk: desk.ask("GET", "/fapi/v3/balance?timestamp=1795800000000&recvWindow=60001"), (400, -1130)),
        (lambda desk: desk.ask("GET", "/fapi/v3/balance", {}), (401, -2014)),
        (lambda desk: desk.ask("GET", "/fapi/v3/balance", {sign.KEY: "unknown"}), (401, -2015)),
        (lambda desk: desk.ask("POST", "/fapi/v1/order"), (401, -2015)),
        (lambda desk: desk.ask("GET", "/elsewhere"), (404, -5000)),
        (lambda desk: desk.signed("/fapi/v1/depth"), (404, -5000)),
        (lambda desk: desk.signed("/fapi/v1/userTrades"), (400, -1102)),
        (lambda desk: desk.signed("/fapi/v1/userTrades", symbol="XUSDT"), (400, -1121)),
        (lambda desk: desk.signed("/fapi/v1/userTrades", symbol="BTCUSDT", fromId="1", startTime="1"), (400, -1128)),
        (lambda desk: desk.signed("/fapi/v1/income", startTime="0", endTime="604800001"), (400, -4165)),
        (lambda desk: desk.signed("/fapi/v1/income", startTime="soon"), (400, -1100)),
        (lambda desk: desk.signed("/fapi/v1/income", startTime="²"), (400, -1100)),
        (lambda desk: desk.ask("GET", "/fapi/v3/balance?timestamp=%C2%B2"), (400, -1102)),
        (lambda desk: desk.ask("GET", "/fapi/v3/balance?timestamp=1795800000000&recvWindow=%C2%B2"), (400, -1130)),
        (lambda desk: desk.signed("/dapi/v1/allOrders"), (400, -1102)),
        (lambda desk: desk.signed("/dapi/v1/userTrades"), (400, -1102)),
        (lambda desk: desk.signed("/dapi/v1/order", pair="BTCUSDT", orderId="1"), (400, -1102)),
        (lambda desk: desk.signed("/dapi/v1/userTrades", pair="BTCUSDT", symbol="BTCUSDT"), (400, -1128)),
        (lambda desk: desk.signed("/dapi/v1/userTrades", pair="BTCUSDT", fromId="1"), (400, -1128)),
        (lambda desk: desk.signed("/dapi/v1/allOrders", pair="BTCUSDT", orderId="1"), (400, -1128)),
        (lambda desk: desk.signed("/dapi/v1/allOrders", pair="XUSD"), (400, -1121)),
        (lambda desk: desk.signed("/fapi/v1/userTrades", pair="BTCUSDT"), (400, -1102)),
        (
            lambda desk: desk.signed("/dapi/v1/userTrades", symbol="BTCUSDT", startTime="0", endTime="604800001"),
            (400, -4165),
        ),
        (lambda desk: desk.signed("/dapi/v1/income", startTime="0", endTime="31622400001"), (400, -4165)),
    ],
)
def test_what_the_exchange_refuses(act: Callable[[Desk], Any], refusal: tuple[int, int]) -> None:
    desk = Desk()
    assert desk.refusal(lambda: act(desk)) == refusal


def test_a_key_that_has_expired() -> None:
    desk = Desk(expired=(KEY,))
    assert desk.refusal(lambda: desk.ask("POST", "/fapi/v1/listenKey")) == (401, -2015)


def test_an_address_may_ask_so_much_in_a_minute() -> None:
    desk = Desk()
    for _ in range(WEIGHT_MAX // 30):
        desk.signed("/fapi/v1/income")
    with pytest.raises(HttpError) as refused:
        desk.ask("GET", "/fapi/v1/time")
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (429, -1003, 60)
    desk.now_ms += 60_000
    assert json.loads(desk.ask("GET", "/fapi/v1/time")) == {"serverTime": desk.now_ms}


def test_an_address_that_goes_on_is_banned() -> None:
    desk = Desk()
    for _ in range(WEIGHT_MAX // 30):
        desk.signed("/fapi/v1/income")
    told = [desk.refusal(lambda: desk.ask("GET", "/fapi/v1/time")) for _ in range(REFUSALS_MAX + 2)]
    assert told == [(429, -1003)] * (REFUSALS_MAX + 1) + [(418, -1003)]
    desk.now_ms += BAN_MS - 1
    assert desk.refusal(lambda: desk.ask("GET", "/fapi/v1/time")) == (418, -1003)
    desk.now_ms += 1
    assert json.loads(desk.ask("GET", "/fapi/v1/time")) == {"serverTime": desk.now_ms}


def listen_key(desk: Desk, method: str = "POST") -> str:
    found: str = json.loads(desk.ask(method, "/fapi/v1/listenKey"))["listenKey"]
    return found


def access(desk: Desk, target: str) -> PortalAccess:
    found = desk.ask("GET", target, {})
    assert isinstance(found, PortalAccess)
    return found


def test_an_account_has_one_listen_key_which_is_kept_alive() -> None:
    desk = Desk()
    assert desk.refusal(lambda: desk.ask("PUT", "/fapi/v1/listenKey")) == (400, -1125)
    first = listen_key(desk)
    for _ in range(3):
        desk.now_ms += LIVES_MS - 1
        assert listen_key(desk, "PUT") == first == listen_key(desk)
    desk.now_ms += LIVES_MS
    assert desk.refusal(lambda: desk.ask("PUT", "/fapi/v1/listenKey")) == (400, -1125)
    second = listen_key(desk)
    assert second != first
    assert desk.ask("DELETE", "/fapi/v1/listenKey") == b"{}"
    assert access(desk, f"/private/ws?listenKey={second}").key is None


@pytest.mark.parametrize(
    ("symbols", "right", "wrong"),
    [
        (("BTCUSDT",), "/private/ws?listenKey={}", "/ws/{}"),
        (("BTCUSD_PERP",), "/ws/{}", "/private/ws?listenKey={}"),
    ],
)
def test_a_wrong_path_or_a_dead_key_is_silent(symbols: tuple[str, ...], right: str, wrong: str) -> None:
    desk = Desk(symbols)
    key = listen_key(desk)
    assert access(desk, right.format(key)).key == KEY
    for target in (wrong.format(key), right.format("another")):
        silent = BinanceConversation(access(desk, target), desk.backend, 0.0)
        assert (silent.keys, silent.topics_of(KEY)) == ((), ())


@pytest.mark.parametrize(
    ("events", "topics"),
    [("", TOPICS[USD_M]), ("&events=ORDER_TRADE_UPDATE/ALGO_UPDATE", ("ORDER_TRADE_UPDATE", "ALGO_UPDATE"))],
)
def test_the_address_chooses_the_events(events: str, topics: tuple[str, ...]) -> None:
    desk = Desk()
    found = access(desk, f"/private/ws?listenKey={listen_key(desk)}{events}")
    assert set(BinanceConversation(found, desk.backend, 0.0).topics_of(KEY)) == set(topics)


def test_it_pings_and_ends_a_connection_without_a_pong() -> None:
    desk = Desk()
    it = BinanceConversation(access(desk, f"/private/ws?listenKey={listen_key(desk)}"), desk.backend, 0.0)
    assert it.wake_s == PING_S
    assert it.wake(0, PING_S) == [ProtocolPing()]
    it.heard(0, PING_S + 1)
    said: list[Any] = []
    while not any(isinstance(one, Close) for one in said):
        said += it.wake(0, it.wake_s)
    assert it.wake_s == PING_S + 1 + it.silence_s
    assert len([one for one in said if isinstance(one, ProtocolPing)]) == 3


def command(it: BinanceConversation, method: object, *streams: object, params: object = None) -> Any:
    """The answer to a command."""
    sent = {"method": method, "params": list(streams) if params is None else params, "id": 1}
    (said,) = it.receive(json.dumps(sent).encode(), 0, 0.0)
    assert isinstance(said, bytes)
    return json.loads(said)


@pytest.mark.parametrize(
    ("symbols", "right", "wrong"),
    [
        (("BTCUSDT",), "/private/{}", ("/{}", "/public/{}", "/market/{}")),
        (("BTCUSD_PERP",), "/{}", ("/private/{}", "/public/{}")),
    ],
)
def test_a_listen_key_is_subscribed_to_with_a_command(
    symbols: tuple[str, ...], right: str, wrong: tuple[str, ...]
) -> None:
    desk = Desk(symbols)
    key = listen_key(desk)
    it = BinanceConversation(access(desk, right.format("ws")), desk.backend, 0.0)
    assert (it.keys, command(it, "SUBSCRIBE", "another")) == ((), {"result": None, "id": 1})
    assert (it.keys, command(it, "SUBSCRIBE", "btcusdt@trade", key, 7)) == ((), {"result": None, "id": 1})
    assert (it.keys, set(it.topics_of(KEY))) == ((KEY,), set(TOPICS[USD_M]))
    assert command(it, "LIST_SUBSCRIPTIONS") == {"result": [key], "id": 1}
    assert [*it.pushed(KEY, "ORDER_TRADE_UPDATE", b'{"e": 1}')] == [b'{"e": 1}']
    assert command(it, "UNSUBSCRIBE", key) == {"result": None, "id": 1}
    assert (it.keys, command(it, "LIST_SUBSCRIPTIONS")) == ((), {"result": [], "id": 1})
    for target in wrong:
        silent = BinanceConversation(access(desk, target.format("stream")), desk.backend, 0.0)
        assert (command(silent, "SUBSCRIBE", key), silent.keys) == ({"result": None, "id": 1}, ())
    desk.now_ms += LIVES_MS
    assert (command(it, "SUBSCRIBE", key), it.keys) == ({"result": None, "id": 1}, ())


def test_a_combined_stream_names_the_listen_key() -> None:
    desk = Desk(("BTCUSD_PERP",))
    key = listen_key(desk)
    by_command = BinanceConversation(access(desk, "/stream"), desk.backend, 0.0)
    command(by_command, "SUBSCRIBE", key)
    by_address = BinanceConversation(access(desk, f"/stream?streams={key}"), desk.backend, 0.0)
    for it in (by_command, by_address):
        (frame,) = it.pushed(KEY, "ORDER_TRADE_UPDATE", b'{"e": 1.50}')
        assert frame == f'{{"stream":"{key}","data":{{"e": 1.50}}}}'.encode()


def test_nonsense_is_refused() -> None:
    desk = Desk()
    key = listen_key(desk)
    it = BinanceConversation(access(desk, f"/private/ws?listenKey={key}"), desk.backend, 0.0)
    for nonsense in (b"ping", b"[]", b'{"method":"X"}', b'{"method":["SUBSCRIBE"]}'):
        assert "error" in json.loads(it.receive(nonsense, 0, 0.0)[0])  # type: ignore[arg-type]
    assert command(it, "UNSUBSCRIBE", params={"a": key}) == {"result": None, "id": 1}
    assert it.keys == (KEY,)


def test_the_address_says_where_a_replay_begins() -> None:
    desk = Desk()
    found = access(desk, f"/private/ws?listenKey={listen_key(desk)}&since=2020-02-04T07:40&speed=max")
    assert (found.parameters["since"], found.parameters["speed"]) == ("2020-02-04T07:40", "max")


@pytest.mark.parametrize(
    "symbols", [["BTCUSDT", "BTCUSD_PERP"], ["BTCUSDT", "BTCUSDT"], ["btcusdt"], ["BTC"], ["X_PERP"]]
)
def test_symbols_that_do_not_exist(symbols: list[str]) -> None:
    with pytest.raises(ValueError, match=r"symbol|given once"):
        BinanceStandIn.terms(symbols)


class Account:
    """A simulated account behind the exchange's side of REST."""

    def __init__(self, *symbols: str) -> None:
        self.exchange = Exchange(5, venue="binance", symbols=symbols, funding_interval_ms=2_000)
        self.pushed = [next(self.exchange) for _ in range(1_500)]
        self.view: AccountView = self.exchange.view()
        self.desk = Desk(symbols)
        self.desk.now_ms = self.view.now_ms
        self.product = COIN_M if symbols[0].endswith("_PERP") else USD_M

    def get(self, path: str, **asked: str) -> Any:
        request = get(self.product, path, asked)(BASE, WHO, self.desk.now_ms)
        found = self.desk.ask("GET", request.address.removeprefix(BASE))
        assert isinstance(found, AccountQuery)
        reply = found.answer(self.view)
        assert isinstance(reply, Reply)
        assert int(reply.headers["X-MBX-USED-WEIGHT-1M"]) > 0
        return json.loads(reply.body)

    def events(self, name: str) -> list[Any]:
        return [json.loads(payload) for topic, payload in self.pushed if topic == name]


@pytest.mark.parametrize("symbols", [("BTCUSDT", "ETHUSDC"), ("BTCUSD_PERP",)])
def test_lists_say_what_was_pushed(symbols: tuple[str, ...]) -> None:
    account = Account(*symbols)
    fills = {
        (one["o"]["s"], one["o"]["t"]): (one["o"]["l"], one["o"]["L"], one["o"]["n"], one["o"]["rp"])
        for one in account.events("ORDER_TRADE_UPDATE")
        if one["o"]["t"]
    }
    listed = [row for symbol in symbols for row in account.get("/fapi/v1/userTrades", symbol=symbol, limit="1000")]
    told = {(r["symbol"], r["id"]): (r["qty"], r["price"], r["commission"], r["realizedPnl"]) for r in listed}
    assert told == fills
    assert len(fills) > 100
    income = account.get("/fapi/v1/income", limit="1000")
    assert {row["incomeType"] for row in income} >= {"COMMISSION", "REALIZED_PNL", "FUNDING_FEE", "TRANSFER"}
    assert len({(row["incomeType"], row["tranId"]) for row in income}) == len(income)
    funding = account.get("/fapi/v1/income", limit="1000", incomeType="FUNDING_FEE")
    assert funding == [row for row in income if row["incomeType"] == "FUNDING_FEE"] != []
    if account.product == USD_M:
        lite = {(one["s"], one["t"]) for one in account.events("TRADE_LITE")}
        assert lite == set(fills)
        assert account.events("ACCOUNT_UPDATE")[-1].get("i") is None
    else:
        assert not account.events("TRADE_LITE")
        assert {one["i"] for one in account.events("ACCOUNT_UPDATE")} == {"SgsR"}


def test_coin_m_lists_by_pair_and_by_margin_asset() -> None:
    account = Account("BTCUSD_PERP", "BTCUSD_260327", "ETHUSD_PERP")
    for name in ("/fapi/v1/userTrades", "/fapi/v1/allOrders"):
        by_pair = account.get(name, pair="BTCUSD", limit="1000")
        by_symbol = [account.get(name, symbol=one, limit="1000") for one in ("BTCUSD_PERP", "BTCUSD_260327")]
        assert {json.dumps(row) for row in by_pair} == {json.dumps(row) for rows in by_symbol for row in rows}
        assert {row["symbol"] for row in by_pair} == {"BTCUSD_PERP", "BTCUSD_260327"}
    held = account.get("/fapi/v3/positionRisk")
    assert {row["symbol"] for row in held} == {"BTCUSD_PERP", "BTCUSD_260327", "ETHUSD_PERP"}
    for named in ({"pair": "BTCUSD"}, {"marginAsset": "BTC"}):
        found = account.get("/fapi/v3/positionRisk", **named)
        assert found == [row for row in held if row["symbol"].startswith("BTC")]
    opened = account.get("/fapi/v1/openOrders")
    assert account.get("/fapi/v1/openOrders", pair="ETHUSD") == [row for row in opened if row["pair"] == "ETHUSD"]
    since_ms = account.desk.now_ms - 30 * 24 * 3_600_000
    assert account.get("/fapi/v1/income", startTime=str(since_ms), endTime=str(account.desk.now_ms))


#: Names of fields that COIN-M documents.
POSITION = """symbol positionAmt entryPrice breakEvenPrice markPrice unRealizedProfit liquidationPrice leverage maxQty
  marginType isolatedMargin isAutoAddMargin positionSide updateTime notionalValue isolatedWallet"""
BALANCE = """accountAlias asset balance withdrawAvailable crossWalletBalance crossUnPnl availableBalance updateTime"""
IN_ACCOUNT = """symbol positionAmt initialMargin maintMargin unrealizedProfit positionInitialMargin notionalValue
  openOrderInitialMargin leverage isolated positionSide entryPrice breakEvenPrice maxQty updateTime"""


def test_coin_m_has_rows_of_its_own() -> None:
    account = Account("BTCUSD_PERP", "ETHUSD_PERP")
    positions, balances = account.get("/fapi/v3/positionRisk"), account.get("/fapi/v3/balance")
    told = account.get("/fapi/v3/account")
    for rows_of, fields in ((positions, POSITION), (balances, BALANCE), (told["positions"], IN_ACCOUNT)):
        assert rows_of
        assert {frozenset(row) for row in rows_of} == {frozenset(fields.split())}
    assert [row["walletBalance"] for row in told["assets"]] == [row["balance"] for row in balances]
    assert (told["canTrade"], told["feeTier"]) == (True, 0)
    income = account.get("/fapi/v1/income", limit="1000")
    assert {type(row["tranId"]) for row in income} == {str}
    (update,) = asked(answers.INCOME, encoded([income[0]])).updates
    assert columns(update)["transaction_id"] == income[0]["tranId"]
    info = json.loads(account.desk.ask("GET", "/dapi/v1/exchangeInfo"))
    assert "futuresType" not in info
    assert {row["equalQtyPrecision"] for row in info["symbols"]} == {4}


@pytest.mark.parametrize("symbols", [("BTCUSDT", "ETHUSDT", "ETHUSDC"), ("BTCUSD_PERP", "ETHUSD_PERP")])
def test_the_value_of_a_short_position_is_negative(symbols: tuple[str, ...]) -> None:
    account = Account(*symbols)
    positions = account.get("/fapi/v3/positionRisk")
    values = [(Decimal(row["positionAmt"]), Decimal(row.get("notional") or row["notionalValue"])) for row in positions]
    assert {quantity < 0 for quantity, _ in values} == {True, False}
    assert all((quantity < 0) == (value < 0) for quantity, value in values)
    assert account.get("/fapi/v1/positionSide/dual") == {"dualSidePosition": False}


@pytest.mark.parametrize(
    ("symbols", "path", "limit"),
    [
        (("BTCUSDT", "ETHUSDT"), "/fapi/v1/leverageBracket", "notional"),
        (("BTCUSD_PERP", "ETHUSD_PERP"), "/dapi/v2/leverageBracket", "qty"),
    ],
)
def test_a_symbol_has_a_bracket_of_leverages(symbols: tuple[str, ...], path: str, limit: str) -> None:
    account = Account(*symbols)
    listed = account.get(path)
    assert [row["symbol"] for row in listed] == list(symbols)
    for row in listed:
        (bracket,) = row["brackets"]
        assert bracket.keys() >= {"bracket", "initialLeverage", f"{limit}Cap", f"{limit}Floor", "maintMarginRatio"}
        assert (bracket["initialLeverage"], bracket["maintMarginRatio"]) == (10, 0.005)
    one = account.get(path, symbol=symbols[1])
    assert one == (listed[1] if limit == "notional" else [listed[1]])


def test_a_pushed_position_is_worth_what_it_cost_and_earned() -> None:
    row = rows.position(SentState("ACCOUNT_UPDATE", sample("ACCOUNT_UPDATE"), 1))
    told = json.loads(sample("ACCOUNT_UPDATE"))["a"]["P"][0]
    worth = Decimal(told["pa"]) * Decimal(told["ep"]) + Decimal(told["up"])
    assert Decimal(row["notional"]) == worth != 0
    coin_m = rows.position(SentState("ACCOUNT_UPDATE", sample("coin-m-ACCOUNT_UPDATE"), 1))
    assert (coin_m["notionalValue"], coin_m["marginType"]) == ("0", "isolated")
    assert "notional" not in coin_m
    assert {*IN_ACCOUNT.split()} - rows.account_position(coin_m).keys() == {"leverage", "maxQty"}, "not pushed"


def test_coin_m_costs_less() -> None:
    desk = Desk(("BTCUSD_PERP",))
    for _ in range(WEIGHT_MAX // 20):
        desk.signed("/dapi/v1/income")
    assert desk.refusal(lambda: desk.ask("GET", "/dapi/v1/time")) == (429, -1003)


def test_conditional_orders_are_on_a_list_of_their_own_and_what_they_became_on_the_other() -> None:
    account = Account("BTCUSDT")
    last = {one["o"]["aid"]: one["o"] for one in account.events("ALGO_UPDATE")}
    listed = {row["algoId"]: row for row in account.get("/fapi/v1/allAlgoOrders", symbol="BTCUSDT", limit="1000")}
    assert listed.keys() == last.keys()
    triggered = {number: one for number, one in last.items() if one["X"] == "TRIGGERED"}
    assert triggered
    assert {one["X"] for one in last.values()} > {"TRIGGERED"}
    for number, one in triggered.items():
        assert listed[number]["actualOrderId"] == one["ai"]
        became = account.get("/fapi/v1/order", symbol="BTCUSDT", orderId=one["ai"])
        assert became["origType"] == one["o"]
        assert account.get("/fapi/v1/algoOrder", algoId=str(number)) == listed[number]
    waiting = {row["algoId"] for row in account.get("/fapi/v1/openAlgoOrders")}
    assert waiting == {number for number, one in last.items() if one["X"] == "NEW"}
    account.desk.refusal(lambda: account.get("/fapi/v1/algoOrder", algoId="7"))


def test_orders_without_a_fill_are_forgotten_first() -> None:
    account = Account("BTCUSDT")
    every = account.get("/fapi/v1/allOrders", limit="1000")
    assert [row["time"] for row in every] == sorted(row["time"] for row in every)
    by_id = account.get("/fapi/v1/allOrders", symbol="BTCUSDT", orderId=str(every[5]["orderId"]), limit="3")
    assert {row["orderId"] for row in by_id} <= {row["orderId"] for row in every[5:]}
    retained = {"cancelled": 0.0}
    account.desk.handler = BinanceRequestHandler(
        Backend(
            secret_of={KEY: SECRET}.get,
            clock_ms=lambda: account.desk.now_ms,
            retention_s=retained,
            terms=account.desk.backend.terms,
        )
    )
    left = account.get("/fapi/v1/allOrders", limit="1000")
    assert {row["executedQty"] for row in left}.isdisjoint({"0"})
    assert 0 < len(left) < len(every)


def test_flat_positions_are_left_out_unless_they_are_asked_for() -> None:
    account = Account("BTCUSDT", "ETHUSDT")
    every = [
        row for one in account.desk.backend.terms for row in account.get("/fapi/v2/positionRisk", symbol=one.symbol)
    ]
    flat = {row["symbol"] for row in every if row["positionAmt"] == "0"}
    listed = {row["symbol"] for row in account.get("/fapi/v3/positionRisk")}
    assert listed == {row["symbol"] for row in every} - flat


def test_a_recorded_push_is_shown_as_a_row_that_says_the_same() -> None:
    """Of a served record, the stand-in has nothing but the frames."""
    same: list[tuple[str, int, Callable[[SentState], Any], str]] = [
        ("ORDER_TRADE_UPDATE", 0, rows.order, answers.ORDERS),
        ("ORDER_TRADE_UPDATE", 1, rows.fill, answers.FILLS),
        ("ACCOUNT_UPDATE", 0, rows.balance, answers.BALANCES),
        ("ACCOUNT_UPDATE", 1, rows.position, answers.POSITIONS),
        ("ALGO_UPDATE", 0, rows.order, answers.ALGOS),
    ]
    for name, item, shown, path in same:
        pushed = columns(read(sample(name)).updates[item])
        (update,) = asked(path, encoded([shown(SentState(name, sample(name), item))])).updates
        told = columns(update)
        assert "extra" not in told
        apart = {"event_ms", "is_snapshot", "is_partial", "created_ms", "available", "unrealized_pnl", "realized_pnl"}
        apart |= {"margin_mode", "kind", "client_order_id"}
        assert {k: v for k, v in pushed.items() if k not in apart} == {k: v for k, v in told.items() if k not in apart}


@pytest.mark.parametrize(
    ("symbols", "dated", "prefix"),
    [
        ((), "BTCUSDT_200327", "settlement_autoclose-"),
        (("BTCUSD_PERP", "BTCUSD_200327"), "BTCUSD_200327", "delivery_autoclose-"),
    ],
)
def test_a_future_is_delivered_by_an_order_of_the_exchange(symbols: tuple[str, ...], dated: str, prefix: str) -> None:
    exchange = Exchange(3, symbols, venue="binance", expiry_ms=30_000)
    pushed = [json.loads(payload) for _, payload in islice(exchange, 1_200)]
    orders = [push["o"] for push in pushed if push["e"] == "ORDER_TRADE_UPDATE" and push["o"]["s"] == dated]
    last = [row for row in orders if row["c"].startswith(prefix)]
    assert [(row["x"], row["X"]) for row in last] == [("NEW", "NEW"), ("CALCULATED", "FILLED")]
    assert {row["er"] for row in orders if row["X"] == "EXPIRED"} <= {"2", "7", "10", "11"}
    fill = exchange.face.execution(next(one for one in exchange.history.fills if one.kind == "settlement")).fill
    entries = [entry.state for entry in exchange.view().transactions(Span())]
    income = [row for state in entries for row in json.loads(state.payload) if row["tradeId"] == fill.trade_id]
    told = {row["incomeType"]: Decimal(row["income"]) for row in income if row["symbol"] == dated}
    assert told == {
        "DELIVERED_SETTELMENT": Decimal(fill.realized_pnl or 0),
        "COMMISSION": -Decimal(fill.fee or 0),
    }
    positions = [row for push in pushed if push["e"] == "ACCOUNT_UPDATE" for row in push["a"]["P"] if row["s"] == dated]
    assert positions[-1]["pa"] == "0"
    (terms,) = [one for one in exchange.terms if one.symbol == dated]
    row = states.instrument_row(terms)
    assert (row["contractType"], row["deliveryDate"]) == ("CURRENT_QUARTER", terms.expires_ms)


def test_an_account_trades_the_future_that_a_quarter_ends_with_next() -> None:
    at_ms = expires_ms("260327")
    assert at_ms
    assert BinanceStandIn.dated_symbols(at_ms - 1) == ("BTCUSDT_260327",)
    assert BinanceStandIn.dated_symbols(at_ms) == ("BTCUSDT_260626",)
    (terms,) = BinanceStandIn.terms(["BTCUSDT_260327"])
    assert terms.expires_ms == at_ms
