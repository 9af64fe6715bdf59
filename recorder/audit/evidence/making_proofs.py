"""Making the proof of one frame from a record."""

from collections.abc import Sequence

from recorder.audit.evidence import proof
from recorder.audit.evidence.checkpoint import Checkpoint, read_unsigned
from recorder.audit.evidence.keys import VerifierKey
from recorder.audit.evidence.proof import Proof, ProvedBatch, ProvedFrame, ProvedRow, signed_once
from recorder.audit.reading import RecordReader, Row
from recorder.audit.stored import (
    PAYLOAD,
    RECEIVED_NS,
    SOURCE,
    TOPIC,
    FrameSpan,
    StoredBatch,
    frames_sql,
    is_emptied,
    read_batches,
    split_digests,
)
from recorder.errors import DatabaseError, NotProven
from recorder.model import REST, SNAPSHOT
from recorder.store import seals
from recorder.store.chain import runs_of
from recorder.store.merkle import inclusion_proof, leaf_hash
from recorder.store.redacted import sealed_redactions


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
    if proof.root_of(made) != signed.root:
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
