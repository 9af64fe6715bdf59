"""Which instant of the record a client has come to. Pure: the monotonic clock is given."""

from recorder.clock import NS_PER_S

#: Further than any two instants of a record lie apart.
FAR_NS = 2.0**64


class Moment:
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
