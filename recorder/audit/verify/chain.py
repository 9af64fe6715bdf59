"""Checking the chain of seals of each recorder, and the checkpoints that were signed over it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from recorder.audit.evidence.checkpoint import Checkpoint, read_checkpoint, read_unsigned
from recorder.audit.evidence.keys import VerifierKey
from recorder.audit.reading import RecordReader
from recorder.audit.verify.findings import (
    BATCH_REMOVED,
    CHAIN_BROKEN,
    CHECKPOINT_CONTRADICTED,
    SEAL_REMOVED,
    TAIL_TRUNCATED,
    Finding,
    batch_finding,
)
from recorder.errors import NotProven
from recorder.store.chain import Break, Link, Run, links
from recorder.store.merkle import Frontier

_KINDS = {
    Break.GONE: (BATCH_REMOVED, "batches"),
    Break.ROW_GONE: (BATCH_REMOVED, "batches"),
    Break.SEAL_GONE: (SEAL_REMOVED, "seals"),
    Break.SEAL_DIFFERS: (CHAIN_BROKEN, "seals"),
    Break.UNVERIFIABLE: (CHAIN_BROKEN, "seals"),
}


class Claim(NamedTuple):
    """A checkpoint that the chain of its recorder must agree with."""

    checkpoint: Checkpoint
    #: Where it comes from, for messages.
    origin: str
    #: The table that a contradiction is reported for.
    table: str


def stored_claims(reader: RecordReader, key: VerifierKey | None) -> tuple[list[Claim], list[Finding]]:
    """The checkpoints in a record, and those that are no checkpoints of it.

    Args:
        reader: of the record.
        key: whose signatures are verified; None: signatures are not verified.
    """
    claims: list[Claim] = []
    findings: list[Finding] = []
    for recorder_id, size, note in reader.rows("SELECT recorder_id, size, note FROM checkpoints ORDER BY 1, 2"):
        signed = read_unsigned(note)
        if key is not None and f"\u2014 {key.name} " in note:
            try:
                signed = read_checkpoint(note, key)
            except NotProven as error:
                findings.append(_contradicted(recorder_id, size, "checkpoints", str(error)))
                continue
        if signed is None or signed.recorder_id != recorder_id or signed.size != size:
            findings.append(_contradicted(recorder_id, size, "checkpoints", "its note is no checkpoint of this tree"))
            continue
        claims.append(Claim(signed, "the checkpoint in the record", "checkpoints"))
    return claims, findings


def check_chains(reader: RecordReader, runs: Sequence[Run], claims: Sequence[Claim]) -> Iterator[Finding]:
    """Check every chain of seals against its checkpoints.

    Args:
        reader: of the record.
        runs: all runs of the record, in the order of each recorder's chain.
        claims: the checkpoints.
    """
    recorders = dict.fromkeys(run.recorder_id for run in runs)
    for recorder_id in recorders:
        of_recorder = [run for run in runs if run.recorder_id == recorder_id]
        mine = [claim for claim in claims if claim.checkpoint.recorder_id == recorder_id]
        yield from _check_chain(reader, of_recorder, mine)
    for claim in claims:
        if claim.checkpoint.recorder_id not in recorders:
            told = f"{claim.origin} is of {claim.checkpoint.origin}, of which the record has no batch"
            yield Finding(TAIL_TRUNCATED, "seals", told, recorder_id=claim.checkpoint.recorder_id)


def _check_chain(reader: RecordReader, runs: Sequence[Run], claims: Sequence[Claim]) -> Iterator[Finding]:
    waiting = sorted(claims, key=lambda claim: claim.checkpoint.size)
    frontier: Frontier | None = Frontier()
    broken: list[Link] = []
    for link in links(reader.rows, runs):
        if broken and (link.broken is not broken[0].broken or link.run != broken[0].run):
            yield _broken(broken)
            broken = []
        if link.broken is not None:
            broken.append(link)
        if link.seal is None or frontier is None:
            frontier = None  # no root can be computed any more
            continue
        frontier.add(link.seal)
        while waiting and waiting[0].checkpoint.size == frontier.size:
            claim = waiting.pop(0)
            if frontier.root() != claim.checkpoint.root:
                told = f"{claim.origin} was signed over other seals"
                yield _contradicted(runs[0].recorder_id, frontier.size, claim.table, told)
    if broken:
        yield _broken(broken)
    if frontier is None:
        return
    for claim in waiting:
        told = f"{claim.origin} was signed over {claim.checkpoint.size:,} seals, of which {frontier.size:,} are here"
        run = runs[-1]
        detail = f"{told}: everything after batch {run.last} of run {run.run_id} is gone"
        yield batch_finding(TAIL_TRUNCATED, "seals", detail, run.run_id, run.last, run.recorder_id)


def _broken(links: Sequence[Link]) -> Finding:
    """A finding about consecutive batches with the same problem."""
    first, last = links[0], links[-1]
    assert first.broken is not None
    kind, table = _KINDS[first.broken]
    more = "" if first is last else f" (and those of the batches up to {last.batch})"
    run = first.run
    return batch_finding(kind, table, f"{first.broken.value}{more}", run.run_id, first.batch, run.recorder_id)


def _contradicted(recorder_id: int, size: int, table: str, detail: str) -> Finding:
    return Finding(CHECKPOINT_CONTRADICTED, table, f"over {size:,} seals: {detail}", recorder_id=recorder_id)
