"""Which instant of the record a client has come to. Pure: the monotonic clock is given."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor
from itertools import islice

from recorder.clock import NS_PER_S, utc_text
from recorder.model import CONTROL, Heartbeat
from recorder.read.records import Gap
from recorder.read.replay.events import Event, FrameEvent, GapBegan, instant_ns
from recorder.replay.pace import Pace
from recorder.wire.client import PushClient

#: Further than any two instants of a record lie apart.
FAR_NS = 2.0**64


class ReplayPosition:
    """The instant of a replay: of its last event, and between two events, as far as the pace has come.

    Args:
        start_ns: before the first event, nanoseconds since 1970.
        end_ns: it never passes this.
        speed: times as fast as the record; None: there is nothing between two events.
    """

    def __init__(self, start_ns: int, end_ns: int, speed: float | None) -> None:
        #: Of the last event.
        self.told_ns = start_ns
        self._end_ns = end_ns
        self._speed = speed
        #: The next event, and when it is due on the monotonic clock.
        self._next: tuple[int, float] | None = None
        self._ended_s: float | None = None

    def passed(self, at_ns: int) -> None:
        """An event has been told."""
        self.told_ns = max(self.told_ns, at_ns)
        self._next = None

    def waits(self, next_ns: int, due_s: float) -> None:
        """The next event, at this instant, is due then."""
        self._next = next_ns, due_s

    def ended(self, now_s: float) -> None:
        """There are no more events: time goes on all the same, or is over at once."""
        self._ended_s = now_s

    def now_ns(self, now_s: float) -> int:
        """The instant, nanoseconds since 1970."""
        at_ns = self.told_ns
        if self._ended_s is not None:
            at_ns = self._end_ns if self._speed is None else at_ns + self._passed_ns(now_s - self._ended_s)
        elif self._next is not None:
            next_ns, due_s = self._next
            at_ns = min(next_ns - self._passed_ns(due_s - now_s), next_ns - 1)
        return max(self.told_ns, min(at_ns, self._end_ns))

    def _passed_ns(self, span_s: float) -> int:
        # At the oddest speeds it is infinite, which no integer is.
        return int(min(max(span_s * (self._speed or 0.0) * NS_PER_S, -FAR_NS), FAR_NS))


log = logging.getLogger("recorder.replay")

#: Events read at a time, and the bytes of frames after which it is enough: what is held of a client that is slow.
EVENTS_MAX = 64
BYTES_MAX = 1 << 18


class ReplayFeed:
    """Pushes a replay to one client.

    Args:
        line: the client's.
        events: of the replay, of pushes only.
        topics: what can be subscribed to.
        pace: when they are due.
        moment: told how far it has come.
        patience_s: for how long the client may take nothing.
        readers: reads the events, which may wait for the database.
        on_change: called when there is news.
    """

    def __init__(
        self,
        client: PushClient,
        events: Iterator[Event],
        topics: Collection[str],
        pace: Pace,
        position: ReplayPosition,
        patience_s: float,
        readers: Executor,
        on_change: Callable[[], None],
    ) -> None:
        #: Frames sent so far.
        self.pushes = 0
        #: Whether the record is at its end.
        self.finished = False
        self._client = client
        self._events = events
        self._topics = frozenset(topics)
        self._pace = pace
        self._position = position
        self._patience_s = patience_s
        self._readers = readers
        self._on_change = on_change
        self._missing = 0

    async def run(self) -> None:
        """Push all there is, or until the client is gone.

        Raises:
            RecorderError: the record cannot be read.
        """
        try:
            if not await self._push_all():
                return
        finally:
            # Whoever still holds the feed, as a traceback does, must not hold its connection to the record.
            self._events = iter(())
        self._position.ended(asyncio.get_running_loop().time())
        self.finished = True
        left_out = f", {self._missing:,} frames without payload left out" if self._missing else ""
        log.info("client %d: the end of the record, %s pushes%s", self._client.number, f"{self.pushes:,}", left_out)
        self._on_change()

    async def _push_all(self) -> bool:
        """False: the client is gone."""
        loop = asyncio.get_running_loop()
        while events := await loop.run_in_executor(self._readers, _some, self._events):
            if not await self._tell(events):
                return False
        return True

    async def _tell(self, events: Sequence[Event]) -> bool:
        """Push some, each when it is due; what is due together goes out in one write. False: the client is gone."""
        loop = asyncio.get_running_loop()
        due: list[bytes] = []
        told_ns = 0
        for event in events:
            at_ns = instant_ns(event)
            now_s = loop.time()
            due_s = self._pace.due_s(at_ns, now_s)
            if due_s > now_s and at_ns is not None:
                if not await self._send(due, told_ns):
                    return False
                due = []
                self._position.waits(at_ns, due_s)
                await asyncio.sleep(due_s - loop.time())
            if isinstance(event, FrameEvent):
                if self._is_for_client(event):
                    due.append(event.payload)
            elif isinstance(event, GapBegan) and event.at_ns is not None:
                self._warn(event.gap)
            told_ns = max(told_ns, at_ns or 0)
        return await self._send(due, told_ns)

    def _is_for_client(self, event: FrameEvent) -> bool:
        if event.payload_is_missing:
            self._missing += 1
            return False
        if event.status == CONTROL or (event.updates and isinstance(event.updates[0], Heartbeat)):
            return False
        subscribed = self._client.conversation.topics
        # What could not be read, and what nobody had subscribed to, the exchange pushed all the same.
        return event.topic in subscribed if event.topic in self._topics else bool(subscribed)

    async def _send(self, payloads: Sequence[bytes], told_ns: int) -> bool:
        self._position.passed(told_ns)
        if not self._client.write(payloads):
            return False
        self.pushes += len(payloads)
        while waiting_bytes := self._client.waiting_bytes:
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._client.drain()
            except TimeoutError:
                if self._client.waiting_bytes < waiting_bytes:
                    continue  # slow, but it reads
                log.warning(
                    "client %d took nothing for %g s and is dropped, after %s pushes",
                    self._client.number,
                    self._patience_s,
                    f"{self.pushes:,}",
                )
                self._client.reset()
                return False
            if not self._client.is_open:
                return False
        return True

    def _warn(self, gap: Gap) -> None:
        log.warning(
            "client %d: pushes may be missing from %s to %s, %s: %s, %s",
            self._client.number,
            utc_text(gap.begins_ns),
            utc_text(gap.ends_ns) or "now",
            gap.topic or "all topics",
            gap.reason,
            gap.state,
        )


def _some(events: Iterator[Event]) -> list[Event]:
    """The next few; none at the end."""
    some: list[Event] = []
    size_bytes = 0
    for event in islice(events, EVENTS_MAX):
        some.append(event)
        size_bytes += len(event.payload) if isinstance(event, FrameEvent) else 0
        if size_bytes >= BYTES_MAX:
            break
    return some
