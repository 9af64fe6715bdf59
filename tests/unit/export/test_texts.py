"""CSV and JSON lines preserve any text, any bytes, and the difference between empty and null."""

import io
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.export.columns import ExportColumn, Kind
from recorder.export.formats import Style
from recorder.export.writers import CsvWriter, JsonLinesWriter
from tests.depth import examples

COLUMNS = (
    ExportColumn("text", Kind.TEXT, 0, True),
    ExportColumn("number", Kind.INTEGER, 1, True),
    ExportColumn("data", Kind.BYTES, 2, False),
    ExportColumn("hash", Kind.HASH, 3, True),
    ExportColumn("sure", Kind.BOOLEAN, 4, True),
    ExportColumn("amount", Kind.DECIMAL, 5, True),
    ExportColumn("number_utc", Kind.TIME, 1, True),
)
NAMES = ["text", "number", "data", "data_base64", "hash", "sure", "amount", "number_utc"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ROWS = st.lists(
    st.tuples(
        st.none() | TEXT,
        st.none() | st.integers(0, 2**63 - 1),
        st.binary() | TEXT.map(str.encode),
        st.none() | st.binary(min_size=1),
        st.none() | st.booleans(),
        st.none() | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    ),
    max_size=8,
)


def check(row: tuple[Any, ...], text: Any, data: str | None, coded: str | None, hashed: str | None) -> None:
    """Text and bytes were read as they were written."""
    assert text == row[0]
    assert (data is None) != (coded is None)
    assert (b64decode(coded) if coded is not None else str(data).encode()) == row[2]
    assert (None if hashed is None else bytes.fromhex(hashed)) == row[3]


@given(ROWS)
def test_json_lines(rows: list[tuple[Any, ...]]) -> None:
    sink = io.BytesIO()
    writer = JsonLinesWriter(sink, "t", COLUMNS, Style("string"))
    writer.write(rows)
    writer.close()
    found = [json.loads(line) for line in sink.getvalue().split(b"\n")[:-1]]
    assert len(found) == len(rows)
    for row, result in zip(rows, found, strict=True):
        assert list(result) == NAMES
        check(row, result["text"], result["data"], result["data_base64"], result["hash"])
        assert (result["number"], result["sure"], result["amount"]) == (row[1], row[4], row[5])


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS)
def test_csv(tmp_path: Path, rows: list[tuple[Any, ...]]) -> None:
    path = tmp_path / "t.csv"
    with path.open("wb") as sink:
        writer = CsvWriter(sink, "t", COLUMNS, Style("string"))
        writer.write(rows)
        writer.close()
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in NAMES)
    options = "header = true, delim = ',', quote = '\"', escape = '\"', auto_detect = false, allow_quoted_nulls = false"
    read = f"SELECT * FROM read_csv('{path}', {options}, columns = {{{columns}}}, new_line = '\\n')"
    found = duckdb.connect().execute(read).fetchall()
    assert len(found) == len(rows)
    for row, result in zip(rows, found, strict=True):
        check(row, result[0], *result[2:5])
        assert result[1] == (None if row[1] is None else str(row[1]))
        assert result[5] == {None: None, True: "true", False: "false"}[row[4]]
        assert result[6] == row[5]


@pytest.mark.parametrize(
    ("value", "cell"), [(None, ""), ("", '""'), ('say "no"', '"say ""no"""'), ("a,b\n", '"a,b\n"')]
)
def test_csv_cells(value: str | None, cell: str) -> None:
    sink = io.BytesIO()
    CsvWriter(sink, "t", COLUMNS[:2], Style("string")).write([(value, 7)])
    assert sink.getvalue().decode() == f"text,number\n{cell},7\n"
