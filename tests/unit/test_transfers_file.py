"""The file of known transfers: read exactly, or refused with the line that is wrong."""

from decimal import Decimal
from pathlib import Path

import pytest

from recorder.cli.books import read_transfers
from recorder.errors import ConfigurationError
from recorder.read.records import Transfer

NOON_NS = 1_580_817_600_000_000_000


@pytest.mark.parametrize("head", ["", "account,currency,time,amount\n", "\ufeffaccount,currency,time,amount\r\n"])
def test_lines_are_transfers(tmp_path: Path, head: str) -> None:
    path = tmp_path / "transfers.csv"
    path.write_text(
        head + 'main,BTC,2020-02-04T12:00:00Z,5.000000000000000001\n\n"a, b" , ETH ,2020-02-04 13:00+01:00,-1E-18\n'
    )
    assert read_transfers(path) == [
        Transfer("main", "BTC", NOON_NS, Decimal("5.000000000000000001")),
        Transfer("a, b", "ETH", NOON_NS, Decimal("-1E-18")),
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("main,BTC,2020-02-04", "line 2: write account,currency,time,amount"),
        ("main,BTC,2020-02-04,1,2", "line 2: write account,currency,time,amount"),
        ("main,,2020-02-04,1", "line 2: write account,currency,time,amount"),
        ("main,BTC,yesterday,1", "line 2: 'yesterday' is not a time"),
        ("main,BTC,2020-02-04,many", "line 2: 'many' is not an amount"),
        ("main,BTC,2020-02-04,0", "'0' is not an amount"),
        ("main,BTC,2020-02-04,NaN", "'NaN' is not an amount"),
        ("main,BTC,2020-02-04,-Infinity", "'-Infinity' is not an amount"),
        ("main,BTC,2020-02-04,1e400", "'1e400' is not an amount"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "transfers.csv"
    path.write_text(f"main,BTC,2020-02-04,1\n{line}\n")
    with pytest.raises(ConfigurationError, match=told):
        read_transfers(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "transfers.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"transfers\.csv"):
        read_transfers(path)
