"""Each answer of REST, column by column; pages, and errors."""

import pytest

from recorder.model import (
    CONTROL,
    UNDECODED,
    FillUpdate,
    RefusedCommand,
)
from recorder.venues.binance_spot import answers
from tests.unit.binance_spot.frames import answer, asked, columns, read, row, sample


def test_the_answers_of_rest() -> None:
    bitcoin, dollars = asked(answers.ACCOUNT, sample("rest-account")).updates
    assert columns(bitcoin) == {
        "is_snapshot": 1,
        "is_partial": 0,
        "currency": "BTC",
        "balance": "0.00999000",
        "available": "0.00999000",
        "locked": "0.00000000",
        "updated_ms": 1795800000199,
    }
    assert columns(dollars)["balance"] == "9130.00000000"
    (order,) = asked(answers.OPEN_ORDERS, sample("rest-openOrders")).updates
    assert columns(order) == {
        "is_snapshot": 1,
        "is_partial": 0,
        "symbol": "BTCUSDT",
        "order_id": "51000000002",
        "client_order_id": "sl-1",
        "side": "sell",
        "order_type": "limit",
        "time_in_force": "gtc",
        "post_only": 0,
        "price": "86000.00000000",
        "trigger_price": "86100.00000000",
        "quantity": "0.02000000",
        "filled_quantity": "0.00000000",
        "status": "pending",
        "venue_status": "NEW",
        "created_ms": 1795800000300,
        "updated_ms": 1795800000300,
    }
    (fill,) = asked(f"{answers.TRADES}?symbol=BTCUSDT&limit=1000", sample("rest-myTrades")).updates
    assert columns(fill) == {
        "is_snapshot": 0,
        "trade_id": "5500000001",
        "order_id": "51000000001",
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
    (pair,) = asked(f"{answers.INSTRUMENTS}?symbols=x", sample("rest-exchangeInfo")).updates
    assert columns(pair) == {
        "is_snapshot": 1,
        "symbol": "BTCUSDT",
        "kind": "spot",
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "contract_size": "1",
        "price_tick": "0.01000000",
        "quantity_step": "0.00001000",
    }
    assert asked(answers.TIME, b'{"serverTime":1}').updates == ()


def test_a_fill_is_the_same_whether_pushed_or_listed() -> None:
    pushed = read(sample("executionReport")).updates[1]
    (told,) = asked(f"{answers.TRADES}?symbol=BTCUSDT", sample("rest-myTrades")).updates
    assert isinstance(pushed, FillUpdate) and isinstance(told, FillUpdate)
    # REST does not say the client's id, nor when it was sent.
    assert pushed._replace(client_order_id=None, event_ms=None) == told


def test_one_order_and_a_list_of_orders() -> None:
    (one,) = asked(f"{answers.ORDER}?symbol=BTCUSDT&orderId=1", answer(row("rest-openOrders", expiryReason=3))).updates
    (listed,) = asked(f"{answers.ORDERS}?symbol=BTCUSDT", answer([row("rest-openOrders", new=True)])).updates
    assert columns(one).items() >= {"is_snapshot": 1, "reason": "3"}.items()
    assert columns(listed).items() >= {"is_snapshot": 0, "extra": '{"new":true}'}.items()


@pytest.mark.parametrize(
    ("path", "query", "next_page"),
    [
        (answers.TRADES, "fromId=0&limit=2", "8"),
        (answers.TRADES, "startTime=5&endTime=9&limit=2", "1795800000199"),
        (answers.TRADES, "fromId=0&limit=3", None),
        (answers.TRADES, "fromId=0", None),
        (answers.ORDERS, "orderId=0&limit=2", "51000000003"),
        (answers.ORDERS, "startTime=5&endTime=9&limit=2", "1795800000300"),
        (answers.OPEN_ORDERS, "limit=2", None),
    ],
)
def test_a_full_page_is_followed_by_the_next(path: str, query: str, next_page: str | None) -> None:
    rows = [row("rest-myTrades", id=7)] * 2 if path == answers.TRADES else [row("rest-openOrders")] * 2
    assert asked(f"{path}?symbol=BTCUSDT&{query}", answer(rows)).next_page == next_page


def test_an_error_is_no_answer() -> None:
    decoded = asked(answers.ACCOUNT, sample("rest-error"))
    words = "Timestamp for this request is outside of the recvWindow."
    assert (decoded.status, decoded.control) == (CONTROL, RefusedCommand(None, -1021, words))


@pytest.mark.parametrize(
    ("target", "payload"),
    [
        (answers.TRADES, b"{}"),
        (answers.TRADES, b"[5]"),
        (answers.TRADES, b'[{"symbol":"X"}]'),
        (answers.ACCOUNT, b"[]"),
        (answers.ACCOUNT, b"{}"),
        (answers.INSTRUMENTS, b'{"symbols":[{"symbol":"X","filters":[5]}]}'),
        (answers.INSTRUMENTS, b'{"symbols":[{"symbol":"X","filters":7}]}'),
        ("/api/v3/another", b"{}"),
    ],
)
def test_an_answer_that_cannot_be_read_says_why(target: str, payload: bytes) -> None:
    decoded = asked(target, payload)
    assert decoded.status == UNDECODED and decoded.error


@pytest.mark.parametrize("code", [-2013, -2026])
def test_an_order_that_the_exchange_no_longer_knows_has_ended(code: int) -> None:
    body, target = answer({"code": code, "msg": "Order does not exist."}), f"{answers.ORDER}?symbol=BTCUSDT&orderId=7"
    decoded = asked(f"HTTP 400 {target}", body)
    assert [columns(one) for one in decoded.updates] == [
        {"is_snapshot": 0, "is_partial": 1, "symbol": "BTCUSDT", "order_id": "7", "status": "ended"}
    ]


@pytest.mark.parametrize(
    ("status", "target", "body"),
    [
        (400, f"{answers.ORDER}?symbol=BTCUSDT&orderId=7", b'{"code":-1021,"msg":"x"}'),
        (400, f"{answers.ORDER}?symbol=BTCUSDT", b'{"code":-2013,"msg":"x"}'),
        (400, f"{answers.ORDERS}?symbol=BTCUSDT&orderId=7", b'{"code":-2013,"msg":"x"}'),
        (404, f"{answers.ORDER}?symbol=BTCUSDT&orderId=7", b'{"code":-2013,"msg":"x"}'),
        (400, f"{answers.ORDER}?symbol=BTCUSDT&orderId=7", b"<html>"),
    ],
)
def test_other_errors_say_nothing_of_an_order(status: int, target: str, body: bytes) -> None:
    assert asked(f"HTTP {status} {target}", body).updates == ()
