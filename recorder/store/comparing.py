"""Two recorders of one account watch each other: what the one was pushed, the other must have been pushed too.

Two sessions of different recorders are compared once both have ended. Both are parts of one stream, in its order, so no
clock decides (clocks only bound what is read): between the first and the last push that both saw, each push that only
one saw is a finding. What lies outside, where they did not overlap, is not judged.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Select, select

from recorder.model import PUSH, FillUpdate, Heartbeat
from recorder.store.dialects import insert_new
from recorder.store.once import APART_NS
from recorder.store.schema import accounts, comparisons, discrepancies, frames, gaps, runs, sessions
from recorder.venues import VENUES
from recorder.venues.base import Venue, read_frame

#: Answers to one's own questions.
NOT_PUSHED = (Heartbeat, FillUpdate)
#: Rows are fetched so many at a time.
ROWS_PER_FETCH = 2_000
#: More findings than this between two sessions are counted, not listed: they say one thing.
FINDINGS_MAX = 1_000
#: What is discrepant about a push that only one recorder saw.
UNSEEN = "unseen"


class Comparison(NamedTuple):
    """Two sessions, compared."""

    account: str
    session_id: int
    other_session_id: int
    #: Pushes that both saw.
    same: int
    #: Pushes that only one of them saw.
    unseen: int

    def sentence(self) -> str:
        """For people."""
        told = f"{self.account}: sessions {self.session_id} and {self.other_session_id} of two recorders"
        if not self.unseen:
            return f"{told} agree on {self.same:,} pushes"
        return (
            f"{told} agree on {self.same:,} pushes, but {self.unseen:,} were seen by one alone, "
            "though both claim to have covered the time: look at `recorder discrepancies`"
        )


class _Push(NamedTuple):
    """A push in its session."""

    session_id: int
    seq: int
    received_ns: int
    topic: str
    #: What it says, whenever it was sent.
    said: tuple[Any, ...]
    #: Whether all topics were acknowledged by then.
    covered: bool


def compare_sessions(target: Engine) -> Iterator[Comparison]:
    """Compare every pair that has not been yet, each in a transaction of its own."""
    with target.connect() as connection:
        pairs = connection.execute(_pairs()).all()
    for pair in pairs:
        if pair.venue not in VENUES:
            continue  # a newer recorder's; it compares them itself
        with target.begin() as connection:
            found, same = _differences(connection, VENUES[pair.venue], pair)
            # Another shipper may be at the same pair: whichever writes first, both come to the same.
            key = {"account_id": pair.account_id, "session_id": pair.session_id}
            row = key | {"other_session_id": pair.other_session_id, "same": same, "unseen": len(found)}
            connection.execute(insert_new(connection, comparisons).values(row))
            for push in found[:FINDINGS_MAX]:
                connection.execute(insert_new(connection, discrepancies).values(_finding(pair, push)))
        yield Comparison(pair.name, pair.session_id, pair.other_session_id, same, len(found))


def _pairs() -> Select[Any]:
    """Ended, covered sessions of different recorders that overlap, the older first, and were not compared yet."""
    one, other = sessions.alias("one"), sessions.alias("other")
    its_run, others_run = runs.alias("its_run"), runs.alias("others_run")
    of_pair = comparisons.c.session_id == one.c.session_id, comparisons.c.other_session_id == other.c.session_id
    done = select(comparisons.c.same).where(comparisons.c.account_id == one.c.account_id, *of_pair)
    return (
        select(
            one.c.account_id,
            accounts.c.name,
            accounts.c.venue,
            one.c.session_id,
            one.c.covered_ns,
            one.c.ended_ns,
            one.c.topics,
            its_run.c.recorder_id,
            other.c.session_id.label("other_session_id"),
            other.c.covered_ns.label("other_covered_ns"),
            other.c.ended_ns.label("other_ended_ns"),
            other.c.topics.label("other_topics"),
            others_run.c.recorder_id.label("other_recorder_id"),
        )
        .join_from(one, accounts, accounts.c.account_id == one.c.account_id)
        .join(other, (other.c.account_id == one.c.account_id) & (other.c.session_id > one.c.session_id))
        .join(its_run, its_run.c.run_id == one.c.run_id)
        .join(others_run, others_run.c.run_id == other.c.run_id)
        .where(its_run.c.recorder_id != others_run.c.recorder_id)
        .where(one.c.covered_ns < other.c.ended_ns, other.c.covered_ns < one.c.ended_ns)
        .where(~done.exists())
        .order_by(one.c.account_id, one.c.session_id, other.c.session_id)
    )


def _differences(connection: Connection, venue: Venue, pair: Any) -> tuple[list[_Push], int]:
    """The pushes that one session alone saw, in order, and how many both did.

    Held in memory is what waits for its match, of the last `APART_NS`, and what has none.
    """
    # Where both were, and a little more: what lies outside is not judged, but may be what something inside is like.
    times = max(pair.covered_ns, pair.other_covered_ns), min(pair.ended_ns, pair.other_ended_ns)
    within = times[0] - 2 * APART_NS, times[1] + 2 * APART_NS
    one = _pushes(connection, venue, pair.account_id, pair.session_id, pair.covered_ns, within)
    other = _pushes(connection, venue, pair.account_id, pair.other_session_id, pair.other_covered_ns, within)
    asked = set(pair.topics.split()).intersection(pair.other_topics.split())
    asked -= _not_covered(connection, pair.account_id, pair.recorder_id, pair.session_id)
    asked -= _not_covered(connection, pair.account_id, pair.other_recorder_id, pair.other_session_id)
    # By what they say; a push that a session saw twice waits twice, in a queue.
    waiting: dict[tuple[str, tuple[Any, ...]], deque[_Push]] = {}
    alone: list[_Push] = []
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    same = 0
    looked_ns = 0
    for push in heapq.merge(one, other, key=lambda push: push.received_ns):
        if push.topic not in asked:
            continue
        queue = waiting.setdefault((push.topic, push.said), deque())
        if queue and queue[0].session_id != push.session_id:
            match = queue.popleft()
            same += 1
            if push.covered and match.covered:
                for seen in (push, match):
                    first.setdefault(seen.session_id, seen.seq)
                    last[seen.session_id] = max(last.get(seen.session_id, -1), seen.seq)
        else:
            queue.append(push)
        if push.received_ns - looked_ns > APART_NS:
            looked_ns = push.received_ns
            alone += _waited_too_long(waiting, looked_ns - APART_NS)
    alone += _waited_too_long(waiting, None)
    return sorted(one for one in alone if first and first[one.session_id] < one.seq < last[one.session_id]), same


def _waited_too_long(waiting: dict[Any, deque[_Push]], before_ns: int | None) -> list[_Push]:
    """Take out what has come before an instant, or everything."""
    found = []
    for key in list(waiting):
        queue = waiting[key]
        while queue and (before_ns is None or queue[0].received_ns < before_ns):
            found.append(queue.popleft())
        if not queue:
            del waiting[key]
    return found


def _pushes(
    connection: Connection,
    venue: Venue,
    account_id: int,
    session_id: int,
    covered_ns: int,
    within: tuple[int, int],
) -> Iterator[_Push]:
    """The updates of a session, in order."""
    columns = frames.c.seq, frames.c.received_ns, frames.c.payload
    query = select(*columns).where(frames.c.account_id == account_id, frames.c.session_id == session_id)
    # Decoded anew: what the version that wrote it could read is not what this one can.
    query = query.where(frames.c.source == PUSH, frames.c.received_ns.between(*within)).order_by(frames.c.seq)
    for seq, received_ns, payload in connection.execute(query.execution_options(yield_per=ROWS_PER_FETCH)):
        decoded = read_frame(venue, bytes(payload))
        said = tuple(update._replace(ts=None) for update in decoded.updates if not isinstance(update, NOT_PUSHED))
        if said and decoded.topic is not None:
            yield _Push(session_id, seq, received_ns, decoded.topic, said, received_ns >= covered_ns)


def _not_covered(connection: Connection, account_id: int, recorder_id: int, session_id: int) -> set[str]:
    """Topics that a recorder was not pushed in a session: it says so itself, with a gap."""
    its = gaps.c.account_id == account_id, gaps.c.recorder_id == recorder_id, gaps.c.topic.is_not(None)
    began = gaps.c.begin_session_id.is_(None) | (gaps.c.begin_session_id <= session_id)
    lasted = gaps.c.end_session_id.is_(None) | (gaps.c.end_session_id >= session_id)
    return set(connection.scalars(select(gaps.c.topic).where(*its, began, lasted)))


def _finding(pair: Any, push: _Push) -> dict[str, Any]:
    other = pair.other_session_id if push.session_id == pair.session_id else pair.session_id
    return {
        "account_id": pair.account_id,
        "session_id": push.session_id,
        "seq": push.seq,
        "subject": f"push {push.topic}",
        "field": UNSEEN,
        "told": "seen",
        "held": None,
        "other_session_id": other,
        "found_ns": push.received_ns,
    }
