"""Checking an export without the record: files against the manifest, frames against seals, seals against signatures.

Digests are kept for a batch until all its frames have gone by: a few batches, where one account or one day follows the
other, and 32 bytes a frame of those batches in which several accounts wrote together.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from recorder.audit.verify.chain import Claim
from recorder.audit.verify.findings import (
    CHAIN_BROKEN,
    CHECKPOINT_CONTRADICTED,
    DIGESTS_CHANGED,
    FILE_CHANGED,
    FILE_INSERTED,
    FILE_REMOVED,
    FRAME_CHANGED,
    FRAME_INSERTED,
    FRAME_REMOVED,
    PAYLOAD_ERASED,
    SEAL_REMOVED,
    TAIL_TRUNCATED,
    Finding,
    Progress,
    Verified,
    batch_finding,
)
from recorder.export import manifest
from recorder.export.reading import (
    ExportedFrame,
    files_of,
    frames_in,
    read_manifest,
    redaction_entries_in,
    seals_in,
    spans_in,
)
from recorder.export.sealed import Seal, Span
from recorder.model import Frame
from recorder.store import seals
from recorder.store.entries import FramesRedacted
from recorder.store.merkle import HASH_BYTES, Frontier
from recorder.store.redacted import SealedRedactions, redactions_among

#: Run and batch.
Key = tuple[int, int]


class _Place(NamedTuple):
    """Where the frames of a span stand among those of its batch."""

    span: Span
    offset: int


class ExportCheck:
    """One look at an export. Iterate over it once: it gives what is found; then `verified` says how much was looked at.

    Args:
        folder: the export.
        claims: checkpoints that somebody brings along.
        progress: is told from time to time how many frames are done, and of how many.

    Raises:
        ExportError: while iterating: it is no export, or a file is not as an export writes it.
    """

    def __init__(self, folder: Path, claims: Sequence[Claim] = (), progress: Progress = lambda done, of: None) -> None:
        self.verified = Verified()
        self._folder = folder
        self._claims = claims
        self._progress = progress
        self._names: dict[int, str] = {}

    def __iter__(self) -> Iterator[Finding]:
        for finding in self._all():
            self.verified = self.verified._replace(findings=self.verified.findings + 1)
            yield finding

    def _all(self) -> Iterator[Finding]:
        told = read_manifest(self._folder)
        self._names = {account["account_id"]: account["account"] for account in told["accounts"]}
        changed = list(self._files(told))
        yield from changed
        if told["seals"] is None:
            words = "it holds no frames: nothing of it is sealed, only the files are as the manifest says"
            self.verified = self.verified._replace(not_checked=(words,))
            return
        if any(finding.kind == FILE_REMOVED for finding in changed):
            return  # its rows cannot be read
        yield from self._frames(told)

    def _files(self, told: Mapping[str, Any]) -> Iterator[Finding]:
        known = {self._folder / manifest.NAME}
        for table, its in told["tables"].items():
            for file in its["files"]:
                path = self._folder / file["path"]
                known.add(path)
                if not path.is_file():
                    yield Finding(FILE_REMOVED, table, f"{file['path']} is not there")
                elif _sha256(path) != file["sha256"]:
                    yield Finding(FILE_CHANGED, table, f"{file['path']} has not the hash that the manifest tells")
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and path not in known:
                yield Finding(FILE_INSERTED, "", f"the manifest does not know {path.relative_to(self._folder)}")

    def _frames(self, told: Mapping[str, Any]) -> Iterator[Finding]:
        sealed = {
            (seal.run_id, seal.batch): seal for path in files_of(self._folder, told, "seals") for seal in seals_in(path)
        }
        places, wanted = _places([span for path in files_of(self._folder, told, "spans") for span in spans_in(path)])
        redactions = self._redactions(told, sealed)
        total, done, redacted = told["tables"]["frames"]["rows"], 0, 0
        waiting: dict[Key, dict[int, bytes]] = {}
        complete: set[Key] = set()
        self._progress(0, total)
        for path in files_of(self._folder, told, "frames"):
            for frame in frames_in(path):
                done += 1
                if done % 1_000 == 0:
                    self._progress(done, total)
                place = _find(places, frame)
                if place is None:
                    yield self._of_frame(FRAME_INSERTED, frame, "no batch holds such a frame")
                    continue
                key = place.span[:2]
                index = place.offset + frame.seq - place.span.first_seq
                digest, kept = _digest(key[0], frame), _kept(sealed.get(key), index)
                if kept is not None and digest != kept:
                    if frame.payload:
                        yield self._of_frame(FRAME_CHANGED, frame, "it is not the frame that was sealed")
                    elif redactions.covers(frame.account_id, frame.session_id, frame.seq):
                        redacted += 1
                    else:
                        words = "its payload is missing, and no sealed redaction covers it"
                        yield self._of_frame(PAYLOAD_ERASED, frame, words)
                if key in complete:
                    yield self._of_frame(FRAME_INSERTED, frame, "it is there twice")
                    continue
                of_batch = waiting.setdefault(key, {})
                of_batch[index] = digest
                if len(of_batch) == wanted[key] and key in sealed and sealed[key].whole:
                    complete.add(key)
                    yield from _of_root(sealed[key], b"".join(digest for _, digest in sorted(waiting.pop(key).items())))
        self._progress(total, total)
        for key, seal in sealed.items():
            if seal.whole and seal.frames and key not in complete:
                missing = seal.frames - len(waiting.get(key, ()))
                yield _about(FRAME_REMOVED, "frames", f"{missing} of its {seal.frames} frames are not there", seal)
        yield from self._chains(list(sealed.values()))
        seen = self.verified
        self.verified = seen._replace(frames=done, batches=len(sealed), seals=len(sealed), redacted=redacted)

    def _redactions(self, told: Mapping[str, Any], sealed: Mapping[Key, Seal]) -> SealedRedactions:
        """The redactions that are proved by entries in the export and the seals of their batches."""
        found: dict[Key, list[FramesRedacted]] = {}
        paths = files_of(self._folder, told, "redaction_entries") if "redaction_entries" in told["tables"] else []
        rows = (row for path in paths for row in redaction_entries_in(path))
        for key, of_batch in groupby(rows, lambda row: (row.run_id, row.batch)):
            seal = sealed.get(key)
            bodies = [row.body.encode() for row in of_batch]
            if seal is not None and seal.entries_root is not None and seal.entries == len(bodies):
                found[key] = redactions_among(bodies, seal.entries_root)
        return SealedRedactions(found)

    def _chains(self, found: Sequence[Seal]) -> Iterator[Finding]:
        chains: dict[int, list[Seal]] = {}
        for seal in sorted(found, key=lambda one: (one.recorder_id, one.run_id, one.batch)):
            chains.setdefault(seal.recorder_id, []).append(seal)
        for chain in chains.values():
            yield from _links(chain)
        for claim in self._claims:
            yield from self._claim(claim, chains.get(claim.checkpoint.recorder_id or 0, []))
        self.verified = self.verified._replace(checkpoints=len(self._claims))

    def _claim(self, claim: Claim, chain: Sequence[Seal]) -> Iterator[Finding]:
        size = claim.checkpoint.size
        if not chain or chain[0].before is not None or any(one.before is not None for one in chain):
            words = f"{claim.origin} could not be held against it: not every batch since the recorder's first is in it"
            self.verified = self.verified._replace(not_checked=(*self.verified.not_checked, words))
            return
        if len(chain) < size:
            yield Finding(TAIL_TRUNCATED, "seals", f"{claim.origin} covers {size} batches; here are {len(chain)}")
            return
        frontier = Frontier()
        for seal in chain[:size]:
            frontier.add(seal.seal or b"")
        if frontier.root() != claim.checkpoint.root:
            yield Finding(CHECKPOINT_CONTRADICTED, "seals", f"{claim.origin} has another root over {size} batches")

    def _of_frame(self, kind: str, frame: ExportedFrame, detail: str) -> Finding:
        name = self._names.get(frame.account_id)
        return Finding(kind, "frames", detail, name, frame.session_id, frame.seq, frame.seq, frame.run_id)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _places(told: Sequence[Span]) -> tuple[dict[tuple[int, int], list[_Place]], dict[Key, int]]:
    """Session → its spans in order; and batch → how many frames it holds."""
    places: dict[tuple[int, int], list[_Place]] = {}
    counts: dict[Key, int] = {}
    for span in sorted(told):
        key = span.run_id, span.batch
        places.setdefault((span.account_id, span.session_id), []).append(_Place(span, counts.get(key, 0)))
        counts[key] = counts.get(key, 0) + span.last_seq - span.first_seq + 1
    for its in places.values():
        its.sort(key=lambda place: place.span.first_seq)
    return places, counts


def _find(places: Mapping[tuple[int, int], Sequence[_Place]], frame: ExportedFrame) -> _Place | None:
    its = places.get((frame.account_id, frame.session_id), ())
    at = bisect_right(its, frame.seq, key=lambda place: place.span.first_seq) - 1
    return its[at] if at >= 0 and frame.seq <= its[at].span.last_seq else None


def _digest(run_id: int, frame: ExportedFrame) -> bytes:
    key = frame.account_id, frame.session_id, frame.seq, frame.received_ns
    return seals.frame_digests(run_id, [Frame(*key, frame.source, frame.topic, "", None, frame.payload)])


def _kept(seal: Seal | None, index: int) -> bytes | None:
    if seal is None or seal.digests is None:
        return None
    return seal.digests[index * HASH_BYTES : (index + 1) * HASH_BYTES]


def _of_root(seal: Seal, digests: bytes) -> Iterator[Finding]:
    if seals.frames_root(digests) != seal.frames_root:
        yield _about(FRAME_CHANGED, "frames", "one of its frames is not the one that was sealed", seal)


def _links(chain: Sequence[Seal]) -> Iterator[Finding]:
    """Each seal against what it is made of, and against the one before."""
    last: Seal | None = None
    for seal in chain:
        if seal.digests is not None and seals.frames_root(seal.digests) != seal.frames_root:
            yield _about(DIGESTS_CHANGED, "seals", "its digests do not lead to its root", seal)
        before = seal.before if seal.before is not None else (seals.BEGINNING if last is None else last.seal)
        follows = last is None or seal.before is not None or (seal.run_id, seal.batch) > (last.run_id, last.batch)
        if seal.seal is None or seal.frames_root is None or seal.entries_root is None or before is None:
            yield _about(SEAL_REMOVED, "seals", "it is not sealed", seal)
        elif not follows:
            yield _about(CHAIN_BROKEN, "seals", "it does not follow on the one before", seal)
        elif seal.seal != seals.seal_of(*seal[1:6], seal.frames_root, seal.entries_root, before):
            yield _about(CHAIN_BROKEN, "seals", "it is not the seal of this batch after the one before", seal)
        last = seal


def _about(kind: str, table: str, detail: str, seal: Seal) -> Finding:
    return batch_finding(kind, table, detail, seal.run_id, seal.batch, seal.recorder_id)
