"""The tables of a record as Arrow, pandas and Polars have them: exact decimals, integers that stay integers."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from recorder.export.datasets import DATASETS, Dataset, Source, columns_named, named
from recorder.export.extras import library
from recorder.export.scope import Scope, accounts_of, require_there
from recorder.export.style import DECIMAL128, SCALE, Style, checked
from recorder.read.record import ALL, Filter, Record

#: Names of the tables.
TABLES = tuple(DATASETS)
#: Rows are converted so many at a time.
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

    The record is read while the batches are, as it was when the first was.

    Args:
        record: which.
        table: one of `TABLES`.
        wanted: what of it.
        columns: which; none: all.
        decimals: `decimal128`, `string` (the digits as they are in the record), or `float`, which loses digits.
        scale: digits after the point of a `decimal128`.

    Raises:
        ExportError: there is no such table, column, account or contract; while reading: a number does not fit.
        ConfigurationError: pyarrow is missing.
    """
    pa = library("pyarrow", "parquet", "Data frames need")
    from recorder.export.arrow import batch_of, schema_of  # noqa: PLC0415  the library is an extra

    (dataset,) = named([table])
    chosen, style, scope = columns_named(dataset, columns), checked(Style(decimals, scale)), Scope(wanted)
    with record.at_one_moment() as connection:
        require_there(connection, scope, accounts_of(connection, scope))

    def batches() -> Iterator[Any]:
        for rows in _chunks(record, dataset, scope):
            yield batch_of(dataset.name, chosen, style, rows)

    return pa.RecordBatchReader.from_batches(schema_of(chosen, style), batches())


def to_arrow(record: Record, table: str, wanted: Filter = ALL, **how: Any) -> Any:
    """A `pyarrow.Table`; takes and raises what `to_batches` does."""
    return to_batches(record, table, wanted, **how).read_all()


def to_pandas(record: Record, table: str, wanted: Filter = ALL, **how: Any) -> Any:
    """A `pandas.DataFrame` over Arrow's own types; takes and raises what `to_batches` does.

    With the types pandas would choose by itself, an integer column with a null in it would turn into floats.
    """
    pandas = library("pandas", "pandas", "A pandas data frame needs")
    return to_arrow(record, table, wanted, **how).to_pandas(types_mapper=pandas.ArrowDtype)


def to_polars(record: Record, table: str, wanted: Filter = ALL, **how: Any) -> Any:
    """A `polars.DataFrame`; takes and raises what `to_batches` does."""
    polars = library("polars", "polars", "A Polars data frame needs")
    return polars.from_arrow(to_arrow(record, table, wanted, **how))


def _chunks(record: Record, dataset: Dataset, scope: Scope) -> Iterator[Sequence[Any]]:
    # A connection of its own: whatever else the record is asked meanwhile, also for another table.
    with Record(record.url) as own, own.at_one_moment() as connection:
        rows = iter(dataset.rows(Source(own, connection, accounts_of(connection, scope), scope)))
        while chunk := list(islice(rows, CHUNK_ROWS)):
            yield chunk
