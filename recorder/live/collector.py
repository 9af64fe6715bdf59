"""The collector of one stream of an account: connects, records the connection, and connects again when it ends.

One thread, the only owner of its sockets. It ends after a stop, after a bug, or if the very first connection is
refused, because a configuration that cannot work should say so at once. Nothing else that the exchange does ends it.

A connection that the exchange is going to end (for its age, or because it says so) is replaced before that: the next
one is opened beside it, and it is ended when the next one is covered. If the next one fails, it goes on.
"""

import logging
import math
import selectors
from collections.abc import Callable
from functools import partial
from threading import Event, Thread
from typing import NamedTuple

from recorder.clock import Clock
from recorder.errors import Refused, SessionOver, Unavailable, VenueError
from recorder.live.account_sessions import MAY_BE_REVOKED, AccountSessions, Ended
from recorder.live.backoff import Backoff
from recorder.live.channel import Channel, ChannelClosed
from recorder.live.connection import Attempt, Connection, Connector
from recorder.live.pace import Pace
from recorder.live.proof import NOT_SUBSCRIBED, REPLACED, TOKEN
from recorder.live.session import Session
from recorder.live.settings import Account, Limits
from recorder.live.wake import Wake
from recorder.store.entries import SessionOpened
from recorder.venues.base import Stream

log = logging.getLogger(__name__)

#: The shortest wait after the exchange refused the credentials, seconds.
REFUSED_S = 30.0
#: Why a session ends that our own code cannot go on with.
FAULT = "fault"


class _Line(NamedTuple):
    """A connection and its session."""

    connection: Connection
    session: Session

    def step(self, stop: Event) -> None:
        """Record what has come."""
        self.connection.check()
        self.session.step(stop)


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
        account_sessions: those of the account; None: it is a new one.
        pace: of all connections to the exchange; None: there are no others.

    Attributes:
        label: for people: the account, and the stream where there are several.
        failure: what ended the thread, other than a stop.
        session: the connection, while there is one. While two overlap: the older.
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
        account_sessions: AccountSessions | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.label = account.label(stream.name)
        super().__init__(name=f"collector {self.label}", daemon=True)
        self.account = account
        self.stream = stream
        self.channel = channel
        self.failure: BaseException | None = None
        self.session: Session | None = None
        self.sessions = 0
        self._last_push_s = clock.monotonic_s()
        self._account_sessions = account_sessions or AccountSessions()
        self._run_id = run_id
        self._clock = clock
        self._limits = limits
        self._on_end = on_end
        self._stopping = Event()
        #: Each ends a wait of this thread; only this thread clears them.
        self._interrupt = Event()
        self._wake = Wake()
        self._connector = Connector(account, stream, self._wake, clock, limits, self._rouse, pace, self._stopping)
        #: What is recorded, oldest first: at most two.
        self._lines: list[_Line] = []
        #: Opens the next connection while one is recorded.
        self._attempt: Attempt | None = None
        #: The shortest wait before the next connection, seconds.
        self._at_least_s = 0.0
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

    @property
    def covered_session_id(self) -> int | None:
        """The newest connection that is covered; None if none is."""
        covered = [line.session.session_id for line in tuple(self._lines) if line.session.covered]
        return covered[-1] if covered else None

    def stop(self) -> None:
        """Queue what has been read from the socket, close it, and end. Then `join`."""
        self._stopping.set()
        self._rouse()

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
            self._on_end()
            if self._attempt is not None:
                self._attempt.abandon()
            self._wake.close()

    def _rouse(self) -> None:
        """End the wait of this thread. From any thread."""
        self._interrupt.set()
        self._wake.set()

    def _roused(self) -> None:
        """Clear the flags, before looking at what they were set for."""
        self._wake.clear()
        self._interrupt.clear()

    def _one_connection(self) -> float:
        """Connect, and record until nothing is connected. Returns the seconds to wait before the next connection."""
        try:
            connection = self._connect()
        except VenueError as error:
            if isinstance(error, Refused):
                self._doubt_the_last()
            if self.sessions == 0 and not isinstance(error, Unavailable):
                raise
            if self._stopping.is_set():
                return 0.0
            wait_s = self._wait_after(error)
            log.warning("%s: %s Trying again in %.1f s.", self.label, error, wait_s)
            return wait_s
        if self._stopping.is_set():
            connection.close()
            return 0.0
        try:
            return self._record(connection)
        finally:
            for line in list(self._lines):
                self._drop(line)

    def _connect(self) -> Connection:
        attempt, self._attempt = self._attempt, None
        return self._connector.connect() if attempt is None else attempt.wait()

    def _wait_after(self, error: VenueError) -> float:
        return self._backoff.next_s(max(error.retry_after_s, REFUSED_S if isinstance(error, Refused) else 0.0))

    def _record(self, connection: Connection) -> float:
        self._at_least_s = 0.0
        over = self._begin(connection)
        while self._lines and not self._stopping.is_set():
            over = self._record_one(*self._lines) if len(self._lines) == 1 else self._record_both(*self._lines)
        for line in list(self._lines):
            self._end(line, SessionOver("stopped"))
        if self._stopping.is_set():
            return 0.0
        wait_s = self._backoff.next_s(self._at_least_s)
        log.warning(
            "%s: the connection has ended (%s). A gap begins; connecting again in %.1f s.", self.label, over, wait_s
        )
        return wait_s

    def _record_one(self, line: _Line) -> SessionOver | None:
        """Record the only connection until something else is to be done. Returns what ended it, if anything did."""
        session = line.session
        over = self._do(line, lambda: session.record(self._interrupt))
        self._roused()
        over = over or self._do(line, line.connection.check)
        if over is not None or self._stopping.is_set():
            return over
        if self._attempt is not None and self._attempt.result is not None:
            try:
                self._begin(self._connect())
            except VenueError as error:
                self._replace_later(line, error, self._wait_after(error))
        elif self._clock.monotonic_s() >= session.replace_at_s:
            log.info("%s: the exchange is going to end the connection; opening the next one", self.label)
            session.replace_at_s = math.inf
            self._attempt = Attempt(self._connector, self._rouse)
        return None

    def _record_both(self, old: _Line, new: _Line) -> SessionOver | None:
        """Record two connections until one of them has ended. Returns what ended the last one, if both have."""
        over: SessionOver | None = None
        give_up_s = math.inf
        with selectors.DefaultSelector() as selector:
            for waited_for in (self._wake, old.connection.transport, new.connection.transport):
                selector.register(waited_for, selectors.EVENT_READ)
            while self._lines == [old, new] and not self._stopping.is_set():
                if new.session.covered and give_up_s == math.inf:
                    give_up_s = self._clock.monotonic_s() + self._limits.silent_s
                    old.session.hand_over()
                due_s = min(old.session.due_s(), new.session.due_s(), give_up_s)
                if old.session.has_more or new.session.has_more:
                    due_s = 0.0
                selector.select(max(due_s - self._clock.monotonic_s(), 0.0))
                self._roused()
                for line in (old, new):
                    over = self._do(line, partial(line.step, self._stopping)) or over
                if self._lines == [old, new] and new.session.covered:
                    # The old one ends once it has shown that nothing is missing until the new one was covered.
                    is_shown = not old.session.covered or old.session.handed_over
                    if is_shown or self._clock.monotonic_s() >= give_up_s:
                        self._end(old, _replaced(self.account, old.connection, new.connection))
        if self._lines == [old]:
            assert over is not None
            self._replace_later(old, over, self._backoff.next_s(self._at_least_s))
        return over

    def _replace_later(self, line: _Line, why: Exception, wait_s: float) -> None:
        log.warning(
            "%s: there is no new connection yet (%s); the old one goes on. Trying again in %.1f s.",
            self.label,
            why,
            wait_s,
        )
        line.session.replace_at_s = self._clock.monotonic_s() + wait_s

    def _begin(self, connection: Connection) -> SessionOver | None:
        """Begin to record a connection. Returns what ended it at once, if anything did."""
        account, opened_ns = self.account, self._clock.wall_ns()
        opened = SessionOpened(
            account.account_id,
            self._account_sessions.next_id(opened_ns),
            self._run_id,
            self.stream.url,
            self.stream.topics,
            opened_ns,
            self.stream.name,
        )
        session = Session(
            account, connection.protocol, opened, connection.transport, self.channel, self._clock, self._limits
        )
        session.on_covered = partial(self._account_sessions.covered, self.stream.name)
        if self.sessions:
            session.last_push_s = self.last_push_s
        line = _Line(connection, session)
        self._lines.append(line)
        self.session = self._lines[0].session
        self.sessions += 1
        log.info("%s: connected to %s", self.label, opened.url)
        self.channel.put_entry(opened)
        return self._do(line, session.begin)

    def _do(self, line: _Line, action: Callable[[], None]) -> SessionOver | None:
        """Let a session act. If that ends it, its end is recorded, and returned."""
        if line not in self._lines:
            return None
        try:
            action()
        except SessionOver as over:
            self._end(line, over)
            return over
        except Refused as error:
            refused = SessionOver("refused", str(error))
            self._end(line, refused)
            if not line.session.covered:
                self._doubt_the_last()
                if self.sessions == 1:
                    raise
                self._at_least_s = REFUSED_S
            return refused
        except Exception as error:
            self._end(line, SessionOver(FAULT, type(error).__name__))
            raise
        return None

    def _end(self, line: _Line, over: SessionOver) -> None:
        if over.reason != FAULT:
            line.session.keep_received()
        ended = line.session.ended(over)
        self.channel.put_entry(ended)
        self._drop(line)
        if line.session.covered:
            # A subscription that the exchange has ended would be ended again at once.
            if over.reason != NOT_SUBSCRIBED:
                self._backoff.reset()
            if self.covered_session_id is None:
                last = Ended(line.session.proof, line.session.answered.number, ended)
                self._account_sessions.ended(self.stream.name, last)

    def _doubt_the_last(self) -> None:
        """After a refusal, begin the gap at the last push of the session before it, if nothing was covered since."""
        for earlier in self._account_sessions.refused():
            log.error("%s: %s", self.label, MAY_BE_REVOKED)
            self.channel.put_entry(earlier)

    def _drop(self, line: _Line) -> None:
        line.connection.close()
        self._lines.remove(line)
        self._last_push_s = self.last_push_s
        self.session = self._lines[0].session if self._lines else None


def _replaced(account: Account, old: Connection, new: Connection) -> SessionOver:
    """Why a connection ends that another one has replaced."""
    tokens = {None if one.renewal is None else one.renewal.token.text for one in (old, new)}
    if account.venue.fails_silently and len(tokens) > 1:
        return SessionOver(TOKEN, "the exchange gave another token: the one before was no longer valid")
    return SessionOver(REPLACED)
