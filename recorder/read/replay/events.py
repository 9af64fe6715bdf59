"""The events of a replay: frames in the order of the record, and the sessions and gaps among them. All frozen."""

import msgspec

from recorder.model import DECODED, REDACTED, Decoded, Update
from recorder.read.records import Gap

#: The error of a frame that claims to be redacted where no sealed entry says so.
ERASED = "its payload is missing, and no sealed redaction covers it: run `recorder verify`"


class FrameEvent(msgspec.Struct, frozen=True, gc=False):
    """A frame, verbatim and decoded. A struct, because making one takes a third of the time of a named tuple."""

    account: str
    #: With `seq`, its permanent name, and the position after which a replay can continue.
    session_id: int
    seq: int
    #: Nanoseconds since 1970, by the recorder's clock.
    received_ns: int
    #: `push`, or `repeated` for a push of a state that has not changed; `rest`, `sent`, `snapshot` if requested.
    source: str
    payload: bytes
    #: The topic of a push; path and query of the request of a REST answer.
    topic: str | None
    #: What it says, decoded again as when it was recorded; numbers have the digits that were sent.
    updates: tuple[Update, ...]
    #: The decoder's result, if that is more than topic and updates.
    more: Decoded | None = None

    @property
    def decoded(self) -> Decoded:
        """The decoder's result."""
        return self.more or Decoded(self.topic, DECODED, updates=self.updates)

    @property
    def status(self) -> str:
        """`decoded`, `control`, `undecoded` (`error` says why), or `redacted`: a sealed entry removed its payload."""
        return DECODED if self.more is None else self.more.status

    @property
    def error(self) -> str | None:
        """Why it could not be decoded."""
        return None if self.more is None else self.more.error

    @property
    def payload_is_missing(self) -> bool:
        """Whether the payload was redacted, or erased without a sealed redaction (`error` then says so)."""
        return self.more is not None and (self.more.status == REDACTED or self.more.error == ERASED)


class SessionBegan(msgspec.Struct, frozen=True):
    """A connection was made, by this recorder."""

    account: str
    session_id: int
    at_ns: int
    recorder_id: int
    url: str
    topics: tuple[str, ...]


class SessionClosed(msgspec.Struct, frozen=True):
    """A connection ended."""

    account: str
    session_id: int
    at_ns: int
    reason: str
    detail: str | None


class GapBegan(msgspec.Struct, frozen=True):
    """From here on pushes may have been missed; with several recorders, by all of them."""

    account: str
    #: None: the gap before the record.
    at_ns: int | None
    gap: Gap


class GapEnded(msgspec.Struct, frozen=True):
    """From here on the record covers the account again."""

    account: str
    at_ns: int
    gap: Gap


Event = FrameEvent | SessionBegan | SessionClosed | GapBegan | GapEnded


def instant_ns(event: Event) -> int | None:
    """The time of an event, nanoseconds since 1970; None for the beginning of the gap before the record."""
    return event.received_ns if isinstance(event, FrameEvent) else event.at_ns
