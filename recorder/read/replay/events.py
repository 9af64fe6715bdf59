"""What a replay gives: the frames of a record in its order, and the sessions and gaps among them. All frozen."""

import msgspec

from recorder.model import DECODED, REDACTED, Decoded, Update
from recorder.read.records import Gap

#: The error of a frame that claims to be redacted where no sealed entry says so.
ERASED = "its payload is missing, and no sealed redaction covers it: run `recorder verify`"


class FrameEvent(msgspec.Struct, frozen=True, gc=False):
    """A frame, verbatim and decoded. A struct, for it is made in a third of the time of a named tuple."""

    account: str
    #: With `seq`, its name for ever, and the position from which a replay can go on.
    session_id: int
    seq: int
    #: Nanoseconds since 1970, by the recorder's clock.
    received_ns: int
    #: `push`, or `rest`, `sent`, `snapshot` where they are asked for.
    source: str
    payload: bytes
    #: Of a push its topic, of a REST answer path and query of the request.
    topic: str | None
    #: What it tells, by the decoder that recorded it, run again; numbers have the digits that were sent.
    updates: tuple[Update, ...]
    #: What the decoder said, where that is more than topic and updates.
    more: Decoded | None = None

    @property
    def decoded(self) -> Decoded:
        """What the decoder said."""
        return self.more or Decoded(self.topic, DECODED, None, self.updates, None)

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
    """A connection was made; of several recorders, by this one."""

    account: str
    session_id: int
    at_ns: int
    recorder_id: int
    url: str
    topics: tuple[str, ...]


class SessionEnded(msgspec.Struct, frozen=True):
    """A connection was over."""

    account: str
    session_id: int
    at_ns: int
    reason: str
    detail: str | None


class GapBegan(msgspec.Struct, frozen=True):
    """From here on pushes may have been missed; of several recorders, by all of them."""

    account: str
    #: None: the gap before the record.
    at_ns: int | None
    gap: Gap


class GapEnded(msgspec.Struct, frozen=True):
    """From here on the record covers again."""

    account: str
    at_ns: int
    gap: Gap


Event = FrameEvent | SessionBegan | SessionEnded | GapBegan | GapEnded


def instant_ns(event: Event) -> int | None:
    """When an event was, nanoseconds since 1970; None for the beginning of the gap before the record."""
    return event.received_ns if isinstance(event, FrameEvent) else event.at_ns
