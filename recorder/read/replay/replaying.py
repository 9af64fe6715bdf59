"""Replay a record: its events in order, from one point to another.

With several recorders each push is given once, as in the `..._once` views of the schema. Equal updates from different
recorders are the same push if they were received within `APART_NS` of each other; an update that one recorder received
several times counts that many times. A frame that could not be decoded equals one with the same bytes.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain

from recorder.model import PUSHES, REPEATED, UNDECODED, State
from recorder.read.replay.events import Event, FrameEvent, GapBegan, GapEnded, SessionBegan
from recorder.read.replay.frames import FrameRange, FrameReader
from recorder.read.replay.order import EVER_NS, FIRST_SEQ, FOR_EVER_NS, LAST_SEQ, Chunk, ReplayPoint, before, merge
from recorder.read.replay.plan import OF_CONNECTIONS, BeforeFrame, PlacedGap, ReplayPlan, ReplaySession
from recorder.store.deduplication import APART_NS

#: A replay that begins in the middle searches this much before it for first sightings of what follows.
WARM_NS = 5 * APART_NS


def replay(reader: FrameReader, plan: ReplayPlan) -> Iterator[Event]:
    """The events, in order. The reader is closed when they end."""
    return chain.from_iterable(_slices(reader, plan))


def _slices(reader: FrameReader, plan: ReplayPlan) -> Iterator[Sequence[Event]]:
    try:
        if plan.after is not None:
            plan = plan._replace(start=max(plan.start, _place(reader, plan, *plan.after)))
        several = _several(plan) if plan.once else {}
        part = _RecordPart(reader, plan, plan.start)
        warm = _RecordPart(reader, plan, before(max(plan.start.instant_ns - WARM_NS, EVER_NS - 1)))
        if plan.after is None:
            yield part.what_goes_on()
        sources = [(warm if group[0].session_id in several else part).events(group) for group in plan.groups]
        merged = merge([part.marks_by_time(), *sources])
        if several:
            yield from _first_sightings(merged, several, part)
        else:
            for chunk in merged:
                yield chunk.items
    finally:
        reader.close()


def _place(reader: FrameReader, plan: ReplayPlan, session_id: int, seq: int) -> ReplayPoint:
    """The point of a frame."""
    session = next(one for one in chain.from_iterable(plan.groups) if one.session_id == session_id)
    latest_ns = reader.latest_received_ns(_range_of(plan, session), seq + 1)
    return ReplayPoint(session.life.instant_ns(latest_ns), session_id, seq)


def _range_of(plan: ReplayPlan, session: ReplaySession) -> FrameRange:
    """All wanted frames of a session."""
    of_connection = session.began is not None
    # Pushes alone are read faster, and few venues have others.
    sources = tuple(
        one
        for one in plan.sources
        if (one in OF_CONNECTIONS) == of_connection and (one != REPEATED or session.account.venue.repeated_topics)
    )
    last_seq = session.last_seq
    return FrameRange(*session.account, session.session_id, session.life, 0, last_seq, sources, plan.topics)


class _RecordPart:
    """A part of a record, from one point to another.

    Args:
        reader: reads it.
        plan: what is wanted, and the point where it ends.
        start: everything after this point.
    """

    def __init__(self, reader: FrameReader, plan: ReplayPlan, start: ReplayPoint) -> None:
        self._reader = reader
        self._plan = plan
        self.start = start
        self._end = plan.end
        self._sessions = {session.session_id: session for session in chain.from_iterable(plan.groups)}
        self._within = cache(self._find_within)
        self._marks: dict[int, list[tuple[BeforeFrame, Event]]] = {}
        for placed in plan.gaps:
            for spot, event in ((placed.begin, _began(placed)), (placed.end, _ended(placed))):
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
        """The beginnings and ends of gaps that are placed by time."""
        marks = [
            (place, event)
            for placed in self._plan.gaps
            for place, event in ((placed.begin, _began(placed)), (placed.end, _ended(placed)))
            if isinstance(place, ReplayPoint) and self.start < place < self._end
        ]
        for place, event in sorted(marks, key=lambda mark: mark[0]):
            yield Chunk(place.session_id, [place.instant_ns], [event])

    def what_goes_on(self) -> list[Event]:
        """The connections and gaps that are going on where the part begins."""
        found: list[tuple[ReplayPoint, Event]] = []
        for session in self._sessions.values():
            began, ended = _bounds(session)
            if session.began is not None and began <= self.start < ended:
                found.append((began, session.began))
        for placed in self._plan.gaps:
            if not self._is_after_start(placed.begin) and (placed.end is None or self._is_after_start(placed.end)):
                begins_ns = EVER_NS if placed.gap.begins_ns is None else placed.gap.begins_ns
                found.append((before(begins_ns), _began(placed)))
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
        """The frames within the part, of a session that is not completely outside."""
        session, start, reader = self._sessions[session_id], self.start, self._reader
        whole = _range_of(self._plan, session)
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


def _began(placed: PlacedGap) -> GapBegan:
    return GapBegan(placed.gap.account, placed.gap.begins_ns, placed.gap)


def _ended(placed: PlacedGap) -> GapEnded:
    return GapEnded(placed.gap.account, placed.gap.ends_ns or 0, placed.gap)


def _bounds(session: ReplaySession) -> tuple[ReplayPoint, ReplayPoint]:
    return (
        ReplayPoint(session.life.begins_ns, session.session_id, FIRST_SEQ),
        ReplayPoint(session.life.ends_ns, session.session_id, LAST_SEQ),
    )


def _several(plan: ReplayPlan) -> dict[int, int]:
    """Session → recorder, for the accounts with several recorders."""
    recorders: dict[int, set[int]] = {}
    for group in plan.groups:
        recorders.setdefault(group[0].account.account_id, set()).add(group[0].recorder_id)
    return {
        session.session_id: session.recorder_id
        for group in plan.groups
        for session in group
        if len(recorders[session.account.account_id]) > 1
    }


def _first_sightings(
    merged: Iterator[Chunk[Event]], several: dict[int, int], part: _RecordPart
) -> Iterator[Sequence[Event]]:
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


class _Burst:
    """Sightings of one update, each within `APART_NS` of the next."""

    __slots__ = ("given", "last_ns", "seen")

    def __init__(self) -> None:
        self.last_ns = 0
        #: Recorder → how often it received the update.
        self.seen: dict[int, int] = {}
        #: How often the update was given.
        self.given = 0


class Deduplicator:
    """Recognizes second sightings. Frames must come in the order of the record; only recent ones are held."""

    def __init__(self) -> None:
        self._bursts: dict[object, _Burst] = {}  # the latest last

    def is_first_sighting(self, event: FrameEvent, recorder_id: int) -> bool:
        """Whether this is not a second sighting of a push."""
        content = _content(event)
        if content is None:
            return True
        now_ns = event.received_ns
        burst = self._bursts.pop(content, None)
        if burst is None or now_ns - burst.last_ns > APART_NS:
            burst = _Burst()
        self._bursts[content] = burst
        burst.last_ns = now_ns
        count = burst.seen[recorder_id] = burst.seen.get(recorder_id, 0) + 1
        is_first = count > burst.given
        burst.given = max(count, burst.given)
        self._forget(now_ns)
        return is_first

    def _forget(self, now_ns: int) -> None:
        oldest = next(iter(self._bursts))
        while now_ns - self._bursts[oldest].last_ns > APART_NS:
            del self._bursts[oldest]
            oldest = next(iter(self._bursts))


def _content(event: FrameEvent) -> object:
    """What a push says, whatever connection it came from; None: each connection receives it separately."""
    if event.source not in PUSHES:
        return None
    if event.status == UNDECODED:
        return event.account, event.payload
    if not event.updates or not all(isinstance(update, State) for update in event.updates):
        return None
    # The first field is the time of the push, which may differ by connection.
    return event.account, *((type(update), update[1:]) for update in event.updates)
