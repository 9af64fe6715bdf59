"""Time: the clocks, and text for people. Wall time stamps and explains; only the monotonic clock measures."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import NamedTuple

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)([smhd]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
#: Digits of a time since 1970 (between 2001 and 2286) → nanoseconds in its unit.
_EPOCH_NS = {10: NS_PER_S, 13: NS_PER_MS, 16: 1_000, 19: 1}
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Clock(NamedTuple):
    """The two clocks, injectable so that tests can jump one and hold the other, and pass hours in no time."""

    #: Nanoseconds since 1970, UTC; may jump.
    wall_ns: Callable[[], int] = time.time_ns
    #: Seconds from an arbitrary start; never jumps.
    monotonic_s: Callable[[], float] = time.monotonic
    #: Waits for an event, for so many seconds of the monotonic clock at most.
    wait: Callable[[Event, float], object] = Event.wait

    def wall_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return self.wall_ns() // NS_PER_MS


class Nonces:
    """Numbers that rise, whoever asks: times, or greater where the clock does not rise. From any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._turn = Lock()
        self._last = 0

    @contextmanager
    def turn(self, longest_s: float) -> Iterator[None]:
        """Wait until nobody else is within such a block, but no longer than so many seconds."""
        is_ours = self._turn.acquire(timeout=longest_s)
        try:
            yield
        finally:
            if is_ours:
                self._turn.release()

    def next(self, least: int) -> int:
        """A number greater than all before, and no smaller than `least`."""
        with self._lock:
            self._last = max(self._last + 1, least)
            return self._last


def utc_text(ns: int | None) -> str:
    """An instant as people read it, `2020-02-04 07:40:53.662`; empty for no instant."""
    if ns is None:
        return ""
    whole_s, rest_ns = divmod(ns, NS_PER_S)
    try:
        day = datetime.fromtimestamp(whole_s, UTC)
    except (ValueError, OverflowError, OSError):
        return str(ns)  # outside the calendar: the exchange sent nonsense, shown as it is
    return f"{day:%Y-%m-%d %H:%M:%S}.{rest_ns // NS_PER_MS:03d}"


def duration_s(text: str) -> float:
    """Seconds of a duration such as `90s`, `1h30m`, `2d` or plain `30`.

    Raises:
        ValueError: it is not of that form.
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; write for example 30s, 5m, 1h30m or 2d")
    return sum(float(amount) * _UNIT_S[unit] for amount, unit in _PART.findall(text))


def instant_ns(text: str, now_ns: int) -> int:
    """Read an instant.

    Args:
        text: an ISO date or time, in UTC unless it names another zone; a duration ago with its unit, such as `2h`; or
            a time since 1970 whose unit follows from its digits: 10 for seconds, 13 for ms, 16 for µs, 19 for ns.
        now_ns: what "ago" is measured from, nanoseconds since 1970.

    Returns:
        Nanoseconds since 1970.

    Raises:
        ValueError: it is none of these. So is any other plain number but a date (`20200204`).
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) in _EPOCH_NS:
        return int(text) * _EPOCH_NS[len(text)]
    try:
        if not text[-1:].isdigit():
            return now_ns - int(duration_s(text) * NS_PER_S)
    except (ValueError, OverflowError):
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time; write for example 2020-02-04, 2020-02-04T07:40:53Z, 1580802053 (seconds since "
            "1970), or 2h for two hours ago"
        ) from None
    return datetime_ns(when.replace(tzinfo=UTC) if when.tzinfo is None else when)


def datetime_ns(when: datetime) -> int:
    """Nanoseconds since 1970.

    Raises:
        ValueError: it lacks its time zone, and could mean any of them.
    """
    if when.tzinfo is None:
        raise ValueError(f"{when.isoformat()} has no time zone; say for example .replace(tzinfo=datetime.UTC)")
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
