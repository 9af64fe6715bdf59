"""The simulated exchange in one event loop: who is connected, what they say, what they are told.

`Simulator` gives this a thread.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

from recorder.simulator.conditions import Conditions
from recorder.simulator.door import SimulatedDoor
from recorder.simulator.exchange import Exchange, wall_clock_ms
from recorder.simulator.feed import Feed
from recorder.simulator.line import LoggedLine
from recorder.simulator.options import SimulatorOptions
from recorder.simulator.records import Transfer
from recorder.simulator.sent import SentLog
from recorder.venues.fmex.commands import topics_of
from recorder.venues.fmex.stand_in import FMexStandIn
from recorder.wire.server import Client, Server


class Portal:
    """The server. Made and used in its event loop only.

    Args:
        options: what to be.
        log: where to note what is sent.
        on_change: called when somebody's subscriptions are complete, when a client has gone, and when an account's
            pushes are all made.
    """

    def __init__(self, options: SimulatorOptions, log: SentLog, on_change: Callable[[], None]) -> None:
        self.conditions = Conditions()
        #: Connections to the push portal there have been.
        self.clients = 0
        self._options = options
        self._log = log
        self._on_change = on_change
        self._trading = asyncio.Event()
        self._feeds = {
            key: Feed(self._exchange(number), options, self.conditions, self._trading, log, on_change)
            for number, key in enumerate(options.accounts)
        }
        told = {key: feed.exchange.told for key, feed in self._feeds.items()}
        self._stand_in = FMexStandIn()
        self._topics = frozenset(topics_of(options.symbols))
        self._door = SimulatedDoor(self._stand_in, options.accounts, told, self.clock_ms, self.conditions)
        self._server = Server(options.host, options.port, self._door.request, self._converse, self._door.refuse)
        self.change({})

    @property
    def port(self) -> int:
        """The port that is listened on, once ready."""
        return self._server.port

    def clock_ms(self) -> int:
        """The server's clock, milliseconds since 1970."""
        return wall_clock_ms() + self._options.clock_offset_ms

    @property
    def lines(self) -> list[LoggedLine]:
        """The connected clients."""
        return [line for feed in self._feeds.values() for line in feed.lines if line.is_connected]

    @property
    def is_subscribed(self) -> bool:
        """Whether somebody is connected whose subscriptions are complete."""
        return any(feed.is_heard for feed in self._feeds.values())

    @property
    def is_finished(self) -> bool:
        """Whether all pushes are made, and the kernel has taken those that were subscribed to."""
        return all(feed.finished for feed in self._feeds.values())

    def change(self, conditions: Mapping[str, Any]) -> None:
        """Change conditions by name; an exchange gone deaf stalls all lines."""
        for name, value in conditions.items():
            setattr(self.conditions, name, value)
        if self.conditions.silent:
            self._trading.clear()
        else:
            self._trading.set()
        self._door.obey()
        for feed in self._feeds.values():
            feed.exchange.obey(self.conditions)
        if self.conditions.deaf:
            self.stall(None)

    def transfer(self, key: str, amount: Decimal) -> None:
        """Money comes to an account, or leaves it; who listens is told at once."""
        feed = self._feeds[key]
        feed.exchange.transfer(amount)
        feed.tell()

    def transfers(self, key: str) -> list[Transfer]:
        """All there have been."""
        return list(self._feeds[key].exchange.desk.transfers)

    def stall(self, payload: bytes | None) -> None:
        """Stall all lines, in the middle of a frame if one is given."""
        for line in self.lines:
            line.stall(payload)

    def drop(self, lines: Collection[LoggedLine]) -> int:
        """End connections with a TCP reset; returns how many."""
        for line in lines:
            line.reset()
        return len(lines)

    def send_raw(self, payload: bytes) -> int:
        """Send any frame to all who have topics; returns how many that were."""
        return sum([line.send("raw", [payload]) for line in self.lines if line.conversation.topics])

    def stop(self) -> None:
        """Let `run` end."""
        self._server.stop()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until stopped or failed, then say goodbye to everybody.

        Raises:
            OSError: the address cannot be listened on.
            BooksError, or whatever else ended it.
        """
        trading = [feed.run for feed in self._feeds.values()]
        try:
            await self._server.run(on_ready, lambda: self.lines, "the simulator ends", trading, self._door.open)
        finally:
            self._log.close()

    def _exchange(self, number: int) -> Exchange:
        options = self._options
        clock_ms = self.clock_ms if options.live_clock else None
        return Exchange(options.seed + number, options.symbols, start_ms=options.start_ms, clock_ms=clock_ms)

    def _has_topic(self, topic: str) -> bool:
        return topic in self._topics and topic not in self.conditions.invalid_topics

    async def _converse(self, client: Client) -> None:
        """Serve one client of the push portal to its end."""
        self.clients += 1
        feed = self._feeds[client.admitted.key]
        now_s = asyncio.get_running_loop().time()
        conversation = self._stand_in.conversation(self._has_topic, now_s, self._options.ping_timeout_s)
        line = LoggedLine(self.clients, client, conversation, self._log)
        feed.lines.append(line)

        def settled() -> None:
            feed.begin()
            self._on_change()

        try:
            listening = self._server.listen(line, self.clock_ms, settled, is_patient=lambda: line.stalled)
            await self._server.guarded(listening)
        finally:
            feed.lines.remove(line)
            self._on_change()
