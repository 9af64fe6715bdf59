"""Options of a simulator, fixed when it starts, and its faults, which can change while it runs."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from recorder.simulator.market import require_underlyings
from recorder.venues import DEFAULT_VENUE, venue_named
from recorder.venues.simulated import NONE

#: Default start of the virtual clock, milliseconds since 1970: the hour of the page's samples.
START_MS = 1_580_802_000_000


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """Options of a `Simulator`.

    Raises:
        ValueError: an option is invalid; names it.
        ConfigurationError: there is no such venue.
    """

    #: Address to listen on.
    host: str = "127.0.0.1"
    #: Port to listen on; 0 for any free one.
    port: int = 0
    #: Whose stand-in speaks for the exchange.
    venue: str = DEFAULT_VENUE
    #: Seed of the trading; account number n uses seed + n.
    seed: int = 1
    #: Instruments to trade, as a user may write them; none for the venue's own choice.
    symbols: tuple[str, ...] = ()
    #: API key and secret of each account; none for the venue's own choice.
    accounts: Mapping[str, str] = field(default_factory=dict)
    #: Stop trading after this many pushes of each account, sent or not, and what the last announces; None for never.
    pushes: int | None = None
    #: Pushes per second of each account; 0 for as fast as the client reads (1,000 while nobody is subscribed).
    rate_per_s: float = 0
    #: Start of the virtual clock of the pushes, milliseconds since 1970.
    start_ms: int = START_MS
    #: Use the real clock instead: times and order ids then differ between runs, and no id is ever reused.
    live_clock: bool = False
    #: File for the log of sent frames; see `SentLog`.
    sent_log: Path | None = None
    #: Keep all frames in `Simulator.sent` and `history`; turn off for long runs.
    keep_sent: bool = True
    #: Disconnect a client that has sent no sign of life for this long, seconds; None for as the exchange does.
    ping_timeout_s: float | None = None
    #: Close connections at this age, seconds; None for as the exchange does.
    connection_max_s: float | None = None
    #: For how long REST serves each kind of history; see `Backend.retention_s`.
    retention_s: Mapping[str, float] = field(default_factory=dict)
    #: Begin trading with the first subscription instead of at once.
    wait_for_subscriber: bool = True
    #: Error of the server's clock, milliseconds; positive if it is ahead.
    clock_offset_ms: int = 0
    #: Let positions pay or receive funding each time the clock passes a multiple of this, seconds; 0 for never.
    funding_interval_s: float = 0
    #: Let futures and options expire this long after the start, seconds; 0 for at the time that their name says.
    expiry_s: float = 0
    #: Reset an account's connections each time it has made this many pushes; None for never.
    drop_every: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port {self.port} is not between 0 and 65535")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("symbols must not repeat")
        stand_in = venue_named(self.venue).stand_in
        require_underlyings(stand_in.terms(self.symbols))
        if not self.accounts:
            object.__setattr__(self, "accounts", dict([stand_in.default_account]))
        if not all(key and secret for key, secret in self.accounts.items()):
            raise ValueError("accounts must map keys to secrets, none of them empty")
        if self.pushes is not None and self.pushes < 0:
            raise ValueError(f"pushes {self.pushes} is negative")
        if not math.isfinite(self.rate_per_s):
            raise ValueError(f"rate_per_s {self.rate_per_s} is no number; 0 is as fast as the client reads")
        if self.rate_per_s < 0:
            raise ValueError(f"rate_per_s {self.rate_per_s} is negative")
        for name in ("ping_timeout_s", "connection_max_s"):
            limit_s = getattr(self, name)
            if limit_s is not None and not limit_s > 0:
                raise ValueError(f"{name} {limit_s} is not above 0")
        for name in ("funding_interval_s", "expiry_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} {getattr(self, name)} is not 0 or above it")
        if self.drop_every is not None and self.drop_every < 1:
            raise ValueError(f"drop_every {self.drop_every} is not above 0")


@dataclass(kw_only=True, slots=True)
class ActiveFaults:
    """The faults of a running simulator; `recorder.simulator.faults` sets them."""

    #: HTTP status with which handshakes and REST requests are refused; 0 for none.
    refuse_status: int = 0
    #: `Retry-After` that goes with it, seconds; 0 for none.
    retry_after_s: int = 0
    #: No trading, so no pushes; everything else works.
    silent: bool = False
    #: Nothing is answered or sent; trading goes on, and its pushes are lost.
    deaf: bool = False
    #: Topics whose pushes are lost on their way to all clients.
    swallowed_topics: Collection[str] = ()
    #: REST reports the state of this many seconds ago.
    rest_lag_s: float = 0.0
    #: Keys that have expired: they are refused, and their open connections are pushed nothing more.
    expired_keys: Collection[str] = ()
    #: Topics that are refused although they exist.
    invalid_topics: Collection[str] = ()
    #: Each fee is charged twice and reported once.
    fees_twice: bool = False
    #: Amount taken with each execution without being reported, in the currency of the fee.
    leak: Decimal = NONE
    #: Error of the realized PnL that positions report.
    misstatement: Decimal = NONE
