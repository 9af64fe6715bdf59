"""What the frames of Bybit's private stream say, in the words and columns of all venues."""

import json
from typing import Any

import pytest

from recorder.model import (
    CONTROL,
    DECODED,
    UNDECODED,
    Acknowledged,
    FillUpdate,
    Heartbeat,
    LoggedIn,
    Notice,
    RefusedCommand,
    Transaction,
)
from recorder.venues.bybit import decode as decoder
from tests.unit.bybit.frames import AT_MS, only, push, read, row, sample, told

ORDER_ID = "3f0a6b52-9a0e-4c57-8f0b-5a2f0d8c1e77"


def order(**fields: object) -> Any:
    """The record of the sample order with other fields."""
    return only(read(push("order", row("order") | fields)))


def execution(**fields: object) -> Any:
    """The record of the sample execution with other fields."""
    return only(read(push("execution", row("execution") | fields)))


def position(**fields: object) -> Any:
    """The record of the sample position with other fields."""
    return only(read(push("position", row("position") | fields)))


def coin(**fields: object) -> Any:
    """The record of the sample coin with other fields."""
    account = row("wallet")
    return only(read(push("wallet", account | {"coin": [account["coin"][0] | fields]})))


def test_an_order() -> None:
    decoded = read(sample("order"))
    assert (decoded.topic, decoded.status, decoded.control) == ("order", DECODED, None)
    update = only(decoded)
    assert (update.event_ms, update.is_snapshot, update.is_partial) == (AT_MS, 0, 0)
    assert told(update) == {
        "market": "linear",
        "symbol": "ETHUSDT",
        "order_id": ORDER_ID,
        "client_order_id": "desk-41",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "post_only": 1,
        "reduce_only": 0,
        "price": "3391.25",
        "quantity": "1.2",
        "filled_quantity": "0.5",
        "average_price": "3391.25",
        "status": "partially_filled",
        "venue_status": "PartiallyFilled",
        "fee": "0.339125",
        "fee_currency": "USDT",
        "created_ms": 1795599998731,
        "updated_ms": 1795600000122,
    }


def test_a_fill() -> None:
    update = only(read(sample("execution")))
    assert isinstance(update, FillUpdate)
    assert told(update) == {
        "trade_id": "c1d8f6de-5d0b-5f43-9d7e-64d0b7f1a9b2",
        "order_id": ORDER_ID,
        "client_order_id": "desk-41",
        "market": "linear",
        "symbol": "ETHUSDT",
        "side": "buy",
        "price": "3391.25",
        "quantity": "0.5",
        "fee": "0.339125",
        "fee_currency": "USDT",
        "liquidity": "maker",
        "realized_pnl": "0",
        "kind": "trade",
        "executed_ms": 1795600000120,
    }


def test_a_position() -> None:
    assert told(only(read(sample("position")))) == {
        "market": "linear",
        "symbol": "ETHUSDT",
        "quantity": "0.5",
        "entry_price": "3391.25",
        "mark_price": "3391.19",
        "leverage": "10",
        "margin": "170.4",
        "unrealized_pnl": "-0.03",
        "realized_pnl": "-0.339125",
        "updated_ms": 1795600000122,
    }


def test_a_balance() -> None:
    update = only(read(sample("wallet")))
    assert (update.event_ms, update.is_partial) == (1795600000126, 0)
    assert told(update) == {
        "wallet": "UNIFIED",
        "currency": "USDT",
        "balance": "7712.220875",
        "locked": "0",
        "position_margin": "170.4",
        "equity": "7712.190875",
        "unrealized_pnl": "-0.03",
        "updated_ms": 1795600000126,
    }


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("Untriggered", "pending"),
        ("Triggered", "new"),
        ("New", "new"),
        ("PartiallyFilled", "partially_filled"),
        ("Filled", "filled"),
        ("Cancelled", "canceled"),
        ("PartiallyFilledCanceled", "canceled"),
        ("Deactivated", "canceled"),
        ("Rejected", "rejected"),
        ("Frozen", None),
        ("", None),
    ],
)
def test_the_status_of_an_order(sent: str, status: str | None) -> None:
    update = order(orderStatus=sent)
    assert (update.status, update.venue_status) == (status, sent or None)


@pytest.mark.parametrize(
    ("sent", "in_force", "post_only"),
    [
        ("GTC", "gtc", 0),
        ("IOC", "ioc", 0),
        ("FOK", "fok", 0),
        ("PostOnly", "gtc", 1),
        ("RPI", "gtc", 1),
        ("", None, None),
    ],
)
def test_the_time_in_force_of_an_order(sent: str, in_force: str | None, post_only: int | None) -> None:
    update = order(timeInForce=sent)
    assert (update.time_in_force, update.post_only) == (in_force, post_only)


@pytest.mark.parametrize(
    ("category", "kind", "side", "unit", "is_quote"),
    [
        ("spot", "Market", "Buy", "", True),
        ("spot", "Market", "Buy", "quoteCoin", True),
        ("spot", "Market", "Buy", "baseCoin", False),
        ("spot", "Market", "Sell", "", False),
        ("spot", "Market", "Sell", "quoteCoin", True),
        ("spot", "Limit", "Buy", "", False),
        ("linear", "Market", "Buy", "", False),
    ],
)
def test_a_spot_market_order_can_be_for_an_amount_of_the_quote_coin(
    category: str, kind: str, side: str, unit: str, is_quote: bool
) -> None:
    update = order(category=category, orderType=kind, side=side, marketUnit=unit, qty="20")
    assert (update.quantity, update.quote_quantity) == ((None, "20") if is_quote else ("20", None))
    assert (update.market, update.side) == (category, side.lower())


@pytest.mark.parametrize("zero", ["", "0", "0.0", "0.00", "-0"])
def test_a_price_of_zero_is_none(zero: str) -> None:
    update = order(price=zero, avgPrice=zero, triggerPrice=zero)
    assert (update.price, update.average_price, update.trigger_price) == (None, None, None)
    flat = position(entryPrice=zero, liqPrice=zero)
    assert (flat.entry_price, flat.liquidation_price) == (None, None)


@pytest.mark.parametrize(
    ("rejection", "cancellation", "reason"),
    [
        ("EC_NoError", "UNKNOWN", None),
        ("", "", None),
        ("EC_PerCancelRequest", "CancelByUser", "CancelByUser"),
        ("EC_PerCancelRequest", "CancelByPrepareLiq", "CancelByPrepareLiq"),
        ("EC_PerCancelRequest", "UNKNOWN", "EC_PerCancelRequest"),
        ("EC_PostOnlyWillTakeLiquidity", "UNKNOWN", "EC_PostOnlyWillTakeLiquidity"),
        ("EC_NoEnoughQtyToFill", "CancelByUser", "EC_NoEnoughQtyToFill"),
        ("EC_NoError", "CancelByTpSlTsClear", "CancelByTpSlTsClear"),
    ],
)
def test_why_an_order_ended(rejection: str, cancellation: str, reason: str | None) -> None:
    assert order(rejectReason=rejection, cancelType=cancellation).reason == reason


@pytest.mark.parametrize(
    ("detail", "fee"),
    [
        ({"USDT": "0.0256322"}, ("0.0256322", "USDT")),
        ({"MNT": "-0.5"}, ("-0.5", "MNT")),
        ({"MNT": "0.5", "USDT": "0.1"}, (None, None)),
        ({}, ("7.5", "ETH")),
        (None, ("7.5", "ETH")),
        ("", ("7.5", "ETH")),
        ({"USDT": ""}, ("7.5", "ETH")),
    ],
)
def test_the_fee_of_an_order(detail: object, fee: tuple[str | None, str | None]) -> None:
    update = order(cumFeeDetail=detail, cumExecFee="7.5", feeCurrency="ETH")
    assert (update.fee, update.fee_currency) == fee


@pytest.mark.parametrize(("index", "side"), [(0, None), (1, "long"), (2, "short"), ("2", "short"), (None, None)])
def test_the_position_side_in_hedge_mode(index: object, side: str | None) -> None:
    assert order(positionIdx=index).position_side == side
    assert position(positionIdx=index).position_side == side


@pytest.mark.parametrize(
    ("side", "size", "quantity"),
    [
        ("Buy", "0.5", "0.5"),
        ("Sell", "0.5", "-0.5"),
        ("Sell", "0", "0"),
        ("Sell", "0.00", "0.00"),
        ("", "0", "0"),
        ("None", "0", "0"),
    ],
)
def test_the_sign_of_a_position(side: str, size: str, quantity: str) -> None:
    assert position(side=side, size=size).quantity == quantity


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ("Trade", "trade"),
        ("BlockTrade", "trade"),
        ("MovePosition", "trade"),
        ("FutureSpread", "trade"),
        ("BustTrade", "liquidation"),
        ("AdlTrade", "adl"),
        ("Delivery", "settlement"),
        ("Settle", "settlement"),
        ("CorporateAction", None),
        ("UNKNOWN", None),
        ("Rebalance", None),
    ],
)
def test_the_kind_of_a_fill(sent: str, kind: str | None) -> None:
    fill = execution(execType=sent)
    assert isinstance(fill, FillUpdate)
    assert fill.kind == kind


@pytest.mark.parametrize(("fee", "amount"), [("0.25", "-0.25"), ("-0.25", "0.25"), ("0", "0"), ("", None)])
def test_funding_is_a_transaction_and_no_fill(fee: str, amount: str | None) -> None:
    payment = execution(execType="Funding", execFee=fee, orderId="1682668800-ETHUSDT-460579-Buy", feeRate="0.0001")
    assert isinstance(payment, Transaction)
    assert told(payment) == {
        "type": "funding",
        "venue_type": "Funding",
        "wallet": "UNIFIED",
        "currency": "USDT",
        **({} if amount is None else {"amount": amount}),
        "market": "linear",
        "symbol": "ETHUSDT",
        "trade_id": "c1d8f6de-5d0b-5f43-9d7e-64d0b7f1a9b2",
        "occurred_ms": 1795600000120,
    }


@pytest.mark.parametrize(
    ("category", "symbol", "coin_of_fees"),
    [
        ("linear", "BTCUSDT", "USDT"),
        ("linear", "BTCUSDT-27MAR26", "USDT"),
        ("linear", "1000PEPEUSDT", "USDT"),
        ("linear", "BTCPERP", "USDC"),
        ("linear", "BTC-27MAR26", "USDC"),
        ("linear", "SOMETHING", None),
        ("inverse", "BTCUSD", "BTC"),
        ("inverse", "BTCUSDH26", "BTC"),
        ("inverse", "USD", None),
        ("option", "BTC-26JUN26-89000-P-USDT", "USDT"),
        ("option", "ETH-26JUN26-2800-C", "USDC"),
        ("spot", "BTCUSDT", None),
        (None, "BTCUSDT", None),
    ],
)
def test_the_coin_of_a_fee_that_does_not_say_it(category: str | None, symbol: str, coin_of_fees: str | None) -> None:
    for kind in ("Trade", "Funding"):
        update = execution(category=category, symbol=symbol, feeCurrency="", execType=kind)
        assert (update.fee_currency if isinstance(update, FillUpdate) else update.currency) == coin_of_fees


@pytest.mark.parametrize("sent", ["", "0", "-1", None])
def test_an_execution_without_an_id(sent: object) -> None:
    for kind in ("Trade", "Funding"):
        assert execution(execId=sent, execType=kind).trade_id is None


def test_the_coin_of_a_fee_has_two_names() -> None:
    fields = row("execution") | {"category": "spot", "feeCoin": "MNT"}
    assert only(read(push("execution", fields))).fee_currency == "USDT"
    del fields["feeCurrency"]
    assert only(read(push("execution", fields))).fee_currency == "MNT"


def test_taxes_are_added_to_the_fee() -> None:
    tax = {"feeCoin": "USDT", "feeType": "GST", "subFeeType": "IND_GST", "feeRate": "0.000099", "fee": "0.004613796"}
    assert execution(extraFees=[tax]).fee == "0.343738796"
    assert execution(extraFees=[tax, tax | {"fee": "0.1"}]).fee == "0.443738796"
    assert execution(extraFees=[tax | {"new": 1}]).fee == "0.343738796"
    assert execution(extraFees=[tax | {"feeCoin": "IDR"}]).fee == "0.339125"
    assert execution(extraFees=[]).fee == "0.339125"
    assert execution(execFee="", extraFees=[tax]).fee == "0.004613796"


def test_what_was_borrowed_is_not_owned() -> None:
    assert coin(walletBalance="0.123456789012345678", spotBorrow="0.1").balance == "0.023456789012345678"
    assert coin(walletBalance="1.10", spotBorrow="0").balance == "1.10"
    assert coin(walletBalance="0", spotBorrow="2.5").balance == "-2.5"
    assert coin(walletBalance="", spotBorrow="2.5").balance is None


def test_spot_and_derivative_orders_both_lock() -> None:
    assert coin(locked="1.5", totalOrderIM="0.25").locked == "1.75"
    assert coin(locked="1.50", totalOrderIM="0").locked == "1.50"
    assert coin(locked="0", totalOrderIM="").locked == "0"
    assert coin(locked="", totalOrderIM="").locked is None


def test_a_frame_with_several_rows_gives_an_update_for_each() -> None:
    rows = [row("order") | {"orderId": str(number)} for number in (3, 1, 2)]
    assert [update.order_id for update in read(push("order", *rows)).updates] == ["3", "1", "2"]  # type: ignore[union-attr]
    several = [row("execution"), row("execution") | {"execType": "Funding", "execId": "f"}]
    assert [type(update) for update in read(push("execution", *several)).updates] == [FillUpdate, Transaction]
    account = row("wallet")
    coins = [account["coin"][0] | {"coin": name} for name in ("BTC", "USDT")]
    updates = read(push("wallet", account | {"coin": coins}, account | {"accountType": "CONTRACT"})).updates
    assert [(update.wallet, update.currency) for update in updates] == [  # type: ignore[union-attr]
        ("UNIFIED", "BTC"),
        ("UNIFIED", "USDT"),
        ("CONTRACT", "USDT"),
    ]


@pytest.mark.parametrize("topic", ["order", "execution", "position", "wallet"])
def test_a_frame_without_rows_is_decoded(topic: str) -> None:
    assert read(push(topic))[:4] == (topic, DECODED, None, ())


@pytest.mark.parametrize("kind", ["order", "execution", "position"])
@pytest.mark.parametrize("category", ["linear", "inverse", "option"])
def test_a_topic_of_one_category(kind: str, category: str) -> None:
    plain = row(kind)
    del plain["category"]
    decoded = read(push(f"{kind}.{category}", plain))
    assert decoded.topic == f"{kind}.{category}"
    assert only(decoded).market == category
    assert only(read(push(f"{kind}.{category}", plain | {"new": 1}))).market == category
    assert only(read(push(kind, plain))).market is None


@pytest.mark.parametrize(
    "topic", ["execution.fast", "execution.fast.linear", "greeks", "strategy", "spread.order", "dcp.future"]
)
def test_a_topic_without_rows_is_decoded(topic: str) -> None:
    assert read(push(topic, {"baseCoin": "BTC"}))[:4] == (topic, DECODED, None, ())


def test_an_unknown_topic_is_kept_undecoded() -> None:
    decoded = read(push("tickers.BTCUSDT", {}))
    assert (decoded.status, decoded.error) == (UNDECODED, "Undecodable: topic: 'tickers.BTCUSDT' is not one we know")


def test_undocumented_fields_are_kept_as_sent() -> None:
    text = sample("order").replace(b'"category":', b'"new":1.10,"newer":{"a":[0E-18]},"category":')
    text = text.replace(b'"topic":', b'"type":"snapshot","topic":')
    update = only(read(text))
    assert update.extra == '{"type":"snapshot","new":1.10,"newer":{"a":[0E-18]}}'
    assert update._replace(extra=None) == only(read(sample("order")))
    account = row("wallet")
    account["coin"][0]["haircut"] = "0.1"
    assert only(read(push("wallet", account | {"tier": 3}))).extra == '{"tier":3,"haircut":"0.1"}'


def test_a_number_may_be_sent_as_one() -> None:
    text = sample("order").replace(b'"price":"3391.25"', b'"price":3391.250')
    assert only(read(text)) == only(read(sample("order")))._replace(price="3391.250")
    assert only(read(sample("order").replace(b'"1795600000122"', b"1795600000122"))) == only(read(sample("order")))


def test_a_position_without_the_fields_that_may_be_absent() -> None:
    few = {name: row("position")[name] for name in ("symbol", "side", "size", "entryPrice")}
    assert told(only(read(push("position", few)))) == {"symbol": "ETHUSDT", "quantity": "0.5", "entry_price": "3391.25"}


@pytest.mark.parametrize(
    ("name", "control"),
    [
        ("login", LoggedIn("a1")),
        ("login-of-order-entry", LoggedIn("auth")),
        ("login-refused", RefusedCommand("a1", None, "Params Error")),
        ("subscribed", Acknowledged((), "s1")),
        ("subscribed-already", Acknowledged(("order",), "s1")),
        ("subscription-refused", RefusedCommand("s1", None, "error:handler not found,topic:foo", ("foo",))),
        ("subscription-before-login", RefusedCommand("s1", None, "error:topic:order needs auth first", ("order",))),
        ("nonsense", RefusedCommand("n1", None, "error:invalid op")),
        ("not-json", RefusedCommand(None, None, "Failed to decode incoming data: invalid character")),
    ],
)
def test_an_answer_to_a_command(name: str, control: object) -> None:
    decoded = read(sample(name))
    assert (decoded.status, decoded.updates, decoded.control) == (CONTROL, (), control)


@pytest.mark.parametrize(("name", "event_ms"), [("pong", 1675418560633), ("pong-of-public-sockets", None)])
def test_an_answer_to_a_ping(name: str, event_ms: int | None) -> None:
    decoded = read(sample(name))
    assert decoded[:4] == ("pong", DECODED, None, (Heartbeat(event_ms, 0, None),))


def test_a_refusal_with_a_code() -> None:
    refused = read(b'{"reqId":"a1","retCode":10003,"retMsg":"Too many sessions","op":"auth","connId":"c"}')
    assert refused.control == RefusedCommand("a1", 10003, "Too many sessions")
    assert read(b'{"success":true,"op":"unsubscribe","req_id":"u"}').control == Notice("unsubscribe")


def test_a_refusal_that_repeats_the_login_names_its_secrets() -> None:
    login = {"op": "auth", "args": ["testApiKey0123456", 1700000010000, "946ddc52"]}
    told_back = {"success": False, "ret_msg": "error:request expired", "op": "auth", "request": login}
    assert read(json.dumps(told_back).encode()).secrets == ("testApiKey0123456", "946ddc52")
    assert read(sample("login")).secrets == ()


PLAIN = ("order", "execution", "position", "wallet")


def test_many_frames_together_say_the_same() -> None:
    payloads = [sample(name) for name in PLAIN] + [push("order", *[row("order")] * 3), push("position")]
    for decodable in (False, True):
        together = decoder.decode_plain(payloads, decodable=decodable)
        assert together is not None
        topics, updates = together
        assert list(zip(topics, updates, strict=True)) == [(one.topic, one.updates) for one in map(read, payloads)]


def test_a_frame_that_may_have_a_key_twice_is_read_with_care() -> None:
    twice = sample("order").replace(b'"price":"3391.25"', b'"price":"3391.25","price":"1"')
    assert decoder.decode_plain([twice]) is None
    assert read(twice).error == "Undecodable: 'price' comes twice in one object"
    # As many colons after a quote as fields, but a key twice all the same.
    hidden = twice.replace(b'"qty":', b'"qty" :')
    assert read(hidden).error == "Undecodable: 'price' comes twice in one object"
    in_fees = sample("order").replace(b'{"USDT":"0.339125"}', b'{"USDT":"0.339125","USDT":"1"}')
    assert read(in_fees).error == "Undecodable: 'USDT' comes twice in one object"
    starts_with_colon = sample("order").replace(b'"desk-41"', b'":desk"')
    assert only(read(starts_with_colon)).client_order_id == ":desk"


@pytest.mark.parametrize("name", PLAIN)
def test_a_documented_frame_needs_no_care(name: str) -> None:
    """Otherwise it would be decoded six times more slowly."""
    assert decoder.decode_plain([sample(name)]) is not None
