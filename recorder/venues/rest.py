"""Logins, and requests to a venue's REST interface: how they are made, what they are for, what answers mean. Pure."""

from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from enum import Enum, auto
from typing import NamedTuple, TypeVar

from recorder.clock import Nonces
from recorder.errors import UNREADABLE, Undecodable
from recorder.model import Update

T = TypeVar("T")


class CredentialField(NamedTuple):
    """One credential of a venue, as a configuration names it."""

    name: str
    #: Whether it must never be shown or stored, and is therefore named by `env:` or `file:`.
    is_secret: bool = True


#: The newest secrets that the exchange gave are remembered, more than are valid at a time.
LEARNED_MAX = 64


class Credentials:
    """The credentials of one account, by the names of `Venue.credential_fields`. `repr` shows no value.

    Args:
        public: those that may be shown, such as an address.
        secret: all others.
    """

    def __init__(self, public: Mapping[str, str] | None = None, /, **secret: str) -> None:
        self._values = {**(public or {}), **secret}
        self._secrets = tuple(secret.values())
        self._learned: deque[str] = deque(maxlen=LEARNED_MAX)
        self._nonces = Nonces()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown or stored: the secret values, and what was learned since."""
        return (*self._secrets, *self._learned)

    def learn(self, *secrets: str) -> None:
        """Note secrets that the exchange gave for these credentials, such as a token. From any thread."""
        self._learned.extend(one for one in secrets if one not in self.secrets)

    def nonce(self, least: int) -> int:
        """A number greater than all before, for exchanges that take no smaller one with a later request.

        From any thread. Where it is a time, it also rises from run to run.

        Args:
            least: it is no smaller.
        """
        return self._nonces.next(least)

    def turn(self, longest_s: float) -> AbstractContextManager[None]:
        """Wait until nobody else is within such a block, but no longer than so many seconds.

        Two requests whose numbers rise may arrive the other way round, and an exchange then refuses one of them.
        """
        return self._nonces.turn(longest_s)

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
    #: One of `Venue.environments`; empty: the first.
    environment: str = ""


class RestRequest(NamedTuple):
    """A request ready to be sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    #: What authenticates it, where that stands at the end of the address: sent after `url`, never shown or recorded.
    signed: str = ""

    @property
    def address(self) -> str:
        """Where it is sent to."""
        return self.url + self.signed


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
    #: Of an address of the REST interface, under which name the exchange counts the requests of all accounts from one
    #: IP address together; None: it counts those of each account.
    shared_at: Callable[[str], str] | None = None


#: Makes a signed request from the address of the REST interface, the credentials, and the time (ms since 1970).
MakeRequest = Callable[[str, Credentials, int], RestRequest]

#: Requests whose answers may contain secrets, and are therefore not recorded: yields a request and is sent the answer's
#: body. Raises one of `errors.UNREADABLE` if it is not what it should be, or `Refused`.
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
    #: What is never pushed, such as transactions, or now and then not. Asked regularly.
    REGULAR = auto()
    #: What symbols mean (`model.Instrument`). Asked once in each run, then daily, and when the account trades a symbol
    #: that no answer describes; at the same times as `REGULAR`, after it.
    INSTRUMENTS = auto()
    #: What happened before the record began.
    BACKFILL = auto()


class Traded(NamedTuple):
    """What an order or a position is of."""

    #: See `OrderUpdate.market`.
    market: str | None
    symbol: str | None
    #: Of a position in hedge mode: `long` or `short`.
    position_side: str | None = None


class OrderKey(NamedTuple):
    """Which order: the ids of some venues are unique only within a symbol."""

    #: See `OrderUpdate.market`.
    market: str | None
    #: None: no update of the order has named it.
    symbol: str | None
    order_id: str


class Known(NamedTuple):
    """What a record knows of an account before the venue is asked.

    For `RECONCILE`: when the oldest gap to be reconciled began. For `REGULAR`: `since_ms` is a little before the newest
    transaction, or before the record began. For `BACKFILL`: `until_ms` is when the record begins, and `since_ms` how
    far back to ask. Ask for what happened (orders, fills, transactions); a backfill says nothing about the current
    state.
    """

    symbols: tuple[str, ...]
    #: Orders that were not final → how much of each was filled.
    unfinished: Mapping[OrderKey, Decimal]
    #: The order that the venue created last; None if there was none.
    newest_order_id: str | None
    #: When that gap began, milliseconds since 1970; None if the only gap is the time before the record. None for
    #: `REGULAR`: a week, or since the record began. None for `BACKFILL`: as far back as the venue can answer.
    since_ms: int | None
    now_ms: int
    #: When the newest of the gaps ended; orders created later were pushed from their first state on. None: now.
    until_ms: int | None = None
    #: Subjects that earlier rounds of a backfill have completed.
    done: Collection[str] = ()
    #: For `RECONCILE`, the venue's time of the newest fill that the record had when the gap began, milliseconds since
    #: 1970; None: it had none. Where the two differ, `since_ms` is when the last frame was received.
    last_fill_ms: int | None = None
    #: For `INSTRUMENTS`, `RECONCILE` and `BACKFILL`: what the account's orders and positions are of. Ask only about
    #: these, or only about their markets, where the venue can be asked so; each answer is stored for ever.
    instruments: Collection[Traded] = ()
    #: For `RECONCILE`, what the positions are of that are not flat in the record. Where the venue lists only open
    #: positions, ask for these one by one: the answer says that one was closed, and the list says nothing.
    positions: Collection[Traded] = ()
    #: For `RECONCILE`, currency and wallet of the balances that are not zero in the record. Where a list leaves out
    #: zeros, one that is missing has been spent, and only a list with zeros says so.
    balances: Collection[tuple[str | None, ...]] = ()
    #: Of the account, as `Login.environment`: for venues where environments have paths of their own.
    environment: str = ""
    #: For `RECONCILE`: the streams with a gap that began within the record (`Stream.name`).
    streams: Collection[str] = ()
    #: For `REGULAR`: a little before the last round that was complete began, or else the record, milliseconds since
    #: 1970. Ask from then on for what is pushed, but now and then not.
    asked_ms: int | None = None
    #: Those of `unfinished` that wait for a trigger, or of which nothing said how much was filled. Where conditional
    #: orders have ids of their own, no question for an ordinary order finds them.
    conditional: Collection[OrderKey] = ()


class Question(NamedTuple):
    """One REST request of a reconciliation."""

    #: Its subject, for people: `balances`, `order 849758102002`.
    subject: str
    request: MakeRequest
    #: The topics it concerns: those that begin with this text. Empty: all of them.
    topic: str = ""
    #: What it counts towards the venue's rate limits, at most.
    cost: int = 1
    #: What it counted, by the number of rows in its answer; None: always `cost`.
    cost_of_rows: Callable[[int], int] | None = None


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
    #: Only gaps of this stream lack it (`Stream.name`); None: those of any stream.
    stream: str | None = None


class Completed(NamedTuple):
    """A subject of a backfill whose answers are complete: the next round leaves it out (`Known.done`).

    A subject that names a period must name the same one in every round: cut periods at multiples of their length, or
    from `Known.until_ms`, and never from the time of the round.
    """

    subject: str
    #: What there is history of from now on, for people, such as `fills` or `orders of spot`; empty: it does not say.
    history: str = ""
    #: The period that is complete, milliseconds since 1970, without its end; None: unknown.
    since_ms: int | None = None
    until_ms: int | None = None


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


#: The questions of a round: yields the next step; after a `Question` it is sent the answer, or None if there is none.
Questions = Generator[Step, Answer | None, object]


class Verdict(Enum):
    """What an HTTP answer means for any request."""

    #: It is the answer: decode it.
    ANSWER = auto()
    #: The exchange cannot answer now, as in maintenance: try again.
    TRANSIENT = auto()
    #: It does not come from the exchange: a page of a proxy, or of another address. Try again.
    FOREIGN = auto()
    #: The exchange asks for a pause: try again, no sooner than it says.
    WAIT = auto()
    #: Key, signature or clock refused: nothing else will be answered either.
    REFUSED = auto()
    #: The exchange does not have what was asked for, and will not have it later.
    GONE = auto()


#: What HTTP statuses mean on most venues if an error of the exchange says no more; any other one is transient.
STATUSES = {401: Verdict.REFUSED, 403: Verdict.WAIT, 404: Verdict.GONE, 451: Verdict.REFUSED}
#: What they mean whatever the body is: too many requests, and a ban for them.
_SLOWER = frozenset([418, 429])
#: What they mean where the exchange has not said anything itself.
_IN_FRONT = {403: Verdict.WAIT, 408: Verdict.TRANSIENT, 425: Verdict.TRANSIENT, 503: Verdict.WAIT}

#: Reads the body of an HTTP answer, given its status: what it says; None: it is an error that does not tell. Raises one
#: of `errors.UNREADABLE` if the body is none of the exchange's own.
ReadVerdict = Callable[[int, bytes], Verdict | None]


def verdict_of(status: int, body: bytes, read: ReadVerdict, statuses: Mapping[int, Verdict] = STATUSES) -> Verdict:
    """What an HTTP answer means, by the one rule of all venues.

    Only the exchange itself can say that it does not have something, or that it refuses a key. What a proxy, a firewall
    or a CDN in front of it says, passes, whatever the status is.

    Args:
        status: of HTTP.
        body: of the answer.
        read: reads the body.
        statuses: what the statuses of errors mean that do not tell; any other one is transient.
    """
    if status in _SLOWER:
        return Verdict.WAIT
    try:
        said = read(status, body)
    except UNREADABLE:
        if status == 401 and not is_page(body):
            return Verdict.REFUSED  # exchanges say so in plain words, too, or in none
        return _IN_FRONT.get(status, Verdict.TRANSIENT if status >= 500 else Verdict.FOREIGN)
    if said is None:
        return statuses.get(status, Verdict.TRANSIENT)
    return Verdict.TRANSIENT if said is Verdict.ANSWER and status != 200 else said


def is_page(body: bytes) -> bool:
    """Whether it is HTML or XML, which no exchange answers requests with."""
    return body.lstrip().startswith(b"<")


def read_json(status: int, body: bytes) -> Verdict | None:
    """A `ReadVerdict` for exchanges whose errors are known by their status only."""
    if body.lstrip()[:1] not in {b"{", b"["}:
        raise Undecodable("it is no JSON")
    return Verdict.ANSWER if status == 200 else None


def no_questions() -> Questions:
    """For a purpose that a venue has no questions for."""
    yield from ()
    return None
