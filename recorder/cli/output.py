"""Rows to a table for people, csv for sheets, or json for programs."""

import csv
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NamedTuple, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from recorder.clock import NS_PER_MS, utc_text
from recorder.venues.base import printable

FORMATS = ("table", "csv", "json")

#: Beyond so many rows a table is no help any more: it shows the last ones, and says so.
TABLE_ROWS_MAX = 200
#: Characters that no row is longer than. A narrow terminal wraps a row; digits that were cut off would be worse.
WIDE = 400


class Column(NamedTuple):
    """A column of a table for people."""

    title: str
    #: The text of a row's cell.
    text: Callable[[Any], str]
    right: bool = False
    #: Left out where all rows say the same.
    if_it_differs: bool = False


def number(field: str, title: str | None = None) -> Column:
    """A column of plain numbers: the exact digits, without an exponent."""
    return Column(title or field.replace("_", " "), lambda row: plain(getattr(row, field)), right=True)


def word(field: str, title: str | None = None, *, if_it_differs: bool = False) -> Column:
    """A column of text."""
    return Column(title or field.replace("_", " "), lambda row: _text(getattr(row, field)), if_it_differs=if_it_differs)


def time_ms(field: str, title: str, otherwise_ns: str | None = None) -> Column:
    """A column of instants in milliseconds; where there is none, of another field's in nanoseconds."""

    def text(row: Any) -> str:
        at_ms = getattr(row, field)
        if at_ms is not None:
            return utc_text(at_ms * NS_PER_MS)
        return utc_text(getattr(row, otherwise_ns)) if otherwise_ns else ""

    return Column(title, text)


def plain(value: Decimal | int | None) -> str:
    """A number's digits without an exponent and without zeros that say nothing."""
    if not isinstance(value, Decimal):
        return _text(value)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def show(rows: Iterable[Any], columns: list[Column], form: str, nothing: str, fields: tuple[str, ...] = ()) -> None:
    """Write rows to standard output.

    Args:
        rows: named tuples of one kind.
        columns: of the table for people; csv and json have every field.
        form: one of `FORMATS`.
        nothing: what a table says where there is no row.
        fields: the head of csv, also where there is no row.
    """
    if form == "json":
        for row in rows:
            sys.stdout.write(json_line(row) + "\n")
    elif form == "csv":
        _csv(rows, fields, sys.stdout)
    else:
        _table(rows, columns, nothing)


def json_line(row: Any) -> str:
    """One object: decimals as strings, exact."""
    return json.dumps(_jsonable(row), ensure_ascii=False)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "_asdict"):
        return {name: _jsonable(field) for name, field in value._asdict().items()}
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    return value


def _csv(rows: Iterable[Any], fields: tuple[str, ...], to: TextIO) -> None:
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(fields)
    for row in rows:
        writer.writerow(row)


def _table(rows: Iterable[Any], columns: list[Column], nothing: str) -> None:
    console = stdout_console()
    last: deque[Any] = deque(maxlen=TABLE_ROWS_MAX)
    count = 0
    for row in rows:
        last.append(row)
        count += 1
    if not last:
        console.print(nothing)
        return
    columns = [one for one in columns if not one.if_it_differs or len({one.text(row) for row in last}) > 1]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for row in last:
        # A string would be read as markup; a cell is text.
        table.add_row(*[Text(column.text(row)) for column in columns])
    console.print(table)
    if count > TABLE_ROWS_MAX:
        console.print(
            f"The last {TABLE_ROWS_MAX} of {count:,} rows; narrow it with --since, or take --format csv for all."
        )


def stdout_console() -> Console:
    """A console that cuts nothing off."""
    return Console(highlight=False, width=WIDE)


def _text(value: Any) -> str:
    # A table is for a terminal, which would obey what an exchange may have put into a text. csv and json are exact.
    return "" if value is None else printable(str(value))
