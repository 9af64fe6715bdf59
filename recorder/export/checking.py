"""Verifying an export without its record: files against the manifest, frames against seals, seals against checkpoints.

The digests of a batch are kept until all its frames were read: a few batches at a time if accounts and days follow each
other, and 32 bytes for each frame of batches that several accounts wrote together.
"""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

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
from recorder.export.manifest import NAME, files_of, read_manifest
from recorder.export.reading import ExportedFrame, rows_in
from recorder.export.seal_tables import BatchSpan, RedactionEntry, Seal
from recorder.export.tables import FRAMES
from recorder.model import Frame
from recorder.store import seals
from recorder.store.entries import FramesRedacted
from recorder.store.merkle import HASH_BYTES, Frontier
from recorder.store.redactions import SealedRedactions, redactions_among

#: Run and batch.
Key = tuple[int, int]

T = TypeVar("T", bound=tuple[Any, ...])


class _SpanInBatch(NamedTuple):
    """A span, and how many frames of its batch come before it."""

    span: BatchSpan
    offset: int


class ExportCheck:
    """One verification of an export. Iterate over it once for the findings; `verified` then says what was verified.

    Args:
        folder: the export.
        claims: checkpoints that were kept elsewhere.
        progress: receives from time to time how many frames are done, and of how many.

    Raises:
        ExportError: while iterating: it is not an export, or a file is not as an export writes it.
    """

    def __init__(self, folder: Path, claims: Sequence[Claim] = (), progress: Progress = lambda done, of: None) -> None:
        self.verified = Verified()
        self._folder = folder
        self._claims = claims
        self._progress = progress
        self._manifest: Mapping[str, Any] = {}
        self._names: dict[int, str] = {}

    def __iter__(self) -> Iterator[Finding]:
        for finding in self._all():
            self.verified = self.verified._replace(findings=self.verified.findings + 1)
            yield finding

    def _all(self) -> Iterator[Finding]:
        self._manifest = read_manifest(self._folder)
        accounts = self._manifest["accounts"]
        times = Counter(one["account"] for one in accounts)
        for one in accounts:
            name = one["account"]
            self._names[one["account_id"]] = name if times[name] == 1 else f"{one['venue']}/{name}"
        changed = list(self._files())
        yield from changed
        if self._manifest["seals"] is None:
            self._not_checked("seals, because the export has no frames; its files were compared with its manifest only")
        elif not any(finding.kind == FILE_REMOVED for finding in changed):
            yield from self._frames()

    def _not_checked(self, words: str) -> None:
        self.verified = self.verified._replace(not_checked=(*self.verified.not_checked, words))

    def _files(self) -> Iterator[Finding]:
        known = {self._folder / NAME}
        for table, its in self._manifest["tables"].items():
            for file in its["files"]:
                path = self._folder / file["path"]
                known.add(path)
                if not path.is_file():
                    yield Finding(FILE_REMOVED, table, f"{file['path']} is missing")
                elif _sha256(path) != file["sha256"]:
                    yield Finding(FILE_CHANGED, table, f"{file['path']} does not have the hash in the manifest")
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and path not in known:
                yield Finding(FILE_INSERTED, "", f"{path.relative_to(self._folder)} is not in the manifest")

    def _rows(self, table: str, record: type[T]) -> Iterator[T]:
        for path in files_of(self._folder, self._manifest, table):
            yield from rows_in(path, record)

    def _frames(self) -> Iterator[Finding]:
        sealed = {(seal.run_id, seal.batch): seal for seal in self._rows("seals", Seal)}
        spans, wanted = _spans_by_session(self._rows("spans", BatchSpan))
        redactions = self._redactions(sealed)
        total, done, redacted = self._manifest["tables"][FRAMES]["rows"], 0, 0
        waiting: dict[Key, dict[int, bytes]] = {}
        complete: set[Key] = set()
        self._progress(0, total)
        for frame in self._rows(FRAMES, ExportedFrame):
            done += 1
            if done % 1_000 == 0:
                self._progress(done, total)
            place = _find(spans, frame)
            if place is None:
                yield self._about_frame(FRAME_INSERTED, frame, "no batch contains such a frame")
                continue
            key = place.span[:2]
            index = place.offset + frame.seq - place.span.first_seq
            digest, kept = _digest(key[0], frame), _kept_digest(sealed.get(key), index)
            if kept is not None and digest != kept:
                if frame.payload:
                    yield self._about_frame(FRAME_CHANGED, frame, "it is not the frame that was sealed")
                elif redactions.covers(frame.account_id, frame.session_id, frame.seq):
                    redacted += 1
                else:
                    words = "its payload is missing, and no sealed redaction covers it"
                    yield self._about_frame(PAYLOAD_ERASED, frame, words)
            if key in complete:
                yield self._about_frame(FRAME_INSERTED, frame, "it occurs twice")
                continue
            of_batch = waiting.setdefault(key, {})
            of_batch[index] = digest
            if len(of_batch) == wanted[key] and key in sealed and sealed[key].whole:
                complete.add(key)
                digests = b"".join(digest for _, digest in sorted(waiting.pop(key).items()))
                if seals.frames_root(digests) != sealed[key].frames_root:
                    words = "one of its frames is not the one that was sealed"
                    yield _about(FRAME_CHANGED, FRAMES, words, sealed[key])
        self._progress(total, total)
        for key, seal in sealed.items():
            if seal.whole and seal.frames and key not in complete:
                missing = seal.frames - len(waiting.get(key, ()))
                yield _about(FRAME_REMOVED, FRAMES, f"{missing} of its {seal.frames} frames are missing", seal)
        yield from self._chains(list(sealed.values()))
        seen = self.verified
        self.verified = seen._replace(frames=done, batches=len(sealed), seals=len(sealed), redacted=redacted)

    def _redactions(self, sealed: Mapping[Key, Seal]) -> SealedRedactions:
        """The redactions that are proved by entries in the export and the seals of their batches."""
        found: dict[Key, list[FramesRedacted]] = {}
        has_some = "redaction_entries" in self._manifest["tables"]
        rows = self._rows("redaction_entries", RedactionEntry) if has_some else iter(())
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
            yield from _check_chain(chain)
        for claim in self._claims:
            yield from self._check_claim(claim, chains.get(claim.checkpoint.recorder_id or 0, []))
        self.verified = self.verified._replace(checkpoints=len(self._claims))

    def _check_claim(self, claim: Claim, chain: Sequence[Seal]) -> Iterator[Finding]:
        size = claim.checkpoint.size
        if not chain or any(one.before is not None for one in chain):
            self._not_checked(f"{claim.origin}, because the export does not contain every batch of its recorder")
            return
        if len(chain) < size:
            yield Finding(TAIL_TRUNCATED, "seals", f"{claim.origin} covers {size} batches; here are {len(chain)}")
            return
        frontier = Frontier()
        for seal in chain[:size]:
            frontier.add(seal.seal or b"")
        if frontier.root() != claim.checkpoint.root:
            yield Finding(CHECKPOINT_CONTRADICTED, "seals", f"{claim.origin} has another root over {size} batches")

    def _about_frame(self, kind: str, frame: ExportedFrame, detail: str) -> Finding:
        name = self._names.get(frame.account_id)
        return Finding(kind, FRAMES, detail, name, frame.session_id, frame.seq, frame.seq, frame.run_id)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _spans_by_session(found: Iterator[BatchSpan]) -> tuple[dict[tuple[int, int], list[_SpanInBatch]], Counter[Key]]:
    """Session → its spans in order; and batch → how many frames it holds."""
    spans: dict[tuple[int, int], list[_SpanInBatch]] = {}
    counts: Counter[Key] = Counter()
    for span in sorted(found):
        key = span.run_id, span.batch
        spans.setdefault((span.account_id, span.session_id), []).append(_SpanInBatch(span, counts[key]))
        counts[key] += span.last_seq - span.first_seq + 1
    for of_session in spans.values():
        of_session.sort(key=lambda one: one.span.first_seq)
    return spans, counts


def _find(spans: Mapping[tuple[int, int], Sequence[_SpanInBatch]], frame: ExportedFrame) -> _SpanInBatch | None:
    its = spans.get((frame.account_id, frame.session_id), ())
    at = bisect_right(its, frame.seq, key=lambda one: one.span.first_seq) - 1
    return its[at] if at >= 0 and frame.seq <= its[at].span.last_seq else None


def _digest(run_id: int, frame: ExportedFrame) -> bytes:
    key = frame.account_id, frame.session_id, frame.seq, frame.received_ns
    return seals.frame_digests(run_id, [Frame(*key, frame.source, frame.topic, "", None, frame.payload)])


def _kept_digest(seal: Seal | None, index: int) -> bytes | None:
    if seal is None or seal.digests is None:
        return None
    return seal.digests[index * HASH_BYTES : (index + 1) * HASH_BYTES]


def _check_chain(chain: Sequence[Seal]) -> Iterator[Finding]:
    """Check each seal against its parts and the seal before it."""
    last: Seal | None = None
    for seal in chain:
        if seal.digests is not None and seals.frames_root(seal.digests) != seal.frames_root:
            yield _about(DIGESTS_CHANGED, "seals", "its digests do not lead to its root", seal)
        before = seal.before if seal.before is not None else (seals.BEGINNING if last is None else last.seal)
        if seal.seal is None or seal.frames_root is None or seal.entries_root is None or before is None:
            yield _about(SEAL_REMOVED, "seals", "it has no seal", seal)
        elif seal.seal != seals.seal_of(*seal[1:6], seal.frames_root, seal.entries_root, before):
            yield _about(CHAIN_BROKEN, "seals", "its seal does not follow from its parts and the seal before it", seal)
        last = seal


def _about(kind: str, table: str, detail: str, seal: Seal) -> Finding:
    return batch_finding(kind, table, detail, seal.run_id, seal.batch, seal.recorder_id)
