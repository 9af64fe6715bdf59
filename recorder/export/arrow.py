"""Rows to Arrow: exact decimals, nulls that stay nulls."""

from collections.abc import Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

from recorder.errors import ExportError
from recorder.export.columns import Column, Kind, Row, instants_us
from recorder.export.extras import library
from recorder.export.style import DECIMAL128, FLOAT, PRECISION, Style

pa: Any = library("pyarrow", "parquet", "Parquet and data frames need")

#: It loses no digit.
_EXACT = Context(prec=PRECISION, traps=[Inexact, InvalidOperation])
_TYPES = {
    Kind.INTEGER: pa.int64(),
    Kind.TEXT: pa.string(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.BYTES: pa.binary(),
    Kind.HASH: pa.binary(),
    # Microseconds: Spark refuses nanoseconds. The integer beside it has them.
    Kind.TIME: pa.timestamp("us", tz="UTC"),
}


def type_of(column: Column, style: Style) -> Any:
    """The Arrow type of a column."""
    if column.kind is not Kind.DECIMAL:
        return _TYPES[column.kind]
    if style.decimals == DECIMAL128:
        return pa.decimal128(PRECISION, style.scale)
    return pa.float64() if style.decimals == FLOAT else pa.string()


def schema_of(columns: Sequence[Column], style: Style) -> Any:
    """The Arrow schema of a table."""
    return pa.schema([pa.field(column.name, type_of(column, style), column.nullable) for column in columns])


def batch_of(table: str, columns: Sequence[Column], style: Style, rows: Sequence[Row]) -> Any:
    """Some rows as an Arrow record batch.

    Raises:
        ExportError: a number has more digits than the style can hold; it is named.
    """
    values = list(zip(*rows, strict=True)) if rows else [()] * (1 + max((column.at for column in columns), default=0))
    arrays = [_array(table, column, style, values[column.at]) for column in columns]
    return pa.record_batch(arrays, schema=schema_of(columns, style))


def _array(table: str, column: Column, style: Style, values: Sequence[Any]) -> Any:
    if column.kind is Kind.TIME:
        return pa.array(instants_us(values, column.unit_ns), pa.int64()).cast(type_of(column, style))
    if column.kind is not Kind.DECIMAL:
        return pa.array(values, type_of(column, style))
    if style.decimals == FLOAT:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if style.decimals != DECIMAL128:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return pa.array(_fitted(table, column, style, values), type_of(column, style))


def _fitted(table: str, column: Column, style: Style, values: Sequence[Decimal | str | None]) -> list[Decimal | None]:
    """Numbers with all digits of the scale. Not left to Arrow: what does not fit may come out of it as another number.

    Raises:
        ExportError: one does not fit; it is named.
    """
    unit = Decimal((0, (1,), -style.scale))
    found: list[Decimal | None] = []
    for value in values:
        try:
            found.append(None if value is None else _EXACT.quantize(Decimal(value), unit))
        except (Inexact, InvalidOperation):
            raise ExportError(
                f"{value} in {table}.{column.name} does not fit a decimal128 of {PRECISION} digits, {style.scale} of "
                "them after the point; take --decimals string, or another --scale."
            ) from None
    return found
