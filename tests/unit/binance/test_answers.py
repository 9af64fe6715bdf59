"""Each answer of REST, column by column; pages; and errors."""

from typing import Any

import pytest

from recorder.model import CONTROL, UNDECODED, OrderUpdate, PositionUpdate, RefusedCommand, Transaction
from recorder.venues.binance import answers, words
from recorder.venues.binance.answers import path_of
from tests.unit.binance.frames import asked, columns, encoded, read, row, sample


def only(target: str, payload: bytes) -> Any:
    decoded = asked(target, payload)
    assert decoded.error is None
    (update,) = decoded.updates
    return update


def test_an_order() -> None:
    expected = {
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
        "price": "3010.50",
        "quantity": "0.350",
        "filled_quantity": "0.100",
        "average_price": "3010.50000",
        "status": "partially_filled",
        "venue_status": "PARTIALLY_FILLED",
        "created_ms": 1795799990000,
        "updated_ms": 1795800000123,
    }
    assert columns(only(answers.ORDERS, sample("rest-orders"))) == expected
    for path, payload in ((answers.OPEN_ORDERS, sample("rest-orders")), (answers.ORDER, encoded(row("rest-orders")))):
        assert columns(only(path, payload)) == expected | {"is_snapshot": 1}


def test_an_order_without_prices() -> None:
    fields = {"type": "MARKET", "origType": "STOP_MARKET", "price": "0", "avgPrice": "0.00000", "stopPrice": "2950"}
    update = only(answers.ORDERS, encoded([row("rest-orders") | fields]))
    assert (update.order_type, update.price, update.average_price) == ("market", None, None)
    assert update.trigger_price == "2950"


def test_a_conditional_order() -> None:
    assert columns(only(answers.ALGOS, sample("rest-algo-orders"))) == {
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "ETHUSDT",
        "order_id": "algo-4000001922334455",
        "client_order_id": "sl-7",
        "side": "sell",
        "order_type": "market",
        "time_in_force": "gtc",
        "post_only": 0,
        "reduce_only": 1,
        "trigger_price": "2950.00",
        "quantity": "0.250",
        "status": "expired",
        "venue_status": "FINISHED",
        "created_ms": 1795800001000,
        "updated_ms": 1795800010010,
    }


def test_a_fill_over_rest_is_the_one_that_was_pushed() -> None:
    _, pushed = read(sample("ORDER_TRADE_UPDATE")).updates
    fill = only(answers.FILLS, sample("rest-trades"))
    same = ["trade_id", "order_id", "symbol", "side", "fee_currency", "liquidity", "executed_ms"]
    assert [getattr(fill, name) for name in same] == [getattr(pushed, name) for name in same]
    assert (fill.price, fill.quantity, fill.fee, fill.realized_pnl) == ("3010.50", "0.100", "0.06021000", "1.25000000")
    assert (fill.kind, fill.extra) == (None, None)


def test_income_is_a_transaction_and_a_fill_has_two() -> None:
    commission, profit, transfer = asked(answers.INCOME, sample("rest-income")).updates
    assert columns(commission) == {
        "is_snapshot": 0,
        "transaction_id": "9689322392",
        "type": "fee",
        "venue_type": "COMMISSION",
        "currency": "USDT",
        "amount": "-0.06021000",
        "fee": "0.06021000",
        "symbol": "ETHUSDT",
        "trade_id": "7001002003",
        "occurred_ms": 1795800000123,
    }
    assert isinstance(profit, Transaction)
    assert isinstance(transfer, Transaction)
    assert (profit.type, profit.amount, profit.fee, profit.trade_id) == ("trade", "1.25000000", None, "7001002003")
    assert (transfer.type, transfer.amount, transfer.symbol, transfer.trade_id) == (
        "transfer",
        "-0.37500000",
        None,
        None,
    )


@pytest.mark.parametrize("kind", [*words.INCOME_TYPES, "WELCOME_BONUS", "SOMETHING_NEW"])
def test_kinds_of_income(kind: str) -> None:
    update = only(answers.INCOME, encoded([row("rest-income", 2) | {"incomeType": kind, "tranId": "77"}]))
    assert (update.type, update.venue_type) == (words.INCOME_TYPES.get(kind, "other"), kind)
    assert update.transaction_id == "77"


def test_positions_leave_unchanged_what_this_version_does_not_tell() -> None:
    assert columns(only(answers.POSITIONS, sample("rest-positions"))) == {
        "is_snapshot": 1,
        "is_partial": 1,
        "symbol": "ETHUSDT",
        "quantity": "0.250",
        "entry_price": "2998.0",
        "mark_price": "3010.40000000",
        "unrealized_pnl": "3.10000000",
        "updated_ms": 1795800000123,
    }
    fields = {"positionSide": "SHORT", "positionAmt": "-1", "leverage": "20", "marginType": "isolated"}
    hedged = only(answers.POSITIONS_OF, encoded([row("rest-positions") | fields | {"isolatedWallet": "3.5"}]))
    assert isinstance(hedged, PositionUpdate)
    assert (hedged.position_side, hedged.quantity, hedged.leverage) == ("short", "-1", "20")
    assert (hedged.margin_mode, hedged.margin) == ("isolated", "3.5")


def test_balances_of_assets_that_were_never_used_are_empty() -> None:
    usdt, bnb = asked(answers.BALANCES, sample("rest-balances")).updates
    assert columns(usdt) == {
        "is_snapshot": 1,
        "is_partial": 0,
        "currency": "USDT",
        "balance": "1001.18979000",
        "available": "966.65979000",
        "unrealized_pnl": "3.10000000",
        "updated_ms": 1795800000123,
    }
    assert columns(bnb) == {"is_snapshot": 1, "is_partial": 0, "currency": "BNB"}


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("rest-instruments", answers.INSTRUMENTS, ("linear", "ETH", "USDT", "USDT", "1", "0.01", "0.001")),
        ("rest-instruments-coin-m", "/dapi/v1/exchangeInfo", ("inverse", "BTC", "USD", "BTC", "100", "0.1", "1")),
    ],
)
def test_instruments(name: str, target: str, expected: tuple[str, ...]) -> None:
    found = only(target, sample(name))
    assert found[4:11] == expected
    assert found.extra is None


@pytest.mark.parametrize(
    ("path", "coin_m"),
    [
        (answers.BALANCES, "/dapi/v1/balance"),
        (answers.POSITIONS, "/dapi/v1/positionRisk"),
        (answers.FILLS, "/dapi/v1/userTrades"),
    ],
)
def test_coin_m_has_the_same_lists_on_paths_of_its_own(path: str, coin_m: str) -> None:
    assert path_of(path, words.COIN_M) == coin_m
    assert path_of(path, words.USD_M) == path
    assert asked(coin_m, b"[]").error is None


def test_a_full_page_is_followed_by_one_that_begins_with_its_last_time() -> None:
    rows = [row("rest-income", 2) | {"time": at} for at in (5, 9)]
    assert asked(f"{answers.INCOME}?limit=2", encoded(rows)).next_page == "9"
    assert asked(f"{answers.INCOME}?limit=3", encoded(rows)).next_page is None
    # If they are not in order, nobody can say where the next page begins.
    assert asked(f"{answers.INCOME}?limit=2", encoded(rows[::-1])).next_page == ""
    assert asked(answers.INCOME, encoded(rows)).next_page is None


def test_an_error_with_status_200_is_no_row() -> None:
    decoded = asked(answers.BALANCES, b'{"code":-1003,"msg":"Too many requests."}')
    assert (decoded.status, decoded.control) == (CONTROL, RefusedCommand(None, -1003, "Too many requests."))


@pytest.mark.parametrize(
    ("target", "payload"),
    [
        ("/fapi/v1/depth", b"[]"),
        ("/elsewhere", b"{}"),
        (answers.BALANCES, b"[1]"),
        (answers.BALANCES, b'[{"balance":"1"}]'),
        (answers.ORDERS, b'[{"symbol":"X"}]'),
        (answers.INSTRUMENTS, b"{}"),
        (answers.INSTRUMENTS, b'{"symbols":[{"symbol":"X","filters":{}}]}'),
        (answers.POSITIONS, b"null"),
    ],
)
def test_anything_else_is_kept_undecoded(target: str, payload: bytes) -> None:
    assert asked(target, payload).status == UNDECODED


def test_an_order_that_a_list_and_a_push_tell_of_is_one() -> None:
    pushed, listed = read(sample("ORDER_TRADE_UPDATE")).updates[0], only(answers.ORDERS, sample("rest-orders"))
    assert isinstance(pushed, OrderUpdate)
    assert (pushed.order_id, pushed.market, pushed.symbol) == (listed.order_id, listed.market, listed.symbol)


@pytest.mark.parametrize(
    ("target", "code", "ended"),
    [
        ("/fapi/v1/order?symbol=BTCUSDT&orderId=7", -2013, ("BTCUSDT", "7", "ended")),
        ("/dapi/v1/order?symbol=BTCUSD_PERP&orderId=7", -2013, ("BTCUSD_PERP", "7", "ended")),
        ("/fapi/v1/algoOrder?algoId=8", -2013, (None, "algo-8", "ended")),
        ("/fapi/v1/order?symbol=BTCUSDT&orderId=7", -1121, None),
        ("/fapi/v1/order?orderId=7&symbol=BTCUSDT", -2013, None),
        ("/fapi/v1/allOrders?symbol=BTCUSDT&orderId=7", -2013, None),
        ("/elsewhere?orderId=7", -2013, None),
    ],
)
def test_an_order_that_the_exchange_no_longer_knows_has_ended(
    target: str, code: int, ended: tuple[str | None, ...] | None
) -> None:
    update = answers.ended_order(400, target, encoded({"code": code, "msg": "Order does not exist."}))
    assert (None if update is None else (update.symbol, update.order_id, update.status)) == ended
