"""A client of the simulated exchange: what it is sent is noted, and it can be treated rudely."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice

from websockets.asyncio.server import ServerConnection

from recorder.simulator.exchange import Exchange
from recorder.simulator.options import ActiveFaults, SimulatorOptions
from recorder.simulator.sent import NOBODY, Kind, SentLog
from recorder.venues.stand_in import Conversation
from recorder.wire.client import PushClient, text_frame


class LoggedClient(PushClient):
    """A connected client.

    Args:
        number: of the connection, from 1.
        connection: the library's.
        conversation: what is known of the client.
        log: where to note what is sent.
    """

    def __init__(self, number: int, connection: ServerConnection, conversation: Conversation, log: SentLog) -> None:
        super().__init__(number, connection, conversation)
        #: Dead in all but name: nothing is read, answered or sent any more.
        self.stalled = False
        self._log = log

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return super().is_open and not self.stalled

    def answer(self, payload: bytes) -> None:
        """Send what a client is answered."""
        self.send("answer", [payload])

    def send(self, kind: Kind, payloads: Sequence[bytes], numbers: Sequence[int] = ()) -> bool:
        """Note frames and hand them to the socket in one write; nothing, and False, where the line is dead.

        Args:
            kind: of all of them.
            payloads: theirs.
            numbers: of pushes, one each.
        """
        if payloads and self.is_open:
            self._log.note(self.number, kind, payloads, numbers)
        return self.write(payloads)

    def stall(self, payload: bytes | None) -> None:
        """Send the first half of a frame, if given, and nothing ever after; nor read anything."""
        if payload is not None and self.is_open:
            frame = text_frame(payload)
            self.connection.transport.write(frame[: len(frame) // 2])
        self.stalled = True
        self.connection.transport.pause_reading()


#: Pushes made and written at a time where the client sets the pace.
CHUNK = 256

#: Seconds between two writes where a rate sets the pace; slower rates write one push at a time.
TICK_S = 0.01

#: Pushes a second while nobody listens, where the client would set the pace.
UNHEARD_PER_S = 1000

#: Seconds of pushes that are made up for after a delay.
CATCH_UP_S = 0.1


class AccountFeed:
    """Makes an account's pushes and hands them out.

    Args:
        exchange: the account's.
        options: pace and end.
        conditions: name the topics whose pushes are lost.
        trading: set while the exchange trades.
        log: where to note a push that nobody is told.
        on_finished: called once, when the last push has left.
    """

    def __init__(
        self,
        exchange: Exchange,
        options: SimulatorOptions,
        conditions: ActiveFaults,
        trading: asyncio.Event,
        log: SentLog,
        on_finished: Callable[[], None],
    ) -> None:
        self.exchange = exchange
        #: The account's connected clients.
        self.lines: list[LoggedClient] = []
        #: Pushes made so far.
        self.made = 0
        self.finished = False
        self._options = options
        self._conditions = conditions
        self._trading = trading
        self._log = log
        self._on_finished = on_finished
        self._begun = asyncio.Event()
        self._due_s = 0.0
        if not options.wait_for_subscriber:
            self.begin()

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens whose subscriptions are complete."""
        return any(line.settled and line.is_open and line.conversation.topics for line in self.lines)

    def tell(self) -> None:
        """Hand out what is made and waits."""
        self._hand_out(self.exchange.waiting)

    def begin(self) -> None:
        """Let trading begin, if it has not."""
        self._begun.set()

    async def run(self) -> None:
        """Trade until `pushes` are made, or for ever.

        Raises:
            BooksError: the books do not balance.
        """
        await self._begun.wait()
        while (size := self._size()) > 0:
            await self._trading.wait()
            rate = self._rate()
            count = min(size, max(1, int(rate * TICK_S)) if rate else CHUNK)
            self._hand_out(count)
            for line in tuple(self.lines):
                await line.drain()
            self._drop_where_due()
            await self._pause(count, rate)
        self.finished = True
        self._on_finished()

    def _size(self) -> int:
        """How many pushes may be made at once: not beyond the end, nor beyond the next drop."""
        pushes, drop_every = self._options.pushes, self._options.drop_every
        left = CHUNK if pushes is None else pushes - self.made
        return left if drop_every is None else min(left, drop_every - self.made % drop_every)

    def _rate(self) -> float:
        """Pushes a second just now; 0 for as fast as they are read."""
        return self._options.rate_per_s or (0 if self.is_heard else UNHEARD_PER_S)

    def _hand_out(self, count: int) -> None:
        pushes = list(islice(self.exchange, count))
        self.made += count
        unheard = dict(zip(self._log.numbers(count), pushes, strict=True))
        numbered = tuple(unheard.items())
        for line in self.lines:
            topics = line.conversation.topics.difference(self._conditions.swallowed_topics)
            mine = [(number, payload) for number, (topic, payload) in numbered if topic in topics]
            if line.send("push", [payload for _, payload in mine], [number for number, _ in mine]):
                for number, _ in mine:
                    unheard.pop(number, None)
        if unheard:
            self._log.note(NOBODY, "push", [payload for _, payload in unheard.values()], list(unheard))

    def _drop_where_due(self) -> None:
        drop_every = self._options.drop_every
        if drop_every is not None and self.made % drop_every == 0:
            for line in self.lines:
                line.reset()

    async def _pause(self, count: int, rate: float) -> None:
        """Wait until so many pushes have had their time; without a rate, only let others run."""
        now_s = asyncio.get_running_loop().time()
        self._due_s = max(self._due_s, now_s - CATCH_UP_S) + (count / rate if rate else 0)
        await asyncio.sleep(max(0.0, self._due_s - now_s) if rate else 0)
