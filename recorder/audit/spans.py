"""Which frames a batch holds, where its spans do not say so: its digests know, for they are over what names a frame."""

from collections.abc import Callable
from itertools import groupby
from operator import itemgetter

from recorder.audit.findings import FRAME_INSERTED, SPAN_CHANGED, Finding, batch_finding
from recorder.audit.kept import Kept, Span, digest_of, frames_of, split
from recorder.audit.reading import Reader

#: Account, session, number.
_Name = tuple[int, int, int]


def true_spans(
    reader: Reader,
    kept: Kept,
    digests: bytes,
    neighbours: list[Kept],
    recorder_id: int,
    name: Callable[[int], str],
) -> tuple[tuple[Span, ...], list[Finding]]:
    """The spans of a batch whose digests are not as many as the frames in its spans, and what is wrong with those.

    Args:
        reader: of the record.
        kept: the batch.
        digests: of its frames, as they were sealed.
        neighbours: the batches before and after it.
        recorder_id: whose it is.
        name: gives an account's name.
    """
    which = kept.run_id, kept.number, recorder_id
    found = _found(reader, kept, split(digests), neighbours)
    if found is None:
        told = f"its spans hold {kept.in_spans} frames, but {len(split(digests))} were sealed"
        return kept.spans, [batch_finding(SPAN_CHANGED, "spans", told, *which)]
    findings = []
    # A span that claims very many frames is not counted out.
    mine = {span[:2]: span._replace(last=min(span.last, span.first + 2 * len(digests))) for span in kept.spans}
    true = {span[:2]: span for span in found}
    for session in sorted(mine.keys() | true.keys()):
        said, sealed = _seqs(mine.get(session)), _seqs(true.get(session))
        for first, last in _stretches(said ^ sealed):
            surplus = Span(*session, first, last)
            beside = [span for one in neighbours for span in one.spans if span[:2] == session]
            elsewhere = any(_seqs(span) & {first, last} for span in beside)
            there = first in said and not elsewhere and bool(reader.rows(frames_of(surplus)))
            kind, table = (FRAME_INSERTED, "frames") if there else (SPAN_CHANGED, "spans")
            words = "a span holds it, but it was not sealed" if first in said else "it was sealed, but no span holds it"
            findings.append(Finding(kind, table, words, name(session[0]), session[1], first, last, *which))
    return tuple(found), findings


def _found(reader: Reader, kept: Kept, digests: list[bytes], neighbours: list[Kept]) -> list[Span] | None:
    """The spans as the digests have them; None where too little of the frames is left."""
    places = {digest: place for place, digest in enumerate(digests)}
    names: list[_Name | None] = [None] * len(digests)
    for span in _where_they_may_be(kept, len(digests), neighbours):
        for frame in reader.rows(frames_of(span)):
            place = places.get(digest_of(kept.run_id, frame))
            if place is not None:
                names[place] = (frame[0], frame[1], frame[2])
    _fill(names)
    if not names or None in names:
        return None
    spans = []
    for session, frames in groupby((name for name in names if name is not None), itemgetter(0, 1)):
        seqs = [name[2] for name in frames]
        if seqs != list(range(seqs[0], seqs[-1] + 1)):
            return None
        spans.append(Span(session[0], session[1], seqs[0], seqs[-1]))
    return spans


def _where_they_may_be(kept: Kept, frames: int, neighbours: list[Kept]) -> list[Span]:
    """Around what the spans say, of this batch and of its neighbours."""
    around: dict[tuple[int, int], Span] = {}
    for one in (kept, *neighbours):
        for span in one.spans:
            known = around.get(span[:2], span)
            first, last = min(known.first, span.first - frames), max(known.last, span.last + frames)
            around[span[:2]] = Span(span.account_id, span.session_id, first, last)
    return list(around.values())


def _fill(names: list[_Name | None]) -> None:
    """A frame that is gone, or was changed, stands between its neighbours in its session."""
    for places, step in ((range(1, len(names)), 1), (range(len(names) - 2, -1, -1), -1)):
        for place in places:
            beside = names[place - step]
            if names[place] is None and beside is not None:
                names[place] = (beside[0], beside[1], beside[2] + step)


def _seqs(span: Span | None) -> set[int]:
    return set() if span is None else set(range(span.first, span.last + 1))


def _stretches(seqs: set[int]) -> list[tuple[int, int]]:
    stretches: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if stretches and stretches[-1][1] == seq - 1:
            stretches[-1] = stretches[-1][0], seq
        else:
            stretches.append((seq, seq))
    return stretches
