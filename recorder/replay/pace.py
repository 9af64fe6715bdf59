"""When replayed events are due. Pure: the clock is given."""

from recorder.clock import NS_PER_S


def speed_of(text: str) -> float | None:
    """How many times as fast: `1`, `10`, `0.5`, or `max`: None.

    Raises:
        ValueError: it is none of these.
    """
    try:
        speed = None if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if speed is not None and not 0 < speed < float("inf"):
        raise ValueError(f"{text!r} is not a speed; write 1 for the pace of the record, 10, 0.5, or max")
    return speed


class Pace:
    """The pace of a record, or a multiple of it.

    The first event is due at once. Whoever was late catches up: the schedule is kept, not the distances.

    Args:
        speed: 1 for the pace of the record, 10 for ten times as fast; None for as fast as possible.
        wait_s_max: a longer wait is cut to so many seconds, as over a gap; None: none is.
        since_ns: where the replay begins: what had begun before and goes on there is told there. None: everywhere.

    Raises:
        ValueError: speed or wait is not above zero.
    """

    def __init__(self, speed: float | None = 1.0, wait_s_max: float | None = None, since_ns: int | None = None) -> None:
        if speed is not None and not 0 < speed < float("inf"):
            raise ValueError(f"a speed of {speed} is no pace; write 1, 10, 0.5, or None for as fast as possible")
        if wait_s_max is not None and not wait_s_max > 0:
            raise ValueError(f"waits of at most {wait_s_max} s are none; take the speed None for that")
        self._speed = speed
        self._wait_s_max = wait_s_max
        self._since_ns = since_ns
        self._latest_ns: int | None = None
        self._due_s = 0.0

    def due_s(self, instant_ns: int | None, now_s: float) -> float:
        """When an event is due, on the monotonic clock that gave `now_s`; in the past, or now: at once.

        Args:
            instant_ns: of the event, nanoseconds since 1970; one before the last counts as the last. None: at once.
            now_s: now, seconds.
        """
        if self._speed is None or instant_ns is None:
            return now_s
        if self._since_ns is not None:
            instant_ns = max(instant_ns, self._since_ns)
        if self._latest_ns is None:
            self._latest_ns, self._due_s = instant_ns, now_s
        distance_ns = max(instant_ns - self._latest_ns, 0)
        self._latest_ns += distance_ns
        self._due_s += distance_ns / NS_PER_S / self._speed
        if self._wait_s_max is not None:
            self._due_s = min(self._due_s, now_s + self._wait_s_max)
        return self._due_s
