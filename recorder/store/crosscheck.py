"""Two recorders of one account check each other: each must have received every push that the other received.

Two overlapping sessions of different recorders are compared once both have ended. Both are parts of one stream, in its
order, so no clock decides (clocks only limit what is read): between the first and the last push that both received,
each push that only one received is a finding. Pushes outside that range are not judged, nor those at its ends that may
be the ones that both received, because they say the same.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, func, select

from recorder.model import PUSHES, FillUpdate, Heartbeat
from recorder.store.deduplication import APART_NS
from recorder.store.dialects import insert_new
from recorder.store.schema import accounts, comparisons, discrepancies, frames, gaps, recorders, runs, sessions
from recorder.venues import find_venue
from recorder.venues.base import Venue
from recorder.venues.reading import read_frame

#: Updates from answers to a recorder's own requests.
NOT_PUSHED = (Heartbeat, FillUpdate)
#: How many rows are fetched at a time.
ROWS_PER_FETCH = 2_000
#: Of one pair of sessions at most this many findings are stored; all are counted.
FINDINGS_MAX = 1_000
#: `discrepancies.field` of a push that only one recorder received.
UNSEEN = "unseen"


class SessionComparison(NamedTuple):
    """The result of comparing two sessions."""

    account: str
    session_id: int
    other_session_id: int
    #: Pushes that both received.
    same: int
    #: Pushes that only one of them received.
    unseen: int

    def sentence(self) -> str:
        """Describe the result in a sentence."""
        both = f"{self.account}: sessions {self.session_id} and {self.other_session_id} of two recorders"
        if not self.unseen:
            return f"{both} agree on {self.same:,} pushes"
        return (
            f"{both} agree on {self.same:,} pushes, but only one of them received {self.unseen:,} others, "
            "although both covered that time: see `recorder discrepancies`"
        )


class _CoveredSession(NamedTuple):
    """A session that was covered and has ended."""

    account_id: int
    session_id: int
    recorder_id: int
    covered_ns: int
    ended_ns: int
    topics: str


class _Push(NamedTuple):
    """A push of a session."""

    session_id: int
    seq: int
    received_ns: int
    topic: str
    #: Its updates, without the time of sending.
    content: tuple[Any, ...]
    #: Whether its session was covered when it arrived.
    covered: bool


def compare_sessions(target: Engine) -> Iterator[SessionComparison]:
    """Compare every pair of sessions that has not been compared yet, each in a transaction of its own."""
    with target.connect() as connection:
        pairs = sorted(_pairs_to_compare(connection))
        named = {row.account_id: row for row in connection.execute(select(accounts))} if pairs else {}
    for one, other in pairs:
        account = named[one.account_id]
        venue = find_venue(account.venue)
        if venue is None:
            continue  # recorded by a newer version, which compares them itself
        with target.begin() as connection:
            found, same = _differences(connection, venue, one, other)
            # Another shipper may compare the same pair: both get the same result, and the first to write it wins.
            key = {"account_id": one.account_id, "session_id": one.session_id}
            row = key | {"other_session_id": other.session_id, "same": same, "unseen": len(found)}
            connection.execute(insert_new(connection, comparisons).values(row))
            for push in found[:FINDINGS_MAX]:
                seen_by, not_by = (one, other) if push.session_id == one.session_id else (other, one)
                finding = _finding(seen_by, not_by, push)
                connection.execute(insert_new(connection, discrepancies).values(finding))
        yield SessionComparison(account.name, one.session_id, other.session_id, same, len(found))


def _pairs_to_compare(connection: Connection) -> Iterator[tuple[_CoveredSession, _CoveredSession]]:
    """Overlapping sessions of different recorders of one account that were not compared yet, the older first.

    One pass in the order of time: a session is compared with those that had not ended when it was covered, one a
    recorder. With a single recorder not even the sessions are read.
    """
    if (connection.scalar(select(func.count()).select_from(recorders)) or 0) < 2:
        return
    query = (
        select(
            sessions.c.account_id,
            sessions.c.session_id,
            runs.c.recorder_id,
            sessions.c.covered_ns,
            sessions.c.ended_ns,
            sessions.c.topics,
        )
        .join(runs, runs.c.run_id == sessions.c.run_id)
        .where(sessions.c.covered_ns < sessions.c.ended_ns)
        .order_by(sessions.c.account_id, sessions.c.covered_ns, sessions.c.session_id)
    )
    compared = comparisons.c.account_id, comparisons.c.session_id, comparisons.c.other_session_id
    done = {tuple(row) for row in connection.execute(select(*compared))}
    current: list[_CoveredSession] = []
    for session in (_CoveredSession(*row) for row in connection.execute(query)):
        current = [
            other for other in current if other.account_id == session.account_id and other.ended_ns > session.covered_ns
        ]
        for other in current:
            pair = (session, other) if session.session_id < other.session_id else (other, session)
            key = session.account_id, pair[0].session_id, pair[1].session_id
            if other.recorder_id != session.recorder_id and key not in done:
                yield pair
        current.append(session)


def _differences(
    connection: Connection, venue: Venue, one: _CoveredSession, other: _CoveredSession
) -> tuple[list[_Push], int]:
    """The pushes that only one session received, in order, and how many both received.

    Memory holds the pushes of the last `APART_NS` that wait for their match, and those without one.
    """
    # The overlap and a little more: pushes outside are not judged, but may match one inside.
    within = max(one.covered_ns, other.covered_ns) - 2 * APART_NS, min(one.ended_ns, other.ended_ns) + 2 * APART_NS
    asked = set(one.topics.split()).intersection(other.topics.split())
    asked -= _not_covered(connection, one) | _not_covered(connection, other)
    both = _pushes(connection, venue, one, within), _pushes(connection, venue, other, within)
    # Pushes by content. One that a session received twice waits twice.
    waiting: dict[tuple[str, tuple[Any, ...]], deque[_Push]] = {}
    alone: list[_Push] = []
    # Session → its pushes that both received: the first two, and the last two.
    first: defaultdict[int, list[_Push]] = defaultdict(list)
    last: defaultdict[int, list[_Push]] = defaultdict(list)
    same = 0
    looked_ns = 0
    for push in heapq.merge(*both, key=lambda push: push.received_ns):
        if push.topic not in asked:
            continue
        queue = waiting.setdefault((push.topic, push.content), deque())
        if queue and queue[0].session_id != push.session_id:
            match = queue.popleft()
            same += 1
            if push.covered and match.covered:
                for seen in (push, match):
                    first[seen.session_id] = sorted([*first[seen.session_id], seen])[:2]
                    last[seen.session_id] = sorted([*last[seen.session_id], seen])[-2:]
        else:
            queue.append(push)
        if push.received_ns - looked_ns > APART_NS:
            looked_ns = push.received_ns
            alone += _waited_too_long(waiting, looked_ns - APART_NS)
    alone += _waited_too_long(waiting, None)
    found = []
    for session_id in first:
        its = sorted(one for one in alone if one.session_id == session_id)
        begin, end = _between(its, first[session_id], last[session_id])
        found += [one for one in its if begin < one.seq < end]
    return sorted(found), same


def _between(alone: list[_Push], first: list[_Push], last: list[_Push]) -> tuple[int, int]:
    """The numbers of the first and the last push of a session that the other one received, too, for certain.

    States come back: if a session has two pushes that say the same, and the other has one of them, it may be either.

    Args:
        alone: the session's pushes that the other one does not have, in order.
        first: the first two that both have.
        last: the last two.
    """
    begin, end = first[0].seq, last[-1].seq
    for one in alone:
        if _says_the_same(one, first[0]) and begin < one.seq < first[-1].seq:
            begin = one.seq
    for one in reversed(alone):
        if _says_the_same(one, last[-1]) and last[0].seq < one.seq < end:
            end = one.seq
    return begin, end


def _says_the_same(one: _Push, other: _Push) -> bool:
    return (one.topic, one.content) == (other.topic, other.content)


def _waited_too_long(waiting: dict[Any, deque[_Push]], before_ns: int | None) -> list[_Push]:
    """Remove and return the pushes received before an instant (None: all)."""
    found = []
    for key in list(waiting):
        queue = waiting[key]
        while queue and (before_ns is None or queue[0].received_ns < before_ns):
            found.append(queue.popleft())
        if not queue:
            del waiting[key]
    return found


def _pushes(connection: Connection, venue: Venue, session: _CoveredSession, within: tuple[int, int]) -> Iterator[_Push]:
    """The pushes of a session, in order."""
    columns = frames.c.seq, frames.c.received_ns, frames.c.payload
    query = select(*columns).where(frames.c.account_id == session.account_id)
    query = query.where(frames.c.session_id == session.session_id)
    # Decoded again, because this version may read more of a frame than the one that wrote it.
    query = query.where(frames.c.source.in_(sorted(PUSHES)), frames.c.received_ns.between(*within)).order_by(
        frames.c.seq
    )
    for seq, received_ns, payload in connection.execute(query.execution_options(yield_per=ROWS_PER_FETCH)):
        decoded = read_frame(venue, bytes(payload))
        content = tuple(
            update._replace(event_ms=None) for update in decoded.updates if not isinstance(update, NOT_PUSHED)
        )
        if content and decoded.topic is not None:
            yield _Push(session.session_id, seq, received_ns, decoded.topic, content, received_ns >= session.covered_ns)


def _not_covered(connection: Connection, session: _CoveredSession) -> set[str]:
    """Topics that a recorder did not receive in a session, according to its own gaps."""
    its = gaps.c.account_id == session.account_id, gaps.c.recorder_id == session.recorder_id
    began = gaps.c.begin_session_id.is_(None) | (gaps.c.begin_session_id <= session.session_id)
    lasted = gaps.c.end_session_id.is_(None) | (gaps.c.end_session_id >= session.session_id)
    return set(connection.scalars(select(gaps.c.topic).where(*its, gaps.c.topic.is_not(None), began, lasted)))


def _finding(seen_by: _CoveredSession, not_by: _CoveredSession, push: _Push) -> dict[str, Any]:
    return {
        "account_id": seen_by.account_id,
        "session_id": push.session_id,
        "seq": push.seq,
        "subject": f"push {push.topic}",
        "field": UNSEEN,
        "told": "seen",
        "held": None,
        "other_session_id": not_by.session_id,
        "found_ns": push.received_ns,
    }
