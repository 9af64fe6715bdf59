"""The bounded queue from one collector to the writer. It drops nothing: while it is full, the collector stops reading.

One thread puts, one takes, and each has its own counters, so no lock is taken for a frame.
"""

from collections import deque
from threading import Event
from typing import NamedTuple

from recorder.model import Frame, Update
from recorder.store.entries import LogEntry


class Recorded(NamedTuple):
    """A frame and its updates, decoded once, in the thread that received it."""

    frame: Frame
    updates: tuple[Update, ...]


class ChannelClosed(Exception):
    """The writer has ended and takes nothing more."""


class Channel:
    """A queue with a limit in frames and in bytes.

    Args:
        ready: set when there is something to take; shared by all channels of a writer.
        frames_max: the most frames that may wait.
        bytes_max: the most bytes of payload that may wait.
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
        """Whether nothing waits: neither a frame nor an event log entry."""
        return not self._items

    def has_room(self) -> bool:
        """Whether there is room for another frame."""
        return (
            self.frames_in - self.frames_out < self._frames_max and self._bytes_in - self._bytes_out < self._bytes_max
        )

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait for room for another frame. Returns whether there is.

        Raises:
            ChannelClosed: there never will be.
        """
        self._room.clear()
        if self._closed:
            raise ChannelClosed
        return self.has_room() or (self._room.wait(timeout_s) and self.has_room())

    def put(self, recorded: Recorded) -> None:
        """Add a frame, even beyond the limit: check `has_room` before reading the next one."""
        self.frames_in += 1
        self._bytes_in += len(recorded.frame.payload)
        self._items.append(recorded)
        if not self._ready.is_set():
            self._ready.set()

    def put_entry(self, entry: LogEntry) -> None:
        """Add an event log entry; it keeps its place among the frames."""
        self._items.append(entry)
        self._ready.set()

    def take(self, frames_max: int, bytes_max: int) -> list[Recorded | LogEntry]:
        """Remove and return what waits, oldest first, until one of the limits is reached."""
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
        """Take nothing more, and end a wait for room."""
        self._closed = True
        self._room.set()
