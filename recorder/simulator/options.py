"""What a simulator can be told to be."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from recorder.simulator.contract import ZERO

#: Where the virtual clock starts: the hour of the page's samples.
START_MS = 1_580_802_000_000


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """Options of a `Simulator`.

    Raises:
        ValueError: an option that makes no sense, by name.
    """

    #: Address to listen on.
    host: str = "127.0.0.1"
    #: Port to listen on; 0 for any that is free.
    port: int = 0
    #: Of everything that happens; account number n trades by seed + n.
    seed: int = 1
    #: Contracts traded, in lower case as in topics.
    symbols: tuple[str, ...] = ("btcusd_p",)
    #: Each account's key and secret.
    accounts: Mapping[str, str] = field(default_factory=lambda: {"demo-key": "demo-secret"})
    #: Stop trading after so many pushes of each account, told to somebody or not; None for endless.
    pushes: int | None = None
    #: Pushes a second of each account; 0 for as fast as the client reads (1,000 while nobody is subscribed).
    rate_per_s: float = 0
    #: Where the virtual clock of the pushes starts, milliseconds since 1970.
    start_ms: int = START_MS
    #: Stamp pushes with the real clock instead; the same seed then differs in its times.
    live_clock: bool = False
    #: Write a line for each frame sent, before it is sent: connection, kind, number, time, frame in base64.
    sent_log: Path | None = None
    #: Keep all frames sent in `Simulator.sent` and `history`; switch off to run for long.
    keep_sent: bool = True
    #: Disconnect a client that sent no ping for so long, seconds.
    ping_timeout_s: float = 30.0
    #: Begin trading when somebody subscribed, rather than at once.
    wait_for_subscriber: bool = True
    #: How wrong the server's clock is, milliseconds ahead.
    clock_offset_ms: int = 0
    #: Reset an account's connections after each so many of its pushes; None for never.
    drop_every: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port {self.port} is not between 0 and 65535")
        if not self.symbols or any(not name or name != name.lower() for name in self.symbols):
            raise ValueError("symbols must be given in lower case, one at least, such as btcusd_p")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("symbols must not repeat")
        if not self.accounts or not all(key and secret for key, secret in self.accounts.items()):
            raise ValueError("accounts must map one key at least to its secret, neither empty")
        if self.pushes is not None and self.pushes < 0:
            raise ValueError(f"pushes {self.pushes} is negative")
        if not math.isfinite(self.rate_per_s):
            raise ValueError(f"rate_per_s {self.rate_per_s} is no number; 0 is as fast as the client reads")
        if self.rate_per_s < 0:
            raise ValueError(f"rate_per_s {self.rate_per_s} is negative")
        if self.ping_timeout_s <= 0:
            raise ValueError(f"ping_timeout_s {self.ping_timeout_s} is not above 0")
        if self.drop_every is not None and self.drop_every < 1:
            raise ValueError(f"drop_every {self.drop_every} is not above 0")


@dataclass(kw_only=True, slots=True)
class ActiveFaults:
    """All false and empty on a good day."""

    #: HTTP status that new connections and REST are answered with; 0 for none.
    refuse_status: int = 0
    #: Seconds of quiet asked for with it; 0 for none.
    retry_after_s: int = 0
    #: No trading, so no pushes; everything else works.
    silent: bool = False
    #: Nothing is answered and nothing sent; trading goes on, and its pushes are lost.
    deaf: bool = False
    #: Topics whose pushes are lost on their way to everybody; who has them is not told.
    swallowed_topics: Collection[str] = ()
    #: REST tells how things were so many seconds ago.
    rest_lag_s: float = 0.0
    #: Topics refused although they exist.
    invalid_topics: Collection[str] = ()
    #: Each fee is taken twice, and told once.
    fees_twice: bool = False
    #: So much is taken with each execution, and nobody is told, BTC.
    leak: Decimal = ZERO
    #: Positions tell a realized PnL that is so far off, BTC.
    misstatement: Decimal = ZERO
