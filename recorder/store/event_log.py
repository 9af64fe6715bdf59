"""Derive the rows of recorders, runs, sessions, gaps and findings from the entries of the event log, and nothing else.

Entries are written in the same transaction as the frames around them, so the event log never knows more or less than
the journal holds. Applied in a recorder's own order, the same entries make the same rows in any database, whatever
other recorders have written there. `gaps.py` has the rules for gaps.
"""

from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, Update, delete, exists, func, insert, select, update

from recorder.model import PUSHES, REDACTED
from recorder.store import seals, stale, venue_views
from recorder.store.dialects import insert_new
from recorder.store.entries import (
    AccountAdded,
    CheckpointMade,
    Covered,
    CredentialAccepted,
    CredentialUsed,
    DiscrepancyFound,
    FramesRedacted,
    LogEntry,
    ReconciliationBegan,
    ReconciliationEnded,
    RecorderAdded,
    RecorderRetired,
    RunEnded,
    RunStarted,
    SessionEnded,
    SessionOpened,
    SubjectCompleted,
    decode,
)
from recorder.store.gaps import CRASHED, PARTIAL, RECONCILED, UNRECOVERABLE, Gaps, lost_text
from recorder.store.schema import (
    TYPED,
    accounts,
    backfilled,
    batches,
    checkpoints,
    credentials,
    discrepancies,
    event_log,
    frames,
    reconciliations,
    recorders,
    redactions,
    retirements,
    runs,
    sessions,
)
from recorder.store.schema import seals as seals_table
from recorder.store.snapshots import forget

#: Rows fetched at a time.
_ROWS_PER_FETCH = 50

#: Results of a reconciliation that settle nothing.
FAILED = "failed"
COMPARED = "compared"
ANSWERED = "answered"
INCOMPLETE = "incomplete"
INTERRUPTED = "interrupted"

#: Why a round asked: about gaps; to compare; for what a comparison found to be missing; for what is never pushed; what
#: symbols mean. And see `BACKFILL`.
RECONCILE, COMPARE, RESTORE, REGULAR, INSTRUMENTS = "reconcile", "compare", "restore", "regular", "instruments"


def apply(connection: Connection, recorder_id: int, entry: LogEntry) -> None:
    """Apply an entry of a recorder. `RecorderAdopted` changes no row."""
    match entry:
        case RecorderAdded() | RecorderRetired() | DiscrepancyFound():
            tables = {RecorderAdded: recorders, RecorderRetired: retirements, DiscrepancyFound: discrepancies}
            connection.execute(insert_new(connection, tables[type(entry)]).values(msgspec.structs.asdict(entry)))
        case AccountAdded():
            _add_account(connection, entry)
            Gaps(connection, recorder_id, entry.account_id).account_added(entry.streams)
        case CredentialUsed() | CredentialAccepted():
            _add_credential(connection, entry)
        case RunStarted() | ReconciliationBegan() | SubjectCompleted():
            tables = {RunStarted: runs, ReconciliationBegan: reconciliations, SubjectCompleted: backfilled}
            _insert(connection, tables[type(entry)], entry)
        case RunEnded():
            _end_run(connection, entry)
        case SessionOpened():
            _insert(connection, sessions, entry, topics=" ".join(entry.topics))
            Gaps(connection, recorder_id, entry.account_id).session_opened(entry)
        case Covered():
            Gaps(connection, recorder_id, entry.account_id).covered(entry)
            connection.execute(_this_session(entry).values(covered_ns=entry.received_ns))
        case SessionEnded():
            ended = {"ended_ns": entry.ended_ns, "end_reason": entry.reason, "end_detail": entry.detail or None}
            connection.execute(_this_session(entry).values(ended))
            Gaps(connection, recorder_id, entry.account_id).session_ended(entry)
        case ReconciliationEnded():
            _end_reconciliation(connection, entry)
            if entry.result in {RECONCILED, PARTIAL, UNRECOVERABLE}:
                Gaps(connection, recorder_id, entry.account_id).reconciled(entry)
        case CheckpointMade():
            _add_checkpoint(connection, entry)
        case FramesRedacted():
            _redact(connection, entry)


def what_a_crash_left(connection: Connection, recorder_id: int) -> list[LogEntry]:
    """Return the entries that end a recorder's unended runs and sessions at the last durable frame.

    The rows of `runs` and `sessions` are not sealed, and a run or session that they hide would have no gap for good. So
    sealed entries say whether the last run ended and, if it did not, whether its newest sessions did and were covered.
    They are read from the run's end: only as far as the sessions go back about which a row says less than it might.

    Only the sole writer may ask, because a run that is going on looks the same.
    """
    mine = runs.c.recorder_id == recorder_id
    unended = select(sessions).join(runs, runs.c.run_id == sessions.c.run_id).where(mine, sessions.c.ended_ns.is_(None))
    found = list(connection.execute(unended).all())
    last_run: int | None = connection.scalar(select(runs.c.run_id).where(mine).order_by(runs.c.run_id.desc()).limit(1))
    crashed = mine & runs.c.ended_ns.is_(None)
    if last_run is not None and not _is_ended(connection, last_run):
        crashed |= runs.c.run_id == last_run
        newest = select(func.max(sessions.c.session_id)).where(sessions.c.run_id == last_run)
        newest = newest.group_by(sessions.c.account_id, sessions.c.stream)
        hidden = sessions.c.run_id == last_run, sessions.c.ended_ns.is_not(None), sessions.c.session_id.in_(newest)
        found += connection.execute(select(sessions).where(*hidden)).all()
    last_entries = _last_of_sessions(
        connection, [row for row in found if row.covered_ns is None or row.ended_ns is not None]
    )
    entries: list[LogEntry] = []
    for session in sorted(found, key=lambda row: (row.account_id, row.session_id)):
        last = last_entries.get((session.account_id, session.session_id))
        if isinstance(last, SessionEnded) or (session.ended_ns is not None and last is None):
            continue
        covered = isinstance(last, Covered) or (session.ended_ns is None and session.covered_ns is not None)
        # Whether it was still well when the next one was covered, only an answer to a heartbeat would have shown.
        next_ns = min((one.covered_ns for one in found if _follows(one, session)), default=None)
        of = session.account_id, session.session_id
        seq, received_ns = last_proof_of_life(connection, *of, session.opened_ns, next_ns)
        detail = "the recorder did not end it"
        key = session.account_id, session.session_id
        entries.append(SessionEnded(*key, received_ns, CRASHED, detail, covered, seq, received_ns))
    last_write = select(func.max(batches.c.written_ns)).where(batches.c.run_id == runs.c.run_id).scalar_subquery()
    ends = select(runs.c.run_id, func.coalesce(last_write, runs.c.started_ns)).where(crashed).order_by(runs.c.run_id)
    entries += [RunEnded(run_id, ended_ns, CRASHED) for run_id, ended_ns in connection.execute(ends)]
    return entries


def _follows(one: Row[Any], other: Row[Any]) -> bool:
    """Whether a session of the same stream was covered later."""
    is_same = (one.account_id, one.stream) == (other.account_id, other.stream)
    return is_same and None not in (one.covered_ns, other.covered_ns) and one.covered_ns > other.covered_ns


def _is_ended(connection: Connection, run_id: int) -> bool:
    """Whether a run's last sealed entries end it: only a checkpoint may follow, in a batch of its own."""
    with closing(sealed_entries_back(connection, run_id)) as entries:
        of_batches = islice(groupby(entries, itemgetter(0)), 2)
        return any(isinstance(entry, RunEnded) for _, its in of_batches for _, entry in its)


def _last_of_sessions(connection: Connection, rows: Sequence[Any]) -> dict[tuple[int, int], LogEntry]:
    """The last sealed entry about each of some sessions: that it ended, was covered, or was opened."""
    last: dict[tuple[int, int], LogEntry] = {}
    for run_id in {row.run_id for row in rows}:
        wanted = {(row.account_id, row.session_id) for row in rows if row.run_id == run_id}
        with closing(sealed_entries_back(connection, run_id)) as entries:
            while wanted and (found := next(entries, None)) is not None:
                entry = found[1]
                if isinstance(entry, SessionOpened | Covered | SessionEnded):
                    key = entry.account_id, entry.session_id
                    if key in wanted:
                        wanted.remove(key)
                        last[key] = entry
    return last


def sealed_entries_back(connection: Connection, run_id: int) -> Generator[tuple[int, LogEntry], None, None]:
    """A run's entries with their batches, the last one first; none of a batch whose entries are not those sealed."""
    e, s = event_log.c, seals_table.c
    same = (s.run_id == e.run_id) & (s.batch == e.batch)
    query = select(e.batch, e.body, s.entries_root).join_from(event_log, seals_table, same)
    query = query.where(e.run_id == run_id).order_by(e.batch.desc(), e.item.desc())
    with connection.execute(query.execution_options(yield_per=_ROWS_PER_FETCH)) as rows:
        for batch, of_batch in groupby(rows, itemgetter(0)):
            its = list(of_batch)
            if seals.entries_root([row.body.encode() for row in reversed(its)]) == bytes(its[0].entries_root):
                for row in its:
                    try:
                        entry: LogEntry = decode(row.body)
                    except msgspec.MsgspecError:
                        continue  # of a kind that only a later version knows
                    yield batch, entry


def retired_recorders(connection: Connection, at_ns: int | None = None) -> set[int]:
    """Return the recorders that have been retired and have not run since.

    Args:
        connection: to the record.
        at_ns: as of this instant, ns since 1970; None: as of now.
    """
    r = retirements.c
    later = exists().where(runs.c.recorder_id == r.recorder_id, runs.c.started_ns > r.retired_ns)
    query = select(r.recorder_id)
    if at_ns is not None:
        later = later.where(runs.c.started_ns <= at_ns)
        query = query.where(r.retired_ns <= at_ns)
    return set(connection.scalars(query.where(~later)))


def last_proof_of_life(
    connection: Connection, account_id: int, session_id: int, opened_ns: int, before_ns: int | None = None
) -> tuple[int, int]:
    """Return `seq` and time of the last frame received in a session, or that before a time.

    If there is none: -1 and the session's opening.
    """
    query = (
        select(frames.c.seq, frames.c.received_ns)
        .where(frames.c.account_id == account_id, frames.c.session_id == session_id)
        .where(frames.c.source.in_(sorted(PUSHES)))
        .order_by(frames.c.seq.desc())
        .limit(1)
    )
    if before_ns is not None:
        query = query.where(frames.c.received_ns < before_ns)
    row = connection.execute(query).first()
    return (-1, opened_ns) if row is None else (row.seq, row.received_ns)


def _insert(connection: Connection, table: Table, entry: LogEntry, **changes: Any) -> None:
    connection.execute(insert(table).values(msgspec.structs.asdict(entry) | changes))


def _add_checkpoint(connection: Connection, entry: CheckpointMade) -> None:
    # The recorder reads the subtrees from the entry.
    row = msgspec.structs.asdict(entry)
    del row["subtrees"]
    connection.execute(insert(checkpoints).values(row))


def _add_account(connection: Connection, entry: AccountAdded) -> None:
    """An account is as old as its first recorder, in whatever order records were merged."""
    row = msgspec.structs.asdict(entry)
    del row["streams"]
    venue_views.account_added(connection, entry.venue)
    connection.execute(insert_new(connection, accounts, older="created_ns").values(row))


def _add_credential(connection: Connection, entry: CredentialUsed | CredentialAccepted) -> None:
    """The order of entries must not matter: the earliest time counts, and one acceptance is enough."""
    accepted = isinstance(entry, CredentialAccepted)
    added_ns = entry.accepted_ns if isinstance(entry, CredentialAccepted) else entry.used_ns
    row = {"account_id": entry.account_id, "fingerprint": entry.fingerprint, "added_ns": added_ns, "accepted": 0}
    connection.execute(insert_new(connection, credentials, older="added_ns").values(row))
    if accepted:
        this = credentials.c.account_id == entry.account_id, credentials.c.fingerprint == entry.fingerprint
        connection.execute(update(credentials).where(*this).values(accepted=1))


def _end_run(connection: Connection, entry: RunEnded) -> None:
    ended = {"ended_ns": entry.ended_ns, "end_reason": entry.reason}
    connection.execute(update(runs).where(runs.c.run_id == entry.run_id).values(ended))
    unended = reconciliations.c.run_id == entry.run_id, reconciliations.c.ended_ns.is_(None)
    interrupted = {"ended_ns": entry.ended_ns, "result": INTERRUPTED}
    connection.execute(update(reconciliations).where(*unended).values(interrupted))


def _end_reconciliation(connection: Connection, entry: ReconciliationEnded) -> None:
    mine = reconciliations.c.reconciliation_id == entry.reconciliation_id
    detail = entry.detail + lost_text(entry.lost)
    ended = {"ended_ns": entry.ended_ns, "result": entry.result, "detail": detail}
    connection.execute(
        update(reconciliations).where(reconciliations.c.account_id == entry.account_id, mine).values(ended)
    )


def _redact(connection: Connection, entry: FramesRedacted) -> None:
    """The row of `redactions` comes first: without it, the journal's guard keeps the payload."""
    connection.execute(insert_new(connection, redactions).values(msgspec.structs.asdict(entry)))
    _forget_snapshots(connection, entry)
    stale.forget(connection, entry.account_id, entry.session_id, (entry.first_seq, entry.last_seq))
    for table in (frames, *TYPED.values()):
        these = table.c.account_id == entry.account_id, table.c.session_id == entry.session_id
        seqs = table.c.seq.between(entry.first_seq, entry.last_seq)
        if table is frames:
            emptied = {"payload": b"", "status": REDACTED, "error": None}
            connection.execute(update(frames).where(*these, seqs, frames.c.status != REDACTED).values(emptied))
        else:
            connection.execute(delete(table).where(*these, seqs))


def _forget_snapshots(connection: Connection, entry: FramesRedacted) -> None:
    """Snapshots list rows that are going to be deleted."""
    these = frames.c.account_id == entry.account_id, frames.c.session_id == entry.session_id
    first = select(func.min(frames.c.received_ns)).where(*these, frames.c.seq.between(entry.first_seq, entry.last_seq))
    first_ns = connection.scalar(first)
    if first_ns is not None:
        forget(connection, entry.account_id, first_ns)


def _this_session(entry: Covered | SessionEnded) -> Update:
    this = sessions.c.account_id == entry.account_id, sessions.c.session_id == entry.session_id
    return update(sessions).where(*this)
