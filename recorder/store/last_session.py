"""The last covered session of a stream, as the record has it, and what proves up to where it missed nothing.

It is asked for when the exchange refuses the key: the key may have been revoked while that session went on, in a run
that has ended since. Sealed entries say how it ended and what a comparison showed, not the rows of `sessions` and
`gaps`: whoever changed these could hide what was missed.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

from sqlalchemy import Connection, exists, select

from recorder.model import DECODED, PUSHES
from recorder.store.entries import (
    AccountAdded,
    Agreed,
    Covered,
    LogEntry,
    ReconciliationEnded,
    SessionEnded,
    SessionOpened,
)
from recorder.store.event_log import sealed_entries_back
from recorder.store.schema import frames, heartbeats, runs


class LastSession(NamedTuple):
    """A covered session that has ended."""

    ended: SessionEnded
    #: When it was covered, nanoseconds since 1970, and its last frame by then; -1: none.
    covered: tuple[int, int]
    #: When the last push came, and its frame; if there is none, as `covered`.
    pushed: tuple[int, int]
    #: Where the last comparison with REST began that found nothing, in the same form; None: there was none.
    agreed: tuple[int, int] | None


def last_session(connection: Connection, recorder_id: int, account_id: int, stream: str) -> LastSession | None:
    """Return the covered session of a recorder's stream that ended last; None if none was covered.

    The entries are read back from the end, as far as that session's opening, or the account's first run.
    """
    found = _last_ended(_entries_back(connection, recorder_id), account_id, stream)
    if found is None:
        return None
    ended, covered, agreed = found
    pushed = _last_push(connection, ended, covered) or covered
    return LastSession(ended, covered, pushed, None if agreed is None else (agreed.at_ns, agreed.seq))


def _entries_back(connection: Connection, recorder_id: int) -> Iterator[LogEntry]:
    """A recorder's sealed entries, the last one first."""
    its = select(runs.c.run_id).where(runs.c.recorder_id == recorder_id).order_by(runs.c.run_id.desc())
    for run_id in connection.scalars(its).all():
        with closing(sealed_entries_back(connection, run_id)) as entries:
            for _, entry in entries:
                yield entry


def _last_ended(
    entries: Iterable[LogEntry], account_id: int, stream: str
) -> tuple[SessionEnded, tuple[int, int], Agreed | None] | None:
    """The end of the session that ended last, where it was covered, and where it agreed with REST last.

    Args:
        entries: the last one first.
        account_id: whose session.
        stream: of the account. Only a session's opening says of which stream it is.
    """
    # Session → its end, the last one first.
    ended: dict[int, SessionEnded] = {}
    covered: dict[int, tuple[int, int]] = {}
    agreed: dict[int, Agreed] = {}
    opened: set[int] = set()
    for entry in entries:
        if getattr(entry, "account_id", None) != account_id:
            continue
        match entry:
            case AccountAdded():
                return None
            case SessionEnded(covered=True):
                ended.setdefault(entry.session_id, entry)
            case ReconciliationEnded():
                for one in entry.agreed:
                    agreed.setdefault(one.session_id, one)
            case Covered():
                covered[entry.session_id] = entry.received_ns, entry.seq
            case SessionOpened() if entry.session_id in ended:
                covered.setdefault(entry.session_id, (entry.opened_ns, -1))
                opened.add(entry.session_id)
                if entry.stream != stream:
                    del ended[entry.session_id]
        last = next(iter(ended), None)
        if last is not None and last in opened:
            return ended[last], covered[last], agreed.get(last)
    return None


def _last_push(connection: Connection, ended: SessionEnded, covered: tuple[int, int]) -> tuple[int, int] | None:
    """When the last push came between a session's coverage and its end, and its frame; None if there was none."""
    f, h = frames.c, heartbeats.c
    of_session = f.account_id == ended.account_id, f.session_id == ended.session_id
    answers = exists().where(h.account_id == f.account_id, h.session_id == f.session_id, h.seq == f.seq)
    query = select(f.received_ns, f.seq).where(*of_session, f.seq > covered[1], f.seq <= ended.last_seq)
    query = query.where(f.source.in_(sorted(PUSHES)), f.status == DECODED, ~answers)
    row = connection.execute(query.order_by(f.seq.desc()).limit(1)).first()
    return None if row is None else (row.received_ns, row.seq)
