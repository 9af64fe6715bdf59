"""The ledger of runs, sessions and gaps: which stretches of time the record covers, and why not the others.

The rules, in one place:

- Every account has at most one *ongoing* gap over all its topics (`topic` NULL, `ends_ns` NULL). It begins with the
  record itself, with the end of each covered session (at the last frame received: the last proof of life), and after a
  crash (at the last durable frame). It ends when all topics of a session are acknowledged.
- A topic that alone is not covered (refused by the exchange, or no longer asked for) has a gap of its own, which begins
  where the gap over all topics ended.

Entries travel with the frames and are written in the same transaction as their neighbours: the ledger never knows of
more, or of less, than the journal holds.
"""

from typing import NamedTuple

from sqlalchemy import Connection, Update, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert_postgresql
from sqlalchemy.dialects.sqlite import insert as upsert_sqlite

from recorder.model import PUSH, time_ordered_id
from recorder.store.schema import accounts, batches, frames, gaps, reconciliations, runs, sessions

OPEN = "open"
RECONCILED = "reconciled"
UNRECOVERABLE = "unrecoverable"

#: Results of a reconciliation that settle nothing.
FAILED = "failed"
INTERRUPTED = "interrupted"

#: Reasons of gaps that are not the end of a session.
BEGINNING = "beginning"
CRASHED = "crashed"
REFUSED = "refused"
UNSUBSCRIBED = "unsubscribed"

#: What is said of the time before the record.
BEFORE_ALL = "the record begins with a snapshot; what was before it is not part of it"


class RunStarted(NamedTuple):
    """A recorder process begins."""

    run_id: int
    started_ns: int
    host: str
    pid: int
    version: str


class RunEnded(NamedTuple):
    """A recorder process has made everything durable and ends."""

    run_id: int
    ended_ns: int
    reason: str


class SessionOpened(NamedTuple):
    """A connection is made."""

    account_id: int
    session_id: int
    run_id: int
    #: Without credentials.
    url: str
    #: What is asked for.
    topics: tuple[str, ...]
    opened_ns: int


class Covered(NamedTuple):
    """Every topic of a session is acknowledged or refused: from this frame on, its pushes come."""

    account_id: int
    session_id: int
    seq: int
    received_ns: int
    topics: tuple[str, ...]
    #: Topic → the exchange's words.
    refused: dict[str, str]


class SessionEnded(NamedTuple):
    """A connection is over."""

    account_id: int
    session_id: int
    ended_ns: int
    reason: str
    detail: str
    #: Whether it had been covered.
    covered: bool
    #: The last frame received, the last proof that nothing was missed.
    last_seq: int
    last_received_ns: int


class ReconciliationBegan(NamedTuple):
    """The exchange is asked what happened in the gaps that have ended."""

    account_id: int
    reconciliation_id: int
    run_id: int
    began_ns: int


class ReconciliationEnded(NamedTuple):
    """It has answered, or would not."""

    account_id: int
    reconciliation_id: int
    #: The session whose coverage it followed: gaps up to its beginning are meant.
    session_id: int
    ended_ns: int
    #: `reconciled`, `unrecoverable` (both settle the gaps), or `failed`: they stay open, and it is tried again.
    result: str
    detail: str


LedgerEntry = RunStarted | RunEnded | SessionOpened | Covered | SessionEnded | ReconciliationBegan | ReconciliationEnded


def add_accounts(connection: Connection, wanted: list[tuple[int, str, str]], now_ns: int) -> None:
    """Make sure that accounts (key, venue, name) are there, each with a gap that begins the record."""
    upsert = upsert_sqlite if connection.dialect.name == "sqlite" else upsert_postgresql
    for account_id, venue, name in wanted:
        row = {"account_id": account_id, "venue": venue, "name": name, "created_ns": now_ns}
        connection.execute(upsert(accounts).values(row).on_conflict_do_nothing())
        known = select(gaps.c.gap_id).where(gaps.c.account_id == account_id).limit(1)
        if connection.execute(known).first() is None:
            _begin_gap(connection, account_id, now_ns, BEGINNING, "the record begins")


def close_what_a_crash_left(connection: Connection, now_ns: int) -> list[str]:
    """End the runs and sessions that never did, at what of them is durable. Only the sole writer may do it.

    Returns:
        A sentence for the user for each.
    """
    told = []
    for session in connection.execute(select(sessions).where(sessions.c.ended_ns.is_(None))).all():
        seq, received_ns = last_proof_of_life(connection, session.account_id, session.session_id, session.opened_ns)
        entry = SessionEnded(
            session.account_id,
            session.session_id,
            received_ns,
            CRASHED,
            "the recorder did not end it",
            session.covered_ns is not None,
            seq,
            received_ns,
        )
        _end_session(connection, entry, now_ns)
        told.append(f"the last run ended without closing session {session.session_id}: a gap begins at its last frame")
    last_write = select(func.max(batches.c.written_ns)).where(batches.c.run_id == runs.c.run_id).scalar_subquery()
    ended = func.coalesce(last_write, runs.c.started_ns)
    connection.execute(update(runs).where(runs.c.ended_ns.is_(None)).values(ended_ns=ended, end_reason=CRASHED))
    _interrupt_reconciliations(connection, now_ns)
    return told


def last_proof_of_life(connection: Connection, account_id: int, session_id: int, opened_ns: int) -> tuple[int, int]:
    """`seq` and time of the last frame received in a session; (-1, its opening) where there is none."""
    query = (
        select(frames.c.seq, frames.c.received_ns)
        .where(frames.c.account_id == account_id, frames.c.session_id == session_id)
        .where(frames.c.source == PUSH)
        .order_by(frames.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return (-1, opened_ns) if row is None else (row.seq, row.received_ns)


def apply(connection: Connection, entry: LedgerEntry, now_ns: int) -> None:
    """Write one entry."""
    match entry:
        case RunStarted():
            connection.execute(insert(runs).values(**entry._asdict()))
        case RunEnded():
            ended = {"ended_ns": entry.ended_ns, "end_reason": entry.reason}
            connection.execute(update(runs).where(runs.c.run_id == entry.run_id).values(ended))
            _interrupt_reconciliations(connection, entry.ended_ns)
        case SessionOpened():
            connection.execute(insert(sessions).values(entry._asdict() | {"topics": " ".join(entry.topics)}))
        case Covered():
            _cover(connection, entry, now_ns)
        case SessionEnded():
            _end_session(connection, entry, now_ns)
        case ReconciliationBegan():
            connection.execute(insert(reconciliations).values(**entry._asdict()))
        case ReconciliationEnded():
            _end_reconciliation(connection, entry)


def _end_session(connection: Connection, entry: SessionEnded, now_ns: int) -> None:
    ended = {"ended_ns": entry.ended_ns, "end_reason": entry.reason, "end_detail": entry.detail or None}
    connection.execute(_this_session(entry).values(ended))
    if entry.covered:
        begin = (entry.session_id, entry.last_seq, entry.last_received_ns)
        _begin_gap(connection, entry.account_id, now_ns, entry.reason, entry.detail, begin=begin)


def _cover(connection: Connection, entry: Covered, now_ns: int) -> None:
    asked_before = _topics_ever_covered(connection, entry.account_id)
    connection.execute(_this_session(entry).values(covered_ns=entry.received_ns))
    ongoing = ongoing_gaps(connection, entry.account_id)
    end = (entry.session_id, entry.seq, entry.received_ns)
    if None in ongoing:
        _end_gap(connection, entry.account_id, ongoing[None], end)
    for topic in entry.topics:
        new = bool(asked_before) and topic not in asked_before
        if topic not in entry.refused:
            if topic in ongoing:
                _end_gap(connection, entry.account_id, ongoing[topic], end)
            elif new:
                _begin_gap(connection, entry.account_id, now_ns, BEGINNING, "never asked for before", topic, None, end)
        elif topic not in ongoing:
            begin = None if new or not asked_before else end
            _begin_gap(connection, entry.account_id, now_ns, REFUSED, entry.refused[topic], topic, begin)
    for topic in asked_before.difference(entry.topics, ongoing):
        _begin_gap(connection, entry.account_id, now_ns, UNSUBSCRIBED, "no longer asked for", topic, end)


def _interrupt_reconciliations(connection: Connection, now_ns: int) -> None:
    ended = {"ended_ns": now_ns, "result": INTERRUPTED}
    connection.execute(update(reconciliations).where(reconciliations.c.ended_ns.is_(None)).values(ended))


def _end_reconciliation(connection: Connection, entry: ReconciliationEnded) -> None:
    mine = reconciliations.c.reconciliation_id == entry.reconciliation_id
    ended = {"ended_ns": entry.ended_ns, "result": entry.result, "detail": entry.detail}
    connection.execute(
        update(reconciliations).where(reconciliations.c.account_id == entry.account_id, mine).values(ended)
    )
    if entry.result not in {RECONCILED, UNRECOVERABLE}:
        return
    ended_before = gaps.c.state == OPEN, gaps.c.end_session_id <= entry.session_id
    settled = {"state": entry.result, "reconciliation_id": entry.reconciliation_id}
    for begins, resolution in ((gaps.c.begins_ns.is_not(None), entry.detail), (gaps.c.begins_ns.is_(None), BEFORE_ALL)):
        these = update(gaps).where(gaps.c.account_id == entry.account_id, begins, *ended_before)
        connection.execute(these.values(settled | {"resolution": resolution}))


def ongoing_gaps(connection: Connection, account_id: int) -> dict[str | None, int]:
    """The gaps of an account that have not ended: topic (None for all topics) → key."""
    query = select(gaps.c.topic, gaps.c.gap_id)
    found = connection.execute(query.where(gaps.c.account_id == account_id, gaps.c.ends_ns.is_(None)))
    return {gap.topic: gap.gap_id for gap in found}


def _topics_ever_covered(connection: Connection, account_id: int) -> set[str]:
    query = select(sessions.c.topics).distinct()
    query = query.where(sessions.c.account_id == account_id, sessions.c.covered_ns.is_not(None))
    return {topic for asked in connection.scalars(query) for topic in asked.split()}


#: A place in the record: session, frame, and when it was received.
_Place = tuple[int, int, int]


def _begin_gap(
    connection: Connection,
    account_id: int,
    now_ns: int,
    reason: str,
    detail: str,
    topic: str | None = None,
    begin: _Place | None = None,
    end: _Place | None = None,
) -> None:
    # Several may begin in one millisecond: the account's own last key keeps them apart and in order.
    last = connection.scalar(select(func.max(gaps.c.gap_id)).where(gaps.c.account_id == account_id)) or 0
    row: dict[str, object] = {
        "account_id": account_id,
        "gap_id": max(time_ordered_id(now_ns), last + 1),
        "topic": topic,
        "reason": reason,
        "detail": detail or None,
        "state": OPEN,
    }
    for side, place in (("begin", begin), ("end", end)):
        session_id, seq, at_ns = place or (None, None, None)
        row |= {f"{side}s_ns": at_ns, f"{side}_session_id": session_id, f"{side}_seq": seq}
    connection.execute(insert(gaps).values(row))


def _end_gap(connection: Connection, account_id: int, gap_id: int, end: _Place) -> None:
    session_id, seq, at_ns = end
    this = update(gaps).where(gaps.c.account_id == account_id, gaps.c.gap_id == gap_id)
    connection.execute(this.values(ends_ns=at_ns, end_session_id=session_id, end_seq=seq))


def _this_session(entry: Covered | SessionEnded) -> Update:
    this = sessions.c.account_id == entry.account_id, sessions.c.session_id == entry.session_id
    return update(sessions).where(*this)
