"""Give the events of a replay when they are due: at the record's pace, a multiple of it, or by a backtest's clock."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from recorder.clock import NS_PER_S
from recorder.read.replay.events import Event, FrameEvent, instant_ns


def speed_of(text: str) -> float | None:
    """The speed in a text such as `1`, `10` or `0.5`; None for `max`.

    Raises:
        ValueError: it is not a speed.
    """
    try:
        speed = None if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if speed is not None and not 0 < speed < float("inf"):
        raise ValueError(f"{text!r} is not a speed; write 1 for the pace of the record, 10, 0.5, or max")
    return speed


class ReplayPace:
    """The pace of a record, or a multiple of it; the caller gives the time.

    The first event is due at once. After a delay, later events catch up with the schedule.

    Args:
        speed: 1 for the pace of the record, 10 for ten times as fast; None for as fast as possible.
        wait_s_max: longer waits, such as gaps, are cut to this many seconds; None: no limit.
        since_ns: where the replay begins; earlier events, such as sessions going on then, are due at this time.
            None: at its first event.

    Raises:
        ValueError: speed or wait is not above zero.
    """

    def __init__(self, speed: float | None = 1.0, wait_s_max: float | None = None, since_ns: int | None = None) -> None:
        if speed is not None and not 0 < speed < float("inf"):
            raise ValueError(f"{speed} is not a speed; it is 1, 10, 0.5, ..., or None for as fast as possible")
        if wait_s_max is not None and not wait_s_max > 0:
            raise ValueError(f"a wait of at most {wait_s_max} s is no wait; use the speed None instead")
        self._speed = speed
        self._wait_s_max = wait_s_max
        self._since_ns = since_ns
        self._latest_ns: int | None = None
        self._due_s = 0.0

    def due_s(self, at_ns: int | None, now_s: float) -> float:
        """When an event is due, on the monotonic clock that gave `now_s`; in the past or now means at once.

        Args:
            at_ns: of the event, nanoseconds since 1970; never before the last event. None: at once.
            now_s: now, seconds.
        """
        if self._speed is None or at_ns is None:
            return now_s
        if self._since_ns is not None:
            at_ns = max(at_ns, self._since_ns)
        if self._latest_ns is None:
            self._latest_ns, self._due_s = at_ns, now_s
        distance_ns = max(at_ns - self._latest_ns, 0)
        self._latest_ns += distance_ns
        self._due_s += distance_ns / NS_PER_S / self._speed
        if self._wait_s_max is not None:
            self._due_s = min(self._due_s, now_s + self._wait_s_max)
        return self._due_s


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
        wait_s_max: longer waits are cut to this many seconds.
        since_ns: where the replay begins; a session that is going on then began earlier. None: at its first event.
        monotonic_s: the clock.
        wait: waits this many seconds. If it returns True, the replay ends.

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
        #: The latest instant so far, of an event or a step, nanoseconds since 1970; None: none yet.
        self.now_ns: int | None = None
        self._events = iter(events)
        self._held: Event | None = None
        self._pace = ReplayPace(speed, wait_s_max, since_ns)
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
        """The remaining events before an instant, without waiting."""
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


def deliver(events: Iterable[Event], callbacks: Mapping[type, Callable[..., Any]]) -> int:
    """Call a function for each event, and for each update in a frame, in the order of the record.

        deliver(record.replay(), {OrderUpdate: on_order, GapBegan: on_gap})

    Args:
        events: a replay's, or a `ReplayClock`'s.
        callbacks: type of an event → called with the event; type of an update → called with the update and its event.

    Returns:
        How many events there were.
    """
    count = 0
    for event in events:
        count += 1
        on_event = callbacks.get(type(event))
        if on_event is not None:
            on_event(event)
        if isinstance(event, FrameEvent):
            for update in event.updates:
                on_update = callbacks.get(type(update))
                if on_update is not None:
                    on_update(update, event)
    return count
