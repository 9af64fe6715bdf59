"""What the answers of Bybit's REST interface say."""

import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from recorder.model import (
    CONTROL,
    DECODED,
    ENDED,
    UNDECODED,
    AccountUpdate,
    FillUpdate,
    Instrument,
    OrderUpdate,
    PositionUpdate,
    RefusedCommand,
    Transaction,
)
from recorder.venues.bybit import answers
from tests.unit.bybit.frames import AT_MS, answer, asked, only, read, row, sample, told

ANSWERED_MS = 1795600003000
#: Sample → a request that it answers, where only the venue's views show what it says.
WITHOUT_ROWS = {
    "rest-closed-pnl": "/v5/position/closed-pnl?category=linear",
    "rest-settlement": "/v5/asset/settlement-record?category=linear",
    "rest-delivery": "/v5/asset/delivery-record?category=option",
    "rest-interest": "/v5/account/borrow-history",
    "rest-transfer": "/v5/asset/transfer/query-inter-transfer-list",
    "rest-deposit": "/v5/asset/deposit/query-record",
    "rest-internal-deposit": "/v5/asset/deposit/query-internal-record",
    "rest-withdrawal": "/v5/asset/withdraw/query-record",
    "rest-time": "/v5/market/time",
    "rest-account": "/v5/account/info",
    "rest-key": answers.KEY_PERMISSIONS,
}


def log_row(**fields: object) -> bytes:
    """The log with one row: the sample of a trade, with other fields."""
    trade = json.loads(sample("rest-transaction-log"))["result"]["list"][2]
    return answer({"list": [trade | fields]})


def test_an_order_that_is_not_in_the_history_of_its_symbol_has_ended() -> None:
    target = "/v5/order/history?category=inverse&symbol=BTCUSD&orderId=3f0a6b52-9a0e"
    ended = OrderUpdate(AT_MS, 0, 1, "inverse", "BTCUSD", "3f0a6b52-9a0e", status=ENDED)
    assert asked(target, answer({"list": []})).updates == (ended,)
    for other in ("category=inverse&orderId=3f0a6b52-9a0e", "category=inverse&symbol=BTCUSD&limit=50"):
        assert asked(f"/v5/order/history?{other}", answer({"list": []})).updates == ()
    assert asked(target.replace("history", "realtime"), answer({"list": []})).updates == ()


@pytest.mark.parametrize(
    ("target", "is_snapshot"),
    [
        ("/v5/order/realtime?category=linear&settleCoin=USDT", 1),
        ("/v5/order/realtime?category=linear&openOnly=0", 1),
        ("/v5/order/realtime?category=linear&openOnly=1", 0),
        ("/v5/order/history?category=linear", 0),
        ("/v5/pre-upgrade/order/history?category=linear", 0),
        ("GET /v5/order/history", 0),
    ],
)
def test_orders(target: str, is_snapshot: int) -> None:
    decoded = asked(target, sample("rest-order"))
    assert (decoded.topic, decoded.status, decoded.control) == (target, DECODED, None)
    assert decoded.next_page == "page_args%3D3f0a6b52-9a0e-4c57-8f0b-5a2f0d8c1e77%26symbol%3D6%26"
    update = only(decoded)
    # As pushed, though the category is not in the row.
    assert update == only(read(sample("order")))._replace(event_ms=ANSWERED_MS, is_snapshot=is_snapshot)
    assert isinstance(update, OrderUpdate)


def test_the_category_can_be_that_of_the_request() -> None:
    plain = row("order")
    del plain["category"]
    assert only(asked("/v5/order/history?limit=50&category=spot", answer({"list": [plain]}))).market == "spot"
    assert only(asked("/v5/order/history", answer({"list": [plain]}))).market is None


def test_executions() -> None:
    fill, funding = asked("/v5/execution/list?category=linear", sample("rest-execution")).updates
    assert isinstance(fill, FillUpdate)
    assert fill == only(read(sample("execution")))._replace(event_ms=ANSWERED_MS)
    assert isinstance(funding, Transaction)
    assert (funding.amount, funding.currency, funding.transaction_id) == ("0.1695625", "USDT", None)


def test_positions() -> None:
    decoded = asked("/v5/position/list?category=linear&settleCoin=USDT", sample("rest-position"))
    assert decoded.next_page is None
    long, short = decoded.updates
    # The entry price has another name in answers.
    assert long == only(read(sample("position")))._replace(event_ms=ANSWERED_MS, is_snapshot=1)
    assert isinstance(short, PositionUpdate)
    assert (short.symbol, short.position_side, short.quantity, short.entry_price) == (
        *("BTCUSDT", "short"),
        *("-0.01", "88000.5"),
    )


def test_balances() -> None:
    pushed = only(read(sample("wallet")))
    usdt, btc = asked("/v5/account/wallet-balance?accountType=UNIFIED", sample("rest-wallet")).updates
    assert usdt == pushed._replace(event_ms=ANSWERED_MS, updated_ms=ANSWERED_MS, is_snapshot=1)
    assert isinstance(btc, AccountUpdate)
    assert (btc.balance, btc.locked, btc.position_margin) == ("0.023456789012345678", "0.012", None)


def test_the_transaction_log() -> None:
    decoded = asked("/v5/account/transaction-log?accountType=UNIFIED", sample("rest-transaction-log"))
    assert decoded.next_page == "21963%3A1%2C14954%3A1"
    rows: list[Any] = list(decoded.updates)
    assert {type(one) for one in rows} == {Transaction}
    assert {(one.event_ms, one.is_snapshot, one.wallet, one.extra) for one in rows} == {
        (ANSWERED_MS, 0, "UNIFIED", None)
    }
    assert [(one.type, one.amount, one.fee, one.balance_after, one.order_id) for one in rows] == [
        ("settlement", "12.00", "0.00000000", None, None),
        ("funding", "-0.25", None, "1011.75", None),
        ("funding", "0.1695625", "0.00000000", "7712.3904375", None),
        ("trade", "-0.339125", "0.339125", "7712.220875", "3f0a6b52-9a0e-4c57-8f0b-5a2f0d8c1e77"),
        ("transfer", "7712.56", "0", "7712.56", None),
    ]
    assert told(rows[3]) == {
        "transaction_id": "100000007_ETHUSDT_88120034511",
        "type": "trade",
        "venue_type": "TRADE",
        "wallet": "UNIFIED",
        "currency": "USDT",
        "amount": "-0.339125",
        "fee": "0.339125",
        "balance_after": "7712.220875",
        "market": "linear",
        "symbol": "ETHUSDT",
        "order_id": "3f0a6b52-9a0e-4c57-8f0b-5a2f0d8c1e77",
        "trade_id": "c1d8f6de-5d0b-5f43-9d7e-64d0b7f1a9b2",
        "occurred_ms": 1795600000120,
    }
    assert [one.symbol for one in rows if one.symbol is None] == [None]


def test_rows_of_the_log_lead_from_balance_to_balance() -> None:
    rows: list[Any] = list(asked(answers.TRANSACTION_LOG, sample("rest-transaction-log")).updates)
    usdt = [one for one in reversed(rows) if one.currency == "USDT"]
    for before, after in pairwise(usdt):
        assert Decimal(before.balance_after) + Decimal(after.amount) == Decimal(after.balance_after)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ("TRADE", "trade"),
        ("DELIVERY", "settlement"),
        ("LIQUIDATION", "liquidation"),
        ("ADL", "liquidation"),
        ("TRANSFER_IN", "transfer"),
        ("TRANSFER_OUT", "transfer"),
        ("INTEREST", "interest"),
        ("FEE_REFUND", "rebate"),
        ("CONVERT", "conversion"),
        ("CURRENCY_BUY", "conversion"),
        ("CURRENCY_SELL", "conversion"),
        ("BONUS", "other"),
        ("AIRDROP", "other"),
        ("A_NEW_ONE", "other"),
    ],
)
def test_the_type_of_a_transaction(sent: str, kind: str) -> None:
    update = only(asked(answers.TRANSACTION_LOG, log_row(type=sent)))
    assert (update.type, update.venue_type) == (kind, sent)


@pytest.mark.parametrize(
    ("cash_flow", "funding", "kinds"),
    [
        ("0", "-0.25", ["funding"]),
        ("", "-0.25", ["funding"]),
        ("12", "", ["settlement"]),
        ("12", "0", ["settlement"]),
        ("0", "0", ["funding"]),
        ("12", "-0.25", ["settlement", "funding"]),
    ],
)
def test_the_parts_of_a_settlement_add_up_to_its_change(cash_flow: str, funding: str, kinds: list[str]) -> None:
    change = sum(Decimal(part or 0) for part in (cash_flow, funding)) - Decimal("0.5")
    payload = log_row(type="SETTLEMENT", cashFlow=cash_flow, funding=funding, fee="0.5", change=str(change))
    rows: list[Any] = list(asked(answers.TRANSACTION_LOG, payload).updates)
    assert [one.type for one in rows] == kinds
    assert sum(Decimal(one.amount) for one in rows) == change
    assert sum(Decimal(one.fee) for one in rows if one.fee) == Decimal("0.5")
    assert [one.balance_after for one in rows][-1] == "7712.220875"
    assert len({(one.type, one.transaction_id, one.trade_id, one.currency) for one in rows}) == len(rows)


def test_the_funding_account() -> None:
    decoded = asked(f"{answers.FUND_LOG}?limit=100", sample("rest-fund-log"))
    assert decoded.next_page == "MTM3MTU3OTk="
    out, into = decoded.updates
    assert told(out) == {
        "type": "other",
        "venue_type": "Transfer",
        "wallet": "FUND",
        "currency": "USDT",
        "amount": "-7712.56",
        "balance_after": "2287.44",
        "occurred_ms": 1795500000000,
    }
    assert told(into)["amount"] == "10000"
    balance = only(asked(f"{answers.FUND_BALANCES}?accountType=FUND", sample("rest-fund-balance")))
    assert (balance.is_snapshot, balance.wallet, balance.currency) == (1, "FUND", "USDT")
    assert (balance.balance, balance.available) == ("2287.44", "2287.4")


def test_instruments() -> None:
    linear, inverse = asked(f"{answers.INSTRUMENTS}?category=linear&baseCoin=ETH", sample("rest-instrument")).updates
    spot = only(asked(f"{answers.INSTRUMENTS}?category=spot", sample("rest-instrument-spot")))
    option = only(asked(f"{answers.INSTRUMENTS}?category=option", sample("rest-instrument-option")))
    assert isinstance(linear, Instrument)
    assert [one[2:] for one in (linear, inverse, spot, option)] == [
        ("linear", "ETHUSDT", "linear", "ETH", "USDT", "USDT", "1", "0.01", "0.01", None),
        ("inverse", "ETHUSD", "inverse", "ETH", "USD", "ETH", "1", "0.05", "1", None),
        ("spot", "BTCUSDT", "spot", "BTC", "USDT", None, "1", "0.01", "0.000001", None),
        ("option", "BTC-26JUN26-89000-P-USDT", "option", "BTC", "USDT", "USDT", "1", "5", "0.01", None),
    ]
    assert linear[:2] == (ANSWERED_MS, 1)


@pytest.mark.parametrize(("name", "target"), WITHOUT_ROWS.items(), ids=WITHOUT_ROWS)
def test_an_answer_without_rows_is_decoded(name: str, target: str) -> None:
    assert asked(target, sample(name))[:5] == (target, DECODED, None, (), None)


@pytest.mark.parametrize("target", [*answers._ROWS])
def test_an_empty_list_is_the_last_page(target: str) -> None:
    decoded = asked(target, answer({"list": [], "nextPageCursor": "abc"}))
    assert (decoded.status, decoded.updates, decoded.next_page) == (DECODED, (), None)


@pytest.mark.parametrize("cursor", ["", None])
def test_a_list_without_a_cursor_is_the_last_page(cursor: str | None) -> None:
    assert asked(answers.ORDER_HISTORY, answer({"list": [row("order")], "nextPageCursor": cursor})).next_page is None


@pytest.mark.parametrize("message", ["OK", "success", "SUCCESS", "", None])
def test_only_the_code_tells_success(message: str | None) -> None:
    decoded = asked(answers.ORDER_HISTORY, answer({"list": [row("order")]}, retMsg=message))
    assert only(decoded).order_id == row("order")["orderId"]
    refused = asked(answers.ORDER_HISTORY, answer({"list": [row("order")]}, retCode=10006, retMsg=message))
    assert (refused.status, refused.updates) == (CONTROL, ())
    assert refused.control == RefusedCommand(None, 10006, message or "")
    assert asked(answers.ORDER_HISTORY, answer({}, retCode="33004")).control == RefusedCommand(None, 33004, "OK")


def test_a_refusal_of_a_signature_does_not_tell_the_key() -> None:
    refused = asked("/v5/order/realtime?category=linear", sample("rest-refused"))
    assert refused.control == RefusedCommand(None, 10004, "error sign! origin_string[***]")
    assert refused.secrets == ("1700000000000testApiKey01234565000category=linear&limit=50&settleCoin=USDT",)
    assert "testApiKey0123456" not in str(refused.control)


def test_an_answer_about_the_key_names_it() -> None:
    assert asked(answers.KEY_PERMISSIONS, sample("rest-key")).secrets == ("testApiKey0123456",)


@pytest.mark.parametrize("name", ["rest-order", "rest-wallet", "rest-transaction-log"])
def test_undocumented_fields_are_kept_as_sent(name: str) -> None:
    target = {"rest-order": answers.OPEN_ORDERS, "rest-wallet": answers.BALANCES}.get(name, answers.TRANSACTION_LOG)
    text = sample(name).replace(b'"result":{', b'"new":1.10,"result":{"newer":"x",')
    for update in asked(target, text).updates:
        assert update.extra == '{"new":1.10,"newer":"x"}'  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("target", "payload", "error"),
    [
        ("/v5/market/tickers", answer({"list": []}), "/v5/market/tickers is not a request whose answer we know"),
        (answers.OPEN_ORDERS, b"<html>502 Bad Gateway</html>", "JSON"),
        (answers.OPEN_ORDERS, b"{}", "retCode: missing"),
        (answers.OPEN_ORDERS, b'{"retCode":null}', "retCode: missing"),
        (answers.OPEN_ORDERS, b'{"retCode":0,"retCode":0}', "comes twice"),
        (answers.OPEN_ORDERS, answer({"list": [{}]}), "orderId: missing"),
        (answers.OPEN_ORDERS, answer({"list": [{"orderId": ""}]}), "orderId: missing"),
        (answers.OPEN_ORDERS, answer({"list": [7]}), "object"),
        (answers.POSITIONS, answer({"list": [{"size": "1"}]}), "symbol: missing"),
        (answers.BALANCES, answer({"list": [{}]}), "coin: missing"),
        (answers.BALANCES, answer({"list": [{"coin": [{}]}]}), "coin: missing"),
        (answers.TRANSACTION_LOG, log_row(change="1,5"), 'change: "1,5" is not a number'),
        (answers.TRANSACTION_LOG, log_row(transactionTime="noon"), 'transactionTime: "noon" is not a number'),
        (answers.FUND_LOG, answer({"list": [{"createTime": "9" * 30}]}), "createTime: "),
        (answers.FUND_BALANCES, answer({"balance": [{}]}), "coin: missing"),
        (answers.INSTRUMENTS, answer({"list": [{}]}), "symbol: missing"),
        (answers.INSTRUMENTS, answer({"list": [{"symbol": "X", "priceFilter": {"tickSize": "?"}}]}), 'tickSize: "?"'),
    ],
)
def test_what_cannot_be_read_is_named(target: str, payload: bytes, error: str) -> None:
    decoded = asked(target, payload)
    assert (decoded.topic, decoded.status, decoded.updates) == (target, UNDECODED, ())
    assert error in (decoded.error or "")


def test_event_time_is_that_of_the_answer() -> None:
    assert only(asked(answers.ORDER_HISTORY, answer({"list": [row("order")]}))).event_ms == AT_MS
    assert only(asked(answers.ORDER_HISTORY, answer({"list": [row("order")]}, time=None))).event_ms is None


#: As in the exchange's pages: rows of before an upgrade have fewer fields than today's.
OLD_ORDER = {
    "orderId": "67836246-460e-4c52-a009-af0c3e1d12bc",
    "orderLinkId": "",
    "symbol": "BTCUSDT",
    "price": "27203.40",
    "qty": "0.200",
    "side": "Sell",
    "positionIdx": 0,
    "orderStatus": "Filled",
    "cancelType": "UNKNOWN",
    "rejectReason": "EC_NoError",
    "avgPrice": "28632.126000",
    "cumExecQty": "0.200",
    "cumExecFee": "3.43585512",
    "timeInForce": "IOC",
    "orderType": "Market",
    "stopOrderType": "UNKNOWN",
    "triggerPrice": "0.00",
    "reduceOnly": True,
    "createdTime": "1682487465732",
    "updatedTime": "1682487465735",
}
OLD_PAYMENT = {
    "symbol": "BTCUSDT",
    "orderId": "1682553600-BTCUSDT-592334-Sell",
    "side": "Sell",
    "execFee": "0.6364003",
    "execId": "11f1c4ed-ff20-4d73-acb7-96e43a917f25",
    "execPrice": "28399.90",
    "execQty": "0.011",
    "execType": "Funding",
    "execTime": "1682553600000",
    "isMaker": False,
    "feeRate": "0.00203714",
}
OLD_ENTRY = {
    "symbol": "ETH-14JUN23-1750-C",
    "side": "Buy",
    "funding": "",
    "orderId": "",
    "fee": "0",
    "change": "0",
    "cashFlow": "0",
    "transactionTime": "1686729604507",
    "type": "DELIVERY",
    "size": "0",
    "qty": "0.5",
    "cashBalance": "1001.1438885",
    "currency": "USDC",
    "category": "option",
    "tradePrice": "1740.25036667",
    "tradeId": "",
}


def old(path: str, row: Mapping[str, object], category: str = "linear") -> Any:
    return only(
        asked(f"{answers.PRE_UPGRADE}{path}?category={category}", answer({"list": [row], "category": category}))
    )


def test_an_order_of_before_an_upgrade_is_one_of_today_with_its_id() -> None:
    order = old("/order/history", OLD_ORDER)
    assert (order.order_id, order.market, order.symbol) == (OLD_ORDER["orderId"], "linear", "BTCUSDT")
    assert (order.status, order.quantity, order.filled_quantity, order.fee) == (
        "filled",
        "0.200",
        "0.200",
        "3.43585512",
    )


@pytest.mark.parametrize(("symbol", "wallet"), [("BTCUSDT", "CONTRACT"), ("BTCPERP", "OPTION")])
def test_a_payment_of_before_an_upgrade_is_of_the_wallet_that_was(symbol: str, wallet: str) -> None:
    payment = old("/execution/list", OLD_PAYMENT | {"symbol": symbol})
    assert (payment.type, payment.wallet, payment.amount) == ("funding", wallet, "-0.6364003")
    assert payment.trade_id == OLD_PAYMENT["execId"]


def test_an_entry_of_before_an_upgrade_is_of_the_wallet_that_was() -> None:
    entry = old("/account/transaction-log", OLD_ENTRY, "option")
    assert (entry.type, entry.wallet, entry.currency) == ("settlement", "OPTION", "USDC")
    assert (entry.balance_after, entry.transaction_id) == ("1001.1438885", None)


@pytest.mark.parametrize(("trade_id", "parts"), [("7a4c0003", 2), ("", 1)])
def test_an_entry_without_an_id_is_known_by_its_payment_or_stays_whole(trade_id: str, parts: int) -> None:
    """Of two parts, only one has the balance; the other one counts because it has an id."""
    session = {"type": "SETTLEMENT", "funding": "-0.25", "cashFlow": "12", "change": "11.75", "tradeId": trade_id}
    body = answer({"list": [OLD_ENTRY | session]})
    rows: list[Any] = list(asked(f"{answers.OLD_LOG}?category=linear", body).updates)
    assert [one.transaction_id for one in rows] == [trade_id or None] * parts
    assert sum(Decimal(one.amount) for one in rows) == Decimal("11.75")
