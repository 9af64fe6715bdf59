"""What there is to replay: each recorder's sessions of an account, read from the event log."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from recorder.read.replay.events import SessionBegan, SessionEnded
from recorder.read.replay.order import LAST_SEQ, Life, lives
from recorder.read.state.current import newest_seq
from recorder.store.schema import reconciliations, runs, sessions
from recorder.venues.base import Venue


class ReplayAccount(NamedTuple):
    """An account of the record."""

    account_id: int
    name: str
    venue: Venue


class ReplaySession(NamedTuple):
    """A connection, or a round of REST questions."""

    account: ReplayAccount
    session_id: int
    recorder_id: int
    life: Life
    #: Of one that goes on, the last frame there is now; later ones are not replayed.
    last_seq: int
    #: The events of its beginning and its end; a round has none.
    began: SessionBegan | None
    ended: SessionEnded | None


def connections_of(connection: Connection, account: ReplayAccount) -> list[list[ReplaySession]]:
    """Each recorder's connections, in the order in which they were made."""
    s = sessions.c
    told = s.url, s.topics, s.end_reason, s.end_detail
    query = select(s.session_id, runs.c.recorder_id, s.opened_ns, s.ended_ns, *told)
    query = query.join_from(sessions, runs, runs.c.run_id == s.run_id).where(s.account_id == account.account_id)
    return _by_recorder(connection, account, query.order_by(runs.c.recorder_id, s.session_id))


def rounds_of(connection: Connection, account: ReplayAccount) -> list[list[ReplaySession]]:
    """Each recorder's rounds of REST questions, in their order."""
    r = reconciliations.c
    query = select(r.reconciliation_id.label("session_id"), runs.c.recorder_id, r.began_ns, r.ended_ns)
    query = query.join_from(reconciliations, runs, runs.c.run_id == r.run_id).where(r.account_id == account.account_id)
    return _by_recorder(connection, account, query.order_by(runs.c.recorder_id, r.reconciliation_id))


def _by_recorder(connection: Connection, account: ReplayAccount, query: Select[Any]) -> list[list[ReplaySession]]:
    found = []
    for recorder_id, rows in groupby(connection.execute(query).all(), key=lambda row: int(row.recorder_id)):
        found.append(list(_sessions(connection, account, recorder_id, list(rows))))
    return found


def _sessions(
    connection: Connection, account: ReplayAccount, recorder_id: int, rows: list[Any]
) -> Iterable[ReplaySession]:
    of_rows = lives([(row[2], row[3]) for row in rows])
    for (session_id, _, opened_ns, ended_ns, *told), life in zip(rows, of_rows, strict=True):
        last_seq = LAST_SEQ if ended_ns is not None else newest_seq(connection, account.account_id, session_id)
        began = ended = None
        if told:
            url, topics, reason, detail = told
            began = SessionBegan(account.name, session_id, opened_ns, recorder_id, url, tuple(topics.split()))
            if ended_ns is not None:
                ended = SessionEnded(account.name, session_id, ended_ns, reason, detail)
        yield ReplaySession(account, session_id, recorder_id, life, last_seq, began, ended)
