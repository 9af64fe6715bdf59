"""The exchange as a server in one event loop: who is connected, what they say, what they are told.

The `websockets` library shakes hands and reads; what goes out is written by `Line`. `Simulator` gives this a thread.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Mapping
from decimal import Decimal
from typing import Any, cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from recorder.simulator.conditions import Conditions
from recorder.simulator.door import Door
from recorder.simulator.exchange import Exchange, wall_clock_ms
from recorder.simulator.feed import Feed
from recorder.simulator.line import Line
from recorder.simulator.options import SimulatorOptions
from recorder.simulator.records import Transfer
from recorder.simulator.sent import SentLog
from recorder.simulator.session import Session

#: A client's subscriptions are complete when it sent no command for so long, seconds.
SETTLE_S = 0.1

#: WebSocket close codes (RFC 6455, 7.4.1).
GOING_AWAY = 1001
POLICY_VIOLATION = 1008

_LOGGER = logging.getLogger(__name__)
_LOGGER.addHandler(logging.NullHandler())  # a client that breaks off is no news


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
        self._failure: Exception | None = None
        #: The port that is listened on, once ready.
        self.port = 0
        #: Connections to the push portal there have been.
        self.clients = 0
        self._options = options
        self._log = log
        self._on_change = on_change
        self._stop = asyncio.Event()
        self._trading = asyncio.Event()
        self._feeds = {
            key: Feed(self._exchange(number), options, self.conditions, self._trading, log, on_change)
            for number, key in enumerate(options.accounts)
        }
        told = {key: feed.exchange.told for key, feed in self._feeds.items()}
        self._door = Door(options.accounts, told, self.clock_ms, self.conditions)
        self.change({})

    def clock_ms(self) -> int:
        """The server's clock, milliseconds since 1970."""
        return wall_clock_ms() + self._options.clock_offset_ms

    @property
    def lines(self) -> list[Line]:
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

    def drop(self, lines: Collection[Line]) -> int:
        """End connections with a TCP reset; returns how many."""
        for line in lines:
            line.reset()
        return len(lines)

    def send_raw(self, payload: bytes) -> int:
        """Send any frame to all who have topics; returns how many that were."""
        return sum([line.send("raw", [payload]) for line in self.lines if line.session.topics])

    def stop(self) -> None:
        """Let `run` end."""
        self._stop.set()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until stopped or failed, then say goodbye to everybody.

        Raises:
            OSError: the address cannot be listened on.
            BooksError, or whatever else ended it.
        """
        transports: set[asyncio.Transport] = set()
        server = await serve(
            self._converse,
            self._options.host,
            self._options.port,
            process_request=self._admit,
            create_connection=_connections_noting(transports),
            compression=None,
            ping_interval=None,
            open_timeout=None,  # a deaf exchange does not answer handshakes either, for as long as it is deaf
            write_limit=0,  # to drain a line is to have the kernel take everything
            logger=_LOGGER,
        )
        self.port = server.sockets[0].getsockname()[1]
        feeds = [asyncio.create_task(self._guarded(feed.run())) for feed in self._feeds.values()]
        on_ready()
        await self._stop.wait()
        for task in feeds:
            task.cancel()
        await asyncio.gather(*feeds, return_exceptions=True)
        server.close(close_connections=False)
        await asyncio.gather(*[line.goodbye(GOING_AWAY, "the simulator ends") for line in self.lines])
        for transport in tuple(transports):
            transport.abort()
        self._door.open()
        await server.wait_closed()
        if self._failure:
            raise self._failure

    def _exchange(self, number: int) -> Exchange:
        options = self._options
        clock_ms = self.clock_ms if options.live_clock else None
        return Exchange(options.seed + number, options.symbols, start_ms=options.start_ms, clock_ms=clock_ms)

    async def _guarded(self, work: Coroutine[Any, Any, Response | None]) -> Response | None:
        """Do it; an error of ours ends the portal, and `run` raises it."""
        try:
            return await work
        except Exception as error:
            self._failure = self._failure or error
            self.stop()
            raise

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request, or let a client of the push portal in."""
        return await self._guarded(self._door.answer(connection, request))

    async def _converse(self, connection: ServerConnection) -> None:
        """Serve one client of the push portal to its end."""
        self.clients += 1
        feed = self._feeds[connection.username]
        now_s = asyncio.get_running_loop().time()
        session = Session(self._options.symbols, self.conditions, now_s, self._options.ping_timeout_s)
        line = Line(self.clients, connection, session, self._log)
        feed.lines.append(line)
        try:
            line.send("answer", [session.hello(self.clock_ms())])
            await self._guarded(self._listen(feed, line, connection))
        finally:
            feed.lines.remove(line)
            self._on_change()

    async def _listen(self, feed: Feed, line: Line, connection: ServerConnection) -> None:
        """Answer one client's commands until it is gone, or sent no ping for too long."""
        loop = asyncio.get_running_loop()
        settling: asyncio.TimerHandle | None = None
        try:
            while True:
                async with asyncio.timeout_at(line.session.deadline_s):
                    await line.drain()
                    message = await connection.recv(decode=False)
                line.send("answer", [line.session.receive(message, self.clock_ms(), loop.time())])
                if settling:
                    settling.cancel()
                if line.session.topics and not line.settled:
                    settling = loop.call_later(SETTLE_S, self._settle, feed, line)
        except TimeoutError:
            if not line.stalled:
                await line.goodbye(POLICY_VIOLATION, "no ping")
            await connection.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            if settling:
                settling.cancel()

    def _settle(self, feed: Feed, line: Line) -> None:
        line.settled = True
        feed.begin()
        self._on_change()


def _connections_noting(transports: set[asyncio.Transport]) -> type[ServerConnection]:
    """The library's connections, which also note what is open: the server must close it when it ends."""

    class Noted(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.add(cast(asyncio.Transport, transport))
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            transports.discard(self.transport)
            super().connection_lost(exc)

    return Noted
