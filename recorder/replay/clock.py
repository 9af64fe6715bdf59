"""A replay at a pace of its own, or at that of a backtest's clock."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from recorder.read.replay.events import Event, instant_ns
from recorder.replay.pace import Pace


class ReplayClock:
    """Gives events when they are due.

        for event in ReplayClock(record.replay(), speed=10):
            ...

    or, stepped by another clock:

        clock = ReplayClock(record.replay())
        for bar in bars:
            for event in clock.until(bar.end_ns):
                ...

    Args:
        events: in the order of a record.
        speed: 1 for the pace of the record, 10 for ten times as fast; None for as fast as possible.
        wait_s_max: a longer wait is cut to so many seconds.
        since_ns: where the replay begins, if not at its first event: a connection that goes on there began earlier.
        monotonic_s: the clock that measures.
        wait: waits so many seconds. If it says True, the replay ends.

    Raises:
        ValueError: a speed or a wait is not above zero.
    """

    def __init__(
        self,
        events: Iterable[Event],
        speed: float | None = 1.0,
        *,
        wait_s_max: float | None = None,
        since_ns: int | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        #: The latest instant there was, of an event or of a step, nanoseconds since 1970; None: none yet.
        self.now_ns: int | None = None
        self._events = iter(events)
        self._held: Event | None = None
        self._pace = Pace(speed, wait_s_max, since_ns)
        self._monotonic_s = monotonic_s
        self._wait = wait

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """The next event, when it is due."""
        event = self._next()
        now_s = self._monotonic_s()
        due_s = self._pace.due_s(instant_ns(event), now_s)
        if due_s > now_s and self._wait(due_s - now_s) is True:
            self._held = event
            raise StopIteration
        self._pass(instant_ns(event))
        return event

    def until(self, end_ns: int) -> Iterator[Event]:
        """The events before an instant that have not been given yet, without waiting."""
        while True:
            try:
                event = self._next()
            except StopIteration:
                break
            at_ns = instant_ns(event)
            if at_ns is not None and at_ns >= end_ns:
                self._held = event
                break
            self._pass(at_ns)
            yield event
        self._pass(end_ns)

    def _next(self) -> Event:
        event, self._held = self._held, None
        return next(self._events) if event is None else event

    def _pass(self, at_ns: int | None) -> None:
        if at_ns is not None:
            self.now_ns = at_ns if self.now_ns is None else max(self.now_ns, at_ns)
