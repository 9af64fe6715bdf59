"""Checking the tables of the event log: its entries are applied again to a scratch database, and the rows compared.

A run's first entries say what a crash left open, so they are compared with the entries and frames before them.
"""

import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Table, event
from sqlalchemy.exc import DBAPIError

from recorder.audit.reading import RecordReader, Row
from recorder.audit.verify.findings import (
    ENTRIES_CHANGED,
    ENTRY_CONTRADICTED,
    ROW_CHANGED,
    ROW_INSERTED,
    ROW_REMOVED,
    Finding,
    batch_finding,
)
from recorder.model import PUSHES
from recorder.store import entries, event_log
from recorder.store.chain import ChainedRun
from recorder.store.crosscheck import UNSEEN
from recorder.store.engine import open_engine
from recorder.store.entries import (
    Covered,
    DiscrepancyFound,
    FramesRedacted,
    LogEntry,
    RunEnded,
    RunStarted,
    SessionEnded,
    SessionOpened,
)
from recorder.store.gaps import CRASHED
from recorder.store.schema import (
    accounts,
    backfilled,
    checkpoints,
    credentials,
    discrepancies,
    gaps,
    metadata,
    reconciliations,
    recorders,
    redactions,
    retirements,
    runs,
    sessions,
)

#: The tables that follow from entries and nothing else.
TABLES = (
    *(accounts, credentials, recorders, retirements, runs, sessions, gaps),
    *(reconciliations, backfilled, discrepancies, checkpoints, redactions),
)
#: Discrepancies between two recorders are computed from what both saw (`recorder.store.crosscheck`), not from entries.
_OF_ENTRIES = {discrepancies: f" WHERE field <> '{UNSEEN}'"}
#: Tables in which the first of several entries with one key counts; which came first depends on the order of merging.
_FIRST_COUNTS: dict[Table, type[Any]] = {discrepancies: DiscrepancyFound, redactions: FramesRedacted}
_FETCH = 1_000


def findings_in_event_log(
    reader: RecordReader, chain: Sequence[ChainedRun], names: Mapping[int, str], forked: Collection[int] = ()
) -> Iterator[Finding]:
    """Find rows of the event log's tables that do not follow from its entries.

    Args:
        reader: of the record.
        chain: its runs, in the order of each recorder's chain.
        names: account key → name.
        forked: recorders whose chain forks. One branch does not know how the other ended.
    """
    with tempfile.TemporaryDirectory(prefix="recorder-verify-") as folder:
        url = f"sqlite:///{Path(folder) / 'events.db'}"
        engine = open_engine(url)
        # A scratch database need not survive a power cut.
        event.listen(engine, "connect", lambda driver, _: driver.execute("PRAGMA synchronous=OFF"))
        with engine.begin() as connection:
            metadata.create_all(connection)
            yield from _apply(connection, reader, chain, forked)
        engine.dispose()
        with closing(RecordReader(url)) as follows, follows.snapshot():
            for table in TABLES:
                yield from _compare(reader, follows, table, chain, names)


def _apply(
    connection: Connection, reader: RecordReader, chain: Sequence[ChainedRun], forked: Collection[int]
) -> Iterator[Finding]:
    open_things: dict[int, _Open] = {}
    for run in chain:
        known = open_things.setdefault(run.recorder_id, _Open(reader))
        for batch, body in _bodies(reader, run):
            try:
                entry = entries.decode(body)
                for what in known.contradictions(entry) if run.recorder_id not in forked else ():
                    yield batch_finding(ENTRY_CONTRADICTED, "event_log", what, run.run_id, batch, run.recorder_id)
                with connection.begin_nested():
                    event_log.apply(connection, run.recorder_id, entry)
            except (DBAPIError, msgspec.DecodeError) as error:
                words = error.orig if isinstance(error, DBAPIError) else error
                told = f"one of its entries cannot be applied: {words}"
                yield batch_finding(ENTRIES_CHANGED, "event_log", told, run.run_id, batch, run.recorder_id)


class _Open:
    """A recorder's runs and sessions that have not ended yet, according to its entries so far.

    Args:
        reader: of the record.
    """

    def __init__(self, reader: RecordReader) -> None:
        self._reader = reader
        self._runs: set[int] = set()
        #: Session → whether it was covered.
        self._sessions: dict[tuple[int, int], bool] = {}

    def contradictions(self, entry: LogEntry) -> Iterator[str]:
        """Say what an entry claims that is not so."""
        match entry:
            case RunStarted():
                yield from (f"run {entry.run_id} starts, but run {one} has not ended" for one in sorted(self._runs))
                for _, session_id in sorted(self._sessions):
                    yield f"run {entry.run_id} starts, but session {session_id} has not ended: it may have a gap"
                self._runs = {entry.run_id}
                self._sessions = {}
            case RunEnded():
                self._runs.discard(entry.run_id)
            case SessionOpened():
                self._sessions[entry.account_id, entry.session_id] = False
            case Covered():
                self._sessions[entry.account_id, entry.session_id] = True
            case SessionEnded():
                covered = self._sessions.pop((entry.account_id, entry.session_id), entry.covered)
                if covered != entry.covered:
                    says, was = (f"{'' if one else 'not '}covered" for one in (entry.covered, covered))
                    yield f"session {entry.session_id} ends as {says}, but was {was}: a gap may be wrong"
                if entry.reason == CRASHED:
                    yield from self._misplaced(entry)

    def _misplaced(self, entry: SessionEnded) -> Iterator[str]:
        """A crash ends a session at its last push."""
        of_session = f"account_id = {entry.account_id:d} AND session_id = {entry.session_id:d}"
        sources = ", ".join(f"'{source}'" for source in sorted(PUSHES))
        last = f"SELECT seq, received_ns FROM frames WHERE {of_session} AND source IN ({sources}) ORDER BY seq DESC"
        for seq, received_ns in self._reader.rows(f"{last} LIMIT 1"):
            if (seq, received_ns) != (entry.last_seq, entry.last_received_ns):
                yield f"session {entry.session_id} ends at frame {entry.last_seq}, but its last push is frame {seq}"


def _bodies(reader: RecordReader, run: ChainedRun) -> Iterator[Row]:
    of_run = f"SELECT batch, body FROM event_log WHERE run_id = {run.run_id:d} ORDER BY batch, item"
    for rows in reader.stream(of_run, _FETCH):
        yield from rows


def _compare(
    reader: RecordReader, follows: RecordReader, table: Table, chain: Sequence[ChainedRun], names: Mapping[int, str]
) -> Iterator[Finding]:
    # Ordered by the numbers in the key only: engines sort texts differently.
    numbers = [column.name for column in table.primary_key if isinstance(column.type, BigInteger)]
    statement = f"{table.name}{_OF_ENTRIES.get(table, '')} ORDER BY {', '.join(numbers)}"
    sides = (
        _by_key(side.stream(f"SELECT {side.columns(table)} FROM {statement}", _FETCH), _places(table, numbers))
        for side in (reader, follows)
    )
    key = _places(table, _names(table.primary_key))
    for stand, follow in _side_by_side(*sides):
        if sorted(stand, key=repr) == sorted(follow, key=repr):
            continue
        standing, following = ({tuple(row[place] for place in key): row for row in rows} for rows in (stand, follow))
        for which in sorted(standing.keys() | following.keys(), key=repr):
            row, other = standing.get(which), following.get(which)
            if row != other and not (row is not None and other is not None and _has_entry(reader, table, chain, row)):
                yield _finding(table, row, other, names)


def _names(columns: Iterable[Column[Any]]) -> list[str]:
    return [column.name for column in columns]


def _places(table: Table, names: Sequence[str]) -> list[int]:
    return [_names(table.c).index(name) for name in names]


def _by_key(chunks: Iterator[list[Row]], places: Sequence[int]) -> Iterator[tuple[Row, list[Row]]]:
    rows = (row for chunk in chunks for row in chunk)
    for key, of_key in groupby(rows, lambda row: tuple(row[place] for place in places)):
        yield key, list(of_key)


def _side_by_side(
    left: Iterator[tuple[Row, list[Row]]], right: Iterator[tuple[Row, list[Row]]]
) -> Iterator[tuple[list[Row], list[Row]]]:
    """Join two ordered streams on their key; a side without rows gives none."""
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield one[1], []
            one = next(left, None)
        elif one is None or other[0] < one[0]:
            yield [], other[1]
            other = next(right, None)
        else:
            yield one[1], other[1]
            one, other = next(left, None), next(right, None)


def _has_entry(reader: RecordReader, table: Table, chain: Sequence[ChainedRun], row: Row) -> bool:
    """Whether another entry than the one that counted here makes exactly this row."""
    kind = _FIRST_COUNTS.get(table)
    if kind is None:
        return False
    told = (entries.decode(body) for run in chain for _, body in _bodies(reader, run) if kind.__name__ in body)
    columns = table.c.keys()
    return any(isinstance(one, kind) and tuple(getattr(one, name) for name in columns) == row for one in told)


def _finding(table: Table, row: Row | None, other: Row | None, names: Mapping[int, str]) -> Finding:
    """The finding about a stored row and the row that follows; one of them may be missing."""
    known = dict(zip(table.c.keys(), row or other or (), strict=True))
    key = ", ".join(f"{name} {known[name]}" for name in _names(table.primary_key))
    if row is None:
        kind, told = ROW_REMOVED, f"{key}: follows from the event log, and is missing"
    elif other is None:
        kind, told = ROW_INSERTED, f"{key}: does not follow from the event log"
    else:
        differ = zip(table.c.keys(), row, other, strict=True)
        fields = "; ".join(f"{name} is {was!r}, should be {told!r}" for name, was, told in differ if was != told)
        kind, told = ROW_CHANGED, f"{key}: {fields}"
    account_id = known.get("account_id")
    return Finding(
        kind,
        table.name,
        told,
        account=None if account_id is None else names.get(account_id, str(account_id)),
        session_id=known.get("session_id"),
        seq=known.get("first_seq", known.get("seq")),
        last_seq=known.get("last_seq", known.get("seq")),
        run_id=known.get("run_id"),
        recorder_id=known.get("recorder_id"),
    )
