"""Each event, column by column; and everything that is not an event with rows."""

from typing import Any

import pytest

from recorder.model import (
    CONTROL,
    DECODED,
    UNDECODED,
    Acknowledged,
    FillUpdate,
    Notice,
    OrderUpdate,
    PositionUpdate,
    RefusedCommand,
)
from recorder.venues.binance import words
from tests.unit.binance.frames import changed, columns, encoded, frame, read, sample


def test_an_order_and_the_fill_that_its_push_tells_of() -> None:
    decoded = read(sample("ORDER_TRADE_UPDATE"))
    order, fill = decoded.updates
    assert (decoded.topic, decoded.status) == ("ORDER_TRADE_UPDATE", DECODED)
    assert columns(order) == {
        "event_ms": 1795800000124,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "ETHUSDT",
        "order_id": "8389765739811111111",
        "client_order_id": "web_q1",
        "side": "sell",
        "order_type": "limit",
        "time_in_force": "gtc",
        "post_only": 0,
        "reduce_only": 1,
        "price": "3010.5",
        "quantity": "0.35",
        "filled_quantity": "0.1",
        "average_price": "3010.5",
        "status": "partially_filled",
        "venue_status": "PARTIALLY_FILLED",
        "updated_ms": 1795800000123,
    }
    assert columns(fill) == {
        "event_ms": 1795800000124,
        "is_snapshot": 0,
        "trade_id": "7001002003",
        "order_id": "8389765739811111111",
        "client_order_id": "web_q1",
        "symbol": "ETHUSDT",
        "side": "sell",
        "price": "3010.5",
        "quantity": "0.1",
        "fee": "0.06021",
        "fee_currency": "USDT",
        "liquidity": "maker",
        "realized_pnl": "1.25",
        "kind": "trade",
        "executed_ms": 1795800000123,
    }


def order(**fields: object) -> OrderUpdate:
    update = read(changed("ORDER_TRADE_UPDATE", "o", **fields)).updates[0]
    assert isinstance(update, OrderUpdate)
    return update


def fills(**fields: object) -> list[FillUpdate]:
    updates = read(changed("ORDER_TRADE_UPDATE", "o", **fields)).updates
    return [one for one in updates if isinstance(one, FillUpdate)]


@pytest.mark.parametrize("status", [*words.STATUSES, "NEW_ADL", "SOMETHING_NEW"])
def test_statuses_of_orders(status: str) -> None:
    update = order(X=status)
    assert (update.status, update.venue_status) == (words.STATUSES.get(status), status)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"o": "MARKET", "p": "0"}, ("market", "gtc", 0, None)),
        ({"f": "GTX"}, ("limit", "gtc", 1, "3010.5")),
        ({"f": "RPI"}, ("limit", "gtc", 1, "3010.5")),
        ({"f": "IOC"}, ("limit", "ioc", 0, "3010.5")),
        ({"f": "GTD"}, ("limit", "gtd", 0, "3010.5")),
        ({"o": "LIQUIDATION", "f": "NEW"}, (None, None, None, "3010.5")),
    ],
)
def test_types_and_times_in_force(fields: dict[str, str], expected: tuple[object, ...]) -> None:
    update = order(**fields)
    assert (update.order_type, update.time_in_force, update.post_only, update.price) == expected


@pytest.mark.parametrize(
    ("fields", "trigger_price"),
    [
        ({"ot": "STOP_MARKET", "sp": "2950.0"}, "2950.0"),
        ({"ot": "STOP_MARKET", "sp": None}, None),
        ({"ot": "TRAILING_STOP_MARKET", "sp": "7103.04", "AP": "7476.89"}, "7476.89"),
        ({"ot": "TRAILING_STOP_MARKET", "sp": "7103.04", "AP": None}, None),
    ],
)
def test_a_trigger_price_is_that_of_the_original_type(fields: dict[str, object], trigger_price: str | None) -> None:
    assert order(**fields).trigger_price == trigger_price


def test_the_first_push_of_an_order_says_when_it_was_created() -> None:
    new = order(x="NEW", X="NEW", t=0, l="0", L="0")
    assert (new.created_ms, new.updated_ms) == (1795800000123, 1795800000123)
    ended = order(x="EXPIRED", X="EXPIRED", er="11", t=0, l="0")
    assert (ended.created_ms, ended.status, ended.reason) == (None, "expired", "11")


@pytest.mark.parametrize(("ps", "side"), [("BOTH", None), ("LONG", "long"), ("SHORT", "short")])
def test_sides_of_positions(ps: str, side: str | None) -> None:
    assert order(ps=ps).position_side == side


@pytest.mark.parametrize(("flags", "reduce_only"), [((False, False), 0), ((True, False), 1), ((False, True), 1)])
def test_an_order_that_closes_a_position_only_reduces_it(flags: tuple[bool, bool], reduce_only: int) -> None:
    assert order(R=flags[0], cp=flags[1]).reduce_only == reduce_only


@pytest.mark.parametrize(
    "fields",
    [{"x": "NEW"}, {"x": "CANCELED"}, {"x": "AMENDMENT", "M": "7"}, {"t": 0}, {"l": "0", "x": "CALCULATED"}],
)
def test_a_push_without_an_execution_has_no_fill(fields: dict[str, object]) -> None:
    assert fills(**fields) == []


@pytest.mark.parametrize(
    ("execution", "client_id", "kind"),
    [
        ("TRADE", "web_q1", "trade"),
        ("CALCULATED", "autoclose-1611111", "liquidation"),
        ("CALCULATED", "adl_autoclose", "adl"),
        ("CALCULATED", "adl_autoclose-7", "adl"),
        ("CALCULATED", "settlement_autoclose-7", "settlement"),
        ("CALCULATED", "delivery_autoclose-7", "settlement"),
        ("TRADE", "autoclose-7", "liquidation"),
        ("CALCULATED", "", "liquidation"),
    ],
)
def test_the_client_order_id_tells_what_the_exchange_did_itself(execution: str, client_id: str, kind: str) -> None:
    assert [one.kind for one in fills(x=execution, c=client_id)] == [kind]


@pytest.mark.parametrize(
    ("fields", "fee"), [({"n": "-0.01"}, ("-0.01", "USDT")), ({"n": None, "N": None}, (None, None)), ({}, None)]
)
def test_fees_are_positive_when_paid_and_may_be_missing(
    fields: dict[str, object], fee: tuple[str | None, str | None] | None
) -> None:
    if fee is None:
        told = frame("ORDER_TRADE_UPDATE")
        del told["o"]["n"], told["o"]["N"]
        _, fill = read(encoded(told)).updates
        fee = (None, None)
    else:
        (fill,) = fills(**fields)
    assert isinstance(fill, FillUpdate)
    assert (fill.fee, fill.fee_currency) == fee


def test_a_fill_that_is_told_earlier_and_shorter_is_no_second_one() -> None:
    assert read(sample("TRADE_LITE"))[:4] == ("TRADE_LITE", DECODED, None, ())


def test_balances_and_positions_that_changed() -> None:
    balance, position = read(sample("ACCOUNT_UPDATE")).updates
    assert columns(balance) == {
        "event_ms": 1795800000124,
        "is_snapshot": 0,
        "is_partial": 0,
        "currency": "USDT",
        "balance": "1001.18979",
        "updated_ms": 1795800000123,
    }
    assert columns(position) == {
        "event_ms": 1795800000124,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "ETHUSDT",
        "margin_mode": "cross",
        "quantity": "0.25",
        "entry_price": "2998",
        "unrealized_pnl": "3.1",
        "realized_pnl": "41.25",
        "updated_ms": 1795800000123,
    }


@pytest.mark.parametrize("changes", [{"m": "ORDER"}, {"B": [], "P": None}, {"B": None, "P": []}])
def test_an_account_update_may_have_neither(changes: dict[str, Any]) -> None:
    payload = encoded({"e": "ACCOUNT_UPDATE", "T": 1, "E": 2, "a": changes})
    assert read(payload)[:4] == ("ACCOUNT_UPDATE", DECODED, None, ())


def test_a_short_position_in_hedge_mode_and_a_negative_balance() -> None:
    told = frame("ACCOUNT_UPDATE")
    told["a"]["P"][0] |= {"ps": "SHORT", "pa": "-0.473", "mt": "isolated", "iw": "12.5"}
    told["a"]["B"][0]["wb"] = "-3.5"
    balance, position = read(encoded(told)).updates
    assert isinstance(position, PositionUpdate)
    assert (position.position_side, position.quantity) == ("short", "-0.473")
    assert (position.margin_mode, position.margin) == ("isolated", "12.5")
    assert columns(balance)["balance"] == "-3.5"


def test_a_conditional_order_that_became_another_one_is_over() -> None:
    (order,) = read(sample("ALGO_UPDATE")).updates
    assert columns(order) == {
        "event_ms": 1795800010006,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "ETHUSDT",
        # Ordinary orders have numbers of their own.
        "order_id": "algo-4000001922334455",
        "client_order_id": "sl-7",
        "side": "sell",
        "order_type": "market",
        "time_in_force": "gtc",
        "post_only": 0,
        "reduce_only": 1,
        "trigger_price": "2950",
        "quantity": "0.25",
        "status": "expired",
        "venue_status": "TRIGGERED",
        "updated_ms": 1795800010000,
    }


@pytest.mark.parametrize("status", [*words.ALGO_STATUSES, "SOMETHING_NEW"])
def test_statuses_of_conditional_orders(status: str) -> None:
    (update,) = read(changed("ALGO_UPDATE", "o", X=status, rm="Margin is insufficient.")).updates
    assert isinstance(update, OrderUpdate)
    assert (update.status, update.venue_status) == (words.ALGO_STATUSES.get(status), status)
    assert update.reason == "Margin is insufficient."


def test_a_conditional_order_is_created_once_and_may_close_a_whole_position() -> None:
    (new,) = read(changed("ALGO_UPDATE", "o", X="NEW", ai="", tt=0, q="0", cp=True)).updates
    (active,) = read(changed("ALGO_UPDATE", "o", X="NEW", ai="", tt=0, ia=True)).updates
    assert isinstance(new, OrderUpdate)
    assert isinstance(active, OrderUpdate)
    assert (new.created_ms, active.created_ms) == (1795800010000, None)
    assert (new.quantity, new.reduce_only, new.status) == (None, 1, "pending")


def test_coin_m_names_its_account_and_its_margin_asset() -> None:
    order, fill = read(sample("coin-m-ORDER_TRADE_UPDATE")).updates
    assert isinstance(fill, FillUpdate)
    assert columns(order)["symbol"] == "BTCUSD_PERP"
    assert "extra" not in columns(order)
    assert (fill.kind, fill.fee, fill.fee_currency, fill.position_side) == ("liquidation", "0.00001664", "BTC", "long")
    balance, position = read(sample("coin-m-ACCOUNT_UPDATE")).updates
    assert columns(balance)["currency"] == "BTC"
    assert columns(position)["quantity"] == "0"
    assert "extra" not in columns(position)


@pytest.mark.parametrize(
    "name",
    ["MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE", "STRATEGY_UPDATE", "GRID_UPDATE", "CONDITIONAL_ORDER_TRIGGER_REJECT"],
)
def test_events_without_rows(name: str) -> None:
    assert read(sample(name))[:4] == (name, DECODED, None, ())


def test_what_nobody_documented_is_kept_beside_the_row() -> None:
    told = frame("ORDER_TRADE_UPDATE")
    told["x"] = [1]
    told["o"]["zz"] = "new"
    assert columns(read(encoded(told)).updates[0])["extra"] == '{"x":[1],"zz":"new"}'
    changes = frame("ACCOUNT_UPDATE")
    changes["a"]["y"] = 1.50
    assert columns(read(encoded(changes)).updates[0])["extra"] == '{"a.y":1.5}'


def test_an_event_may_be_wrapped_with_the_listen_key() -> None:
    wrapped = b'{"stream":"a-listen-key","data":%s}' % sample("ORDER_TRADE_UPDATE")
    decoded = read(wrapped)
    assert decoded.updates == read(sample("ORDER_TRADE_UPDATE")).updates
    assert decoded.secrets == ("a-listen-key",)


@pytest.mark.parametrize(
    ("payload", "secrets"),
    [
        (sample("listenKeyExpired"), (frame("listenKeyExpired")["listenKey"],)),
        (b'{"e":"listenKeyExpired","E":"1795803600000"}', ()),
        (b'{"stream":"a-listen-key","data":{"e":"listenKeyExpired","E":1795803600000}}', ("a-listen-key",)),
    ],
)
def test_a_listen_key_that_expired_is_a_secret(payload: bytes, secrets: tuple[str, ...]) -> None:
    decoded = read(payload)
    assert (decoded.status, decoded.topic) == (CONTROL, "listenKeyExpired")
    assert decoded.control == Notice(words.KEY_EXPIRED)
    assert decoded.secrets == secrets


@pytest.mark.parametrize(
    ("payload", "control"),
    [
        (b'{"result":null,"id":1}', Acknowledged((), "1")),
        (b'{"error":{"code":2,"msg":"Invalid request"},"id":3}', RefusedCommand("3", 2, "Invalid request")),
        (b'{"code":3,"msg":"Invalid JSON"}', RefusedCommand(None, 3, "Invalid JSON")),
        (b'{"e":"serverShutdown","E":1}', Notice("the exchange is going to end the connection", reconnect=True)),
    ],
)
def test_control_frames(payload: bytes, control: object) -> None:
    decoded = read(payload)
    assert (decoded.status, decoded.error, decoded.control) == (CONTROL, None, control)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b'{"e":"kline","E":1}',
        b'{"e":"ORDER_TRADE_UPDATE","E":1,"T":1}',
        b'{"e":"ORDER_TRADE_UPDATE","E":1,"T":1,"o":{}}',
        b'{"e":"ACCOUNT_UPDATE","E":1,"T":1,"a":{"B":{}}}',
        b'{"e":"ACCOUNT_UPDATE","E":1,"T":1,"a":{"P":[{"pa":"1"}]}}',
        b'{"e":"ALGO_UPDATE","E":1,"T":1,"o":{"X":"NEW"}}',
        b'{"e":7}',
    ],
)
def test_anything_else_is_kept_undecoded(payload: bytes) -> None:
    assert read(payload).status == UNDECODED
