"""Each event, column by column; and everything that is not an event."""

from typing import Any

import pytest

from recorder.model import (
    CONTROL,
    DECODED,
    UNDECODED,
    Acknowledged,
    FillUpdate,
    Heartbeat,
    Notice,
    OrderUpdate,
    RefusedCommand,
)
from recorder.venues.binance_spot import objects
from recorder.venues.binance_spot.decode import SHUTDOWN, TERMINATED
from tests.unit.binance_spot.frames import columns, event, push, read, sample


def reported(**given: object) -> OrderUpdate:
    """The order of the sample report, with other values."""
    decoded = read(push(event("executionReport", **given)))
    assert decoded.error is None
    order = decoded.updates[0]
    assert isinstance(order, OrderUpdate)
    return order


def fills(**given: object) -> list[FillUpdate]:
    """The fills that the sample report tells of, with other values."""
    decoded = read(push(event("executionReport", **given)))
    return [one for one in decoded.updates if isinstance(one, FillUpdate)]


def test_an_order_and_the_fill_that_its_report_tells_of() -> None:
    decoded = read(sample("executionReport"))
    order, fill = decoded.updates
    assert (decoded.topic, decoded.status) == ("executionReport", DECODED)
    assert columns(order) == {
        "event_ms": 1795800000200,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTCUSDT",
        "order_id": "51000000001",
        "client_order_id": "a1",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "post_only": 0,
        "price": "87000.00000000",
        "quantity": "0.01000000",
        "filled_quantity": "0.01000000",
        "average_price": "87000",
        "status": "filled",
        "venue_status": "FILLED",
        "created_ms": 1795800000100,
        "updated_ms": 1795800000199,
    }
    assert columns(fill) == {
        "event_ms": 1795800000200,
        "is_snapshot": 0,
        "trade_id": "5500000001",
        "order_id": "51000000001",
        "client_order_id": "a1",
        "symbol": "BTCUSDT",
        "side": "buy",
        "price": "87000.00000000",
        "quantity": "0.01000000",
        "fee": "0.00001000",
        "fee_currency": "BTC",
        "liquidity": "maker",
        "kind": "trade",
        "executed_ms": 1795800000199,
    }


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"x": "NEW", "X": "NEW"}, "new"),
        ({"x": "NEW", "X": "PENDING_NEW"}, "pending"),
        ({"X": "PARTIALLY_FILLED"}, "partially_filled"),
        ({"x": "CANCELED", "X": "CANCELED"}, "canceled"),
        ({"x": "REJECTED", "X": "REJECTED"}, "rejected"),
        ({"x": "EXPIRED", "X": "EXPIRED"}, "expired"),
        ({"x": "TRADE_PREVENTION", "X": "EXPIRED_IN_MATCH"}, "expired"),
        ({"x": "NEW", "X": "ANOTHER"}, None),
        # On the book once it is triggered.
        ({"x": "NEW", "X": "NEW", "o": "STOP_LOSS_LIMIT", "P": "86100.00000000", "w": False}, "pending"),
        ({"x": "NEW", "X": "NEW", "o": "STOP_LOSS_LIMIT", "P": "86100.00000000", "w": True}, "new"),
        ({"x": "NEW", "X": "NEW", "o": "TAKE_PROFIT", "d": 10, "w": False}, "pending"),
        ({"x": "NEW", "X": "NEW", "o": "MARKET", "w": False}, "new"),
    ],
)
def test_the_status_of_an_order(given: dict[str, object], status: str | None) -> None:
    order = reported(**given)
    assert (order.status, order.venue_status) == (status, given["X"])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("MARKET", ("market", 0)),
        ("LIMIT_MAKER", ("limit", 1)),
        ("STOP_LOSS", ("market", 0)),
        ("STOP_LOSS_LIMIT", ("limit", 0)),
        ("TAKE_PROFIT", ("market", 0)),
        ("TAKE_PROFIT_LIMIT", ("limit", 0)),
        ("ANOTHER", (None, 0)),
    ],
)
def test_the_type_of_an_order(kind: str, expected: tuple[str | None, int]) -> None:
    order = reported(o=kind)
    assert (order.order_type, order.post_only) == expected


def test_a_market_order_for_an_amount_of_money() -> None:
    order = reported(o="MARKET", p="0.00000000", q="0.00000000", Q="870.00000000", f="FOK", S="SELL")
    assert (order.quantity, order.quote_quantity, order.price) == (None, "870.00000000", None)
    assert (order.time_in_force, order.side, order.trigger_price) == ("fok", "sell", None)


@pytest.mark.parametrize(
    ("value", "quantity", "expected"),
    [
        ("870.00000000", "0.01000000", "87000"),
        ("0.00000000", "0.00000000", None),
        ("100.01000000", "3.20000000", "31.253125"),
        # A third has no end, and what is not exact is not told.
        ("100.00000000", "3.00000000", None),
        (None, "3.00000000", None),
    ],
)
def test_the_average_price_is_a_quotient(value: str | None, quantity: str, expected: str | None) -> None:
    assert reported(Z=value, z=quantity).average_price == expected


def test_a_cancellation_has_the_orders_own_client_id() -> None:
    assert reported(x="CANCELED", X="CANCELED", c="request-1", C="a1").client_order_id == "a1"
    assert reported(x="CANCELED", X="CANCELED", c="a1", C="").client_order_id == "a1"
    assert reported(x="EXPIRED", X="EXPIRED", c="a1", C="other").client_order_id == "a1"
    assert reported(c="").client_order_id is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [({}, None), ({"r": "INSUFFICIENT_BALANCES"}, "INSUFFICIENT_BALANCES"), ({"r": "NONE", "eR": 2}, "2")],
)
def test_why_an_order_ended(given: dict[str, object], reason: str | None) -> None:
    assert reported(**given).reason == reason


@pytest.mark.parametrize(
    "given",
    [
        {"x": "NEW", "X": "NEW", "t": -1, "l": "0.00000000", "n": "0", "N": None},
        {"x": "CANCELED", "t": 5500000001},
        {"x": "TRADE_PREVENTION"},
        {"t": -1},
        {"t": None},
        {"l": "0.00000000"},
    ],
)
def test_a_report_without_a_trade_tells_of_no_fill(given: dict[str, object]) -> None:
    assert fills(**given) == []


def test_a_fill_without_a_fee_a_taker_and_an_allocation() -> None:
    (fill,) = fills(n="0", N=None, m=False)
    assert (fill.fee, fill.fee_currency, fill.liquidity) == ("0", None, "taker")
    (fill,) = fills(m=None)
    assert fill.liquidity is None
    (fill,) = fills(t=-1, a=1234, b="ONE_PARTY_TRADE_REPORT", k="SOR", uS=True)
    assert (fill.trade_id, fill.quantity, fill.extra) == ("allocation-1234", "0.01000000", None)


def test_every_documented_field_of_a_report_is_known_and_others_are_kept() -> None:
    given: dict[str, Any] = {name: 1 for name in objects.REPORT.split() if name not in event("executionReport")}
    given["Cs"] = "BTCUSDT"
    assert reported(**given).extra is None
    decoded = read(push(event("executionReport", zz={"a": 1}), yy=2))
    order, fill = decoded.updates
    assert isinstance(order, OrderUpdate) and isinstance(fill, FillUpdate)
    assert (order.extra, fill.extra) == ('{"yy":2,"zz":{"a":1}}', '{"yy":2}')


def test_long_ids_keep_their_digits() -> None:
    order, fill = read(push(event("executionReport", i=9223372036854775807, t=9007199254740993))).updates
    assert isinstance(order, OrderUpdate) and isinstance(fill, FillUpdate)
    assert (order.order_id, fill.order_id, fill.trade_id) == (*["9223372036854775807"] * 2, "9007199254740993")


def test_balances_are_what_is_free_and_what_is_locked() -> None:
    bitcoin, dollars = read(sample("outboundAccountPosition")).updates
    assert columns(bitcoin) == {
        "event_ms": 1795800000201,
        "is_snapshot": 0,
        "is_partial": 0,
        "currency": "BTC",
        "balance": "0.00999000",
        "available": "0.00999000",
        "locked": "0.00000000",
        "updated_ms": 1795800000199,
    }
    assert columns(dollars).items() >= {"balance": "9130.00000000", "locked": "29.50000000"}.items()
    (half,) = read(push(event("outboundAccountPosition", B=[{"a": "BTC", "f": "1"}], new=1))).updates
    assert columns(half).items() >= {"available": "1", "extra": '{"new":1}'}.items()
    assert "balance" not in columns(half)


def test_money_that_comes_and_goes_is_a_transaction_without_an_id() -> None:
    (moved,) = read(sample("balanceUpdate")).updates
    assert columns(moved) == {
        "event_ms": 1795800010110,
        "is_snapshot": 0,
        "type": "transfer",
        "venue_type": "balanceUpdate",
        "currency": "USDT",
        "amount": "-250.50000000",
        "occurred_ms": 1795800010068,
    }


@pytest.mark.parametrize("name", ["listStatus", "externalLockUpdate"])
def test_what_others_tell_as_well_makes_no_row(name: str) -> None:
    decoded = read(sample(name))
    assert (decoded.topic, decoded.status, decoded.updates) == (name, DECODED, ())


def test_what_is_said_of_the_connection() -> None:
    assert read(sample("eventStreamTerminated")).control == Notice(TERMINATED)
    assert read(sample("serverShutdown")).control == Notice(SHUTDOWN, reconnect=True)
    assert read(sample("subscribed")).control == Acknowledged((), "subscribe")
    refused = RefusedCommand("subscribe", -1022, "Signature for this request is not valid.")
    assert read(sample("refused")).control == refused
    revoked = RefusedCommand(None, -2015, "Invalid API-key, IP, or permissions for action.")
    assert read(sample("revoked")).control == revoked
    told = read(b'{"id":7,"status":200,"result":null}')
    assert (told.status, told.control) == (CONTROL, Notice("answered command 7"))


def test_the_answer_to_a_heartbeat_has_the_clock() -> None:
    decoded = read(sample("time"))
    assert (decoded.topic, decoded.updates) == ("time", (Heartbeat(1795800000300, 0, None),))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"event":5}',
        b'{"event":{}}',
        b'{"event":{"e":"another"}}',
        b'{"event":{"e":"executionReport"}}',
        b'{"event":{"e":"executionReport","s":"X","i":1,"q":5.5,"p":"x"}}',
        b'{"event":{"e":"outboundAccountPosition"}}',
        b'{"event":{"e":"outboundAccountPosition","B":[5]}}',
        b'{"event":{"e":"balanceUpdate","d":"1"}}',
        b'{"id":1,"status":"x"}',
        b'{"id":1,"error":5}',
    ],
)
def test_what_cannot_be_read_says_why(payload: bytes) -> None:
    decoded = read(payload)
    assert decoded.status == UNDECODED and decoded.error
