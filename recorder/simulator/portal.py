"""The simulated exchange in one event loop: connections, requests, faults. `Simulator` runs it in a thread."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from recorder.simulator.exchange import Exchange, wall_clock_ms
from recorder.simulator.feed import AccountFeed, LoggedClient
from recorder.simulator.options import ActiveFaults, SimulatorOptions
from recorder.simulator.sent import SentLog
from recorder.venues import venue_named
from recorder.venues.limits import ConnectionCount
from recorder.venues.simulated import NONE, FillKind, Moment, SimulatedOrder, SimulatedTransaction
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, Reply, Snapshot
from recorder.venues.view import Execution
from recorder.wire.http import HttpRequest, HttpResponse
from recorder.wire.server import ClientConnection, Server, address_of, error_response, respond


class SimulatedPortal:
    """The server of the simulated exchange. Create and use it in its event loop only.

    Args:
        options: of the simulator.
        log: logs the frames that are sent.
        on_change: called when a client's subscriptions are complete, when a client has gone, and when the last push of
            an account has been made.
    """

    def __init__(self, options: SimulatorOptions, log: SentLog, on_change: Callable[[], None]) -> None:
        self.active_faults = ActiveFaults()
        #: Connections to the push portal so far.
        self.accepted = 0
        #: Connections so far that were refused, because their address had too many.
        self.refused = 0
        self._options = options
        self._log = log
        self._on_change = on_change
        self._trading = asyncio.Event()
        self._answering = asyncio.Event()
        venue = venue_named(options.venue)
        self._stand_in = venue.stand_in
        self._connections = ConnectionCount(venue.connections)
        self._clients: list[LoggedClient] = []
        parts = options, self.active_faults, self._trading, log, on_change
        self._feeds = {
            key: AccountFeed(key, self._clients, self._exchange(number, key), *parts)
            for number, key in enumerate(options.accounts)
        }
        self._backend = Backend(
            secret_of=options.accounts.get,
            clock_ms=self.clock_ms,
            has_topic=self._has_topic,
            is_expired=lambda key: key in self.active_faults.expired_keys,
            terms=next(iter(self._feeds.values())).exchange.terms,
            ping_timeout_s=options.ping_timeout_s,
            connection_max_s=options.connection_max_s,
            retention_s=options.retention_s,
        )
        self._handler = self._stand_in.request_handler(self._backend)
        self._server = Server(options.host, options.port, self._request, self._converse, self._handler)
        self.change({})

    @property
    def port(self) -> int:
        """The port it listens on, once ready."""
        return self._server.port

    def clock_ms(self) -> int:
        """The server's clock, milliseconds since 1970."""
        return wall_clock_ms() + self._options.clock_offset_ms

    @property
    def clients(self) -> list[LoggedClient]:
        """The connected clients."""
        return [client for client in self._clients if client.is_connected]

    @property
    def is_subscribed(self) -> bool:
        """Whether a client is connected whose subscriptions are complete."""
        return any(feed.is_heard for feed in self._feeds.values())

    @property
    def is_finished(self) -> bool:
        """Whether all pushes have been made, and the kernel has taken those that were subscribed to."""
        return all(feed.finished for feed in self._feeds.values())

    def change(self, faults: Mapping[str, Any]) -> None:
        """Set attributes of `active_faults`; an exchange that turns deaf stalls all clients."""
        for name, value in faults.items():
            setattr(self.active_faults, name, value)
        _set(self._trading, not self.active_faults.silent)
        _set(self._answering, not self.active_faults.deaf)
        for feed in self._feeds.values():
            feed.exchange.apply(self.active_faults)
        if self.active_faults.deaf:
            self.stall(None)

    def transfer(
        self, key: str, amount: Decimal, currency: str | None = None, wallet: str | None = None, fee: Decimal = NONE
    ) -> None:
        """Deposit to an account, or withdraw if the amount is negative; subscribed clients get the balance at once."""
        feed = self._feeds[key]
        feed.exchange.transfer(amount, feed.exchange.purse(currency, wallet), fee=fee)
        feed.push_waiting()

    def move(self, key: str, amount: Decimal, currency: str, source: str, target: str) -> None:
        """Transfer from one wallet of an account to another; otherwise as `transfer`."""
        feed = self._feeds[key]
        exchange = feed.exchange
        exchange.move(exchange.purse(currency, source), exchange.purse(currency, target), amount)
        feed.push_waiting()

    def topics(self, key: str) -> Collection[str]:
        """The topics of an account."""
        return self._feeds[key].exchange.face.topics()

    def end_position(self, key: str, kind: FillKind) -> None:
        """Let the exchange end a position of an account; otherwise as `transfer`."""
        feed = self._feeds[key]
        feed.exchange.end_position(kind)
        feed.push_waiting()

    def expire(self, key: str) -> None:
        """Let everything that expires do so now; otherwise as `transfer`."""
        feed = self._feeds[key]
        feed.exchange.expire()
        feed.push_waiting()

    def forget_orders(self, key: str) -> int:
        """Cancel the open orders of which nothing was filled, and forget them; otherwise as `transfer`."""
        feed = self._feeds[key]
        order_ids = feed.exchange.cancel_unfilled()
        feed.push_waiting()
        feed.exchange.history.forget(order_ids)
        return len(order_ids)

    def remember(self, key: str, moments: Iterable[Moment]) -> None:
        """Note what happened to an account before."""
        for moment in moments:
            self._feeds[key].exchange.history.note(moment)

    def forget_fills(self, key: str) -> None:
        """Forget the fills of an account."""
        self._feeds[key].exchange.history.forget_fills()

    def transfers(self, key: str) -> list[SimulatedTransaction]:
        """All deposits and withdrawals of an account so far."""
        return list(self._feeds[key].exchange.engine.transfers)

    def executions(self, key: str) -> list[Execution]:
        """All executions of an account's orders so far, oldest first."""
        exchange = self._feeds[key].exchange
        return [exchange.face.execution(fill) for fill in exchange.history.fills]

    def open_orders(self, key: str) -> list[SimulatedOrder]:
        """The orders of an account that can still change."""
        return self._feeds[key].exchange.history.open_orders()

    def stall(self, payload: bytes | None) -> None:
        """Stall all clients, in the middle of this frame if one is given."""
        for client in self.clients:
            client.stall(payload)

    def drop(self, clients: Collection[LoggedClient]) -> int:
        """End connections with a TCP reset; returns their number."""
        for client in clients:
            client.reset()
        return len(clients)

    def send_raw(self, payload: bytes) -> int:
        """Send any frame to all clients that have topics; returns their number."""
        return sum([client.send("raw", [payload]) for client in self.clients if client.subscriptions])

    def stop(self) -> None:
        """Make `run` return."""
        self._server.stop()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until stopped or failed, then close all connections.

        Raises:
            OSError: it cannot listen on this address.
            BooksError: the simulator has a bug.
        """
        trading = [feed.run for feed in self._feeds.values()]
        try:
            await self._server.run(on_ready, lambda: self.clients, "the simulator ends", trading, self._answering.set)
        finally:
            self._log.close()

    def _exchange(self, number: int, key: str) -> Exchange:
        options = self._options
        clock_ms = self.clock_ms if options.live_clock else None
        return Exchange(
            options.seed + number,
            options.symbols,
            venue=options.venue,
            key=key,
            start_ms=options.start_ms,
            clock_ms=clock_ms,
            funding_interval_ms=int(options.funding_interval_s * 1000),
            expiry_ms=int(options.expiry_s * 1000),
        )

    def _has_topic(self, key: str, topic: str) -> bool:
        feed = self._feeds.get(key)
        known = feed is not None and topic in feed.exchange.face.topics()
        return known and topic not in self.active_faults.invalid_topics

    async def _request(self, connection: ClientConnection, request: HttpRequest) -> HttpResponse | None:
        """Answer one request; None to accept a client on the push portal."""
        await self._answering.wait()
        status = self.active_faults.refuse_status
        # What needs no key is answered even while keys are refused.
        path = request.target.partition("?")[0]
        if status and not (status == HTTPStatus.UNAUTHORIZED and path in self._stand_in.public_paths):
            phrase = HTTPStatus(status).phrase.lower()
            return error_response(self._handler, HttpError(status, phrase, self.active_faults.retry_after_s))
        if request.is_upgrade and self._has_too_many(connection):
            self.refused += 1
            # What stands in front of an exchange speaks plain words.
            return HttpResponse(HTTPStatus.TOO_MANY_REQUESTS, b"too many connections", content_type="text/plain")
        return await respond(self._handler, connection, request, self._answer)

    def _has_too_many(self, connection: ClientConnection) -> bool:
        """Whether the address of a new connection has too many."""
        address = address_of(connection)
        open_now = sum(address_of(client.connection) == address for client in self.clients)
        return self._connections.refuses(address, open_now, self.clock_ms())

    async def _answer(self, query: AccountQuery) -> bytes | Reply:
        return query.answer(self._feeds[query.key].exchange.view())

    async def _converse(self, connection: ClientConnection) -> None:
        """Serve one client of the push portal until it is gone."""
        self.accepted += 1
        now_s = asyncio.get_running_loop().time()
        conversation = self._stand_in.conversation(connection.access, self._backend, now_s)
        client = LoggedClient(self.accepted, connection, conversation, self._log)
        self._clients.append(client)

        def settled() -> None:
            for key in conversation.keys:
                if conversation.topics_of(key):
                    self._feeds[key].begin()
            self._on_change()

        try:
            listening = self._server.listen(
                client,
                self.clock_ms,
                self._show,
                settled,
                is_patient=lambda: client.stalled,
                connection_max_s=self._options.connection_max_s,
            )
            await self._server.guarded(listening)
        finally:
            self._clients.remove(client)
            self._on_change()

    def _show(self, snapshot: Snapshot) -> Iterable[bytes]:
        """The frames of a snapshot; none of a topic whose pushes are lost."""
        faults = self.active_faults
        if snapshot.key in faults.expired_keys or snapshot.topic in faults.swallowed_topics:
            return ()
        return self._feeds[snapshot.key].exchange.view().snapshot(snapshot.topic, is_first=snapshot.is_first)


def _set(event: asyncio.Event, value: bool) -> None:
    if value:
        event.set()
    else:
        event.clear()
