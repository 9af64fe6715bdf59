"""Rows as a table for people, as CSV for spreadsheets, or as JSON lines for programs."""

import csv
import json
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from recorder.clock import NS_PER_MS, utc_text
from recorder.venues.reading import printable

if TYPE_CHECKING:
    from sqlalchemy import Connection

FORMATS = ("table", "csv", "json")

#: Rows that a table shows unless `--limit` says otherwise: the last ones.
TABLE_ROWS_MAX = 200
#: Between two columns of a table.
GUTTER = "  "
#: Characters that a column of prose keeps when the terminal is too narrow.
PROSE_MIN = 16
#: Characters that a column of words keeps when nothing more can be left out. Numbers and times are never cut.
WORD_MIN = 10


class Column(NamedTuple):
    """A column of a table for people."""

    #: The field of the row that it shows; `--columns` and CSV name it so.
    name: str
    title: str
    #: The text of a row's cell.
    text: Callable[[Any], str]
    right: bool = False
    #: Left out where all rows say the same.
    if_it_differs: bool = False
    #: Left out where no row says anything.
    if_any: bool = False
    #: On a terminal that is too narrow, columns with a higher number are left out first; 0 never is.
    rank: int = 0
    #: On a terminal that is too narrow, its texts may be shortened.
    is_prose: bool = False
    #: Likewise, where leaving columns out is not enough.
    is_word: bool = False


class Layout(NamedTuple):
    """How rows are printed."""

    form: str = FORMATS[0]
    #: The names of the fields to show, in this order; none: the usual ones.
    columns: tuple[str, ...] = ()
    #: Show only this number of rows, the last ones; None: all, or `TABLE_ROWS_MAX` in a table.
    limit: int | None = None

    @property
    def is_table(self) -> bool:
        """Whether people read it."""
        return self.form == FORMATS[0]

    @property
    def newest(self) -> int | None:
        """How many rows to read, the last ones; None: all. A table needs one more, to say that there are more."""
        if not self.is_table:
            return self.limit
        return (TABLE_ROWS_MAX if self.limit is None else self.limit) + 1


def number(field: str, title: str | None = None, *, if_any: bool = False, rank: int = 0) -> Column:
    """A column of numbers, in plain notation."""
    title = title or field.replace("_", " ")
    return Column(field, title, lambda row: plain(getattr(row, field)), right=True, if_any=if_any, rank=rank)


def word(
    field: str,
    title: str | None = None,
    *,
    if_it_differs: bool = False,
    if_any: bool = False,
    rank: int = 0,
    is_prose: bool = False,
) -> Column:
    """A column of text."""
    title = title or field.replace("_", " ")

    def text(row: Any) -> str:
        return _text(getattr(row, field))

    return Column(field, title, text, False, if_it_differs, if_any, rank, is_prose, is_word=True)


def time_ms(field: str, title: str, otherwise: str = "", rank: int = 0) -> Column:
    """A column of instants in milliseconds."""

    def text(row: Any) -> str:
        at_ms = getattr(row, field)
        return otherwise if at_ms is None else utc_text(at_ms * NS_PER_MS)

    return Column(field, title, text, rank=rank)


def time_ns(field: str, title: str, otherwise: str = "", rank: int = 0) -> Column:
    """A column of instants in nanoseconds."""
    return Column(field, title, lambda row: utc_text(getattr(row, field)) or otherwise, rank=rank)


def counted(count: int, thing: str, things: str = "") -> str:
    """So many things, such as `1 seal` or `1,024 seals`.

    Args:
        count: how many.
        thing: one of them.
        things: several of them; empty: with an s.
    """
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"


def plain(value: object) -> str:
    """A number without an exponent and without trailing zeros; None is empty."""
    if not isinstance(value, Decimal):
        return _text(value)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def show(
    rows: Iterable[Any],
    columns: Sequence[Column],
    layout: Layout,
    nothing: str,
    fields: Sequence[str] = (),
    *,
    only_newest: bool = False,
) -> None:
    """Print rows to standard output.

    Args:
        rows: named tuples of one kind.
        columns: the usual columns of the table; CSV and JSON have every field.
        layout: how.
        nothing: what a table says where there is no row.
        fields: the names of the rows' fields.
        only_newest: whether the rows are only the last ones, `layout.newest` of them at most.

    Raises:
        click.UsageError: `--columns` names a field that the rows do not have.
    """
    names = tuple(fields) or tuple(column.name for column in columns)
    _check_columns(layout.columns, names, [column.name for column in columns])
    if layout.form == "json":
        for row in _last(rows, layout.limit):
            chosen_fields = row if not layout.columns else {name: getattr(row, name) for name in layout.columns}
            show_json(chosen_fields)
    elif layout.form == "csv":
        _write_utf8()
        writer = csv.writer(sys.stdout, lineterminator="\n")
        chosen = layout.columns or names
        writer.writerow(chosen)
        for row in _last(rows, layout.limit):
            writer.writerow([_csv_value(getattr(row, name)) for name in chosen])
    else:
        _table(rows, _chosen(columns, layout.columns), layout, nothing, only_newest=only_newest)


def json_line(row: Any) -> str:
    """A row as a JSON object. Decimals are strings in plain notation, for a JSON number may lose digits."""
    return json.dumps(_jsonable(row), ensure_ascii=False)


def show_json(row: Any) -> None:
    """Print a row as a JSON object, as a line in UTF-8."""
    _write_utf8()
    sys.stdout.write(json_line(row) + "\n")


def note_reused_ids(connection: "Connection", account: str | None) -> None:
    """Say on standard error of each account whose exchange gave the id of one of its newest orders twice.

    Args:
        connection: to the record.
        account: only this one, by `name` or `venue/name`; None: all.
    """
    from recorder.read.queries import reused_order_ids  # noqa: PLC0415  help texts need no database
    from recorder.read.scope import labelled_accounts  # noqa: PLC0415

    for one in labelled_accounts(connection, account):
        if ids := reused_order_ids(connection, one.account_id):
            click.echo(f"Note: {printable(one.label)}: {reused(ids)}", err=True)


def reused(ids: Sequence[str]) -> str:
    """What it means that an exchange gave ids of orders twice."""
    which = f"{counted(len(ids), 'id')} of the newest orders, such as {printable(ids[0])}, had been used before"
    return f"{which} (an exchange that was reset?); orders and fills of one id may be shown as one."


def heading(text: str) -> str:
    """A heading, bold on a terminal."""
    return click.style(text, bold=True)


def _write_utf8() -> None:
    """Write UTF-8 to standard output from here on: programs read it, and a locale's encoding may lack characters."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(encoding="utf-8")


def _check_columns(asked: Sequence[str], *known: Sequence[str]) -> None:
    names = list(dict.fromkeys(name for some in known for name in some))
    for name in asked:
        if name not in names:
            raise click.UsageError(f"There is no column {name!r} here; there are: {', '.join(names)}.")


def _chosen(columns: Sequence[Column], asked: Sequence[str]) -> list[Column]:
    usual = {column.name: column for column in columns}
    if not asked:
        return list(columns)
    return [
        usual[name]._replace(if_it_differs=False, if_any=False, rank=0) if name in usual else _any(name)
        for name in asked
    ]


def _any(field: str) -> Column:
    """A column of a field that the table does not usually show."""
    return Column(field, field.replace("_", " "), lambda row: plain(getattr(row, field)))


def _last(rows: Iterable[Any], limit: int | None) -> Iterable[Any]:
    return rows if limit is None else deque(rows, maxlen=limit)


def _csv_value(value: Any) -> Any:
    return plain(value) if isinstance(value, Decimal) else value


def _jsonable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {name: _jsonable(field) for name, field in value.items()}
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    return value


def _table(rows: Iterable[Any], columns: Sequence[Column], layout: Layout, nothing: str, *, only_newest: bool) -> None:
    shown_max = TABLE_ROWS_MAX if layout.limit is None else layout.limit
    last: deque[Any] = deque(maxlen=shown_max)
    count = 0
    for row in rows:
        last.append(row)
        count += 1
    if not count:
        click.echo(nothing)
        return
    cells = [(column, [column.text(row) for row in last]) for column in columns]
    cells = [
        (column, texts)
        for column, texts in cells
        if (not column.if_it_differs or len(set(texts)) > 1) and (not column.if_any or any(texts))
    ]
    cells, dropped = _fitted(cells, width := None if layout.columns else terminal_width())
    lines = [[column.title for column, _ in cells], *zip(*(texts for _, texts in cells), strict=True)]
    widths = [_width(column, texts) for column, texts in cells]
    for number_of_line, line in enumerate(lines):
        parts = [
            _padded(text, width, right=column.right)
            for text, width, (column, _) in zip(line, widths, cells, strict=True)
        ]
        text = GUTTER.join(parts).rstrip()
        click.echo(heading(text) if number_of_line == 0 else text)
    if dropped:
        told = f"Too narrow for: {', '.join(dropped)}. --columns chooses columns, --format csv prints all."
        click.echo(click.wrap_text(told, width or len(told)))
    if count > len(last):
        hint = "; --since narrows it, --format csv prints all" if layout.limit is None else ""
        whole = "" if only_newest else f" of {count:,}"
        what = "row" if only_newest and len(last) == 1 else f"{len(last):,}{whole} rows"
        click.echo(f"The last {what}{hint}.")


def terminal_width() -> int | None:
    """Columns of the terminal; None where output goes elsewhere: nothing is cut then."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


_Cells = list[tuple[Column, list[str]]]


def _fitted(cells: _Cells, width: int | None) -> tuple[_Cells, list[str]]:
    """Shorten prose, leave columns out, shorten words, until a table fits.

    If even that is not enough, columns without a rank are left out, too, the last one first.

    Returns:
        What is left, and the names of the columns that are not.
    """
    dropped: list[str] = []
    if width is None or _total(cells) <= width:
        return cells, dropped
    cells = [
        (column, texts if not column.is_prose else [_cut(text, _room(cells, column, width)) for text in texts])
        for column, texts in cells
    ]
    while _total(cells) > width and (rank := max(column.rank for column, _ in cells)):
        at = max(index for index, (column, _) in enumerate(cells) if column.rank == rank)
        dropped.insert(0, cells.pop(at)[0].name)
    cells = _with_short_words(cells, _total(cells) - width)
    while _total(cells) > width and len(cells) > 1:
        dropped.insert(0, cells.pop()[0].name)
    return cells, dropped


def _with_short_words(cells: _Cells, excess: int) -> _Cells:
    """The same with words shortened, those of the widest column first, by so many characters in all."""
    widths = {at: _width(*cell) for at, cell in enumerate(cells) if cell[0].is_word}
    least = {at: max(WORD_MIN, len(cells[at][0].title)) for at in widths}
    for _ in range(excess):
        shrinkable = [at for at, width in widths.items() if width > least[at]]
        if not shrinkable:
            break
        widths[max(shrinkable, key=lambda at: widths[at])] -= 1
    return [
        (column, texts if at not in widths else [_cut(text, widths[at]) for text in texts])
        for at, (column, texts) in enumerate(cells)
    ]


def _room(cells: _Cells, column: Column, width: int) -> int:
    """Characters that a column of prose may take: an equal part of what the other columns leave."""
    prose = [(one, texts) for one, texts in cells if one.is_prose]
    others = _total(cells) - sum(_width(one, texts) for one, texts in prose)
    return max((width - others) // len(prose), PROSE_MIN, len(column.title))


def _total(cells: _Cells) -> int:
    return sum(_width(column, texts) for column, texts in cells) + len(GUTTER) * (len(cells) - 1)


def _width(column: Column, texts: Sequence[str]) -> int:
    return max(len(column.title), *map(_length, texts))


def _cut(text: str, width: int) -> str:
    if _length(text) <= width:
        return text
    kept = text[: width - 3]
    while _length(kept) > width - 3:
        kept = kept[:-1]
    return f"{kept}..."


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - _length(text))
    return space + text if right else text + space


def _length(text: str) -> int:
    """Columns of the terminal that a text takes: East Asian characters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415  rarely needed, and slow to import

    return cell_len(text)


def _text(value: object) -> str:
    # A terminal would obey control characters that a venue may have put into a text. CSV and JSON are exact.
    return "" if value is None else printable(str(value))
