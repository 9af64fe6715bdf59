"""Replaying: the events of a record in its order, from one place to another."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import NamedTuple

from recorder.model import PUSH, SENT
from recorder.read.replay.deduplication import Deduplicator
from recorder.read.replay.events import Event, FrameEvent, GapBegan, GapEnded, SessionBegan
from recorder.read.replay.frames import FrameRange, FrameReader
from recorder.read.replay.gap_marks import BeforeFrame, PlacedGap
from recorder.read.replay.order import EVER_NS, FIRST_SEQ, FOR_EVER_NS, LAST_SEQ, Chunk, ReplayPoint, before, merge
from recorder.read.replay.sessions import ReplaySession
from recorder.store.deduplication import APART_NS

#: Sources of frames that lie in connections; others lie in rounds of REST questions.
OF_CONNECTIONS = frozenset([PUSH, SENT])
#: Where a replay begins in the middle, so much before it is looked through for first sightings of what follows.
WARM_NS = 5 * APART_NS


class ReplayPlan(NamedTuple):
    """What is to be replayed, found and checked."""

    #: Each recorder's connections, and its rounds, where frames of them are wanted.
    groups: Sequence[Sequence[ReplaySession]]
    holes: Sequence[PlacedGap]
    sources: tuple[str, ...]
    topics: tuple[str, ...] | None
    #: After this place and before that one.
    start: ReplayPoint
    end: ReplayPoint
    #: A frame after which it goes on: its session and number. None: what goes on at `start` is told first.
    after: tuple[int, int] | None
    #: Each push once, also where several recorders saw it.
    once: bool


def replay(reader: FrameReader, script: ReplayPlan) -> Iterator[Event]:
    """The events, in order. The reader is closed when they end."""
    return chain.from_iterable(_slices(reader, script))


def _slices(reader: FrameReader, script: ReplayPlan) -> Iterator[Sequence[Event]]:
    try:
        if script.after is not None:
            script = script._replace(start=max(script.start, _place(reader, script, *script.after)))
        several = _several(script) if script.once else {}
        part = _Part(reader, script, script.start)
        warm = _Part(reader, script, before(max(script.start.instant_ns - WARM_NS, EVER_NS - 1)))
        if script.after is None:
            yield part.what_goes_on()
        sources = [(warm if group[0].session_id in several else part).events(group) for group in script.groups]
        merged = merge([part.marks_by_time(), *sources])
        if several:
            yield from _first_sightings(merged, several, part)
        else:
            for chunk in merged:
                yield chunk.items
    finally:
        reader.close()


def _place(reader: FrameReader, script: ReplayPlan, session_id: int, seq: int) -> ReplayPoint:
    """The place of a frame."""
    session = next(one for one in chain.from_iterable(script.groups) if one.session_id == session_id)
    latest_ns = reader.latest_received_ns(_stretch(script, session), seq + 1)
    return ReplayPoint(session.life.instant_ns(latest_ns), session_id, seq)


def _stretch(script: ReplayPlan, session: ReplaySession) -> FrameRange:
    """All of a session that is wanted."""
    of_connection = session.began is not None
    sources = tuple(one for one in script.sources if (one in OF_CONNECTIONS) == of_connection)
    last_seq = session.last_seq
    return FrameRange(*session.account, session.session_id, session.life, 0, last_seq, sources, script.topics)


class _Part:
    """A part of a record, from a place to another.

    Args:
        reader: reads it.
        script: what is wanted, and the place where it ends.
        start: everything after this place.
    """

    def __init__(self, reader: FrameReader, script: ReplayPlan, start: ReplayPoint) -> None:
        self._reader = reader
        self._script = script
        self.start = start
        self._end = script.end
        self._sessions = {session.session_id: session for session in chain.from_iterable(script.groups)}
        self._within = cache(self._find_within)
        self._marks: dict[int, list[tuple[BeforeFrame, Event]]] = {}
        for hole in script.holes:
            for spot, event in ((hole.begin, _began(hole)), (hole.end, _ended(hole))):
                if isinstance(spot, BeforeFrame):
                    self._marks.setdefault(spot.session_id, []).append((spot, event))

    def events(self, group: Sequence[ReplaySession]) -> Iterator[Chunk[Event]]:
        """The events of one recorder's connections, or of its rounds."""
        for session in group:
            began, ended = _bounds(session)
            if ended <= self.start:
                continue
            if began >= self._end:
                return
            if session.began is not None and began > self.start:
                yield Chunk(session.session_id, [began.instant_ns], [session.began])
            yield from self._with_marks(session, self._reader.chunks(self._within(session.session_id)))
            if session.ended is not None and ended < self._end:
                yield Chunk(session.session_id, [ended.instant_ns], [session.ended])

    def marks_by_time(self) -> Iterator[Chunk[Event]]:
        """The beginnings and ends of gaps that no one session can tell."""
        marks = [
            (place, event)
            for hole in self._script.holes
            for place, event in ((hole.begin, _began(hole)), (hole.end, _ended(hole)))
            if isinstance(place, ReplayPoint) and self.start < place < self._end
        ]
        for place, event in sorted(marks, key=lambda mark: mark[0]):
            yield Chunk(place.session_id, [place.instant_ns], [event])

    def what_goes_on(self) -> list[Event]:
        """The connections and gaps that began before it and have not ended where it begins."""
        found: list[tuple[ReplayPoint, Event]] = []
        for session in self._sessions.values():
            began, ended = _bounds(session)
            if session.began is not None and began <= self.start < ended:
                found.append((began, session.began))
        for hole in self._script.holes:
            if not self._is_after_start(hole.begin) and (hole.end is None or self._is_after_start(hole.end)):
                begins_ns = EVER_NS if hole.gap.begins_ns is None else hole.gap.begins_ns
                found.append((before(begins_ns), _began(hole)))
        return [event for _, event in sorted(found, key=lambda one: one[0])]

    def _with_marks(self, session: ReplaySession, chunks: Iterator[Chunk[FrameEvent]]) -> Iterator[Chunk[Event]]:
        """The frames of a session, and the beginnings and ends of gaps among them."""
        marks = [mark for mark in self._marks.get(session.session_id, ()) if self._is_within(mark[0])]
        marks.sort(key=lambda mark: mark[0].seq)
        latest_ns = session.life.begins_ns
        for chunk in chunks:
            done = 0
            while marks and marks[0][0].seq <= chunk.items[-1].seq:
                spot, event = marks.pop(0)
                index = next(number for number, frame in enumerate(chunk.items) if frame.seq >= spot.seq)
                if index > done:
                    yield chunk.part(done, index)
                    latest_ns = chunk.instants_ns[index - 1]
                done = index
                yield Chunk(session.session_id, [max(latest_ns, session.life.instant_ns(spot.received_ns))], [event])
            yield chunk.part(done, len(chunk.items))
            latest_ns = chunk.instants_ns[-1]
        for spot, event in marks:
            yield Chunk(session.session_id, [max(latest_ns, session.life.instant_ns(spot.received_ns))], [event])

    def _find_within(self, session_id: int) -> FrameRange:
        """What lies within of a session that does not lie outside as a whole."""
        session, start, reader = self._sessions[session_id], self.start, self._reader
        whole = _stretch(self._script, session)
        if session_id == start.session_id:
            first_seq = start.seq + 1
        else:
            first_seq = reader.first_seq(whole, start.instant_ns + (session_id < start.session_id))
        last_seq = min(session.last_seq, reader.first_seq(whole, self._end.instant_ns) - 1)
        return whole._replace(first_seq=first_seq, last_seq=last_seq)

    def _is_within(self, spot: BeforeFrame) -> bool:
        return self._is_after_start(spot) and self._is_before_end(spot)

    def _is_after_start(self, spot: BeforeFrame | ReplayPoint) -> bool:
        if isinstance(spot, ReplayPoint):
            return spot > self.start
        began, ended = _bounds(self._sessions[spot.session_id])
        if began > self.start or ended <= self.start:
            return began > self.start
        first_seq = self._within(spot.session_id).first_seq
        if spot.session_id == self.start.session_id:
            return spot.seq >= first_seq
        return spot.seq > first_seq or self._last_place(spot) > self.start

    def _is_before_end(self, spot: BeforeFrame) -> bool:
        began, ended = _bounds(self._sessions[spot.session_id])
        if self._end.instant_ns >= FOR_EVER_NS or ended < self._end or began >= self._end:
            return began < self._end
        last_seq = self._within(spot.session_id).last_seq
        return spot.seq <= last_seq + 1 and self._last_place(spot) < self._end

    def _last_place(self, spot: BeforeFrame) -> ReplayPoint:
        life = self._sessions[spot.session_id].life
        return ReplayPoint(life.instant_ns(spot.received_ns), spot.session_id, LAST_SEQ)


def _began(hole: PlacedGap) -> GapBegan:
    return GapBegan(hole.gap.account, hole.gap.begins_ns, hole.gap)


def _ended(hole: PlacedGap) -> GapEnded:
    return GapEnded(hole.gap.account, hole.gap.ends_ns or 0, hole.gap)


def _bounds(session: ReplaySession) -> tuple[ReplayPoint, ReplayPoint]:
    return (
        ReplayPoint(session.life.begins_ns, session.session_id, FIRST_SEQ),
        ReplayPoint(session.life.ends_ns, session.session_id, LAST_SEQ),
    )


def _several(script: ReplayPlan) -> dict[int, int]:
    """Session → recorder, for the accounts that several recorders watched."""
    recorders: dict[int, set[int]] = {}
    for group in script.groups:
        recorders.setdefault(group[0].account.account_id, set()).add(group[0].recorder_id)
    return {
        session.session_id: session.recorder_id
        for group in script.groups
        for session in group
        if len(recorders[session.account.account_id]) > 1
    }


def _first_sightings(merged: Iterator[Chunk[Event]], several: dict[int, int], part: _Part) -> Iterator[Sequence[Event]]:
    once = Deduplicator()
    for chunk in merged:
        recorder_id = several.get(chunk.session_id)
        if recorder_id is None:
            yield chunk.items
            continue
        kept = []
        for instant_ns, event in zip(chunk.instants_ns, chunk.items, strict=True):
            seq = FIRST_SEQ if isinstance(event, SessionBegan) else LAST_SEQ
            if isinstance(event, FrameEvent):
                seq = event.seq
                if not once.is_first_sighting(event, recorder_id):
                    continue
            if ReplayPoint(instant_ns, chunk.session_id, seq) > part.start:
                kept.append(event)
        yield kept
