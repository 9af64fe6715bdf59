"""`recorder verify --export` finds changes in an export, even if the manifest was changed to match."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recorder.audit.evidence.checkpoint import Checkpoint
from recorder.audit.verify import findings as kinds
from recorder.audit.verify.chain import Claim
from recorder.errors import ExportError
from recorder.export import export
from recorder.export.checking import ExportCheck
from recorder.export.scope import Scope
from recorder.read.record import Filter
from recorder.store.merkle import root_of
from tests.contract import exported
from tests.made import NOON_NS, RECORDER
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_a_changed_frame_is_named_if_its_digest_is_exported",
    "test_exports_are_compared_with_checkpoints",
)

Rows = list[dict[str, Any]]
SCOPES = (
    Scope(),
    Scope(Filter(account="other")),
    Scope(Filter(since_ns=NOON_NS + 3, until_ns=NOON_NS + 14)),
    Scope(topics=("account",)),
)
ACCOUNT_ONLY = SCOPES[-1]


def made(desk: Desk, folder: Path, form: str, scope: Scope) -> Path:
    """An export of frames."""
    with desk.open() as record:
        export(record, folder, ("frames",), scope, form=form)
    return folder


@pytest.fixture
def folder(full: Desk, tmp_path: Path) -> Path:
    """An export of frames as JSON lines."""
    return made(full, tmp_path / "export", "jsonl", Scope())


def found(folder: Path, *claims: Claim) -> list[str]:
    """The kinds of the findings."""
    return sorted(finding.kind for finding in ExportCheck(folder, claims))


def edit(folder: Path, table: str, change: Callable[[Rows], object], *, fit: bool = True) -> None:
    """Change the rows of a table, and the manifest to match."""
    path = folder / "manifest.json"
    result = json.loads(path.read_text())
    (file,) = result["tables"][table]["files"]
    lines = [json.loads(line) for line in (folder / file["path"]).read_bytes().splitlines()]
    change(lines)
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (folder / file["path"]).write_bytes(data)
    if fit:
        file["sha256"], file["rows"], result["tables"][table]["rows"] = (
            hashlib.sha256(data).hexdigest(),
            *[len(lines)] * 2,
        )
        path.write_text(json.dumps(result))


@pytest.mark.parametrize("form", exported.READERS)
@pytest.mark.parametrize("scope", SCOPES)
def test_an_unchanged_export_has_no_findings(full: Desk, tmp_path: Path, form: str, scope: Scope) -> None:
    check = ExportCheck(made(full, tmp_path / "export", form, scope))
    assert list(check) == []
    assert check.verified.frames > 0
    assert check.verified.seals > 0


def test_changed_files_are_found_by_hash(folder: Path) -> None:
    edit(folder, "frames", lambda rows: rows[3].update(status="control"), fit=False)
    assert found(folder) == [kinds.FILE_CHANGED]
    (folder / "frames.jsonl").unlink()
    (folder / "more.txt").write_text("x")
    assert found(folder) == [kinds.FILE_INSERTED, kinds.FILE_REMOVED]


def in_a_whole_batch(rows: Rows) -> dict[str, Any]:
    return next(row for row in rows if row["payload"])


@pytest.mark.parametrize(
    ("table", "change", "kind"),
    [
        ("frames", lambda rows: in_a_whole_batch(rows).update(received_ns=1), kinds.FRAME_CHANGED),
        ("frames", lambda rows: in_a_whole_batch(rows).update(payload="{}"), kinds.FRAME_CHANGED),
        ("frames", lambda rows: in_a_whole_batch(rows).update(source="sent"), kinds.FRAME_CHANGED),
        ("frames", lambda rows: rows.remove(in_a_whole_batch(rows)), kinds.FRAME_REMOVED),
        ("frames", lambda rows: rows.append({**rows[0], "seq": 10**6}), kinds.FRAME_INSERTED),
        ("frames", lambda rows: rows.append(in_a_whole_batch(rows)), kinds.FRAME_INSERTED),
        ("seals", lambda rows: rows[1].update(written_ns=5), kinds.CHAIN_BROKEN),
        ("seals", lambda rows: rows[0].update(seal="00" * 32), kinds.CHAIN_BROKEN),
        ("seals", lambda rows: rows.pop(1), kinds.CHAIN_BROKEN),
    ],
)
def test_changes_with_a_matching_manifest_are_found_by_the_seals(
    folder: Path, table: str, change: Callable[[Rows], object], kind: str
) -> None:
    assert found(folder) == []
    edit(folder, table, change)
    assert kind in found(folder)


def test_a_changed_frame_is_named_if_its_digest_is_exported(full: Desk, tmp_path: Path) -> None:
    folder = made(full, tmp_path / "export", "jsonl", ACCOUNT_ONLY)
    edit(folder, "frames", lambda rows: rows[0].update(received_ns=1))
    (finding,) = ExportCheck(folder)
    first = json.loads((folder / "frames.jsonl").read_bytes().splitlines()[0])
    assert (finding.kind, finding.session_id, finding.seq) == (kinds.FRAME_CHANGED, first["session_id"], first["seq"])


def test_exports_are_compared_with_checkpoints(full: Desk, folder: Path, tmp_path: Path) -> None:
    seals = [bytes.fromhex(json.loads(line)["seal"]) for line in (folder / "seals.jsonl").read_bytes().splitlines()]

    def claim(size: int, root: bytes) -> Claim:
        return Claim(Checkpoint(f"recorder/{RECORDER}", size, root), "the checkpoint", "seals")

    assert found(folder, claim(len(seals), root_of(seals)), claim(1, root_of(seals[:1]))) == []
    assert found(folder, claim(2, root_of(seals[1:3]))) == [kinds.CHECKPOINT_CONTRADICTED]
    assert found(folder, claim(len(seals) + 1, root_of(seals))) == [kinds.TAIL_TRUNCATED]
    part = ExportCheck(
        made(full, tmp_path / "part", "jsonl", ACCOUNT_ONLY),
        [claim(len(seals), root_of(seals))],
    )
    list(part)
    assert part.verified.seals < len(seals)
    assert "because the export does not contain every batch of its recorder" in " ".join(part.verified.not_checked)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"is not an export: its manifest.json cannot be read \(No such file"):
        list(ExportCheck(tmp_path))
