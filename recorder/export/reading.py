"""Reading the files of an export back, in whichever format, as far as verifying them needs."""

import csv
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from recorder.errors import ExportError
from recorder.export.columns import ExportColumn, Kind, columns_of_record
from recorder.export.formats import BASE64, CSV, JSONL, PARQUET, library

#: Rows of Parquet read at a time.
READ_ROWS = 1_024
#: The longest field of a CSV file; the csv module's own limit is 131,072 bytes.
FIELD_MAX = 2**31 - 1

T = TypeVar("T", bound=tuple[Any, ...])


class ExportedFrame(NamedTuple):
    """A frame of an export: what its digest is made of."""

    run_id: int | None
    account_id: int
    session_id: int
    seq: int
    received_ns: int
    source: str
    topic: str | None
    payload: bytes


def rows_in(path: Path, record: type[T]) -> Iterator[T]:
    """The rows of a file, in its order.

    Args:
        path: a file of an export.
        record: the type of the rows: `ExportedFrame`, or a type of `recorder.export.seal_tables`. It may have fewer
            columns than the file.

    Raises:
        ExportError: the file lacks a column, or is not as an export writes it.
    """
    columns = [column for column in columns_of_record(record) if column.kind is not Kind.TIME]
    try:
        if path.suffix not in _READERS:
            raise ValueError("unknown suffix")
        for row in _READERS[path.suffix](path, columns):
            yield record(*[_value(column, row) for column in columns])
    except KeyError as error:
        raise ExportError(f"{path} lacks the column {error.args[0]!r}: it was exported without it.") from None
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror or error}).") from None
    except (ValueError, TypeError, csv.Error) as error:  # includes the libraries' own errors
        raise ExportError(f"{path} is not as an export writes it ({error}).") from None


def _parquet(path: Path, columns: Sequence[ExportColumn]) -> Iterator[Mapping[str, Any]]:
    pq = library("pyarrow.parquet", "parquet", "Parquet needs")
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(READ_ROWS, columns=[column.name for column in columns]):
            yield from batch.to_pylist()


def _jsonl(path: Path, columns: Sequence[ExportColumn]) -> Iterator[Mapping[str, Any]]:
    with path.open("rb") as lines:
        yield from map(msgspec.json.decode, lines)


def _csv(path: Path, columns: Sequence[ExportColumn]) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(FIELD_MAX)
    kinds = {column.name: column.kind for column in columns}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            yield {name: _parsed(kinds.get(name), text) for name, text in row.items()}


_READERS: dict[str, Callable[[Path, Sequence[ExportColumn]], Iterator[Mapping[str, Any]]]] = {
    f".{PARQUET}": _parquet,
    f".{CSV}": _csv,
    f".{JSONL}": _jsonl,
}


def _parsed(kind: Kind | None, text: str) -> Any:
    """The value of a CSV cell. An empty one is null, except for bytes, which are never null."""
    if text == "" and kind is not Kind.BYTES:
        return None
    if kind is Kind.BOOLEAN:
        return text == "true"
    return int(text) if kind is Kind.INTEGER else text


def _value(column: ExportColumn, row: Mapping[str, Any]) -> Any:
    """A value; bytes are decoded from the text that text formats write them as."""
    value = row[column.name]
    if column.kind is Kind.HASH and isinstance(value, str):
        return bytes.fromhex(value)
    if column.kind is not Kind.BYTES or isinstance(value, bytes):
        return value
    encoded = row[column.name + BASE64]
    return b64decode(encoded, validate=True) if encoded else str(value).encode()
