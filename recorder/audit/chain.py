"""Whether a batch is the one that was sealed, after the one before it; and where it is not, which part of it is not.

A seal is a hash over a batch's parts: it follows from the right ones only. So where it does not follow from what the
record holds, it is tried with what the parts would be if one of them had been changed: the frames' root as it is kept,
as it follows from the kept digests, as it follows from the frames. What makes the seal fit is what was sealed, and the
rest is what was changed.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

from recorder.audit.findings import (
    BATCH_CHANGED,
    BATCH_REMOVED,
    CHAIN_BROKEN,
    DIGEST_CHANGED,
    ENTRY_CHANGED,
    ENTRY_INSERTED,
    ENTRY_REMOVED,
    SEAL_CHANGED,
    SEAL_REMOVED,
    Finding,
    batch_finding,
)
from recorder.audit.kept import Kept
from recorder.store import seals
from recorder.store.merkle import HASH_BYTES

#: So many entries may have been taken out of a batch for its seal still to tell how many.
ENTRIES_LOST_MAX = 64


class Truth(NamedTuple):
    """What was sealed, as far as it can be told."""

    #: The digests of the batch's frames, by which each is checked. None: nothing is left that tells.
    digests: bytes | None
    #: What the seal of the batch may be: the next one follows from it. Empty: nothing is left that tells.
    seals: tuple[bytes, ...]
    findings: list[Finding]


class _Parts(NamedTuple):
    """What a seal is made of, beside the numbers of its batch and the seal before."""

    frames_root: bytes
    frames: int
    entries_root: bytes
    entries: int


def follows(kept: Kept, before: bytes) -> bool:
    """Whether a batch is as it was sealed, after the seal before."""
    sealed = kept.sealed
    return (
        sealed is not None
        and kept.frames is not None
        and kept.frames * HASH_BYTES == len(sealed.digests)
        and seals.frames_root(sealed.digests) == sealed.frames_root
        and seals.entries_root(kept.bodies) == sealed.entries_root
        and _seal(kept, _as_kept(kept), before) == sealed.seal
    )


def recomputed(kept: Kept, digests: bytes, before: bytes) -> bytes | None:
    """The seal that a batch should have, as its frames and entries are."""
    if kept.written_ns is None:
        return None
    bodies = kept.bodies
    parts = _Parts(seals.frames_root(digests), len(digests) // HASH_BYTES, seals.entries_root(bodies), len(bodies))
    return _seal(kept, parts, before)


def explain(
    kept: Kept, befores: Sequence[bytes], after: Kept | None, read_digests: Callable[[], bytes], recorder_id: int
) -> Truth:
    """What was changed in a batch that does not follow.

    Args:
        kept: the batch.
        befores: what the seal before may be; empty where nothing tells.
        after: the batch after it, of the same recorder's.
        read_digests: gives the digests of the frames that are there.
        recorder_id: whose it is.
    """
    if kept.gone:
        return Truth(None, (), [])  # the plan has told
    told = _Teller(kept, recorder_id)
    if kept.sealed is None:
        return _without_seal(kept, befores, after, read_digests(), told)
    digests = kept.sealed.digests
    found = _sealed_parts(kept, befores, read_digests)
    if found is not None:
        return _what_differs(kept, found, read_digests, told)
    if kept.frames is None:
        told(BATCH_REMOVED, "batches", "its row is gone; its frames, its entries and its seal are there")
        return Truth(digests, (kept.sealed.seal,), told.findings)
    if not befores and _is_whole(kept):
        # What was before it is gone; but it agrees with itself.
        return Truth(digests, (kept.sealed.seal,), [])
    return _seal_or_time(kept, befores, after, told)


class _Teller:
    def __init__(self, kept: Kept, recorder_id: int) -> None:
        self.findings: list[Finding] = []
        self._of = kept.run_id, kept.number, recorder_id

    def __call__(self, kind: str, table: str, detail: str) -> None:
        self.findings.append(batch_finding(kind, table, detail, *self._of))


def _seal(kept: Kept, parts: _Parts, before: bytes) -> bytes:
    assert kept.written_ns is not None
    roots = parts.frames_root, parts.entries_root
    return seals.seal_of(kept.run_id, kept.number, kept.written_ns, parts.frames, parts.entries, *roots, before)


def _as_kept(kept: Kept) -> _Parts:
    assert kept.sealed is not None and kept.frames is not None
    return _Parts(kept.sealed.frames_root, kept.frames, kept.sealed.entries_root, len(kept.entries))


def _is_whole(kept: Kept) -> bool:
    """Whether the parts of a batch agree with each other."""
    sealed = kept.sealed
    assert sealed is not None
    return (
        kept.frames == len(sealed.digests) // HASH_BYTES
        and seals.frames_root(sealed.digests) == sealed.frames_root
        and seals.entries_root(kept.bodies) == sealed.entries_root
    )


def _sealed_parts(kept: Kept, befores: Sequence[bytes], read_digests: Callable[[], bytes]) -> _Parts | None:
    """The parts from which the kept seal follows."""
    assert kept.sealed is not None
    if kept.written_ns is None:
        return None
    for parts in _candidates(kept, read_digests):
        if any(_seal(kept, parts, before) == kept.sealed.seal for before in befores):
            return parts
    return None


def _candidates(kept: Kept, read_digests: Callable[[], bytes]) -> Iterator[_Parts]:
    """What the parts of a batch may have been."""
    sealed, bodies = kept.sealed, kept.bodies
    assert sealed is not None and kept.frames is not None
    actual = read_digests()
    counts = {kept.frames, len(sealed.digests) // HASH_BYTES, len(actual) // HASH_BYTES, kept.in_spans}
    roots = [(seals.frames_root(digests), len(digests) // HASH_BYTES) for digests in (sealed.digests, actual)]
    of_frames = [*roots, *((sealed.frames_root, count) for count in counts)]
    of_entries = [(seals.entries_root(bodies), len(bodies))]
    of_entries += [(sealed.entries_root, count) for count in range(len(bodies) + ENTRIES_LOST_MAX)]
    for frames, entries in product(of_frames, of_entries):
        yield _Parts(*frames, *entries)


def _what_differs(kept: Kept, parts: _Parts, read_digests: Callable[[], bytes], told: _Teller) -> Truth:
    sealed = kept.sealed
    assert sealed is not None
    digests = sealed.digests
    for name in ("frames_root", "entries_root"):
        if getattr(sealed, name) != getattr(parts, name):
            told(SEAL_CHANGED, "seals", f"its {name} is not the one that was sealed")
    if seals.frames_root(digests) != parts.frames_root:
        actual = read_digests()
        if seals.frames_root(actual) == parts.frames_root:
            told(DIGEST_CHANGED, "seals", "the digests kept with it were changed; its frames are as they were sealed")
            digests = actual
        else:
            told(DIGEST_CHANGED, "seals", "the digests kept with it were changed: they are not those that were sealed")
    if kept.frames != parts.frames:
        told(BATCH_CHANGED, "batches", f"its row says {kept.frames} frames, but {parts.frames} were sealed")
    if seals.entries_root(kept.bodies) != parts.entries_root:
        _entries_differ(kept, parts.entries, told)
    return Truth(digests, (sealed.seal,), told.findings)


def _entries_differ(kept: Kept, sealed: int, told: _Teller) -> None:
    items = [item for item, _ in kept.entries]
    lost = sorted(set(range(sealed)).difference(items))
    if lost:
        which = ", ".join(map(str, lost))
        told(ENTRY_REMOVED, "event_log", f"{sealed} entries were sealed with it; missing: item {which}")
    elif len(items) > sealed:
        told(ENTRY_INSERTED, "event_log", f"{sealed} entries were sealed with it, and {len(items)} are there")
    else:
        which = "its one entry" if sealed == 1 else f"one of its {sealed} entries, or their order,"
        told(ENTRY_CHANGED, "event_log", f"{which} is not as it was sealed")


def _without_seal(kept: Kept, befores: Sequence[bytes], after: Kept | None, actual: bytes, told: _Teller) -> Truth:
    made = [seal for before in befores if (seal := recomputed(kept, actual, before)) is not None]
    proved = [seal for seal in made if after is not None and follows(after, seal)]
    words = "the seal after it proves that its frames are as they were" if proved else "nothing proves its frames"
    told(SEAL_REMOVED, "seals", f"its seal is gone; {words}")
    return Truth(actual, tuple(proved), told.findings)


def _seal_or_time(kept: Kept, befores: Sequence[bytes], after: Kept | None, told: _Teller) -> Truth:
    """Not its parts: its seal, the time at which it was written, or what was before it. The next seal may tell."""
    sealed = kept.sealed
    assert sealed is not None
    made = [_seal(kept, _as_kept(kept), before) for before in befores]
    proved = [seal for seal in made if after is not None and follows(after, seal)]
    if proved:
        told(SEAL_CHANGED, "seals", "its seal is not the one from which the next one follows; its frames are")
        return Truth(sealed.digests, tuple(proved), told.findings)
    if kept.number == 0:
        # The batch before is another run's.
        told(CHAIN_BROKEN, "seals", "its seal does not follow from the one before: batches before this run are gone")
    elif after is not None and follows(after, sealed.seal):
        told(BATCH_CHANGED, "batches", "its written_ns, or more than one part of it, is not as it was sealed")
    else:
        told(SEAL_CHANGED, "seals", "its seal, its written_ns, or more than one part of it, is not as it was")
    return Truth(sealed.digests, (sealed.seal, *made), told.findings)
