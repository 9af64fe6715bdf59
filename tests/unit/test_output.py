"""What the reading commands print: exact in csv and json, plain and whole in a table."""

import csv
import io
import json
from decimal import Decimal
from typing import Any, NamedTuple

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.cli import books, compare, look, trade, verify
from recorder.cli.output import TABLE_ROWS_MAX, Column, Layout, counted, json_line, number, plain, show, time_ms, word
from recorder.read.records import AccountStatus, Coverage, Fill, Gap, Status
from recorder.venues import VENUES


class Row(NamedTuple):
    """A row of each kind of value."""

    name: str | None
    amount: Decimal | None
    order_id: int | None = 1
    ts: int | None = 1580802053662
    sure: bool = False


COLUMNS = [time_ms("ts", "time"), word("name"), number("order_id", "order"), number("amount")]


def shown(capsys: pytest.CaptureFixture[str], rows: list[Any], form: str, columns: Any = None, **how: Any) -> str:
    """What is printed."""
    layout = Layout(form, how.get("columns_", ()), how.get("limit"))
    show(iter(rows), COLUMNS if columns is None else columns, layout, "No rows here yet.", Row._fields)
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


AMOUNTS = [
    ("2.796888254907565438", "2.796888254907565438"),
    ("9.747280117178e-06", "0.000009747280117178"),
    ("0E-18", "0"),
    ("1e-30", "0.000000000000000000000000000001"),
    ("1E+5", "100000"),
    ("100", "100"),
    ("182150.0", "182150"),
    ("100.500", "100.5"),
    ("-0.50", "-0.5"),
    ("9007199254740993", "9007199254740993"),
    ("12345678901234567890123456789.123456789", "12345678901234567890123456789.123456789"),
]


@pytest.mark.parametrize(("sent", "printed"), AMOUNTS)
def test_decimals_are_printed_one_way(capsys: pytest.CaptureFixture[str], sent: str, printed: str) -> None:
    row = Row("x", Decimal(sent))
    assert json.loads(shown(capsys, [row], "json"))["amount"] == printed
    (read,) = csv.DictReader(io.StringIO(shown(capsys, [row], "csv")))
    assert read["amount"] == printed
    assert shown(capsys, [row], "table").splitlines()[1].split()[-1] == printed


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_plain_number_is_the_same_number(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert "e" not in text.lower()
    assert not (("." in text) and text.endswith(("0", ".")))


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row("one", Decimal("0.10")), Row(None, None, None, None, True)]
    assert shown(capsys, rows, "json") == (
        '{"name": "one", "amount": "0.1", "order_id": 1, "ts": 1580802053662, "sure": false}\n'
        '{"name": null, "amount": null, "order_id": null, "ts": null, "sure": true}\n'
    )
    assert shown(capsys, [], "json") == ""


def test_csv_has_every_field_and_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row('a "quoted", text\nof two lines', Decimal("0.10")), Row(None, None, None, None, True)]
    assert shown(capsys, rows, "csv") == (
        'name,amount,order_id,ts,sure\n"a ""quoted"", text\nof two lines",0.1,1,1580802053662,False\n,,,,True\n'
    )


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row("one", Decimal("0.10")), Row(None, None, None, None)]
    assert [line.rstrip() for line in shown(capsys, rows, "table").splitlines()] == [
        "time                     name  order  amount",
        "2020-02-04 07:40:53.662  one       1     0.1",
        "",
    ]
    assert shown(capsys, [], "table") == "No rows here yet.\n"


@pytest.mark.parametrize(
    "name",
    ["[red]x[/red]", "[/]", "\\[red]x", "x\\", "[link=http://x]y", ":warning:", "[[", "a[b", "<b>", "\N{EURO SIGN}[1]"],
)
@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_data_is_shown_as_it_is(capsys: pytest.CaptureFixture[str], name: str, form: str) -> None:
    out = shown(capsys, [Row(name, Decimal(1))], form)
    if form == "json":
        assert json.loads(out)["name"] == name
    else:
        assert name in out


def test_a_terminal_is_told_nothing_by_data(capsys: pytest.CaptureFixture[str]) -> None:
    name = "FULL\x1b[2JY\x9b31m\r\n\u2028x"
    assert " FULL [2JY 31m   x" in " " + shown(capsys, [Row(name, Decimal(1))], "table")
    assert json.loads(shown(capsys, [Row(name, Decimal(1))], "json"))["name"] == name


WIDE = [
    number("order_id", "order"),
    word("name", is_prose=True),
    number("amount", rank=1),
    word("sure", rank=2),
]


def test_a_table_fits_the_terminal_and_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row("x" * 60, Decimal("1234567890.123456789"))]
    whole = shown(capsys, rows, "table", WIDE)
    assert "x" * 60 in whole and "False" in whole  # not a terminal: nothing is cut
    monkeypatch.setattr("recorder.cli.output.terminal_width", lambda: 60)
    (head, line) = shown(capsys, rows, "table", WIDE).splitlines()
    assert len(line) == 60
    assert "False" in line and "..." in line
    monkeypatch.setattr("recorder.cli.output.terminal_width", lambda: 30)
    (head, line, *notes) = shown(capsys, rows, "table", WIDE).splitlines()
    assert head.split() == ["order", "name"]
    assert len(line) <= 30
    assert max(map(len, notes)) <= 30
    note = " ".join(notes)
    assert note == "Too narrow for: amount, sure. --columns chooses columns, --format csv prints all."
    # What was asked for is shown, however wide.
    chosen = shown(capsys, rows, "table", WIDE, columns_=("amount", "sure")).splitlines()
    assert chosen == ["              amount  sure", "1234567890.123456789  False"]


#: Venue → its longest symbol and id.
LONGEST = {
    "fmex": ("BTCUSD_P", "849758102002"),
    "bybit": ("BTC-27MAR26-100000-C-USDT", "c7a2ed3b-4f5d-4f0e-9d0b-93a0ab53b6d0"),
    "okx": ("BTC-USD-260327-100000-C", "1753197687182819328"),
    "hyperliquid": ("xyz:SILVER", "91490942001"),
    "binance": ("1000000MOGUSDT", "8389765519823434"),
    "binance_spot": ("1000SATSUSDT", "12569099453"),
    "deribit": ("BTC_USDC-27MAR26-100000-C", "USDC-16152818231"),
    "kraken": ("PF_XBTUSD", "c18f0c17-9971-40e6-8e5b-10df05d422f0"),
    "bitget": ("1000000MOGUSDT", "1153281249671372801"),
}
TABLES = {
    f"{module.__name__.rpartition('.')[2]}.{name}": columns
    for module in (look, books, trade, verify, compare)
    for name, columns in vars(module).items()
    if name.endswith("COLUMNS")
}
#: What a table of 80 columns must not leave out.
KEPT = {
    "look.ORDER_COLUMNS": {"symbol", "side", "status", "quantity", "price"},
    "look.FILL_COLUMNS": {"symbol", "side", "quantity", "price"},
    "look.TIMELINE_COLUMNS": {"kind", "subject", "event", "quantity"},
    "look.GAP_COLUMNS": {"begins (UTC)", "ends (UTC)", "reason", "state"},
    "trade.TRIP_COLUMNS": {"symbol", "direction", "pnl", "currency"},
    "trade.PNL_COLUMNS": {"symbol", "net pnl", "currency"},
    "books.COLUMNS": {"currency", "change", "unexplained"},
}


class Made:
    """A row of any table, of a venue whose texts are long."""

    def __init__(self, number: int, symbol: str, order_id: str, columns: list[Column]) -> None:
        self._texts = {
            "symbol": symbol,
            "subject": order_id,
            "order_id": order_id,
            "trade_id": order_id,
            "side": "sell",
        }
        self._texts |= {"status": "partially_filled", "event": "partially_filled", "direction": "long", "kind": "order"}
        self._texts |= {"account": "main", "currency": "USDT", "reason": "connection lost", "state": "unrecoverable"}
        self._number, self._amounts = number, {column.name for column in columns if column.right}

    def __getattr__(self, name: str) -> object:
        if name.endswith(("_ns", "_ms")):
            return 1_580_802_053_662 * (1 if name.endswith("_ms") else 1_000_000)
        if name == "gap_id":
            return self._number
        if name in self._amounts:
            return Decimal("10425.1234") + self._number
        return self._texts.get(name, f"words {self._number}") if name != "adds_up" else bool(self._number)


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("table", TABLES)
def test_every_table_fits_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, table: str, venue: str
) -> None:
    monkeypatch.setattr("recorder.cli.output.terminal_width", lambda: 80)
    rows = [Made(number, *LONGEST[venue], TABLES[table]) for number in range(2)]
    show(rows, TABLES[table], Layout(), "")
    head, *lines = capsys.readouterr().out.splitlines()
    assert max(map(len, [head, *lines])) <= 80
    assert {title for title in KEPT.get(table, ()) if title not in head} == set()


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_columns_and_a_limit(capsys: pytest.CaptureFixture[str], form: str) -> None:
    rows = [Row(f"name-{number}", Decimal(number)) for number in range(5)]
    out = shown(capsys, rows, form, columns_=("sure", "amount"), limit=2)
    assert "name" not in out
    if form == "json":
        assert out == '{"sure": false, "amount": "3"}\n{"sure": false, "amount": "4"}\n'
    elif form == "csv":
        assert out == "sure,amount\nFalse,3\nFalse,4\n"
    else:
        assert out.splitlines() == ["sure   amount", "False       3", "False       4", "The last 2 of 5 rows."]
    with pytest.raises(click.UsageError, match="There is no column 'prise' here; there are: name, amount, order_id"):
        shown(capsys, rows, form, columns_=("prise",))


def test_a_long_table_shows_its_end_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Row(f"name-{number}", None) for number in range(TABLE_ROWS_MAX + 1050)]
    lines = shown(capsys, rows, "table").splitlines()
    assert len(lines) == 1 + TABLE_ROWS_MAX + 1
    assert "name-1050 " in lines[1]
    assert lines[-1] == "The last 200 of 1,250 rows; --since narrows it, --format csv prints all."
    assert len(shown(capsys, rows, "csv").splitlines()) == 1 + len(rows)
    assert len(shown(capsys, rows[:TABLE_ROWS_MAX], "table").splitlines()) == 1 + TABLE_ROWS_MAX


def test_a_column_that_says_the_same_in_all_rows_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [word("name", if_it_differs=True), number("amount")]
    rows = [Row("main", Decimal(1)), Row("main", Decimal(2))]
    assert "main" not in shown(capsys, rows, "table", columns)
    assert "main" in shown(capsys, [*rows, Row("other", None)], "table", columns)


def test_a_table_of_the_newest_rows_says_that_there_are_more(capsys: pytest.CaptureFixture[str]) -> None:
    layout = Layout(limit=2)
    assert (layout.newest, Layout("json", limit=2).newest, Layout("json").newest) == (3, 2, None)
    for count, last in ((2, "2020-02-04 07:40:53.662  b         1"), (3, "The last 2 rows.")):
        show([Row(name, None) for name in "abc"[:count]], COLUMNS, layout, "", only_newest=True)
        assert capsys.readouterr().out.splitlines()[-1].strip() == last
    show([Row(name, None) for name in "ab"], COLUMNS, Layout(limit=1), "", only_newest=True)
    assert capsys.readouterr().out.splitlines()[-1] == "The last row."


def test_things_are_counted() -> None:
    assert [counted(count, "batch", "batches") for count in (0, 1, 1024)] == ["0 batches", "1 batch", "1,024 batches"]
    assert [counted(count, "seal") for count in (1, 2)] == ["1 seal", "2 seals"]


def test_a_column_without_a_value_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [word("name"), number("amount", if_any=True)]
    for amount, titles in ((None, ["name"]), (Decimal(1), ["name", "amount"])):
        show([Row("one", amount), Row("two", None)], columns, Layout(), "")
        assert capsys.readouterr().out.splitlines()[0].split() == titles


def test_rows_go_out_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    def rows() -> Any:
        yield Row("one", None)
        assert '"one"' in capsys.readouterr().out
        yield Row("two", None)

    show(rows(), COLUMNS, Layout("json"), "")


def test_an_estimated_price_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = Fill(*[None] * 18, True, "derived", 1, 1, 0)  # type: ignore[arg-type, call-arg]
    fill = nothing._replace(
        account="main",
        received_ns=1,
        order_id="1",
        symbol="X",
        side="buy",
        quantity=Decimal(3),
        price=Decimal("9007.50"),
        fee=Decimal("0.1"),
    )
    fee_only = fill._replace(quantity=Decimal(0), price=None)
    certain = fill._replace(price_is_estimate=False)
    _, *lines = shown(capsys, [fill, fee_only, certain], "table", look.FILL_COLUMNS).splitlines()
    assert "~9007.5" in lines[0]
    assert "~" not in lines[1]
    assert "~" not in lines[2]
    assert "9007.5" in lines[2]
    assert json.loads(shown(capsys, [fill], "json"))["price_is_estimate"] is True


def test_a_gap_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    gaps = [
        Gap("main", None, 1580802053662000000, None, "beginning", "the record begins", "open", 1),
        Gap("other", 1580802053662000000, None, "order.x", "lost", None, "open", 2),
    ]
    _, first, second = shown(capsys, gaps, "table", look.GAP_COLUMNS).splitlines()
    assert first.split("  ")[:3] == ["", "1", "before the record"]
    assert "2020-02-04 07:40:53.662" in first
    assert " all " in first
    assert "not ended" in second
    assert "order.x" in second


def test_a_status_is_one_object() -> None:
    coverage = Coverage("main", 1, 2, 1, 0, False)
    told = Status("x.db", 1, 2, None, (AccountStatus("main", "fmex", 1, 1, "connected", 2, 0, coverage),))
    assert json.loads(json_line(told)) == {
        "database": "x.db",
        "size_bytes": 1,
        "frames": 2,
        "last_run": None,
        "accounts": [
            {
                "account": "main",
                "venue": "fmex",
                "recorders": 1,
                "sessions": 1,
                "session": "connected",
                "last_frame_ns": 2,
                "undecoded": 0,
                "coverage": coverage._asdict(),
                "discrepancies": 0,
                "history_since_ms": {},
                "reused_order_ids": [],
            }
        ],
    }


def test_csv_has_its_head_where_there_is_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, [], "csv") == "name,amount,order_id,ts,sure\n"
