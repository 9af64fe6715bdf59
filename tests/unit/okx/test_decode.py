"""Each channel and each answer, column by column; and everything that is not a push of rows."""

from typing import Any

import pytest

from recorder.model import (
    CONTROL,
    DECODED,
    UNDECODED,
    Acknowledged,
    Asked,
    FillUpdate,
    LoggedIn,
    Notice,
    OrderUpdate,
    RefusedCommand,
)
from recorder.venues.okx import answers, words
from tests.unit.okx.frames import answer, asked, columns, push, read, row, sample


def only(payload: bytes) -> dict[str, Any]:
    """The columns of the one row of a push."""
    decoded = read(payload)
    assert decoded.error is None
    (update,) = decoded.updates
    return columns(update)


def test_an_order_and_the_fill_that_its_push_tells_of() -> None:
    decoded = read(sample("orders"))
    order, fill = decoded.updates
    assert (decoded.topic, decoded.status) == ("orders", DECODED)
    assert columns(order) == {
        "event_ms": 1790736801442,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTC-USDT-SWAP",
        "order_id": "3967288020668911111",
        "client_order_id": "rec01",
        "side": "sell",
        "order_type": "limit",
        "time_in_force": "gtc",
        "post_only": 0,
        "reduce_only": 0,
        "price": "84100.5",
        "quantity": "3",
        "filled_quantity": "1.25",
        "average_price": "84100.5",
        "status": "partially_filled",
        "venue_status": "partially_filled",
        "fee": "0.21025125",
        "fee_currency": "USDT",
        "created_ms": 1790736796596,
        "updated_ms": 1790736801442,
    }
    assert columns(fill) == {
        "event_ms": 1790736801442,
        "is_snapshot": 0,
        "trade_id": "1413632420",
        "order_id": "3967288020668911111",
        "client_order_id": "rec01",
        "symbol": "BTC-USDT-SWAP",
        "side": "sell",
        "price": "84100.5",
        "quantity": "1.25",
        "fee": "0.21025125",
        "fee_currency": "USDT",
        "liquidity": "maker",
        "realized_pnl": "0",
        "kind": "trade",
        "executed_ms": 1790736801441,
    }


def test_a_fill_over_rest_is_the_one_that_was_pushed() -> None:
    (_, pushed), (fill,) = read(sample("orders")).updates, asked(answers.FILLS, sample("rest-fills")).updates
    assert columns(fill) == {name: value for name, value in columns(pushed).items() if name != "event_ms"}


def test_a_fill_on_spot_has_no_realized_pnl() -> None:
    on_spot = {"instType": "SPOT", "instId": "BTC-USDT", "fillPnl": "0"}
    pushed = read(push("orders", row("orders") | on_spot)).updates
    asked_for = asked(answers.FILLS, answer(row("rest-fills") | on_spot)).updates
    fills = [one for one in (*pushed, *asked_for) if isinstance(one, FillUpdate)]
    assert [one.realized_pnl for one in fills] == [None, None]


def order(**fields: object) -> OrderUpdate:
    update = read(push("orders", row("orders") | fields)).updates[0]
    assert isinstance(update, OrderUpdate)
    return update


@pytest.mark.parametrize("state", [*words.STATUSES, "something_new"])
def test_statuses_of_orders(state: str) -> None:
    update = order(state=state)
    assert (update.status, update.venue_status) == (words.STATUSES.get(state), state)


@pytest.mark.parametrize(
    ("kind", "columns_of_it"),
    [
        ("market", ("market", None, 0)),
        ("post_only", ("limit", "gtc", 1)),
        ("ioc", ("limit", "ioc", 0)),
        ("op_fok", ("limit", "fok", 0)),
        ("optimal_limit_ioc", ("market", "ioc", 0)),
        ("rpi", ("limit", "gtc", 1)),
        ("something_new", (None, None, None)),
    ],
)
def test_the_order_type_tells_the_time_in_force(kind: str, columns_of_it: tuple[object, ...]) -> None:
    update = order(ordType=kind)
    assert (update.order_type, update.time_in_force, update.post_only) == columns_of_it


def test_a_market_order_to_buy_is_placed_for_money() -> None:
    update = order(tgtCcy="quote_ccy", sz="100")
    assert (update.quantity, update.quote_quantity) == (None, "100")


@pytest.mark.parametrize(
    ("fields", "fee"),
    [
        ({"fee": "-0.5", "rebate": "0.2", "rebateCcy": "USDT"}, ("0.3", "USDT")),
        ({"fee": "-0.5", "rebate": "0.2", "rebateCcy": "BTC"}, (None, None)),
        ({"fee": "0.1", "rebate": ""}, ("-0.1", "USDT")),
        ({"fee": "", "feeCcy": ""}, (None, None)),
    ],
)
def test_fees_are_positive_when_paid(fields: dict[str, str], fee: tuple[str | None, str | None]) -> None:
    update = order(**fields)
    assert (update.fee, update.fee_currency) == fee


@pytest.mark.parametrize(
    "fields",
    [
        {"tradeId": "", "fillSz": "0", "fillPx": ""},
        {"tradeId": "0", "fillSz": "0"},
        # A liquidation has an id over REST only.
        {"tradeId": "0", "fillSz": "1.25", "category": "full_liquidation"},
    ],
)
def test_a_push_without_an_execution_has_no_fill(fields: dict[str, str]) -> None:
    assert [type(one) for one in read(push("orders", row("orders") | fields)).updates] == [OrderUpdate]


def test_a_liquidation_over_rest_has_a_negative_id() -> None:
    fields = {"tradeId": "-77", "subType": "104", "execType": ""}
    (fill,) = asked(answers.FILLS, answer(row("rest-fills") | fields)).updates
    assert isinstance(fill, FillUpdate)
    assert (fill.trade_id, fill.kind, fill.liquidity) == ("-77", "liquidation", None)


def test_a_conditional_order_that_became_another_one_is_over() -> None:
    assert only(sample("orders-algo")) == {
        "event_ms": 1790736801002,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTC-USDT-SWAP",
        "order_id": "3967288020668922222",
        "side": "buy",
        "order_type": "market",
        "reduce_only": 1,
        "trigger_price": "84200",
        "quantity": "2",
        "status": "expired",
        "venue_status": "effective",
        "created_ms": 1790736000000,
        "updated_ms": 1790736801002,
    }


def test_a_conditional_order_with_two_triggers_has_neither_price() -> None:
    both = {"ordType": "oco", "state": "live", "triggerPx": "", "ordPx": ""}
    both |= {"tpTriggerPx": "90000", "tpOrdPx": "-1", "slTriggerPx": "80000", "slOrdPx": "79990"}
    waiting = only(push("orders-algo", row("orders-algo") | both))
    assert waiting["status"] == "pending"
    assert not {"trigger_price", "price", "order_type"} & waiting.keys()


def test_a_position_is_signed() -> None:
    assert only(sample("positions")) == {
        "event_ms": 1790736801493,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTC-USDT-SWAP",
        "position_id": "3967280000000012345",
        "margin_mode": "cross",
        "quantity": "-1.75",
        "entry_price": "84096.2",
        "mark_price": "84099.9",
        "leverage": "3",
        "margin": "490.58",
        "unrealized_pnl": "-0.06475",
        "realized_pnl": "3.9236",
        "updated_ms": 1790736801442,
    }
    for fields, quantity in (
        ({"posSide": "short", "pos": "2"}, "-2"),
        ({"posSide": "long", "pos": "2"}, "2"),
        ({"instType": "MARGIN", "instId": "BTC-USDT", "posCcy": "USDT", "pos": "100"}, "-100"),
        ({"instType": "MARGIN", "instId": "BTC-USDT", "posCcy": "BTC", "pos": "1"}, "1"),
    ):
        assert only(push("positions", row("positions") | fields))["quantity"] == quantity


@pytest.mark.parametrize(("event_type", "is_snapshot"), [("snapshot", 1), ("event_update", 0)])
def test_balances(event_type: str, is_snapshot: int) -> None:
    assert only(push("account", row("account"), eventType=event_type)) == {
        "event_ms": 1790736801493,
        "is_snapshot": is_snapshot,
        "is_partial": 0,
        "wallet": "trading",
        "currency": "USDT",
        "balance": "5002.57475",
        "available": "4511.93",
        "locked": "0",
        "position_margin": "490.58",
        "equity": "5002.51",
        "unrealized_pnl": "-0.06475",
        "updated_ms": 1790736801442,
    }


def test_deposits_and_withdrawals_count_when_they_are_done() -> None:
    deposit, withdrawal = only(sample("deposit-info")), only(sample("withdrawal-info"))
    assert (deposit["type"], deposit["amount"], deposit["wallet"]) == ("deposit", "100.5", "funding")
    assert (withdrawal["amount"], withdrawal["fee"], withdrawal["transaction_id"]) == ("-50", "1", "67485")
    assert read(push("deposit-info", row("deposit-info") | {"state": "0"})).updates == ()
    assert read(push("withdrawal-info", row("withdrawal-info") | {"state": "-2"})).updates == ()


@pytest.mark.parametrize("channel", ["deposit-info", "withdrawal-info"])
def test_a_main_account_has_no_transaction_of_its_sub_accounts(channel: str) -> None:
    of_sub = row(channel) | {"subAcct": "bot7"}
    # What a sub-account is told of itself has its name, too.
    assert len(read(push(channel, of_sub)).updates) == 1
    found = read(push(channel, row(channel), of_sub | {"uid": "512344556677889901"}))
    assert (found.status, len(found.updates)) == (DECODED, 1)


def test_a_bill_is_a_transaction() -> None:
    (bill,) = asked(answers.BILLS, sample("rest-bills")).updates
    assert columns(bill) == {
        "is_snapshot": 0,
        "transaction_id": "3967290000000000001",
        "type": "funding",
        "venue_type": "8/173",
        "wallet": "trading",
        "currency": "USDT",
        "amount": "-0.0314",
        "fee": "0",
        "balance_after": "5002.54335",
        "symbol": "BTC-USDT-SWAP",
        "occurred_ms": 1790755200870,
    }


def test_a_contract_is_of_its_value_times_its_multiplier() -> None:
    (instrument,) = asked(answers.INSTRUMENTS, sample("rest-instruments")).updates
    assert columns(instrument) == {
        "is_snapshot": 1,
        "symbol": "BTC-USDT-SWAP",
        "kind": "linear",
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "contract_size": "0.01",
        "price_tick": "0.1",
        "quantity_step": "0.01",
    }


def test_channels_that_repeat_others_have_no_rows() -> None:
    for channel in ("fills", "balance_and_position"):
        assert read(sample(channel))[:4] == (channel, DECODED, None, ())


def test_a_page_that_is_full_has_a_next_one() -> None:
    rows = [row("rest-fills") | {"billId": str(number)} for number in (9, 8)]
    assert asked(f"{answers.FILLS}?limit=2", answer(*rows)).next_page == "8"
    assert asked(f"{answers.FILLS}?limit=3", answer(*rows)).next_page is None


@pytest.mark.parametrize(
    ("frame", "control"),
    [
        (b'{"event":"login","msg":"","code":"0","connId":"a4d3ae55"}', LoggedIn(None)),
        (
            b'{"id":"orders","event":"subscribe","arg":{"channel":"orders","instType":"ANY"},"connId":"a4d3ae55"}',
            Acknowledged(("orders",), "orders"),
        ),
        (
            b'{"event":"error","code":"60009","msg":"Login failed.","connId":"a4d3ae55"}',
            RefusedCommand(None, 60009, "Login failed."),
        ),
        (
            b'{"event":"channel-conn-count-error","channel":"orders","connCount":"30","connId":"abcd1234"}',
            RefusedCommand(None, None, "the account has too many connections (30) with this channel", ("orders",)),
        ),
        (
            b'{"event":"notice","code":"64008","msg":"The connection will soon be closed.","connId":"a4d3ae55"}',
            Notice("The connection will soon be closed.", reconnect=True),
        ),
        (b'{"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"abcd1234"}', None),
        (b"ping", Asked()),
    ],
)
def test_control_frames(frame: bytes, control: object) -> None:
    decoded = read(frame)
    assert (decoded.status, decoded.error) == (CONTROL, None)
    assert isinstance(decoded.control, Notice) if control is None else decoded.control == control


def test_a_pong_is_a_bare_word() -> None:
    assert (read(b"pong").topic, read(b"pong").status) == ("pong", DECODED)


def test_an_error_over_rest_comes_with_status_200() -> None:
    decoded = asked(answers.BALANCE, answer(code="50013", msg="System is busy"))
    assert decoded.control == RefusedCommand(None, 50013, "System is busy")


@pytest.mark.parametrize(
    "frame",
    [b"", b"{}", b"[]", b'{"arg":{"channel":"tickers"},"data":[{}]}', b'{"arg":{"channel":"orders"},"data":{}}'],
)
def test_anything_else_is_kept_undecoded(frame: bytes) -> None:
    assert read(frame).status == UNDECODED
