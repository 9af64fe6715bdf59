"""The interface between the recorder and an exchange: what a venue must implement. Pure, no sockets.

A new venue is a folder beside `fmex/` whose package offers a `Venue`, and one line in `recorder.venues.VENUES`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from recorder.model import (
    Acknowledged,
    Control,
    Decoded,
    Instrument,
    OrderUpdate,
    RefusedCommand,
    SequenceNumber,
    Update,
)
from recorder.venues.accounting import Accounting
from recorder.venues.channel_view import View
from recorder.venues.comparable import Comparable, CompleteList
from recorder.venues.limits import Connections
from recorder.venues.rest import (
    CredentialField,
    Credentials,
    Known,
    Login,
    Purpose,
    Questions,
    RenewToken,
    RequestToken,
    RestLimit,
    RestRequest,
    Token,
    Unrecorded,
    Verdict,
    read_json,
    verdict_of,
)
from recorder.venues.stand_in import StandIn

_encode = msgspec.json.Encoder().encode

#: Pushes decoded together: the topic of each, and the updates of each.
Plain = tuple[Sequence[str], Sequence[tuple[Update, ...]]]


class Environment(NamedTuple):
    """The addresses of one of the venue's environments, such as its testnet."""

    url: str
    stream_url: str
    #: Headers of every REST request there, where those alone tell it from another environment.
    headers: Mapping[str, str] = {}


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


def json_command(command: Mapping[str, object], **masked: object) -> Command:
    """A command in JSON.

    Args:
        command: its fields.
        masked: those that contain a secret, as they are to be recorded.
    """
    return Command(_encode(command), _encode({**command, **masked}) if masked else None)


class PushSession:
    """The exchange's protocol on one connection, as a state machine without I/O.

    As it is here, it only takes acknowledgements and refusals of its topics. A venue adds its login and subscriptions.

    Args:
        topics: to subscribe to.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = tuple(topics)
        #: Topics that are being pushed.
        self.acknowledged: set[str] = set()
        #: Topics that the exchange refused, and its messages.
        self.refused: dict[str, str] = {}

    @property
    def settled(self) -> bool:
        """Whether every topic has been acknowledged or refused."""
        return not self.missing()

    def missing(self) -> list[str]:
        """The topics that are neither acknowledged nor refused."""
        return [topic for topic in self.topics if topic not in self.acknowledged and topic not in self.refused]

    def acknowledge(self, topics: Iterable[str]) -> None:
        """Note that topics are being pushed, even if they were refused before."""
        for topic in set(self.topics).intersection(topics):
            self.acknowledged.add(topic)
            self.refused.pop(topic, None)

    def refuse(self, topics: Iterable[str], message: str) -> None:
        """Note that topics were refused; those that are being pushed still are."""
        for topic in set(self.topics).intersection(topics) - self.acknowledged:
            self.refused[topic] = message

    def opening(self, now_ms: int) -> list[Command]:
        """The commands to send at once; empty where the exchange speaks first."""
        return []

    def receive(self, control: Control, now_ms: int) -> list[Command]:
        """Take what the exchange said; return the commands to send, in order.

        Raises:
            Refused: it refused the login.
            SessionOver: it pushes nothing more on this connection.
        """
        match control:
            case Acknowledged(topics):
                self.acknowledge(topics)
            case RefusedCommand(_, _, message, topics):
                # A refusal that names nothing may be of any topic that was not answered yet.
                self.refuse(topics or self.missing(), message)
        return []

    def counted(self, topic: str | None, sequence: SequenceNumber) -> None:
        """Take the number of a push, where the exchange counts them. As it is here, nothing follows.

        Raises:
            SessionOver: pushes before it did not arrive.
        """

    def heartbeat(self, now_ms: int) -> Command | None:
        """The command that keeps the connection alive; None: a ping of the WebSocket protocol."""
        return None


class Venue(Protocol):
    """One exchange. A member with a value or a body is what most venues have: the others say otherwise."""

    #: The name in a configuration and in `accounts.venue`.
    name: str
    #: The credentials that a configuration must give, in the order in which it shows them.
    credential_fields: tuple[CredentialField, ...] = (CredentialField("key"), CredentialField("secret"))
    #: Name in a configuration → addresses; the first is the default.
    environments: Mapping[str, Environment]
    #: Whether a configuration must name symbols: nothing is pushed, or no history is listed, for all of them.
    needs_symbols: bool = False
    #: Seconds between two heartbeats.
    heartbeat_s: float
    #: Seconds after which a new connection replaces the old one, which is disconnected for its age later; None: never.
    connection_max_s: float | None = None
    #: Beginnings of the topics, of subscriptions as of frames, that the exchange repeats although nothing has changed →
    #: seconds: a longer silence on one of them ends the connection, which may have lost its subscriptions.
    repeated_topics: Mapping[str, float] = {}
    #: Whether a connection can live on and answer pings while nothing is pushed to it any more, because a listen key
    #: has died for example. Then a session that ends is believed up to its last push, or the last snapshot that agreed
    #: with the pushes; and a discrepancy ends it, for pushes may be missing since the last one.
    fails_silently: bool = False
    #: How many connections it allows an address.
    connections: Connections = Connections()
    #: Largest clock error that the exchange accepts, in milliseconds, and with which its histories are asked for whole.
    clock_tolerance_ms: int
    #: Whether it pushes executions. If not, fills are derived from order updates.
    pushes_fills: bool = True

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """The sockets of an account, and the topics of each."""
        ...

    def native_symbol(self, symbol: str, /) -> str:
        """A symbol as a user may write it, spelled as the venue wants it in subscriptions and requests."""
        return symbol

    def identity_of(self, credentials: Credentials, /) -> tuple[str, ...]:
        """What identifies the credentials, in one spelling: the id first, then the secrets that belong to it."""
        return credentials.values

    def symbol_of(self, topic: str) -> str | None:
        """The symbol that a topic is about, as records spell it; None: it is not about one symbol."""
        return None

    def check(self, login: Login, /) -> Unrecorded[tuple[str, ...]]:
        """Ask what the credentials may do. Returns warnings for the user, such as that the key can withdraw.

        Raises:
            Refused: the account cannot be recorded with them.
        """
        yield from ()
        return ()

    #: Requests a token before a connection is made; None: the venue has none.
    token: RequestToken | None = None
    #: Renews a token while a connection lives.
    renew: RenewToken | None = None

    def connection_url(self, stream: Stream, login: Login, token: Token | None, now_ms: int) -> str:
        """The address to connect to. It may contain secrets: it never reaches a log or a table."""
        return stream.url

    def push_session(self, stream: Stream, login: Login, token: Token | None) -> PushSession:
        """The protocol of a new connection."""
        ...

    def server_time_request(self, url: str) -> RestRequest:
        """The request for the exchange's clock."""
        ...

    def server_time_ms(self, answer: bytes) -> int:
        """The exchange's clock, milliseconds since 1970. Raises one of `errors.UNREADABLE` if the answer has none."""
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
        return None

    def decode_answer(self, target: str, payload: bytes) -> Decoded:
        """Decode the answer to a REST request (`target_of`). Raises; see `read_answer`."""
        ...

    def ended_order(self, _status: int, _target: str, _payload: bytes, /) -> OrderUpdate | None:
        """The order of which an error answer says that the exchange no longer knows it, with the status `ENDED`.

        Whatever it raises means None, because an error answer can be the page of a proxy.
        """
        return None

    #: The rate limits of its REST interface.
    rest_limits: tuple[RestLimit, ...]

    def classify(self, status: int, body: bytes) -> Verdict:
        """Classify an HTTP answer by its status and body."""
        return verdict_of(status, body, read_json)

    def wait_s(self, status: int, headers: Mapping[str, str], body: bytes, now_ms: int, /) -> float:
        """How long the exchange asks to wait before the next request, in seconds; 0 if only `Retry-After` says it.

        Args:
            status: of HTTP.
            headers: of the answer, their names in lower case.
            body: of the answer.
            now_ms: milliseconds since 1970.
        """
        return 0.0

    def questions(self, purpose: Purpose, known: Known) -> Questions:
        """What to ask over REST. A question without an answer costs only its own subject."""
        ...

    #: What of its snapshots can be compared with its pushes; see there. Empty: nothing.
    comparable: tuple[Comparable, ...] = ()
    #: Which of its answers and pushes list all balances or positions of a part of the account.
    lists: tuple[CompleteList, ...] = ()
    #: How its amounts enter the books.
    accounting: Accounting

    def nautilus_id(self, instrument: Instrument, /) -> str:
        """An instrument's id in nautilus_trader, by the conventions of its adapters: `BTC-PERPETUAL.DERIBIT`."""
        return f"{instrument.symbol}.{self.name.upper()}"

    #: The SQL views of its channels, under its own field names.
    views: tuple[View, ...] = ()
    #: Its server side, for the simulator and for served records.
    stand_in: StandIn
