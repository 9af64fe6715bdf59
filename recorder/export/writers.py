"""Writers of one exported file: CSV, JSON lines and, with pyarrow, Parquet."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec

from recorder.errors import ExportError
from recorder.export.columns import ExportColumn, Kind, Row, instant_text, instant_us
from recorder.export.formats import BASE64, CSV, FLOAT, FORMATS, PARQUET, Style


class Sink(Protocol):
    """Where a writer puts its bytes."""

    def write(self, data: bytes) -> int:
        """Write all of them."""
        ...


class TableWriter(Protocol):
    """Writes one file of a table."""

    def __init__(self, sink: Sink, table: str, columns: Sequence[ExportColumn], style: Style) -> None: ...

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows.

        Raises:
            ExportError: a number does not fit the style.
        """
        ...

    def close(self) -> None:
        """Write the end of the file."""
        ...


def writer_of(form: str) -> type[TableWriter]:
    """The writer of a format.

    Raises:
        ExportError: there is no such format.
        ConfigurationError: a library is missing.
    """
    if form == PARQUET:
        from recorder.export.arrow import ParquetWriter  # noqa: PLC0415  needs an extra

        return ParquetWriter
    if form not in FORMATS:
        raise ExportError(f"There is no format {form!r} to export in; there are: {', '.join(FORMATS)}.")
    return CsvWriter if form == CSV else JsonLinesWriter


def type_name(form: str, column: ExportColumn, style: Style) -> str:
    """The type of a column in a file, for people: in Parquet Arrow's name, such as `decimal128(38, 18)`."""
    if form == PARQUET:
        from recorder.export.arrow import type_of  # noqa: PLC0415  needs an extra

        return str(type_of(column, style))
    return style.decimals if column.kind is Kind.DECIMAL else column.kind.value


class _Field(NamedTuple):
    """A column as text; a column of bytes becomes two."""

    name: str
    kind: Kind
    at: int
    #: From a value that is not null to text, an integer, a float or a boolean.
    convert: Callable[[Any], Any]


def _fields(columns: Sequence[ExportColumn], style: Style) -> Iterator[_Field]:
    for column in columns:
        name, kind, at = column[:3]
        match kind:
            case Kind.BYTES:
                yield _Field(name, kind, at, _utf8)
                yield _Field(name + BASE64, kind, at, _base64)
            case Kind.HASH:
                yield _Field(name, kind, at, lambda value: bytes(value).hex())
            case Kind.TIME:
                yield _Field(name, kind, at, partial(_time, unit_ns=column.unit_ns))
            case Kind.DECIMAL:
                yield _Field(name, kind, at, float if style.decimals == FLOAT else str)
            case _:
                yield _Field(name, kind, at, lambda value: value)


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _base64(value: bytes) -> str | None:
    return b64encode(value).decode() if _utf8(value) is None else None


def _time(value: int, unit_ns: int) -> str | None:
    at_us = instant_us(value, unit_ns)
    return None if at_us is None else instant_text(at_us)


class _TextWriter:
    """What CSV and JSON lines have in common: a line for each row."""

    def __init__(self, sink: Sink, table: str, columns: Sequence[ExportColumn], style: Style) -> None:
        self._sink = sink
        self._fields = list(_fields(columns, style))

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        fields = [(field.at, field.convert) for field in self._fields]
        self._sink.write(
            b"".join(
                self._line([None if (value := row[at]) is None else convert(value) for at, convert in fields]) + b"\n"
                for row in rows
            )
        )

    def close(self) -> None:
        """Nothing follows the last line."""

    def _line(self, values: Sequence[Any]) -> bytes:
        raise NotImplementedError


class JsonLinesWriter(_TextWriter):
    """Writes JSON lines: decimals are strings, unless floats are requested."""

    def _line(self, values: Sequence[Any]) -> bytes:
        return msgspec.json.encode({field.name: value for field, value in zip(self._fields, values, strict=True)})


class CsvWriter(_TextWriter):
    """Writes CSV with a header.

    Null is an empty cell, and text is always quoted, so an empty text is not null: PostgreSQL's COPY and DuckDB tell
    the two apart. The csv module cannot write that before Python 3.12.
    """

    def __init__(self, sink: Sink, table: str, columns: Sequence[ExportColumn], style: Style) -> None:
        super().__init__(sink, table, columns, style)
        self._is_text = [field.kind in {Kind.TEXT, Kind.BYTES} for field in self._fields]
        sink.write(",".join(field.name for field in self._fields).encode() + b"\n")

    def _line(self, values: Sequence[Any]) -> bytes:
        return ",".join(map(_cell, values, self._is_text)).encode()


def _cell(value: Any, is_text: bool) -> str:
    if value is None:
        return ""
    if is_text:
        return f'"{str(value).replace(chr(34), chr(34) * 2)}"'
    return str(value).lower() if isinstance(value, bool) else str(value)
