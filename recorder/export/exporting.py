"""Exporting a record, or a part of it, into a folder of files: completely or not at all."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from recorder.clock import NS_PER_S, utc_text
from recorder.errors import ExportError, Incomplete
from recorder.export.columns import ACCOUNT, VENUE, ExportColumn, Kind, Row
from recorder.export.folder import HashedFile, new_folder
from recorder.export.formats import PARQUET, SCALE, Style, style_for
from recorder.export.manifest import DAY, Cursor, ExportedFile, WrittenTable, write_manifest
from recorder.export.scope import ExportedAccount, Scope, accounts_of, gaps_in, require_in_range, require_there
from recorder.export.seal_tables import BatchSeals, FramesSeen, seal_tables
from recorder.export.tables import FRAMES, ExportSource, ExportTable, columns_named, tables_named
from recorder.export.writers import writer_of
from recorder.read.record import Record

#: Rows written at a time, or bytes in columns of bytes: memory does not grow with the record.
CHUNK_ROWS = 32_768
CHUNK_BYTES = 16 * 2**20
_DAY_NS = 86_400 * NS_PER_S

#: Receives a table, how many more of its rows were written, and how many it has if that is known beforehand.
Progress = Callable[[str, int, int | None], None]


class Exported(NamedTuple):
    """A complete export."""

    folder: Path
    #: Table → its rows.
    rows: dict[str, int]
    files: int
    bytes: int
    #: The hash of the manifest: whoever keeps it can tell later whether anything in the folder has changed.
    sha256: str


def export(
    record: Record,
    target: Path,
    tables: Sequence[str] = (),
    scope: Scope = Scope(),  # noqa: B008  a tuple, immutable
    *,
    columns: Sequence[str] = (),
    form: str = PARQUET,
    decimals: str | None = None,
    scale: int = SCALE,
    require_complete: bool = False,
    progress: Progress = lambda _table, _rows, _of: None,
) -> Exported:
    """Write tables of a record into a new folder, as they are at one moment.

    Frames are exported with their seals. Memory does not grow with the record, except for a few numbers for each
    session, and for fills as `Record.fills` says.

    Args:
        record: the record.
        target: the folder; nothing may be there yet.
        tables: names from `TABLES`; empty: all.
        scope: the part of the record.
        columns: of the table, which must then be the only one; empty: all.
        form: one of `FORMATS`.
        decimals: how decimals are written, one of `DECIMALS`; None: exact, as suits the format.
        scale: digits after the point of a `decimal128`.
        require_complete: refuse a period that has gaps.
        progress: called after each chunk of rows.

    Raises:
        ExportError: it cannot be made; nothing of it is left.
        Incomplete: there are gaps; they are in the error.
        DatabaseError: the record cannot be read.
    """
    chosen = tables_named(tables)
    if columns and len(chosen) != 1:
        raise ExportError("--columns is for a single table; name it with --table.")
    if scope.topics and [table.name for table in chosen] != [FRAMES]:
        raise ExportError("--topic is for frames only; use --table frames and no other table.")
    chosen_columns = [columns_named(table, columns) for table in chosen]
    style, _ = style_for(form, decimals, scale), writer_of(form)
    with record.at_one_moment() as connection:
        status = record.status()
        accounts = accounts_of(connection, scope, status)
        require_there(connection, scope, accounts)
        require_in_range(connection, scope, accounts)
        source = ExportSource(record, connection, accounts, scope)
        if require_complete:
            _require_complete(source)
        now_ns = time.time_ns()
        with new_folder(target) as folder:
            expected = {FRAMES: status.frames} if scope.is_everything else {}

            def report(table: str, count: int) -> None:
                progress(table, count, expected.get(table))

            exporter = _Exporter(folder, source, form, style, now_ns, report)
            written = [exporter.write(*one) for one in zip(chosen, chosen_columns, strict=True)]
            seals = None
            if any(table.name == FRAMES for table in chosen):
                seals = BatchSeals(connection, exporter.frames, everything=scope.is_everything)
                written += [exporter.write(table, table.columns) for table in seal_tables(seals)]
            sha256 = write_manifest(folder, source, form, style, written, seals, now_ns)
    files = [file for one in written for file in one.files]
    rows = {one.table.name: one.rows for one in written}
    return Exported(target, rows, len(files), sum(file.bytes for file in files), sha256)


def _require_complete(source: ExportSource) -> None:
    gaps = gaps_in(source.record, source.scope, source.accounts)
    if gaps:
        raise Incomplete(
            f"Nothing was exported: the requested period has gaps ({len(gaps)}). Choose another period, or leave out "
            "--require-complete; the manifest then lists the gaps.",
            gaps,
        )


class _Exporter:
    """Writes the files of the tables, one table after the other.

    Text is one file for each table, because people open it. Tables that grow have in Parquet one or more files for
    each account and day; more than one if the clock went back or sessions overlap.
    """

    def __init__(
        self,
        folder: Path,
        source: ExportSource,
        form: str,
        style: Style,
        now_ns: int,
        progress: Callable[[str, int], None],
    ) -> None:
        self._folder, self._source, self._form, self._style = folder, source, form, style
        self._now_ns, self._progress = now_ns, progress
        self._parts: Counter[str] = Counter()
        self.frames = FramesSeen()

    def write(self, table: ExportTable, columns: Sequence[ExportColumn]) -> WrittenTable:
        """Write all files of a table."""
        is_parted = table.by_day and self._form == PARQUET
        if not is_parted:
            with self._reading(table, self._source) as rows:
                file = self._write(f"{table.name}.{self._form}", table, columns, rows)
            return WrittenTable(table, columns, [file], is_parted)
        # Venue and account are in the path.
        columns = [column for column in columns if column.name not in {VENUE, ACCOUNT}]
        received = table.at("received_ns")
        assert received is not None
        files = []
        for account in self._source.accounts:
            with self._reading(table, self._source.only(account)) as rows:
                for day, of_day in groupby(rows, lambda row: row[received] // _DAY_NS):
                    files.append(self._write(self._part(table, account, day * _DAY_NS), table, columns, of_day))
        if not files:
            # Whoever reads a table without rows finds its columns.
            path = self._part(table, self._source.accounts[0], self._now_ns)
            files.append(self._write(path, table, columns, ()))
        return WrittenTable(table, columns, files, is_parted)

    def _part(self, table: ExportTable, account: ExportedAccount, at_ns: int) -> str:
        """The path of the next file of a day."""
        day = utc_text(at_ns).partition(" ")[0]
        place = f"{VENUE}={quote(account.venue, safe='')}/{ACCOUNT}={quote(account.name, safe='')}/{DAY}={day}"
        folder = f"{table.name}/{place}"
        self._parts[folder] += 1
        return f"{folder}/part-{self._parts[folder]}.{self._form}"

    @contextmanager
    def _reading(self, table: ExportTable, source: ExportSource) -> Iterator[Iterable[Row]]:
        rows = table.rows(source)
        try:
            yield self.frames.watch(rows) if table.name == FRAMES else rows
        finally:
            # Whatever ended the writing: a read in progress must let go before its connection does.
            if isinstance(rows, Generator):
                rows.close()

    def _write(
        self, path: str, table: ExportTable, columns: Sequence[ExportColumn], rows: Iterable[Row]
    ) -> ExportedFile:
        session, seq = table.at("session_id"), table.at("seq")

        def cursor_of(row: Row) -> Cursor | None:
            return None if session is None or seq is None else (row[session], row[seq])

        file = HashedFile(self._folder / path)
        try:
            writer = writer_of(self._form)(file, table.name, columns, self._style)
            count, first, last = 0, None, None
            for chunk in _chunks(table, rows):
                writer.write(chunk)
                count += len(chunk)
                first, last = first or cursor_of(chunk[0]), cursor_of(chunk[-1])
                self._progress(table.name, len(chunk))
            writer.close()
            file.close()
        except BaseException:
            file.abandon()
            raise
        return ExportedFile(path, count, file.bytes, file.sha256, first, last)


def _chunks(table: ExportTable, rows: Iterable[Row]) -> Iterator[list[Row]]:
    payload = next((column.at for column in table.columns if column.kind is Kind.BYTES), None)
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        if payload is not None:
            size += len(row[payload])
        if len(chunk) >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
