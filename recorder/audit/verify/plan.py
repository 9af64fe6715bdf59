"""What a verification reads: the runs of a record, cut into ranges of batches that can be checked independently."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from recorder.audit.reading import RecordReader
from recorder.audit.verify.findings import SEQ_DISCONTINUOUS, Finding
from recorder.store.chain import Run, runs_of

#: About how many frames a range holds, and how many batches at most.
FRAMES_PER_RANGE = 20_000
BATCHES_PER_RANGE = 5_000

#: The first and the last of consecutive batches.
FirstLast = tuple[int, int]


class BatchRange(NamedTuple):
    """Consecutive batches of one run."""

    recorder_id: int
    run_id: int
    first: int
    last: int
    #: How many frames their rows claim.
    frames: int


class Plan(NamedTuple):
    """What is to be verified."""

    #: All runs of the record, in the order of each recorder's chain.
    runs: list[Run]
    ranges: list[BatchRange]
    #: Account and session → the last frame that a batch holds.
    last_seqs: dict[tuple[int, int], int]
    #: Frames that no batch holds, or more than one.
    findings: list[Finding]


def make_plan(
    reader: RecordReader, names: Mapping[int, str], wanted: Mapping[int, Sequence[FirstLast]] | None = None
) -> Plan:
    """Plan a verification.

    Args:
        reader: of the record.
        names: account key → name.
        wanted: run → the batches to verify; None: all.
    """
    plan = Plan(runs_of(reader.rows), [], {}, [])
    for run in plan.runs:
        plan.findings.extend(_discontinuities(reader, run, names, plan.last_seqs))
        for first_last in [(0, run.last)] if wanted is None else wanted.get(run.run_id, ()):
            plan.ranges.extend(_cut(reader, run, *first_last))
    return plan


def _cut(reader: RecordReader, run: Run, first: int, last: int) -> Iterator[BatchRange]:
    begin, frames = first, 0
    of_run = f"SELECT batch, frames FROM batches WHERE run_id = {run.run_id:d} AND batch BETWEEN {first:d} AND {last:d}"
    for rows in reader.stream(f"{of_run} ORDER BY batch", 1_000):
        for batch, held in rows:
            frames += held
            if frames >= FRAMES_PER_RANGE or batch - begin >= BATCHES_PER_RANGE:
                yield BatchRange(run.recorder_id, run.run_id, begin, batch, frames)
                begin, frames = batch + 1, 0
    if begin <= last:
        yield BatchRange(run.recorder_id, run.run_id, begin, last, frames)


def _discontinuities(
    reader: RecordReader, run: Run, names: Mapping[int, str], last_seqs: dict[tuple[int, int], int]
) -> Iterator[Finding]:
    """Follow the sessions of a run: each batch must continue where the one before it ended."""
    columns = "batch, account_id, session_id, first_seq, last_seq"
    of_run = f"SELECT {columns} FROM spans WHERE run_id = {run.run_id:d} ORDER BY batch, account_id, session_id"
    for rows in reader.stream(of_run, 1_000):
        for batch, account_id, session_id, first, last in rows:
            key = account_id, session_id
            before = last_seqs.get(key, -1)
            which = names.get(account_id, str(account_id)), session_id
            where = run.run_id, batch, run.recorder_id
            if first > before + 1:
                told = f"no batch holds them: batch {batch} continues with frame {first}"
                yield Finding(SEQ_DISCONTINUOUS, "spans", told, *which, before + 1, first - 1, *where)
            elif first <= before:
                told = f"an earlier batch holds them, and batch {batch} too"
                yield Finding(SEQ_DISCONTINUOUS, "spans", told, *which, first, before, *where)
            last_seqs[key] = max(before, last)
