"""The seam between the recorder and an exchange: what a venue must be able to say. Pure, no sockets.

A new venue is a folder beside `fmex/` whose package offers a `Venue`, and one line in `recorder.venues.VENUES`.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from recorder.model import UNDECODED, Control, Decoded

#: An error text in a row is cut to so many characters; the frame itself is never cut.
ERROR_CHARS_MAX = 300


class RestRequest(NamedTuple):
    """A request ready to be sent."""

    method: str
    url: str
    headers: Mapping[str, str]


class Credentials(NamedTuple):
    """What proves who asks. Its text never shows the secret."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return "Credentials(key=..., secret=...)"


class PushSession(Protocol):
    """The exchange's protocol on one connection, as a state machine: bytes are somebody else's business."""

    #: Topics that are being pushed.
    acknowledged: set[str]
    #: Topics that the exchange refused, and its words.
    refused: dict[str, str]

    @property
    def settled(self) -> bool:
        """Whether every topic has been acknowledged or refused."""
        ...

    def receive(self, control: Control) -> list[bytes]:
        """Take what the exchange said; return the commands to send, in order."""
        ...

    def heartbeat(self, now_ms: int) -> bytes:
        """The command that keeps the connection alive."""
        ...


class Venue(Protocol):
    """One exchange."""

    #: The name in a configuration and in `accounts.venue`.
    name: str
    #: The exchange's own address, where a configuration gives none.
    default_url: str
    #: Seconds between two heartbeats.
    heartbeat_s: float
    #: How far our clock may be off before the exchange refuses us, in milliseconds.
    clock_tolerance_ms: int

    def topics(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        """The topics of the private stream for these symbols."""
        ...

    def push_url(self, url: str) -> str:
        """The address of the push portal, without credentials: what the ledger may show."""
        ...

    def signed_push_url(self, url: str, credentials: Credentials, now_ms: int) -> str:
        """The address to connect to. Secret: it never reaches a log or a table."""
        ...

    def server_time_request(self, url: str) -> RestRequest:
        """The request for the exchange's clock."""
        ...

    def server_time_ms(self, answer: bytes) -> int:
        """The exchange's clock, milliseconds since 1970.

        Raises:
            Undecodable: the answer is something else.
        """
        ...

    def push_session(self, topics: tuple[str, ...]) -> PushSession:
        """The protocol of a new connection."""
        ...

    def decode(self, payload: bytes) -> Decoded:
        """What a frame says. Raises on what it cannot read; see `read_frame`."""
        ...


def undecoded(error: str) -> Decoded:
    """The result for a frame that cannot be read."""
    return Decoded(None, UNDECODED, error[:ERROR_CHARS_MAX], (), None)


def read_frame(venue: Venue, payload: bytes) -> Decoded:
    """What a frame says, whatever it is: a frame that cannot be read is a result too, never an exception.

    Recording, rebuilding and replay all come through here. A fault of our own decoder counts as one more reason why
    the frame could not be read: the bytes are kept, and a better decoder can be run over them later.
    """
    try:
        return venue.decode(payload)
    except Exception as error:  # noqa: BLE001  nothing may stop the recorder from keeping a frame
        return undecoded(f"{type(error).__name__}: {error}")
