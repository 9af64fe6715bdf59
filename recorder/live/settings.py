"""What a run is told: whose updates to record, and every limit there is."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recorder.audit.evidence.keys import SigningKey
from recorder.model import account_id
from recorder.venues.base import Credentials, Venue

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

#: Limits of things that are not done at all where they are 0.
CAN_BE_OFF = frozenset(["reconcile_every_s"])


@dataclass(frozen=True, kw_only=True)
class Account:
    """One login to record."""

    #: The user's own name for it.
    name: str
    venue: Venue
    #: The exchange's address, without credentials and without a slash at its end.
    url: str
    credentials: Credentials
    symbols: tuple[str, ...]
    #: Seconds between two heartbeats; None: as the venue documents.
    heartbeat_s: float | None = None

    @property
    def heartbeat_interval_s(self) -> float:
        """Seconds between two heartbeats."""
        return self.venue.heartbeat_s if self.heartbeat_s is None else self.heartbeat_s

    @property
    def account_id(self) -> int:
        """Its key in the database."""
        return account_id(self.venue.name, self.name)

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return self.venue.topics(self.symbols)


class Authority(NamedTuple):
    """Who is asked for time-stamps."""

    url: str
    #: Whose word counts.
    roots: "tuple[Certificate, ...]"


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """How what is recorded is signed, and where that goes."""

    key: SigningKey
    #: How often, while there is something new, seconds; and at the beginning and the end of a run.
    every_s: float = 3600.0
    #: Each is appended to it.
    file: Path | None = None
    #: Each goes to its standard input: a program, and what it is started with.
    command: tuple[str, ...] = ()
    #: Who is asked for a time-stamp over each.
    authority: Authority | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Every queue and every wait has a limit. The table `[limits]` of a configuration sets them by these names."""

    #: A larger message ends its session; nothing larger is ever held in memory.
    frame_bytes_max: int = 8 * 2**20
    #: So much may wait for the writer, an account; beyond, the socket is not read.
    queue_frames_max: int = 50_000
    queue_bytes_max: int = 64 * 2**20
    #: A session whose frames wait longer than this for room is ended, so that its exchange does not end it unseen.
    stalled_s: float = 60.0
    #: A transaction takes so many frames or bytes at most, and waits so long for more.
    batch_frames_max: int = 4_000
    batch_bytes_max: int = 16 * 2**20
    batch_ms: int = 20
    #: Each step of connecting may take so long.
    connect_s: float = 10.0
    #: A REST answer must be complete within this.
    answer_s: float = 30.0
    #: A connection that sends nothing for this long is treated as lost. Longer than every account's heartbeat interval.
    silent_s: float = 40.0
    #: All topics must be acknowledged or refused within this.
    subscribe_s: float = 20.0
    #: Waits between attempts to connect grow from the first to the last, at random below that.
    reconnect_first_s: float = 0.5
    reconnect_last_s: float = 30.0
    #: After a stop, everything received must be durable within this.
    stop_s: float = 4.5

    #: How often the exchange is asked how things are, to compare with what it pushed; 0: never, only after gaps.
    reconcile_every_s: float = 3600.0
    #: So far apart in time may an answer and a push tell the same, either way round.
    reconcile_settle_s: float = 5.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in CAN_BE_OFF and value == 0:
                continue
            if not 0 < value < math.inf:
                never = "; or 0, for never" if name in CAN_BE_OFF else ""
                raise ValueError(f"{name} must be above zero, and a number{never}")
