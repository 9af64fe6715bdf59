"""The manifest of an export: what the export contains, and the hash of each file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import recorder
from recorder.clock import utc_text
from recorder.errors import ExportError
from recorder.export.columns import ACCOUNT, VENUE, ExportColumn
from recorder.export.folder import HashedFile
from recorder.export.formats import DECIMAL128, Style
from recorder.export.scope import ExportedAccount, Scope, gaps_in
from recorder.export.seal_tables import BatchSeals
from recorder.export.tables import ExportSource, ExportTable
from recorder.export.writers import type_name
from recorder.read.record import Record
from recorder.read.records import Gap
from recorder.store import migrate

NAME = "manifest.json"
#: Changes with the structure of the manifest.
FORMAT = "recorder export 1"

#: The folder of a UTC day of receipt.
DAY = "received_day"

#: Session and number of a frame.
Cursor = tuple[int, int]


class ExportedFile(NamedTuple):
    """One file of a table."""

    #: Relative to the folder of the export.
    path: str
    rows: int
    bytes: int
    sha256: str
    #: The frames that its first and its last row follow from; None for tables without frames.
    first: Cursor | None
    last: Cursor | None


class WrittenTable(NamedTuple):
    """A table that was written."""

    table: ExportTable
    columns: Sequence[ExportColumn]
    files: Sequence[ExportedFile]
    #: Whether it has a folder for each account and day.
    is_parted: bool

    @property
    def rows(self) -> int:
        """Of all its files."""
        return sum(file.rows for file in self.files)


def write_manifest(
    folder: Path,
    source: ExportSource,
    form: str,
    style: Style,
    written: Sequence[WrittenTable],
    seals: BatchSeals | None,
    made_ns: int,
) -> str:
    """Write the manifest.

    Args:
        folder: of the export.
        source: what was exported.
        form: the format of the files.
        style: how decimals are written.
        written: the tables.
        seals: the batches of the exported frames; None without frames.
        made_ns: when the export was made, nanoseconds since 1970.

    Returns:
        The manifest's hash, in hexadecimal.
    """
    contents = {
        "format": FORMAT,
        "recorder": recorder.__version__,
        "schema": migrate.HEAD,
        "made_utc": utc_text(made_ns),
        "asked_for": _asked_for(source.scope),
        "form": form,
        "decimals": style.decimals,
        "scale": style.scale if style.decimals == DECIMAL128 else None,
        "accounts": [_account(source.record, source.scope, account) for account in source.accounts],
        "tables": {one.table.name: _table(one, form, style) for one in written},
        "seals": None if seals is None else _seals(seals),
    }
    file = HashedFile(folder / NAME)
    try:
        file.write(json.dumps(contents, indent=1, ensure_ascii=False).encode() + b"\n")
        file.close()
    except BaseException:
        file.abandon()
        raise
    return file.sha256


def _asked_for(scope: Scope) -> dict[str, Any]:
    wanted = scope.wanted
    return {
        "account": wanted.account,
        "symbol": wanted.symbol,
        "topics": list(scope.topics),
        "since_ns": wanted.since_ns,
        "since_utc": utc_text(wanted.since_ns) or None,
        "until_ns": wanted.until_ns,
        "until_utc": utc_text(wanted.until_ns) or None,
    }


def _account(record: Record, scope: Scope, account: ExportedAccount) -> dict[str, Any]:
    gaps = gaps_in(record, scope, [account])
    return {
        "venue": account.venue,
        "account": account.name,
        "account_id": account.account_id,
        "covered_since_utc": utc_text(account.status.coverage.begins_ns) or None,
        "last_frame_utc": utc_text(account.status.last_frame_ns) or None,
        "complete": not gaps,
        "gaps": [_gap(gap) for gap in gaps],
    }


def _gap(gap: Gap) -> dict[str, Any]:
    fields = gap._asdict()
    del fields["account"]
    return fields | {"begins_utc": utc_text(gap.begins_ns) or None, "ends_utc": utc_text(gap.ends_ns) or None}


def _table(written: WrittenTable, form: str, style: Style) -> dict[str, Any]:
    return {
        "a_row_for_each": written.table.each,
        "rows": written.rows,
        "in_folders_of": [VENUE, ACCOUNT, DAY] if written.is_parted else [],
        "columns": [
            {"name": column.name, "type": type_name(form, column, style), "null": column.nullable}
            for column in written.columns
        ],
        "files": [file._asdict() for file in written.files],
    }


def _seals(seals: BatchSeals) -> dict[str, Any]:
    heads = [
        {
            "recorder_id": head.recorder_id,
            "run_id": head.run_id,
            "batch": head.batch,
            "seal": None if head.seal is None else bytes(head.seal).hex(),
        }
        for head in seals.heads.values()
    ]
    return {"batches": seals.batches, "whole": seals.whole, "last": heads}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of an export.

    Raises:
        ExportError: there is none, or this version does not know its format.
    """
    path = folder / NAME
    try:
        contents = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise ExportError(f"{folder} is not an export: its {NAME} cannot be read ({cause}).") from None
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise ExportError(f"{path} is not the manifest of an export that this version can read ({FORMAT}).")
    return contents


def files_of(folder: Path, manifest: Mapping[str, Any], table: str) -> list[Path]:
    """The files of a table, in the order in which they were written.

    Raises:
        ExportError: the export does not have the table.
    """
    if table not in manifest["tables"]:
        raise ExportError(f"{folder} has no {table}.")
    return [folder / file["path"] for file in manifest["tables"][table]["files"]]
