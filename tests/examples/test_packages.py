"""What other packages make of our input: `make examples` installs them."""

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import recorder
from recorder.read.record import Record
from recorder.simulator import Simulator, SimulatorOptions
from tests.integration.process import Folder
from tests.unit.read.desk import Desk

pytestmark = pytest.mark.examples

CHECKOUT = Path(__file__).parents[2]
PUSHES = 6_000
DAY_NS = 86_400 * 10**9
#: What the examples print that take a record of a day.
PRINTED = {
    "vectorbt_portfolio": "realized  recorded",
    "hftbacktest_latency": "an order of the backtest was answered after",
    "nautilus_reports": "fill reports; filled quantities agree for",
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of some thousand pushes."""
    folder = Folder(tmp_path_factory.mktemp("record"))
    with Simulator(SimulatorOptions(pushes=PUSHES, rate_per_s=2_000, live_clock=True)) as exchange:
        folder.configure(exchange)
        ended = folder.command("run", "--stop-when-idle", "1s")
    assert ended.returncode == 0, ended.stderr
    return folder.database


@pytest.fixture
def record(database: Path) -> Record:
    return recorder.open(f"sqlite:///{database}")


def test_vectorbt_comes_to_the_same_position_and_profit(record: Record) -> None:
    from recorder.backtest import vectorbt

    history = vectorbt.history(record)
    assert history is not None
    assert len(history.fills) > 100
    portfolio = vectorbt.portfolio(history.fills, history.terms)
    assert vectorbt.held(portfolio, history.terms) == pytest.approx(float(history.held), abs=1e-6)
    assert history.realized_pnl is not None
    assert abs(history.realized_pnl) > Decimal("1e-4")
    assert vectorbt.realized_pnl(portfolio) == pytest.approx(float(history.realized_pnl), abs=1e-12)
    fees = sum(fill.fee for fill in history.fills if fill.fee is not None)
    assert portfolio.orders.fees.sum() == pytest.approx(float(fees), abs=1e-12)


def test_hftbacktest_takes_the_latencies(record: Record) -> None:
    import numpy as np
    from hftbacktest import BacktestAsset

    from recorder.backtest.hftbacktest import order_latencies

    orders = len(list(record.orders()))
    rows = order_latencies(record.order_history())
    assert 0.9 * orders < len(rows) <= orders
    assert np.all(rows["req_ts"] <= rows["exch_ts"])
    assert np.all(rows["exch_ts"] <= rows["resp_ts"])
    assert np.all(np.diff(rows["req_ts"]) >= 0)
    BacktestAsset().intp_order_latency(rows)
    first = next(record.orders())
    (row,) = order_latencies(record.order_history(), sent_ns={first.order_id: 5})
    assert row["req_ts"] == 5


def test_nautilus_trader_agrees_with_itself(record: Record) -> None:
    from recorder.backtest.nautilus import fill_reports, order_status_reports

    orders = {order.order_id: order for order in record.orders()}
    reports = list(order_status_reports(record))
    assert len(reports) == len(orders)
    filled: dict[str, Decimal] = {}
    trades = list(fill_reports(record))
    for trade in trades:
        filled[trade.venue_order_id.value] = filled.get(trade.venue_order_id.value, Decimal(0)) + trade.last_qty
    assert len({trade.trade_id for trade in trades}) == len(trades) > 100
    for report in reports:
        order = orders[report.venue_order_id.value]
        assert report.quantity.as_decimal() == order.quantity
        assert report.filled_qty.as_decimal() == filled.get(report.venue_order_id.value, 0)
        assert report.ts_init == order.received_ns
        assert report.instrument_id.value == f"{order.symbol}.FMEX"
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


@pytest.mark.parametrize("example", PRINTED)
def test_the_example_runs(database: Path, example: str, tmp_path: Path) -> None:
    assert PRINTED[example] in _run(example, database, folder=tmp_path)


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
