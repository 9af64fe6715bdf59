"""One connection: each frame is numbered and queued for the writer, and only then acted on."""

import logging
import math
from collections.abc import Callable
from threading import Event
from typing import NamedTuple

from recorder.clock import NS_PER_MS, Clock
from recorder.errors import Refused, SessionOver
from recorder.live.channel import Channel, Recorded
from recorder.live.exchange_clock import ExchangeClock
from recorder.live.http import masked, presentable, without_secrets
from recorder.live.proof import DISCREPANCY, NOT_SUBSCRIBED, Place, Proof
from recorder.live.repeated import RepeatedTopics, Repetitions
from recorder.live.settings import Account, Limits
from recorder.live.transport import Message, Transport, Waited
from recorder.model import CONTROL, DECODED, PUSH, REPEATED, SENT, Control, Decoded, Frame, Heartbeat, Notice, new
from recorder.store.entries import Covered, SessionEnded, SessionOpened
from recorder.venues.base import Command, PushSession
from recorder.venues.reading import masked_topic, read_frame

log = logging.getLogger(__name__)

#: How often a session that waits for room in the queue checks for a stop, seconds.
ROOM_CHECK_S = 0.2
#: A longer wait for room is logged, seconds.
LOG_WAIT_S = 1.0
#: `Session.step` takes at most this number of frames, and waits this long for the first, seconds.
STEP_FRAMES_MAX = 100
STEP_WAIT_S = 0.001


class Answered(NamedTuple):
    """The last heartbeat that the exchange answered."""

    #: Heartbeats are numbered from 1 and answered in order; 0: none yet.
    number: int = 0
    #: The number of the answer's frame, or of the last frame before a pong of the WebSocket protocol; -1: none yet.
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
        on_covered: called as soon as it is.
        proven_ns: when the last frame or pong came: nothing that was pushed before is missing on this connection.
        proof: what it can prove about its pushes.
        repeated: its repeated topics; empty until all topics are covered.
        last_push_s: when the last update came, on the monotonic clock.
        replace_at_s: when a new connection should replace this one, on the monotonic clock.
        has_more: whether `step` may have left received frames to the next step.
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
        now_s = clock.monotonic_s()
        self.covered = False
        self.proven_ns = opened.opened_ns
        self.proof = Proof(opened.opened_ns, fails_silently=account.venue.fails_silently)
        self.last_push_s = now_s
        self.has_more = False
        self.undecoded = 0
        self._account = account
        self._name = account.label(opened.stream)
        self.session_id = self._session_id = opened.session_id
        self._account_id = opened.account_id
        self.answered = Answered()
        self.is_over = False
        self._heartbeats = 0
        self._on_pong: Callable[[], None] = lambda: None
        self.on_covered: Callable[[], None] = lambda: None
        self._topics = opened.topics
        #: Topics that were acknowledged by the time it was covered.
        self._pushed: frozenset[str] = frozenset()
        self._protocol = protocol
        self._transport = transport
        transport.on_pong = self._ponged
        self._channel = channel
        self._clock = clock
        self._limits = limits
        self._seq = -1
        self._last_seq = -1
        self._next_heartbeat_s = now_s + account.heartbeat_interval_s
        self._silent_at_s = now_s + limits.silent_s
        self._subscribe_by_s = now_s + limits.subscribe_s
        self.replace_at_s = now_s + (account.venue.connection_max_s or math.inf)
        self.repeated = RepeatedTopics(account.venue.repeated_topics, clock)
        self._answering = True
        #: Pushes did not arrive, by the exchange's count. The gap begins before what was received since: it is kept,
        #: and proves nothing.
        self._lost: SessionOver | None = None
        self._exchange_clock = ExchangeClock(self._name, account.venue.clock_tolerance_ms)

    @property
    def _secrets(self) -> tuple[str, ...]:
        return (*self._transport.secrets, *self._account.credentials.secrets)

    def begin(self) -> None:
        """Send the opening commands.

        Raises:
            SessionOver: the connection has ended.
        """
        for command in self._protocol.opening(self._clock.wall_ms()):
            self._send(command)
        self._settle()

    def record(self, until: Event) -> None:
        """Record until `until` is set, or until a new connection should replace this one.

        Raises:
            SessionOver: the connection has ended.
            Refused: the exchange refused the login, or every topic.
            ChannelClosed: the writer has ended.
        """
        silent_s = self._limits.silent_s
        receive, interrupted, has_room = self._transport.receive, until.is_set, self._channel.has_room
        monotonic_s = self._clock.monotonic_s
        keep = self._keep_repeated if self._account.venue.repeated_topics else self._keep
        now_s = monotonic_s()
        while now_s < self.replace_at_s and not interrupted():
            if not has_room():
                self._wait_for_room(until)
            try:
                keep(receive(min(self.due_s(), self.replace_at_s)))
                now_s = monotonic_s()
                self._silent_at_s = now_s + silent_s
            except Waited:
                now_s = monotonic_s()
                self._check_silence(now_s)
            if now_s >= self._next_heartbeat_s or not self.covered or self.repeated:
                self._check(now_s)

    def step(self, stop: Event) -> None:
        """Record what has come, without waiting for more.

        Raises:
            As `record`.
        """
        if not self._channel.has_room():
            self._wait_for_room(stop)
        taken = 0
        try:
            while taken < STEP_FRAMES_MAX:
                self._keep_repeated(self._transport.receive(self._clock.monotonic_s() + STEP_WAIT_S))
                taken += 1
        except Waited:
            pass
        now_s = self._clock.monotonic_s()
        if taken:
            self._silent_at_s = now_s + self._limits.silent_s
        else:
            self._check_silence(now_s)
        self._check(now_s)
        self.has_more = taken == STEP_FRAMES_MAX

    def due_s(self) -> float:
        """When it has something to do even if no frame comes, other than being replaced, on the monotonic clock."""
        due_s = min(self._next_heartbeat_s, self._silent_at_s)
        if not self.covered:
            return min(due_s, self._subscribe_by_s)
        return min(due_s, self.repeated.due_s) if self.repeated else due_s

    def keep_received(self) -> None:
        """Queue what has already been read from the socket, whatever ends the session, without answering it."""
        self._answering = False
        for message in self._transport.received_already():
            self._keep(message)

    def _check_silence(self, now_s: float) -> None:
        if now_s >= self._silent_at_s and not self.answered.number:
            # Pings of the WebSocket protocol are a sign of life, too. But an exchange that has answered a heartbeat
            # must go on answering: the pings may come from a proxy in front of a dead exchange.
            self._silent_at_s = self._transport.pinged_s + self._limits.silent_s
        if now_s >= self._silent_at_s:
            raise SessionOver("silent", f"nothing came for {self._limits.silent_s:g} s")

    def _check(self, now_s: float) -> None:
        self.proof.check()
        if now_s >= self._next_heartbeat_s:
            self._beat(now_s)
        if not self.covered and now_s >= self._subscribe_by_s:
            raise SessionOver(NOT_SUBSCRIBED, f"no answer for every topic in {self._limits.subscribe_s:g} s")
        self.repeated.check(now_s)

    def beat_soon(self, on_pong: Callable[[], None] = lambda: None) -> int:
        """Send a heartbeat when the next frame comes, or when one is due. From any thread.

        Args:
            on_pong: called after each answer that is no frame.

        Returns:
            The number of the first heartbeat that is certain to be sent after this call.
        """
        # Heartbeats are counted before they are sent: this is one being sent just now, or the next one.
        number = self._heartbeats + 1
        self._on_pong = on_pong
        # If the session sets the time of the next heartbeat just now, that one is soon enough.
        self._next_heartbeat_s = self._clock.monotonic_s()
        return number

    def hand_over(self) -> None:
        """Note that the next session is covered by now; see `Proof.hand_over`."""
        self.proof.hand_over(Place(self.proven_ns, self._last_seq), self.beat_soon())

    @property
    def handed_over(self) -> bool:
        """Whether everything has been received that was pushed before the next session was covered."""
        return self.proof.handed_over(self.answered.number)

    def ended(self, over: SessionOver) -> SessionEnded:
        """The session's last entry in the event log."""
        self.is_over = True
        over = self._lost or over
        of, now_ns = (self._account_id, self._session_id), self._clock.wall_ns()
        last = self._last_seq, self.proven_ns
        ended = SessionEnded(*of, now_ns, over.reason, over.detail, self.covered, *last)
        return self.proof.believed(ended, self.answered.number)

    def place(self) -> Place:
        """Where it is now. From any thread."""
        return Place(self._clock.wall_ns(), self._last_seq)

    def refute(self, why: str, reason: str = DISCREPANCY) -> None:
        """End it soon: pushes are missing, or may be. From any thread."""
        self.proof.refuted(why, reason)
        self._next_heartbeat_s = self._clock.monotonic_s()

    def _keep(self, message: Message, repetitions: Repetitions | None = None) -> Decoded:
        payload = message.payload
        decoded = read_frame(self._account.venue, payload)
        if decoded.status != DECODED:
            payload, decoded = self._without_secrets(payload, decoded)
        self._seq += 1
        key = self._account_id, self._session_id, self._seq, message.received_ns
        if repetitions is not None and repetitions.is_one(decoded):
            self._channel.put(Recorded(Frame(*key, REPEATED, *decoded[:3], payload), ()))
        else:
            frame = new(Frame, (*key, PUSH, *decoded[:3], payload))  # topic, status, error
            self._channel.put(new(Recorded, (frame, decoded.updates if not decoded.listings else decoded.rows)))
        if decoded.sequence is not None and self._lost is None:
            try:
                self._protocol.counted(decoded.topic, decoded.sequence)
            except SessionOver as lost:
                self._lost = lost
                if self._answering:
                    raise
        if self._lost is not None:
            return decoded
        self._last_seq, self.proven_ns = self._seq, message.received_ns
        if decoded.control is not None:
            if self._answering:
                self._answer(decoded.control)
        elif decoded.error is not None:
            self._count_undecoded(decoded.error)
        elif decoded.updates and type(decoded.updates[0]) is Heartbeat:
            self.answered = Answered(self.answered.number + 1, self._seq)
            self._exchange_clock.compare(decoded.updates[0], message.received_ns // NS_PER_MS)
        else:
            self.last_push_s = self._clock.monotonic_s()
            self.proof.pushed(message.received_ns, self._seq)
        return decoded

    def _keep_repeated(self, message: Message) -> None:
        """As `_keep`, for venues that repeat topics."""
        self.repeated.note(self._keep(message, self.repeated.repetitions).topic, self._clock.monotonic_s())

    def _without_secrets(self, payload: bytes, decoded: Decoded) -> tuple[bytes, Decoded]:
        """The bytes to store, and what they say. What the exchange said counts as it was."""
        if decoded.secrets:
            self._account.credentials.learn(*decoded.secrets)
            self._transport.secrets = (*self._transport.secrets, *decoded.secrets)
        stored, is_masked = masked(payload, self._secrets)
        if not is_masked:
            return payload, decoded
        read = read_frame(self._account.venue, stored)
        return stored, read._replace(topic=masked_topic(read.topic), control=decoded.control)

    def _answer(self, control: Control) -> None:
        if isinstance(control, Notice):
            log.warning("%s: the exchange says: %s", self._name, presentable(control.message, self._secrets))
            if control.reconnect:
                self.replace_at_s = self._clock.monotonic_s()
        try:
            commands = self._protocol.receive(control, self._clock.wall_ms())
        except Refused as error:
            raise Refused(without_secrets(str(error), self._secrets)) from None
        for command in commands:
            self._send(command)
        self._settle()

    def _settle(self) -> None:
        name, secrets = self._name, self._secrets
        refused = {topic: presentable(words, secrets) for topic, words in self._protocol.refused.items()}
        if ended := self._pushed.intersection(refused):
            raise SessionOver(NOT_SUBSCRIBED, ", ".join(f"{topic}: {refused[topic]}" for topic in sorted(ended)))
        if self.covered or not self._protocol.settled:
            return
        if refused and len(refused) == len(self._topics):
            why = ", ".join(f"{topic} ({words})" for topic, words in refused.items())
            raise Refused(f"The exchange refused every topic of account {name}: {why}; check its symbols.")
        for topic, words in refused.items():
            log.error(
                "%s: the exchange refused topic %s (%s): check the symbol; the others are recorded", name, topic, words
            )
        self.covered, self._pushed = True, frozenset(self._protocol.acknowledged)
        self.on_covered()
        self.proof.pushed(self.proven_ns, self._last_seq)
        log.info("%s: covered, %d topics acknowledged", name, len(self._protocol.acknowledged))
        self._channel.put_entry(
            Covered(self._account_id, self._session_id, self._last_seq, self.proven_ns, self._topics, refused)
        )
        self.repeated.begin([topic for topic in self._topics if topic not in refused], self._clock.monotonic_s())

    def _beat(self, now_s: float) -> None:
        self._next_heartbeat_s = now_s + self._account.heartbeat_interval_s
        self._heartbeats += 1
        now_ms = self._clock.wall_ms()
        self._exchange_clock.beat(now_ms)
        command = self._protocol.heartbeat(now_ms)
        if command is None:
            self._transport.ping(b"%d" % self._heartbeats)
        else:
            self._send(command)

    def _ponged(self, payload: bytes, received_ns: int) -> None:
        """Take a pong of the WebSocket protocol: the answer to a heartbeat that was a ping."""
        if self._lost is None and payload.isdigit() and self.answered.number < int(payload) <= self._heartbeats:
            self.answered = Answered(int(payload), self._last_seq)
            self.proven_ns = received_ns
            self._silent_at_s = self._clock.monotonic_s() + self._limits.silent_s
            self._on_pong()

    def _send(self, command: Command) -> None:
        """Number and queue a command before it is sent, so that its answer comes after it in the record."""
        self._seq += 1
        recorded, is_masked = masked(command.recorded, self._secrets)
        topic = masked_topic(None) if is_masked or command.masked is not None else None
        at_ns = self._clock.wall_ns()
        frame = Frame(self._account_id, self._session_id, self._seq, at_ns, SENT, topic, CONTROL, None, recorded)
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
                waiting = f"{self._channel.frames_in - self._channel.frames_out:,} frames wait to be written"
                log.warning("%s: %s: reading pauses until the database catches up", self._name, waiting)
            if waited_s > self._limits.stalled_s:
                raise SessionOver("stalled", f"the database took nothing for {self._limits.stalled_s:g} s")
        # What the exchange sent meanwhile is in the kernel's buffers, so it was not silent.
        now_s = self._clock.monotonic_s()
        self._silent_at_s = now_s + self._limits.silent_s
        self.repeated.excuse(now_s - since_s)

    def _count_undecoded(self, error: str) -> None:
        self.undecoded += 1
        # Logged for the 1st, 2nd, 4th, 8th ...: a broken stream must not fill the disk with log lines.
        if self.undecoded & (self.undecoded - 1) == 0:
            kept = f"frame {self._seq} is kept but could not be decoded ({self.undecoded} so far)"
            log.warning("%s: %s: %s", self._name, kept, error)
