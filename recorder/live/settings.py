"""The settings of a run: accounts, checkpoints, and the limit of every queue and every wait."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recorder.audit.evidence.keys import SigningKey
from recorder.model import account_id
from recorder.store.credentials import fingerprint
from recorder.venues.base import Stream, Venue
from recorder.venues.rest import Credentials, Login

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: Limits that may be 0, which turns their feature off.
CAN_BE_OFF = frozenset(["reconcile_every_s", "transactions_every_s"])


@dataclass(frozen=True, kw_only=True)
class Account:
    """One login at an exchange."""

    #: The name the user chose for it.
    name: str
    venue: Venue
    #: The address of the REST interface, without credentials and without a path.
    url: str
    credentials: Credentials
    symbols: tuple[str, ...]
    #: Seconds between two heartbeats; None: as the venue documents.
    heartbeat_s: float | None = None
    #: The address of the sockets, likewise; None: the same host under ws(s).
    stream_url: str | None = None
    #: Headers of every REST request (`Environment.headers`).
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Topics not to subscribe to, such as full states that the venue repeats every few seconds.
    exclude_topics: tuple[str, ...] = ()
    #: One of `Venue.environments`; empty: the first.
    environment: str = ""

    @property
    def heartbeat_interval_s(self) -> float:
        """Seconds between two heartbeats."""
        return self.venue.heartbeat_s if self.heartbeat_s is None else self.heartbeat_s

    def label(self, stream: str) -> str:
        """For people: its name, and a stream's where it has several."""
        return f"{self.name} ({stream})" if stream else self.name

    @property
    def account_id(self) -> int:
        """The account's key in the database."""
        return account_id(self.venue.name, self.name)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its credentials, whatever their spelling."""
        return fingerprint(self.venue.name, *self.venue.identity_of(self.credentials))

    @property
    def login(self) -> Login:
        """What the venue needs to know of it."""
        stream_url = self.stream_url or f"ws{self.url.removeprefix('http')}"
        return Login(self.url, stream_url, self.credentials, self.symbols, self.environment)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Its sockets, with the topics to subscribe to."""
        wanted = (
            stream._replace(topics=tuple(topic for topic in stream.topics if topic not in self.exclude_topics))
            for stream in self.venue.streams(self.login)
        )
        return tuple(stream for stream in wanted if stream.topics)


class Authority(NamedTuple):
    """A time-stamp authority (RFC 3161)."""

    url: str
    #: The root certificates that its tokens must lead to.
    roots: "tuple[Certificate, ...]"


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """How often the record is signed, and where the checkpoints are sent."""

    key: SigningKey
    #: Seconds between two checkpoints while there is something new; a run's start and end have one besides.
    every_s: float = 3600.0
    #: A file to append each checkpoint to.
    file: Path | None = None
    #: A program and its arguments; it gets each checkpoint on standard input.
    command: tuple[str, ...] = ()
    #: Time-stamps each checkpoint.
    authority: Authority | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limit of every queue and every wait: the table `[limits]` of a configuration."""

    #: A larger message ends its session; nothing larger is ever held in memory.
    frame_bytes_max: int = 8 * 2**20
    #: The most that waits to be written, for each account. When the queue is full, the socket is not read.
    queue_frames_max: int = 50_000
    queue_bytes_max: int = 64 * 2**20
    #: A session whose queue stays full this long is ended, before the exchange ends it unnoticed.
    stalled_s: float = 60.0
    #: The most in one transaction.
    batch_frames_max: int = 4_000
    batch_bytes_max: int = 16 * 2**20
    #: The longest pause after a transaction, in which frames gather for the next one. It is as long as the transaction
    #: took, but no longer than this.
    batch_ms: int = 20
    #: For each step of connecting.
    connect_s: float = 10.0
    #: A REST answer must be complete within this.
    answer_s: float = 30.0
    #: A connection that sends nothing for this long is treated as lost. Longer than every account's heartbeat interval.
    silent_s: float = 40.0
    #: All topics must be acknowledged or refused within this.
    subscribe_s: float = 20.0
    #: Waits between attempts to connect grow from the first to the last; each is shortened at random.
    reconnect_first_s: float = 0.5
    reconnect_last_s: float = 30.0
    #: After a stop, everything received must be durable within this.
    stop_s: float = 4.5

    #: How often the state is asked for over REST and compared with the pushes; 0: never.
    reconcile_every_s: float = 3600.0
    #: How often what is never pushed, such as transactions, is asked for over REST; 0: never.
    transactions_every_s: float = 900.0
    #: Maximum skew between a REST answer and the matching push, either way. A gap is reconciled this long after its
    #: end, when REST knows all that happened in it.
    reconcile_settle_s: float = 5.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in CAN_BE_OFF and value == 0:
                continue
            if not 0 < value < math.inf:
                never = "; or 0, for never" if name in CAN_BE_OFF else ""
                raise ValueError(f"{name} must be above zero, and a number{never}")
