"""Topics that an exchange repeats although nothing has changed.

Silence on one means that its subscription is lost; and what only repeats is kept without typed rows.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from recorder.clock import Clock
from recorder.errors import SessionOver
from recorder.model import AccountUpdate, Decoded, Heartbeat, OrderUpdate, PositionUpdate, Update

#: After anything else was pushed or answered, a repeated state has typed rows for this long, seconds. The rows then say
#: what the state was after that, even if an answer is older than it says, and the books allow for 10 s.
UNSETTLED_S = 15.0
#: A state that does not change has typed rows again after this long, seconds.
REPEATED_MAX_S = 3600.0

#: Where the time of a state is, besides its first field.
_UPDATED: dict[type[Update], int] = {
    record: record._fields.index("updated_ms") for record in (AccountUpdate, OrderUpdate, PositionUpdate)
}


class RepeatedTopics:
    """Notices silence on the repeated topics of one session.

    Args:
        limits: what repeated topics begin with → the longest silence on each of them, seconds.
        clock: measures waits.

    Attributes:
        repetitions: recognises pushes of them that only repeat a state.
    """

    def __init__(self, limits: Mapping[str, float], clock: Clock) -> None:
        self.repetitions = Repetitions(limits, clock)
        self._limits = limits
        #: Topic that is expected → the longest silence on it, seconds.
        self._expected_s: dict[str, float] = {}
        #: The same topics → when each is overdue, on the monotonic clock.
        self._overdue_s: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._overdue_s)

    @property
    def due_s(self) -> float:
        """When the first of them is overdue."""
        return min(self._overdue_s.values())

    def begin(self, subscribed: Collection[str], now_s: float) -> None:
        """Expect each subscribed topic that begins with a repeated one, by its own name."""
        for begins, limit_s in self._limits.items():
            self._expected_s |= {own: limit_s for own in subscribed if own.startswith(begins)}
        self._overdue_s = {topic: now_s + limit_s for topic, limit_s in self._expected_s.items()}

    def note(self, topic: str | None, now_s: float) -> None:
        """Note a frame."""
        if topic in self._overdue_s:
            self._overdue_s[topic] = now_s + self._expected_s[topic]

    def excuse(self, wait_s: float) -> None:
        """Allow for a time in which nothing was read."""
        for topic in self._overdue_s:
            self._overdue_s[topic] += wait_s

    def check(self, now_s: float) -> None:
        """Check that none is overdue.

        Raises:
            SessionOver: one is.
        """
        for topic, overdue_s in self._overdue_s.items():
            if now_s >= overdue_s:
                raise SessionOver("silent", f"nothing came for topic {topic} in {self._expected_s[topic]:g} s")


class _Said(NamedTuple):
    """What a topic said, without times, and when on the monotonic clock."""

    content: list[tuple[object, ...]]
    at_s: float


class Repetitions:
    """Recognises the pushes of one session that only repeat a state: no typed row needs to follow from them.

    - All that its updates say, except their times, was said by the last push of its topic that had typed rows.
    - That push came `UNSETTLED_S` after the last other push or answer, and not longer than `REPEATED_MAX_S` ago.

    So the typed rows of a state are always newer than those of anything that could contradict it.

    Args:
        topics: those that are repeated begin with one of these.
        clock: measures waits.
    """

    def __init__(self, topics: Collection[str], clock: Clock) -> None:
        self._topics = tuple(topics)
        self._clock = clock
        self._said: dict[str, _Said] = {}
        self.unsettle()

    def unsettle(self) -> None:
        """Note that something else was pushed or answered. From any thread."""
        self._settled_s = self._clock.monotonic_s() + UNSETTLED_S

    def is_one(self, decoded: Decoded) -> bool:
        """Take a frame. Returns whether it is a repetition."""
        topic, updates = decoded.topic, decoded.updates
        if topic is None or not topic.startswith(self._topics):
            if decoded.control is None and not (updates and type(updates[0]) is Heartbeat):
                self.unsettle()
            return False
        now_s = self._clock.monotonic_s()
        said, content = self._said.get(topic), [_content(one) for one in updates]
        if said is not None and self._settled_s <= said.at_s > now_s - REPEATED_MAX_S and said.content == content:
            return True
        self._said[topic] = _Said(content, now_s)
        return False


def _content(update: Update) -> tuple[object, ...]:
    """What an update says, without the times at which it was so."""
    place = _UPDATED.get(type(update), len(update))
    return (*update[1:place], *update[place + 1 :])
