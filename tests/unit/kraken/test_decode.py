"""Each event, column by column; and everything that is not a push of rows."""

from typing import Any

import pytest

from recorder.model import (
    CONTROL,
    DECODED,
    UNDECODED,
    Acknowledged,
    Decoded,
    FillUpdate,
    Heartbeat,
    Hello,
    Notice,
    OrderUpdate,
    RefusedCommand,
)
from recorder.venues.kraken import answers, words
from tests.unit.kraken.frames import answer, asked, columns, event, push, read, sample


def only(decoded: Decoded) -> dict[str, Any]:
    """The columns of the one row."""
    assert decoded.error is None
    (update,) = decoded.updates
    return columns(update)


ORDER_ID = "OAB3QX-7KQ2M-ZZ4T9P"


def test_an_order_is_told_whole_when_it_is_placed() -> None:
    decoded = read(sample("executions-pending_new"))
    assert (decoded.topic, decoded.status) == ("executions", DECODED)
    assert only(decoded) == {
        "event_ms": 1790736801637,
        "is_snapshot": 0,
        "is_partial": 1,
        "symbol": "BTC/USD",
        "order_id": ORDER_ID,
        "client_order_id": "b6755a8d4d000200",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "post_only": 1,
        "price": "84210.1",
        "quantity": "0.01500000",
        "status": "new",
        "venue_status": "pending_new",
        "created_ms": 1790736801637,
        "updated_ms": 1790736801637,
    }


def test_an_event_without_the_order_says_what_it_says_and_no_more() -> None:
    # Whether it waits for a trigger is known from the event before: this one leaves the status as it was.
    assert only(read(sample("executions-new"))) == {
        "event_ms": 1790736801637,
        "is_snapshot": 0,
        "is_partial": 1,
        "order_id": ORDER_ID,
        "client_order_id": "b6755a8d4d000200",
        "post_only": 1,
        "venue_status": "new",
        "updated_ms": 1790736801637,
    }
    assert only(read(sample("executions-amended"))) == {
        "event_ms": 1790736867552,
        "is_snapshot": 0,
        "is_partial": 1,
        "order_id": ORDER_ID,
        "client_order_id": "b6755a8d4d000200",
        "price": "84200.0",
        "quantity": "0.02000000",
        "filled_quantity": "0.00750000",
        "status": "partially_filled",
        "venue_status": "partially_filled",
        "reason": "User requested",
        "updated_ms": 1790736867552,
    }
    assert only(read(sample("executions-canceled"))) == {
        "event_ms": 1790736936039,
        "is_snapshot": 0,
        "is_partial": 1,
        "order_id": ORDER_ID,
        "client_order_id": "b6755a8d4d000200",
        "filled_quantity": "0.00750000",
        "average_price": "84210.1",
        "status": "canceled",
        "venue_status": "canceled",
        "reason": "User requested",
        "updated_ms": 1790736936039,
    }


def test_a_trade_is_a_fill_and_what_the_order_came_to() -> None:
    order, fill = read(sample("executions-trade")).updates
    assert columns(order) == {
        "event_ms": 1790736805118,
        "is_snapshot": 0,
        "is_partial": 1,
        "symbol": "BTC/USD",
        "order_id": ORDER_ID,
        "side": "buy",
        "order_type": "limit",
        "filled_quantity": "0.0075",
        "average_price": "84210.1",
        "status": "partially_filled",
        "venue_status": "partially_filled",
        "updated_ms": 1790736805118,
    }
    assert columns(fill) == {
        "event_ms": 1790736805118,
        "is_snapshot": 0,
        "trade_id": "TQX7LM-2B4ND-9PLK3C",
        "order_id": ORDER_ID,
        "symbol": "BTC/USD",
        "side": "buy",
        "price": "84210.1",
        "quantity": "0.0075",
        "fee": "1.57894",
        "fee_currency": "USD",
        "liquidity": "maker",
        "kind": "trade",
        "executed_ms": 1790736805118,
    }


def test_a_fill_over_rest_is_the_one_that_was_pushed() -> None:
    _, pushed = read(sample("executions-trade")).updates
    told = only(asked(answers.TRADES, sample("rest-trades")))
    assert told | {"price": "84210.1", "quantity": "0.0075"} == {
        name: value for name, value in columns(pushed).items() if name != "event_ms"
    }
    assert (told["price"], told["quantity"]) == ("84210.10000", "0.00750000")


def test_a_snapshot_has_open_orders_and_repeats_fills() -> None:
    order, fill = read(sample("executions-snapshot")).updates
    assert isinstance(fill, FillUpdate)
    assert (fill.trade_id, fill.fee, fill.fee_currency) == ("TAX7LM-2B4ND-9PLK3C", "5.74022", "EUR")
    assert fill.is_snapshot == 0
    assert columns(order) == {
        "event_ms": 1790683316165,
        "is_snapshot": 1,
        "is_partial": 1,
        "symbol": "DOGE/USD",
        "order_id": "OHOJQ8-1E72C-8M2VQH",
        "client_order_id": "7",
        "side": "sell",
        "order_type": "limit",
        "time_in_force": "gtc",
        "price": "0.19",
        "trigger_price": "0.2",
        "quantity": "81.36256082",
        "status": "pending",
        "venue_status": "pending_new",
        "created_ms": 1790683316165,
        "updated_ms": 1790683316165,
    }


def order(**fields: object) -> OrderUpdate:
    """The order of an event with these fields."""
    update = read(push("executions", event("executions-pending_new") | fields)).updates[0]
    assert isinstance(update, OrderUpdate)
    return update


@pytest.mark.parametrize("status", [*words.STATUSES, "something_new"])
def test_statuses_of_orders(status: str) -> None:
    update = order(order_status=status)
    assert (update.status, update.venue_status) == (words.STATUSES.get(status), status)


@pytest.mark.parametrize("kind", [*words.ORDER_TYPES, "something_new"])
def test_types_of_orders(kind: str) -> None:
    update = order(order_type=kind)
    waits = kind.startswith(("stop-", "take-", "trailing-"))
    assert (update.order_type, update.status) == (words.ORDER_TYPES.get(kind), "pending" if waits else "new")


@pytest.mark.parametrize(
    ("fields", "status", "price", "trigger_price"),
    [
        ({"triggers": {"status": "triggered", "price": 2.5}}, "new", "84210.1", "2.5"),
        ({"triggers": {"status": "untriggered", "price": 2.5, "price_type": "static"}}, "pending", "84210.1", "2.5"),
        ({"triggers": {"status": "untriggered", "price": 2.5, "price_type": "pct"}}, "pending", "84210.1", None),
        ({"triggers": {"price": 5, "price_type": "quote", "actual_price": 84000.5}}, "new", "84210.1", "84000.5"),
        ({"stop_price": 84000.0}, "new", "84210.1", "84000.0"),
        ({"limit_price_type": "pct"}, "new", None, None),
        ({"limit_price": 0.0}, "new", None, None),
    ],
)
def test_triggers(fields: dict[str, object], status: str, price: str | None, trigger_price: str | None) -> None:
    update = order(**fields)
    assert (update.status, update.price, update.trigger_price) == (status, price, trigger_price)


def test_a_market_order_to_buy_is_placed_for_money() -> None:
    fields = event("executions-pending_new") | {"order_type": "market", "cash_order_qty": 100}
    del fields["order_qty"]
    update = read(push("executions", fields)).updates[0]
    assert isinstance(update, OrderUpdate)
    assert (update.quantity, update.quote_quantity) == (None, "100")


@pytest.mark.parametrize(
    ("fees", "fee"),
    [
        ([{"asset": "USD", "qty": 0.1}, {"asset": "USD", "qty": 0.2}], ("0.3", "USD")),
        ([{"asset": "USD", "qty": 0.1}, {"asset": "BTC", "qty": 0.2}], (None, None)),
        ([{"asset": "XBT", "qty": 1e-8}], ("1e-08", "BTC")),
        ([{"asset": "USD", "qty": -0.5}], ("-0.5", "USD")),
        ([], (None, None)),
        (None, (None, None)),
    ],
)
def test_fees(fees: object, fee: tuple[str | None, str | None]) -> None:
    _, fill = read(push("executions", event("executions-trade") | {"fees": fees})).updates
    assert isinstance(fill, FillUpdate)
    assert (fill.fee, fill.fee_currency) == fee


def test_a_liquidation_is_told_by_its_order() -> None:
    _, fill = read(push("executions", event("executions-trade") | {"liquidated": True})).updates
    assert isinstance(fill, FillUpdate)
    assert fill.kind == "liquidation"
    told = {"pair": "XXBTZUSD", "misc": "closing,liquidated", "vol": "1", "price": "2", "time": 1.5, "type": "sell"}
    assert only(asked(answers.TRADES, answer({"trades": {"TA": told}})))["kind"] == "liquidation"


def test_balances_of_a_snapshot() -> None:
    found = [columns(one) for one in read(sample("balances-snapshot")).updates]
    assert [(one["currency"], one["wallet"], one["balance"]) for one in found] == [
        ("BTC", "main", "1.2"),
        ("SOL", "main", "300"),
        ("SOL", "flex", "200"),
        ("USD", "main", "80595.4943"),
    ]
    assert {(one["is_snapshot"], one["is_partial"]) for one in found} == {(1, 0)}
    bare = {"asset": "BTC", "asset_class": "currency", "balance": 2}
    assert only(read(push("balances", bare, kind="snapshot")))["balance"] == "2"


def test_an_entry_that_is_pushed_tells_the_balance_after_it() -> None:
    assert only(read(sample("balances-update"))) == {
        "event_ms": 1790736805118,
        "is_snapshot": 0,
        "is_partial": 1,
        "wallet": "main",
        "currency": "USD",
        "balance": "9366.8453",
        "updated_ms": 1790736805118,
    }


@pytest.mark.parametrize(
    ("frame", "control"),
    [
        (
            b'{"method":"subscribe","result":{"channel":"executions","maxratecount":125,"snap_orders":true,'
            b'"snap_trades":true},"success":true,"time_in":"2026-09-30T02:53:20.303171Z",'
            b'"time_out":"2026-09-30T02:53:20.318297Z","req_id":1}',
            Acknowledged(("executions",), "1"),
        ),
        (
            b'{"error":"EAccount:Invalid permissions","method":"subscribe","req_id":2,"success":false,'
            b'"time_in":"2026-09-30T02:53:20.303171Z","time_out":"2026-09-30T02:53:20.318297Z"}',
            RefusedCommand("2", None, "EAccount:Invalid permissions"),
        ),
        (b'{"Error":"Exceeded msg rate"}', RefusedCommand(None, None, "Exceeded msg rate")),
        (b'{"method":"subscribe","success":false}', RefusedCommand(None, None, "refused")),
        (
            b'{"method":"unsubscribe","result":{"channel":"executions"},"success":true}',
            Notice("unsubscribe executions"),
        ),
        (sample("status"), Hello()),
        (sample("status").replace(b"online", b"maintenance"), Notice("system: maintenance")),
        # Not a push: a run that stops when nothing is pushed must not go on for it.
        (b'{"channel":"heartbeat"}', Hello()),
    ],
)
def test_control_frames(frame: bytes, control: object) -> None:
    decoded = read(frame)
    assert (decoded.status, decoded.error, decoded.control) == (CONTROL, None, control)


def test_the_answer_to_a_ping_tells_the_clock() -> None:
    pong = b'{"method":"pong","req_id":100,"time_in":"2026-09-30T02:53:25.1Z","time_out":"2026-09-30T02:53:25.118Z"}'
    assert read(pong).updates == (Heartbeat(1790736805118, 0, None),)


def test_unknown_fields_are_kept() -> None:
    update, fill = read(push("executions", event("executions-trade") | {"novel": 0.10}, extra_of_frame=1)).updates
    assert isinstance(update, OrderUpdate) and isinstance(fill, FillUpdate)
    assert (update.extra, fill.extra) == ('{"extra_of_frame":1,"novel":0.1}', '{"extra_of_frame":1}')
    fields = {"descr": {"pair": "XBTUSD", "novel": 1}, "status": "open", "other": "x"}
    assert only(asked(answers.ORDER, answer({"OA": fields})))["extra"] == '{"other":"x","descr.novel":1}'


@pytest.mark.parametrize(
    "frame",
    [
        *(b"", b"{}", b"[]", b'{"channel":"ticker","data":[]}', b'{"channel":"executions","data":{}}'),
        b'{"channel":"executions","type":"update","data":[{"exec_type":"new"}]}',
        b'{"channel":"executions","type":"update","data":[{"order_id":"OA","timestamp":"soon"}]}',
    ],
)
def test_anything_else_is_kept_undecoded(frame: bytes) -> None:
    assert read(frame).status == UNDECODED
