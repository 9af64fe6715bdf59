"""Gaps: the periods of an account's streams that a recorder does not cover, and why.

- A recorder has at most one *ongoing* gap over all topics of a stream (`topic` NULL, `ends_ns` NULL). It begins with
  the record itself, at the last frame received of each covered session, and after a crash at the last durable frame.
  It ends when all topics of a session are acknowledged.
- No gap begins at the end of a session if another covered session of the stream goes on. If that one was covered only
  after the last frame of the one that ended, the time in between is a gap that has ended already.
- A topic that alone is not covered (refused by the exchange, or no longer requested) has a gap of its own, which begins
  where the gap over all topics ended.
- Gaps are numbered by account and recorder, so that the same entries make the same rows in any database.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from recorder.store.entries import Covered, LostSubject, ReconciliationEnded, SessionEnded, SessionOpened
from recorder.store.schema import gaps, runs, sessions

OPEN = "open"
RECONCILED = "reconciled"
UNRECOVERABLE = "unrecoverable"
#: Result of a round that restored all but some subjects; the gaps that those concern are unrecoverable.
PARTIAL = "partial"

#: Lost subjects that a gap's resolution names; the frames of its reconciliation show all.
LOST_SHOWN_MAX = 20

#: Reasons of gaps that are not the end of a session.
BEGINNING = "beginning"
CRASHED = "crashed"
REFUSED = "refused"
UNSUBSCRIBED = "unsubscribed"

#: Resolution of the gap before the record.
BEFORE_ALL = "the record begins with a snapshot; what was before it is not part of it"

#: A frame: session, number (None: not known any more), time of receipt.
_Place = tuple[int, int | None, int]


class Gaps:
    """The gaps of an account in one recorder, changed inside the caller's transaction."""

    def __init__(self, connection: Connection, recorder_id: int, account_id: int) -> None:
        self._connection = connection
        self._recorder_id = recorder_id
        self._account_id = account_id
        self._mine: tuple[ColumnElement[bool], ...] = (
            gaps.c.account_id == account_id,
            gaps.c.recorder_id == recorder_id,
        )

    def account_added(self, streams: Sequence[str]) -> None:
        """Begin the gap before the record, for each stream."""
        if self._last_id() == 0:
            for stream in streams:
                self._begin(stream, BEGINNING, "the record begins")

    def session_opened(self, entry: SessionOpened) -> None:
        """Begin the gap before the record of a stream that the account did not have before."""
        known = select(gaps.c.gap_id).where(*self._mine, gaps.c.stream == entry.stream).limit(1)
        if self._connection.scalar(known) is None:
            self._begin(entry.stream, BEGINNING, "the record begins")

    def session_ended(self, entry: SessionEnded) -> None:
        """Begin a gap over all topics at the last frame received, unless another session covers the stream."""
        stream = self._stream_of(entry.session_id)
        if not entry.covered:
            return
        ongoing = self.ongoing(stream)
        if None in ongoing:
            self._widen(ongoing[None], entry)
            return
        begin = (entry.session_id, entry.last_seq, entry.last_received_ns)
        end = self._covering(stream, entry.session_id)
        if end is None or end[2] > entry.last_received_ns:
            self._begin(stream, entry.reason, entry.detail, begin=begin, end=end)

    def _widen(self, gap_id: int, entry: SessionEnded) -> None:
        """Let a gap begin earlier, if it begins with a session that proved less than was known at its end.

        Otherwise it stays: a restored backup can report an end again, and the gap that exists is the wider one.
        """
        this = gaps.c.gap_id == gap_id, gaps.c.begin_session_id == entry.session_id
        earlier: dict[str, object] = {"begins_ns": entry.last_received_ns, "begin_seq": entry.last_seq}
        earlier |= {"reason": entry.reason, "detail": entry.detail}
        later = gaps.c.begins_ns > entry.last_received_ns
        self._connection.execute(update(gaps).where(*self._mine, *this, later).values(earlier))

    def covered(self, entry: Covered) -> None:
        """End the gap over all topics; topics that are not pushed get their own. Call before setting `covered_ns`."""
        stream = self._stream_of(entry.session_id)
        asked_before = self._topics_ever_covered(stream)
        ongoing = self.ongoing(stream)
        end = (entry.session_id, entry.seq, entry.received_ns)
        if None in ongoing:
            self._end(ongoing[None], end)
        for topic in entry.topics:
            new = bool(asked_before) and topic not in asked_before
            if topic not in entry.refused:
                if topic in ongoing:
                    self._end(ongoing[topic], end)
                elif new:
                    self._begin(stream, BEGINNING, "never asked for before", topic, None, end)
            elif topic not in ongoing:
                begin = None if new or not asked_before else end
                self._begin(stream, REFUSED, entry.refused[topic], topic, begin)
        for topic in sorted(asked_before.difference(entry.topics, (topic for topic in ongoing if topic))):
            self._begin(stream, UNSUBSCRIBED, "no longer asked for", topic, end)

    def reconciled(self, entry: ReconciliationEnded) -> None:
        """Settle the gaps that ended with the session whose coverage started the round, or before it.

        A gap that ended later may contain what happened after the round's requests.
        """
        meant = gaps.c.state == OPEN
        if entry.gaps is not None:
            meant = gaps.c.gap_id.in_(entry.gaps) & (gaps.c.state != RECONCILED)
        these = select(gaps.c.gap_id, gaps.c.stream, gaps.c.topic, gaps.c.begins_ns).where(*self._mine, meant)
        for gap in self._connection.execute(these.where(gaps.c.end_session_id <= entry.session_id)).all():
            state, resolution = _settled(entry, gap.stream, gap.topic, before_all=gap.begins_ns is None)
            settled = {"state": state, "reconciliation_id": entry.reconciliation_id, "resolution": resolution}
            self._connection.execute(update(gaps).where(*self._mine, gaps.c.gap_id == gap.gap_id).values(settled))

    def ongoing(self, stream: str = "") -> dict[str | None, int]:
        """Return the ongoing gaps of a stream: topic (None for all topics) → number."""
        query = select(gaps.c.topic, gaps.c.gap_id)
        query = query.where(*self._mine, gaps.c.stream == stream, gaps.c.ends_ns.is_(None))
        return {gap.topic: gap.gap_id for gap in self._connection.execute(query)}

    def _stream_of(self, session_id: int) -> str:
        this = sessions.c.account_id == self._account_id, sessions.c.session_id == session_id
        return self._connection.scalar(select(sessions.c.stream).where(*this)) or ""

    def _covering(self, stream: str, but_session_id: int) -> _Place | None:
        """Where the first other session was covered that covers a stream now; None if there is none."""
        s = sessions.c
        others = select(s.session_id, s.covered_ns).join(runs, runs.c.run_id == s.run_id)
        others = others.where(runs.c.recorder_id == self._recorder_id, s.account_id == self._account_id)
        others = others.where(s.stream == stream, s.session_id != but_session_id)
        others = others.where(s.covered_ns.is_not(None), s.ended_ns.is_(None))
        first = self._connection.execute(others.order_by(s.covered_ns, s.session_id).limit(1)).first()
        return None if first is None else (first.session_id, None, first.covered_ns)

    def _topics_ever_covered(self, stream: str) -> set[str]:
        query = select(sessions.c.topics).distinct().join(runs, runs.c.run_id == sessions.c.run_id)
        mine = sessions.c.account_id == self._account_id, runs.c.recorder_id == self._recorder_id
        query = query.where(*mine, sessions.c.stream == stream, sessions.c.covered_ns.is_not(None))
        return {topic for asked in self._connection.scalars(query) for topic in asked.split()}

    def _last_id(self) -> int:
        return self._connection.scalar(select(func.max(gaps.c.gap_id)).where(*self._mine)) or 0

    def _begin(
        self,
        stream: str,
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
            "stream": stream,
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


def _settled(entry: ReconciliationEnded, stream: str, topic: str | None, *, before_all: bool) -> tuple[str, str]:
    """Return state and resolution of a gap after a round.

    Args:
        entry: the round's end.
        stream: the gap's.
        topic: the gap's topic; None: all topics.
        before_all: whether it is the gap before the record, for which only a snapshot was requested.
    """
    if before_all and entry.result != UNRECOVERABLE:
        return RECONCILED, BEFORE_ALL
    of_stream = (one for one in entry.lost if one.stream in {None, stream})
    lost = [one for one in of_stream if topic is None or topic.startswith(one.topic)]
    if lost or (entry.result == UNRECOVERABLE and not entry.lost):
        return UNRECOVERABLE, entry.detail + lost_text(lost)
    return RECONCILED, entry.detail


def lost_text(lost: Sequence[LostSubject]) -> str:
    """List what the exchange could not answer, to follow what was restored; empty if there is nothing."""
    if not lost:
        return ""
    named = [f"{one.name} ({one.reason})" for one in lost[:LOST_SHOWN_MAX]]
    if len(lost) > LOST_SHOWN_MAX:
        named.append(f"{len(lost) - LOST_SHOWN_MAX:,} more")
    return f"; unrecoverable: {', '.join(named)}"
