"""Each answer of REST, column by column."""

import json
from typing import Any

import pytest

from recorder.model import CONTROL, DECODED, UNDECODED, FillUpdate, OrderUpdate, PositionUpdate, RefusedCommand
from recorder.venues.deribit import answers
from recorder.venues.deribit.symbols import described, expires_ms, native
from recorder.venues.expiry import EXPIRY_MS
from recorder.venues.reading import error_topic
from tests.unit.deribit.frames import answer, asked, columns, error, result, sample

AT = f"{answers.LOG}?currency=BTC"


def rows(target: str, name: str) -> list[dict[str, Any]]:
    """The columns of each row of a sample."""
    decoded = asked(target, sample(name))
    assert (decoded.status, decoded.topic) == (DECODED, target)
    return [columns(update) for update in decoded.updates]


def test_the_transaction_log() -> None:
    delivery, position, funding, settlement, trade, deposit, reward = rows(AT, "rest-transaction-log")
    assert delivery == {
        "event_ms": 1795852900131,
        "is_snapshot": 0,
        "transaction_id": "90000113",
        "type": "settlement",
        "venue_type": "delivery",
        "currency": "BTC",
        "amount": "0.0140250",
        "fee": "7.5e-5",
        "balance_after": "2.51412504",
        "symbol": "BTC-25DEC26-94500-C",
        "occurred_ms": 1798185600012,
    }
    # Nothing else says that an expired option is gone.
    assert position == {
        "event_ms": 1795852900131,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTC-25DEC26-94500-C",
        "quantity": "0.0",
        "updated_ms": 1798185600012,
    }
    of = {
        "event_ms": 1795852900131,
        "is_snapshot": 0,
        "transaction_id": "90000112",
        "venue_type": "settlement",
        "currency": "BTC",
        "fee": "0.0",
        "symbol": "BTC-PERPETUAL",
        "occurred_ms": 1795852800000,
    }
    # Funding is a part of the settlement: together they are its change, and lead from one balance to the other.
    assert funding == of | {"type": "funding", "amount": "-1.25e-6", "balance_after": "2.50009974"}
    assert settlement == of | {"type": "settlement", "amount": "3.0E-7", "balance_after": "2.50010004"}
    assert trade == {
        "event_ms": 1795852900131,
        "is_snapshot": 0,
        "transaction_id": "90000111",
        "type": "trade",
        "venue_type": "trade",
        "currency": "BTC",
        "amount": "4.0e-8",
        "fee": "-4.0e-8",
        "balance_after": "2.50010099",
        "symbol": "BTC-PERPETUAL",
        "order_id": "81234567890",
        "trade_id": "312345678",
        "occurred_ms": 1795852799001,
    }
    assert (deposit["type"], deposit["amount"], deposit["balance_after"]) == ("deposit", "2.5", "2.50010095")
    assert (reward["type"], reward["venue_type"]) == ("other", "usdc_reward")
    assert json.loads(reward["extra"]) == {"starbase_order_id": None}


def log(**fields: object) -> list[Any]:
    """The updates of a settlement with these fields changed."""
    row = result("rest-transaction-log")["logs"][1] | fields
    return list(asked(AT, answer({"logs": [row], "continuation": None})).updates)


def test_a_settlement_that_is_all_funding_is_one_transaction() -> None:
    (only,) = log(change=-1.25e-06)
    assert (only.type, only.amount, only.balance_after) == ("funding", "-1.25e-06", "2.50010004")


def test_a_settlement_without_funding_is_one_transaction() -> None:
    (only,) = log(total_interest_pl=0.0)
    assert (only.type, only.amount) == ("settlement", "-9.5e-07")
    # Where the session's funding is missing, that of the row counts.
    funding, _ = log(total_interest_pl=None)
    assert (funding.type, funding.amount) == ("funding", "-1.2e-06")


@pytest.mark.parametrize(
    "fields",
    [
        {"position": 5.0},
        {"timestamp": 1798000000000},
        {"instrument_name": "BTC-PERPETUAL"},
        {"instrument_name": None},
        {"type": "trade"},
    ],
)
def test_only_a_delivery_at_the_expiry_says_that_a_position_is_gone(fields: dict[str, object]) -> None:
    row = result("rest-transaction-log")["logs"][0] | fields
    updates = asked(AT, answer({"logs": [row], "continuation": None})).updates
    assert not [one for one in updates if isinstance(one, PositionUpdate)]


def test_pages_continue_where_the_answer_says() -> None:
    assert asked(AT, sample("rest-transaction-log")).next_page == "90000108"
    assert asked(answers.ORDERS, sample("rest-order-history")).next_page == "81234567890"
    assert asked(answers.TRIGGERS, sample("rest-trigger-history")).next_page is None
    # Of trades, where the last one was: it comes again.
    assert asked(answers.FILLS, sample("rest-user-trades")).next_page == "1795852811001"
    last = {**result("rest-user-trades"), "has_more": False}
    assert asked(answers.FILLS, answer(last)).next_page is None
    assert asked(answers.FILLS, answer({"trades": [], "has_more": True})).next_page == ""


def test_a_fill_over_rest_is_the_one_that_was_pushed() -> None:
    (fill,) = rows(answers.FILLS, "rest-user-trades")
    assert (fill["trade_id"], fill["price"], fill["fee"]) == ("312345678", "9.15e4", "-4.0e-8")
    # An answer has a time of its own.
    assert fill["event_ms"] == 1795852900131
    (same,) = asked(
        f"{answers.API}private/get_user_trades_by_order", answer(result("rest-user-trades")["trades"])
    ).updates
    assert isinstance(same, FillUpdate) and same.trade_id == "312345678"


def test_open_orders_are_a_snapshot_and_the_history_is_none() -> None:
    limit, trigger = rows(f"{answers.OPEN_ORDERS}?type=all", "rest-open-orders")
    assert (limit["is_snapshot"], limit["status"], trigger["status"]) == (1, "partially_filled", "pending")
    (ended,) = rows(answers.ORDERS, "rest-order-history")
    assert (ended["is_snapshot"], ended["status"], ended["reason"]) == (0, "canceled", "user_request")
    (one,) = asked(answers.ORDER, answer(result("rest-open-orders")[0])).updates
    assert isinstance(one, OrderUpdate) and one.order_id == "81234567890"
    # Without a continuation, the history is a list.
    (bare,) = asked(answers.ORDERS, answer(result("rest-order-history")["orders"])).updates
    assert isinstance(bare, OrderUpdate)


def test_the_history_of_trigger_orders_is_under_their_own_ids() -> None:
    (entry,) = rows(answers.TRIGGERS, "rest-trigger-history")
    assert entry == {
        "event_ms": 1795852900131,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTC-PERPETUAL",
        "order_id": "SLMB-90211",
        "side": "sell",
        "order_type": "market",
        "post_only": 0,
        "reduce_only": 1,
        "trigger_price": "8.8e4",
        "quantity": "100.0",
        "status": "expired",
        "venue_status": "triggered",
        "updated_ms": 1795852899000,
    }


def test_balances_and_positions() -> None:
    (balance,) = rows(answers.BALANCES, "rest-summaries")
    assert (balance["is_snapshot"], balance["currency"], balance["balance"]) == (1, "BTC", "2.50010004")
    # What the account is called is of no currency.
    assert "extra" not in balance
    (same,) = asked(f"{answers.BALANCE}?currency=BTC", answer(result("rest-summaries")["summaries"][0])).updates
    assert columns(same)["currency"] == "BTC"
    (position,) = rows(f"{answers.POSITIONS}?currency=any", "rest-positions")
    assert (position["is_snapshot"], position["quantity"]) == (1, "40.0")
    (one,) = asked(answers.POSITION, answer(result("rest-positions")[0])).updates
    assert columns(one)["symbol"] == "BTC-PERPETUAL"


def test_instruments() -> None:
    found = {row["symbol"]: row for row in rows(answers.INSTRUMENTS, "rest-instruments")}
    assert {symbol: row.get("kind") for symbol, row in found.items()} == {
        "BTC-PERPETUAL": "inverse",
        "BTC_USDC-PERPETUAL": "linear",
        "BTC-25DEC26-94500-C": "option",
        "ETH_USDC": "spot",
        "BTC-FS-25DEC26_PERP": None,
    }
    # A quantity is an amount, in USD or coins, and not a number of contracts.
    assert found["BTC-PERPETUAL"] == {
        "event_ms": 1795852900131,
        "is_snapshot": 1,
        "symbol": "BTC-PERPETUAL",
        "kind": "inverse",
        "base": "BTC",
        "quote": "USD",
        "settle": "BTC",
        "contract_size": "1",
        "price_tick": "0.5",
        "quantity_step": "10.0",
    }
    assert (found["ETH_USDC"]["settle"], found["BTC-25DEC26-94500-C"]["settle"]) == ("USDC", "BTC")


@pytest.mark.parametrize(
    ("symbol", "kind", "base", "quote", "settle"),
    [
        ("BTC-PERPETUAL", "inverse", "BTC", "USD", "BTC"),
        ("BTC-25DEC26", "inverse", "BTC", "USD", "BTC"),
        ("BTC_USDC-PERPETUAL", "linear", "BTC", "USDC", "USDC"),
        ("BTC-25DEC26-100000-C", "option", "BTC", "BTC", "BTC"),
        ("XRP_USDC-30JUN26-0d625-P", "option", "XRP", "USDC", "USDC"),
        ("ETH_USDC", "spot", "ETH", "USDC", "USDC"),
        ("BTC-FS-25DEC26_PERP", None, "BTC", None, "BTC"),
        ("BTC-CS-25DEC26-80000_90000", None, "BTC", None, "BTC"),
        ("X", None, "X", None, None),
    ],
)
def test_what_a_name_says(symbol: str, kind: str | None, base: str, quote: str | None, settle: str | None) -> None:
    found = described(symbol)
    assert (found.symbol, found.kind, found.base, found.quote, found.settle) == (symbol, kind, base, quote, settle)


def test_when_an_instrument_expires() -> None:
    assert expires_ms("BTC-25DEC26-100000-C") == expires_ms("BTC-25DEC26") == 1798156800000 + EXPIRY_MS
    assert expires_ms("BTC-3APR26") is not None
    assert [expires_ms(one) for one in ("BTC-PERPETUAL", "ETH_USDC", "BTC-31FEB26", "BTC-25XYZ26")] == [None] * 4


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("btc-perpetual", "BTC-PERPETUAL"),
        ("xrp_usdc-30jun26-0d625-c", "XRP_USDC-30JUN26-0d625-C"),
        ("eth_usdc", "ETH_USDC"),
        ("doge_usdc-25dec26", "DOGE_USDC-25DEC26"),
    ],
)
def test_symbols_as_users_write_them(written: str, symbol: str) -> None:
    assert native(written) == native(symbol) == symbol


def test_an_error_is_a_refusal_whatever_the_status() -> None:
    decoded = asked(answers.ORDER, error(10004, "order_not_found"))
    assert (decoded.status, decoded.control) == (CONTROL, RefusedCommand(None, 10004, "order_not_found"))


def test_an_order_that_the_exchange_does_not_know_has_ended() -> None:
    target = f"{answers.ORDER}?order_id=ETH-331562"
    (ended,) = asked(error_topic(400, target), error(10004, "order_not_found")).updates
    assert columns(ended) == {"is_snapshot": 0, "is_partial": 1, "order_id": "ETH-331562", "status": "ended"}
    for other in (error(10028), error(13009), b"<html>", b"{}", answer([])):
        assert asked(error_topic(400, target), other).updates == ()
    # Where a list of orders is refused so, no order has ended.
    assert asked(error_topic(400, f"{answers.ORDERS}?order_id=7"), error(10004)).updates == ()


@pytest.mark.parametrize("path", ["public/get_time", "private/get_transfers", "private/get_deposits"])
def test_answers_that_make_no_row(path: str) -> None:
    decoded = asked(f"{answers.API}{path}", answer({"count": 0, "data": []}))
    assert (decoded.status, decoded.updates) == (DECODED, ())


def test_an_unknown_method_and_an_answer_without_result_are_kept_undecoded() -> None:
    assert asked(f"{answers.API}private/get_secret", answer([])).status == UNDECODED
    assert asked(answers.POSITIONS, b'{"jsonrpc":"2.0"}').status == UNDECODED
