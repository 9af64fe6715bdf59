"""`recorder compare` as people type it."""

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from tests.integration.process import Folder

KINDS = ("matched", "missed", "extra")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder with a record, and its own fills as a backtest that missed the first and has one of its own."""
    folder = Folder(tmp_path_factory.mktemp("record"))
    with Simulator(SimulatorOptions(pushes=400, rate_per_s=400)) as exchange:
        folder.configure(exchange)
        folder.record(exchange)
    fills = list(csv.DictReader(io.StringIO(folder.command("fills", "--format", "csv").stdout)))
    rows = [[fill[name] for name in ("received_ns", "symbol", "side", "quantity", "price")] for fill in fills[1:]]
    rows.append([str(int(fills[-1]["received_ns"]) + 3_600 * 10**9), "btcusd_p", "BUY", "1", "9000"])
    with (folder.path / "backtest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["time", "symbol", "side", "quantity", "price"], *rows])
    return folder


def test_what_differs_is_told(recorded: Folder, tmp_path: Path) -> None:
    drawing = tmp_path / "compared.svg"
    ended = recorded.command("compare", "backtest.csv", "--format", "csv", "--plot", str(drawing))
    assert ended.returncode == 0, ended.stderr
    rows = list(csv.DictReader(io.StringIO(ended.stdout)))
    quantities = {kind: sum(Decimal(row["quantity"]) for row in rows if row["kind"] == kind) for kind in KINDS}
    fills = list(csv.DictReader(io.StringIO(recorded.command("fills", "--format", "csv").stdout)))
    # Fills that came in one moment may stand for each other: what is missed is that much, in one piece or several.
    assert quantities["missed"] == Decimal(fills[0]["quantity"])
    assert quantities["extra"] == 1
    assert quantities["matched"] == sum(Decimal(fill["quantity"]) for fill in fills[1:])
    assert ", 1 extra" in ended.stderr
    assert "<svg" in drawing.read_text()
    table = recorded.command("compare", "backtest.csv", "--symbol", "BTCUSD_P")
    assert "later by, ms" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.csv"], "none.csv cannot be read: No such file"),
        (["recorder.toml"], "recorder.toml lacks time, symbol, side, quantity, price"),
        (["backtest.csv", "--plot", "x.pdf"], "charts are SVG files"),
        (["backtest.csv", "--within", "soon"], "'soon' is not a duration"),
    ],
)
def test_what_cannot_be_meant_is_refused(recorded: Folder, arguments: list[str], told: str) -> None:
    ended = recorded.command("compare", *arguments)
    assert ended.returncode == 2
    assert told in ended.stderr
