"""Making a connection of one stream: its token, its socket, its protocol; and keeping the token valid."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from threading import Event, Thread
from typing import NamedTuple

from recorder.clock import Clock
from recorder.errors import Refused, SessionOver, Unavailable, Unreachable, VenueError
from recorder.live.backoff import Backoff
from recorder.live.http import HttpClient
from recorder.live.pace import Pace
from recorder.live.proof import TOKEN
from recorder.live.settings import Account, Limits
from recorder.live.transport import Transport, connect
from recorder.live.unrecorded import ask
from recorder.live.wake import Wake
from recorder.venues.base import PushSession, Stream
from recorder.venues.rest import RenewToken, Token

log = logging.getLogger(__name__)

#: Waits before a token's renewal is tried again grow from the first to the last, seconds.
RENEW_FIRST_S = 1.0
RENEW_LAST_S = 60.0


#: The longest wait for another connection's request for a token, seconds.
TURN_S = 2.0


def too_many_connections(accounts: Sequence[Account]) -> list[str]:
    """Sentences for the user: exchanges that allow an address fewer open connections than some accounts need."""
    needed: Counter[tuple[str, str, int]] = Counter()
    for account in accounts:
        open_max = account.venue.connections.open_max
        if open_max is not None:
            needed[account.venue.name, account.login.stream_url, open_max] += len(account.streams)
    return [
        f"{name} allows an IP address {open_max} open connections, and the configured accounts at {url} need {count}: "
        "it will refuse some of them, so record some accounts from another IP address"
        for (name, url, open_max), count in needed.items()
        if count > open_max
    ]


class Connection(NamedTuple):
    """An open connection, before anything was received."""

    transport: Transport
    protocol: PushSession
    #: Keeps its token valid; None: there is nothing to renew.
    renewal: "TokenRenewal | None"

    def check(self) -> None:
        """Check its token.

        Raises:
            SessionOver: it cannot be renewed.
        """
        if self.renewal is None:
            return
        if self.renewal.failure is not None:
            raise self.renewal.failure

    def close(self) -> None:
        """Close the socket, and renew the token no more."""
        if self.renewal is not None:
            self.renewal.stop()
        self.transport.close()


class Connector:
    """Opens the connections of one stream.

    Args:
        account: the account.
        stream: the stream.
        wake: ends the waits of the connections.
        clock: of the connections.
        limits: of waits.
        on_failure: called when a token cannot be renewed, in another thread.
        pace: of all connections to the exchange; None: there are no others.
        stopping: ends the wait for a turn.
    """

    def __init__(
        self,
        account: Account,
        stream: Stream,
        wake: Wake,
        clock: Clock,
        limits: Limits,
        on_failure: Callable[[], None],
        pace: Pace | None = None,
        stopping: Event | None = None,
    ) -> None:
        self._account = account
        self._stream = stream
        self._wake = wake
        self._clock = clock
        self._limits = limits
        self._on_failure = on_failure
        self._pace = pace or Pace()
        self._stopping = stopping or Event()

    def connect(self) -> Connection:
        """Wait until the exchange allows a connection, request a token, if the venue has tokens, and connect.

        Raises:
            Unreachable, Refused, Unavailable: one sentence says what to do. Or the run ends meanwhile.
        """
        account = self._account
        wait_s = self._pace.wait_s(account, self._clock.monotonic_s())
        if wait_s > 0:
            label = account.label(self._stream.name)
            log.info("%s: connecting in %.1f s, because the exchange limits new connections", label, wait_s)
            self._clock.wait(self._stopping, wait_s)
            if self._stopping.is_set():
                raise Unavailable("The run ends.")
        try:
            return self._connect()
        except Unreachable:
            self._pace.not_made(account)
            raise

    def _connect(self) -> Connection:
        account, venue, stream = self._account, self._account.venue, self._stream
        token = None
        if venue.token is not None:
            with closing(client_of(account, self._limits, self._clock)) as client, account.credentials.turn(TURN_S):
                token = ask(account, client, self._clock, venue.token(account.login))
                account.credentials.learn(token.text)
        transport = connect(
            venue.connection_url(stream, account.login, token, self._clock.wall_ms()),
            stream.url,
            account.credentials.secrets,
            venue,
            self._wake,
            self._clock,
            self._limits.connect_s,
            self._limits.frame_bytes_max,
        )
        renewal = None
        if token is not None and venue.renew is not None:
            renewal = TokenRenewal(account, token, venue.renew, self._clock, self._limits, self._on_failure)
            renewal.start()
        return Connection(transport, venue.push_session(stream, account.login, token), renewal)


class Attempt(Thread):
    """Opens a connection while another one goes on.

    Args:
        connector: opens it.
        on_end: called when `result` is known, in this thread.

    Attributes:
        result: the connection, or why there is none; None: not known yet.
    """

    def __init__(self, connector: Connector, on_end: Callable[[], None]) -> None:
        super().__init__(name="connecting", daemon=True)
        self.result: Connection | Exception | None = None
        self._connector = connector
        self._on_end = on_end
        self.start()

    def run(self) -> None:
        """The thread."""
        try:
            self.result = self._connector.connect()
        except Exception as error:  # noqa: BLE001  the collector raises it
            self.result = error
        self._on_end()

    def wait(self) -> Connection:
        """Wait for the connection.

        Raises:
            Exception: there is none.
        """
        self.join()
        if isinstance(self.result, Connection):
            return self.result
        assert self.result is not None
        raise self.result

    def abandon(self) -> None:
        """Wait for the connection, and close it."""
        self.join()
        if isinstance(self.result, Connection):
            self.result.close()


class TokenRenewal(Thread):
    """Renews a token while its connection lives.

    A renewal that fails is tried again until the token is twice as old as it may become before a renewal.

    Args:
        account: the account.
        token: the token.
        renew: the venue's requests.
        clock: measures waits.
        limits: of waits.
        on_failure: called when it cannot be renewed, in this thread.

    Attributes:
        token: the token now.
        failure: why the token cannot be renewed; None: nothing is wrong.
    """

    def __init__(
        self,
        account: Account,
        token: Token,
        renew: RenewToken,
        clock: Clock,
        limits: Limits,
        on_failure: Callable[[], None],
    ) -> None:
        super().__init__(name=f"token of {account.name}", daemon=True)
        self.failure: Exception | None = None
        self._account = account
        self.token = token
        self._renew = renew
        self._clock = clock
        self._limits = limits
        self._on_failure = on_failure
        self._stopping = Event()
        self._backoff = Backoff(RENEW_FIRST_S, RENEW_LAST_S)

    def stop(self) -> None:
        """Renew it no more. Waits for nothing."""
        self._stopping.set()

    def run(self) -> None:
        """The thread."""
        wait_s = self.token.renew_s
        expires_s = self._clock.monotonic_s() + 2 * wait_s
        try:
            while not self._stopping.wait(wait_s):
                try:
                    self.token = self._renewed()
                except VenueError as error:
                    wait_s = self._backoff.next_s(error.retry_after_s)
                    if isinstance(error, Refused) or self._clock.monotonic_s() + wait_s >= expires_s:
                        raise SessionOver(TOKEN, str(error)) from None
                else:
                    self._backoff.reset()
                    wait_s = self.token.renew_s
                    expires_s = self._clock.monotonic_s() + 2 * wait_s
        except Exception as error:  # noqa: BLE001  the collector raises it
            self.failure = error
            self._on_failure()

    def _renewed(self) -> Token:
        account = self._account
        with closing(client_of(account, self._limits, self._clock)) as client:
            asked = self._renew(account.login, self.token)
            token = ask(account, client, self._clock, asked)
        account.credentials.learn(token.text)
        return token


def client_of(account: Account, limits: Limits, clock: Clock, pace: Pace | None = None) -> HttpClient:
    """A client for requests of an account, for one thread; `pace` is that of all accounts, if there are others."""
    address = None if pace is None else pace.address(account)
    return HttpClient(account.url, limits.connect_s, limits.answer_s, clock.monotonic_s, account.headers, address)
