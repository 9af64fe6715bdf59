"""Up to where a session has received everything that was pushed to it, and by what that is known.

A frame proves it up to itself, and the answer to a heartbeat up to then: nothing overtakes on a connection. At some
exchanges (`Venue.fails_silently`) a connection can live on, its pings answered, when nothing is pushed to it any more.
There, only a push is a proof, or a snapshot that says what the pushes said. So it is everywhere once the exchange has
refused the key: of a revoked one, some may leave the connection open.
"""

from typing import NamedTuple

from msgspec import structs

from recorder.errors import SessionOver
from recorder.store.entries import SessionEnded

#: Reasons of the end of a session: another one has replaced it; what made the exchange push is gone; REST shows what no
#: push carried; REST refuses the key, and nothing is pushed; a topic has no answer, or its subscription has ended.
REPLACED, TOKEN, DISCREPANCY, KEY_REFUSED = "replaced", "token", "discrepancy", "key refused"
NOT_SUBSCRIBED = "not subscribed"
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
        #: The last push, as in `Place`; a plain pair is made sooner, and pushes are the most frequent frames.
        self._pushed: tuple[int, int] = opened_ns, -1
        self._agreed = Place(opened_ns)
        self._refuted: SessionOver | None = None
        #: The last push when the key was doubted; None: it is not.
        self._doubted: Place | None = None
        #: The last frame when the next session was covered, and the first heartbeat sent from then on.
        self._handover: tuple[Place, int] | None = None

    def pushed(self, received_ns: int, seq: int) -> None:
        """Note a push, or the beginning of coverage."""
        self._pushed = received_ns, seq

    def agreed(self, place: Place) -> None:
        """Note that a snapshot says what the pushes had said by then. From any thread."""
        self._agreed = place

    def doubted(self) -> None:
        """Note that the key may have been revoked: nothing that comes from now on is a proof. From any thread."""
        self._doubted = Place(*self._pushed)

    def trusted(self) -> None:
        """Note that the key is valid after all. From any thread."""
        self._doubted = None

    def refuted(self, why: str, reason: str = DISCREPANCY) -> None:
        """Note that pushes are missing, or may be. From any thread."""
        self._refuted = SessionOver(reason, why)

    def hand_over(self, last: Place, heartbeat: int) -> None:
        """Note that the next session is covered by now.

        Frames of two connections are received in no certain order: one that is read from now on may have been sent
        before the next session was covered, and what was sent behind it be lost. So from now on only the answer to a
        heartbeat that is sent from now on is a proof.

        Args:
            last: the last frame, or the last answer to a heartbeat.
            heartbeat: the number of the first heartbeat that is sent from now on.
        """
        self._handover = last, heartbeat

    def handed_over(self, answered: int) -> bool:
        """Whether everything has been received that was pushed before the next session was covered.

        Args:
            answered: the number of the last heartbeat that was answered.
        """
        return self._handover is not None and answered >= self._handover[1]

    def believed(self, ended: SessionEnded, answered: int) -> SessionEnded:
        """The end of a session, with the place up to which nothing is missing.

        Args:
            ended: its end, with its last frame or the last answer to a heartbeat.
            answered: the number of the last heartbeat that was answered.
        """
        last = Place(ended.last_received_ns, ended.last_seq)
        until = self.until(ended.reason, last, answered)
        if until >= last:
            return ended
        changes: dict[str, object] = {"last_seq": until.seq, "last_received_ns": until.at_ns}
        if self._doubted is not None and ended.reason != KEY_REFUSED:
            changes |= {
                "reason": KEY_REFUSED,
                "detail": f"the exchange refuses the key; {SessionOver(ended.reason, ended.detail)}",
            }
        return structs.replace(ended, **changes)

    def refused_since(self, ended: SessionEnded, answered: int) -> SessionEnded | None:
        """The end of a session after which the exchange refused the key; None: it stays as it was recorded.

        The key may have been revoked before that end, with the connection left open: only pushes are a proof then.

        Args:
            ended: the end, as it was recorded.
            answered: the number of the last heartbeat that was answered.
        """
        if self._doubted is None:
            self.doubted()
        believed = self.believed(ended, answered)
        return None if believed is ended else believed

    def check(self) -> None:
        """Check that no push is missing.

        Raises:
            SessionOver: some are.
        """
        if self._refuted is not None:
            raise self._refuted

    def until(self, reason: str, last: Place, answered: int) -> Place:
        """Up to where nothing is missing.

        Args:
            reason: of the end of the session.
            last: the last frame, or the last answer to a heartbeat.
            answered: the number of the last heartbeat that was answered.
        """
        until = self._until(reason, last)
        return until if self._handover is None or self.handed_over(answered) else min(until, self._handover[0])

    def _until(self, reason: str, last: Place) -> Place:
        if reason == REPLACED or (self._doubted is None and not self._fails_silently):
            return last
        pushed = self._doubted or Place(*self._pushed)
        return pushed if reason in _MISSED else max(pushed, self._agreed)
