"""CSV: a head, then a line for each row.

What is null is empty; text stands in quotes always, so that an empty text is not nothing: PostgreSQL's COPY and DuckDB
tell the two apart as they stand here.
"""

from collections.abc import Callable, Sequence
from typing import Any

from recorder.export.columns import Column, Kind, Row
from recorder.export.formats.base import Sink
from recorder.export.formats.texts import fields_of, records, type_name
from recorder.export.style import Style

_END = "\n"


class Writer:
    """Writes one CSV file."""

    def __init__(self, sink: Sink, table: str, columns: Sequence[Column], style: Style) -> None:
        self._sink = sink
        self._fields = fields_of(columns, style)
        self._cells: list[Callable[[Any], str]] = [
            _quoted if field.kind in {Kind.TEXT, Kind.BYTES} else _plain for field in self._fields
        ]
        sink.write((",".join(field.name for field in self._fields) + _END).encode())

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        lines = (
            ",".join([cell(value) for cell, value in zip(self._cells, record, strict=True)])
            for record in records(self._fields, rows)
        )
        self._sink.write("".join(f"{line}{_END}" for line in lines).encode())

    def close(self) -> None:
        """Nothing follows the last line."""

    @staticmethod
    def type_name(column: Column, style: Style) -> str:
        """What a column's text says."""
        return type_name(column, style)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _quoted(value: str | None) -> str:
    return "" if value is None else f'"{value.replace(chr(34), chr(34) * 2)}"'
