"""Checking ranges of batches: digests and entries against their seals, frames against digests, typed rows.

That each seal follows from its batch and the seal before it is checked in `chain.py`.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from recorder.audit.reading import RecordReader, Row
from recorder.audit.stored import (
    ACCOUNTS_SQL,
    FrameSpan,
    StoredBatch,
    account_names,
    digest_of,
    frames_sql,
    is_emptied,
    read_batches,
    split_digests,
)
from recorder.audit.verify.findings import (
    DIGESTS_CHANGED,
    ENTRIES_CHANGED,
    ROW_CHANGED,
    SPAN_CHANGED,
    Finding,
    batch_finding,
    merge_consecutive,
)
from recorder.audit.verify.frames import Piece, changed, check_frames, pieces
from recorder.audit.verify.plan import BatchRange
from recorder.audit.verify.typed_rows import check_typed_rows
from recorder.store import seals
from recorder.store.merkle import HASH_BYTES
from recorder.store.redacted import SealedRedactions, sealed_redactions
from recorder.venues import VENUES

#: Frames, or bytes of payload, in memory at a time.
PIECE_FRAMES = 2_000
PIECE_BYTES = 8 * 2**20


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
        self.digests: list[bytes] = []
        self._firsts: list[int] = []
        self._batches: list[int] = []

    def add(self, span: FrameSpan, digests: bytes, batch: int) -> None:
        """Add the frames of the next batch."""
        self.span = self.span._replace(last=span.last)
        self.digests.append(digests)
        self._firsts.append(span.first)
        self._batches.append(batch)

    def batch_of(self, seq: int | None) -> int:
        """The batch that holds a frame."""
        assert seq is not None
        return self._batches[bisect_right(self._firsts, seq) - 1]


class BatchChecker:
    """Checks ranges of batches, one after the other.

    Args:
        reader: of the record.
        extent: how much is checked.
    """

    def __init__(self, reader: RecordReader, extent: Extent) -> None:
        self._reader = reader
        self._extent = extent

    def check(self, batches: BatchRange) -> Outcome:
        """Check a range, in one state of the record."""
        with self._reader.snapshot():
            return _RangeCheck(self._reader, self._extent, batches).outcome()


class _RangeCheck:
    def __init__(self, reader: RecordReader, extent: Extent, batches: BatchRange) -> None:
        self._reader = reader
        self._extent = extent
        self._range = batches
        self._redactions, self._are_newest = extent.redactions, False
        accounts = reader.rows(ACCOUNTS_SQL)
        self._names = account_names(accounts)
        self._venues = {key: VENUES.get(venue) for key, _, venue in accounts}
        self._findings: list[Finding] = []
        self._redacted = 0

    def outcome(self) -> Outcome:
        """Check the range."""
        run_id, first, last = self._range.run_id, self._range.first, self._range.last
        stored = read_batches(self._reader, run_id, first, last)
        found: dict[tuple[int, int], list[_SessionFrames]] = {}
        sealed = 0
        for batch in stored:
            if batch.sealed is not None:
                sealed += 1
                self._check_roots(batch)
                self._divide(batch, batch.sealed.digests, found)
        frames = 0
        for of_session in found.values():
            for some in of_session:
                if self._extent.account_id in {None, some.span.account_id}:
                    self._findings += merge_consecutive(self._check_session(some))
                    frames += some.span.frames
        there = sum(batch.frames is not None or batch.sealed is not None for batch in stored)
        return Outcome(there, frames, sealed, self._findings, self._redacted)

    def _check_roots(self, batch: StoredBatch) -> None:
        assert batch.sealed is not None
        if seals.frames_root(batch.sealed.digests) != batch.sealed.frames_root:
            told = "the digests stored with its seal do not lead to the root that it covers"
            self._add(batch, DIGESTS_CHANGED, "seals", told)
        if seals.entries_root(batch.bodies) != batch.sealed.entries_root:
            told = "its event log entries are not those that its seal covers"
            self._add(batch, ENTRIES_CHANGED, "event_log", told)

    def _divide(self, batch: StoredBatch, digests: bytes, found: dict[tuple[int, int], list[_SessionFrames]]) -> None:
        """Give the digests of a batch to the sessions of its frames."""
        held = sum(span.frames for span in batch.spans)
        if held * HASH_BYTES != len(digests):
            told = f"its rows say that it holds {held} frames; its seal covers {len(digests) // HASH_BYTES}"
            self._add(batch, SPAN_CHANGED, "spans", told)
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
                        self._findings.append(self._named(changed(row), span, batch.number))

    def _check_session(self, some: _SessionFrames) -> Iterator[Finding]:
        rows = self._reader.stream(frames_sql(some.span))
        for piece in pieces(some.span, self._range.run_id, rows, b"".join(some.digests), PIECE_FRAMES, PIECE_BYTES):
            checked = check_frames(piece, self._is_redacted)
            self._redacted += checked.redacted
            found = [*checked.findings, *self._check_typed_rows(piece, {one.seq or 0 for one in checked.findings})]
            for finding in sorted(found, key=lambda one: one.seq or 0):
                yield self._named(finding, some.span, some.batch_of(finding.seq))

    def _check_typed_rows(self, piece: Piece, doubtful: set[int]) -> Iterator[Finding]:
        if not self._extent.typed_rows:
            return
        venue = self._venues.get(piece.span.account_id)
        if venue is None:
            told = "its venue is unknown, so its frames cannot be decoded"
            yield Finding(ROW_CHANGED, "accounts", told, seq=piece.span.first, last_seq=piece.span.last)
            return
        yield from check_typed_rows(self._reader, venue, piece, doubtful)

    def _is_redacted(self, row: Row) -> bool:
        if self._redactions.covers(*row[:3]):
            return True
        if not self._are_newest:
            # It may have been redacted since the verification began.
            self._redactions, self._are_newest = sealed_redactions(self._reader.rows), True
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
