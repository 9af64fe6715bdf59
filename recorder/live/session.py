"""One connection: each frame is numbered and queued for the writer, and only then acted on."""

import logging
from threading import Event
from typing import NamedTuple

from recorder.clock import Clock
from recorder.errors import Refused, SessionOver
from recorder.live.channel import Channel, Recorded
from recorder.live.settings import Account, Limits
from recorder.live.transport import Message, Transport, Waited
from recorder.model import CONTROL, PUSH, SENT, Control, Frame, Heartbeat, new
from recorder.store.entries import Covered, SessionEnded, SessionOpened
from recorder.venues.base import Command, PushSession
from recorder.venues.reading import read_frame

log = logging.getLogger(__name__)

#: How often a session that waits for room in the queue checks for a stop, seconds.
ROOM_CHECK_S = 0.2
#: A longer wait for room is logged, seconds.
LOG_WAIT_S = 1.0


class Answered(NamedTuple):
    """The last heartbeat that the exchange answered."""

    #: Heartbeats are numbered from 1 and answered in order; 0: none yet.
    number: int = 0
    #: The number of the answer's frame; -1: none yet.
    seq: int = -1


class Session:
    """Records one connection.

    Args:
        account: the account.
        protocol: of the connection.
        opened: the session's first entry in the event log.
        transport: the connection.
        channel: to the writer.
        clock: measures waits.
        limits: of waits.

    Attributes:
        session_id: its key in the event log.
        answered: the last heartbeat that the exchange answered. Everything pushed before the answer has been received.
        is_over: whether it has ended: later pushes are not received.
        covered: whether every topic has been acknowledged or refused.
        last_push_s: when the last update came, on the monotonic clock.
        undecoded: the number of its frames that could not be decoded.
    """

    def __init__(
        self,
        account: Account,
        protocol: PushSession,
        opened: SessionOpened,
        transport: Transport,
        channel: Channel,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self.covered = False
        self.last_push_s = clock.monotonic_s()
        self.undecoded = 0
        self._account = account
        self._account_id = opened.account_id
        self.session_id = self._session_id = opened.session_id
        self.answered = Answered()
        self.is_over = False
        self._heartbeats = 0
        self._topics = opened.topics
        self._protocol = protocol
        self._transport = transport
        self._channel = channel
        self._clock = clock
        self._limits = limits
        self._seq = -1
        self._last_seq = -1
        self._last_received_ns = opened.opened_ns
        self._next_heartbeat_s = self.last_push_s + account.heartbeat_interval_s
        self._answering = True
        self._warned_of_clock = False

    def record(self, stop: Event) -> None:
        """Record until `stop` is set.

        Raises:
            SessionOver: the connection has ended.
            Refused: the exchange refused every topic.
            ChannelClosed: the writer has ended.
        """
        try:
            for command in self._protocol.opening(self._clock.wall_ms()):
                self._send(command)
            self._receive_until(stop)
        except (SessionOver, Refused):
            self._keep_received()
            raise
        self._keep_received()

    def _receive_until(self, stop: Event) -> None:
        now_s = self._clock.monotonic_s()
        silent_s = self._limits.silent_s
        silent_at_s = now_s + silent_s
        subscribe_by_s = now_s + self._limits.subscribe_s
        receive, keep, stopped, has_room = self._transport.receive, self._keep, stop.is_set, self._channel.has_room
        monotonic_s = self._clock.monotonic_s
        while not stopped():
            if not has_room():
                self._wait_for_room(stop)
                # What the exchange sent meanwhile is in the kernel's buffers, so it was not silent.
                silent_at_s = monotonic_s() + silent_s
            try:
                keep(receive(min(self._next_heartbeat_s, silent_at_s)))
                now_s = monotonic_s()
                silent_at_s = now_s + silent_s
            except Waited:
                now_s = monotonic_s()
                if now_s >= silent_at_s and not self.answered.number:
                    # Pings of the WebSocket protocol are a sign of life, too. But an exchange that has answered a
                    # heartbeat must go on answering: the pings may come from a proxy in front of a dead exchange.
                    silent_at_s = self._transport.pinged_s + silent_s
                if now_s >= silent_at_s:
                    raise SessionOver("silent", f"nothing came for {silent_s:g} s") from None
            if now_s >= self._next_heartbeat_s:
                self._beat(now_s)
            if not self.covered and now_s >= subscribe_by_s:
                raise SessionOver("not subscribed", f"no answer for every topic in {self._limits.subscribe_s:g} s")

    def _keep_received(self) -> None:
        """Queue what has already been read from the socket, whatever ended the session, without answering it."""
        self._answering = False
        for message in self._transport.received_already():
            self._keep(message)

    def beat_soon(self) -> int:
        """Send a heartbeat when the next frame comes, or when one is due. From any thread.

        Returns:
            The number of the first heartbeat that is certain to be sent after this call.
        """
        # Heartbeats are counted before they are sent: this is one being sent just now, or the next one.
        number = self._heartbeats + 1
        # If the session sets the time of the next heartbeat just now, that one is soon enough.
        self._next_heartbeat_s = self._clock.monotonic_s()
        return number

    def ended(self, over: SessionOver) -> SessionEnded:
        """The session's last entry in the event log."""
        self.is_over = True
        return SessionEnded(
            self._account_id,
            self._session_id,
            self._clock.wall_ns(),
            over.reason,
            over.detail,
            self.covered,
            self._last_seq,
            self._last_received_ns,
        )

    def _keep(self, message: Message) -> None:
        decoded = read_frame(self._account.venue, message.payload)
        self._seq = self._last_seq = self._seq + 1
        self._last_received_ns = message.received_ns
        frame = new(
            Frame,
            (
                self._account_id,
                self._session_id,
                self._seq,
                message.received_ns,
                PUSH,
                decoded.topic,
                decoded.status,
                decoded.error,
                message.payload,
            ),
        )
        self._channel.put(new(Recorded, (frame, decoded.updates)))
        if decoded.control is not None:
            if self._answering:
                self._answer(decoded.control)
        elif decoded.error is not None:
            self._count_undecoded(decoded.error)
        elif decoded.updates and type(decoded.updates[0]) is Heartbeat:
            self.answered = Answered(self.answered.number + 1, self._seq)
            self._compare_clocks(decoded.updates[0])
        else:
            self.last_push_s = self._clock.monotonic_s()

    def _answer(self, control: Control) -> None:
        for command in self._protocol.receive(control, self._clock.wall_ms()):
            self._send(command)
        if not self.covered and self._protocol.settled:
            self._settle()

    def _settle(self) -> None:
        name, refused = self._account.name, self._protocol.refused
        if len(refused) == len(self._topics):
            why = ", ".join(f"{topic} ({words})" for topic, words in refused.items())
            raise Refused(f"The exchange refused every topic of account {name}: {why}; check its symbols.")
        for topic, words in refused.items():
            log.error(
                "%s: the exchange refused topic %s (%s): check the symbol; the others are recorded", name, topic, words
            )
        self.covered = True
        log.info("%s: covered, %d topics acknowledged", name, len(self._protocol.acknowledged))
        covered = Covered(
            self._account_id, self._session_id, self._last_seq, self._last_received_ns, self._topics, dict(refused)
        )
        self._channel.put_entry(covered)

    def _beat(self, now_s: float) -> None:
        self._next_heartbeat_s = now_s + self._account.heartbeat_interval_s
        self._heartbeats += 1
        command = self._protocol.heartbeat(self._clock.wall_ms())
        if command is None:
            self._transport.ping()
        else:
            self._send(command)

    def _send(self, command: Command) -> None:
        """Number and queue a command before it is sent, so that its answer comes after it in the record."""
        self._seq += 1
        frame = Frame(
            self._account_id,
            self._session_id,
            self._seq,
            self._clock.wall_ns(),
            SENT,
            None,
            CONTROL,
            None,
            command.recorded,
        )
        self._channel.put(Recorded(frame, ()))
        self._transport.send(command.sent)

    def _wait_for_room(self, stop: Event) -> None:
        """Stop reading while the queue is full; the kernel's buffers fill, then the exchange waits.

        Heartbeats are still sent, a few small frames beyond the limit: without them an exchange disconnects a client.

        Raises:
            SessionOver: there was no room for `stalled_s`.
        """
        since_s = self._clock.monotonic_s()
        logged = False
        while not self._channel.wait_for_room(ROOM_CHECK_S) and not stop.is_set():
            now_s = self._clock.monotonic_s()
            if now_s >= self._next_heartbeat_s:
                self._beat(now_s)
            waited_s = now_s - since_s
            if waited_s > LOG_WAIT_S and not logged:
                logged = True
                # Often just a burst. If the database is locked or the disk is full, the writer logs that.
                log.warning(
                    "%s: %s frames wait to be written: reading pauses until the database catches up",
                    self._account.name,
                    f"{self._channel.frames_in - self._channel.frames_out:,}",
                )
            if waited_s > self._limits.stalled_s:
                raise SessionOver("stalled", f"the database took nothing for {self._limits.stalled_s:g} s")

    def _count_undecoded(self, error: str) -> None:
        self.undecoded += 1
        # Logged for the 1st, 2nd, 4th, 8th ...: a broken stream must not fill the disk with log lines.
        if self.undecoded & (self.undecoded - 1) == 0:
            log.warning(
                "%s: frame %d is kept but could not be decoded (%d so far): %s",
                self._account.name,
                self._seq,
                self.undecoded,
                error,
            )

    def _compare_clocks(self, heartbeat: Heartbeat) -> None:
        tolerance_ms = self._account.venue.clock_tolerance_ms
        if heartbeat.gap_ms is None or self._warned_of_clock or abs(heartbeat.gap_ms) * 2 <= tolerance_ms:
            return
        self._warned_of_clock = True
        log.error(
            "%s: this machine's clock is %.1f s off the exchange's, which refuses more than %d s: set it (NTP)",
            self._account.name,
            heartbeat.gap_ms / 1000,
            tolerance_ms // 1000,
        )
