"""The bounded way from one collector to the writer. It never drops: when it is full, the collector does not read on.

One thread puts, one takes, and each keeps its own counters: no lock is taken for a frame.
"""

from collections import deque
from threading import Event
from typing import NamedTuple

from recorder.model import Frame, Update
from recorder.store.entries import LogEntry


class Recorded(NamedTuple):
    """A frame and what it says: decoded once, by the collector, whose protocol needs it too."""

    frame: Frame
    updates: tuple[Update, ...]


class ChannelClosed(Exception):
    """The writer takes nothing more."""


class Channel:
    """A queue with a limit in frames and in bytes.

    Args:
        ready: set when there is something to take; shared by the channels of one writer.
        frames_max: of what waits.
        bytes_max: of the payloads that wait.
    """

    def __init__(self, ready: Event, frames_max: int, bytes_max: int) -> None:
        self._ready = ready
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._items: deque[Recorded | LogEntry] = deque()
        self._room = Event()
        self._closed = False
        # Written by the collector only.
        self.frames_in = 0
        self._bytes_in = 0
        # Written by the writer only.
        self.frames_out = 0
        self._bytes_out = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits for the writer: neither a frame nor an entry for the event log."""
        return not self._items

    def has_room(self) -> bool:
        """Whether another frame may be put."""
        return (
            self.frames_in - self.frames_out < self._frames_max and self._bytes_in - self._bytes_out < self._bytes_max
        )

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until another frame may be put; the writer's taking ends the wait.

        Raises:
            ChannelClosed: it never will be.
        """
        self._room.clear()
        if self._closed:
            raise ChannelClosed
        return self.has_room() or (self._room.wait(timeout_s) and self.has_room())

    def put(self, recorded: Recorded) -> None:
        """Hand a frame over. It is taken even beyond the limit: ask `has_room` before reading the next."""
        self.frames_in += 1
        self._bytes_in += len(recorded.frame.payload)
        self._items.append(recorded)
        if not self._ready.is_set():
            self._ready.set()

    def tell(self, entry: LogEntry) -> None:
        """Hand an entry for the event log over; it keeps its place among the frames."""
        self._items.append(entry)
        self._ready.set()

    def take(self, frames_max: int, bytes_max: int) -> list[Recorded | LogEntry]:
        """What waits, oldest first, up to so many frames or bytes."""
        taken: list[Recorded | LogEntry] = []
        items, frames, size = self._items, 0, 0
        while items and frames < frames_max and size < bytes_max:
            item = items.popleft()
            taken.append(item)
            if isinstance(item, Recorded):
                frames += 1
                size += len(item.frame.payload)
        self.frames_out += frames
        self._bytes_out += size
        self._room.set()
        return taken

    def close(self) -> None:
        """End the collector's wait for room: nothing will ever be taken again."""
        self._closed = True
        self._room.set()
