"""The manifest of an export: what is in it, of what, and what it must hash to."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import recorder
from recorder.clock import utc_text
from recorder.export.columns import Column
from recorder.export.completeness import missing
from recorder.export.datasets import ACCOUNT, Dataset
from recorder.export.folder import HashedFile
from recorder.export.parts import DAY, File, Form
from recorder.export.scope import Account, Scope
from recorder.export.sealed import Sealed
from recorder.export.style import DECIMAL128
from recorder.read.record import Record
from recorder.read.records import Gap, Status
from recorder.store import migrate

NAME = "manifest.json"
#: Changes with what stands in it.
FORMAT = "recorder export 1"


class Written(NamedTuple):
    """A table that was written."""

    dataset: Dataset
    columns: Sequence[Column]
    files: Sequence[File]

    @property
    def rows(self) -> int:
        """Of all its files."""
        return sum(file.rows for file in self.files)


def manifest(
    record: Record,
    scope: Scope,
    accounts: Sequence[Account],
    status: Status,
    form: Form,
    tables: Sequence[Written],
    sealed: Sealed | None,
    made_ns: int,
) -> dict[str, Any]:
    """What there is to tell of an export.

    Args:
        record: it was made from, at the moment it was made at.
        scope: what of it.
        accounts: that are in it.
        status: of the record.
        form: of the files.
        tables: in it.
        sealed: the batches of its frames; None where it has no frames.
        made_ns: when, nanoseconds since 1970.
    """
    style = form.style
    return {
        "format": FORMAT,
        "recorder": recorder.__version__,
        "schema": migrate.head(),
        "made_utc": utc_text(made_ns),
        "asked_for": _asked_for(scope),
        "form": form.name,
        "decimals": style.decimals,
        "scale": style.scale if style.decimals == DECIMAL128 else None,
        "accounts": [_account(record, scope, account, status) for account in accounts],
        "tables": {table.dataset.name: _table(table, form) for table in tables},
        "seals": None if sealed is None else _seals(sealed),
    }


def write(folder: Path, told: dict[str, Any]) -> str:
    """Write the manifest; returns its hash."""
    file = HashedFile(folder / NAME)
    try:
        file.write(json.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n")
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


def _account(record: Record, scope: Scope, account: Account, status: Status) -> dict[str, Any]:
    mine = [one for one in status.accounts if (one.account, one.venue) == (account.name, account.venue)]
    gaps = missing(record, scope, mine)
    coverage = mine[0].coverage
    return {
        "account": account.name,
        "venue": account.venue,
        "account_id": account.account_id,
        "covered_since_utc": utc_text(coverage.begins_ns) or None,
        "last_frame_utc": utc_text(mine[0].last_frame_ns) or None,
        "complete": not gaps,
        "gaps": [_gap(gap) for gap in gaps],
    }


def _gap(gap: Gap) -> dict[str, Any]:
    told = gap._asdict()
    del told["account"]
    return {**told, "begins_utc": utc_text(gap.begins_ns) or None, "ends_utc": utc_text(gap.ends_ns) or None}


def _table(table: Written, form: Form) -> dict[str, Any]:
    return {
        "a_row_for_each": table.dataset.each,
        "rows": table.rows,
        "in_folders_of": [ACCOUNT, DAY] if form.is_parted(table.dataset) else [],
        "columns": [
            {"name": column.name, "type": form.writer.type_name(column, form.style), "null": column.nullable}
            for column in table.columns
        ],
        "files": [file._asdict() for file in table.files],
    }


def _seals(sealed: Sealed) -> dict[str, Any]:
    heads = sealed.heads.values()
    return {
        "batches": sealed.batches,
        "whole": sealed.whole,
        "last": [
            {
                "recorder_id": head.recorder_id,
                "run_id": head.run_id,
                "batch": head.batch,
                "seal": None if head.seal is None else bytes(head.seal).hex(),
            }
            for head in heads
        ],
    }
