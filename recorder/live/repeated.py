"""Topics that an exchange repeats although nothing has changed: silence on one means that its subscription is lost."""

from collections.abc import Collection, Mapping

from recorder.errors import SessionOver


class RepeatedTopics:
    """Notices silence on the repeated topics of one session.

    Args:
        limits: topic of frames → the longest silence, seconds.
    """

    def __init__(self, limits: Mapping[str, float]) -> None:
        self._limits = limits
        #: Topic → when it is overdue, on the monotonic clock.
        self._overdue_s: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._overdue_s)

    @property
    def due_s(self) -> float:
        """When the first of them is overdue."""
        return min(self._overdue_s.values())

    def begin(self, subscribed: Collection[str], now_s: float) -> None:
        """Expect those that a subscription is about: one that begins with the topic."""
        for topic, limit_s in self._limits.items():
            if any(own.startswith(topic) for own in subscribed):
                self._overdue_s[topic] = now_s + limit_s

    def note(self, topic: str | None, now_s: float) -> None:
        """Note a frame."""
        if topic in self._overdue_s:
            self._overdue_s[topic] = now_s + self._limits[topic]

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
                raise SessionOver("silent", f"nothing came for topic {topic} in {self._limits[topic]:g} s")
