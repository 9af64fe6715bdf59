"""The tables of a record in Arrow, pandas and Polars: exact decimals, integers that stay integers."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from recorder.export.formats import DECIMAL128, PARQUET, SCALE, library, style_for
from recorder.export.scope import Scope, accounts_of, require_there
from recorder.export.tables import ExportSource, ExportTable, columns_named, tables_named
from recorder.read.record import ALL, Filter, Record

#: Rows converted at a time.
CHUNK_ROWS = 32_768


def to_batches(
    record: Record,
    table: str,
    wanted: Filter = ALL,
    *,
    columns: Sequence[str] = (),
    decimals: str = DECIMAL128,
    scale: int = SCALE,
) -> Any:
    """A `pyarrow.RecordBatchReader` over a table: a chunk of rows at a time, so that memory does not grow.

    The record is read lazily; all batches show it as it was when the first was read.

    Args:
        record: the record.
        table: a table of an export, such as `fills`.
        wanted: account, symbol and time of the rows.
        columns: their names; empty: all.
        decimals: `decimal128`, `string` (the digits as recorded), or `float`, which loses digits.
        scale: digits after the point of a `decimal128`.

    Raises:
        ExportError: there is no such table, column, account or symbol; while reading: a number does not fit.
        ConfigurationError: pyarrow is missing.
    """
    pa = library("pyarrow", "parquet", "Data frames need")
    from recorder.export.arrow import batch_of, schema_of  # noqa: PLC0415  needs an extra

    (chosen_table,) = tables_named([table])
    chosen, style, scope = columns_named(chosen_table, columns), style_for(PARQUET, decimals, scale), Scope(wanted)
    with record.at_one_moment() as connection:
        require_there(connection, scope, accounts_of(connection, scope, record.status()))

    def batches() -> Iterator[Any]:
        for rows in _chunks(record, chosen_table, scope):
            yield batch_of(table, chosen, style, rows)

    return pa.RecordBatchReader.from_batches(schema_of(chosen, style), batches())


def to_arrow(record: Record, table: str, wanted: Filter = ALL, **how: Any) -> Any:
    """A `pyarrow.Table`; takes and raises what `to_batches` does."""
    return to_batches(record, table, wanted, **how).read_all()


def to_pandas(record: Record, table: str, wanted: Filter = ALL, **how: Any) -> Any:
    """A `pandas.DataFrame` with Arrow types; takes and raises what `to_batches` does.

    With pandas' own types, an integer column that contains a null would become floats.
    """
    pandas = library("pandas", "pandas", "A pandas data frame needs")
    return to_arrow(record, table, wanted, **how).to_pandas(types_mapper=pandas.ArrowDtype)


def to_polars(record: Record, table: str, wanted: Filter = ALL, **how: Any) -> Any:
    """A `polars.DataFrame`; takes and raises what `to_batches` does."""
    polars = library("polars", "polars", "A Polars data frame needs")
    return polars.from_arrow(to_arrow(record, table, wanted, **how))


def _chunks(record: Record, table: ExportTable, scope: Scope) -> Iterator[Sequence[Any]]:
    # On a connection of its own, so the record can be read for other tables meanwhile.
    with Record(record.url) as own, own.at_one_moment() as connection:
        source = ExportSource(own, connection, accounts_of(connection, scope, own.status()), scope)
        rows = iter(table.rows(source))
        while chunk := list(islice(rows, CHUNK_ROWS)):
            yield chunk
