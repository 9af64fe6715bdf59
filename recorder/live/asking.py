"""Asking an exchange's REST interface: at its pace, again while it cannot answer, every answer into the journal."""

import logging
from collections.abc import Iterator
from threading import Event

from recorder.clock import Clock
from recorder.errors import NotServed, Unavailable, Unreachable
from recorder.live.backoff import Backoff
from recorder.live.channel import Channel, Recorded
from recorder.live.http import fetch
from recorder.live.pace import Pace
from recorder.live.settings import Account, Limits
from recorder.model import REST, Frame
from recorder.venues.base import Answer, Ask, Questions, read_answer

log = logging.getLogger(__name__)

#: A request that the exchange cannot take now is sent so often before the round is given up.
ATTEMPTS_MAX = 5
#: A round that lasts says so this often, seconds.
PROGRESS_S = 10.0
#: How often a round that waits for room in the queue looks whether it should stop, seconds.
ROOM_CHECK_S = 0.2


class Stopping(Exception):
    """The run ends: the round is left unfinished, its gaps stay open, and the next run takes them up."""


class Asker:
    """Asks for all accounts; in one thread.

    Args:
        accounts: who asks.
        channel: to the writer.
        clock: stamps answers, measures waits.
        limits: of waits.
    """

    def __init__(self, accounts: tuple[Account, ...], channel: Channel, clock: Clock, limits: Limits) -> None:
        self.channel = channel
        self._clock = clock
        self._limits = limits
        self._paces = {
            account.account_id: Pace(account.venue.rest_requests_max, account.venue.rest_window_s)
            for account in accounts
        }
        self._stopping = Event()

    def stop(self) -> None:
        """End every wait with `Stopping`, now and ever after. From any thread."""
        self._stopping.set()

    def sleep(self, wait_s: float) -> None:
        """Wait.

        Raises:
            Stopping: the run ends.
        """
        self._stopping.wait(wait_s)
        self.check_stop()

    def check_stop(self) -> None:
        """Raise `Stopping` if the run ends."""
        if self._stopping.is_set():
            raise Stopping

    def answers(
        self, account: Account, round_id: int, questions: Questions, *, seq: int = 0, source: str = REST
    ) -> Iterator[Answer]:
        """Put a venue's questions; each answer is on its way into the journal when it is given.

        Args:
            account: who asks.
            round_id: the session of the answers' frames.
            questions: the venue's.
            seq: of the first answer's frame.
            source: of the frames; typed rows follow from `REST` only.

        Raises:
            VenueError: the exchange does not answer.
            Undecodable: it answers something else. The answer is kept.
            Stopping: the run ends.
            ChannelClosed: nothing can be handed over any more.
        """
        told_s = self._clock.monotonic_s()
        try:
            ask = next(questions)
            while True:
                target, body = self._fetch(account, ask)
                yield self._keep(account, round_id, seq, target, body, source)
                seq += 1
                if self._clock.monotonic_s() - told_s > PROGRESS_S:
                    told_s = self._clock.monotonic_s()
                    log.info("%s: still asking, %d answers so far", account.name, seq)
                ask = questions.send(body)
        except StopIteration:
            return

    def _fetch(self, account: Account, ask: Ask) -> tuple[str, bytes]:
        """One answer, and its target. Asked at the exchange's pace, and again while it cannot answer."""
        backoff = Backoff(self._limits.reconnect_first_s, self._limits.reconnect_last_s)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            self.sleep(self._paces[account.account_id].wait_s(self._clock.monotonic_s()))
            request = ask(account.url, account.credentials, self._clock.wall_ms())
            try:
                return request.url.removeprefix(account.url), fetch(
                    request, account.credentials, self._limits.connect_s
                )
            except (Unavailable, Unreachable) as error:
                if attempt == ATTEMPTS_MAX or isinstance(error, NotServed):
                    raise
                self.sleep(backoff.next_s(error.retry_after_s))
        raise AssertionError("the last attempt returns or raises")

    def _keep(self, account: Account, round_id: int, seq: int, target: str, body: bytes, source: str) -> Answer:
        received_ns = self._clock.wall_ns()
        decoded = read_answer(account.venue, target, body)
        while not self.channel.has_room():
            self.channel.wait_for_room(ROOM_CHECK_S)
            self.check_stop()
        frame = Frame(
            account.account_id, round_id, seq, received_ns, source, target, decoded.status, decoded.error, body
        )
        self.channel.put(Recorded(frame, decoded.updates if source == REST else ()))
        return Answer(seq, target, decoded.updates)
