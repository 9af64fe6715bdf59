"""Reading an export back: the rows of its files, in whichever form, as far as checking them against seals needs."""

import csv
import json
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from recorder.errors import ExportError
from recorder.export import manifest
from recorder.export.columns import Column, Kind, columns_of_record
from recorder.export.extras import library
from recorder.export.formats import CSV, JSONL, PARQUET
from recorder.export.formats.texts import BASE64
from recorder.export.sealed import RedactionEntry, Seal, Span

#: Rows of Parquet are read so many at a time.
READ_ROWS = 1_024
#: No field of a CSV file is longer; the csv module refuses what is beyond 131,072 bytes unless it is told.
FIELD_MAX = 2**31 - 1

T = TypeVar("T", bound=tuple[Any, ...])
Values = Sequence[Any]
Reader = Callable[[Path, Sequence[Column]], Iterator[Values]]


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


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the manifest of an export says.

    Raises:
        ExportError: there is none, or it is not one that this version knows.
    """
    path = folder / manifest.NAME
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise ExportError(f"{folder} is no export: its {manifest.NAME} cannot be read ({cause}).") from None
    if not isinstance(told, dict) or told.get("format") != manifest.FORMAT:
        raise ExportError(f"{path} is not the manifest of an export that this version knows ({manifest.FORMAT}).")
    return told


def files_of(folder: Path, told: Mapping[str, Any], table: str) -> list[Path]:
    """The files of a table, in the order in which they were written.

    Raises:
        ExportError: the export has no such table.
    """
    if table not in told["tables"]:
        raise ExportError(f"{folder} has no {table}.")
    return [folder / file["path"] for file in told["tables"][table]["files"]]


def frames_in(path: Path) -> Iterator[ExportedFrame]:
    """The frames of one file of `frames`, in its order.

    Raises:
        ExportError: it lacks a column, or is no such file.
    """
    return _records(path, ExportedFrame)


def seals_in(path: Path) -> Iterator[Seal]:
    """The seals of the file of `seals`. Raises as `frames_in` does."""
    return _records(path, Seal)


def spans_in(path: Path) -> Iterator[Span]:
    """The spans of the file of `spans`, in the order of the seals. Raises as `frames_in` does."""
    return _records(path, Span)


def redaction_entries_in(path: Path) -> Iterator[RedactionEntry]:
    """The entries of the file of `redaction_entries`, in the order of their batches. Raises as `frames_in` does."""
    return _records(path, RedactionEntry)


def _records(path: Path, record: type[T]) -> Iterator[T]:
    """The rows of a file, as far as a record has them: integers, texts and bytes as they were."""
    columns = [column for column in columns_of_record(record) if column.kind is not Kind.TIME]
    readers: dict[str, Reader] = {f".{PARQUET}": _parquet, f".{CSV}": _csv, f".{JSONL}": _jsonl}
    try:
        if path.suffix not in readers:
            raise ValueError("its name does not end as those of an export")
        for values in readers[path.suffix](path, columns):
            yield record(*values)
    except KeyError as error:
        raise ExportError(f"{path} lacks the column {error.args[0]!r}: it was exported without it.") from None
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror or error}).") from None
    except (ValueError, TypeError, csv.Error) as error:  # a library's own errors are among them
        raise ExportError(f"{path} is not as an export writes it ({error}).") from None


def _parquet(path: Path, columns: Sequence[Column]) -> Iterator[Values]:
    pq = library("pyarrow.parquet", "parquet", "Parquet needs")
    with pq.ParquetFile(path) as file:
        there = set(file.schema_arrow.names)
        for column in columns:
            if column.name not in there:
                raise KeyError(column.name)
        names = [column.name for column in columns]
        for batch in file.iter_batches(READ_ROWS, columns=names):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)


def _jsonl(path: Path, columns: Sequence[Column]) -> Iterator[Values]:
    decode = msgspec.json.decode
    with path.open("rb") as lines:
        for line in lines:
            row = decode(line)
            yield [_bytes(column, row, row[column.name]) for column in columns]


def _csv(path: Path, columns: Sequence[Column]) -> Iterator[Values]:
    csv.field_size_limit(FIELD_MAX)
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            yield [_bytes(column, row, _of_text(column, row[column.name])) for column in columns]


def _of_text(column: Column, text: str) -> Any:
    """A cell's value. An empty one is null, but of bytes, which are never null."""
    if column.kind is Kind.BYTES:
        return text
    if text == "":
        return None
    if column.kind is Kind.BOOLEAN:
        return text == "true"
    return int(text) if column.kind is Kind.INTEGER else text


def _bytes(column: Column, row: Any, value: Any) -> Any:
    """A value, with bytes out of the text that stands for them."""
    if column.kind is Kind.HASH:
        return None if value is None else bytes.fromhex(value)
    if column.kind is not Kind.BYTES:
        return value
    coded = row[column.name + BASE64]
    return b64decode(coded, validate=True) if coded else str(value).encode()
