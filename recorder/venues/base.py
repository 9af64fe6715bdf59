"""The interface between the recorder and an exchange: what a venue must implement. Pure, no sockets.

A new venue is a folder beside `fmex/` whose package offers a `Venue`, and one line in `recorder.venues.VENUES`.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from enum import Enum, auto
from typing import NamedTuple, Protocol, TypeVar

from recorder.model import CONTROL, UNDECODED, Control, Decoded, Instrument, State, Thing, Update
from recorder.venues.stand_in import StandIn

T = TypeVar("T")

#: An error text in a row is truncated to this many characters; the frame itself never is.
ERROR_CHARS_MAX = 300

#: For sums of money. Decoders accept numbers of at most 100 characters and exponents of at most 99, so even a sum of
#: millions has fewer digits than this; a sum that would lose digits raises.
EXACT = Context(prec=500, traps=[Inexact, InvalidOperation, Overflow])


#: Pushes decoded together: the topic of each, and the updates of each.
Plain = tuple[Sequence[str], Sequence[tuple[Update, ...]]]


class CredentialField(NamedTuple):
    """One credential of a venue, as a configuration names it."""

    name: str
    #: Whether it must never be shown or stored, and is therefore named by `env:` or `file:`.
    is_secret: bool = True


class Credentials:
    """The credentials of one account, by the names of `Venue.credential_fields`. `repr` shows no value.

    Args:
        public: those that may be shown, such as an address.
        secret: all others.
    """

    def __init__(self, public: Mapping[str, str] | None = None, /, **secret: str) -> None:
        self._values = {**(public or {}), **secret}
        #: The secret values, which must not be shown or stored.
        self.secrets = tuple(secret.values())

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    @property
    def values(self) -> tuple[str, ...]:
        """All values."""
        return tuple(self._values.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and self._values == other._values

    def __hash__(self) -> int:
        return hash(self.values)

    def __repr__(self) -> str:
        return f"Credentials({', '.join(self._values)})"


class Login(NamedTuple):
    """What a venue needs to know of an account."""

    #: The address of the REST interface, without a path.
    url: str
    #: The address of the sockets, without a path.
    stream_url: str
    credentials: Credentials
    #: The symbols to record; empty: all, where the venue can push all.
    symbols: tuple[str, ...]


class Environment(NamedTuple):
    """The addresses of one of the venue's environments, such as its testnet."""

    url: str
    stream_url: str


class Stream(NamedTuple):
    """One private socket of an account."""

    #: Its address without credentials: what the event log may show.
    url: str
    #: The topics to subscribe to.
    topics: tuple[str, ...]
    #: Empty where the venue has one stream.
    name: str = ""


class Command(NamedTuple):
    """A command in two forms: the bytes to send, and the bytes to record where those contain a secret."""

    sent: bytes
    masked: bytes | None = None

    @property
    def recorded(self) -> bytes:
        """The bytes to record."""
        return self.sent if self.masked is None else self.masked


class RestRequest(NamedTuple):
    """A request ready to be sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


def target_of(request: RestRequest, url: str) -> str:
    """What a request asks for, as the topic of its answer's frame says it.

    Of a GET: path and query; of any other method: method, path and query, and the body.

    Args:
        request: the request.
        url: the address of the REST interface.
    """
    target = request.url.removeprefix(url)
    return target if request.method == "GET" else f"{request.method} {target} {request.body.decode()}".rstrip()


class RestLimit(NamedTuple):
    """A rate limit of the venue: the sum of the costs of the requests sent within any window of this length."""

    cost_max: int
    window_s: float


#: Makes a signed request from the address of the REST interface, the credentials, and the time (ms since 1970).
MakeRequest = Callable[[str, Credentials, int], RestRequest]

#: Requests whose answers may contain secrets, and are therefore not recorded: yields a request and is sent the answer's
#: body. Raises `Undecodable` if it is not what it should be, or `Refused`.
Unrecorded = Generator[MakeRequest, bytes, T]


class Token(NamedTuple):
    """A secret that the venue issues for a session: a listen key, an access token."""

    text: str
    #: Seconds after which it is renewed.
    renew_s: float

    def __repr__(self) -> str:
        return "Token(...)"


RequestToken = Callable[[Login], Unrecorded[Token]]
RenewToken = Callable[[Login, Token], Unrecorded[Token]]


class Purpose(Enum):
    """Why a venue is asked over REST. Answers to all but `SNAPSHOT` make typed rows."""

    #: The complete current state: balances, positions and open orders.
    SNAPSHOT = auto()
    #: Everything that happened in gaps, and the current state.
    RECONCILE = auto()
    #: What is never pushed: transactions, instruments. Asked regularly.
    REGULAR = auto()
    #: What happened before the record began.
    BACKFILL = auto()


class Known(NamedTuple):
    """What a record knows of an account before the venue is asked.

    For `RECONCILE`: when the oldest gap to be reconciled began. For `REGULAR`: `since_ms` is the time of the newest
    transaction. For `BACKFILL`: `until_ms` is when the record begins, and `since_ms` how far back to ask.
    """

    symbols: tuple[str, ...]
    #: Orders that were not final → how much of each was filled.
    unfinished: Mapping[str, Decimal]
    #: The order that the venue created last; None if there was none.
    newest_order_id: str | None
    #: When that gap began, milliseconds since 1970; None if the only gap is the time before the record. None for
    #: `REGULAR` and `BACKFILL`: as far back as the venue can answer.
    since_ms: int | None
    now_ms: int
    #: When the newest of the gaps ended; orders created later were pushed from their first state on. None: now.
    until_ms: int | None = None
    #: Subjects that earlier rounds of a backfill have completed.
    done: Collection[str] = ()


class Question(NamedTuple):
    """One REST request of a reconciliation."""

    #: Its subject, for people: `balances`, `order 849758102002`.
    subject: str
    request: MakeRequest
    #: The topics it concerns: those that begin with this text. Empty: all of them.
    topic: str = ""
    #: What it counts towards the venue's rate limits.
    cost: int = 1


class Unanswered(NamedTuple):
    """A subject whose answers, although readable, cannot be followed to their end. It is asked about again later."""

    subject: str
    reason: str


class Forgotten(NamedTuple):
    """A subject that the venue no longer remembers, so that it is lost for good: `fills before 2026-01-01`."""

    subject: str
    reason: str
    #: As in `Question`.
    topic: str = ""


class Completed(NamedTuple):
    """A subject of a backfill whose answers are complete: the next round leaves it out."""

    subject: str


#: What the questions of a round consist of.
Step = Question | Unanswered | Forgotten | Completed


class Answer(NamedTuple):
    """What an answer said."""

    #: Its frame's number in the round.
    seq: int
    #: Path and query of the request.
    target: str
    updates: tuple[Update, ...]
    #: Where the next page begins; see `Decoded.next_page`.
    next_page: str | None = None


#: The questions of a round: yields the next one and is sent its answer, or None if there is none.
Questions = Generator[Step, Answer | None, object]


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

    def opening(self, now_ms: int) -> list[Command]:
        """The commands to send at once; empty where the exchange speaks first."""
        ...

    def receive(self, control: Control, now_ms: int) -> list[Command]:
        """Take what the exchange said; return the commands to send, in order.

        Raises:
            Refused: it refused the login.
        """
        ...

    def heartbeat(self, now_ms: int) -> Command | None:
        """The command that keeps the connection alive; None: a ping of the WebSocket protocol."""
        ...


class Venue(Protocol):
    """One exchange."""

    #: The name in a configuration and in `accounts.venue`.
    name: str
    #: The credentials that a configuration must give, in the order in which it shows them.
    credential_fields: tuple[CredentialField, ...]
    #: Name in a configuration → addresses; the first is the default.
    environments: Mapping[str, Environment]
    #: Whether a configuration must name symbols, because nothing is pushed for all of them.
    needs_symbols: bool
    #: Seconds between two heartbeats.
    heartbeat_s: float
    #: Seconds after which a new connection replaces the old one, before the exchange disconnects it for its age; None:
    #: it does not.
    connection_max_s: float | None
    #: Topics (of frames) that the exchange repeats although nothing has changed → seconds: a longer silence on one of
    #: them ends the connection, which may have lost its subscriptions.
    repeated_topics: Mapping[str, float]
    #: Largest clock error that the exchange accepts, in milliseconds.
    clock_tolerance_ms: int
    #: Whether it pushes executions. If not, fills are derived from order updates.
    pushes_fills: bool

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """The sockets of an account, and the topics of each."""
        ...

    def native_symbol(self, symbol: str) -> str:
        """A symbol as a user may write it, spelled as the venue wants it in subscriptions and requests."""
        ...

    def symbol_of(self, topic: str) -> str | None:
        """The symbol that a topic is about, as records spell it; None: it is not about one symbol."""
        ...

    def check(self, login: Login) -> Unrecorded[tuple[str, ...]]:
        """Ask what the credentials may do. Returns warnings for the user, such as that the key can withdraw.

        Raises:
            Refused: the account cannot be recorded with them.
        """
        ...

    #: Requests a token before a connection is made; None: the venue has none.
    token: RequestToken | None
    #: Renews a token while a connection lives.
    renew: RenewToken | None

    def connection_url(self, stream: Stream, login: Login, token: Token | None, now_ms: int) -> str:
        """The address to connect to. It may contain secrets: it never reaches a log or a table."""
        ...

    def push_session(self, stream: Stream, login: Login, token: Token | None) -> PushSession:
        """The protocol of a new connection."""
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

    def decode_answer(self, target: str, payload: bytes) -> Decoded:
        """Decode the answer to a REST request (`target_of`). Raises; see `read_answer`."""
        ...

    #: The rate limits of its REST interface.
    rest_limits: tuple[RestLimit, ...]

    def classify(self, status: int, body: bytes) -> Verdict:
        """Classify an HTTP answer by its status and body."""
        ...

    def wait_s(self, status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> float:
        """How long the exchange asks to wait before the next request, in seconds; 0 if it does not say.

        Args:
            status: of HTTP.
            headers: of the answer, their names in lower case.
            body: of the answer.
            now_ms: milliseconds since 1970.
        """
        ...

    def questions(self, purpose: Purpose, known: Known) -> Questions:
        """What to ask over REST. A question without an answer costs only its own subject."""
        ...

    def contradictions(
        self, answers: Sequence[Answer], topics: Collection[str], passed: Passed
    ) -> tuple[Contradiction, ...]:
        """Values in the answers to a snapshot that no push around the time of the request carried.

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


def no_questions() -> Questions:
    """For a purpose that a venue has no questions for."""
    yield from ()
    return None


def unchecked() -> Unrecorded[tuple[str, ...]]:
    """For a venue that cannot be asked what credentials may do: no warnings."""
    yield from ()
    return ()


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
