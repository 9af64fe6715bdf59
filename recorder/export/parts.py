"""The files of one table: one alone, or one and more for each account and day."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from recorder.clock import NS_PER_S, utc_text
from recorder.export.columns import Column, Kind, Row
from recorder.export.datasets import ACCOUNT, Dataset
from recorder.export.folder import HashedFile
from recorder.export.formats import PARQUET
from recorder.export.formats.base import Writer
from recorder.export.style import Style

#: Rows are written so many at a time, or of so many bytes in columns of bytes: memory does not grow with the record.
CHUNK_ROWS = 32_768
CHUNK_BYTES = 16 * 2**20

#: The folder of a day (UTC), which is that of receipt.
DAY = "received_day"
_DAY_NS = 86_400 * NS_PER_S

#: Session and number of a frame.
Cursor = tuple[int, int]


class File(NamedTuple):
    """One file of a table."""

    #: Below the folder of the export.
    path: str
    rows: int
    bytes: int
    sha256: str
    #: Of its first row and of its last, where a row follows from a frame.
    first: Cursor | None
    last: Cursor | None


class Form(NamedTuple):
    """How files are written."""

    name: str
    writer: type[Writer]
    style: Style

    def is_parted(self, dataset: Dataset) -> bool:
        """Whether a table lies in a folder for each account and day. Text is one file: people open it."""
        return dataset.by_day and self.name == PARQUET

    def columns(self, dataset: Dataset, chosen: Sequence[Column]) -> list[Column]:
        """The columns in the files: the account is in the path where there is a folder for it."""
        return [column for column in chosen if not (self.is_parted(dataset) and column.name == ACCOUNT)]


class Parts:
    """Writes the files of one table.

    Args:
        folder: of the export.
        dataset: the table.
        columns: in the files.
        form: of the files.
        written: told how many rows were written, again and again.
    """

    def __init__(
        self, folder: Path, dataset: Dataset, columns: Sequence[Column], form: Form, written: Callable[[int], None]
    ) -> None:
        self._folder, self._dataset, self._columns, self._form, self._written = folder, dataset, columns, form, written
        self._numbers: Counter[str] = Counter()
        self._cursor = dataset.at("session_id"), dataset.at("seq")
        self._payload = next((column.at for column in dataset.columns if column.kind is Kind.BYTES), None)
        self.files: list[File] = []

    def write(self, rows: Iterable[Row]) -> None:
        """Write the one file of a table."""
        self._write(f"{self._dataset.name}.{self._form.name}", rows)

    def write_days(self, account: str, rows: Iterable[Row]) -> None:
        """Write the rows of an account by day: a file, or where the clock went back or sessions overlap, several."""
        received = self._dataset.at("received_ns")
        assert received is not None
        for day, of_day in groupby(rows, lambda row: row[received] // _DAY_NS):
            self._write(self._next_part(account, day * _DAY_NS), of_day)

    def write_empty(self, account: str, at_ns: int) -> None:
        """Write a file without a row, of some day: whoever reads a table that has none finds its columns."""
        self._write(self._next_part(account, at_ns), ())

    def _next_part(self, account: str, at_ns: int) -> str:
        day = utc_text(at_ns).partition(" ")[0]
        place = f"{self._dataset.name}/account={quote(account, safe='')}/{DAY}={day}"
        self._numbers[place] += 1
        return f"{place}/part-{self._numbers[place]}.{self._form.name}"

    def _write(self, path: str, rows: Iterable[Row]) -> None:
        file = HashedFile(self._folder / path)
        try:
            writer = self._form.writer(file, self._dataset.name, self._columns, self._form.style)
            count, first, last = 0, None, None
            for chunk in self._chunks(rows):
                writer.write(chunk)
                count += len(chunk)
                first, last = first or self._cursor_of(chunk[0]), self._cursor_of(chunk[-1])
                self._written(len(chunk))
            writer.close()
            file.close()
        except BaseException:
            file.abandon()
            raise
        self.files.append(File(path, count, file.bytes, file.sha256, first, last))

    def _cursor_of(self, row: Row) -> Cursor | None:
        session, seq = self._cursor
        return None if session is None or seq is None else (row[session], row[seq])

    def _chunks(self, rows: Iterable[Row]) -> Iterator[list[Row]]:
        chunk: list[Row] = []
        size, payload = 0, self._payload
        for row in rows:
            chunk.append(row)
            if payload is not None:
                size += len(row[payload])
            if len(chunk) >= CHUNK_ROWS or size >= CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk
