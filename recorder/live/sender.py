"""Bringing notes to a place that may hang, in a thread of its own."""

import logging
from threading import Event, Lock, Thread

from recorder.audit.evidence.delivery import Way
from recorder.clock import Clock
from recorder.errors import NotDelivered

log = logging.getLogger(__name__)

#: What takes longer for a note is said to hang, seconds.
HANGS_S = 30.0


class Sender(Thread):
    """Brings the newest note to one place; one that has not gone out when the next comes need not go any more.

    Args:
        way: to the place.
        clock: measures how long it takes.

    Attributes:
        failing: whether the last note did not get there.
    """

    def __init__(self, way: Way, clock: Clock) -> None:
        super().__init__(name=f"sender {way.place}", daemon=True)
        self.failing = False
        self._way = way
        self._clock = clock
        #: When the note that is on its way was begun with.
        self._begun_s: float | None = None
        self._lock = Lock()
        self._next: str | None = None
        self._more = Event()
        self._settled = Event()
        self._settled.set()
        self._told_hanging = False
        self._closing = False

    def send(self, note: str) -> None:
        """Take a note, and bring it there when the one before has arrived or failed."""
        with self._lock:
            begun_s = self._begun_s
            self._next = note
            self._settled.clear()
        self._more.set()
        if begun_s is not None and self._clock.monotonic_s() - begun_s >= HANGS_S and not self._told_hanging:
            self._told_hanging = True
            log.error("%s has not taken the last checkpoint yet: it hangs", self._way.place)

    def finish(self, timeout_s: float) -> None:
        """Wait for the last note to get there, at most so long, seconds; then give up. The thread ends."""
        if not self._settled.wait(timeout_s):
            log.error("%s has not taken the last checkpoint in time: the next run brings a newer one", self._way.place)
        self._closing = True
        self._way.abandon()
        self._more.set()

    def run(self) -> None:
        """The thread."""
        while True:
            self._more.wait()
            self._more.clear()
            if self._closing:
                return
            with self._lock:
                note, self._next = self._next, None
                self._begun_s = self._clock.monotonic_s()
            if note is not None:
                self._send(note)
            with self._lock:
                self._begun_s = None
                if self._next is None:
                    self._settled.set()

    def _send(self, note: str) -> None:
        place = self._way.place
        try:
            self._way.send(note)
        except NotDelivered as error:
            # Once for each outage: it may last for days.
            if not self.failing and not self._closing:
                log.error("A checkpoint did not get out: %s It is tried again at the next one.", error)
            self.failing = True
            return
        except Exception:
            log.exception("A checkpoint did not get out to %s: recorder has a bug", place)
            self.failing = True
            return
        if self.failing or self._told_hanging:
            log.info("%s takes checkpoints again", place)
        self.failing = self._told_hanging = False
