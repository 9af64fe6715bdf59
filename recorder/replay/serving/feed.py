"""One client's replay: reads events, waits until they are due, and writes them."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from itertools import islice

from recorder.clock import NS_PER_S, utc_text
from recorder.model import CONTROL, Heartbeat
from recorder.read.records import Gap
from recorder.read.replay.events import Event, FrameEvent, GapBegan, instant_ns
from recorder.replay.clock import ReplayPace
from recorder.wire.client import PushClient

#: Longer than any record, nanoseconds.
FAR_NS = 2.0**64


class ReplayPosition:
    """The time that a replay has reached: that of its last event or, between two events, what the pace adds.

    Args:
        start_ns: the position before the first event, nanoseconds since 1970.
        end_ns: the last possible position.
        speed: times as fast as the record; None for as fast as possible, without waits between events.
    """

    def __init__(self, start_ns: int, end_ns: int, speed: float | None) -> None:
        #: Time of the last event, nanoseconds since 1970.
        self.reached_ns = start_ns
        self._end_ns = end_ns
        self._speed = speed
        #: Time of the next event, and when it is due on the monotonic clock.
        self._next: tuple[int, float] | None = None
        self._ended_s: float | None = None

    def passed(self, at_ns: int) -> None:
        """An event has been sent."""
        self.reached_ns = max(self.reached_ns, at_ns)
        self._next = None

    def waits(self, next_ns: int, due_s: float) -> None:
        """The next event, of this time, is due then."""
        self._next = next_ns, due_s

    def ended(self, now_s: float) -> None:
        """There are no more events: time continues at the pace, or jumps to the end without one."""
        self._ended_s = now_s

    def now_ns(self, now_s: float) -> int:
        """The current position, nanoseconds since 1970."""
        at_ns = self.reached_ns
        if self._ended_s is not None:
            at_ns = self._end_ns if self._speed is None else at_ns + self._passed_ns(now_s - self._ended_s)
        elif self._next is not None:
            next_ns, due_s = self._next
            at_ns = min(next_ns - self._passed_ns(due_s - now_s), next_ns - 1)
        return max(self.reached_ns, min(at_ns, self._end_ns))

    def _passed_ns(self, span_s: float) -> int:
        # Extreme speeds give infinity, which has no integer.
        return int(min(max(span_s * (self._speed or 0.0) * NS_PER_S, -FAR_NS), FAR_NS))


log = logging.getLogger("recorder.replay")

#: Most events and frame bytes that are read at a time: this is what a slow client makes the server hold.
EVENTS_MAX = 64
BYTES_MAX = 1 << 18


class ReplayFeed:
    """Pushes a replay to one client.

    Args:
        client: the client.
        key: under which it follows the account.
        events: of the replay: pushes and gaps only.
        topics: the topics that can be subscribed to.
        pace: determines when events are due.
        position: is kept up to date with the replay.
        patience_s: drop a client that has read nothing for this long, seconds.
        readers: threads that read the events, which may wait for the database.
        on_change: called at the end of the record.
    """

    def __init__(
        self,
        client: PushClient,
        key: str,
        events: Iterator[Event],
        topics: Collection[str],
        pace: ReplayPace,
        position: ReplayPosition,
        patience_s: float,
        readers: Executor,
        on_change: Callable[[], None],
    ) -> None:
        #: Frames sent so far.
        self.pushes = 0
        #: Whether everything has been sent.
        self.finished = False
        self._client = client
        self._key = key
        self._events = events
        self._topics = frozenset(topics)
        self._pace = pace
        self._position = position
        self._patience_s = patience_s
        self._readers = readers
        self._on_change = on_change
        self._missing = 0

    async def run(self) -> None:
        """Push everything, or until the client is gone.

        Raises:
            RecorderError: the record cannot be read.
        """
        try:
            if not await self._push_all():
                return
        finally:
            # Something may still hold the feed, such as a traceback; that must not keep the record's connection open.
            self._events = iter(())
        self._position.ended(asyncio.get_running_loop().time())
        self.finished = True
        left_out = f", {self._missing:,} frames without payload left out" if self._missing else ""
        log.info("client %d: the end of the record, %s pushes%s", self._client.number, f"{self.pushes:,}", left_out)
        self._on_change()

    async def _push_all(self) -> bool:
        """Push everything; False if the client is gone."""
        loop = asyncio.get_running_loop()
        while events := await loop.run_in_executor(self._readers, _some, self._events):
            if not await self._push(events):
                return False
        return True

    async def _push(self, events: Sequence[Event]) -> bool:
        """Push events when they are due, those due together in one write; False if the client is gone."""
        loop = asyncio.get_running_loop()
        due: list[bytes] = []
        reached_ns = 0
        for event in events:
            at_ns = instant_ns(event)
            now_s = loop.time()
            due_s = self._pace.due_s(at_ns, now_s)
            if due_s > now_s and at_ns is not None:
                if not await self._send(due, reached_ns):
                    return False
                due = []
                self._position.waits(at_ns, due_s)
                await asyncio.sleep(due_s - loop.time())
            if isinstance(event, FrameEvent):
                due += self._for_client(event)
            elif isinstance(event, GapBegan) and event.at_ns is not None:
                self._warn(event.gap)
            reached_ns = max(reached_ns, at_ns or 0)
        return await self._send(due, reached_ns)

    def _for_client(self, event: FrameEvent) -> Iterable[bytes]:
        """The frames that the client is sent for an event."""
        if event.payload_is_missing:
            self._missing += 1
            return ()
        if event.status == CONTROL or (event.updates and isinstance(event.updates[0], Heartbeat)):
            return ()
        conversation = self._client.conversation
        subscribed = conversation.topics_of(self._key)
        # Frames that could not be decoded or belong to no topic were pushed, too: any subscriber gets them.
        if event.topic is None or event.topic not in self._topics:
            return (event.payload,) if subscribed else ()
        return conversation.pushed(self._key, event.topic, event.payload) if event.topic in subscribed else ()

    async def _send(self, payloads: Sequence[bytes], reached_ns: int) -> bool:
        self._position.passed(reached_ns)
        if not self._client.write(payloads):
            return False
        self.pushes += len(payloads)
        while waiting_bytes := self._client.waiting_bytes:
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._client.drain()
            except TimeoutError:
                if self._client.waiting_bytes < waiting_bytes:
                    continue  # it reads, slowly
                log.warning(
                    "client %d has read nothing for %g s and is disconnected, after %s pushes",
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
            gap.subject,
            gap.reason,
            gap.state,
        )


def _some(events: Iterator[Event]) -> list[Event]:
    """The next events; empty at the end."""
    some: list[Event] = []
    size_bytes = 0
    for event in islice(events, EVENTS_MAX):
        some.append(event)
        size_bytes += len(event.payload) if isinstance(event, FrameEvent) else 0
        if size_bytes >= BYTES_MAX:
            break
    return some
