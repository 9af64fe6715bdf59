"""What each recorder of an account says of its coverage, read from the event log."""

from typing import Any

from sqlalchemy import Connection, Select, select

from recorder.model import PUSH
from recorder.read.coverage.gaps import RecorderCoverage, with_retired
from recorder.read.records import Gap
from recorder.store.event_log import last_proof_of_life, retired_recorders
from recorder.store.gaps import OPEN
from recorder.store.schema import frames, gaps, receipts, reconciliations, recorders, runs, sessions


def coverage_by_recorder(
    connection: Connection, account_id: int, account: str, at_ns: int | None = None
) -> dict[int, RecorderCoverage]:
    """Recorder → what it says of an account.

    Args:
        connection: to the record.
        account_id: whose.
        account: its name, for the gaps.
        at_ns: what it said at an instant, of the gaps that had begun by then; None: what it says now.
    """
    retired = retired_recorders(connection, at_ns)
    if at_ns is not None:
        return with_retired(_sides_at(connection, account_id, account, at_ns), retired)
    names = [gaps.c[name] for name in Gap._fields if name != "account"]
    query = select(gaps.c.recorder_id, *names).where(gaps.c.account_id == account_id).order_by(gaps.c.gap_id)
    own: dict[int, list[Gap]] = {}
    for recorder_id, *fields in connection.execute(query):
        own.setdefault(recorder_id, []).append(Gap(account, *fields))
    asked: dict[int, set[str]] = {}
    for recorder_id, topics in connection.execute(_topics(account_id)):
        asked.setdefault(recorder_id, set()).update(topics.split())
    sides = {
        recorder_id: RecorderCoverage(
            its_gaps, frozenset(asked.get(recorder_id, ())), last_frame_ns(connection, account_id, recorder_id)
        )
        for recorder_id, its_gaps in own.items()
    }
    return with_retired(sides, retired)


def last_frame_ns(connection: Connection, account_id: int, recorder_id: int) -> int | None:
    """When a recorder last received something for an account; None where it was never connected."""
    query = (
        select(sessions.c.session_id, sessions.c.opened_ns)
        .join(runs, runs.c.run_id == sessions.c.run_id)
        .where(sessions.c.account_id == account_id, runs.c.recorder_id == recorder_id)
        .order_by(sessions.c.session_id.desc())
        .limit(1)
    )
    latest = connection.execute(query).first()
    if latest is None:
        return None
    return last_proof_of_life(connection, account_id, latest.session_id, latest.opened_ns)[1]


def _topics(account_id: int) -> Select[Any]:
    of_run = runs.c.run_id == sessions.c.run_id
    query = select(runs.c.recorder_id, sessions.c.topics).distinct().join_from(sessions, runs, of_run)
    return query.where(sessions.c.account_id == account_id)


def _sides_at(connection: Connection, account_id: int, account: str, at_ns: int) -> dict[int, RecorderCoverage]:
    names = [gaps.c[name] for name in Gap._fields if name != "account"]
    settled = (reconciliations.c.account_id == gaps.c.account_id) & (
        reconciliations.c.reconciliation_id == gaps.c.reconciliation_id
    )
    query = (
        select(gaps.c.recorder_id, reconciliations.c.ended_ns, *names)
        .join(recorders, recorders.c.recorder_id == gaps.c.recorder_id)
        .outerjoin(reconciliations, settled)
        .where(gaps.c.account_id == account_id, recorders.c.created_ns <= at_ns)
        .where(gaps.c.begins_ns.is_(None) | (gaps.c.begins_ns <= at_ns))
        .order_by(gaps.c.gap_id)
    )
    own: dict[int, list[Gap]] = {}
    for recorder_id, settled_ns, *fields in connection.execute(query):
        gap = Gap(account, *fields)
        if gap.ends_ns is not None and gap.ends_ns > at_ns:
            gap = gap._replace(ends_ns=None)
        if settled_ns is None or settled_ns > at_ns:
            gap = gap._replace(state=OPEN, resolution=None)
        own.setdefault(recorder_id, []).append(gap)
    asked: dict[int, set[str]] = {}
    for recorder_id, topics in connection.execute(_topics(account_id).where(sessions.c.opened_ns <= at_ns)):
        asked.setdefault(recorder_id, set()).update(topics.split())
    return {
        recorder_id: RecorderCoverage(
            its_gaps, frozenset(asked.get(recorder_id, ())), _last_frame_ns(connection, account_id, recorder_id, at_ns)
        )
        for recorder_id, its_gaps in own.items()
    }


def _last_frame_ns(connection: Connection, account_id: int, recorder_id: int, at_ns: int) -> int | None:
    """When a recorder had last received something."""
    mine = sessions.c.account_id == account_id, runs.c.recorder_id == recorder_id, sessions.c.opened_ns <= at_ns
    opened = select(sessions.c.session_id, sessions.c.opened_ns).join(runs, runs.c.run_id == sessions.c.run_id)
    latest = connection.execute(opened.where(*mine).order_by(sessions.c.session_id.desc()).limit(1)).first()
    if latest is None:
        return None
    r, f = receipts.c, frames.c
    told = r.account_id == account_id, r.session_id == latest.session_id
    around = select(r.last_seq).where(*told, r.first_ns.between(latest.opened_ns, at_ns))
    seq: int | None = connection.scalar(around.order_by(r.first_ns.desc()).limit(1))
    if seq is None:
        return int(latest.opened_ns)
    last = select(f.received_ns).where(f.account_id == account_id, f.session_id == latest.session_id, f.seq <= seq)
    last = last.where(f.source == PUSH, f.received_ns <= at_ns).order_by(f.seq.desc()).limit(1)
    found: int | None = connection.scalar(last)
    return int(latest.opened_ns) if found is None else found
