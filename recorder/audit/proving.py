"""Making the proof of one frame from a record."""

from collections.abc import Sequence

from recorder.audit import chain, proof
from recorder.audit.checkpoint import Checkpoint
from recorder.audit.frames import is_emptied
from recorder.audit.kept import Kept, Span, read_batches, read_frames, split
from recorder.audit.keys import VerifierKey
from recorder.audit.proof import Proof, ProvedBatch, ProvedFrame, ProvedRow, signed_once
from recorder.audit.reading import Reader, Row
from recorder.audit.trees import unproved
from recorder.errors import DatabaseError, NotProven
from recorder.model import REST, SNAPSHOT
from recorder.store import seals
from recorder.store.merkle import inclusion_proof, leaf_hash
from recorder.store.redacted import sealed_redactions

_RECEIVED, _SOURCE, _TOPIC, _PAYLOAD = 3, 4, 5, 8


def make_proof(
    reader: Reader, session_id: int, seq: int, notes: Sequence[str] = (), key: VerifierKey | None = None
) -> Proof:
    """The proof of a frame.

    Args:
        reader: of the record.
        session_id: of its session.
        seq: its number.
        notes: checkpoints to lead it to; none: those that the record holds. The smallest that reaches it is taken.
        key: whose signature on it counts, where it has several.

    Raises:
        DatabaseError: there is no such frame, its payload was taken away, or no checkpoint reaches it.
        NotProven: it is not as it was sealed.
    """
    span, run_id, batch = _where(reader, session_id, seq)
    kept = read_batches(reader, run_id, batch, batch)[0]
    row = next(iter(read_frames(reader, span._replace(first=seq, last=seq))), None)
    if row is not None and is_emptied(row) and sealed_redactions(reader.rows).covers(*row[:3]):
        raise DatabaseError(f"The payload of frame {seq} was taken away (recorder redact): it can be proved no more.")
    if row is None or kept.sealed is None or kept.frames is None or kept.written_ns is None:
        raise NotProven(f"Frame {seq} is not as it was sealed: type `recorder verify`.")
    recorder_id = _recorder(reader, run_id)
    index, leaves = _leaves(reader, recorder_id, (run_id, batch))
    note = _note(reader, recorder_id, index, notes)
    before = leaves[index - 1] if index else seals.BEGINNING
    told = unproved(note)
    assert told is not None
    made = Proof(
        proof="recorder proof 1",
        frame=_frame(reader, row),
        digests=_digests(kept, span, seq),
        batch=ProvedBatch(
            run_id=run_id,
            batch=batch,
            written_ns=kept.written_ns,
            frames=kept.frames,
            entries=len(kept.entries),
            entries_root=seals.entries_root(kept.bodies),
            seal_before=before,
            index=index,
            path=inclusion_proof(index, leaves[: told.size]) if told.size <= len(leaves) else [],
        ),
        checkpoint=signed_once(note, key),
    )
    if not chain.follows(kept, before) or proof.root_of(made) != told.root:
        raise NotProven(f"Frame {seq} does not lead to what was signed: type `recorder verify` for what is wrong.")
    return made


def _where(reader: Reader, session_id: int, seq: int) -> tuple[Span, int, int]:
    within = f"session_id = {session_id:d} AND {seq:d} BETWEEN first_seq AND last_seq"
    found = reader.rows(f"SELECT account_id, session_id, first_seq, last_seq, run_id, batch FROM spans WHERE {within}")
    if not found:
        raise DatabaseError(f"There is no frame {seq} of session {session_id}; `recorder replay` shows what there is.")
    *span, run_id, batch = found[0]
    return Span(*span), run_id, batch


def _recorder(reader: Reader, run_id: int) -> int:
    return int(reader.one(f"SELECT recorder_id FROM runs WHERE run_id = {run_id:d}"))


def _leaves(reader: Reader, recorder_id: int, key: tuple[int, int]) -> tuple[int, list[bytes]]:
    """All seals of a recorder, and which of them is a batch's."""
    mine = f"SELECT run_id FROM runs WHERE recorder_id = {recorder_id:d} ORDER BY run_id"
    index = -1
    leaves: list[bytes] = []
    for (run_id,) in reader.rows(mine):
        of_run = f"SELECT batch, seal FROM seals WHERE run_id = {run_id:d} ORDER BY batch"
        for rows in reader.stream(of_run, 1_000):
            for batch, seal in rows:
                if (run_id, batch) == key:
                    index = len(leaves)
                leaves.append(bytes(seal))
    return index, leaves


def _note(reader: Reader, recorder_id: int, index: int, notes: Sequence[str]) -> str:
    of_recorder = f"SELECT note FROM checkpoints WHERE recorder_id = {recorder_id:d} ORDER BY size"
    kept = notes or [note for (note,) in reader.rows(of_recorder)]
    reaching: list[tuple[Checkpoint, str]] = []
    for note in kept:
        told = unproved(note)
        if told is not None and told.recorder_id == recorder_id and told.size > index:
            reaching.append((told, note))
    if not reaching:
        raise DatabaseError(
            "No checkpoint reaches that frame yet: let `recorder checkpoint` make one, and name it with --checkpoint."
        )
    return min(reaching, key=lambda pair: pair[0].size)[1]


def _frame(reader: Reader, row: Row) -> ProvedFrame:
    account_id, session_id, seq = row[:3]
    ((venue, name),) = reader.rows(f"SELECT venue, name FROM accounts WHERE account_id = {account_id:d}")
    return ProvedFrame(
        venue=venue,
        account=name,
        session_id=session_id,
        seq=seq,
        received_ns=row[_RECEIVED],
        source=row[_SOURCE],
        asked=row[_TOPIC] if row[_SOURCE] in {REST, SNAPSHOT} else None,
        payload=bytes(row[_PAYLOAD]),
    )


def _digests(kept: Kept, span: Span, seq: int) -> ProvedRow:
    assert kept.sealed is not None
    in_order = 0
    for one in kept.spans:
        if one == span:
            break
        in_order += one.frames
    number, place = divmod(in_order + seq - span.first, seals.ROW)
    rows = seals.rows_of(kept.sealed.digests)
    if number >= len(rows):
        raise NotProven(f"Frame {seq} is not as it was sealed: type `recorder verify`.")
    mine = split(rows[number])
    return ProvedRow(
        row=number,
        place=place,
        before=b"".join(mine[:place]),
        after=b"".join(mine[place + 1 :]),
        path=inclusion_proof(number, [leaf_hash(row) for row in rows]),
    )
