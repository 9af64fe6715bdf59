"""Each answer, column by column, and what it says about the next page."""

import pytest

from recorder.model import (
    CONTROL,
    DECODED,
    ENDED,
    UNDECODED,
    AccountUpdate,
    Decoded,
    FillUpdate,
    OrderUpdate,
    PositionUpdate,
    RefusedCommand,
)
from recorder.venues.bitget import answers, words
from tests.unit.bitget.frames import answer, asked, columns, only, page, read, row, sample

AT_MS = 1790757100000


def test_an_order_is_the_one_that_was_pushed() -> None:
    pushed = only(read(sample("order")))
    for target, name, is_snapshot in (
        (f"{answers.ORDERS}?category=USDT-FUTURES&limit=100", "rest-orders", 0),
        (f"{answers.OPEN_ORDERS}?category=USDT-FUTURES", "rest-orders", 1),
        (f"{answers.ORDER}?orderId=1501239999999999001", "rest-order-info", 1),
    ):
        told = only(asked(target, sample(name)))
        assert told == pushed._replace(event_ms=AT_MS, is_snapshot=is_snapshot)


def test_a_fill_is_the_one_that_was_pushed() -> None:
    told = only(asked(answers.FILLS, sample("rest-fills")))
    assert told == only(read(sample("fill")))._replace(event_ms=AT_MS)


def test_a_conditional_order_that_became_another_one_is_over() -> None:
    ended = only(asked(answers.STRATEGIES, sample("rest-strategy-orders")))
    pushed = only(read(sample("strategy-order")))
    assert ended == pushed._replace(event_ms=AT_MS, status="expired", venue_status="success")
    waiting = only(asked(answers.OPEN_STRATEGIES, sample("rest-open-strategy-orders")))
    assert waiting == pushed._replace(event_ms=AT_MS, is_snapshot=1)


def test_a_position() -> None:
    told = only(asked(f"{answers.POSITIONS}?category=USDT-FUTURES", sample("rest-positions")))
    pushed = only(read(sample("position")))
    assert told == pushed._replace(event_ms=AT_MS, is_snapshot=1, liquidation_price="213000.5")


def test_a_position_that_was_asked_for_and_is_not_there_is_flat() -> None:
    """A list leaves it out; the answer about one says it by that."""
    nothing = sample("rest-positions-none")
    assert asked(f"{answers.POSITIONS}?category=USDT-FUTURES", nothing).updates == ()
    for side, position_side in (("", None), ("&posSide=short", "short")):
        target = f"{answers.POSITIONS}?category=USDT-FUTURES{side}&symbol=BTCUSDT"
        assert only(asked(target, nothing)) == PositionUpdate(
            AT_MS, 1, 0, "usdt-futures", "BTCUSDT", position_side, quantity="0"
        )
        assert only(asked(target, page())).quantity == "0"
        assert only(asked(target, sample("rest-positions"))).quantity == "-0.01"
        # Without a list, nothing is said.
        assert asked(target, answer({})).status == UNDECODED
        assert asked(target, answer(None)).status == UNDECODED


def test_balances() -> None:
    unified = only(asked(answers.ASSETS, sample("rest-assets")))
    pushed = read(sample("account")).updates[0]
    assert unified == pushed._replace(event_ms=AT_MS, is_snapshot=1)
    assert columns(only(asked(answers.FUNDING_ASSETS, sample("rest-funding-assets")))) == {
        "event_ms": AT_MS,
        "is_snapshot": 1,
        "is_partial": 0,
        "wallet": "funding",
        "currency": "USDT",
        "balance": "2.5",
        "available": "2",
        "locked": "0.5",
    }


def test_a_coin_that_was_asked_for_and_is_not_there_is_zero() -> None:
    for path, name, wallet in (
        (answers.ASSETS, "rest-assets", "unified"),
        (answers.FUNDING_ASSETS, "rest-funding-assets", "funding"),
    ):
        assert len(asked(f"{path}?coin=USDT", sample(name)).updates) == 1
        told, spent = asked(f"{path}?coin=BTC", sample(name)).updates
        assert columns(told)["currency"] == "USDT"
        assert spent == AccountUpdate(AT_MS, 1, 0, wallet, "BTC", balance="0", available="0", locked="0")


def test_records_are_transactions() -> None:
    funding, trade, spot = asked(f"{answers.RECORDS}?category=USDT-FUTURES", sample("rest-records")).updates
    assert columns(funding) == {
        "event_ms": AT_MS,
        "is_snapshot": 0,
        "transaction_id": "1501250000000000003",
        "type": "funding",
        "venue_type": "CONTRACT_MAIN_SETTLE_FEE_USER_OUT",
        "wallet": "unified",
        "currency": "USDT",
        "amount": "-0.31399125",
        "fee": "0",
        "balance_after": "5007.1343081",
        "market": "usdt-futures",
        "symbol": "BTCUSDT",
        "occurred_ms": 1790784000123,
    }
    # The amount is before the fee, which is negative when paid.
    trade_told, spot_told = columns(trade), columns(spot)
    assert (trade_told["type"], trade_told["amount"], trade_told["fee"]) == ("trade", "0.6082994", "0.6417006")
    assert (spot_told["market"], spot_told["amount"], spot_told["fee"]) == ("margin", "0.00530637", "0.00000531")


@pytest.mark.parametrize(
    ("kind", "amount", "expected"),
    [
        ("TRANSFER_OUT", "30", "-30"),
        ("TRANSFER_OUT", "-30", "-30"),
        ("TRANSFER_IN", "30", "30"),
        ("CONTRACT_MAIN_SETTLE_FEE_USER_OUT", "0", "0"),
        ("CLOSE_LONG", "-30", "-30"),
    ],
)
def test_what_went_out_is_negative(kind: str, amount: str, expected: str) -> None:
    told = only(asked(answers.RECORDS, page(row("rest-records") | {"type": kind, "amount": amount})))
    assert told.amount == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("OPEN_LONG", "trade"),
        ("SELL_DEAL", "trade"),
        ("FIXED_CLOSE_SHORT", "trade"),
        ("ORDER_DEALT_FROZEN_OUT", "trade"),
        ("ORDER_PLF_FEE_OUT", "fee"),
        ("BURST_CLOSE_LONG", "liquidation"),
        ("FORCE_BUY_SSM", "liquidation"),
        ("OFFSET_REDUCE_CLOSE_LONG", "liquidation"),
        ("ADL_CLOSE_SHORT", "liquidation"),
        ("FIXED_OFFSET_IN_SSM_LONG", "trade"),
        ("FIXED_REDUCE_ONLY_OFFSET_IN_SSM_SHORT", "trade"),
        ("RWA_CONTRACT_REBASE_USER_OPEN_LONG", "other"),
        ("FIXED_INCREASE_MARGIN", "other"),
        ("PAPTRADING_USER_IN", "transfer"),
        ("LIQ_FEE", "liquidation"),
        ("FIXED_SETTLE_FEE_USER_IN", "funding"),
        ("RWA_CONTRACT_MAIN_SETTLE_FEE_USER_OUT", "funding"),
        ("RESERVE_TRANSFER_IN", "transfer"),
        ("INTEREST_SETTLEMENT_OUT", "interest"),
        ("EXCHANGE_TARGET_TOKEN_USER_IN", "conversion"),
        ("withdraw", "withdrawal"),
        ("deposit", "deposit"),
        ("BORROW", "other"),
        ("SOMETHING_NEW", "other"),
        (None, "other"),
    ],
)
def test_types_of_records(kind: str | None, expected: str) -> None:
    assert words.record_type(kind) == expected


def test_records_of_the_funding_account() -> None:
    assert columns(only(asked(answers.FUNDING_RECORDS, sample("rest-funding-records")))) == {
        "event_ms": AT_MS,
        "is_snapshot": 0,
        "transaction_id": "1477183363639320585",
        "type": "transfer",
        "venue_type": "transfer_out",
        "wallet": "funding",
        "currency": "USDT",
        "amount": "-30.00000000",
        "balance_after": "0.00000000",
        "occurred_ms": 1787913879280,
    }
    blank = row("rest-funding-records") | {"type": "", "groupType": "deposit", "amount": "2"}
    assert only(asked(answers.FUNDING_RECORDS, page(blank))).type == "deposit"


def test_instruments() -> None:
    perpetual = only(asked(f"{answers.INSTRUMENTS}?category=USDC-FUTURES", sample("rest-instruments")))
    assert columns(perpetual) == {
        "event_ms": AT_MS,
        "is_snapshot": 1,
        "market": "usdc-futures",
        "symbol": "BTCPERP",
        "kind": "linear",
        "base": "BTC",
        "quote": "USDC",
        "settle": "USDC",
        "contract_size": "1",
        "price_tick": "0.5",
        "quantity_step": "0.0001",
    }
    pair = only(asked(f"{answers.INSTRUMENTS}?category=SPOT", sample("rest-instruments-spot")))
    assert (pair.market, pair.kind, pair.settle, pair.contract_size) == ("spot", "spot", "USDT", "1")
    assert (pair.price_tick, pair.quantity_step) == ("0.01", "0.000001")
    coin = row("rest-instruments") | {"category": "COIN-FUTURES", "symbol": "BTCUSD", "quoteCoin": "USD"}
    inverse = only(asked(answers.INSTRUMENTS, answer([coin])))
    assert (inverse.kind, inverse.settle, inverse.contract_size) == ("inverse", "BTC", None)


@pytest.mark.parametrize(
    ("listed", "cursor", "expected"), [(1, "7", "7"), (1, "", None), (1, None, None), (0, "7", None)]
)
def test_a_page_has_a_next_one_until_it_or_the_cursor_is_empty(
    listed: int, cursor: str | None, expected: str | None
) -> None:
    payload = answer({"list": [row("rest-fills")] * listed or None, "cursor": cursor})
    assert asked(answers.FILLS, payload).next_page == expected


def test_what_makes_no_rows() -> None:
    for target, name in ((answers.TIME, "rest-time"), (answers.INFO, "rest-info")):
        assert asked(target, sample(name))[:4] == (target, DECODED, None, ())
    assert asked(answers.OPEN_STRATEGIES, answer(None)).updates == ()


def test_an_error_comes_with_a_code() -> None:
    decoded = asked(answers.ASSETS, sample("rest-refused"))
    assert isinstance(decoded.control, RefusedCommand)
    assert (decoded.control.code, decoded.control.message[:31]) == (40084, "You are in Classic Account mode")
    other = asked(answers.ASSETS, b'{"code":"40015","message":"System is abnormal"}')
    assert other.control == RefusedCommand(None, 40015, "System is abnormal")


def test_an_order_that_the_exchange_does_not_know_has_ended() -> None:
    target, unknown = f"HTTP 400 {answers.ORDER}?orderId=7", answer(None, code="25204", msg="Order does not exist")
    assert asked(target, unknown) == Decoded(
        target, DECODED, updates=(OrderUpdate(None, 0, 1, None, None, "7", status=ENDED),)
    )
    others = [
        (target, answer(None, code="40017")),
        (target, b"<html>Bad Gateway</html>"),
        (target.replace("orderId", "clientOid"), unknown),
        (f"HTTP 400 {answers.FILLS}?orderId=7", unknown),
    ]
    for topic, body in others:
        assert asked(topic, body) == Decoded(topic, CONTROL)


@pytest.mark.parametrize(
    ("target", "payload"),
    [
        ("/api/v3/something", answer([])),
        (answers.ORDERS, answer(None)),
        (answers.ORDERS, answer({"cursor": ""})),
        (answers.ORDER, answer(None)),
        (answers.ASSETS, answer({"accountEquity": "1"})),
        (answers.ORDERS, b"{}"),
    ],
)
def test_an_answer_that_is_not_what_it_should_be_is_kept_undecoded(target: str, payload: bytes) -> None:
    assert asked(target, payload).status == UNDECODED


def test_the_rows_of_the_samples_are_of_the_right_kind() -> None:
    assert isinstance(only(asked(answers.FILLS, sample("rest-fills"))), FillUpdate)
    assert isinstance(only(asked(answers.STRATEGIES, sample("rest-strategy-orders"))), OrderUpdate)
