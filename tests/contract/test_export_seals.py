"""Exported frames can be verified against their seals with nothing but the export."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from recorder.export import export
from recorder.export.manifest import files_of, read_manifest
from recorder.export.reading import rows_in
from recorder.export.scope import Scope
from recorder.export.seal_tables import BatchSpan, Seal
from recorder.model import Frame
from recorder.read.record import Filter
from recorder.store import seals
from tests.contract import exported
from tests.made import NOON_NS
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = ("test_exported_frames_match_their_seals[postgresql-parquet]",)


def digest_rows(frames: Iterable[Any]) -> list[tuple[int, int, int, bytes]]:
    """(account, session, seq) and digest of frames, computed from the export alone."""
    found = []
    for one in frames:
        key = one.account_id, one.session_id, one.seq
        frame = Frame(*key, one.received_ns, one.source, one.topic, "", None, one.payload)
        found.append((*key, seals.frame_digests(one.run_id, [frame])))
    return sorted(found)


def checked(folder: Path) -> list[Seal]:
    """Check every frame of an export against its batch's seal, and each seal against the one before it."""
    result = read_manifest(folder)
    (of_seals,), (of_spans,) = files_of(folder, result, "seals"), files_of(folder, result, "spans")
    digests = digest_rows(exported.frames_of(folder))
    spans = list(rows_in(of_spans, BatchSpan))
    last: dict[int, bytes | None] = {}
    found = []
    for seal in rows_in(of_seals, Seal):
        mine = [span for span in spans if (span.run_id, span.batch) == (seal.run_id, seal.batch)]
        keys = [(span.account_id, span.session_id, seq) for span in mine for seq in range(span[4], span[5] + 1)]
        there = {row[:3]: row[3] for row in digests if row[:3] in set(keys)}
        if seal.whole:
            assert seal.digests is None
            of_batch = b"".join(there[key] for key in keys)
        else:
            assert seal.digests is not None and len(seal.digests) == 32 * len(keys)
            of_batch = seal.digests
            for number, key in enumerate(keys):
                assert key not in there or there[key] == of_batch[32 * number :][:32]
        assert seals.frames_root(of_batch) == seal.frames_root
        before = last.get(seal.recorder_id, seals.BEGINNING) if seal.before is None else seal.before
        assert before is not None and seal.frames_root is not None and seal.entries_root is not None
        counts = seal.written_ns, seal.frames, seal.entries
        assert seals.seal_of(seal.run_id, seal.batch, *counts, seal.frames_root, seal.entries_root, before) == seal.seal
        last[seal.recorder_id] = seal.seal
        found.append(seal)
    heads = {one["recorder_id"]: one["seal"] for one in result["seals"]["last"]}
    assert heads == {key: seal.hex() for key, seal in last.items() if seal is not None}
    assert (result["seals"]["batches"], result["seals"]["whole"]) == (len(found), sum(seal.whole for seal in found))
    return found


@pytest.mark.parametrize("form", exported.READERS)
def test_exported_frames_match_their_seals(full: Desk, tmp_path: Path, form: str) -> None:
    found = checked(exported.made(full, tmp_path / "export", "frames", form=form))
    with full.open() as record, record.at_one_moment() as connection:
        sealed = connection.exec_driver_sql("SELECT run_id, batch, seal FROM seals ORDER BY run_id, batch").all()
    assert [(seal.run_id, seal.batch, seal.seal) for seal in found] == [(*row[:2], bytes(row[2])) for row in sealed]
    # One has a frame that is to be redacted.
    assert sum(not seal.whole for seal in found) == 1


@pytest.mark.parametrize(
    "scope",
    [
        Scope(Filter(account="other")),
        Scope(Filter(since_ns=NOON_NS + 3, until_ns=NOON_NS + 14)),
        Scope(Filter(symbol="ETHUSD_P")),
        Scope(topics=("account",)),
    ],
)
def test_frames_of_a_partial_export_match_their_seals(full: Desk, tmp_path: Path, scope: Scope) -> None:
    with full.open() as record:
        folder = export(record, tmp_path / "export", ["frames"], scope).folder
    found = checked(folder)
    assert sum(not seal.whole for seal in found) > 0
    spans = list(rows_in(folder / "spans.parquet", BatchSpan))
    sealed = {
        (span.account_id, span.session_id, seq) for span in spans for seq in range(span.first_seq, span.last_seq + 1)
    }
    assert {frame[1:4] for frame in exported.frames_of(folder)} <= sealed


def test_a_changed_frame_does_not_match_its_seal(full: Desk, tmp_path: Path) -> None:
    folder = exported.made(full, tmp_path / "export", "frames", form="jsonl")
    path = folder / "frames.jsonl"
    path.write_bytes(path.read_bytes().replace(b'\\"quantity\\":10,', b'\\"quantity\\":11,', 1))
    with pytest.raises(AssertionError):
        checked(folder)
