"""What is served, and how."""

from dataclasses import dataclass

#: A secret for those that sign: what is served lies open to whoever can read the record anyway.
SECRET = "replay-secret"


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """Options of a `Serving`. A speed and a wait that are none are refused by `Pace`."""

    #: Address to listen on.
    host: str = "127.0.0.1"
    #: Port to listen on; 0 for any that is free.
    port: int = 0
    #: Signs for every account; the key is the account's name.
    secret: str = SECRET
    #: Accounts by name; None: all.
    accounts: tuple[str, ...] | None = None
    #: Where each client's replay begins, and what it ends before, nanoseconds since 1970; None: all there is.
    since_ns: int | None = None
    until_ns: int | None = None
    #: 1 for the pace of the record, 10 for ten times as fast; None for as fast as a client reads.
    speed: float | None = 1.0
    #: A longer wait between two pushes is cut to so many seconds; None: none is.
    wait_s_max: float | None = None
    #: Push what several recorders saw of one push as often as they saw it.
    all_sightings: bool = False
    #: Refuse to serve a stretch with gaps.
    require_complete: bool = False
    #: Disconnect a client that sent no ping for so long, seconds.
    ping_timeout_s: float = 30.0
    #: Drop a client that takes nothing of what it is sent for so long, seconds.
    patience_s: float = 30.0
