"""Each topic, column by column; and everything that is not a push of rows."""

import json

import pytest

from recorder.model import (
    CONTROL,
    DECODED,
    UNDECODED,
    Acknowledged,
    FillUpdate,
    LoggedIn,
    Notice,
    OrderUpdate,
    PositionUpdate,
    RefusedCommand,
)
from recorder.venues.bitget import words
from tests.unit.bitget.frames import columns, only, push, read, row, sample


def test_an_order() -> None:
    assert columns(only(read(sample("order")))) == {
        "event_ms": 1790757000141,
        "is_snapshot": 0,
        "is_partial": 0,
        "market": "usdt-futures",
        "symbol": "BTCUSDT",
        "order_id": "1501239999999999001",
        "client_order_id": "rec-0100",
        "side": "sell",
        "position_side": "long",
        "order_type": "market",
        "time_in_force": "gtc",
        "post_only": 0,
        "reduce_only": 1,
        "quantity": "0.01",
        "filled_quantity": "0.01",
        "average_price": "106950.1",
        "status": "filled",
        "venue_status": "filled",
        "fee": "0.6417006",
        "fee_currency": "USDT",
        "created_ms": 1790757000101,
        "updated_ms": 1790757000123,
    }


def test_a_spot_market_order_to_buy_is_placed_for_money() -> None:
    update = only(read(sample("order-spot")))
    assert (update.market, update.quantity, update.quote_quantity) == ("spot", None, "50")
    assert (update.position_side, update.fee, update.fee_currency) == (None, "0.0000004", "BTC")
    # Without an amount, it has a quantity like any other order; so has one of a contract.
    assert order(category="spot", side="buy", amount="", qty="2").quantity == "2"
    assert order(side="buy", amount="1000").quote_quantity is None


def order(**fields: object) -> OrderUpdate:
    update = only(read(push("order", row("order") | fields)))
    assert isinstance(update, OrderUpdate)
    return update


@pytest.mark.parametrize("status", [*words.STATUSES, "something_new"])
def test_statuses_of_orders(status: str) -> None:
    update = order(orderStatus=status)
    assert (update.status, update.venue_status) == (words.STATUSES.get(status), status)


@pytest.mark.parametrize(
    ("told", "columns_of_it"),
    [
        ("gtc", ("gtc", 0)),
        ("post_only", ("gtc", 1)),
        ("ioc", ("ioc", 0)),
        ("FOK", ("fok", 0)),
        ("something_new", (None, None)),
    ],
)
def test_times_in_force(told: str, columns_of_it: tuple[object, ...]) -> None:
    update = order(timeInForce=told)
    assert (update.time_in_force, update.post_only) == columns_of_it


@pytest.mark.parametrize(
    ("detail", "fee"),
    [
        ([{"feeCoin": "USDT", "fee": "0.5"}], ("0.5", "USDT")),
        ([{"feeCoin": "USDT", "fee": "-0.5"}], ("-0.5", "USDT")),  # a rebate
        ([{"feeCoin": "USDT", "fee": "0.5"}, {"feeCoin": "USDT", "fee": "0.25"}], ("0.75", "USDT")),
        ([{"feeCoin": "USDT", "fee": "0"}, {"feeCoin": "BGB", "fee": "0.25"}], ("0.25", "BGB")),
        ([{"feeCoin": "USDT", "fee": "0.5"}, {"feeCoin": "BGB", "fee": "0.25"}], (None, None)),
        ([{"feeCoin": "USDT", "fee": "0.00000000"}], ("0.00000000", "USDT")),
        ({"feeCoin": "USDT", "fee": "0.5"}, ("0.5", "USDT")),
        ('[{"feeCoin":"USDT","fee":"0.5"}]', ("0.5", "USDT")),
        ([{"feeCoin": "USDT", "fee": ""}], (None, None)),
        ("", (None, None)),
        ("none", (None, None)),
        ([], (None, None)),
        (None, (None, None)),
    ],
)
def test_fees_are_positive_when_paid_whatever_their_form(detail: object, fee: tuple[str | None, str | None]) -> None:
    update = order(feeDetail=detail)
    assert (update.fee, update.fee_currency) == fee
    fill = only(read(push("fill", row("fill") | {"feeDetail": detail})))
    assert (fill.fee, fill.fee_currency) == fee


def test_what_nobody_documents_is_kept() -> None:
    detail = [{"feeCoin": "USDT", "fee": "1", "deduction": "no"}]
    update = only(read(push("order", row("order") | {"feeDetail": detail, "newer": [1.10]}, connId="a1")))
    assert json.loads(update.extra) == {"connId": "a1", "newer": [1.1], "feeDetail.0.deduction": "no"}


def test_a_fill() -> None:
    assert columns(only(read(sample("fill")))) == {
        "event_ms": 1790757000140,
        "is_snapshot": 0,
        "trade_id": "1501239999999999777",
        "order_id": "1501239999999999001",
        "client_order_id": "rec-0100",
        "market": "usdt-futures",
        "symbol": "BTCUSDT",
        "side": "sell",
        "position_side": "long",
        "price": "106950.1",
        "quantity": "0.01",
        "fee": "0.6417006",
        "fee_currency": "USDT",
        "liquidity": "taker",
        "realized_pnl": "1.25",
        "kind": "trade",
        "executed_ms": 1790757000120,
    }


def fill(**fields: object) -> FillUpdate:
    update = only(read(push("fill", row("fill") | fields)))
    assert isinstance(update, FillUpdate)
    return update


def test_a_fill_on_spot_has_no_realized_pnl() -> None:
    assert fill(category="spot", execPnl="0").realized_pnl is None


@pytest.mark.parametrize(
    ("trade_side", "kind", "position_side"),
    [
        ("open", "trade", "long"),
        ("close_long", "trade", "long"),
        ("buy_single", "trade", None),
        ("reduce_close_long", "liquidation", "long"),
        ("burst_sell_single", "liquidation", None),
        ("offset_close_long", "liquidation", "long"),
        ("dte_sys_adl_close_long", "adl", "long"),
        ("dte_sys_adl_buy_in_single_side_mode", "adl", None),
        ("delivery_close_long", "settlement", "long"),
        ("something_new", "trade", "long"),
    ],
)
def test_the_trade_side_tells_the_kind_of_a_fill(trade_side: str, kind: str, position_side: str | None) -> None:
    update = fill(tradeSide=trade_side)
    assert (update.kind, update.position_side) == (kind, position_side)


def test_product_lines_were_written_in_capitals() -> None:
    update = fill(category="SPOT", symbol="btcusdt")
    assert (update.market, update.symbol, update.position_side) == ("spot", "BTCUSDT", None)


def test_a_conditional_order() -> None:
    assert columns(only(read(sample("strategy-order")))) == {
        "event_ms": 1790755400021,
        "is_snapshot": 0,
        "is_partial": 0,
        "market": "usdt-futures",
        "symbol": "BTCUSDT",
        "order_id": "1501240000000000005",
        "client_order_id": "rec-0050",
        "side": "sell",
        "position_side": "long",
        "order_type": "limit",
        "reduce_only": 1,
        "price": "100900",
        "trigger_price": "101000",
        "quantity": "0.3",
        "status": "pending",
        "venue_status": "pending",
        "created_ms": 1790755400000,
        "updated_ms": 1790755400000,
    }


def strategy(**fields: object) -> OrderUpdate:
    update = only(read(push("strategy-order", row("strategy-order") | fields)))
    assert isinstance(update, OrderUpdate)
    return update


@pytest.mark.parametrize("status", [*words.STRATEGY_STATUSES, "something_new"])
def test_statuses_of_conditional_orders(status: str) -> None:
    update = strategy(status=status)
    assert (update.status, update.venue_status) == (words.STRATEGY_STATUSES.get(status), status)


def test_a_stop_has_the_trigger_of_its_kind_and_with_two_triggers_it_has_none() -> None:
    none = {"triggerPrice": "", "triggerOrderType": "", "triggerOrderPrice": ""}
    stop = {"type": "tpsl", "stopLoss": "95000", "slOrderType": "market", "slLimitPrice": ""}
    only_stop = strategy(**none, **stop)
    assert (only_stop.trigger_price, only_stop.order_type, only_stop.price) == ("95000", "market", None)
    both = strategy(**none, **stop, takeProfit="120000", tpOrderType="limit", tpLimitPrice="119990")
    assert (both.trigger_price, both.order_type, both.price) == (None, None, None)


def test_a_position_in_one_way_mode_is_signed() -> None:
    assert columns(only(read(sample("position")))) == {
        "event_ms": 1790757000142,
        "is_snapshot": 0,
        "is_partial": 0,
        "market": "usdt-futures",
        "symbol": "BTCUSDT",
        "margin_mode": "cross",
        "quantity": "-0.01",
        "entry_price": "106950.1",
        "mark_price": "106948",
        "leverage": "20",
        "margin": "53.475",
        "unrealized_pnl": "0.021",
        "realized_pnl": "-0.6417006",
        "updated_ms": 1790757000123,
    }


def test_a_position_that_ended_is_flat_and_the_one_in_its_place_comes_after_it() -> None:
    ended = only(read(sample("position-ended")))
    assert (ended.quantity, ended.entry_price, ended.position_side) == ("0", None, None)
    updates = read(push("position", row("position"), row("position-ended"))).updates
    assert [one.quantity for one in updates if isinstance(one, PositionUpdate)] == ["0", "-0.01"]


@pytest.mark.parametrize(
    ("symbol", "coin", "market"),
    [
        ("BTCUSDT", "USDT", "usdt-futures"),
        ("BTCUSDT", "BTC", "usdt-futures"),
        ("BTCUSDTZ26", "", "usdt-futures"),
        ("牛来USDT", "USDT", "usdt-futures"),
        ("BTCPERP", "USDC", "usdc-futures"),
        ("BTCUSD", "BTC", "coin-futures"),
        ("BTCUSDH26", "BTC", "coin-futures"),
        ("SOMETHING", "USDC", "usdc-futures"),
        ("SOMETHING", "", "coin-futures"),
    ],
)
def test_the_product_line_of_a_position_is_in_its_symbol(symbol: str, coin: str, market: str) -> None:
    position = row("position") | {"symbol": symbol, "marginCoin": coin, "holdMode": "hedge_mode"}
    update = only(read(push("position", position)))
    assert (update.market, update.position_side) == (market, "short")


def test_balances() -> None:
    dollars, coins = read(sample("account")).updates
    assert columns(dollars) == {
        "event_ms": 1790757000144,
        "is_snapshot": 0,
        "is_partial": 0,
        "wallet": "unified",
        "currency": "USDT",
        "balance": "5007.4482994",
        "available": "4953.97",
        "locked": "12.5",
        "equity": "5007.4692994",
    }
    assert columns(coins)["balance"] == "-0.00012"


@pytest.mark.parametrize("topic", ["adl-notification", "fast-fill"])
def test_topics_that_make_no_rows(topic: str) -> None:
    assert read(sample(topic))[:4] == (topic, DECODED, None, ())


@pytest.mark.parametrize(
    ("frame", "control"),
    [
        (b'{"event":"login","code":0}', LoggedIn()),
        (b'{"event":"login","code":"0","msg":""}', LoggedIn()),
        (
            b'{"event":"subscribe","arg":{"instType":"UTA","topic":"order"},"code":"","msg":"","connId":"a1"}',
            Acknowledged(("order",)),
        ),
        (b'{"event":"error","code":30005,"msg":"error"}', RefusedCommand(None, 30005, "error")),
        (b'{"event":"error","code":"30015","msg":"Invalid sign"}', RefusedCommand(None, 30015, "Invalid sign")),
        (b'{"event":"login","code":30011,"msg":"x"}', RefusedCommand(None, 30011, "x")),
        (
            rb'{"event":"error","code":30001,"msg":"{\"instType\":\"UTA\",\"topic\":\"fast-fill\"} doesn' + b"'t exist"
            b'","connId":"a1"}',
            RefusedCommand(None, 30001, '{"instType":"UTA","topic":"fast-fill"} doesn\'t exist', ("fast-fill",)),
        ),
        (
            b'{"event":"error","arg":{"instType":"UTA","topic":"order"},"code":30016,"msg":"Param error"}',
            RefusedCommand(None, 30016, "Param error", ("order",)),
        ),
        (b'{"event":"error","code":30033,"msg":"upgrade"}', Notice("upgrade", reconnect=True)),
        (b'{"event":"unsubscribe","arg":{"instType":"UTA","topic":"order"}}', Notice("unsubscribe order")),
    ],
)
def test_control_frames(frame: bytes, control: object) -> None:
    decoded = read(frame)
    assert (decoded.status, decoded.error, decoded.control) == (CONTROL, None, control)


def test_a_pong_is_a_bare_word() -> None:
    assert (read(b"pong").topic, read(b"pong").status) == ("pong", DECODED)


@pytest.mark.parametrize(
    "frame", [b"", b"{}", b"[]", b"ping", push("ticker", {}), push("order", data={}), push("order", data=None)]
)
def test_anything_else_is_kept_undecoded(frame: bytes) -> None:
    assert read(frame).status == UNDECODED


@pytest.mark.parametrize(
    "name", ["order", "order-spot", "fill", "strategy-order", "position", "position-ended", "account"]
)
def test_every_field_of_a_sample_is_known(name: str) -> None:
    updates = read(sample(name)).updates
    assert updates
    assert [update._asdict()["extra"] for update in updates] == [None] * len(updates)
