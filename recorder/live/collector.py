"""The collector of one stream of an account: connects, records the connection, and connects again when it ends.

One thread, the only owner of its socket. It ends after a stop, after a bug, or if the very first connection is refused,
because a configuration that cannot work should say so at once. Nothing else that the exchange does ends it.
"""

import logging
from collections.abc import Callable
from threading import Event, Thread

from recorder.clock import Clock
from recorder.errors import Refused, SessionOver, Unavailable, VenueError
from recorder.live.backoff import Backoff
from recorder.live.channel import Channel, ChannelClosed
from recorder.live.session import Session
from recorder.live.settings import Account, Limits
from recorder.live.transport import Transport, connect
from recorder.live.wake import Wake
from recorder.model import time_ordered_id
from recorder.store.entries import SessionOpened
from recorder.venues.base import Stream

log = logging.getLogger(__name__)

#: The shortest wait after the exchange refused the key, seconds.
REFUSED_S = 30.0


class Collector(Thread):
    """Records one stream of an account.

    Args:
        account: the account.
        stream: the stream.
        run_id: the run, for the event log.
        channel: to the writer.
        clock: stamps frames, measures waits.
        limits: of frames and waits.
        on_end: called when the thread ends, in this thread.
        after_session_id: the account's newest session so far; later keys are greater.

    Attributes:
        failure: what ended the thread, other than a stop.
        session: the connection, while there is one.
        sessions: the number of connections so far.
    """

    def __init__(
        self,
        account: Account,
        stream: Stream,
        run_id: int,
        channel: Channel,
        clock: Clock,
        limits: Limits,
        on_end: Callable[[], None],
        after_session_id: int = 0,
    ) -> None:
        super().__init__(name=f"collector {account.name}", daemon=True)
        self.account = account
        self.stream = stream
        self.channel = channel
        self.failure: BaseException | None = None
        self.session: Session | None = None
        self.sessions = 0
        self._last_push_s = clock.monotonic_s()
        self._session_id = after_session_id
        self._run_id = run_id
        self._clock = clock
        self._limits = limits
        self._on_end = on_end
        self._stopping = Event()
        self._wake = Wake()
        self._backoff = Backoff(limits.reconnect_first_s, limits.reconnect_last_s)

    @property
    def last_push_s(self) -> float:
        """When the last update came, on the monotonic clock; before the first: when the collector was made."""
        session = self.session
        return session.last_push_s if session is not None else self._last_push_s

    @property
    def state(self) -> str:
        """For people: `connecting`, `subscribing` or `covered`."""
        session = self.session  # another thread may reset it at any time
        if session is None:
            return "connecting"
        return "covered" if session.covered else "subscribing"

    def stop(self) -> None:
        """Queue what has been read from the socket, close it, and end. Then `join`."""
        self._stopping.set()
        self._wake.set()

    def run(self) -> None:
        """The thread."""
        try:
            while not self._stopping.is_set():
                wait_s = self._one_connection()
                self._stopping.wait(wait_s)
        except ChannelClosed:
            pass  # the writer has ended and reports the reason itself
        except BaseException as error:  # noqa: BLE001  main shows it and ends the run
            self.failure = error
        finally:
            self._wake.close()
            self._on_end()

    def _one_connection(self) -> float:
        """Connect and record until the connection ends. Returns the seconds to wait before the next one."""
        try:
            transport = self._connect()
        except VenueError as error:
            if self.sessions == 0 and not isinstance(error, Unavailable):
                raise
            at_least_s = max(error.retry_after_s, REFUSED_S if isinstance(error, Refused) else 0.0)
            wait_s = self._backoff.next_s(at_least_s)
            log.warning("%s: %s Trying again in %.1f s.", self.account.name, error, wait_s)
            return wait_s
        try:
            return self._record(transport)
        finally:
            transport.close()
            self._last_push_s = self.last_push_s
            self.session = None

    def _next_session_id(self, opened_ns: int) -> int:
        """A key ordered by time, even if the clock has jumped back since the last session."""
        self._session_id = max(time_ordered_id(opened_ns), self._session_id + 1)
        return self._session_id

    def _connect(self) -> Transport:
        account, venue = self.account, self.account.venue
        signed_url = venue.connection_url(self.stream, account.login, None, self._clock.wall_ms())
        limits = self._limits
        return connect(
            signed_url,
            self.stream.url,
            account.credentials.secrets,
            venue,
            self._wake,
            self._clock,
            limits.connect_s,
            limits.frame_bytes_max,
        )

    def _record(self, transport: Transport) -> float:
        if self._stopping.is_set():
            return 0.0
        account = self.account
        opened_ns = self._clock.wall_ns()
        opened = SessionOpened(
            account.account_id,
            self._next_session_id(opened_ns),
            self._run_id,
            self.stream.url,
            self.stream.topics,
            opened_ns,
        )
        first = self.sessions == 0
        protocol = account.venue.push_session(self.stream, account.login, None)
        session = Session(account, protocol, opened, transport, self.channel, self._clock, self._limits)
        if not first:
            session.last_push_s = self.last_push_s
        self.session = session
        self.sessions += 1
        log.info("%s: connected to %s", account.name, opened.url)
        self.channel.put_entry(opened)
        try:
            session.record(self._stopping)
            over = SessionOver("stopped")
        except SessionOver as error:
            over = error
        except Refused as error:
            over = SessionOver("refused", str(error))
            if first:
                self.channel.put_entry(session.ended(over))
                raise
        except Exception as error:
            self.channel.put_entry(session.ended(SessionOver("fault", type(error).__name__)))
            raise
        self.channel.put_entry(session.ended(over))
        if self._stopping.is_set():
            return 0.0
        if session.covered:
            self._backoff.reset()
        wait_s = self._backoff.next_s()
        log.warning(
            "%s: the connection has ended (%s). A gap begins; connecting again in %.1f s.", account.name, over, wait_s
        )
        return wait_s
