"""The server side of a venue: what it takes to stand in for the exchange, whether simulated or replayed. Pure.

A venue's stand-in is a folder `stand_in/` beside its other files, and the venue's `stand_in` member. Its parts:

- `Face` (`recorder.venues.face`): how a simulated account looks. The stand-in names the instruments (`terms`) and the
  first deposits (`funds`). What happens to the account arrives as moments of neutral events
  (`recorder.venues.simulated`), exact to the last digit; the face renders each moment as the frames that the exchange
  would push, as many and in the order that it would, and leaves out what the exchange does not push. It also renders
  single records as REST shows them: always as a frame that holds it (`SentState`), because a served record has
  nothing else.
- `RequestHandler`: HTTP. It authenticates a request and answers it (`Reply`), asks for the account that the answer
  depends on (`AccountQuery`), accepts a client on one of the exchange's push endpoints (`PortalAccess`), or refuses it
  (`HttpError`). An error that the exchange sends with status 200 is a `Reply`. Limits of the rate are kept with
  `recorder.venues.limits.RateLimit`. Histories are read with `AccountView.fills`, `transactions` and `closed_orders`:
  a page is as many entries as fit, its cursor the id of the last one (`Span.beyond`), or its time (`Span.since_ms`).
  Entries are rendered only when they are read. A handler that leaves some out says which beforehand (`Span.hint`).
  What is older than `Backend.retention_ms` allows is not served.
- `Conversation`: one connection to a push endpoint. It takes the client's frames, of whatever form, and says (`Said`)
  frames, snapshots of an account, protocol pings, or that the connection closes. It decides which accounts the client
  may follow (`keys`): the one that the handshake proved, or one that logs in with a command. It is woken at `wake_s`:
  to send what the exchange repeats, to ask for a sign of life, or to end a connection that gave none.

A stand-in knows nothing of sockets and of time, and keeps no account: both the simulator and `recorder serve` run it.
"""

import hmac
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

import msgspec

from recorder.venues.face import Face
from recorder.venues.simulated import Funds, Terms
from recorder.venues.view import AccountView, SentState


class HttpError(Exception):
    """A request is refused with an HTTP status and a message for the client."""

    def __init__(self, status: int, message: str, retry_after_s: int = 0, code: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        #: Seconds to wait before the next request; 0 where waiting does not help.
        self.retry_after_s = retry_after_s
        #: The exchange's own code of the error; 0 if it has none.
        self.code = code


class Request(NamedTuple):
    """A request of HTTP."""

    method: str
    #: Path and query as sent.
    target: str
    #: Under the names that the exchange documents.
    headers: Mapping[str, str]
    #: Scheme and host that the client addressed, such as `http://127.0.0.1:9010`.
    base: str
    body: bytes = b""
    #: The client's own address, for limits of the rate.
    peer: str = ""


class Reply(NamedTuple):
    """An answer."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"


class PortalAccess(NamedTuple):
    """A client accepted on a push endpoint."""

    #: The API key, which identifies the account; None if the client has to log in with a command.
    key: str | None
    #: Query parameters of the address other than the credentials.
    parameters: Mapping[str, str]
    #: Which endpoint, where the exchange has several.
    path: str = ""
    #: Finds the API key by a token that the client may name in a command; None: nothing is pushed for that token.
    owner_of: Callable[[str], str | None] = lambda _token: None


class AccountQuery(NamedTuple):
    """A request whose answer depends on an account."""

    key: str
    #: Makes the answer, or only its body. Raises `HttpError`.
    answer: Callable[[AccountView], bytes | Reply]


class RequestHandler(Protocol):
    """Authenticates requests and decides how each is answered."""

    def handle(self, request: Request) -> bytes | Reply | AccountQuery | PortalAccess:
        """Decide how to answer one request.

        Returns:
            An answer that depends on no account, or only its body; the query to answer; or access to a push endpoint.

        Raises:
            HttpError: the request is refused.
        """
        ...

    def error_body(self, error: HttpError) -> bytes:
        """The body of an error response."""
        ...


class Snapshot(NamedTuple):
    """The full state of a topic of an account, as of the moment it is sent."""

    key: str
    topic: str
    is_first: bool


#: Codes of `Close` (RFC 6455, 7.4.1).
NORMAL, POLICY_VIOLATION = 1000, 1008


class Close(NamedTuple):
    """The connection ends, with a closing handshake (RFC 6455, 7.4.1)."""

    code: int
    reason: str


class ProtocolPing(NamedTuple):
    """A ping of the WebSocket protocol."""


#: What a conversation says: a text frame, or one of the others.
Said = bytes | Snapshot | Close | ProtocolPing


def is_same(given: str, right: str) -> bool:
    """Compare a signature or a secret that a client has sent, which may be any text, with the right one."""
    return hmac.compare_digest(given.encode(errors="replace"), right.encode())


def number_in(text: str) -> int | None:
    """The whole number without a sign that a client has sent; None if it is none, or has more than 19 digits."""
    return int(text) if len(text) < 20 and text.isascii() and text.isdigit() else None


#: Rows of an answer: before numbers are read, so that they keep their digits.
_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Listed(NamedTuple):
    """An instrument in a public list."""

    #: The row, and what was asked for with it.
    fields: Mapping[str, Any]
    #: The row as it is sent.
    row: Any
    #: Its name in the list, where rows have names.
    name: str = ""


def recorded_rows(answer: SentState, place: Sequence[str]) -> Iterator[Listed]:
    """The rows of a recorded list of instruments.

    Args:
        answer: the recorded answer.
        place: the names under which the list is, from the outside inwards: a list, rows by name, or a single row.
    """
    raw = msgspec.Raw(answer.payload)
    for name in place:
        raw = _object(raw)[name]
    asked = dict(parse_qsl(answer.topic.partition("?")[2]))
    if bytes(raw)[:1] == b"[":
        found = [("", one) for one in _rows(raw)]
    else:
        values = list(_object(raw).items())
        are_rows = all(bytes(value)[:1] == b"{" for _, value in values)
        found = values if are_rows else [("", raw)]
    for name, row in found:
        yield Listed({**asked, **msgspec.json.decode(row)}, row, name)


@dataclass(frozen=True, kw_only=True)
class Backend:
    """The exchange behind a stand-in, as it is at the moment of each call."""

    #: Maps a key to its secret; None if there is no such key.
    secret_of: Callable[[str], str | None]
    #: The exchange's clock, milliseconds since 1970.
    clock_ms: Callable[[], int]
    #: Whether an account has a topic.
    has_topic: Callable[[str, str], bool] = lambda _key, _topic: True
    #: Whether a key has expired.
    is_expired: Callable[[str], bool] = lambda _key: False
    #: The instruments of a simulated exchange; none of a served record.
    terms: Sequence[Terms] = ()
    #: The answers of a served record that list instruments, the oldest first.
    instruments: Sequence[SentState] = ()
    #: How long a client may go without a sign of life, seconds; None for as long as the exchange allows.
    ping_timeout_s: float | None = None
    #: Age at which connections are closed, seconds; None for as the exchange does.
    connection_max_s: float | None = None
    #: Kind of entries (`orders`, `fills`, `transactions`, or the venue's own word) → for how long they are served,
    #: seconds. What is not named is served for as long as the exchange does.
    retention_s: Mapping[str, float] = field(default_factory=dict)

    def listed(
        self,
        make: Callable[[Terms], Mapping[str, Any] | tuple[str, Mapping[str, Any]]],
        place: Sequence[str],
        *,
        by: Sequence[str],
    ) -> list[Listed]:
        """The instruments for public lists: made from their terms, or as the record has them.

        Args:
            make: makes a row, or a name and a row.
            place: where recorded answers have their rows; see `recorded_rows`.
            by: the fields that tell an instrument from all others; its newest row counts.
        """
        rows = []
        for one in self.terms:
            made = make(one)
            name, row = made if isinstance(made, tuple) else ("", made)
            # What is asked for with recorded rows.
            rows.append(Listed({"category": one.market, **row}, row, name))
        rows += [one for answer in self.instruments for one in recorded_rows(answer, place)]
        return list({(one.name, *(str(one.fields.get(name)) for name in by)): one for one in rows}.values())

    def retained_since_ms(self, kind: str, default_s: float, now_ms: int) -> int:
        """Since when entries are served, milliseconds since 1970.

        Args:
            kind: of the entries.
            default_s: for how long the exchange serves them, seconds.
            now_ms: the account's clock.
        """
        return now_ms - int(self.retention_s.get(kind, default_s) * 1000)


class Conversation:
    """The exchange's side of one push connection. All times are those of the call.

    As it is here, it ends if the client sends nothing for too long. Each method takes `now_ms`, the exchange's clock
    (milliseconds since 1970), and `now_s`, the monotonic clock.

    Args:
        access: how the client was accepted; an account that the handshake proved may be followed from the beginning.
        backend: the exchange.
        now_s: the monotonic clock, seconds.
    """

    #: After how long the exchange closes a connection whose client gives no sign of life, seconds.
    silence_s: float

    def __init__(self, access: PortalAccess, backend: "Backend", now_s: float) -> None:
        self.backend = backend
        #: The accounts that the client may follow, and the topics of each that it has subscribed to.
        self.followed: dict[str, set[str]] = {} if access.key is None else {access.key: set()}
        self.silence_s = backend.ping_timeout_s or self.silence_s
        #: When to call `wake` unless a frame arrives before, on the monotonic clock.
        self.wake_s = now_s + self.silence_s

    @property
    def keys(self) -> Collection[str]:
        """The accounts that the client may follow."""
        return tuple(self.followed)

    def topics_of(self, key: str) -> Collection[str]:
        """The topics of an account whose pushes the client is sent, because it has subscribed to them."""
        return self.followed.get(key, ())

    def pushed(self, key: str, topic: str, payload: bytes) -> Iterable[bytes]:
        """The frames that the client is sent for a push, or for a snapshot, of a topic among `topics_of`.

        It is the push itself, unless the client has subscribed to another form of the topic.
        """
        return (payload,)

    def open(self, now_ms: int, now_s: float) -> Iterable[Said]:
        """What is said first, if anything."""
        return ()

    def receive(self, message: bytes, now_ms: int, now_s: float) -> Iterable[Said]:
        """Take a client's frame and return the answer."""
        raise NotImplementedError

    def heard(self, now_ms: int, now_s: float) -> None:
        """Take note of a ping or pong of the WebSocket protocol, which is answered already; it need not count."""

    def wake(self, now_ms: int, now_s: float) -> Iterable[Said]:
        """Do what is due. `wake_s` must be later afterwards, unless the connection closes."""
        return (Close(NORMAL, ""),)


class StandIn(Protocol):
    """A venue's server side. A member with a value or a body is what most venues have."""

    #: What is traded if nothing else is asked for, as a user writes it.
    default_symbols: tuple[str, ...]

    #: Key and secret of a simulated account if nothing else is asked for.
    default_account: tuple[str, str] = ("demo-key", "demo-secret")

    #: Paths that are answered without a key, such as that of the server's time.
    public_paths: Collection[str]

    #: Whether topics are subscribed to one by one, so that one can be refused while others are pushed.
    refuses_topics: bool = True

    def credentials(self, key: str, secret: str) -> Mapping[str, str]:
        """An account's credentials by the names of `Venue.credential_fields`."""
        return {"key": key, "secret": secret}

    def key_in(self, payload: bytes) -> str | None:
        """The key that a recorded frame gives its account, where keys are public and frames contain them.

        Clients know the account by this key, and by no other name.
        """
        return None

    def dated_symbols(self, at_ms: int) -> tuple[str, ...]:
        """What is traded besides `default_symbols` if nothing else is asked for: what expires next.

        Args:
            at_ms: a time, milliseconds since 1970.
        """
        return ()

    def terms(self, symbols: Sequence[str], /) -> tuple[Terms, ...]:
        """The terms of instruments for a simulated account.

        Args:
            symbols: as a user may write them.

        Raises:
            ValueError: the venue has no such instrument.
        """
        ...

    def funds(self, terms: Sequence[Terms], /) -> tuple[Funds, ...]:
        """What a simulated account that trades these instruments is given, the most important currency first."""
        ...

    def face(self, terms: Sequence[Terms], key: str, /) -> Face:
        """The face of a simulated account that trades these instruments, under its key."""
        ...

    def request_handler(self, backend: Backend) -> RequestHandler:
        """The handler of REST requests and of handshakes on push endpoints."""
        ...

    def conversation(self, access: PortalAccess, backend: Backend, now_s: float) -> Conversation:
        """The conversation with a new client.

        Args:
            access: how it was accepted.
            backend: the exchange.
            now_s: the monotonic clock, seconds.
        """
        ...
