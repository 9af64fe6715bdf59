"""Reading a backtest's fills."""

from decimal import Decimal
from pathlib import Path

import pytest

from recorder.backtest.matching import Traded, read_csv
from recorder.errors import ConfigurationError

HEAD = "time,symbol,side,quantity,price\n"
NOON_NS = 1_580_802_053_662_000_000


@pytest.mark.parametrize(
    "time", ["2020-02-04T07:40:53.662Z", "2020-02-04 07:40:53.662", "1580802053662", "1580802053662000000"]
)
@pytest.mark.parametrize("side", ["LONG", "buy", "B"])
def test_times_and_sides_may_be_written_in_many_ways(tmp_path: Path, time: str, side: str) -> None:
    path = tmp_path / "fills.csv"
    path.write_text(f"{HEAD}{time},BTCUSD_P,{side},12,9000.50\n")
    assert read_csv(path) == [Traded(NOON_NS, "BTCUSD_P", "buy", Decimal(12), Decimal("9000.50"))]


def test_a_column_may_be_called_direction_and_others_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "fills.csv"
    path.write_text("\ufeffPrice, Direction ,note,time,symbol,quantity\n1e4,SELL,x,2020-02-04,A,3\n", encoding="utf-8")
    assert read_csv(path) == [Traded(1_580_774_400_000_000_000, "A", "sell", Decimal(3), Decimal("1E+4"))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lacks time, symbol, side, quantity, price"),
        ("time,symbol,quantity\n", "lacks side, price"),
        (f"{HEAD}never,A,LONG,1,1\n", "row 2: 'never' is not a time"),
        (f"{HEAD}2020-02-04,A,UP,1,1\n", "row 2: 'UP' is not a side; write buy or sell"),
        (f"{HEAD}2020-02-04,A,LONG,1,1\n2020-02-04,A,LONG,x,1\n", "row 3: quantity 'x' is not a number"),
        (f"{HEAD}2020-02-04,A,LONG,1,nan\n", "price 'nan' is not a number"),
        (f"{HEAD}2020-02-04,A,LONG,-1,1\n", "the quantity must be above 0"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "fills.csv"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        read_csv(path)


def test_a_missing_file_and_one_that_is_not_csv_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"time\xff\n")
    with pytest.raises(ConfigurationError, match="is not a CSV file"):
        read_csv(tmp_path / "bytes.csv")
