"""Data frames: exact decimals, integers that stay integers with a null among them, one chunk at a time."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow
import pytest

from recorder.errors import ConfigurationError, ExportError
from recorder.export import dataframes, to_arrow, to_batches, to_pandas, to_polars
from recorder.export.formats import library
from recorder.read.record import Filter, Record
from tests.contract import exported
from tests.made import NOON_NS
from tests.unit.read.desk import Desk

BTC = Decimal("2.146888254907565438")
ETH = Decimal("9.747280117178e-06")


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    desk = Desk(tmp_path_factory.mktemp("record") / "recorder.db")
    exported.fill(desk)
    with desk.open() as opened:
        yield opened
    desk.engine.dispose()


def test_arrow(record: Record) -> None:
    table = to_arrow(record, "balances")
    assert table.schema.field("available").type == pyarrow.decimal128(38, 18)
    assert table.schema.field("received_utc").type == pyarrow.timestamp("us", "UTC")
    assert table["currency"].to_pylist() == ["BTC", "ETH", "XRP", "X", ""]
    assert table["available"].to_pylist() == [BTC, ETH, 0, None, None]
    assert table["event_ms"].to_pylist()[-2:] == [-1, 2**63 - 1]
    assert table["event_utc"].to_pylist()[-1] is None


def test_pandas(record: Record) -> None:
    frame = to_pandas(record, "balances")
    assert frame["available"].dtype == pandas.ArrowDtype(pyarrow.decimal128(38, 18))
    assert list(frame["available"][:2]) == [BTC, ETH]
    assert frame["available"].isna().tolist() == [False, False, False, True, True]
    assert frame["available"].sum() == BTC + ETH
    orders = to_pandas(record, "order_history")
    assert orders["reduce_only"].isna().all()
    assert str(orders["created_ms"].dtype) == "int64[pyarrow]"


def test_polars(record: Record) -> None:
    frame = to_polars(record, "balances")
    assert frame["available"].dtype == polars.Decimal(38, 18)
    assert frame["available"].to_list() == [BTC, ETH, 0, None, None]
    assert frame["available"].sum() == BTC + ETH
    assert frame["received_utc"].dtype == polars.Datetime("us", "UTC")


@pytest.mark.parametrize(("decimals", "value"), [("string", str(ETH)), ("float", 9.747280117178e-06)])
def test_strings_or_floats_on_request(record: Record, decimals: str, value: Any) -> None:
    for read in (to_pandas, to_polars):
        found = list(read(record, "balances", decimals=decimals)["available"])[1]
        assert type(found) is type(value)
        assert found == value


def test_columns_and_filters(record: Record) -> None:
    wanted = Filter("main", since_ns=NOON_NS + 12, until_ns=NOON_NS + 14)
    table = to_arrow(record, "order_updates", wanted, columns=["received_ns", "order_id"])
    assert table.column_names == ["received_ns", "order_id"]
    assert [row["received_ns"] - NOON_NS for row in table.to_pylist()] == [12, 12, 13, 13]


def test_chunks_show_one_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path / "recorder.db")
    exported.fill(desk)
    monkeypatch.setattr(dataframes, "CHUNK_ROWS", 4)
    with desk.open() as opened:
        before = to_arrow(opened, "order_updates").num_rows
        batches, others = iter(to_batches(opened, "order_updates")), iter(to_batches(opened, "frames"))
        sizes = [next(batches).num_rows]
        assert next(others).num_rows == 4
        desk.order(50, session_id=99)
        # Whatever else the record is asked meanwhile sees what is new.
        assert len(list(opened.order_history())) == before + 1
        sizes += [batch.num_rows for batch in batches]
    assert (sizes[0], sum(sizes)) == (4, before)
    desk.engine.dispose()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"table": "trades"}, "no table 'trades'"),
        ({"table": "fills", "columns": ["x"]}, "fills has no column 'x'"),
        ({"table": "fills", "wanted": Filter(account="x")}, "no account 'x'"),
        ({"table": "fills", "wanted": Filter(symbol="x")}, "no symbol 'x'"),
        ({"table": "fills", "decimals": "x"}, "not as 'x'"),
        ({"table": "balances", "scale": 17}, "2.146888254907565438 in balances.available does not fit"),
    ],
)
def test_unknown_names_and_periods_are_refused(record: Record, how: dict[str, Any], words: str) -> None:
    with pytest.raises(ExportError, match=words):
        to_arrow(record, **how)


def test_a_missing_library_says_what_to_install() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^It needs no_such\.thing; type: pip install 'exchange-recorder\[extra\]'$"
    ):
        library("no_such.thing", "extra", "It needs")
