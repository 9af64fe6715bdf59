"""Up to where a session has received everything that was pushed to it, and by what that is known.

A frame proves it up to itself, and the answer to a heartbeat up to then: nothing overtakes on a connection. At some
exchanges (`Venue.fails_silently`) a connection can live on, its pings answered, when nothing is pushed to it any more.
There, only a push is a proof, or a snapshot that says what the pushes said.
"""

from typing import NamedTuple

from recorder.errors import SessionOver

#: Reasons of the end of a session: another one has replaced it; what made the exchange push is gone; REST shows what no
#: push carried.
REPLACED, TOKEN, DISCREPANCY = "replaced", "token", "discrepancy"
#: Those that say that pushes were missing before the end.
_MISSED = frozenset([TOKEN, DISCREPANCY])


class Place(NamedTuple):
    """A point of a session."""

    #: When, nanoseconds since 1970.
    at_ns: int
    #: The last frame received by then; -1: none.
    seq: int = -1


class Proof:
    """What a session can prove.

    Args:
        opened_ns: when it was opened, nanoseconds since 1970.
        fails_silently: whether answers to heartbeats are no proof; see `Venue.fails_silently`.
    """

    def __init__(self, opened_ns: int, *, fails_silently: bool) -> None:
        self._fails_silently = fails_silently
        self._pushed = Place(opened_ns)
        self._agreed = Place(opened_ns)
        self._doubt = ""

    def pushed(self, received_ns: int, seq: int) -> None:
        """Note a push, or the beginning of coverage: needed only where heartbeats prove nothing."""
        if self._fails_silently:
            self._pushed = Place(received_ns, seq)

    def agreed(self, place: Place) -> None:
        """Note that a snapshot says what the pushes had said by then. From any thread."""
        self._agreed = place

    def refuted(self, why: str) -> None:
        """Note that pushes are missing. From any thread."""
        self._doubt = why

    def check(self) -> None:
        """Check that no push is missing.

        Raises:
            SessionOver: some are.
        """
        if self._doubt:
            raise SessionOver(DISCREPANCY, self._doubt)

    def until(self, reason: str, last: Place) -> Place:
        """Up to where nothing is missing.

        Args:
            reason: of the end of the session.
            last: the last frame, or the last answer to a heartbeat.
        """
        if not self._fails_silently or reason == REPLACED:
            return last
        return self._pushed if reason in _MISSED else max(self._pushed, self._agreed)
