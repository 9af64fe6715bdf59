"""Parquet: zstd, a row group for each chunk of rows."""

from collections.abc import Sequence
from typing import Any

from recorder.export.arrow import batch_of, schema_of, type_of
from recorder.export.columns import Column, Row
from recorder.export.extras import library
from recorder.export.formats.base import Sink
from recorder.export.style import Style

pq: Any = library("pyarrow.parquet", "parquet", "Parquet needs")

#: What it is compressed with.
COMPRESSION = "zstd"


class Writer:
    """Writes one Parquet file."""

    def __init__(self, sink: Sink, table: str, columns: Sequence[Column], style: Style) -> None:
        self._table, self._columns, self._style = table, columns, style
        self._writer = pq.ParquetWriter(sink, schema_of(columns, style), compression=COMPRESSION)

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows, as a row group."""
        self._writer.write_batch(batch_of(self._table, self._columns, self._style, rows))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()

    @staticmethod
    def type_name(column: Column, style: Style) -> str:
        """Arrow's name of the type, such as `decimal128(38, 18)`."""
        return str(type_of(column, style))
