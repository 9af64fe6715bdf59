"""A proof of one frame: what a third party needs to check it against a signed checkpoint, without the record.

From the frame's bytes upwards, each step is one hash, as `recorder.store.seals` says: its digest, the row of digests
that it stands in, the batch's root over its rows, the batch's seal, the recorder's root over its seals, which is what
the checkpoint signs. A proof has one form only, to the byte: whatever is changed in it, it proves nothing any more.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec

from recorder.audit.evidence.checkpoint import Checkpoint, read_checkpoint
from recorder.audit.evidence.keys import VerifierKey
from recorder.errors import NotProven
from recorder.model import REST, SNAPSHOT, Frame, account_id
from recorder.store import seals
from recorder.store.merkle import HASH_BYTES, leaf_hash, root_from_inclusion

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
#: A signature in a note begins so.
_SIGNED_BY = "\u2014 "


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ProvedFrame(_Part, frozen=True):
    """The frame."""

    venue: str
    account: str
    session_id: _Int64
    seq: _Int64
    #: Nanoseconds since 1970, by the clock of the machine that received it.
    received_ns: _Int64
    #: How it came to the recorder: push, rest, snapshot; or sent by it.
    source: str
    #: What was asked, of an answer.
    asked: str | None
    payload: bytes


class ProvedRow(_Part, frozen=True):
    """Where its digest stands in its batch, and the digests beside it."""

    #: Of all rows of the batch, and of the digests in it, from 0.
    row: _Int64
    place: _Int64
    #: Those before it in the row, and after it.
    before: bytes
    after: bytes
    #: From the row to the root over the batch's frames.
    path: list[bytes]


class ProvedBatch(_Part, frozen=True):
    """The batch, and what else its seal is made of."""

    run_id: _Int64
    batch: _Int64
    written_ns: _Int64
    frames: _Int64
    entries: _Int64
    entries_root: bytes
    seal_before: bytes
    #: Which of its recorder's seals it has, from 0, and from it to the root over as many as the checkpoint signs.
    index: _Int64
    path: list[bytes]


class Proof(_Part, frozen=True):
    """What lies in the file."""

    proof: Literal["recorder proof 1"]
    frame: ProvedFrame
    digests: ProvedRow
    batch: ProvedBatch
    #: The signed note.
    checkpoint: str


class Proved(NamedTuple):
    """What a proof has shown."""

    proof: Proof
    #: Over its seals.
    checkpoint: Checkpoint


_read = msgspec.json.Decoder(Proof).decode


def encode(proof: Proof) -> bytes:
    """The one form of a proof."""
    return msgspec.json.format(msgspec.json.encode(proof), indent=1) + b"\n"


def decode(data: bytes) -> Proof:
    """A proof from its bytes; nothing of it is believed yet.

    Raises:
        NotProven: they are none.
    """
    try:
        proof = _read(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotProven(f"This is no proof that `recorder verify --proof` has made: {error}.") from None
    if encode(proof) != data:
        raise NotProven("This is no proof as `recorder verify --proof` writes it: something was changed in its form.")
    return proof


def root_of(proof: Proof) -> bytes | None:
    """The root over the recorder's seals that a proof leads to; None where its parts do not fit together."""
    told, digests, batch = proof.frame, proof.digests, proof.batch
    size = _size_of(proof.checkpoint)
    in_row = (len(digests.before) + len(digests.after)) // HASH_BYTES + 1
    rows = -(-batch.frames // seals.ROW)
    fits = (
        len(digests.before) == digests.place * HASH_BYTES
        and 0 <= digests.row < rows
        and in_row == min(seals.ROW, batch.frames - digests.row * seals.ROW)
        and (told.asked is not None) == (told.source in {REST, SNAPSHOT})
        and _are_hashes([*digests.path, *batch.path, batch.entries_root, batch.seal_before])
        and "\0" not in told.venue + told.account  # or one name could be two
        and size is not None
    )
    if not fits or size is None:
        return None
    key = account_id(told.venue, told.account), told.session_id, told.seq
    try:
        frame = Frame(*key, told.received_ns, told.source, told.asked, "", None, told.payload)
        digest = seals.frame_digests(batch.run_id, [frame])
        leaf = leaf_hash(digests.before + digest + digests.after)
        frames_root = root_from_inclusion(digests.row, rows, leaf, digests.path)
        if frames_root is None:
            return None
        counts = batch.written_ns, batch.frames, batch.entries
        seal = seals.seal_of(batch.run_id, batch.batch, *counts, frames_root, batch.entries_root, batch.seal_before)
    except UnicodeEncodeError:
        return None  # half of a surrogate pair
    return root_from_inclusion(batch.index, size, seal, batch.path)


def check(data: bytes, key: VerifierKey, others: Sequence[Checkpoint] = ()) -> Proved:
    """What a proof proves.

    Args:
        data: the file.
        key: whose signature counts.
        others: checkpoints that came another way; where there are any, one of them must be the proof's.

    Raises:
        NotProven: it proves nothing; with the reason.
    """
    proof = decode(data)
    note = proof.checkpoint
    if note.count(f"\n{_SIGNED_BY}") != 1:
        raise NotProven("The checkpoint in the proof has another signature than the one that counts.")
    checkpoint = read_checkpoint(note, key)
    if root_of(proof) != checkpoint.root:
        raise NotProven("The frame does not lead to the root that was signed: something in the proof was changed.")
    if others and checkpoint not in others:
        raise NotProven(
            f"The proof is over {checkpoint.size:,} seals of {checkpoint.origin}, and no checkpoint that was brought "
            "along is: ask for a proof that is made with yours (recorder verify --proof ... --checkpoint FILE)."
        )
    return Proved(proof, checkpoint)


def signed_once(note: str, key: VerifierKey | None) -> str:
    """A note with one signature: the key's, or the only one.

    Raises:
        NotProven: it has several, and nobody says whose counts.
    """
    text, _, signatures = note.rpartition("\n\n")
    lines = signatures.removesuffix("\n").split("\n")
    if key is not None:
        lines = [line for line in lines if line.startswith(f"{_SIGNED_BY}{key.name} ")]
    if len(lines) != 1:
        raise NotProven("The checkpoint is signed by several: name the key that counts with --public-key.")
    return f"{text}\n\n{lines[0]}\n"


def _size_of(note: str) -> int | None:
    size = note.split("\n")[1] if note.count("\n") > 1 else ""
    return int(size) if size.isascii() and size.isdigit() and len(size) < 20 else None


def _are_hashes(hashes: Sequence[bytes]) -> bool:
    return all(len(one) == HASH_BYTES for one in hashes)
