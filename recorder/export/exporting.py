"""A record, or some of it, into a folder of files: all of it or nothing."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from recorder.errors import ExportError, Incomplete
from recorder.export import manifest
from recorder.export.columns import Column, Row
from recorder.export.completeness import missing
from recorder.export.datasets import Dataset, Source, columns_named, named
from recorder.export.folder import new_folder
from recorder.export.formats import PARQUET, style_for, writer_of
from recorder.export.manifest import Written
from recorder.export.parts import Form, Parts
from recorder.export.scope import Account, Scope, accounts_of, require_in_range, require_there
from recorder.export.sealed import Frames, Sealed, datasets_of
from recorder.export.style import Style
from recorder.read.record import Record
from recorder.read.records import Status

FRAMES = "frames"

#: Told of a table how many more of its rows were written, and of how many in all where that is known beforehand.
Progress = Callable[[str, int, int | None], None]


class Exported(NamedTuple):
    """An export that is whole."""

    folder: Path
    #: Table → its rows.
    rows: dict[str, int]
    files: int
    bytes: int
    #: Of its manifest: whoever keeps it can tell later whether anything in the folder has changed.
    sha256: str


def export(
    record: Record,
    target: Path,
    tables: Sequence[str] = (),
    scope: Scope = Scope(),  # noqa: B008  a tuple, immutable
    *,
    columns: Sequence[str] = (),
    form: str = PARQUET,
    style: Style | None = None,
    require_complete: bool = False,
    progress: Progress = lambda _table, _rows, _of: None,
) -> Exported:
    """Write tables of a record into a new folder, as they are at one moment.

    With `frames` go their seals. Memory does not grow with the record, but by something small for each session, and for
    fills as `Record.fills` says.

    Args:
        record: which.
        target: the folder; nothing may be there yet.
        tables: names of `DATASETS`; none: all.
        scope: what of them.
        columns: of the table, which is then one alone; none: all.
        form: one of `FORMATS`.
        style: how decimals are written; None: as suits the form.
        require_complete: whether a gap forbids it.
        progress: told after each chunk of rows.

    Raises:
        ExportError: it cannot be made; nothing of it is left.
        Incomplete: there are gaps; they are in the error.
        DatabaseError: the record cannot be read.
    """
    # What is wrong with the question is said before anything is read.
    wanted = named(tables)
    _require_one(wanted, columns, scope)
    chosen = [columns_named(dataset, columns) for dataset in wanted]
    how = Form(form, writer_of(form), style or style_for(form))
    with record.at_one_moment() as connection:
        source = Source(record, connection, accounts_of(connection, scope), scope)
        require_there(connection, scope, list(source.accounts))
        status = record.status()
        require_in_range(connection, scope, status)
        if require_complete:
            _require_complete(record, scope, status)
        now_ns = time.time_ns()
        with new_folder(target) as folder:
            expected = {FRAMES: status.frames} if scope.is_everything else {}

            def written(table: str, rows: int) -> None:
                progress(table, rows, expected.get(table))

            exporter = _Exporter(folder, source, how, now_ns, written)
            told = [exporter.write(dataset, its) for dataset, its in zip(wanted, chosen, strict=True)]
            sealed = None
            if FRAMES in {dataset.name for dataset in wanted}:
                sealed = Sealed(connection, exporter.frames, everything=scope.is_everything)
                told += [exporter.write(dataset, dataset.columns) for dataset in datasets_of(sealed)]
            text = manifest.manifest(record, scope, source.accounts, status, how, told, sealed, now_ns)
            sha256 = manifest.write(folder, text)
    files = [file for table in told for file in table.files]
    rows = {table.dataset.name: table.rows for table in told}
    return Exported(target, rows, len(files), sum(file.bytes for file in files), sha256)


def _require_one(wanted: Sequence[Dataset], columns: Sequence[str], scope: Scope) -> None:
    """Refuse what would have no meaning for several tables."""
    if columns and len(wanted) != 1:
        raise ExportError("Columns are of one table: name it with --table.")
    if scope.topics and [dataset.name for dataset in wanted] != [FRAMES]:
        raise ExportError("Topics are of frames alone: add --table frames, and no other table.")


def _require_complete(record: Record, scope: Scope, status: Status) -> None:
    theirs = [one for one in status.accounts if scope.includes(one)]
    gaps = missing(record, scope, theirs)
    if gaps:
        raise Incomplete(
            f"The record has gaps in what was asked for, {len(gaps)} of them: nothing was exported. Take another time, "
            "or leave out --require-complete: the manifest names the gaps then.",
            gaps,
        )


class _Exporter:
    """Writes table after table."""

    def __init__(
        self, folder: Path, source: Source, form: Form, now_ns: int, progress: Callable[[str, int], None]
    ) -> None:
        self._folder, self._source, self._form, self._now_ns, self._progress = folder, source, form, now_ns, progress
        self.frames = Frames()

    def write(self, dataset: Dataset, chosen: Sequence[Column]) -> Written:
        """Write a table."""
        columns = self._form.columns(dataset, chosen)
        parts = Parts(self._folder, dataset, columns, self._form, lambda rows: self._progress(dataset.name, rows))
        if self._form.is_parted(dataset):
            for name, accounts in groupby(self._source.accounts, attrgetter("name")):
                with self._reading(dataset, self._of(name, list(accounts))) as rows:
                    parts.write_days(name, rows)
            if not parts.files:
                parts.write_empty(self._source.accounts[0].name, self._now_ns)
        else:
            with self._reading(dataset, self._source) as rows:
                parts.write(rows)
        return Written(dataset, columns, parts.files)

    def _of(self, name: str, accounts: Sequence[Account]) -> Source:
        scope = self._source.scope
        return self._source._replace(
            accounts=accounts, scope=scope._replace(wanted=scope.wanted._replace(account=name))
        )

    @contextmanager
    def _reading(self, dataset: Dataset, source: Source) -> Iterator[Iterable[Row]]:
        rows = dataset.rows(source)
        try:
            yield self.frames.watch(rows) if dataset.name == FRAMES else rows
        finally:
            # Whatever ended the writing: what still reads must let go before its connection does.
            if isinstance(rows, Generator):
                rows.close()
