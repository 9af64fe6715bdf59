"""Whether a recorder's seals are those that were signed: a record that lost its end has too few of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from recorder.audit.checkpoint import Checkpoint, read_checkpoint
from recorder.audit.findings import CHECKPOINT_CONTRADICTED, TAIL_TRUNCATED, Finding
from recorder.audit.keys import VerifierKey, decode_base64
from recorder.audit.plan import Key, Plan, Run
from recorder.audit.reading import Reader
from recorder.errors import NotProven
from recorder.store.merkle import HASH_BYTES, Frontier


class Claim(NamedTuple):
    """A checkpoint, and where it is from."""

    checkpoint: Checkpoint
    #: For people.
    origin: str
    #: The table that holds it; none where somebody brought it along.
    table: str


def kept_claims(reader: Reader, key: VerifierKey | None) -> tuple[list[Claim], list[Finding]]:
    """The checkpoints that a record holds, and what is wrong with them as texts.

    Args:
        reader: of the record.
        key: whose signatures are checked; None: nobody's.
    """
    claims: list[Claim] = []
    findings: list[Finding] = []
    for recorder_id, size, note in reader.rows("SELECT recorder_id, size, note FROM checkpoints ORDER BY 1, 2"):
        told = unproved(note)
        if key is not None and f"\u2014 {key.name} " in note:
            try:
                told = read_checkpoint(note, key)
            except NotProven as error:
                findings.append(_contradicted(recorder_id, size, "checkpoints", str(error)))
                continue
        if told is None or told.recorder_id != recorder_id or told.size != size:
            findings.append(_contradicted(recorder_id, size, "checkpoints", "its note is no checkpoint of this tree"))
            continue
        claims.append(Claim(told, "the checkpoint in the record", "checkpoints"))
    return claims, findings


def findings_in_trees(
    reader: Reader, plan: Plan, claims: Sequence[Claim], true_seals: Mapping[Key, bytes | None]
) -> Iterator[Finding]:
    """Where seals and checkpoints contradict each other.

    Args:
        reader: of the record.
        plan: with its runs.
        claims: checkpoints of any of its recorders.
        true_seals: seals that are not those that are kept, because something is wrong with them already.
    """
    recorders = {run.recorder_id for run in plan.runs}
    for recorder_id in sorted({claim.checkpoint.recorder_id or 0 for claim in claims}):
        mine = [claim for claim in claims if claim.checkpoint.recorder_id == recorder_id]
        if recorder_id not in recorders:
            for claim in mine:
                told = f"{claim.origin} is of {claim.checkpoint.origin}, of which nothing is here"
                yield Finding(TAIL_TRUNCATED, "seals", told, recorder_id=recorder_id)
            continue
        runs = [run for run in plan.runs if run.recorder_id == recorder_id]
        yield from _in_tree(reader, runs, mine, true_seals)


def _in_tree(
    reader: Reader, runs: Sequence[Run], claims: Sequence[Claim], true_seals: Mapping[Key, bytes | None]
) -> Iterator[Finding]:
    waiting = sorted(claims, key=lambda claim: claim.checkpoint.size)
    frontier = Frontier()
    for seal in _leaves(reader, runs, true_seals):
        if not waiting:
            return
        if seal is None:
            return  # what is told of that batch already stands in the way of all that follow
        frontier.add(seal)
        while waiting and waiting[0].checkpoint.size == frontier.size:
            claim = waiting.pop(0)
            if frontier.root() != claim.checkpoint.root:
                told = f"{claim.origin} was signed over other seals: up to there, the record was made anew"
                yield _contradicted(runs[0].recorder_id, frontier.size, claim.table, told)
    for claim in waiting:
        told = f"{claim.origin} was signed over {claim.checkpoint.size:,} seals, of which {frontier.size:,} are here"
        last = runs[-1]
        yield Finding(
            TAIL_TRUNCATED,
            "seals",
            f"{told}: what followed on batch {last.last} of run {last.run_id} is gone",
            run_id=last.run_id,
            batch=last.last,
            recorder_id=last.recorder_id,
        )


def _leaves(reader: Reader, runs: Sequence[Run], true_seals: Mapping[Key, bytes | None]) -> Iterator[bytes | None]:
    """The seals of a recorder in their order; None where one is not known."""
    for run in runs:
        expected = 0
        of_run = f"SELECT batch, seal FROM seals WHERE run_id = {run.run_id:d} ORDER BY batch"
        for rows in reader.stream(of_run, 1_000):
            for batch, seal in rows:
                while expected < batch:
                    yield true_seals.get((run.run_id, expected))
                    expected += 1
                yield true_seals.get((run.run_id, batch), bytes(seal))
                expected += 1
        for batch in range(expected, run.last + 1):
            yield true_seals.get((run.run_id, batch))


def unproved(note: str) -> Checkpoint | None:
    """What a note says, whoever has signed it."""
    origin, size, root, *_ = [*note.split("\n"), "", "", ""]
    digest = decode_base64(root)
    if not size.isascii() or not size.isdigit() or digest is None or len(digest) != HASH_BYTES:
        return None
    return Checkpoint(origin, int(size), digest)


def _contradicted(recorder_id: int, size: int, table: str, detail: str) -> Finding:
    return Finding(CHECKPOINT_CONTRADICTED, table, f"of {size:,} seals: {detail}", recorder_id=recorder_id)
