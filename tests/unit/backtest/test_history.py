"""A history has exactly the fills between two reported states of a position, or of a balance on a spot market."""

from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from recorder.backtest.history import history
from recorder.model import DECODED, INVERSE, AccountUpdate, Decoded, FillUpdate, Transaction, Update
from recorder.read.books.differences import APART_NS
from recorder.read.projector import project_all
from recorder.read.record import Record
from recorder.read.records import Fill, Filter
from recorder.read.trips import change
from recorder.simulator.exchange import Exchange
from recorder.store.entries import ReconciliationBegan, ReconciliationEnded
from recorder.venues import venue_named
from recorder.venues.fmex import rest
from tests.bench.records import recorded_of, write_record
from tests.made import ACCOUNT, NOON_NS, RUN, SESSION, answered
from tests.unit.okx import frames as okx
from tests.unit.read.desk import Desk
from tests.unit.read.ledger_writer import Writer
from tests.unit.read.recordings import Recording
from tests.unit.read.stories import nothing

MS = 10**6
NOON_MS = NOON_NS // MS
ROUND = SESSION + 5


class Trader:
    """An order of 10 contracts that fills one after the other, and its position; times in ms after noon."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(folder / "recorder.db")

    def filled(self, at_ms: int, contracts: int) -> None:
        """The order has filled so far."""
        push = f'{{"type":"order.btcusd_p","ts":{NOON_MS + at_ms},"order":{self._order(contracts)}}}'
        self.desk.push(at_ms * MS, push)

    def holds(self, at_ms: int, contracts: int) -> None:
        """The position is pushed."""
        held = f'"symbol":"BTCUSD_P","direction":"SHORT","quantity":{contracts},"realized_pnl":-{contracts}e-9'
        push = f'{{"type":"position.btcusd_p","ts":{NOON_MS + at_ms},"position":{{{held},"entry_price":9000}}}}'
        self.desk.push(at_ms * MS, push)

    def reconciled(self, at_ms: int, *executed_ms: int) -> None:
        """REST reports the order and its executions, one contract each."""
        matches = ",".join(
            f'{{"taker":true,"price":9000,"quantity":1,"fee":1e-9,"created_at":{NOON_MS + one}}}' for one in executed_ms
        )
        order = f'{{"status":0,"data":{self._order(len(executed_ms))}}}'.encode()
        results = f'{{"status":0,"data":{{"results":[{matches}]}}}}'.encode()
        at_ns = NOON_NS + at_ms * MS
        self.desk.write(
            answered(0, f"{rest.ORDERS}/1", order, at_ns, round_id=ROUND),
            answered(1, f"{rest.ORDERS}/1/matches", results, at_ns, round_id=ROUND),
            entries=[
                ReconciliationBegan(ACCOUNT, ROUND, RUN, at_ns - 1),
                ReconciliationEnded(ACCOUNT, ROUND, SESSION, at_ns + 1, "reconciled", ""),
            ],
        )

    def history(self) -> tuple[Decimal, list[Fill]]:
        """The quantity held at the end, and the fills that lead there."""
        with self.desk.open() as record:
            found = history(record)
        self.desk.engine.dispose()
        assert found is not None
        assert sum(fill.quantity for fill in found.fills) == -found.held
        assert found.instrument.kind == INVERSE
        before = -sum(fill.quantity for fill in found.fills if fill.order_id is None)
        assert found.realized_pnl == (found.held - before) * Decimal("1e-9")
        return found.held, found.fills

    def _order(self, filled: int) -> str:
        return (
            f'{{"id":1,"symbol":"BTCUSD_P","direction":"SHORT","quantity":10,"unfilled_quantity":{10 - filled},'
            f'"fill_price":9000,"fee":{filled}e-9,"margin_currency":"BTC"}}'
        )


def test_the_fills_are_those_between_the_first_and_the_last_state(tmp_path: Path) -> None:
    trader = Trader(tmp_path)
    trader.filled(0, 2)
    trader.holds(0, 2)
    trader.filled(1, 3)
    trader.holds(1, 3)
    trader.filled(1, 4)  # the record ends before the position's next state
    held, fills = trader.history()
    assert (int(held), [int(fill.quantity) for fill in fills]) == (-3, [2, 1])


def test_fills_from_rest_count_too(tmp_path: Path) -> None:
    trader = Trader(tmp_path)
    trader.holds(0, 0)
    trader.filled(1, 2)
    trader.holds(1, 2)
    trader.reconciled(20, 1, 1, 5, 9)  # two executions were missed
    trader.filled(30, 6)
    trader.holds(30, 6)
    trader.filled(31, 10)
    held, fills = trader.history()
    assert (int(held), [int(fill.quantity) for fill in fills]) == (-6, [1, 1, 1, 1, 2])


def test_what_is_held_are_all_positions_of_the_instrument(tmp_path: Path) -> None:
    """An isolated position stays open, and a cross one beside it is opened and closed again and again."""
    pushes = []

    def holds(at_ms: int, mode: str, quantity: int, position_id: str, price: str = "50000") -> None:
        pushed = {"uTime": str(at_ms), "pTime": str(at_ms), "avgPx": price, "mgnMode": mode, "pos": str(quantity)}
        pushes.append(okx.push("positions", okx.row("positions") | pushed | {"posId": position_id}))

    def filled(at_ms: int, quantity: int) -> None:
        side, size = "buy" if quantity > 0 else "sell", str(abs(quantity))
        fill = {"side": side, "sz": size, "accFillSz": size, "fillSz": size, "state": "filled", "ordId": str(at_ms)}
        times = dict.fromkeys(("uTime", "cTime", "fillTime"), str(at_ms))
        pushes.append(okx.push("orders", okx.row("orders") | fill | times | {"tradeId": str(at_ms)}))

    at_ms = NOON_MS
    holds(at_ms, "isolated", 5, "1", "48000")
    holds(at_ms, "cross", -1, "2")
    for number in range(4):
        # Once it was closed for long, a position has another id.
        for quantity in (1, 2, -2, -1):
            at_ms += 30_000
            filled(at_ms, quantity)
            holds(at_ms + 1, "cross", {1: 0, 2: 2, -2: 0, -1: -1}[quantity], str(2 + number))
    filled(at_ms + 60_000, -5)
    holds(at_ms + 60_001, "isolated", 0, "1")
    with Record(write_record(tmp_path / "r.db", recorded_of(pushes, "okx"), 1, venue_name="okx")) as record:
        found = history(record)
        trips = list(record.trips())
    assert found is not None
    assert found.held == sum(map(change, found.fills)) == -1
    opening = [(int(change(one)), int(one.price or 0)) for one in found.fills if one.order_id is None]
    assert opening == [(5, 48000), (-1, 50000)]
    assert len(found.fills) == 2 + 17
    at_ms += 60_000
    assert [(trip.direction, trip.opened_ms, trip.closed_ms, trip.adds_up) for trip in trips] == [
        ("long", None, at_ms, True),
        ("short", at_ms, None, True),
    ]


def test_without_a_state_there_is_no_history(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "recorder.db")
    desk.order(1, unfilled=3)
    with desk.open() as record:
        assert history(record) is None
    desk.engine.dispose()


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Venue → the address of a record of some hundred pushes of its stand-in."""
    found = {}
    for venue in ("bybit", "okx", "kraken", "binance_spot", "hyperliquid"):
        key = venue_named(venue).stand_in.default_account[0]
        # Without dated contracts: what their delivery does to a balance, only the ledger says, which is not pushed.
        symbols = ("BTC-USDT-SWAP", "BTC-USD-SWAP", "BTC-USDT") if venue == "okx" else ()
        pushes = [payload for _, payload in islice(Exchange(1, symbols, venue=venue, key=key), 900)]
        file = tmp_path_factory.mktemp(venue) / "recorder.db"
        found[venue] = write_record(file, recorded_of(pushes, venue), 1, venue_name=venue)
    return found


@pytest.mark.parametrize(
    ("venue", "symbol", "market", "kind"),
    [
        ("bybit", "BTCUSDT", "linear", "linear"),
        ("bybit", "BTCUSD", None, "inverse"),
        ("bybit", "BTCUSDT", "spot", "spot"),
        ("okx", "BTC-USDT-SWAP", None, "linear"),
        ("okx", "BTC-USD-SWAP", None, "inverse"),
        ("okx", "BTC-USDT", None, "spot"),
        ("kraken", "ETH/EUR", None, "spot"),
        ("binance_spot", "BTCUSDT", None, "spot"),
        ("hyperliquid", "BTC", None, "linear"),
    ],
)
def test_the_fills_lead_to_what_is_held(
    records: dict[str, str], venue: str, symbol: str, market: str | None, kind: str
) -> None:
    with Record(records[venue]) as record:
        found = history(record, Filter(symbol=symbol), market=market)
        fills = [one for one in record.fills(Filter(symbol=symbol)) if market in {None, one.market}]
        balances = {one.currency: one.balance for one in record.balances()}
        held = {(one.symbol, one.market): one.quantity for one in record.positions() if one.position_side is None}
    assert found is not None
    assert found.instrument.kind == kind
    own = [one for one in found.fills if one.order_id is not None]
    assert len(fills) * 0.8 < len(own) <= len(fills)
    total = sum(map(change, found.fills), Decimal(0))
    if kind == "spot":
        # A fee in the coin that was bought is not received.
        total -= sum(one.fee or Decimal(0) for one in own if one.fee_currency == found.instrument.base)
        assert len(found.fills) > len(own), "what was held before, and what else moved the balance"
        assert found.held == balances[str(found.instrument.base)]
        assert found.realized_pnl is None
    else:
        assert found.held == held[symbol, found.instrument.market]
        assert found.realized_pnl == sum((one.realized_pnl or 0) - (one.fee or 0) for one in own)
    assert total == found.held
    assert all(one.price for one in found.fills)


@pytest.mark.parametrize(
    ("venue", "symbol", "market", "others"),
    [
        ("bybit", "BTCUSDT", "spot", {"funding", "liquidation"}),
        ("okx", "BTC-USDT", None, {"funding", "liquidation"}),
        ("deribit", "ETH_USDC", None, {"settlement"}),
        ("kraken", "ETH/EUR", None, {"trade"}),
    ],
)
def test_what_other_instruments_do_to_the_balance_is_in_the_ledger(
    tmp_path: Path, venue: str, symbol: str, market: str | None, others: set[str]
) -> None:
    recording, writer = Recording(venue, 1, pushes=1_000), Writer(tmp_path / "recorder.db")
    middle_ns = recording.pushed[len(recording.pushed) // 2][0] + APART_NS
    # The ledger was asked for all of it, or until some time in the middle.
    names = [writer.write_recording(recording, asked_ns) for asked_ns in (None, middle_ns)]
    with writer.desk.engine.connect() as connection:
        list(project_all(connection))
    with writer.desk.open() as record:
        for name in names:
            found = history(record, Filter(name, symbol), market=market)
            assert found is not None
            base = found.instrument.base
            moved = [one for one in record.transactions(Filter(name)) if one.currency == base]
            assert others <= {one.type for one in moved if one.symbol != symbol}, "there is something to tell apart"
            fills = [one for one in record.fills(Filter(name, symbol)) if one.market == market]
            own = [one for one in found.fills if one.order_id is not None]
            assert len(own) == len(fills) > 10
            assert [found.held] == [one.balance for one in record.balances(Filter(name)) if one.currency == base]
            fees = sum(one.fee or Decimal(0) for one in own if one.fee_currency == base)
            assert sum(map(change, found.fills), Decimal(0)) - fees == found.held
    writer.desk.engine.dispose()


def test_a_liquidation_that_names_no_trade_counts_once(tmp_path: Path) -> None:
    """On Bitget: the spot fills around the liquidation of a position whose margin is the base currency."""
    coin = {"market": "coin-futures", "symbol": "BTCUSD"}
    pushed: list[Update] = []
    listed: list[Transaction] = []
    balance = Decimal(5)

    def see(at_ms: int) -> None:
        of = {"wallet": "unified", "currency": "BTC", "is_partial": 0, "balance": str(balance), "updated_ms": at_ms}
        pushed.append(nothing(AccountUpdate)._replace(event_ms=at_ms, **of))

    see(NOON_MS)
    for number, (amount, kind) in enumerate((("1", "trade"), ("-0.25", "liquidation"), ("1", "trade"), ("1", "trade"))):
        at_ms = NOON_MS + (number + 1) * 60_000
        balance += Decimal(amount)
        is_spot = kind == "trade"
        of = {"market": "spot", "symbol": "BTCUSDT"} if is_spot else coin
        fill = {"side": "buy", "price": "9000", "quantity": "1" if is_spot else "90", "executed_ms": at_ms, **of}
        pnl = None if is_spot else amount
        pushed.append(FillUpdate(at_ms, trade_id=str(number), order_id="1", kind=kind, realized_pnl=pnl, **fill))  # type: ignore[arg-type]
        see(at_ms)
        row = {"transaction_id": str(number), "type": kind, "amount": amount, "balance_after": str(balance), **of}
        listed.append(nothing(Transaction)._replace(wallet="unified", currency="BTC", occurred_ms=at_ms, **row))
    recording = Recording.__new__(Recording)
    recording.venue = venue_named("bitget")
    recording.pushed = [
        ((one.event_ms or 0) * MS + number, b"{}", Decoded("x", DECODED, None, (one,), None))
        for number, one in enumerate(pushed)
    ]
    recording.answered = [(b"{}", Decoded("x", DECODED, None, tuple(listed), None))]
    writer = Writer(tmp_path / "recorder.db")
    name = writer.write_recording(recording)
    with writer.desk.engine.connect() as connection:
        list(project_all(connection))
    with writer.desk.open() as record:
        found = history(record, Filter(name, "BTCUSDT"), market="spot")
    writer.desk.engine.dispose()
    assert found is not None
    assert [change(one) for one in found.fills] == [5, 1, Decimal("-0.25"), 1, 1]
    assert found.held == balance
