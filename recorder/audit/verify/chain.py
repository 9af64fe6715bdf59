"""Verify each recorder's chain of seals, and the checkpoints that were signed over it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from recorder.audit.evidence.checkpoint import SIGNED_BY, Checkpoint, read_checkpoint, read_unsigned
from recorder.audit.evidence.keys import VerifierKey
from recorder.audit.reading import RecordReader
from recorder.audit.verify.findings import (
    BATCH_REMOVED,
    CHAIN_BROKEN,
    CHAIN_FORKED,
    CHECKPOINT_CONTRADICTED,
    SEAL_REMOVED,
    TAIL_TRUNCATED,
    Finding,
    batch_finding,
)
from recorder.errors import NotProven
from recorder.store.chain import Break, ChainedRun, Link, links
from recorder.store.merkle import Frontier

_KINDS = {
    Break.GONE: (BATCH_REMOVED, "batches"),
    Break.ROW_GONE: (BATCH_REMOVED, "batches"),
    Break.SEAL_GONE: (SEAL_REMOVED, "seals"),
    Break.SEAL_DIFFERS: (CHAIN_BROKEN, "seals"),
    Break.UNVERIFIABLE: (CHAIN_BROKEN, "seals"),
}
_ADOPTED = '{"kind":"RecorderAdopted"'


class Claim(NamedTuple):
    """A checkpoint that its recorder's chain must match."""

    checkpoint: Checkpoint
    #: Where it comes from, for messages.
    origin: str
    #: The table that a contradiction is reported for.
    table: str


def stored_claims(reader: RecordReader, key: VerifierKey | None) -> tuple[list[Claim], list[Finding]]:
    """The checkpoints stored in a record, and findings about those that are invalid.

    Args:
        reader: of the record.
        key: whose signatures are verified; None: signatures are not verified.
    """
    claims: list[Claim] = []
    findings: list[Finding] = []
    for recorder_id, size, note in reader.rows("SELECT recorder_id, size, note FROM checkpoints ORDER BY 1, 2"):
        signed = read_unsigned(note)
        if key is not None and f"{SIGNED_BY}{key.name} " in note:
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


def check_chains(reader: RecordReader, runs: Sequence[ChainedRun], claims: Sequence[Claim]) -> Iterator[Finding]:
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
            detail = f"{claim.origin} is of {claim.checkpoint.origin}, of which the record has no batch"
            yield Finding(TAIL_TRUNCATED, "seals", detail, recorder_id=claim.checkpoint.recorder_id)


def _check_chain(reader: RecordReader, runs: Sequence[ChainedRun], claims: Sequence[Claim]) -> Iterator[Finding]:
    unmatched = sorted(claims, key=lambda claim: claim.checkpoint.size)
    frontier: Frontier | None = Frontier()
    largest = 0
    broken: list[Link] = []
    for link in links(reader.rows, runs):
        if broken and (link.broken is not broken[0].broken or link.run != broken[0].run):
            yield _broken(broken)
            broken = []
        if link.fork is not None:
            yield _forked(link, *link.fork)
            frontier = _frontier_until(reader, runs, *link.fork)
        elif link.broken is not None:
            broken.append(link)
        if link.seal is None or frontier is None:
            frontier = None  # no root can be computed any more
            continue
        frontier.add(link.seal)
        largest = max(largest, frontier.size)
        if unmatched and any(claim.checkpoint.size == frontier.size for claim in unmatched):
            here = frontier.size, frontier.root()
            unmatched = [claim for claim in unmatched if claim.checkpoint[1:] != here]
    if broken:
        yield _broken(broken)
    adopted_id = _adopted_in(reader, runs[0].recorder_id) if unmatched else None
    for claim in unmatched:
        if claim.checkpoint.size <= largest or frontier is not None:
            yield _unmatched(claim, largest, runs[-1], adopted_id)


def _unmatched(claim: Claim, size: int, last: ChainedRun, adopted_id: int | None) -> Finding:
    """A finding about a checkpoint that no beginning of the chain matches."""
    signed = claim.checkpoint
    is_cut = signed.size > size
    detail = f"{claim.origin} was signed over other seals"
    if is_cut:
        detail = (
            f"{claim.origin} was signed over {signed.size:,} seals, of which {size:,} are here: everything after "
            f"batch {last.last} of run {last.run_id} is gone"
        )
    if adopted_id is not None:
        detail += f", or was recorded only into the original of which this is a copy, adopted in run {adopted_id}"
    if is_cut:
        return batch_finding(TAIL_TRUNCATED, "seals", detail, last.run_id, last.last, last.recorder_id)
    return _contradicted(last.recorder_id, signed.size, claim.table, detail)


def _adopted_in(reader: RecordReader, recorder_id: int) -> int | None:
    """The newest run that noted that its file is an adopted copy; None: there is none."""
    noted = f"e.batch = 0 AND substr(e.body, 1, {len(_ADOPTED)}) = '{_ADOPTED}'"
    run_id: int | None = reader.one(
        "SELECT max(e.run_id) FROM event_log e JOIN runs r ON r.run_id = e.run_id "
        f"WHERE r.recorder_id = {recorder_id:d} AND {noted}"
    )
    return run_id


def _frontier_until(reader: RecordReader, runs: Sequence[ChainedRun], run_id: int, last: int) -> Frontier:
    """The tree of a recorder's seals up to a batch."""
    frontier = Frontier()
    for run in runs:
        if run.run_id <= run_id:
            upto = f" AND batch <= {last:d}" if run.run_id == run_id else ""
            for rows in reader.stream(
                f"SELECT seal FROM seals WHERE run_id = {run.run_id:d}{upto} ORDER BY batch", 1_000
            ):
                for (seal,) in rows:
                    frontier.add(bytes(seal))
    return frontier


def _forked(link: Link, run_id: int, batch: int) -> Finding:
    detail = (
        f"run {link.run.run_id} directly follows batch {batch} of run {run_id}, but this record holds batches in "
        "between: one of the two branches was recorded into a copy, such as a restored backup"
    )
    return batch_finding(CHAIN_FORKED, "seals", detail, link.run.run_id, link.batch, link.run.recorder_id)


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
