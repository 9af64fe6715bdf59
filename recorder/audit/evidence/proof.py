"""Proofs of one frame: make them from a record; check them without it, against a signed checkpoint.

From the frame's bytes upwards, each step is one hash, as defined in `recorder.store.seals`: the frame's digest, the row
of digests that contains it, the batch's root over its rows, the batch's seal, and the recorder's root over its seals,
which the checkpoint signs. A proof has only one form, to the byte: if anything in it is changed, it proves nothing.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec

from recorder.audit.evidence.checkpoint import SIGNED_BY, Checkpoint, read_checkpoint, read_unsigned
from recorder.audit.evidence.keys import VerifierKey
from recorder.audit.reading import (
    PAYLOAD,
    RECEIVED_NS,
    SOURCE,
    TOPIC,
    FrameSpan,
    RecordReader,
    Row,
    StoredBatch,
    frames_sql,
    is_emptied,
    read_batches,
    split_digests,
)
from recorder.errors import DatabaseError, NotProven
from recorder.model import REST, SNAPSHOT, Frame, account_id
from recorder.store import seals
from recorder.store.chain import runs_of
from recorder.store.merkle import HASH_BYTES, inclusion_proof, leaf_hash, root_from_inclusion
from recorder.store.redactions import sealed_redactions

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _ProofPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ProvedFrame(_ProofPart, frozen=True):
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


class ProvedRow(_ProofPart, frozen=True):
    """Where its digest stands in its batch, and the digests beside it."""

    #: Of all rows of the batch, and of the digests in it, from 0.
    row: _Int64
    place: _Int64
    #: Those before it in the row, and after it.
    before: bytes
    after: bytes
    #: From the row to the root over the batch's frames.
    path: list[bytes]


class ProvedBatch(_ProofPart, frozen=True):
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


class Proof(_ProofPart, frozen=True):
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
    if note.count(f"\n{SIGNED_BY}") != 1:
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
        lines = [line for line in lines if line.startswith(f"{SIGNED_BY}{key.name} ")]
    if len(lines) != 1:
        raise NotProven("The checkpoint is signed by several: name the key that counts with --public-key.")
    return f"{text}\n\n{lines[0]}\n"


def _size_of(note: str) -> int | None:
    size = note.split("\n")[1] if note.count("\n") > 1 else ""
    return int(size) if size.isascii() and size.isdigit() and len(size) < 20 else None


def _are_hashes(hashes: Sequence[bytes]) -> bool:
    return all(len(one) == HASH_BYTES for one in hashes)


def make_proof(
    reader: RecordReader, session_id: int, seq: int, notes: Sequence[str] = (), key: VerifierKey | None = None
) -> Proof:
    """Make the proof of a frame.

    Args:
        reader: of the record.
        session_id: of the frame.
        seq: of the frame.
        notes: checkpoints for the proof to end at; none: those in the record. The smallest that covers it is taken.
        key: whose signature counts, where a checkpoint has several.

    Raises:
        DatabaseError: there is no such frame, it was redacted, or no checkpoint covers it.
        NotProven: it is not as it was sealed.
    """
    span, run_id, batch = _where(reader, session_id, seq)
    stored = read_batches(reader, run_id, batch, batch)[0]
    row = next(iter(reader.rows(frames_sql(span._replace(first=seq, last=seq)))), None)
    if row is not None and is_emptied(row) and sealed_redactions(reader.rows).covers(*row[:3]):
        raise DatabaseError(f"Frame {seq} was redacted, so it cannot be proved any more.")
    if row is None or stored.sealed is None or stored.frames is None or stored.written_ns is None:
        raise NotProven(f"Frame {seq} is not as it was sealed: run `recorder verify`.")
    recorder_id, index, leaves = _leaves(reader, run_id, batch)
    note = _note(reader, recorder_id, index, notes)
    before = leaves[index - 1] if index else seals.BEGINNING
    signed = read_unsigned(note)
    assert signed is not None
    made = Proof(
        proof="recorder proof 1",
        frame=_frame(reader, row),
        digests=_digests(stored, span, seq),
        batch=ProvedBatch(
            run_id=run_id,
            batch=batch,
            written_ns=stored.written_ns,
            frames=stored.frames,
            entries=len(stored.bodies),
            entries_root=seals.entries_root(stored.bodies),
            seal_before=before,
            index=index,
            path=inclusion_proof(index, leaves[: signed.size]) if signed.size <= len(leaves) else [],
        ),
        checkpoint=signed_once(note, key),
    )
    if root_of(made) != signed.root:
        raise NotProven(f"Frame {seq} does not lead to the signed root: run `recorder verify` to see what is wrong.")
    return made


def _where(reader: RecordReader, session_id: int, seq: int) -> tuple[FrameSpan, int, int]:
    within = f"session_id = {session_id:d} AND {seq:d} BETWEEN first_seq AND last_seq"
    found = reader.rows(f"SELECT account_id, session_id, first_seq, last_seq, run_id, batch FROM spans WHERE {within}")
    if not found:
        raise DatabaseError(f"There is no frame {seq} of session {session_id}; `recorder replay` lists the frames.")
    *span, run_id, batch = found[0]
    return FrameSpan(*span), run_id, batch


def _leaves(reader: RecordReader, run_id: int, batch: int) -> tuple[int, int, list[bytes]]:
    """The recorder of a run, the index of a batch's seal in its tree, and all seals of that tree."""
    runs = runs_of(reader.rows)
    recorder_id = next(run.recorder_id for run in runs if run.run_id == run_id)
    index = -1
    leaves: list[bytes] = []
    for run in runs:
        if run.recorder_id == recorder_id:
            of_run = f"SELECT batch, seal FROM seals WHERE run_id = {run.run_id:d} ORDER BY batch"
            for rows in reader.stream(of_run, 1_000):
                for number, seal in rows:
                    if (run.run_id, number) == (run_id, batch):
                        index = len(leaves)
                    leaves.append(bytes(seal))
    return recorder_id, index, leaves


def _note(reader: RecordReader, recorder_id: int, index: int, notes: Sequence[str]) -> str:
    of_recorder = f"SELECT note FROM checkpoints WHERE recorder_id = {recorder_id:d} ORDER BY size"
    candidates = notes or [note for (note,) in reader.rows(of_recorder)]
    covering: list[tuple[Checkpoint, str]] = []
    for note in candidates:
        signed = read_unsigned(note)
        if signed is not None and signed.recorder_id == recorder_id and signed.size > index:
            covering.append((signed, note))
    if not covering:
        raise DatabaseError(
            "No checkpoint covers that frame yet: make one with `recorder checkpoint`, and name it with --checkpoint."
        )
    return min(covering, key=lambda pair: pair[0].size)[1]


def _frame(reader: RecordReader, row: Row) -> ProvedFrame:
    account_id, session_id, seq = row[:3]
    found = reader.rows(f"SELECT venue, name FROM accounts WHERE account_id = {account_id:d}")
    if not found:
        raise NotProven(f"The account of frame {seq} is missing: run `recorder verify`.")
    ((venue, name),) = found
    return ProvedFrame(
        venue=venue,
        account=name,
        session_id=session_id,
        seq=seq,
        received_ns=row[RECEIVED_NS],
        source=row[SOURCE],
        asked=row[TOPIC] if row[SOURCE] in {REST, SNAPSHOT} else None,
        payload=bytes(row[PAYLOAD]),
    )


def _digests(batch: StoredBatch, span: FrameSpan, seq: int) -> ProvedRow:
    assert batch.sealed is not None
    in_order = 0
    for one in batch.spans:
        if one == span:
            break
        in_order += one.frames
    number, place = divmod(in_order + seq - span.first, seals.ROW)
    rows = seals.rows_of(batch.sealed.digests)
    if number >= len(rows):
        raise NotProven(f"Frame {seq} is not as it was sealed: run `recorder verify`.")
    mine = split_digests(rows[number])
    return ProvedRow(
        row=number,
        place=place,
        before=b"".join(mine[:place]),
        after=b"".join(mine[place + 1 :]),
        path=inclusion_proof(number, [leaf_hash(row) for row in rows]),
    )
