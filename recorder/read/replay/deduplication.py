"""Each push once, whoever saw it: as the views `..._once` of the schema, but along the stream. Pure.

Sightings of the same update by different recorders are the same push when they lie within `APART_NS` of each other; one
that a recorder saw repeated counts as often as it was repeated. A frame that could not be decoded is the same as
another with the same bytes. What is held is what was seen within that time.
"""

from recorder.model import PUSH, UNDECODED, State
from recorder.read.replay.events import FrameEvent
from recorder.store.deduplication import APART_NS


class _Burst:
    """Sightings of one update, none of them further than `APART_NS` from the next."""

    __slots__ = ("last_ns", "seen", "told")

    def __init__(self) -> None:
        self.last_ns = 0
        #: Recorder → how often it saw it.
        self.seen: dict[int, int] = {}
        #: How often it was given on.
        self.told = 0


class Deduplicator:
    """Tells first sightings from others. Frames must come in the order of the record."""

    def __init__(self) -> None:
        self._bursts: dict[object, _Burst] = {}  # the one seen last is the last

    def is_first_sighting(self, event: FrameEvent, recorder_id: int) -> bool:
        """Whether this is no second sighting of a push."""
        what = _said(event)
        if what is None:
            return True
        now_ns = event.received_ns
        burst = self._bursts.pop(what, None)
        if burst is None or now_ns - burst.last_ns > APART_NS:
            burst = _Burst()
        self._bursts[what] = burst
        burst.last_ns = now_ns
        count = burst.seen[recorder_id] = burst.seen.get(recorder_id, 0) + 1
        news = count > burst.told
        if news:
            burst.told = count
        self._forget(now_ns)
        return news

    def _forget(self, now_ns: int) -> None:
        oldest = next(iter(self._bursts))
        while now_ns - self._bursts[oldest].last_ns > APART_NS:
            del self._bursts[oldest]
            oldest = next(iter(self._bursts))


def _said(event: FrameEvent) -> object:
    """What a push says, whichever connection it came by; None: something that each connection is told for itself."""
    if event.source != PUSH:
        return None
    if event.status == UNDECODED:
        return event.account, event.payload
    if not event.updates or not all(isinstance(update, State) for update in event.updates):
        return None
    # The first field is the time of the push, which may differ by connection.
    return event.account, *((type(update), update[1:]) for update in event.updates)
