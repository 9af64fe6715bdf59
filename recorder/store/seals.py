"""Seals, which make a change to the journal evident. Pure, and never changed: old seals must always be verifiable.

From the bytes of a frame to a seal, each hash is SHA-256, and each text is preceded by its length:

    digest of a frame   over its key, when and how it was received, and its bytes
    row                 the digests of up to 32 consecutive frames
    frames' root        the RFC 9162 tree over the rows
    entries' root       the RFC 9162 tree over the event log's entries, as the bytes that are stored
    seal of a batch     RFC 9162's leaf hash of: run, batch, when written, both counts, both roots, and the seal before

The seal before is that of the previous batch; for a run's first batch, the last seal of the recorder's previous run;
for the first run, zeros. So the seals of a recorder are one chain in the order of (run, batch), and recorders need no
common lock. The same seals are the leaves of the recorder's tree, which checkpoints sign.

Rows have 32 digests because hashing is most of the cost of sealing: a tree over rows needs one hash for 32 frames.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from struct import Struct

from recorder.model import PUSH, REST, SNAPSHOT, Frame
from recorder.store.merkle import HASH_BYTES, leaf_hash, root_of

#: The seal before a recorder's first.
BEGINNING = bytes(HASH_BYTES)
#: Digests in a row.
ROW = 32

_FRAME = b"frame of recorder 1\n"
_ENTRY = b"entry of recorder 1\n"
_SEAL = b"seal of recorder 1\n"
_SESSION = Struct(">qqq").pack
_RECEIPT = Struct(">qqq").pack
_BATCH = Struct(">qqqqq").pack
_LENGTH = Struct(">q").pack


def frame_digests(run_id: int, frames: Sequence[Frame]) -> bytes:
    """The concatenated digests of some frames of a run, which are in the order of (account, session, seq)."""
    if not frames:
        return b""
    if frames[0][:2] == frames[-1][:2]:
        return _session_digests(run_id, *frames[0][:2], frames)  # in that order, all are then of one session
    return b"".join(
        _session_digests(run_id, account_id, session_id, of_session)
        for (account_id, session_id), of_session in groupby(frames, itemgetter(0, 1))
    )


def _session_digests(run_id: int, account_id: int, session_id: int, frames: Iterable[Frame]) -> bytes:
    session = _FRAME + _SESSION(run_id, account_id, session_id)
    # What all pushes have in common is hashed once and fills exactly one block of SHA-256. This runs for every frame.
    pushed = sha256(session + _how(PUSH, None)).copy
    pack, push, asked, digests = _RECEIPT, PUSH, (REST, SNAPSHOT), []
    for _, _, seq, received_ns, source, topic, _, _, payload in frames:
        digest = pushed() if source == push else sha256(session + _how(source, topic if source in asked else None))
        digest.update(pack(seq, received_ns, len(payload)) + payload)
        digests.append(digest.digest())
    return b"".join(digests)


def _how(source: str, asked: str | None) -> bytes:
    """How a frame was received. An answer's topic is the request; a push's topic follows from its bytes.

    `repeated` is a source of its own: no typed rows follow from such a push, so which ones they are is sealed.
    """
    return b"".join(_LENGTH(len(text)) + text for text in (source.encode(), (asked or "").encode()))


def rows_of(digests: bytes) -> list[bytes]:
    """The rows of a batch's digests: the entries of its tree."""
    size = ROW * HASH_BYTES
    return [digests[start : start + size] for start in range(0, len(digests), size)]


def frames_root(digests: bytes) -> bytes:
    """The root over a batch's frames."""
    return root_of([leaf_hash(row) for row in rows_of(digests)])


def entry_leaf(body: bytes) -> bytes:
    """The leaf of an entry of the event log, over its bytes as they are stored."""
    return leaf_hash(_ENTRY + body)


def entries_root(bodies: Sequence[bytes]) -> bytes:
    """The root over the entries of a batch."""
    return root_of([entry_leaf(body) for body in bodies])


def seal_of(
    run_id: int,
    batch: int,
    written_ns: int,
    frames: int,
    entries: int,
    frames_root: bytes,
    entries_root: bytes,
    before: bytes,
) -> bytes:
    """The seal of a batch.

    Args:
        run_id: the run.
        batch: the batch's number.
        written_ns: when it was written, ns since 1970.
        frames: the number of its frames.
        entries: the number of its event log entries.
        frames_root: the root over the frames.
        entries_root: the root over the entries.
        before: the seal before it.
    """
    numbers = _BATCH(run_id, batch, written_ns, frames, entries)
    return leaf_hash(_SEAL + numbers + frames_root + entries_root + before)
