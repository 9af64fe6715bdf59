"""Checking one part of a record: batches against their seals, frames against their digests, and what follows."""

from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from recorder.audit import chain, frames, typed
from recorder.audit.findings import Finding, together
from recorder.audit.forms import Forms
from recorder.audit.frames import Differing, Evidence, Piece
from recorder.audit.kept import Kept, Span, frames_of, read_batches, read_frames, split
from recorder.audit.plan import Key, Part
from recorder.audit.reading import Reader, Row
from recorder.audit.spans import true_spans
from recorder.store import seals
from recorder.store.merkle import HASH_BYTES
from recorder.store.redacted import SealedRedactions, sealed_redactions
from recorder.venues import VENUES

#: So many frames, or bytes of payload, are in memory at a time.
PIECE_FRAMES = 2_000
PIECE_BYTES = 8 * 2**20
#: Frames that differ are explained so many together.
DIFFERING_MAX = 1_000
#: So many batches before a part are looked at where its first does not follow.
BEFORE_MAX = 8


class Scope(NamedTuple):
    """How far a record is verified."""

    #: Only this account's frames; None: all.
    account_id: int | None = None
    #: Whether typed rows are decoded again.
    rows: bool = True
    #: The redactions that sealed entries prove.
    redactions: SealedRedactions = SealedRedactions({})


class Outcome(NamedTuple):
    """What checking a part came to."""

    batches: int
    frames: int
    seals: int
    findings: list[Finding]
    #: Batches whose seal is not the one that is kept: what it was, as far as that can be told.
    true_seals: dict[Key, bytes | None]
    #: Frames whose payload is missing because they were redacted.
    redacted: int


class _Range:
    """The frames of one session that some batches hold, one after the other."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.digests: list[bytes] = []
        #: First frame and number of each batch.
        self.firsts: list[int] = []
        self.batches: list[int] = []

    def add(self, span: Span, digests: bytes, batch: int) -> None:
        self.span = self.span._replace(last=span.last)
        self.digests.append(digests)
        self.firsts.append(span.first)
        self.batches.append(batch)

    def batch_of(self, seq: int) -> int:
        return self.batches[max(bisect_right(self.firsts, seq) - 1, 0)]


class Checker:
    """Checks parts, one after the other.

    Args:
        reader: of the record.
        scope: how far.
    """

    def __init__(self, reader: Reader, scope: Scope) -> None:
        self._reader = reader
        self._scope = scope
        self._forms = Forms()

    def check(self, part: Part) -> Outcome:
        """Check one, in a state of the record of its own: what it looks at changes no more."""
        with self._reader.snapshot():
            self._redactions, self._are_newest, self._redacted = self._scope.redactions, False, 0
            return self._check(part)

    def _check(self, part: Part) -> Outcome:
        reader = self._reader
        self._accounts = {key: (name, VENUES.get(venue)) for key, name, venue in _accounts(reader)}
        batches = read_batches(reader, part.run_id, part.first, part.last)
        findings: list[Finding] = []
        true_seals: dict[Key, bytes | None] = {}
        ranges: dict[tuple[int, int], list[_Range]] = {}
        for kept, truth in self._chain(part, batches):
            findings += truth.findings
            if truth.findings or kept.gone:
                true_seals[part.run_id, kept.number] = truth.seals[0] if len(truth.seals) == 1 else None
            if truth.digests is None:
                continue
            spans = kept.spans
            if kept.in_spans * HASH_BYTES != len(truth.digests):
                spans, wrong = self._true_spans(part, kept, truth.digests)
                findings += wrong
                if sum(span.frames for span in spans) * HASH_BYTES != len(truth.digests):
                    continue
            _add(ranges, kept.number, spans, truth.digests)
        checked = 0
        for in_session in ranges.values():
            for one in in_session:
                if self._scope.account_id in {None, one.span.account_id}:
                    findings += together(self._range(part, one))
                    checked += one.span.frames
        sealed = sum(kept.sealed is not None for kept in batches)
        seen = sum(not kept.gone for kept in batches)
        return Outcome(seen, checked, sealed, findings, true_seals, self._redacted)

    def _chain(self, part: Part, batches: list[Kept]) -> Iterator[tuple[Kept, chain.Truth]]:
        """Each batch, with what was sealed."""
        befores = [seals.BEGINNING] if part.before is None else self._stored(part.before)
        for place, kept in enumerate(batches):
            fits = any(chain.follows(kept, before) for before in befores)
            if not fits and place == 0 and part.before is not None:
                befores = self._seals_at(part.before)
                fits = any(chain.follows(kept, before) for before in befores)
            if fits:
                assert kept.sealed is not None
                truth = chain.Truth(kept.sealed.digests, (kept.sealed.seal,), [])
            else:
                after = batches[place + 1] if place + 1 < len(batches) else self._at(part.after)
                truth = chain.explain(kept, befores, after, partial(self._digests, kept), part.recorder_id)
            yield kept, truth
            befores = list(truth.seals)

    def _at(self, key: Key | None) -> Kept | None:
        return None if key is None else read_batches(self._reader, key[0], key[1], key[1])[0]

    def _stored(self, key: Key) -> list[bytes]:
        found = self._reader.one(f"SELECT seal FROM seals WHERE run_id = {key[0]:d} AND batch = {key[1]:d}")
        return [] if found is None else [bytes(found)]

    def _seals_at(self, key: Key, depth: int = BEFORE_MAX) -> list[bytes]:
        """What the seal of a batch may have been: the one that is kept, and what it should be as its parts are."""
        kept = self._at(key)
        assert kept is not None
        if kept.gone:
            return []
        found = [] if kept.sealed is None else [kept.sealed.seal]
        if depth and key[1]:
            digests = self._digests(kept) if kept.sealed is None else kept.sealed.digests
            for before in self._seals_at((key[0], key[1] - 1), depth - 1):
                made = chain.recomputed(kept, digests, before)
                if made is not None and made not in found:
                    found.append(made)
        return found

    def _digests(self, kept: Kept) -> bytes:
        """The digests of a batch's frames as they are; those of emptied ones as they are kept."""
        known = [] if kept.sealed is None else split(kept.sealed.digests)
        made = []
        place = 0
        for span in kept.spans:
            for row in read_frames(self._reader, span):
                own = place + row[2] - span.first
                if frames.is_emptied(row) and own < len(known) and self._is_redacted(span, row[2]):
                    made.append(known[own])
                else:
                    made.append(seals.frame_digests(kept.run_id, [row]))  # type: ignore[list-item]
            place += span.frames
        return b"".join(made)

    def _true_spans(self, part: Part, kept: Kept, digests: bytes) -> tuple[tuple[Span, ...], list[Finding]]:
        keys = (
            (part.run_id, kept.number - 1) if kept.number else part.before,
            (part.run_id, kept.number + 1),
        )
        neighbours = [one for one in map(self._at, keys) if one is not None]
        return true_spans(self._reader, kept, digests, neighbours, part.recorder_id, self._name)

    def _is_redacted(self, span: Span, seq: int) -> bool:
        if self._redactions.covers(*span[:2], seq):
            return True
        if not self._are_newest:
            # It may have been redacted since the verification began.
            self._redactions, self._are_newest = sealed_redactions(self._reader.rows), True
        return self._redactions.covers(*span[:2], seq)

    def _range(self, part: Part, one: _Range) -> Iterator[Finding]:
        """What is wrong with the frames of a session in some batches, in their order."""
        found: list[tuple[int, Finding]] = []
        waiting: list[Differing] = []
        rows = self._reader.stream(frames_of(one.span))
        digests = b"".join(one.digests)
        for piece in frames.pieces(one.span, part.run_id, rows, digests, PIECE_FRAMES, PIECE_BYTES):
            differ, redacted = frames.differing(piece, partial(self._is_redacted, one.span))
            self._redacted += redacted
            waiting += differ
            found += self._typed(piece, {frame.seq for frame in differ})
            if len(waiting) >= DIFFERING_MAX:
                found += frames.findings_of(part.run_id, waiting, self._evidence)
                waiting = []
        found += frames.findings_of(part.run_id, waiting, self._evidence)
        account = self._name(one.span.account_id)
        for seq, finding in sorted(found, key=lambda told: told[0]):
            yield finding._replace(
                account=account,
                session_id=one.span.session_id,
                run_id=part.run_id,
                batch=one.batch_of(seq),
                recorder_id=part.recorder_id,
            )

    def _typed(self, piece: Piece, doubtful: set[int]) -> Iterator[tuple[int, Finding]]:
        _, venue = self._accounts.get(piece.span.account_id, (None, None))
        if not self._scope.rows or venue is None:
            return
        settled = self._forms.settled(self._reader, venue, piece)
        if len(settled) == piece.span.frames:
            return
        found = list(typed.findings_of(self._reader, venue, piece, doubtful, settled))
        if not found and not doubtful:
            self._forms.learn(venue, (row for row in piece.rows if row[2] not in settled))
        yield from found

    def _evidence(self, row: Row) -> Evidence:
        _, venue = self._accounts.get(row[0], (None, None))
        if venue is None:
            return Evidence(frozenset(), None)
        return Evidence(*typed.payload_agrees(self._reader, venue, row))

    def _name(self, account_id: int) -> str:
        return str(self._accounts.get(account_id, (account_id, None))[0])


def _accounts(reader: Reader) -> list[Row]:
    return reader.rows("SELECT account_id, name, venue FROM accounts")


def _add(ranges: dict[tuple[int, int], list[_Range]], batch: int, spans: tuple[Span, ...], digests: bytes) -> None:
    """Put a batch's spans, with their digests, to those of the batches before it."""
    start = 0
    for span in spans:
        end = start + span.frames * HASH_BYTES
        in_session = ranges.setdefault((span.account_id, span.session_id), [])
        if not in_session or in_session[-1].span.last + 1 != span.first:
            in_session.append(_Range(span))
        in_session[-1].add(span, digests[start:end], batch)
        start = end
