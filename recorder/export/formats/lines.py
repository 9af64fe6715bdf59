"""JSON lines: an object a line, decimals as strings unless floats are asked for."""

from collections.abc import Sequence

import msgspec

from recorder.export.columns import Column, Row
from recorder.export.formats.base import Sink
from recorder.export.formats.texts import fields_of, records, type_name
from recorder.export.style import Style

_encode = msgspec.json.encode


class Writer:
    """Writes one file of JSON lines."""

    def __init__(self, sink: Sink, table: str, columns: Sequence[Column], style: Style) -> None:
        self._sink = sink
        self._fields = fields_of(columns, style)
        self._names = [field.name for field in self._fields]

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        lines = (_encode(dict(zip(self._names, record, strict=True))) for record in records(self._fields, rows))
        self._sink.write(b"".join(line + b"\n" for line in lines))

    def close(self) -> None:
        """Nothing follows the last line."""

    @staticmethod
    def type_name(column: Column, style: Style) -> str:
        """What a value says."""
        return type_name(column, style)
