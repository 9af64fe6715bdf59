"""The interface between the recorder and an exchange: what a venue must implement. Pure, no sockets.

A new venue is a folder beside `fmex/` whose package offers a `Venue`, and one line in `recorder.venues.VENUES`.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from enum import Enum, auto
from typing import NamedTuple, Protocol

from recorder.model import CONTROL, UNDECODED, Control, Decoded, Instrument, State, Thing, Update
from recorder.venues.stand_in import StandIn

#: An error text in a row is truncated to this many characters; the frame itself never is.
ERROR_CHARS_MAX = 300

#: For sums of money. Decoders accept numbers of at most 100 characters and exponents of at most 99, so even a sum of
#: millions has fewer digits than this; a sum that would lose digits raises.
EXACT = Context(prec=500, traps=[Inexact, InvalidOperation, Overflow])


#: Pushes decoded together: the topic of each, and the updates of each.
Plain = tuple[Sequence[str], Sequence[tuple[Update, ...]]]


class RestRequest(NamedTuple):
    """A request ready to be sent."""

    method: str
    url: str
    headers: Mapping[str, str]


class Credentials(NamedTuple):
    """API credentials. `repr` never shows the secret."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return "Credentials(key=..., secret=...)"


class Known(NamedTuple):
    """What a record knew of an account's orders when the oldest gap to be reconciled began."""

    symbols: tuple[str, ...]
    #: Orders that were not final → how much of each was filled.
    unfinished: Mapping[str, Decimal]
    #: The order that the venue created last; None if there was none.
    newest_order_id: str | None
    #: When that gap began, milliseconds since 1970; None if the only gap is the time before the record.
    since_ms: int | None
    now_ms: int
    #: When the newest of the gaps ended; orders created later were pushed from their first state on. None: now.
    until_ms: int | None = None


#: Makes a signed request from the exchange's address, the credentials, and the time (milliseconds since 1970).
MakeRequest = Callable[[str, Credentials, int], RestRequest]


class Question(NamedTuple):
    """One REST request of a reconciliation."""

    #: Its subject, for people: `balances`, `order 849758102002`.
    subject: str
    request: MakeRequest
    #: The topics it concerns: those that begin with this text. Empty: all of them.
    topic: str = ""


class Unanswered(NamedTuple):
    """A subject whose answers, although readable, cannot be followed to their end."""

    subject: str
    reason: str


class Answer(NamedTuple):
    """What an answer said."""

    #: Its frame's number in the round.
    seq: int
    #: Path and query of the request.
    target: str
    updates: tuple[Update, ...]
    #: Where the next page begins; see `Decoded.next_page`.
    next_page: str | None = None


#: The questions of a reconciliation: yields the next one and is sent its answer, or None if there is none.
Questions = Generator[Question | Unanswered, Answer | None, object]


class Verdict(Enum):
    """What an HTTP answer means for any request."""

    #: It is the answer: decode it.
    ANSWER = auto()
    #: A transient fault: try again.
    TRANSIENT = auto()
    #: The exchange asks for a pause: try again, no sooner than it says.
    WAIT = auto()
    #: Key, signature or clock refused: nothing else will be answered either.
    REFUSED = auto()
    #: The exchange does not have what was asked for, and will not have it later.
    GONE = auto()


class Seen(NamedTuple):
    """A state as one frame showed it."""

    session_id: int
    state: State


#: For each thing its states around the time of a request, oldest first, at least one. None: there was no such thing.
Passed = Mapping[Thing, Sequence[Seen | None]]


class Contradiction(NamedTuple):
    """A snapshot carries a value that the record did not show at any time near it."""

    thing: Thing
    #: For people, such as `order 849758102002`.
    subject: str
    field: str
    #: The frame of the snapshot.
    seq: int
    #: The value in the snapshot, and the one the record showed last; None if there is no such thing.
    told: str | None
    held: str | None
    #: Session of the frame that showed `held`; None if there was none.
    held_session_id: int | None


class Holding(NamedTuple):
    """The fields of a position that the books need."""

    #: In the venue's unit, negative if short; 0 if it is closed.
    quantity: Decimal
    #: As the venue reports it.
    realized_pnl: Decimal


class PnlReading(NamedTuple):
    """One interpretation of a position's realized PnL, where the venue's documentation allows several."""

    name: str
    #: The PnL realized between two states of a position, net of fees.
    realized: Callable[[Holding, Holding], Decimal]


class Accounting(Protocol):
    """How a venue's amounts enter the books. Sums are computed with `EXACT`."""

    #: The most likely first. Books are kept with each; the one that leaves least unexplained counts.
    readings: tuple[PnlReading, ...]

    def instrument(self, symbol: str) -> Instrument:
        """What a symbol means, as far as the venue's documentation says it, where no frame does."""
        ...


class PushSession(Protocol):
    """The exchange's protocol on one connection, as a state machine without I/O."""

    #: Topics that are being pushed.
    acknowledged: set[str]
    #: Topics that the exchange refused, and its messages.
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
    #: The exchange's own address, used if the configuration gives none.
    default_url: str
    #: Seconds between two heartbeats.
    heartbeat_s: float
    #: Largest clock error that the exchange accepts, in milliseconds.
    clock_tolerance_ms: int
    #: Whether it pushes executions. If not, fills are derived from order updates.
    pushes_fills: bool

    def topics(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        """The topics of the private stream for these symbols."""
        ...

    def native_symbol(self, symbol: str) -> str:
        """A symbol as a user may write it, spelled as the venue wants it in subscriptions and requests."""
        ...

    def symbol_of(self, topic: str) -> str | None:
        """The symbol that a topic is about, as records spell it; None: it is not about one symbol."""
        ...

    def push_url(self, url: str) -> str:
        """The address of the push portal, without credentials: what the event log may show."""
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
        """Decode a pushed frame. Raises if it cannot be read; see `read_frame`."""
        ...

    def decode_plain(self, payloads: Sequence[bytes], *, decodable: bool = False) -> Plain | None:
        """Decode many ordinary pushes together: the results of `decode`, but faster.

        Returns None, or raises anything, if one of them may not be ordinary; see `read_plain`.

        Args:
            payloads: of the pushes.
            decodable: whether `decode` has accepted each of them before, so that they need no validation.
        """
        ...

    #: REST rate limit of a user: requests, and the seconds in which they may be sent.
    rest_requests_max: int
    rest_window_s: float

    def classify(self, status: int, body: bytes) -> Verdict:
        """Classify an HTTP answer by its status and body."""
        ...

    def reconciliation(self, known: Known) -> Questions:
        """The questions after a gap. A question without an answer costs only its own subject."""
        ...

    def snapshot(self) -> Questions:
        """The questions for the complete current state of the account."""
        ...

    def contradictions(
        self, answers: Sequence[Answer], topics: Collection[str], passed: Passed
    ) -> tuple[Contradiction, ...]:
        """Values in the answers to `snapshot` that no push around the time of the request carried.

        Args:
            answers: all answers of the snapshot.
            topics: the topics that are pushed; nothing else is compared.
            passed: all states that the record held or received in that time.
        """
        ...

    #: How its amounts enter the books.
    accounting: Accounting

    #: Its server side, for the simulator and for served records.
    stand_in: StandIn

    def decode_answer(self, target: str, payload: bytes) -> Decoded:
        """Decode the answer to a REST request with this path and query. Raises; see `read_answer`."""
        ...


def printable(text: str) -> str:
    """Foreign text made safe for a column and a terminal: a blank replaces each character that is not printable.

    That includes NUL and lone surrogates, which databases refuse, and the control characters of terminals.
    """
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def undecoded(error: str) -> Decoded:
    """The result for a frame that cannot be read.

    The error may quote the frame, so it is made printable: a row that the database refuses would end the run.
    """
    return Decoded(None, UNDECODED, printable(error[:ERROR_CHARS_MAX]), (), None)


def read_frame(venue: Venue, payload: bytes) -> Decoded:
    """Decode any frame. One that cannot be read gives a result with the reason, never an exception.

    Recording, rebuilding and replay all use this. A bug in the decoder is one more reason why a frame cannot be read:
    its bytes are kept, and a better decoder can read them later.
    """
    try:
        return venue.decode(payload)
    except Exception as error:  # noqa: BLE001  nothing may stop the recorder from keeping a frame
        return undecoded(f"{type(error).__name__}: {error}")


def read_plain(venue: Venue, payloads: Sequence[bytes], *, decodable: bool = False) -> Plain | None:
    """Decode many pushes together, with the results of `read_frame`; None if each has to be read on its own.

    Args:
        venue: the venue that sent them.
        payloads: of the pushes.
        decodable: whether `read_frame` has decoded each of them before.
    """
    try:
        return venue.decode_plain(payloads, decodable=decodable)
    except Exception:  # noqa: BLE001  `read_frame` finds out what is wrong with which
        return None


#: Prefix of the topic of an HTTP error: `HTTP 404 /v3/contracts/orders/5`.
HTTP_ERROR = "HTTP "


def error_topic(status: int, target: str, *, masked: bool = False) -> str:
    """The topic of an error answer's frame.

    Args:
        status: of HTTP.
        target: path and query of the request.
        masked: whether a secret in the body was replaced by `***` before it was stored.
    """
    return f"{HTTP_ERROR}{status} {target}{' (secret masked)' if masked else ''}"


def read_answer(venue: Venue, target: str, payload: bytes) -> Decoded:
    """Decode any REST answer, as `read_frame` does. The request's target becomes the frame's topic."""
    if target.startswith(HTTP_ERROR):
        return Decoded(target, CONTROL, None, (), None)
    try:
        return venue.decode_answer(target, payload)
    except Exception as error:  # noqa: BLE001  as above
        return undecoded(f"{type(error).__name__}: {error}")._replace(topic=target)
