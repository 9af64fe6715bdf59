"""Each channel, column by column, and every other frame of the socket."""

from typing import Any

import pytest

from recorder.model import (
    CONTROL,
    DECODED,
    UNDECODED,
    Acknowledged,
    Asked,
    FillUpdate,
    Heartbeat,
    LoggedIn,
    Notice,
    OrderUpdate,
    PositionUpdate,
    RefusedCommand,
)
from recorder.venues.deribit.portal import CHANGES, PORTFOLIO
from tests.unit.deribit.frames import answer, changes, columns, data, error, push, read, sample

ORDER = {
    "event_ms": 1795852811002,
    "is_snapshot": 0,
    "is_partial": 0,
    "symbol": "BTC-PERPETUAL",
    "order_id": "81234567890",
    "client_order_id": "grid-7",
    "side": "buy",
    "order_type": "limit",
    "time_in_force": "gtc",
    "post_only": 1,
    "reduce_only": 0,
    "price": "9.15e4",
    "quantity": "100.0",
    "filled_quantity": "40.0",
    "average_price": "9.15e4",
    "status": "partially_filled",
    "venue_status": "open",
    "created_ms": 1795852801450,
    "updated_ms": 1795852811002,
}


def only(payload: bytes) -> dict[str, Any]:
    """The columns of the one row of a push."""
    decoded = read(payload)
    assert decoded.error is None
    (update,) = decoded.updates
    return columns(update)


def order(**fields: object) -> dict[str, Any]:
    """The columns of an order with these fields changed."""
    return only(push("user.orders.any.any.raw", data("orders") | fields))


def trade(**fields: object) -> dict[str, Any]:
    """The columns of a trade with these fields changed."""
    return only(changes(trades=[data("changes")["trades"][0] | fields]))


def test_what_happened_at_once_is_one_frame() -> None:
    decoded = read(sample("changes"))
    assert (decoded.topic, decoded.status) == (CHANGES, DECODED)
    fill, changed, position = decoded.updates
    assert columns(fill) == {
        "event_ms": 1795852811001,
        "is_snapshot": 0,
        "trade_id": "312345678",
        "order_id": "81234567890",
        "client_order_id": "grid-7",
        "symbol": "BTC-PERPETUAL",
        "side": "buy",
        "price": "9.15e4",
        "quantity": "40.0",
        # A rebate is negative on the exchange, too.
        "fee": "-4.0e-8",
        "fee_currency": "BTC",
        "liquidity": "maker",
        "realized_pnl": "0.0",
        "kind": "trade",
        "executed_ms": 1795852811001,
    }
    assert columns(changed) == ORDER
    assert columns(position) == {
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTC-PERPETUAL",
        "quantity": "40.0",
        "entry_price": "9.15e4",
        "mark_price": "91498.7",
        "leverage": "50",
        "margin": "9.0e-6",
        "unrealized_pnl": "-5.0e-9",
        "realized_pnl": "0.0",
    }


def test_an_order_of_its_own_channel_is_the_same() -> None:
    assert only(sample("orders")) == ORDER
    (one, other) = read(push("user.orders.future.BTC.100ms", [data("orders"), data("orders")])).updates
    assert columns(one)["order_id"] == columns(other)["order_id"] == "81234567890"


def test_an_order_that_waits_for_its_trigger() -> None:
    assert only(sample("orders-trigger")) == {
        "event_ms": 1795852812000,
        "is_snapshot": 0,
        "is_partial": 0,
        "symbol": "BTC-PERPETUAL",
        "order_id": "SLMB-90211",
        "side": "sell",
        # Executed at the market: its price is a word.
        "order_type": "market",
        "time_in_force": "gtc",
        "post_only": 0,
        "reduce_only": 1,
        "trigger_price": "8.8e4",
        "quantity": "100.0",
        "status": "pending",
        "venue_status": "untriggered",
        "created_ms": 1795852812000,
        "updated_ms": 1795852812000,
    }


@pytest.mark.parametrize(
    ("state", "filled", "status"),
    [
        ("open", 0.0, "new"),
        ("open", 10.0, "partially_filled"),
        ("filled", 100.0, "filled"),
        ("cancelled", 10.0, "canceled"),
        ("rejected", 0, "rejected"),
        ("rejected:reduce_direction", 0, "rejected"),
        ("untriggered", 0, "pending"),
        # Another order has taken its place: what that one fills is not counted twice.
        ("triggered", 0, "expired"),
        ("pondering", 0, None),
    ],
)
def test_states(state: str, filled: float, status: str | None) -> None:
    found = order(order_state=state, filled_amount=filled)
    assert (found.get("status"), found["venue_status"]) == (status, state)


@pytest.mark.parametrize(
    ("kind", "executed"),
    [
        ("limit", "limit"),
        ("market", "market"),
        ("stop_limit", "limit"),
        ("stop_market", "market"),
        ("take_limit", "limit"),
        ("take_market", "market"),
        ("trailing_stop", "market"),
        ("of_2027", None),
    ],
)
def test_order_types(kind: str, executed: str | None) -> None:
    assert order(order_type=kind).get("order_type") == executed


@pytest.mark.parametrize(
    ("sent", "ours"),
    [
        ("good_til_cancelled", "gtc"),
        ("good_til_day", "gtd"),
        ("fill_or_kill", "fok"),
        ("immediate_or_cancel", "ioc"),
        ("later", None),
    ],
)
def test_times_in_force(sent: str, ours: str | None) -> None:
    assert order(time_in_force=sent).get("time_in_force") == ours


def test_why_an_order_ended() -> None:
    assert order(order_state="cancelled", cancel_reason="mmp_trigger")["reason"] == "mmp_trigger"
    assert order(order_state="rejected", reject_reason="post_only")["reason"] == "post_only"


def test_new_fields_are_kept_as_sent() -> None:
    frame = sample("changes").replace(b'"trade_seq"', b'"fee_tier":1.0e-5,"trade_seq"')
    fill = read(frame).updates[0]
    assert isinstance(fill, FillUpdate)
    assert fill.extra == '{"fee_tier":1.0e-5}'
    assert order(note="x")["extra"] == '{"note":"x"}'
    found = only(push("user.orders.any.any.raw", data("orders"), shard=7))
    assert found["extra"] == '{"shard":7}'


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"liquidity": "T", "liquidation": "T"}, "liquidation"),
        ({"liquidity": "M", "liquidation": "MT"}, "liquidation"),
        ({"order_type": "liquidation"}, "liquidation"),
        # The other side was liquidated.
        ({"liquidity": "M", "liquidation": "T"}, "trade"),
    ],
)
def test_whose_side_was_liquidated(fields: dict[str, object], kind: str) -> None:
    assert trade(**fields)["kind"] == kind


def test_a_trade_may_have_no_pnl_and_flags_as_texts() -> None:
    found = trade(profit_loss=None, post_only="true", reduce_only="false", fee=1.2e-05)
    assert "realized_pnl" not in found
    assert found["fee"] == "1.2e-05"


def test_a_combos_trade_is_no_fill_because_its_legs_are() -> None:
    whole = data("changes")["trades"][0]
    leg = whole | {"trade_id": "312345679", "combo_id": "BTC-FS-25DEC26_PERP", "combo_trade_id": 312345678}
    combo = whole | {"instrument_name": "BTC-FS-25DEC26_PERP", "legs": [leg]}
    (fill,) = read(changes(trades=[combo, leg])).updates
    assert isinstance(fill, FillUpdate) and fill.trade_id == "312345679"
    assert read(push("user.combo_trades.any.any.raw", [combo])).updates == ()


def test_a_short_position_is_negative_and_a_closed_one_zero() -> None:
    position = data("changes")["positions"][0]
    assert only(changes(positions=[position | {"size": -40.0, "direction": "sell"}]))["quantity"] == "-40.0"
    flat = position | {"size": 0.0, "direction": "zero", "average_price": 0.0, "estimated_liquidation_price": None}
    assert only(changes(positions=[flat], trades=[], orders=[]))["quantity"] == "0.0"
    # The description calls the list by another name.
    (update,) = read(changes(position=[position])).updates
    assert isinstance(update, PositionUpdate)


def test_the_portfolio_of_a_currency() -> None:
    expected = {
        "is_snapshot": 0,
        "is_partial": 0,
        "currency": "BTC",
        "balance": "2.50010004",
        "available": "2.50007804",
        "locked": "0.0",
        "position_margin": "2.2e-5",
        "equity": "2.50010004",
        "unrealized_pnl": "0.0",
    }
    assert only(sample("portfolio")) == expected
    assert only(push("user.portfolio.btc", data("portfolio")))["currency"] == "BTC"
    assert read(sample("portfolio")).topic == PORTFOLIO


@pytest.mark.parametrize(
    ("channel", "told", "message"),
    [
        ("user.lock", {"locked": True, "currency": "ALL"}, "the account is locked (ALL)"),
        ("user.lock", {"locked": False}, "the account is no longer locked (all currencies)"),
        ("platform_state", {"maintenance": True}, "maintenance begins"),
        ("platform_state", {"maintenance": False}, "maintenance is over"),
        ("platform_state", {"price_index": "btc_usd", "locked": True}, "the market of btc_usd is locked"),
        ("platform_state", {"price_index": "btc_usd", "locked": False}, "the market of btc_usd is no longer locked"),
    ],
)
def test_what_the_exchange_tells_the_user(channel: str, told: object, message: str) -> None:
    decoded = read(push(channel, told))
    assert (decoded.topic, decoded.status, decoded.control) == (channel, CONTROL, Notice(message))


@pytest.mark.parametrize(
    "channel",
    ["user.mmp_trigger.btc_usd", "user.access_log", "instrument.state.any.any", "user.combo_trades.any.any.raw"],
)
def test_channels_that_make_no_row(channel: str) -> None:
    decoded = read(push(channel, {"index_name": "btc_usd"}))
    assert (decoded.status, decoded.updates) == (DECODED, ())


def test_the_tokens_of_a_login_are_secrets() -> None:
    decoded = read(sample("login"))
    assert decoded.control == LoggedIn("1", 31536000)
    assert decoded.secrets == ("1795852800200.1MxAccessToken", "1795852800200.1KpRefreshToken")
    assert decoded.status == CONTROL


@pytest.mark.parametrize(
    ("frame", "control"),
    [
        (b'{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}', Asked()),
        (b'{"params":{"type":"heartbeat"},"method":"heartbeat","jsonrpc":"2.0"}', Acknowledged(())),
        (answer("ok", "set-heartbeat"), Acknowledged((), "set-heartbeat")),
        (answer({"version": "1.2.26"}, "test"), Acknowledged((), "test")),
        (answer([CHANGES, PORTFOLIO], "subscribe"), Acknowledged((CHANGES, PORTFOLIO), "subscribe")),
        (answer([], 3), Acknowledged((), "3")),
        (
            error(13009, "unauthorized", 7, reason="invalid_token"),
            RefusedCommand("7", 13009, "unauthorized: invalid_token"),
        ),
        (
            error(-32602, "Invalid params", "subscribe", reason="must be", param="channels"),
            RefusedCommand("subscribe", -32602, "Invalid params: must be: channels"),
        ),
        (error(-32700, "Parse error"), RefusedCommand(None, -32700, "Parse error")),
    ],
)
def test_control_frames(frame: bytes, control: object) -> None:
    decoded = read(frame)
    assert (decoded.status, decoded.control) == (CONTROL, control)


@pytest.mark.parametrize(("at", "ms"), [("1795852800131020", 1795852800131), ('"1795852800131020"', 1795852800131)])
def test_the_answer_to_our_sign_of_life_has_the_servers_clock(at: str, ms: int) -> None:
    frame = answer({"version": "1.2.26"}, "beat-3").replace(b"1795852800131020", at.encode())
    decoded = read(frame)
    assert (decoded.status, decoded.updates) == (DECODED, (Heartbeat(ms, 0, None),))
    assert read(b'{"id":"beat-4","result":{"version":"1"}}').updates == (Heartbeat(None, 0, None),)


@pytest.mark.parametrize("channel", ["user.orders.any.any.raw", "user.trades.any.any.raw", CHANGES])
def test_a_push_without_data_is_kept_undecoded(channel: str) -> None:
    assert read(b'{"method":"subscription","params":{"channel":"%s"}}' % channel.encode()).status == UNDECODED


def test_updates_come_in_the_order_in_which_they_explain_each_other() -> None:
    assert [type(one) for one in read(sample("changes")).updates] == [FillUpdate, OrderUpdate, PositionUpdate]
