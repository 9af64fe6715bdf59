"""Gaps: which stretches of time one recorder does not cover of an account, and why.

The rules, in one place:

- Of every account a recorder has at most one *ongoing* gap over all topics (`topic` NULL, `ends_ns` NULL). It begins
  with the record itself, with the end of each covered session (at the last frame received: the last proof of life), and
  after a crash (at the last durable frame). It ends when all topics of a session are acknowledged.
- A topic that alone is not covered (refused by the exchange, or no longer asked for) has a gap of its own, which begins
  where the gap over all topics ended.
- A gap's number counts an account's gaps of one recorder, so that the same entries make the same rows in any database.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from recorder.store.entries import AccountAdded, Covered, LostSubject, ReconciliationEnded, SessionEnded
from recorder.store.schema import gaps, runs, sessions

OPEN = "open"
RECONCILED = "reconciled"
UNRECOVERABLE = "unrecoverable"
#: Result of a round that restored everything but some subjects; gaps that those concern are unrecoverable.
PARTIAL = "partial"

#: A gap's resolution names at most so many lost subjects; the frames of its reconciliation show all.
LOST_SHOWN_MAX = 20

#: Reasons of gaps that are not the end of a session.
BEGINNING = "beginning"
CRASHED = "crashed"
REFUSED = "refused"
UNSUBSCRIBED = "unsubscribed"

#: What is said of the time before the record.
BEFORE_ALL = "the record begins with a snapshot; what was before it is not part of it"

#: A place in the record: session, frame, and when it was received.
_Place = tuple[int, int, int]


class Gaps:
    """The gaps of one account, as one recorder leaves them; inside the caller's transaction."""

    def __init__(self, connection: Connection, recorder_id: int, account_id: int) -> None:
        self._connection = connection
        self._recorder_id = recorder_id
        self._account_id = account_id
        self._mine: tuple[ColumnElement[bool], ...] = (
            gaps.c.account_id == account_id,
            gaps.c.recorder_id == recorder_id,
        )

    def account_added(self, _entry: AccountAdded) -> None:
        """A record has a beginning: a gap before it."""
        if self._last_id() == 0:
            self._begin(BEGINNING, "the record begins")

    def session_ended(self, entry: SessionEnded) -> None:
        """A gap over all topics begins at the last proof of life."""
        # A restored backup can tell a second time of an end: the gap there is began earlier, and is the wider one.
        if entry.covered and None not in self.ongoing():
            begin = (entry.session_id, entry.last_seq, entry.last_received_ns)
            self._begin(entry.reason, entry.detail, begin=begin)

    def covered(self, entry: Covered) -> None:
        """The gap over all topics ends; what is not pushed all the same has a gap of its own. Before `covered_ns`."""
        asked_before = self._topics_ever_covered()
        ongoing = self.ongoing()
        end = (entry.session_id, entry.seq, entry.received_ns)
        if None in ongoing:
            self._end(ongoing[None], end)
        for topic in entry.topics:
            new = bool(asked_before) and topic not in asked_before
            if topic not in entry.refused:
                if topic in ongoing:
                    self._end(ongoing[topic], end)
                elif new:
                    self._begin(BEGINNING, "never asked for before", topic, None, end)
            elif topic not in ongoing:
                begin = None if new or not asked_before else end
                self._begin(REFUSED, entry.refused[topic], topic, begin)
        for topic in sorted(asked_before.difference(entry.topics, (topic for topic in ongoing if topic))):
            self._begin(UNSUBSCRIBED, "no longer asked for", topic, end)

    def reconciled(self, entry: ReconciliationEnded) -> None:
        """Settle the gaps that ended with the session whose coverage the round followed, or before it.

        A gap that ended later may hide what happened after the round asked.
        """
        meant = gaps.c.state == OPEN
        if entry.gaps is not None:
            meant = gaps.c.gap_id.in_(entry.gaps) & (gaps.c.state != RECONCILED)
        these = select(gaps.c.gap_id, gaps.c.topic, gaps.c.begins_ns).where(*self._mine, meant)
        for gap in self._connection.execute(these.where(gaps.c.end_session_id <= entry.session_id)).all():
            state, resolution = _settled(entry, gap.topic, before_all=gap.begins_ns is None)
            settled = {"state": state, "reconciliation_id": entry.reconciliation_id, "resolution": resolution}
            self._connection.execute(update(gaps).where(*self._mine, gaps.c.gap_id == gap.gap_id).values(settled))

    def ongoing(self) -> dict[str | None, int]:
        """The gaps that have not ended: topic (None for all topics) → number."""
        query = select(gaps.c.topic, gaps.c.gap_id).where(*self._mine, gaps.c.ends_ns.is_(None))
        return {gap.topic: gap.gap_id for gap in self._connection.execute(query)}

    def _topics_ever_covered(self) -> set[str]:
        query = select(sessions.c.topics).distinct().join(runs, runs.c.run_id == sessions.c.run_id)
        mine = sessions.c.account_id == self._account_id, runs.c.recorder_id == self._recorder_id
        query = query.where(*mine, sessions.c.covered_ns.is_not(None))
        return {topic for asked in self._connection.scalars(query) for topic in asked.split()}

    def _last_id(self) -> int:
        return self._connection.scalar(select(func.max(gaps.c.gap_id)).where(*self._mine)) or 0

    def _begin(
        self,
        reason: str,
        detail: str,
        topic: str | None = None,
        begin: _Place | None = None,
        end: _Place | None = None,
    ) -> None:
        row: dict[str, object] = {
            "account_id": self._account_id,
            "recorder_id": self._recorder_id,
            "gap_id": self._last_id() + 1,
            "topic": topic,
            "reason": reason,
            "detail": detail or None,
            "state": OPEN,
        }
        for side, place in (("begin", begin), ("end", end)):
            session_id, seq, at_ns = place or (None, None, None)
            row |= {f"{side}s_ns": at_ns, f"{side}_session_id": session_id, f"{side}_seq": seq}
        self._connection.execute(insert(gaps).values(row))

    def _end(self, gap_id: int, end: _Place) -> None:
        session_id, seq, at_ns = end
        this = update(gaps).where(*self._mine, gaps.c.gap_id == gap_id)
        self._connection.execute(this.values(ends_ns=at_ns, end_session_id=session_id, end_seq=seq))


def _settled(entry: ReconciliationEnded, topic: str | None, *, before_all: bool) -> tuple[str, str]:
    """State and resolution of one gap after a round.

    Args:
        entry: the round's end.
        topic: the gap's; None: all of them.
        before_all: whether the gap is the time before the record, of which only a snapshot was asked for.
    """
    if before_all and entry.result != UNRECOVERABLE:
        return RECONCILED, BEFORE_ALL
    lost = [one for one in entry.lost if topic is None or topic.startswith(one.topic)]
    if lost or (entry.result == UNRECOVERABLE and not entry.lost):
        return UNRECOVERABLE, entry.detail + lost_text(lost)
    return RECONCILED, entry.detail


def lost_text(lost: Sequence[LostSubject]) -> str:
    """What the exchange could not tell, to be put after what was restored; empty if there is nothing of the kind."""
    if not lost:
        return ""
    named = [f"{one.name} ({one.reason})" for one in lost[:LOST_SHOWN_MAX]]
    if len(lost) > LOST_SHOWN_MAX:
        named.append(f"{len(lost) - LOST_SHOWN_MAX:,} more")
    return f"; unrecoverable: {', '.join(named)}"
