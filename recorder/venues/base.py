"""The seam between the recorder and an exchange: what a venue must be able to say. Pure, no sockets.

A new venue is a folder beside `fmex/` whose package offers a `Venue`, and one line in `recorder.venues.VENUES`.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from enum import Enum, auto
from typing import NamedTuple, Protocol

from recorder.model import CONTROL, UNDECODED, Control, Decoded, State, Thing, Update
from recorder.venues.stand_in import StandIn

#: An error text in a row is cut to so many characters; the frame itself is never cut.
ERROR_CHARS_MAX = 300

#: For sums of money. Decoders take numbers of 100 characters and exponents of 99 at most, so that a sum of millions has
#: fewer digits than this; one that could lose any would raise.
EXACT = Context(prec=500, traps=[Inexact, InvalidOperation, Overflow])


#: What pushes say that are decoded and nothing else: their topics, and the updates of each.
Plain = tuple[Sequence[str], Sequence[tuple[Update, ...]]]


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


class Known(NamedTuple):
    """What a record knew of an account's orders when the oldest gap to be reconciled began."""

    symbols: tuple[str, ...]
    #: Orders that were not final → how much of each was filled.
    unfinished: Mapping[int, Decimal]
    #: The newest order; None if there was none.
    last_order_id: int | None
    #: When that gap began, milliseconds since 1970; None if the only gap is the time before the record.
    since_ms: int | None
    now_ms: int
    #: When the newest of the gaps ended; orders created later were pushed from their first state on. None: now.
    until_ms: int | None = None


#: Makes a signed request from the exchange's address, the credentials, and the time (milliseconds since 1970).
MakeRequest = Callable[[str, Credentials, int], RestRequest]


class Question(NamedTuple):
    """One REST request of a reconciliation."""

    #: What it asks about, for people: `balances`, `order 849758102002`.
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


#: The questions of a reconciliation: yields the next one, takes its answer, or None if there is none to be had.
Questions = Generator[Question | Unanswered, Answer | None, object]


class Verdict(Enum):
    """What an HTTP answer means for the request, whatever was asked."""

    #: It is the answer: decode it.
    ANSWER = auto()
    #: A passing fault: try again.
    TRANSIENT = auto()
    #: The exchange asks to be left alone for a while: try again, no sooner than it says.
    WAIT = auto()
    #: Key, signature or clock refused: nothing else will be answered either.
    REFUSED = auto()
    #: The exchange does not have what was asked for, and will not have it later.
    GONE = auto()


class Seen(NamedTuple):
    """A state as one frame showed it."""

    session_id: int
    state: State


#: The states that each thing was seen in around the time of asking, oldest first, one at least. None: it was not there.
Passed = Mapping[Thing, Sequence[Seen | None]]


class Contradiction(NamedTuple):
    """A snapshot tells a value that the record showed at no time near it."""

    thing: Thing
    #: For people, such as `order 849758102002`.
    subject: str
    field: str
    #: The frame of the snapshot that tells.
    seq: int
    #: What it tells, and what the record showed last; None: that there is no such thing.
    told: str | None
    held: str | None
    #: Session of the frame that showed what was held; None where nothing was.
    held_session_id: int | None


class Holding(NamedTuple):
    """A position as far as the books need it."""

    #: Contracts, not negative; 0 where it is closed.
    quantity: Decimal
    #: As the exchange tells it.
    realized_pnl: Decimal


class Reading(NamedTuple):
    """A way to read what a position says it realized, where the exchange leaves room for more than one."""

    name: str
    #: What was realized from one state of a position to the next, net of fees.
    realized: Callable[[Holding, Holding], Decimal]


class Accounting(Protocol):
    """What an exchange's amounts mean for the books. Sums are made with `EXACT`."""

    #: The likeliest first. Books are kept by each; the one that leaves least unexplained counts.
    readings: tuple[Reading, ...]

    def balance(
        self, available: Decimal | None, frozen: Decimal | None, position_margin: Decimal | None
    ) -> Decimal | None:
        """All that is owned of a currency; None where a part was not told."""
        ...

    def currency(self, symbol: str) -> str:
        """What a position in this contract gains and loses, where no order in it has told."""
        ...


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
        """What a pushed frame says. Raises on what it cannot read; see `read_frame`."""
        ...

    def decode_plain(self, payloads: Sequence[bytes], *, decodable: bool = False) -> Plain | None:
        """What pushes say that hold no surprise, looked at together: as `decode` of each, but faster.

        None, or anything raised: one may hold a surprise; see `read_plain`.

        Args:
            payloads: of the pushes.
            decodable: `decode` has read each of them before; what only tells whether it can need not be looked at.
        """
        ...

    #: Statuses in which an order can change no more.
    final_statuses: frozenset[str]

    def liquidity(self, features: int | None, order_type: str | None) -> str:
        """Whether an order can only ever be filled as `maker`, or as `taker`; otherwise `unknown`."""
        ...

    #: A user may send so many REST requests in so many seconds.
    rest_requests_max: int
    rest_window_s: float

    def classify(self, status: int, body: bytes) -> Verdict:
        """What an HTTP answer means, by its status and its body."""
        ...

    def reconciliation(self, known: Known) -> Questions:
        """What to ask after a gap. A question without an answer costs only its own subject."""
        ...

    def snapshot(self) -> Questions:
        """What to ask for the whole state of the account as it is now."""
        ...

    def contradictions(
        self, answers: Sequence[Answer], topics: Collection[str], passed: Passed
    ) -> tuple[Contradiction, ...]:
        """Where the answers to `snapshot` tell a value that the record did not pass through around the time of asking.

        Args:
            answers: all of them.
            topics: what is pushed; nothing else is compared.
            passed: everything that was held, or came.
        """
        ...

    #: How its amounts go together.
    accounting: Accounting

    #: Its own side, for whoever stands in for it.
    stand_in: StandIn

    def decode_answer(self, target: str, payload: bytes) -> Decoded:
        """What a REST answer says: target is the request's path and query. Raises; see `read_answer`."""
        ...


def printable(text: str) -> str:
    """Somebody else's words, fit for a column and a terminal: a blank for whatever is not to be printed.

    That is NUL, which no SQL text holds, a lone surrogate, which no database takes, and what a terminal would obey.
    """
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def undecoded(error: str) -> Decoded:
    """The result for a frame that cannot be read.

    The words may quote the frame, and a row that the database refuses would end the run.
    """
    return Decoded(None, UNDECODED, printable(error[:ERROR_CHARS_MAX]), (), None)


def read_frame(venue: Venue, payload: bytes) -> Decoded:
    """What a frame says, whatever it is: a frame that cannot be read is a result too, never an exception.

    Recording, rebuilding and replay all come through here. A fault of our own decoder counts as one more reason why
    the frame could not be read: the bytes are kept, and a better decoder can be run over them later.
    """
    try:
        return venue.decode(payload)
    except Exception as error:  # noqa: BLE001  nothing may stop the recorder from keeping a frame
        return undecoded(f"{type(error).__name__}: {error}")


def read_plain(venue: Venue, payloads: Sequence[bytes], *, decodable: bool = False) -> Plain | None:
    """What many pushes say, of each what `read_frame` says; None where each has to be read on its own.

    Args:
        venue: whose they are.
        payloads: of the pushes.
        decodable: `read_frame` has read each of them before.
    """
    try:
        return venue.decode_plain(payloads, decodable=decodable)
    except Exception:  # noqa: BLE001  `read_frame` tells what is wrong, and with which
        return None


#: The topic of a REST answer that is not an answer to the question begins so: `HTTP 404 /v3/contracts/orders/5`.
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
    """What a REST answer says, whatever it is; as `read_frame`. Its target is the frame's topic."""
    if target.startswith(HTTP_ERROR):
        return Decoded(target, CONTROL, None, (), None)
    try:
        return venue.decode_answer(target, payload)
    except Exception as error:  # noqa: BLE001  as above
        return undecoded(f"{type(error).__name__}: {error}")._replace(topic=target)
