"""One frame → records: every documented field, and exactly the digits that were sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model import (
    CONTROL,
    DECODED,
    AccountUpdate,
    Acknowledged,
    Decoded,
    FillUpdate,
    Heartbeat,
    Hello,
    Notice,
    OrderUpdate,
    PositionUpdate,
    RefusedCommand,
    Transaction,
    Update,
)
from recorder.venues import fields
from recorder.venues.reading import read_frame
from tests.samples import HYPERLIQUID, sample, sample_lines, sample_names

PUSHES = sample_lines("hyperliquid/pushes.jsonl")
ME = "0x5e11aa00000000000000000000000000000000a1"


def pushed(channel: str, data: object) -> bytes:
    return json.dumps({"channel": channel, "data": data}, separators=(",", ":")).encode()


def updates_of(frame: bytes) -> tuple[Any, ...]:
    decoded = read_frame(HYPERLIQUID, frame)
    assert decoded.error is None
    return decoded.updates


def example(name: str) -> tuple[Any, ...]:
    return updates_of(sample(name, "hyperliquid"))


def frames_of(channel: str) -> list[bytes]:
    return [frame for frame in PUSHES if json.loads(frame)["channel"] == channel]


def of_channel(channel: str, nth: int = 0) -> tuple[Any, ...]:
    """The updates of the nth sample frame of a channel."""
    return updates_of(frames_of(channel)[nth])


def columns(update: Update, *names: str) -> tuple[object, ...]:
    return tuple(getattr(update, name) for name in names)


def test_the_order_of_the_page() -> None:
    assert example("orderUpdates") == (
        OrderUpdate(
            event_ms=1795800000123,
            is_snapshot=0,
            is_partial=0,
            market=None,
            symbol="ETH",
            order_id="577001234567",
            client_order_id="0x00000000000000000000000000c0ffee",
            side="sell",
            position_side=None,
            order_type=None,
            time_in_force=None,
            post_only=None,
            reduce_only=None,
            price="3120.4",
            trigger_price=None,
            quantity="0.35",
            quote_quantity=None,
            filled_quantity="0.00",
            average_price=None,
            status="new",
            venue_status="open",
            reason=None,
            fee=None,
            fee_currency=None,
            created_ms=1795800000123,
            updated_ms=1795800000123,
            extra=None,
        ),
    )


def test_the_fill_of_the_page() -> None:
    assert example("userFills") == (
        FillUpdate(
            event_ms=1795800004555,
            is_snapshot=0,
            trade_id="801234567890123",
            order_id="577001234567",
            client_order_id="0x00000000000000000000000000c0ffee",
            market=None,
            symbol="ETH",
            side="sell",
            position_side=None,
            price="3120.4",
            quantity="0.2",
            fee="0.093612",
            fee_currency="USDC",
            liquidity="maker",
            realized_pnl="8.16",
            kind="trade",
            executed_ms=1795800004555,
            extra=None,
        ),
    )


def test_the_position_and_the_balance_of_the_page() -> None:
    position, balance = example("clearinghouseState")
    assert position == PositionUpdate(
        event_ms=1795800005001,
        is_snapshot=1,
        is_partial=0,
        market=None,
        symbol="ETH",
        position_side=None,
        position_id=None,
        margin_mode="cross",
        quantity="1.05",
        entry_price="3079.6",
        mark_price=None,
        liquidation_price=None,
        leverage="10",
        margin="327.642",
        unrealized_pnl="42.84",
        realized_pnl=None,
        updated_ms=1795800005001,
        extra=None,
    )
    assert balance == AccountUpdate(
        event_ms=1795800005001,
        is_snapshot=1,
        is_partial=0,
        wallet="",
        currency="USDC",
        balance="4978.273402",
        available="4693.471402",
        locked=None,
        position_margin="327.642",
        equity="5021.113402",
        unrealized_pnl="42.84",
        updated_ms=1795800005001,
        extra=None,
    )


def test_the_spot_balances_of_the_page() -> None:
    names = ("event_ms", "is_snapshot", "wallet", "currency", "balance", "available", "locked", "equity", "updated_ms")
    assert [columns(one, *names) for one in example("spotState")] == [
        (None, 1, "spot", "USDC", "1203.44120001", "1103.44120001", "100.0", None, None),
        (None, 1, "spot", "HYPE", "12.5", "12.5", "0.0", None, None),
    ]


def test_the_funding_and_the_ledger_row_of_the_page() -> None:
    (funding,) = example("userFundings")
    assert funding == Transaction(
        event_ms=1795802400041,
        is_snapshot=0,
        transaction_id=None,
        type="funding",
        venue_type="funding",
        wallet="",
        currency="USDC",
        amount="-0.041221",
        fee=None,
        balance_after=None,
        market=None,
        symbol="ETH",
        order_id=None,
        trade_id=None,
        occurred_ms=1795802400041,
        extra=None,
    )
    (withdrawal,) = example("userNonFundingLedgerUpdates")
    assert withdrawal == funding._replace(
        event_ms=1795803000777,
        transaction_id="0x9c…",
        type="withdrawal",
        venue_type="withdraw",
        amount="-250.0",
        fee="1.0",
        symbol=None,
        occurred_ms=1795803000777,
    )


@pytest.mark.parametrize("frame", [*PUSHES, *(sample(name, "hyperliquid") for name in sample_names("hyperliquid"))])
def test_every_documented_frame_is_decoded_and_none_of_its_fields_is_unknown(frame: bytes) -> None:
    decoded = read_frame(HYPERLIQUID, frame)
    assert decoded.error is None
    assert decoded.topic
    assert (decoded.status == CONTROL) == (decoded.control is not None)
    extras = {update._asdict().get("extra") for update in decoded.updates}
    # One row of the ledger has a type that nobody documents.
    assert extras - {'{"delta.amount":"9.0","delta.moon":"full"}'} <= {None}


def test_statuses() -> None:
    names = ("symbol", "status", "venue_status", "quantity", "filled_quantity", "reduce_only")
    first, second = of_channel("orderUpdates"), of_channel("orderUpdates", 1)
    assert [columns(one, *names) for one in (*first, *second)] == [
        ("ETH", "new", "open", "0.35", "0.00", None),
        ("ETH", "partially_filled", "open", "0.35", "0.20", None),
        ("ETH", "filled", "filled", "0.35", "0.35", 1),
        ("ETH", "canceled", "marginCanceled", "0.35", "0.25", None),
        ("ETH", "rejected", "iocCancelRejected", None, None, None),
        ("ETH", "new", "triggered", "0.35", "0.00", None),
        ("ETH", "canceled", "scheduledCancel", "0.35", "0.00", None),
        # A new word: kept, and not taken for the end of the order.
        ("ETH", None, "lunarHold", "0.35", None, None),
    ]
    assert second[1].client_order_id is second[2].client_order_id is None


@pytest.mark.parametrize(
    "word",
    sorted(
        fields.names(
            "marginCanceled vaultWithdrawalCanceled openInterestCapCanceled selfTradeCanceled",
            "reduceOnlyCanceled siblingFilledCanceled delistedCanceled liquidatedCanceled",
            "outcomeSettledCanceled scheduledCancel internalCancel canceled",
        )
    ),
)
def test_every_documented_cancellation(word: str) -> None:
    order = {"coin": "ETH", "oid": 1}
    (update,) = updates_of(pushed("orderUpdates", [{"order": order, "status": word, "statusTimestamp": 2}]))
    assert columns(update, "status", "venue_status") == ("canceled", word)


@pytest.mark.parametrize(
    "word",
    sorted(
        fields.names(
            "rejected tickRejected minTradeNtlRejected perpMarginRejected reduceOnlyRejected badAloPxRejected",
            "iocCancelRejected badTriggerPxRejected marketOrderNoLiquidityRejected",
            "positionIncreaseAtOpenInterestCapRejected positionFlipAtOpenInterestCapRejected",
            "tooAggressiveAtOpenInterestCapRejected openInterestIncreaseRejected",
            "insufficientSpotBalanceRejected oracleRejected perpMaxPositionRejected tooManyOpenOrdersRejected",
        )
    ),
)
def test_every_documented_rejection(word: str) -> None:
    order = {"coin": "ETH", "oid": 1, "sz": "0.1", "origSz": "0.3"}
    (update,) = updates_of(pushed("orderUpdates", [{"order": order, "status": word, "statusTimestamp": 2}]))
    assert columns(update, "status", "venue_status", "filled_quantity") == ("rejected", word, None)


def test_open_orders() -> None:
    names = ("order_id", "order_type", "time_in_force", "post_only", "reduce_only", "trigger_price", "status")
    orders = of_channel("openOrders")
    # The stop that waits for the first order is listed on its own, too.
    assert [columns(one, *names) for one in orders] == [
        ("577001234567", "limit", "gtc", 0, 0, None, "new"),
        ("577001234570", "market", None, None, 1, "2950.0", "pending"),
        ("577001234574", "limit", "gtc", 1, 0, None, "partially_filled"),
    ]
    assert {(one.is_snapshot, one.event_ms, one.venue_status) for one in orders} == {(1, None, None)}
    assert of_channel("openOrders", 1) == ()
    assert read_frame(HYPERLIQUID, frames_of("openOrders")[1]).topic == "openOrders:xyz"


def test_what_other_streams_say_is_not_counted_again() -> None:
    frames = frames_of("user")
    assert [set(json.loads(frame)["data"]) for frame in frames] == [
        *({"fills"}, {"funding"}, {"liquidation"}, {"nonUserCancel"}, {"twapSliceFills"}, {"twapHistory"}, set())
    ]
    for frame in (*frames, pushed("user", {"fills": [], "nonUserCancel": [{"coin": "ETH", "oid": 1}]})):
        assert read_frame(HYPERLIQUID, frame) == Decoded("userEvents", DECODED, None, (), None)


def test_fills() -> None:
    names = ("symbol", "trade_id", "side", "liquidity", "fee", "fee_currency", "kind", "is_snapshot")
    fills = of_channel("userFills")
    assert [columns(one, *names) for one in fills] == [
        ("ETH", "801234567890123", "sell", "maker", "0.093612", "USDC", "trade", 1),
        # A rebate; the builder's fee is inside it.
        ("ETH", "801234567890124", "buy", "taker", "-0.0312", "USDC", "trade", 1),
        ("ETH", "801234567890125", "sell", "taker", "0.093612", "USDC", "liquidation", 1),
        # The other side of somebody's liquidation.
        ("ETH", "801234567890126", "buy", "maker", "0.093612", "USDC", "trade", 1),
        ("xyz:TSLA", "801234567890127", "buy", "maker", "0.0", "USDH", "adl", 1),
        ("#250", "801234567890128", "sell", "taker", "0.0", "USDC", "settlement", 1),
        ("@107", "801234567890129", "buy", "maker", "0.00875", "HYPE", "trade", 1),
        # Without an id: that of its contents.
        ("PURR/USDC", "0-8d10d5d078404d1b53f81a57", "sell", "maker", "0.0", None, "trade", 1),
        ("ETH", "801234567890130", "sell", "maker", "0.093612", "USDC", "trade", 1),
    ]
    assert {one.is_snapshot for one in of_channel("userFills", 1)} == {0}
    (sliced,) = of_channel("userTwapSliceFills")
    assert columns(sliced, "trade_id", "quantity", "is_snapshot") == ("801234567890131", "0.2", 1)


@pytest.mark.parametrize(
    ("user", "direction", "kind"),
    [
        (ME.upper().replace("0X", "0x"), "Close Long", "liquidation"),
        (None, "Close Long", "trade"),
        (None, "Liquidated Isolated Short", "liquidation"),
        (None, None, None),
    ],
)
def test_whose_liquidation_it_is(user: str | None, direction: str | None, kind: str | None) -> None:
    fill = {"tid": 1, "dir": direction, "liquidation": {"liquidatedUser": ME}}
    (update,) = updates_of(pushed("userFills", {"user": user, "fills": [fill]}))
    assert update.kind == kind


def test_fundings_of_a_builder_s_exchange() -> None:
    names = ("symbol", "wallet", "currency", "amount", "is_snapshot")
    # Without the sum of a day, whose payments may have been pushed one by one.
    assert [columns(one, *names) for one in of_channel("userFundings")] == [("ETH", "", "USDC", "-0.041221", 1)]
    rows = [{"time": 1, "coin": "xyz:TSLA", "usdc": "0.5", "nSamples": hours} for hours in (None, 1, 2)]
    new = updates_of(pushed("userFundings", {"user": ME, "fundings": rows}))
    # Its collateral is not in the frame.
    assert [columns(one, *names) for one in new] == [("xyz:TSLA", "xyz", "USD", "0.5", 0)] * 3


def test_ledger_rows() -> None:
    names = ("venue_type", "type", "wallet", "currency", "amount", "fee")
    assert [columns(one, *names) for one in of_channel("userNonFundingLedgerUpdates")] == [
        ("deposit", "deposit", "", "USDC", "5000.0", None),
        ("withdraw", "withdrawal", "", "USDC", "-250.0", "1.0"),
        ("accountClassTransfer", "transfer", "spot", "USDC", "-100.0", None),
        ("accountClassTransfer", "transfer", "", "USDC", "100.0", None),
        ("accountClassTransfer", "transfer", "spot", "USDC", "40.5", None),
        ("accountClassTransfer", "transfer", "", "USDC", "-40.5", None),
        ("internalTransfer", "transfer", "", "USDC", "-10.0", "1.0"),
        ("internalTransfer", "transfer", "", "USDC", "11.0", None),
        ("subAccountTransfer", "transfer", "", "USDC", "-12.0", None),
        ("spotTransfer", "transfer", "spot", "HYPE", "-2.5", "0.0"),
        # Between two wallets of the account, to one whose balance is in USD.
        ("send", "transfer", "spot", "USDC", "-77.0", "0.0"),
        ("send", "transfer", "xyz", "USD", "77.0", None),
        ("send", "transfer", "", "USDC", "3.0", None),
        ("vaultCreate", "transfer", "", "USDC", "-100.0", "10.0"),
        ("vaultDeposit", "transfer", "", "USDC", "-50.0", None),
        ("vaultDistribution", "transfer", "", "USDC", "5.0", None),
        ("vaultWithdraw", "transfer", "", "USDC", "58.5", None),
        ("vaultLeaderCommission", "transfer", "", "USDC", "1.25", None),
        # The money moves in the fills.
        ("liquidation", "liquidation", None, None, None, None),
        ("rewardsClaim", "rebate", "spot", "USDC", "0.75", None),
        ("spotGenesis", "other", "spot", "PURR", "1000.0", None),
        ("deployGasAuction", "fee", "spot", "HYPE", "-500.0", None),
        ("cStakingTransfer", "transfer", "spot", "HYPE", "-8.0", None),
        ("cStakingTransfer", "transfer", "spot", "HYPE", "4.0", None),
        # What these do to a balance is not documented.
        ("borrowLend", "other", None, "USDC", None, None),
        ("activateDexAbstraction", "transfer", "xyz", "USDC", None, None),
        ("tideTransfer", "other", None, "USDC", None, None),
    ]
    ids = {one.transaction_id for one in of_channel("userNonFundingLedgerUpdates")}
    assert None in ids  # of the hash that is all zeros
    assert len(ids) == 24


@pytest.mark.parametrize("kind", ["send", "internalTransfer", "vaultDeposit", "vaultWithdraw"])
def test_without_the_account_s_address_a_transfer_has_no_sign(kind: str) -> None:
    delta = {"type": kind, "usdc": "1", "amount": "1", "netWithdrawnUsd": "1", "user": ME, "destination": ME}
    frame = {"nonFundingLedgerUpdates": [{"time": 1, "hash": "0x1", "delta": delta}]}
    (row,) = updates_of(pushed("userNonFundingLedgerUpdates", frame))
    assert row.amount is None


def test_a_vault_s_own_deposits_have_no_sign() -> None:
    frame = {"user": ME, "nonFundingLedgerUpdates": [{"time": 1, "delta": {"type": "vaultDeposit", "vault": ME}}]}
    (row,) = updates_of(pushed("userNonFundingLedgerUpdates", frame))
    assert columns(row, "amount", "transaction_id") == (None, None)


def test_states_of_several_exchanges() -> None:
    names = ("wallet", "currency", "balance", "equity", "unrealized_pnl", "available", "position_margin")
    rows = of_channel("allDexsClearinghouseState")
    assert [columns(one, *names) for one in rows if isinstance(one, AccountUpdate)] == [
        ("", "USDC", "4978.273402", "5021.113402", "42.84", "4693.471402", "327.642"),
        ("xyz", "USD", "83.560638", "83.307638", "-0.253", "75.781884", "7.525754"),
    ]
    held = [one for one in rows if isinstance(one, PositionUpdate)]
    assert [columns(one, "symbol", "quantity", "margin_mode", "leverage", "liquidation_price") for one in held] == [
        ("ETH", "1.05", "cross", "10", None),
        ("xyz:TSLA", "-0.3", "isolated", "10", "270.11"),
    ]
    assert of_channel("clearinghouseState") == rows[2:]
    (flat,) = of_channel("clearinghouseState", 1)
    assert columns(flat, *names) == ("", "USDC", "0.0", "0.0", "0", "0.0", "0.0")


def test_a_state_without_a_summary_has_no_balance() -> None:
    state: dict[str, Any] = {"assetPositions": [{"position": {"coin": "ETH", "szi": "1"}}], "time": 5}
    (position,) = updates_of(pushed("clearinghouseState", {"dex": "", "clearinghouseState": state}))
    assert columns(position, "symbol", "quantity", "unrealized_pnl") == ("ETH", "1", None)
    state["marginSummary"] = {"accountValue": "10"}
    balance = updates_of(pushed("clearinghouseState", {"dex": "", "clearinghouseState": state}))[-1]
    assert columns(balance, "equity", "balance", "unrealized_pnl") == ("10", None, None)


def test_the_spot_state_with_everything() -> None:
    names = ("currency", "balance", "available", "locked")
    assert [columns(one, *names) for one in of_channel("spotState")] == [
        ("USDC", "1203.44120001", "1103.44120001", "100.0"),
        ("HYPE", "12.5", "12.5", "0.0"),
        ("+250", "10.0", "10.0", "0.0"),
    ]


def test_historical_orders_come_oldest_first() -> None:
    names = ("order_id", "status", "time_in_force", "post_only", "updated_ms", "is_snapshot")
    assert [columns(one, *names) for one in of_channel("userHistoricalOrders")] == [
        ("577001234566", "rejected", "gtc", 1, 1795799999000, 1),
        ("577001234567", "new", "gtc", 0, 1795800000123, 1),
        ("577001234567", "filled", "ioc", 0, 1795800004555, 1),
    ]


SUBSCRIPTION = f'{{"type":"orderUpdates","user":"{ME}"}}'


@pytest.mark.parametrize(
    ("frame", "control"),
    [
        (b"Websocket connection established.", Hello(None)),
        (PUSHES[0], Acknowledged(("userFills",))),
        (PUSHES[1], Acknowledged(("openOrders:xyz",))),
        (PUSHES[2], Notice("unsubscribe orderUpdates")),
        (pushed("error", "The sea is high."), Notice("The sea is high.")),
        (pushed("error", f"Already subscribed: {SUBSCRIPTION}"), Acknowledged(("orderUpdates",))),
        (pushed("error", "Already subscribed: {"), Notice("Already subscribed: {")),
        (
            pushed("error", f"Already unsubscribed: {SUBSCRIPTION}"),
            Notice(f"Already unsubscribed: {SUBSCRIPTION}"),
        ),
        (
            pushed("error", f"Invalid subscription {SUBSCRIPTION}"),
            RefusedCommand(None, None, f"Invalid subscription {SUBSCRIPTION}", ("orderUpdates",)),
        ),
        (
            pushed("error", f'Error parsing JSON into valid websocket request: {{"subscription":{SUBSCRIPTION}}}'),
            RefusedCommand(
                None,
                None,
                f'Error parsing JSON into valid websocket request: {{"subscription":{SUBSCRIPTION}}}',
                ("orderUpdates",),
            ),
        ),
        (
            pushed("error", "Error parsing JSON into valid websocket request: \x1b["),
            RefusedCommand(None, None, "Error parsing JSON into valid websocket request:  ["),
        ),
        (
            pushed("error", "Cannot track more than 15 total users."),
            RefusedCommand(None, None, "Cannot track more than 15 total users."),
        ),
        (
            pushed("error", "too many pending post requests id=1234"),
            RefusedCommand("1234", None, "too many pending post requests id=1234"),
        ),
        (PUSHES[12], RefusedCommand("8", 422, "422 Failed to deserialize the JSON body into the target type")),
        (pushed("post", {"id": 9, "response": {"type": "action"}}), Notice("answer 9 of type action")),
    ],
)
def test_controls(frame: bytes, control: object) -> None:
    decoded = read_frame(HYPERLIQUID, frame)
    assert (decoded.status, decoded.control, decoded.updates) == (CONTROL, control, ())


def test_a_pong_is_the_answer_to_a_heartbeat() -> None:
    expected = Decoded("pong", DECODED, None, (Heartbeat(None, 0, None),), None)
    assert read_frame(HYPERLIQUID, b'{"channel":"pong"}') == expected


def test_an_answer_over_the_socket_is_decoded_like_any_other() -> None:
    assert read_frame(HYPERLIQUID, PUSHES[11]).topic == "post exchangeStatus"
    payload = {"type": "openOrders", "data": [{"coin": "ETH", "oid": 1}]}
    frame = pushed("post", {"id": 7, "response": {"type": "info", "payload": payload}})
    assert [one.order_id for one in updates_of(frame)] == ["1"]


def test_unknown_fields_are_kept_as_sent() -> None:
    frame = (
        b'{"channel":"userFills","new":[1],"data":{"user":"0x1","when":1.50,'
        b'"fills":[{"tid":1,"moon":12345678901234567890.1},{"tid":2}]}}'
    )
    one, two = updates_of(frame)
    assert one.extra == '{"new":[1],"data.when":1.50,"moon":12345678901234567890.1}'
    assert two.extra == '{"new":[1],"data.when":1.50}'
    state = (
        b'{"assetPositions":[{"kind":1,"position":{"coin":"E","leverage":{"x":null}}}],"withdrawable":"1","z":{"a":2}}'
    )
    position, balance = updates_of(b'{"channel":"clearinghouseState","data":{"clearinghouseState":%s}}' % state)
    assert (position.extra, balance.extra) == ('{"kind":1,"leverage.x":null}', '{"z":{"a":2}}')


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?", fullmatch=True)


@given(NUMBERS, NUMBERS, NUMBERS, st.booleans())
def test_digits_survive(price: str, size: str, fee: str, quoted: bool) -> None:
    px, sz, paid = (f'"{one}"' if quoted else one for one in (price, size, fee))
    frame = f'{{"channel":"userFills","data":{{"fills":[{{"px":{px},"sz":{sz},"fee":{paid},"closedPnl":{px}}}]}}}}'
    (fill,) = updates_of(frame.encode())
    # JSON itself does not tell -0 from 0, where it is a number.
    expected = tuple("0" if one == "-0" and not quoted else one for one in (price, size, fee, price))
    assert columns(fill, "price", "quantity", "fee", "realized_pnl") == expected


@given(st.integers(0, 2**64 - 1))
def test_ids_of_64_bits_survive(number: int) -> None:
    (fill,) = updates_of(pushed("userFills", {"fills": [{"oid": number, "tid": number + 1}]}))
    assert columns(fill, "order_id", "trade_id") == (str(number), str(number + 1))
