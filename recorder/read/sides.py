"""What each recorder of an account says of its coverage, read from the ledger."""

from typing import Any

from sqlalchemy import Connection, Select, select

from recorder.read.coverage import Side
from recorder.read.records import Gap
from recorder.store.ledger import last_proof_of_life
from recorder.store.schema import gaps, runs, sessions


def sides_of(connection: Connection, account_id: int, account: str) -> dict[int, Side]:
    """Recorder → what it says of an account.

    Args:
        connection: to the record.
        account_id: whose.
        account: its name, for the gaps.
    """
    names = [gaps.c[name] for name in Gap._fields if name != "account"]
    query = select(gaps.c.recorder_id, *names).where(gaps.c.account_id == account_id).order_by(gaps.c.gap_id)
    own: dict[int, list[Gap]] = {}
    for recorder_id, *fields in connection.execute(query):
        own.setdefault(recorder_id, []).append(Gap(account, *fields))
    asked: dict[int, set[str]] = {}
    for recorder_id, topics in connection.execute(_topics(account_id)):
        asked.setdefault(recorder_id, set()).update(topics.split())
    return {
        recorder_id: Side(
            its_gaps, frozenset(asked.get(recorder_id, ())), last_frame_ns(connection, account_id, recorder_id)
        )
        for recorder_id, its_gaps in own.items()
    }


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
