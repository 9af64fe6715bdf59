"""Derivatives on the Unified WebSocket: what its pushes say, the course of a connection, what is asked about them."""

import json
from decimal import Decimal
from typing import Any

import pytest

from recorder import model
from recorder.errors import SessionOver
from recorder.live.settings import Account
from recorder.model import (
    CONTROL,
    DECODED,
    NEW,
    PENDING,
    UNDECODED,
    AccountUpdate,
    Acknowledged,
    FillUpdate,
    Listing,
    OrderUpdate,
    PositionUpdate,
    RefusedCommand,
    SequenceNumber,
)
from recorder.venues.accounting import Execution
from recorder.venues.kraken import Kraken, answers, names, portal
from recorder.venues.kraken import questions as kraken
from recorder.venues.kraken.comparable import COMPARABLE
from recorder.venues.kraken.names import DERIVATIVES
from recorder.venues.kraken.portal import DERIVATIVE_TOPICS, TOPICS, KrakenSession
from recorder.venues.rest import Completed, Credentials, Forgotten, Known, Login, Purpose, Question, Token, Traded
from tests.steps import steps, targets, unfinished
from tests.unit.kraken.frames import answer, asked, columns, event, push, read

ORDER = "5b0c1f6e-2d3a-4f0c-9a51-7f1e5a0c9d21"
FILL = "0d9a3f41-91c0-4a3b-8a54-2b6c7d8e9f10"
AT, AT_MS = "2026-11-30T02:53:25.118204Z", 1_796_007_205_118
NOW_MS = 1_796_000_000_000
WHO = Credentials(key="key", secret="c2VjcmV0")
TOKEN = Token("1Dwc4lzSwNWOAwkMdqhssNNFhs1ed606d1WcF3XfEMw", 900)

PLACED = {
    "order_id": ORDER,
    "exec_type": "new",
    "order_status": "new",
    "symbol": "PF_XBTUSD",
    "side": "sell",
    "order_type": "limit",
    "order_qty": 0.02,
    "limit_price": 84210.0,
    "timestamp": AT,
}
TRADED = {
    "order_id": ORDER,
    "exec_id": FILL,
    "exec_type": "trade",
    "order_status": "partially_filled",
    "symbol": "PF_XBTUSD",
    "side": "sell",
    "last_qty": 0.007,
    "last_price": 84210.5,
    "liquidity_ind": "m",
    "fees": [{"asset": "USD", "qty": 0.117894}],
    "timestamp": AT,
}


def positions(*rows: object, kind: str = "update", **more: object) -> bytes:
    """A push of positions."""
    data = {"futures": rows, "options": [], "time": AT, **more}
    return json.dumps({"channel": "positions", "type": kind, "data": data, "sequence": 3}).encode()


def test_an_order_is_of_the_market_of_derivatives_and_begins_with_new() -> None:
    decoded = read(push("executions", PLACED))
    (order,) = decoded.updates
    assert isinstance(order, OrderUpdate)
    assert (decoded.topic, decoded.status, decoded.sequence) == ("derivatives-executions", DECODED, SequenceNumber(2))
    assert columns(order) == {
        "event_ms": AT_MS,
        "is_snapshot": 0,
        "is_partial": 1,
        "market": "derivatives",
        "symbol": "PF_XBTUSD",
        "order_id": ORDER,
        "side": "sell",
        "order_type": "limit",
        "price": "84210.0",
        "quantity": "0.02",
        "status": NEW,
        "venue_status": "new",
        "created_ms": AT_MS,
        "updated_ms": AT_MS,
    }


def test_a_trade_is_a_fill_of_that_market() -> None:
    order, fill = read(push("executions", TRADED)).updates
    assert isinstance(order, OrderUpdate) and isinstance(fill, FillUpdate)
    assert (order.market, order.status, order.created_ms) == ("derivatives", "partially_filled", None)
    assert (fill.trade_id, fill.order_id, fill.market, fill.symbol) == (FILL, ORDER, "derivatives", "PF_XBTUSD")
    assert (fill.price, fill.quantity, fill.fee, fill.fee_currency) == ("84210.5", "0.007", "0.117894", "USD")
    assert fill.realized_pnl is None


def test_spot_is_as_before() -> None:
    decoded = read(push("executions", event("executions-pending_new")))
    (order,) = decoded.updates
    assert isinstance(order, OrderUpdate)
    assert (decoded.topic, order.market) == ("executions", None)


@pytest.mark.parametrize(
    ("row", "more", "topic"),
    [
        # Of an event without a symbol, the id says it; ids of spot are no UUIDs.
        ({"order_id": ORDER, "exec_type": "canceled", "order_status": "canceled"}, {}, "derivatives-executions"),
        ({"order_id": "OAB3QX-7KQ2M-ZZ4T9P", "exec_type": "canceled"}, {}, "executions"),
        ({"order_id": "OAB3QX-7KQ2M-ZZ4T9P", "symbol": "BTC/USD", "exec_type": "new"}, {}, "executions"),
        # Or whatever the frame may say one day.
        ({"order_id": "17", "exec_type": "canceled"}, {"asset_class": "derivatives"}, "derivatives-executions"),
        ({"order_id": "17", "exec_type": "canceled"}, {}, "executions"),
    ],
)
def test_what_a_frame_tells_says_whose_it_is(row: dict[str, Any], more: dict[str, Any], topic: str) -> None:
    decoded = read(push("executions", row, **more))
    assert (decoded.topic, decoded.status, len(decoded.updates)) == (topic, DECODED, 1)
    assert getattr(decoded.updates[0], "extra", None) is None


def test_a_trigger_waits_there_too() -> None:
    (order,) = read(push("executions", PLACED | {"order_type": "stop-loss", "stop_price": 83000})).updates
    assert isinstance(order, OrderUpdate)
    assert (order.status, order.trigger_price) == (PENDING, "83000")


def test_a_snapshot_of_positions_is_a_complete_list() -> None:
    decoded = read(positions({"symbol": "PF_XBTUSD", "size": -0.04, "entry_price": 84210.0}, kind="snapshot"))
    assert (decoded.topic, decoded.status, decoded.sequence) == ("positions", DECODED, SequenceNumber(3, True))
    assert decoded.listings == (Listing(None, 1, model.POSITIONS, "positions"),)
    (position,) = decoded.updates
    assert columns(position) == {
        "event_ms": AT_MS,
        "is_snapshot": 1,
        "is_partial": 0,
        "market": "derivatives",
        "symbol": "PF_XBTUSD",
        "quantity": "-0.04",
        "entry_price": "84210.0",
        "updated_ms": AT_MS,
    }
    assert any(one.has("positions") for one in Kraken.lists)
    assert read(positions(kind="snapshot")).listings == decoded.listings, "nothing is open"


def test_a_change_of_positions_lists_nothing_and_a_closed_one_is_flat() -> None:
    decoded = read(positions({"symbol": "PF_XBTUSD", "size": 0, "entry_price": 0}))
    (position,) = decoded.updates
    assert isinstance(position, PositionUpdate)
    assert (position.quantity, position.entry_price, decoded.listings) == ("0", None, ())


@pytest.mark.parametrize(
    ("row", "quantity"),
    [
        ({"size": 0.04, "side": "short"}, "-0.04"),
        ({"size": -0.04, "side": "short"}, "-0.04"),
        ({"size": 0.04, "side": "long"}, "0.04"),
    ],
)
def test_a_size_has_the_sign_of_the_side_if_there_is_one(row: dict[str, Any], quantity: str) -> None:
    (position,) = read(positions({"instrument": "pf_xbtusd", **row})).updates
    assert isinstance(position, PositionUpdate)
    assert (position.symbol, position.quantity) == ("PF_XBTUSD", quantity)


def test_a_list_with_a_position_without_a_name_is_not_complete() -> None:
    """It would close the others, of which it may be one."""
    decoded = read(positions({"size": 1}, {"symbol": "PF_ETHUSD", "size": 2}, kind="snapshot"))
    assert (decoded.status, len(decoded.updates), decoded.listings) == (DECODED, 1, ())


def test_fields_that_nobody_documented_are_kept() -> None:
    (position,) = read(positions({"symbol": "PF_XBTUSD", "size": 1, "moon": "full"}, tide=1)).updates
    assert json.loads(getattr(position, "extra", "")) == {"tide": 1, "moon": "full"}


@pytest.mark.parametrize("name", ["error", "reason"])
def test_a_snapshot_that_is_too_large_lists_nothing(name: str) -> None:
    told = {"channel": "positions", "type": "snapshot", "data": {"futures": [], "options": []}, "sequence": 1}
    decoded = read(json.dumps({**told, name: "snapshot_too_large"}).encode())
    assert (decoded.status, decoded.updates, decoded.listings) == (CONTROL, (), ())
    assert decoded.control == RefusedCommand(None, None, "snapshot_too_large", ("positions",))


@pytest.mark.parametrize(
    "frame",
    [
        {"channel": "margin", "type": "multi_collateral", "data": {"margin_equity": 4999.4}, "sequence": 4},
        {"channel": "margin", "type": "single_collateral", "data": []},
        {"channel": "ledgers", "type": "update", "data": [{"asset": "PF_XBTUSD", "amount": 1}], "sequence": 9},
    ],
)
def test_margins_and_the_pushed_ledger_are_kept_without_rows(frame: dict[str, Any]) -> None:
    decoded = read(json.dumps(frame).encode())
    assert (decoded.topic, decoded.status, decoded.error, decoded.rows) == (frame["channel"], DECODED, None, ())
    assert (decoded.sequence is None) == ("sequence" not in frame)


def test_positions_of_another_form_are_undecoded_and_kept() -> None:
    assert read(b'{"channel":"positions","type":"update","data":[]}').status == UNDECODED


def test_a_wallet_of_derivatives_is_none_of_spot() -> None:
    wallets = [{"type": "derivatives", "id": "flex", "balance": 5}, {"type": "derivatives", "balance": 6}]
    decoded = read(push("balances", {"asset": "USD", "balance": 11, "wallets": wallets}, kind="snapshot"))
    found = [(one.wallet, one.balance) for one in decoded.updates if isinstance(one, AccountUpdate)]
    assert (decoded.topic, found) == ("derivatives-balances", [("derivatives/flex", "5"), ("derivatives", "6")])
    row = event("balances-update") | {"wallet_type": "earn", "wallet_id": "flex"}
    (update,) = read(push("balances", row)).updates
    assert isinstance(update, AccountUpdate) and update.wallet == "flex"


def test_the_size_of_a_position_is_no_money() -> None:
    row = event("balances-update") | {"asset": "PF_XBTUSD"}
    decoded = read(push("balances", row))
    assert (decoded.topic, decoded.status, decoded.updates) == ("derivatives-balances", DECODED, ())
    listed = {"refid": "T", "time": 1.5, "type": "trade", "asset": "pf_xbtusd", "amount": "1", "fee": "0"}
    assert asked(answers.LEDGER, answer({"ledger": {"LA": listed}, "count": 1})).updates == ()
    listed |= {"asset": "ZUSD", "aclass": "derivatives"}
    (entry,) = asked(answers.LEDGER, answer({"ledger": {"LA": listed}, "count": 1})).updates
    assert (getattr(entry, "wallet", None), getattr(entry, "currency", None)) == ("derivatives", "USD")


@pytest.mark.parametrize(
    ("symbol", "named"),
    [
        ("PF_XBTUSD", ("linear", "BTC", "USD")),
        ("pf_ethusd", ("linear", "ETH", "USD")),
        ("PI_XBTUSD", ("inverse", "BTC", "USD")),
        ("FI_XBTUSD_270326", ("inverse", "BTC", "USD")),
        ("OF_ETHUSD_240101_1000_C", ("option", "ETH", "USD")),
        ("PF_MOON", None),
        ("PF_USD", None),
        ("BTC/USD", None),
    ],
)
def test_a_contract_is_read_from_its_name(symbol: str, named: tuple[str, str, str] | None) -> None:
    assert names.contract(symbol) == named
    if symbol != "BTC/USD":
        assert (names.is_contract(symbol), names.symbol(symbol)) == (True, symbol.upper())


@pytest.mark.parametrize("name", ["BTC/USD", "XXBTZUSD", "PFUSD", "", None, "PF_", "XPF_XBTUSD"])
def test_pairs_are_no_contracts(name: str | None) -> None:
    assert not names.is_contract(name) and names.market(name) is None


def test_what_a_contract_means_and_that_no_books_are_kept_of_it() -> None:
    accounting = Kraken.accounting
    assert accounting.instrument("PF_XBTUSD", DERIVATIVES)[2:9] == (
        *("derivatives", "PF_XBTUSD", "linear", "BTC", "USD", "USD"),
        None,
    )
    inverse = accounting.instrument("PI_XBTUSD", DERIVATIVES)
    assert (inverse.kind, inverse.settle, inverse.contract_size) == ("inverse", "BTC", "1")
    assert accounting.ledger is not None
    price, quantity, fee = Decimal(84210), Decimal(1), Decimal("0.1")
    fill = Execution(DERIVATIVES, "PF_XBTUSD", "buy", price, quantity, fee, "USD", None)
    assert accounting.ledger.moves(fill, accounting.instrument("PF_XBTUSD", DERIVATIVES)) is None
    kept = {wallet: accounting.ledger.keeps(wallet) for wallet in ("main", "flex", "B", "derivatives", "derivatives/x")}
    assert [wallet for wallet, is_kept in kept.items() if is_kept] == ["main", "flex", "B"]


def login(environment: str, stream_url: str = "wss://ws-auth.kraken.com") -> Login:
    return Login("https://api.kraken.com", stream_url, WHO, (), environment)


def test_derivatives_are_a_second_socket_on_request() -> None:
    assert [one.url for one in Kraken().streams(login(""))] == ["wss://ws-auth.kraken.com/v2"]
    spot, theirs = Kraken().streams(login("derivatives"))
    assert (spot.url, spot.name, spot.topics) == ("wss://ws-auth.kraken.com/v2", "", ("executions", "balances"))
    assert (theirs.url, theirs.name) == ("wss://uws.kraken.com/v2/private", "derivatives")
    assert theirs.topics == (*("derivatives-executions", "positions", "margin", "derivatives-balances", "ledgers"),)
    # No topic of one begins with one of the other: a gap of one is not reconciled by answers about the other.
    assert not [one for one in theirs.topics if one.startswith(tuple(TOPICS))]
    _, simulated = Kraken().streams(login("derivatives", "ws://127.0.0.1:9010"))
    assert simulated.url == "ws://127.0.0.1:9010/v2/private"


def test_a_topic_that_is_excluded_is_not_subscribed_to() -> None:
    account = Account(
        name="main",
        venue=Kraken(),
        url="https://api.kraken.com",
        credentials=WHO,
        symbols=(),
        environment="derivatives",
        exclude_topics=("margin", "balances"),
    )
    sessions = [Kraken().push_session(one, account.login, TOKEN) for one in account.streams]
    sent = [json.loads(command.sent) for one in sessions for command in one.opening(NOW_MS)]
    assert [one["params"]["channel"] for one in sent] == [
        *("executions", "executions", "positions", "balances", "ledgers"),
    ]


def session() -> KrakenSession:
    return KrakenSession(TOKEN, DERIVATIVE_TOPICS)


def test_each_channel_is_subscribed_to_as_its_page_says() -> None:
    commands = session().opening(NOW_MS)
    sent = [json.loads(command.sent) for command in commands]
    assert [one["method"] for one in sent] == ["subscribe"] * 5
    given = {one["params"].pop("channel"): one["params"] for one in sent}
    assert {params.pop("token") for params in given.values()} == {TOKEN.text}
    assert given == {
        "executions": {"asset_class": "derivatives", "snap_orders": True, "snap_trades": True, "order_status": True},
        "positions": {"asset_class": "derivatives", "snapshot": True},
        "margin": {"asset_class": "derivatives"},
        "balances": {"snapshot": True},
        "ledgers": {},
    }
    for command in commands:
        assert TOKEN.text.encode() not in command.recorded
        assert json.loads(command.recorded)["params"]["token"] == "***"


def test_answers_are_of_the_command_or_else_of_the_channel() -> None:
    it = session()
    numbers = {json.loads(one.sent)["params"]["channel"]: json.loads(one.sent)["req_id"] for one in it.opening(NOW_MS)}
    it.receive(Acknowledged(("executions",), str(numbers["executions"])), NOW_MS)
    it.receive(Acknowledged(("balances",), None), NOW_MS)
    it.receive(RefusedCommand(str(numbers["margin"]), None, "no"), NOW_MS)
    assert (it.acknowledged, it.refused) == ({"derivatives-executions", "derivatives-balances"}, {"margin": "no"})
    assert it.missing() == ["positions", "ledgers"]


def test_a_snapshot_that_is_too_large_is_asked_for_once_more() -> None:
    it = session()
    it.receive(Acknowledged(("positions",), None), NOW_MS)
    too_large = RefusedCommand(None, None, "snapshot_too_large", ("positions",))
    again = it.receive(too_large, NOW_MS)
    assert [(json.loads(one.sent)["method"], json.loads(one.sent)["params"]["channel"]) for one in again] == [
        ("unsubscribe", "positions"),
        ("subscribe", "positions"),
    ]
    assert all(TOKEN.text.encode() not in one.recorded for one in again)
    assert it.receive(too_large, NOW_MS) == []
    assert "positions" in it.acknowledged, "its changes are pushed"


def count(it: KrakenSession, *pushes: tuple[str, int]) -> None:
    for topic, number in pushes:
        it.counted(topic, SequenceNumber(number))


@pytest.mark.parametrize("topic", ["derivatives-executions", "positions"])
def test_a_hole_in_the_count_of_a_channel_ends_the_session(topic: str) -> None:
    it = session()
    it.counted(topic, SequenceNumber(1, is_first=True))
    count(it, *[(topic, number) for number in (2, 3, 4)])
    with pytest.raises(SessionOver, match="before number 6 did not arrive"):
        count(it, (topic, 6))


def test_a_frame_that_does_not_say_whose_it_is_counts_with_its_channel() -> None:
    it = session()
    it.counted("executions", SequenceNumber(1, is_first=True))
    for number in range(2, 10):
        count(it, ("derivatives-executions" if number % 3 else "executions", number))


def test_a_hole_between_entries_of_the_ledger_is_one_if_it_counts_them_alone() -> None:
    it = session()
    it.counted("derivatives-executions", SequenceNumber(1, is_first=True))
    for number in range(7, 12):
        count(it, ("ledgers", number), ("derivatives-executions", number - 5))
    with pytest.raises(SessionOver, match="ledgers before number 13"):
        count(it, ("ledgers", 13))


def test_entries_may_be_counted_with_everything_else_on_the_connection() -> None:
    """Then each channel has holes, and that of the ledger is none, even after entries that followed each other."""
    it = session()
    it.counted("derivatives-executions", SequenceNumber(1, is_first=True))
    count(it, *[("ledgers", number) for number in range(2, 9)])
    # What has no number, such as a heartbeat, may count as well.
    count(it, ("ledgers", 10), ("positions", 11), ("ledgers", 12), ("derivatives-executions", 13), ("ledgers", 14))


def test_the_first_entry_of_the_ledger_has_any_number() -> None:
    """It has no snapshot: a run of another channel says nothing about it."""
    it = session()
    it.counted("derivatives-executions", SequenceNumber(1, is_first=True))
    count(it, *[("derivatives-executions", number) for number in range(2, 20)], ("ledgers", 4), ("margin", 77))


def known(**values: object) -> Known:
    return Known((), {}, None, NOW_MS - 3_600_000, NOW_MS)._replace(**values)  # type: ignore[arg-type]


def test_a_gap_of_derivatives_is_lost_for_what_nobody_can_be_asked_for() -> None:
    taken = steps(kraken.questions(Purpose.RECONCILE, known(streams={"", "derivatives"})), WHO, NOW_MS)
    lost = [step for step in taken if isinstance(step, Forgotten)]
    assert {(one.topic, one.stream) for one in lost} == {
        ("derivatives-executions", "derivatives"),
        ("positions", "derivatives"),
        ("derivatives-balances", "derivatives"),
    }
    # A gap of spot alone is none of theirs.
    taken = steps(kraken.questions(Purpose.RECONCILE, known(streams={""})), WHO, NOW_MS)
    assert not [step for step in taken if isinstance(step, Forgotten)]
    # The ledger, which has them, is asked for as a whole, regularly.
    (ledger, *_) = steps(kraken.questions(Purpose.REGULAR, known()), WHO, NOW_MS)
    assert isinstance(ledger, Question) and "ledger" in ledger.subject


@pytest.mark.parametrize(("environment", "of"), [("production", ""), ("derivatives", " of spot")])
def test_a_backfill_does_not_say_that_it_has_orders_of_derivatives(environment: str, of: str) -> None:
    taken = steps(kraken.questions(Purpose.BACKFILL, known(environment=environment)), WHO, NOW_MS)
    found = {one.history for one in taken if isinstance(one, Completed) and one.history}
    assert found == {f"orders{of}", f"fills{of}", "transactions", "transactions of tokenized assets"}


def test_spot_is_not_asked_for_orders_and_symbols_of_derivatives() -> None:
    """Its answer, that there is no such order, would end an order that is open."""
    of = known(unfinished=unfinished(ORDER, symbol="PF_XBTUSD", market=DERIVATIVES) | unfinished(FILL, "OA"))
    asked_for = targets(steps(kraken.questions(Purpose.RECONCILE, of), WHO, NOW_MS), WHO, NOW_MS)
    assert [one for one in asked_for if answers.ORDER in one and "OA" not in one] == []
    of = known(instruments=[Traded(DERIVATIVES, "PF_XBTUSD"), Traded(None, "BTC/USD")])
    asked_for = targets(steps(kraken.questions(Purpose.INSTRUMENTS, of), WHO, NOW_MS), WHO, NOW_MS)
    assert asked_for == [f"{answers.PAIRS}?pair=BTC%2FUSD"]


def test_orders_of_derivatives_are_not_compared_with_the_lists_of_spot() -> None:
    (orders,) = [one for one in COMPARABLE if one.kind is OrderUpdate]
    spot = OrderUpdate(1, 0, 1, None, "BTC/USD", "OAB3QX-7KQ2M-ZZ4T9P", status=NEW)
    assert orders.covers(spot)
    assert not orders.covers(spot._replace(symbol="PF_XBTUSD", market=DERIVATIVES))
    assert not orders.covers(spot._replace(symbol=None, order_id=ORDER))


def test_both_streams_have_the_topics_of_the_portal() -> None:
    assert set(portal.TOPICS).isdisjoint(DERIVATIVE_TOPICS)
