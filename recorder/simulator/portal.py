"""The simulated exchange's door: what is wrong with the exchange just now, and otherwise the door of FMex."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from recorder.simulator.account import SimulatedTransfer
from recorder.simulator.exchange import Exchange, wall_clock_ms
from recorder.simulator.feed import AccountFeed, LoggedClient
from recorder.simulator.options import ActiveFaults, SimulatorOptions
from recorder.simulator.rest import RestState, SimulatedAccount
from recorder.simulator.sent import SentLog
from recorder.venues.fmex.portal import topics_of
from recorder.venues.fmex.rest import SERVER_TIME
from recorder.venues.fmex.stand_in import FMexStandIn
from recorder.venues.stand_in import AccountQuery, HttpError, StandIn
from recorder.wire.http import HttpRequest, HttpResponse
from recorder.wire.server import ClientConnection, Server, error_response, respond


class SimulatedRequestHandler:
    """Decides on requests.

    Args:
        stand_in: FMex's own side.
        secrets: each key's secret.
        told: what REST answers, by key.
        clock_ms: the server's clock.
        conditions: what is wrong just now.
    """

    def __init__(
        self,
        stand_in: StandIn,
        secrets: Mapping[str, str],
        told: Mapping[str, RestState],
        clock_ms: Callable[[], int],
        conditions: ActiveFaults,
    ) -> None:
        self.venue = stand_in.request_handler(secrets.get, clock_ms)
        self._told = told
        self._conditions = conditions
        self._open = asyncio.Event()

    def obey(self) -> None:
        """Take note of changed conditions: a deaf exchange lets requests wait."""
        if self._conditions.deaf:
            self._open.clear()
        else:
            self._open.set()

    def open(self) -> None:
        """Let waiting requests through, whatever the conditions."""
        self._open.set()

    async def request(self, client: ClientConnection, request: HttpRequest) -> HttpResponse | None:
        """Answer one request; None to go on to the push portal."""
        await self._open.wait()
        status = self._conditions.refuse_status
        # Whoever asks for the time is not asked for a key, so a key that is refused does not matter there.
        if status and not (status == HTTPStatus.UNAUTHORIZED and request.target.partition("?")[0] == SERVER_TIME):
            phrase = HTTPStatus(status).phrase.lower()
            return error_response(self.venue, HttpError(status, phrase, self._conditions.retry_after_s))
        return await respond(self.venue, client, request, self._answer)

    async def _answer(self, question: AccountQuery) -> bytes:
        return question.answer(SimulatedAccount(self._told[question.key]))


class SimulatedPortal:
    """The server. Made and used in its event loop only.

    Args:
        options: what to be.
        log: where to note what is sent.
        on_change: called when somebody's subscriptions are complete, when a client has gone, and when an account's
            pushes are all made.
    """

    def __init__(self, options: SimulatorOptions, log: SentLog, on_change: Callable[[], None]) -> None:
        self.conditions = ActiveFaults()
        #: Connections to the push portal there have been.
        self.clients = 0
        self._options = options
        self._log = log
        self._on_change = on_change
        self._trading = asyncio.Event()
        self._feeds = {
            key: AccountFeed(self._exchange(number), options, self.conditions, self._trading, log, on_change)
            for number, key in enumerate(options.accounts)
        }
        told = {key: feed.exchange.told for key, feed in self._feeds.items()}
        self._stand_in = FMexStandIn()
        self._topics = frozenset(topics_of(options.symbols))
        self._handler = SimulatedRequestHandler(self._stand_in, options.accounts, told, self.clock_ms, self.conditions)
        self._server = Server(options.host, options.port, self._handler.request, self._converse, self._handler.venue)
        self.change({})

    @property
    def port(self) -> int:
        """The port that is listened on, once ready."""
        return self._server.port

    def clock_ms(self) -> int:
        """The server's clock, milliseconds since 1970."""
        return wall_clock_ms() + self._options.clock_offset_ms

    @property
    def lines(self) -> list[LoggedClient]:
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
        self._handler.obey()
        for feed in self._feeds.values():
            feed.exchange.obey(self.conditions)
        if self.conditions.deaf:
            self.stall(None)

    def transfer(self, key: str, amount: Decimal) -> None:
        """Money comes to an account, or leaves it; who listens is told at once."""
        feed = self._feeds[key]
        feed.exchange.transfer(amount)
        feed.tell()

    def transfers(self, key: str) -> list[SimulatedTransfer]:
        """All there have been."""
        return list(self._feeds[key].exchange.desk.transfers)

    def stall(self, payload: bytes | None) -> None:
        """Stall all lines, in the middle of a frame if one is given."""
        for line in self.lines:
            line.stall(payload)

    def drop(self, lines: Collection[LoggedClient]) -> int:
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
            await self._server.run(on_ready, lambda: self.lines, "the simulator ends", trading, self._handler.open)
        finally:
            self._log.close()

    def _exchange(self, number: int) -> Exchange:
        options = self._options
        clock_ms = self.clock_ms if options.live_clock else None
        return Exchange(options.seed + number, options.symbols, start_ms=options.start_ms, clock_ms=clock_ms)

    def _has_topic(self, topic: str) -> bool:
        return topic in self._topics and topic not in self.conditions.invalid_topics

    async def _converse(self, client: ClientConnection) -> None:
        """Serve one client of the push portal to its end."""
        self.clients += 1
        feed = self._feeds[client.access.key]
        now_s = asyncio.get_running_loop().time()
        conversation = self._stand_in.conversation(self._has_topic, now_s, self._options.ping_timeout_s)
        line = LoggedClient(self.clients, client, conversation, self._log)
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
