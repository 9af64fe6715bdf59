"""One account's pushes on their way: from its exchange to every subscribed client, at the requested pace."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from itertools import islice

from websockets.asyncio.server import ServerConnection

from recorder.simulator.exchange import Exchange
from recorder.simulator.options import ActiveFaults, SimulatorOptions
from recorder.simulator.sent import NOBODY, Kind, SentLog
from recorder.venues.stand_in import Conversation
from recorder.wire.client import PushClient, text_frame


class LoggedClient(PushClient):
    """A connected client whose frames are logged, and which faults can stall.

    Args:
        number: number of the connection, from 1.
        connection: the `websockets` library's connection.
        conversation: the exchange's side of the protocol, with the client's subscriptions.
        log: logs the frames that are sent.
    """

    def __init__(self, number: int, connection: ServerConnection, conversation: Conversation, log: SentLog) -> None:
        super().__init__(number, connection, conversation)
        #: Whether the connection hangs: nothing is read, answered or sent any more.
        self.stalled = False
        self._log = log

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return super().is_open and not self.stalled

    def answer(self, payload: bytes) -> None:
        """Send the answer to a command."""
        self.send("answer", [payload])

    def send(self, kind: Kind, payloads: Sequence[bytes], numbers: Sequence[int] = ()) -> bool:
        """Log frames and send them in one write; returns False, without either, if the client cannot be reached.

        Args:
            kind: the kind of all frames.
            payloads: the frames.
            numbers: the number of each push.
        """
        if payloads and self.is_open:
            self._log.note(self.number, kind, payloads, numbers)
        return self.write(payloads)

    def stall(self, payload: bytes | None) -> None:
        """Send the first half of a frame, if one is given; then send and read nothing more."""
        if payload is not None and self.is_open:
            frame = text_frame(payload)
            self.connection.transport.write(frame[: len(frame) // 2])
        self.stalled = True
        self.connection.transport.pause_reading()


#: Pushes made and written at a time if the client sets the pace.
CHUNK = 256

#: Seconds between two writes if a rate is set; slower rates write one push at a time.
TICK_S = 0.01

#: Pushes per second while nobody is subscribed, if the client would set the pace.
UNHEARD_PER_S = 1000

#: Most seconds of missed pushes to make up for after a delay.
CATCH_UP_S = 0.1


class AccountFeed:
    """Makes an account's pushes and sends them to its clients.

    Args:
        key: of the account.
        clients: all connected clients of the exchange.
        exchange: of the account.
        options: set the pace and the end.
        active_faults: name the topics whose pushes are lost.
        trading: is set while the exchange trades.
        log: logs the pushes that go to no client.
        on_finished: called once, after the last push.
    """

    def __init__(
        self,
        key: str,
        clients: Collection[LoggedClient],
        exchange: Exchange,
        options: SimulatorOptions,
        active_faults: ActiveFaults,
        trading: asyncio.Event,
        log: SentLog,
        on_finished: Callable[[], None],
    ) -> None:
        self.exchange = exchange
        self._key = key
        self._clients = clients
        #: Pushes made so far.
        self.made = 0
        self.finished = False
        self._options = options
        self._faults = active_faults
        self._trading = trading
        self._log = log
        self._on_finished = on_finished
        self._begun = asyncio.Event()
        self._due_s = 0.0
        if not options.wait_for_subscriber:
            self.begin()

    @property
    def is_heard(self) -> bool:
        """Whether a client is connected whose subscriptions are complete."""
        return any(client.settled and client.is_open for client in self._followers())

    def _followers(self) -> list[LoggedClient]:
        """The clients that have subscribed to this account."""
        return [client for client in self._clients if client.conversation.topics_of(self._key)]

    def push_waiting(self) -> None:
        """Push all changes that are waiting."""
        self._hand_out(self.exchange.waiting)

    def begin(self) -> None:
        """Begin trading, if it has not begun."""
        self._begun.set()

    async def run(self) -> None:
        """Trade until `SimulatorOptions.pushes` have been made, and what the last one announces.

        Raises:
            BooksError: the books do not balance.
        """
        await self._begun.wait()
        while (size := self._size()) > 0:
            await self._trading.wait()
            rate = self._rate()
            count = min(size, max(1, int(rate * TICK_S)) if rate else CHUNK)
            self._hand_out(count)
            for client in self._followers():
                await client.drain()
            self._drop_where_due()
            await self._pause(count, rate)
        # No exchange stops there: REST would contradict the last push for good.
        self._hand_out(self.exchange.announced)
        self.finished = True
        self._on_finished()

    def _size(self) -> int:
        """Pushes to make next, at most: up to the end, or to the next drop of connections."""
        pushes, drop_every = self._options.pushes, self._options.drop_every
        left = CHUNK if pushes is None else pushes - self.made
        return left if drop_every is None else min(left, drop_every - self.made % drop_every)

    def _rate(self) -> float:
        """The current rate in pushes per second; 0 for as fast as the client reads."""
        return self._options.rate_per_s or (0 if self.is_heard else UNHEARD_PER_S)

    def _hand_out(self, count: int) -> None:
        pushes = list(islice(self.exchange, count))
        self.made += count
        unheard = dict(zip(self._log.numbers(count), pushes, strict=True))
        numbered = tuple(unheard.items())
        lost = self._faults.swallowed_topics
        for client in self._followers() if self._key not in self._faults.expired_keys else ():
            topics = {topic for topic in client.conversation.topics_of(self._key) if topic not in lost}
            pushed = client.conversation.pushed
            mine = [
                (number, form)
                for number, (topic, payload) in numbered
                if topic in topics
                for form in pushed(self._key, topic, payload)
            ]
            if client.send("push", [payload for _, payload in mine], [number for number, _ in mine]):
                for number, _ in mine:
                    unheard.pop(number, None)
        if unheard:
            self._log.note(NOBODY, "push", [payload for _, payload in unheard.values()], list(unheard))

    def _drop_where_due(self) -> None:
        drop_every = self._options.drop_every
        if drop_every is not None and self.made % drop_every == 0:
            for client in self._followers():
                client.reset()

    async def _pause(self, count: int, rate: float) -> None:
        """Wait as long as these pushes take at this rate; without a rate, only yield."""
        now_s = asyncio.get_running_loop().time()
        self._due_s = max(self._due_s, now_s - CATCH_UP_S) + (count / rate if rate else 0)
        await asyncio.sleep(max(0.0, self._due_s - now_s) if rate else 0)
