"""Options of a served record."""

from dataclasses import dataclass

#: Default API secret. It protects nothing: everything that is served can also be read from the record.
SECRET = "replay-secret"


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """Options of `Serving`. `Pace` refuses an invalid speed or wait."""

    #: Address to listen on.
    host: str = "127.0.0.1"
    #: Port to listen on; 0 for any free one.
    port: int = 0
    #: API secret of every account; the API key is the account's name.
    secret: str = SECRET
    #: Names of the accounts to serve; None for all.
    accounts: tuple[str, ...] | None = None
    #: Start (inclusive) and end (exclusive) of each client's replay, nanoseconds since 1970; None for the whole record.
    since_ns: int | None = None
    until_ns: int | None = None
    #: 1 for the pace of the record, 10 for ten times as fast; None for as fast as a client reads.
    speed: float | None = 1.0
    #: Longest wait between two pushes, seconds; None for no limit.
    wait_s_max: float | None = None
    #: Send a push once for each recorder that received it.
    all_sightings: bool = False
    #: Refuse to serve a period with gaps.
    require_complete: bool = False
    #: Disconnect a client that has sent no ping for this long, seconds.
    ping_timeout_s: float = 30.0
    #: Disconnect a client that has read nothing for this long, seconds.
    patience_s: float = 30.0
