"""What other packages make of our input: `make examples` installs them."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path

import pytest

import recorder
from recorder.backtest.history import history
from recorder.read.records import Filter
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.exchange import Exchange
from recorder.venues import venue_named
from tests.bench.records import recorded_of, write_record
from tests.integration.process import Folder
from tests.unit.read.desk import Desk

pytestmark = pytest.mark.examples

CHECKOUT = Path(__file__).parents[2]
PUSHES = 3_000
DAY_NS = 86_400 * 10**9
#: What the examples print that take a record of a day.
PRINTED = {
    "vectorbt_portfolio": "realized  recorded",
    "hftbacktest_latency": "an order of the backtest was answered after",
    "nautilus_reports": "fill reports; filled quantities agree for",
}
#: Venue → the ids of its instruments in nautilus_trader, as its adapters name them.
INSTRUMENTS = {
    "fmex": {"BTCUSD_P.FMEX"},
    "bybit": {"BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT", "BTCUSD-INVERSE.BYBIT", "BTCUSDT-SPOT.BYBIT"},
    "binance": {"BTCUSDT-PERP.BINANCE", "ETHUSDT-PERP.BINANCE", "ETHUSDC-PERP.BINANCE"},
    "binance_spot": {"BTCUSDT.BINANCE", "ETHUSDT.BINANCE", "BNBUSDT.BINANCE"},
    "deribit": {"BTC-PERPETUAL.DERIBIT", "ETH-PERPETUAL.DERIBIT", "BTC_USDC-PERPETUAL.DERIBIT", "ETH_USDC.DERIBIT"},
    "hyperliquid": {"BTC-USD-PERP.HYPERLIQUID", "ETH-USD-PERP.HYPERLIQUID", "HYPE-USDC-SPOT.HYPERLIQUID"},
    "kraken": {"BTC/USD.KRAKEN", "ETH/USD.KRAKEN", "DOGE/USD.KRAKEN", "ETH/EUR.KRAKEN"},
    "okx": {"BTC-USDT-SWAP.OKX", "ETH-USDT-SWAP.OKX", "BTC-USD-SWAP.OKX", "BTC-USDT.OKX"},
    "bitget": {"BTCUSDT-PERP.BITGET", "ETHUSDT-PERP.BITGET", "BTCPERP-PERP.BITGET", "BTCUSDT.BITGET"},
}
#: A day in a name: `BTC-30NOV26`, `BTCUSDT_261225`, `BTCUSDZ26-INVERSE`, `BTC-USDT-261225`.
DATED = re.compile(r"\d{1,2}[A-Z]{3}\d\d|[_-]\d{6}|[FGHJKMNQUVXZ]\d\d\b")
#: Venue, symbol and market, and what kind of instrument it is.
TRADED = [
    ("fmex", "BTCUSD_P", None, "inverse"),
    ("bybit", "BTCUSDT", "linear", "linear"),
    ("bybit", "BTCUSD", None, "inverse"),
    ("bybit", "BTCUSDT", "spot", "spot"),
    ("binance", "BTCUSDT", None, "linear"),
    ("deribit", "BTC-PERPETUAL", None, "inverse"),
    ("deribit", "BTC_USDC-PERPETUAL", None, "linear"),
    ("okx", "BTC-USD-SWAP", None, "inverse"),
    ("bitget", "BTCUSDT", "usdt-futures", "linear"),
    ("kraken", "DOGE/USD", None, "spot"),
    ("binance_spot", "BTCUSDT", None, "spot"),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Venue and symbols → a record of some thousand pushes."""

    @cache
    def recorded(venue: str, *symbols: str) -> Path:
        folder = Folder(tmp_path_factory.mktemp(venue))
        options = SimulatorOptions(venue=venue, symbols=symbols, pushes=PUSHES, rate_per_s=1_000, live_clock=True)
        with Simulator(options) as exchange:
            folder.configure(exchange, symbols=venue_named(venue).stand_in.default_symbols)
            ended = folder.command("run", "--stop-when-idle", "2s")
        assert ended.returncode == 0, ended.stderr
        return folder.database

    return recorded


@pytest.mark.parametrize(("venue", "symbol", "market", "kind"), TRADED)
def test_vectorbt_comes_to_the_same_position_and_profit(
    database: Callable[..., Path], venue: str, symbol: str, market: str | None, kind: str
) -> None:
    from recorder.backtest import vectorbt

    with recorder.open(f"sqlite:///{database(venue)}") as record:
        found = history(record, Filter(symbol=symbol), market=market)
    assert found is not None
    assert found.instrument.kind == kind
    assert len(found.fills) > 20
    portfolio = vectorbt.portfolio(found.fills, found.instrument)
    assert vectorbt.held(portfolio, found.instrument) == pytest.approx(float(found.held), abs=1e-6)
    if kind == "spot":
        assert found.realized_pnl is None
        return
    # A venue rounds each amount to some decimals: FMex to 18, BTC to 8, others to 2 at the least.
    assert found.realized_pnl
    apart = 1e-12 if venue == "fmex" else 1e-8 if kind == "inverse" else 1e-6
    assert vectorbt.realized_pnl(portfolio) == pytest.approx(float(found.realized_pnl), abs=apart * len(found.fills))
    fees = sum(fill.fee for fill in found.fills if fill.fee is not None)
    assert portfolio.orders.fees.sum() == pytest.approx(float(fees), abs=1e-7)


def test_vectorbt_spends_what_the_books_of_a_spot_market_say(database: Callable[..., Path]) -> None:
    from recorder.backtest import vectorbt

    with recorder.open(f"sqlite:///{database('binance_spot', 'BTCUSDT')}") as record:
        found = history(record)
        (book,) = [one for one in record.books() if one.currency == "USDT"]
    assert found is not None
    assert not book.unexplained
    opening, *fills = found.fills
    assert opening.order_id is None
    portfolio = vectorbt.portfolio(fills, found.instrument)
    spent = float(portfolio.cash().iloc[-1] - portfolio.init_cash)
    # A deposit of coins is a fill here, and none in the books.
    assert book.realized_pnl is not None
    assert book.fees is not None
    moved = sum(float(one.quantity * (one.price or 0)) for one in fills if one.order_id is None)
    assert spent == pytest.approx(float(book.realized_pnl - book.fees) - moved, abs=1e-4)
    assert abs(spent) > 1


@pytest.mark.parametrize("venue", ["fmex", "bybit", "deribit", "kraken", "binance_spot"])
def test_hftbacktest_takes_the_latencies(database: Callable[..., Path], venue: str) -> None:
    import numpy as np
    from hftbacktest import BacktestAsset

    from recorder.backtest.hftbacktest import order_latencies

    with recorder.open(f"sqlite:///{database(venue)}") as record:
        orders = len(list(record.orders()))
        rows = order_latencies(record.order_history())
        first = next(record.orders())
        (row,) = order_latencies(record.order_history(), sent_ns={first.order_id: 5})
    assert 0.9 * orders < len(rows) <= orders
    assert np.all(rows["req_ts"] <= rows["exch_ts"])
    assert np.all(rows["exch_ts"] <= rows["resp_ts"])
    assert np.all(np.diff(rows["req_ts"]) >= 0)
    assert np.all(np.diff(rows["exch_ts"]) >= 0)
    BacktestAsset().intp_order_latency(rows)
    assert row["req_ts"] == 5


@pytest.mark.parametrize("venue", INSTRUMENTS)
def test_nautilus_trader_agrees_with_itself(database: Callable[..., Path], venue: str) -> None:
    from recorder.backtest.nautilus import fill_reports, order_status_reports

    with recorder.open(f"sqlite:///{database(venue)}") as record:
        orders = {(order.symbol, order.order_id): order for order in record.orders()}
        own = list(record.fills())
        reports = list(order_status_reports(record))
        trades = list(fill_reports(record))
    by_id = {order_id: order for (_, order_id), order in orders.items()}
    # An order for an amount of the quote currency has no quantity until it is filled.
    assert len(orders) * 0.95 <= len(reports) <= len(orders)
    filled: dict[str, Decimal] = {}
    for trade in trades:
        filled[trade.venue_order_id.value] = filled.get(trade.venue_order_id.value, Decimal(0)) + trade.last_qty
    assert len({(trade.instrument_id, trade.trade_id) for trade in trades}) == len(trades) == len(own) > 100
    unfinished = 0
    for report in reports:
        order = by_id[report.venue_order_id.value]
        assert report.quantity.as_decimal() == order.quantity
        unfinished += report.filled_qty.as_decimal() != filled.get(report.venue_order_id.value, 0)
        assert report.ts_init == order.received_ns
        assert report.account_id.value == f"{report.instrument_id.venue.value}-main"
    assert unfinished <= 1, "the record may end between a fill and the state of its order"
    named = {report.instrument_id.value for report in (*reports, *trades)}
    assert named >= INSTRUMENTS[venue]
    # What is dated has the names of its day.
    assert [one for one in named - INSTRUMENTS[venue] if not DATED.search(one)] == []
    assert {trade.liquidity_side.name for trade in trades} >= {"MAKER", "TAKER"}


def test_a_returns_series_of_whole_days() -> None:
    from datetime import UTC, datetime, timedelta

    import quantstats

    from recorder.backtest.returns import returns

    totals = {datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day): Decimal(100 + day % 7) for day in range(60)}
    paid_in = {datetime(2020, 1, 2, tzinfo=UTC): Decimal(1)}
    series = returns(totals, paid_in)
    assert len(series) == 59
    assert series.iloc[0] == 0, "what was paid in is no gain"
    assert series.iloc[1] == pytest.approx(1 / 101)
    assert quantstats.stats.comp(series) == pytest.approx(float((1 + series).prod() - 1))


@pytest.mark.parametrize("venue", ["fmex", "bybit", "deribit", "kraken"])
@pytest.mark.parametrize("example", PRINTED)
def test_the_example_runs(database: Callable[..., Path], example: str, venue: str, tmp_path: Path) -> None:
    printed = _run(example, database(venue), folder=tmp_path)
    assert PRINTED[example] in printed
    if example == "hftbacktest_latency":
        took, *recorded = map(float, re.findall(r"-?\d+\.\d+", printed.splitlines()[-1]))
        assert 0 < took < 5_000 and recorded


def test_the_tear_sheet_is_of_the_recorded_days(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "recorder.db")
    for day in range(60):
        desk.balance(day * DAY_NS, available=str(100 + day % 7))
    desk.engine.dispose()
    printed = _run("tear_sheet", tmp_path / "recorder.db", "BTC", "sheet.html", folder=tmp_path)
    # From 100 to 103; the worst is from 106 to 100.
    assert printed.splitlines()[0] == "59 days, 3.0000% in all, worst day -5.6604%"
    page = (tmp_path / "sheet.html").read_text()
    assert "Recorded account, BTC" in page and "</html>" in page


def test_the_tear_sheet_of_a_spot_account_leaves_deposits_out(tmp_path: Path) -> None:
    venue, hour_ns = "binance_spot", 3_600 * 10**9
    key = venue_named(venue).stand_in.default_account[0]
    pushes = [payload for _, payload in islice(Exchange(1, venue=venue, key=key), PUSHES)]
    file = tmp_path / "recorder.db"
    url = write_record(file, recorded_of(pushes, venue), 1, venue_name=venue, step_ns=hour_ns)
    with sqlite3.connect(file) as database_file:  # the simulated clock went on by some seconds only
        database_file.execute("UPDATE transactions SET occurred_ms = received_ns / 1000000")
    database_file.close()
    with recorder.open(url) as record:
        own = [one for one in record.balance_history() if one.currency == "USDT" and one.balance is not None]
        deposits = [one for one in record.transactions() if one.currency == "USDT" and one.type == "transfer"]
    assert deposits, "there is one to leave out"
    ends = {one.received_ns // DAY_NS: one.balance or Decimal(0) for one in own}
    grown, first = Decimal(1), min(ends)
    for day in range(first + 1, max(ends) + 1):
        ends.setdefault(day, ends[day - 1])
        came = sum((one.amount or Decimal(0) for one in deposits if one.at_ms * 10**6 // DAY_NS == day), Decimal(0))
        grown *= (ends[day] - came) / ends[day - 1]
    printed = _run("tear_sheet", file, "USDT", "sheet.html", folder=tmp_path)
    assert printed.startswith(f"{max(ends) - first} days, {grown - 1:.4%} in all")
    with_deposits = ends[max(ends)] / ends[first]
    assert abs(with_deposits - grown) > Decimal("0.01"), "deposits would be seen as gains"
    assert "Recorded account, USDT" in (tmp_path / "sheet.html").read_text()


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in (CHECKOUT / "examples").glob("*.py")} == {*PRINTED, "tear_sheet"}


def _run(example: str, *arguments: Path | str, folder: Path) -> str:
    """What an example prints."""
    ended = subprocess.run(
        [sys.executable, CHECKOUT / "examples" / f"{example}.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
