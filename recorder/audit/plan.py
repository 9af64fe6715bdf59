"""What is to be verified, in which order: a record's runs, cut into parts of some batches that can be checked alone."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from recorder.audit.findings import BATCH_REMOVED, SEQ_DISCONTINUOUS, Finding
from recorder.audit.reading import Reader
from recorder.store import entries
from recorder.store.entries import RunStarted

#: A part holds about so many frames, and at most so many batches.
FRAMES_PER_PART = 20_000
BATCHES_PER_PART = 5_000
#: Of these tables, a batch has rows.
OF_BATCHES = ("batches", "seals", "spans", "event_log")

#: The key of a batch: run, number.
Key = tuple[int, int]
#: Batches of a run, from the first to the last.
Stretch = tuple[int, int]


class Part(NamedTuple):
    """Batches of one run that follow each other."""

    recorder_id: int
    run_id: int
    first: int
    last: int
    #: How many they say to hold.
    frames: int
    #: The batches before the first and after the last, of the same recorder's.
    before: Key | None
    after: Key | None


class Run(NamedTuple):
    """A run, with the number of its last batch."""

    recorder_id: int
    run_id: int
    last: int


class End(NamedTuple):
    """Where a session ends, as its spans have it."""

    last_seq: int
    run_id: int
    batch: int


class Plan(NamedTuple):
    """What is to be verified."""

    #: Every run of the record, in the order of each recorder's chain.
    runs: list[Run]
    parts: list[Part]
    #: Account and session → its end, of every session that has frames.
    ends: dict[tuple[int, int], End]
    findings: list[Finding]
    #: Frames that no batch holds, or two do. Of these, some follow from what is found in their batches.
    discontinuities: list[Finding]


def make_plan(reader: Reader, names: Mapping[int, str], wanted: Mapping[int, Sequence[Stretch]] | None = None) -> Plan:
    """Look over the batches of a record.

    Args:
        reader: of it.
        names: of accounts.
        wanted: run → the batches that are to be verified; None wants all.
    """
    runs = list(_runs(reader))
    made = Plan(runs, [], {}, [], [])
    for index, run in enumerate(runs):
        before_run, after_run = (_same_recorder(runs, place, run) for place in (index - 1, index + 1))
        earlier = None if before_run is None else (before_run.run_id, before_run.last)
        later = None if after_run is None else (after_run.run_id, 0)
        holes = _holes(reader, run)
        _follow_sessions(reader, run, holes, names, made)
        for stretch in [(0, run.last)] if wanted is None else wanted.get(run.run_id, ()):
            for first, last, frames in _cut(reader, run.run_id, *stretch):
                before = (run.run_id, first - 1) if first else earlier
                after = (run.run_id, last + 1) if last < run.last else later
                made.parts.append(Part(run.recorder_id, run.run_id, first, last, frames, before, after))
    return made


def _same_recorder(runs: Sequence[Run], place: int, run: Run) -> Run | None:
    """The run at a place, if there is one and it is of the same recorder's."""
    return runs[place] if 0 <= place < len(runs) and runs[place].recorder_id == run.recorder_id else None


def _runs(reader: Reader) -> Iterator[Run]:
    """Every run that left a trace, in the order of each recorder's chain."""
    of_rows: dict[int, int] = dict(reader.rows("SELECT run_id, recorder_id FROM runs"))
    run_ids = set(of_rows)
    for table in OF_BATCHES:
        run_id = reader.one(f"SELECT min(run_id) FROM {table}")
        while run_id is not None:
            run_ids.add(run_id)
            run_id = reader.one(f"SELECT min(run_id) FROM {table} WHERE run_id > {run_id:d}")
    owned = sorted((_recorder_of(reader, run_id) or of_rows.get(run_id, 0), run_id) for run_id in run_ids)
    for recorder_id, run_id in owned:
        ends = (reader.one(f"SELECT max(batch) FROM {table} WHERE run_id = {run_id:d}") for table in OF_BATCHES)
        last = max((end for end in ends if end is not None), default=-1)
        if last >= 0:
            yield Run(recorder_id, run_id, last)


def _recorder_of(reader: Reader, run_id: int) -> int | None:
    """Whose a run is, as its first batch tells; the row of `runs` is no evidence."""
    told = reader.rows(f"SELECT body FROM event_log WHERE run_id = {run_id:d} AND batch = 0 ORDER BY item")
    for (body,) in told:
        try:
            entry = entries.decode(body)
        except msgspec.DecodeError:
            continue  # it was changed, which its seal tells
        if isinstance(entry, RunStarted) and entry.run_id == run_id:
            return entry.recorder_id
    return None


def _cut(reader: Reader, run_id: int, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """Pieces of some batches: the first, the last, and how many frames they say to hold."""
    begin, frames = first, 0
    of_run = f"SELECT batch, frames FROM batches WHERE run_id = {run_id:d} AND batch BETWEEN {first:d} AND {last:d}"
    for rows in reader.stream(f"{of_run} ORDER BY batch", 1_000):
        for batch, held in rows:
            frames += held
            if frames >= FRAMES_PER_PART or batch - begin >= BATCHES_PER_PART:
                yield begin, batch, frames
                begin, frames = batch + 1, 0
    if begin <= last:
        yield begin, last, frames


def _holes(reader: Reader, run: Run) -> list[Stretch]:
    """Numbers of batches of which nothing is left."""
    return [hole for hole in _not_in(reader, run, "batches") if _nothing_left(reader, run.run_id, hole)]


def _not_in(reader: Reader, run: Run, table: str) -> Iterator[Stretch]:
    expected = 0
    for rows in reader.stream(f"SELECT batch FROM {table} WHERE run_id = {run.run_id:d} ORDER BY batch", 1_000):
        for (batch,) in rows:
            if batch > expected:
                yield expected, batch - 1
            expected = batch + 1
    if expected <= run.last:
        yield expected, run.last


def _nothing_left(reader: Reader, run_id: int, hole: Stretch) -> bool:
    within = f"WHERE run_id = {run_id:d} AND batch BETWEEN {hole[0]:d} AND {hole[1]:d}"
    return all(reader.one(f"SELECT batch FROM {table} {within} LIMIT 1") is None for table in OF_BATCHES)


def _follow_sessions(reader: Reader, run: Run, holes: list[Stretch], names: Mapping[int, str], made: Plan) -> None:
    """Whether the batches of a run hold each session's frames one after the other, each once."""
    lost: dict[Stretch, list[Finding]] = {hole: [] for hole in holes}
    columns = "batch, account_id, session_id, first_seq, last_seq"
    of_run = f"SELECT {columns} FROM spans WHERE run_id = {run.run_id:d} ORDER BY batch, account_id, session_id"
    for rows in reader.stream(of_run, 1_000):
        for batch, account_id, session_id, first, last in rows:
            key = account_id, session_id
            end = made.ends.get(key)
            expected = 0 if end is None else end.last_seq + 1
            if first != expected:
                name = names.get(account_id, str(account_id))
                finding = _discontinuity(run, batch, name, session_id, expected, first)
                hole = _hole_between(holes, 0 if end is None else end.batch, batch)
                (made.discontinuities if hole is None else lost[hole]).append(finding)
            if end is None or last > end.last_seq:
                made.ends[key] = End(last, run.run_id, batch)
    made.findings.extend(_removed(run, hole, frames) for hole, frames in lost.items())


def _discontinuity(run: Run, batch: int, name: str, session_id: int, expected: int, first: int) -> Finding:
    which = run.run_id, batch, run.recorder_id
    if first > expected:
        told = f"no batch holds them: batch {batch} goes on with frame {first}"
        return Finding(SEQ_DISCONTINUOUS, "spans", told, name, session_id, expected, first - 1, *which)
    told = f"a batch before holds them, and batch {batch} too"
    return Finding(SEQ_DISCONTINUOUS, "spans", told, name, session_id, first, expected - 1, *which)


def _hole_between(holes: list[Stretch], after: int, before: int) -> Stretch | None:
    """The first hole between two batches."""
    index = bisect_left(holes, (after, 0))
    return holes[index] if index < len(holes) and holes[index][0] < before else None


def _removed(run: Run, hole: Stretch, lost: list[Finding]) -> Finding:
    first, last = hole
    which = f"batch {first}" if first == last else f"batches {first} to {last}"
    sessions = "; ".join(f"frames {one.seq} to {one.last_seq} of session {one.session_id}" for one in lost)
    told = f"nothing is left of {which}" + (f", which held {sessions}" if lost else "")
    one = lost[0] if len(lost) == 1 else None
    return Finding(
        BATCH_REMOVED,
        "batches",
        told,
        account=one.account if one else None,
        session_id=one.session_id if one else None,
        seq=one.seq if one else None,
        last_seq=one.last_seq if one else None,
        run_id=run.run_id,
        batch=first,
        recorder_id=run.recorder_id,
    )
