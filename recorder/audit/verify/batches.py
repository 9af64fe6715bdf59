"""Check ranges of batches: digests and entries against their seals, frames against digests, typed rows against frames.

`chain.py` checks that each seal follows from its batch and the seal before it.
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from recorder.audit.reading import (
    ACCOUNTS_SQL,
    PAYLOAD,
    SEQ,
    FrameSpan,
    RecordReader,
    Row,
    StoredBatch,
    StoredSeal,
    digest_of,
    frames_sql,
    is_emptied,
    read_batches,
    split_digests,
)
from recorder.audit.verify.findings import (
    DIGESTS_CHANGED,
    ENTRIES_CHANGED,
    FRAME_CHANGED,
    FRAME_REMOVED,
    PAYLOAD_ERASED,
    ROW_CHANGED,
    SPAN_CHANGED,
    Finding,
    batch_finding,
    frame_finding,
    merge_consecutive,
)
from recorder.audit.verify.typed_rows import check_typed_rows
from recorder.model import account_labels
from recorder.store import seals
from recorder.store.merkle import HASH_BYTES
from recorder.store.redactions import SealedRedactions, sealed_redactions
from recorder.venues import find_venue

#: Frames, or bytes of payload, in memory at a time.
PIECE_FRAMES = 2_000
PIECE_BYTES = 8 * 2**20


class BatchRange(NamedTuple):
    """Consecutive batches of one run."""

    recorder_id: int
    run_id: int
    first: int
    last: int
    #: How many frames their rows claim.
    frames: int


class Extent(NamedTuple):
    """How much is checked of each batch."""

    #: Only the frames of this account; None: of all.
    account_id: int | None = None
    #: Whether frames are decoded again to check typed rows.
    typed_rows: bool = True
    #: The redactions that count.
    redactions: SealedRedactions = SealedRedactions({})


class Outcome(NamedTuple):
    """The result of checking a range."""

    batches: int
    frames: int
    seals: int
    findings: list[Finding]
    #: Frames without payload because they were redacted.
    redacted: int


class _SessionFrames:
    """Consecutive frames of one session, over some batches."""

    def __init__(self, span: FrameSpan) -> None:
        self.span = span
        self.digests = bytearray()
        self._firsts: list[int] = []
        self._batches: list[int] = []

    def add(self, span: FrameSpan, digests: bytes, batch: int) -> None:
        """Add the frames of the next batch."""
        self.span = self.span._replace(last=span.last)
        self.digests += digests
        self._firsts.append(span.first)
        self._batches.append(batch)

    def batch_of(self, seq: int | None) -> int:
        """The batch that holds a frame."""
        assert seq is not None
        return self._batches[bisect_right(self._firsts, seq) - 1]

    def digests_of(self, first: int, last: int) -> bytes:
        """The sealed digests of some of the frames."""
        start, end = first - self.span.first, last + 1 - self.span.first
        return bytes(self.digests[start * HASH_BYTES : end * HASH_BYTES])


class BatchChecker:
    """Checks ranges of batches, one after the other, each in one state of the record.

    Args:
        reader: of the record.
        extent: how much is checked.
    """

    def __init__(self, reader: RecordReader, extent: Extent) -> None:
        self._reader = reader
        self._extent = extent
        self._redactions = extent.redactions
        self._range: BatchRange
        self._findings: list[Finding]
        self._redacted: int
        self._redactions_are_newest: bool

    def check(self, batches: BatchRange) -> Outcome:
        """Check a range."""
        self._range, self._findings, self._redacted, self._redactions_are_newest = batches, [], 0, False
        with self._reader.snapshot():
            accounts = self._reader.rows(ACCOUNTS_SQL)
            self._names = account_labels(accounts)
            self._venues = {key: find_venue(venue) for key, _, venue in accounts}
            stored = read_batches(self._reader, batches.run_id, batches.first, batches.last)
            found: dict[tuple[int, int], list[_SessionFrames]] = {}
            for batch in stored:
                if batch.sealed is not None:
                    self._check_roots(batch, batch.sealed)
                    self._divide(batch, batch.sealed.digests, found)
            frames = 0
            for some in chain.from_iterable(found.values()):
                if self._extent.account_id in {None, some.span.account_id}:
                    self._findings += merge_consecutive(self._check_session(some))
                    frames += some.span.frames
        there = sum(batch.frames is not None or batch.sealed is not None for batch in stored)
        sealed = sum(batch.sealed is not None for batch in stored)
        return Outcome(there, frames, sealed, self._findings, self._redacted)

    def _check_roots(self, batch: StoredBatch, sealed: StoredSeal) -> None:
        if seals.frames_root(sealed.digests) != sealed.frames_root:
            detail = "the digests stored with its seal do not lead to the root that it covers"
            self._add(batch, DIGESTS_CHANGED, "seals", detail)
        if seals.entries_root(batch.bodies) != sealed.entries_root:
            self._add(batch, ENTRIES_CHANGED, "event_log", "its event log entries are not those that its seal covers")

    def _divide(self, batch: StoredBatch, digests: bytes, found: dict[tuple[int, int], list[_SessionFrames]]) -> None:
        """Assign the digests of a batch to the sessions of its frames."""
        held = sum(span.frames for span in batch.spans)
        if held * HASH_BYTES != len(digests):
            detail = f"its rows say that it holds {held} frames; its seal covers {len(digests) // HASH_BYTES}"
            self._add(batch, SPAN_CHANGED, "spans", detail)
            self._check_unordered(batch, set(split_digests(digests)))
            return
        start = 0
        for span in batch.spans:
            end = start + span.frames * HASH_BYTES
            of_session = found.setdefault((span.account_id, span.session_id), [])
            if not of_session or of_session[-1].span.last + 1 != span.first:
                of_session.append(_SessionFrames(span))
            of_session[-1].add(span, digests[start:end], batch.number)
            start = end

    def _check_unordered(self, batch: StoredBatch, digests: set[bytes]) -> None:
        """Check frames against the digests of a batch where it is not known which digest is whose."""
        for span in batch.spans:
            for rows in self._reader.stream(frames_sql(span)):
                for row in rows:
                    if digest_of(batch.run_id, row) not in digests and not (is_emptied(row) and self._is_redacted(row)):
                        self._findings.append(self._named(_changed(row), span, batch.number))

    def _check_session(self, some: _SessionFrames) -> Iterator[Finding]:
        for span, rows in self._pieces(some.span):
            found = self._check_frames(span, rows, some.digests_of(span.first, span.last))
            doubtful = {finding.seq or 0 for finding in found}
            found += self._check_typed_rows(span, rows, doubtful)
            for finding in sorted(found, key=lambda one: one.seq or 0):
                yield self._named(finding, some.span, some.batch_of(finding.seq))

    def _pieces(self, span: FrameSpan) -> Iterator[tuple[FrameSpan, list[Row]]]:
        """The rows of a span in pieces of limited size, so that memory does not grow with the span."""
        first, size = span.first, 0
        held: list[Row] = []
        for some in self._reader.stream(frames_sql(span)):
            held += some
            size += sum([len(row[PAYLOAD]) for row in some])
            if len(held) >= PIECE_FRAMES or size >= PIECE_BYTES:
                last = held[-1][SEQ]
                yield span._replace(first=first, last=last), held
                first, held, size = last + 1, [], 0
        if first <= span.last:
            yield span._replace(first=first), held

    def _check_frames(self, span: FrameSpan, rows: list[Row], digests: bytes) -> list[Finding]:
        """One finding for each frame that is not the one that was sealed."""
        run_id = self._range.run_id
        if seals.frame_digests(run_id, rows) == digests:  # type: ignore[arg-type]
            return []
        by_seq = {row[SEQ]: row for row in rows}
        findings = []
        for seq, digest in enumerate(split_digests(digests), span.first):
            row = by_seq.get(seq)
            if row is None:
                findings.append(frame_finding(FRAME_REMOVED, "frames", "it was sealed, and is missing", seq))
            elif is_emptied(row) and self._is_redacted(row):
                self._redacted += 1  # its digest cannot be computed any more
            elif digest_of(run_id, row) != digest:
                findings.append(_changed(row))
        return findings

    def _check_typed_rows(self, span: FrameSpan, rows: list[Row], doubtful: set[int]) -> Iterator[Finding]:
        if not self._extent.typed_rows:
            return
        venue = self._venues.get(span.account_id)
        if venue is None:
            detail = "its venue is unknown, so its frames cannot be decoded"
            yield Finding(ROW_CHANGED, "accounts", detail, seq=span.first, last_seq=span.last)
            return
        yield from check_typed_rows(self._reader, venue, span, rows, doubtful)

    def _is_redacted(self, row: Row) -> bool:
        """Whether a sealed entry says that a frame was redacted."""
        if self._redactions.covers(*row[:3]):
            return True
        if not self._redactions_are_newest:
            # It may have been redacted since the verification began.
            self._redactions, self._redactions_are_newest = sealed_redactions(self._reader.rows), True
        return self._redactions.covers(*row[:3])

    def _named(self, finding: Finding, span: FrameSpan, batch: int) -> Finding:
        return finding._replace(
            account=self._names.get(span.account_id, str(span.account_id)),
            session_id=span.session_id,
            run_id=self._range.run_id,
            batch=batch,
            recorder_id=self._range.recorder_id,
        )

    def _add(self, batch: StoredBatch, kind: str, table: str, detail: str) -> None:
        self._findings.append(batch_finding(kind, table, detail, batch.run_id, batch.number, self._range.recorder_id))


def _changed(row: Row) -> Finding:
    """The finding about a frame that is not the one that was sealed."""
    if is_emptied(row):
        detail = "its payload is missing, and no sealed redaction covers it"
        return frame_finding(PAYLOAD_ERASED, "frames", detail, row[SEQ])
    detail = "its bytes, time of receipt, source or number are not those that were sealed"
    return frame_finding(FRAME_CHANGED, "frames", detail, row[SEQ])
