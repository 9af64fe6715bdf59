"""Rows as Arrow and Parquet: exact decimals, nulls that stay nulls. Needs pyarrow."""

from collections.abc import Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from recorder.errors import ExportError
from recorder.export.columns import ExportColumn, Kind, Row, instant_us
from recorder.export.formats import DECIMAL128, FLOAT, PRECISION, Style, library

pa: Any = library("pyarrow", "parquet", "Parquet and data frames need")
pq: Any = library("pyarrow.parquet", "parquet", "Parquet needs")

COMPRESSION = "zstd"

#: Raises where it would lose a digit.
_EXACT = Context(prec=PRECISION, traps=[Inexact, InvalidOperation])
_TYPES = {
    Kind.INTEGER: pa.int64(),
    Kind.TEXT: pa.string(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.BYTES: pa.binary(),
    Kind.HASH: pa.binary(),
    # Microseconds, because Spark refuses nanoseconds; the integer column beside it has them.
    Kind.TIME: pa.timestamp("us", tz="UTC"),
}


def type_of(column: ExportColumn, style: Style) -> Any:
    """The Arrow type of a column."""
    if column.kind is not Kind.DECIMAL:
        return _TYPES[column.kind]
    if style.decimals == DECIMAL128:
        return pa.decimal128(PRECISION, style.scale)
    return pa.float64() if style.decimals == FLOAT else pa.string()


def schema_of(columns: Sequence[ExportColumn], style: Style) -> Any:
    """The Arrow schema of a table."""
    return pa.schema([pa.field(column.name, type_of(column, style), column.nullable) for column in columns])


def batch_of(table: str, columns: Sequence[ExportColumn], style: Style, rows: Sequence[Row]) -> Any:
    """Some rows as an Arrow record batch.

    Raises:
        ExportError: a number has more digits than the style can hold; the error names it.
    """
    arrays = [_array(table, column, style, [row[column.at] for row in rows]) for column in columns]
    return pa.record_batch(arrays, schema=schema_of(columns, style))


def _array(table: str, column: ExportColumn, style: Style, values: Sequence[Any]) -> Any:
    if column.kind is Kind.TIME:
        return pa.array([instant_us(value, column.unit_ns) for value in values], pa.int64()).cast(
            type_of(column, style)
        )
    if column.kind is Kind.DECIMAL and style.decimals == DECIMAL128:
        values = _quantized(table, column, style, values)
    elif column.kind is Kind.DECIMAL:
        convert = float if style.decimals == FLOAT else str
        values = [None if value is None else convert(value) for value in values]
    return pa.array(values, type_of(column, style))


def _quantized(
    table: str, column: ExportColumn, style: Style, values: Sequence[Decimal | str | None]
) -> list[Decimal | None]:
    """Numbers with all digits of the scale. Arrow alone may turn a number that does not fit into another number."""
    unit = Decimal((0, (1,), -style.scale))
    found: list[Decimal | None] = []
    for value in values:
        try:
            found.append(None if value is None else _EXACT.quantize(Decimal(value), unit))
        except (Inexact, InvalidOperation):
            raise ExportError(
                f"{value} in {table}.{column.name} does not fit a decimal128 of {PRECISION} digits, {style.scale} of "
                "them after the point; use --decimals string or another --scale."
            ) from None
    return found


class ParquetWriter:
    """Writes one Parquet file, a row group for each call of `write`."""

    def __init__(self, sink: Any, table: str, columns: Sequence[ExportColumn], style: Style) -> None:
        self._table, self._columns, self._style = table, columns, style
        self._writer = pq.ParquetWriter(sink, schema_of(columns, style), compression=COMPRESSION)

    def write(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        self._writer.write_batch(batch_of(self._table, self._columns, self._style, rows))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()
