"""A server in an event loop that stands in for an exchange: REST and WebSocket on one port.

`HttpExchange` answers requests. A request for a WebSocket goes on to the `websockets` library, which does the handshake
and reads frames; `PushClient` writes them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from http import HTTPStatus
from typing import Any, TypeVar, cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers, MultipleValuesError
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.http11 import Response

from recorder.venues.stand_in import (
    AccountQuery,
    Close,
    HttpError,
    PortalAccess,
    ProtocolPing,
    Reply,
    Request,
    RequestHandler,
    Said,
    Snapshot,
)
from recorder.wire.client import PushClient
from recorder.wire.http import HttpExchange, HttpRequest, HttpResponse

T = TypeVar("T")

#: A client's subscriptions count as complete once they have not changed for this long, seconds.
SETTLE_S = 0.1

#: WebSocket close code (RFC 6455, 7.4.1).
GOING_AWAY = 1001

_LOGGER = logging.getLogger(__name__)
_LOGGER.addHandler(logging.NullHandler())  # a client that disconnects is not worth a log entry
_LOGGER.propagate = False


class ClientConnection(ServerConnection):
    """A connection: HTTP requests first, a WebSocket once one of them asks for it."""

    #: The client's key and parameters, once it is accepted on the push portal.
    access: PortalAccess
    #: Reads requests until the WebSocket handshake, in the task that answers them.
    http: HttpExchange | None = None
    answering: asyncio.Task[None] | None = None
    #: Called for each ping and pong of the WebSocket protocol.
    on_sign: Callable[[], None] | None = None

    def process_event(self, event: Any) -> None:
        """Called for each frame and handshake."""
        if self.on_sign and isinstance(event, Frame) and event.opcode in {Opcode.PING, Opcode.PONG}:
            self.on_sign()
        super().process_event(event)

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        if self.http:
            self.http.feed(data)
        else:
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Called by the transport; True keeps it open for answers."""
        if self.http:
            self.http.feed(b"")
            return True
        super().eof_received()
        return False

    def start_websocket(self, data: bytes) -> None:
        """Continue as a WebSocket, starting with the bytes of the handshake."""
        self.http = None
        self.transport.resume_reading()
        super().data_received(data)


class Server:
    """Listens, and passes requests and clients on. Create and use it in its event loop only.

    Args:
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        request: answers a request, or returns None to accept a client on the push portal.
        converse: serves one accepted client until it is gone.
        handler: the venue's, for the bodies of error responses.
    """

    def __init__(
        self,
        host: str,
        port: int,
        request: Callable[[ClientConnection, HttpRequest], Awaitable[HttpResponse | None]],
        converse: Callable[[ClientConnection], Coroutine[Any, Any, None]],
        handler: RequestHandler,
    ) -> None:
        #: The port it listens on, once ready.
        self.port = 0
        self._host = host
        self._asked_port = port
        self._request = request
        self._converse = converse
        self._handler = handler
        self._failure: Exception | None = None
        self._stop = asyncio.Event()
        self._transports: set[asyncio.Transport] = set()
        self._answering: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Make `run` return."""
        self._stop.set()

    async def guarded(self, work: Awaitable[T]) -> T:
        """Await this; an exception stops the server, and `run` raises it."""
        try:
            return await work
        except Exception as error:
            self._failure = self._failure or error
            self.stop()
            raise

    async def run(
        self,
        on_ready: Callable[[], None],
        clients: Callable[[], Iterable[PushClient]],
        goodbye: str,
        work: Iterable[Callable[[], Awaitable[None]]] = (),
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve until stopped or failed, then close all connections.

        Args:
            on_ready: called once clients can connect.
            clients: returns the connected clients.
            goodbye: the reason given to them in the closing handshake.
            work: background tasks to run meanwhile.
            release: releases requests that are being held back, once their connections are closed.

        Raises:
            OSError: it cannot listen on this address.
            Exception: whatever made it fail.
        """
        server = await serve(
            cast(Callable[[ServerConnection], Coroutine[Any, Any, None]], self._converse),
            self._host,
            self._asked_port,
            process_request=self._shake_hands,
            create_connection=self._client_class(),
            compression=None,
            ping_interval=None,
            open_timeout=None,  # a simulated exchange that hangs does not answer handshakes either
            write_limit=0,  # so that draining waits until the kernel has taken everything
            logger=_LOGGER,
        )
        self.port = server.sockets[0].getsockname()[1]
        tasks = [asyncio.create_task(self.guarded(one())) for one in work]
        on_ready()
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close(close_connections=False)
        await asyncio.gather(*[client.goodbye(GOING_AWAY, goodbye) for client in clients()])
        for transport in tuple(self._transports):
            transport.abort()
        release()
        await asyncio.gather(*self._answering, return_exceptions=True)
        await server.wait_closed()
        if self._failure:
            raise self._failure

    async def listen(
        self,
        client: PushClient,
        clock_ms: Callable[[], int],
        show: Callable[[Snapshot], Iterable[bytes]],
        on_settled: Callable[[], None],
        is_patient: Callable[[], bool],
        connection_max_s: float | None = None,
    ) -> None:
        """Talk to a client until it disconnects, or its conversation ends.

        Args:
            client: the client.
            clock_ms: the exchange's clock, milliseconds since 1970.
            show: makes the frames of a snapshot.
            on_settled: called when its subscriptions are complete for the first time.
            is_patient: whether a silent client is kept after all.
            connection_max_s: how old the connection may become, seconds; None for any age.
        """
        loop = asyncio.get_running_loop()
        closes_s = None if connection_max_s is None else loop.time() + connection_max_s
        settling: asyncio.TimerHandle | None = None
        conversation = client.conversation
        # Those that the handshake made, if any, are noticed as those of a command are.
        known: frozenset[tuple[str, str]] = frozenset()
        cast(ClientConnection, client.connection).on_sign = lambda: conversation.heard(clock_ms(), loop.time())

        def settle() -> None:
            client.settled = True
            on_settled()

        try:
            said = conversation.open(clock_ms(), loop.time())
            while not await _say(client, said, show):
                # Not for a ping: constant pings must not delay the pushes.
                if client.subscriptions != known:
                    known = client.subscriptions
                    if settling:
                        settling.cancel()
                    if known and not client.settled:
                        settling = loop.call_later(SETTLE_S, settle)
                message = await _heard(client, closes_s)
                if message is not None:
                    said = conversation.receive(message, clock_ms(), loop.time())
                elif is_patient():
                    break
                elif closes_s is not None and loop.time() >= closes_s:
                    said = [Close(GOING_AWAY, "the connection is too old")]
                else:
                    said = conversation.wake(clock_ms(), loop.time())
            await client.connection.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            if settling:
                settling.cancel()

    async def _shake_hands(self, connection: ServerConnection, request: Handshake) -> Response | None:
        """Answer a handshake: the library's `process_request`."""
        response = await self._decide(
            cast(ClientConnection, connection), HttpRequest("GET", request.path, request.headers)
        )
        if response is None:
            return None
        headers = Headers({**response.headers(), "Connection": "close"})
        return Response(response.status, response.reason, headers, response.body)

    async def _answer_requests(self, client: ClientConnection, http: HttpExchange) -> None:
        handshake = await self.guarded(http.run())
        if handshake is not None and not client.transport.is_closing():
            client.start_websocket(handshake)

    async def _decide(self, client: ClientConnection, request: HttpRequest) -> HttpResponse | None:
        if self._stop.is_set():  # start nothing that stopping would have to wait for
            return HttpResponse(HTTPStatus.SERVICE_UNAVAILABLE, b"")
        return await self.guarded(self._request(client, request))

    def _error(self, status: int, message: str) -> HttpResponse:
        return error_response(self._handler, HttpError(status, message))

    def _client_class(self) -> type[ClientConnection]:
        """A connection class that registers with this server, which has to close all connections when it stops."""
        server = self

        class Connected(ClientConnection):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                server._transports.add(self.transport)
                if server._stop.is_set():  # accepted while the server was stopping
                    self.transport.abort()
                    return

                async def answer(request: HttpRequest) -> HttpResponse:
                    response = await server._decide(self, request)
                    assert response is not None, "only a handshake is accepted on the push portal"
                    return response

                self.http = HttpExchange(self.transport, answer, server._error, self.drain)
                self.answering = self.loop.create_task(server._answer_requests(self, self.http))
                server._answering.add(self.answering)
                self.answering.add_done_callback(server._answering.discard)

            def connection_lost(self, exc: Exception | None) -> None:
                server._transports.discard(self.transport)
                if self.answering:
                    self.answering.cancel()
                super().connection_lost(exc)

        return Connected


async def _say(client: PushClient, said: Iterable[Said], show: Callable[[Snapshot], Iterable[bytes]]) -> bool:
    """Send what a conversation says; returns whether it has ended."""
    for one in said:
        match one:
            case Close(code, reason):
                await client.goodbye(code, reason)
                return True
            case Snapshot():
                # A client that does not read is not sent the same state again and again.
                if one.is_first or not client.waiting_bytes:
                    for payload in show(one):
                        for form in client.conversation.pushed(one.key, one.topic, payload):
                            client.answer(form)
            case ProtocolPing():
                client.ping()
            case _:
                client.answer(one)
    return False


async def _heard(client: PushClient, closes_s: float | None) -> bytes | None:
    """The client's next frame; None once the conversation has to be woken, or the connection is too old."""
    loop = asyncio.get_running_loop()
    while True:
        wake_s = client.conversation.wake_s
        until_s = wake_s if closes_s is None else min(wake_s, closes_s)
        try:
            async with asyncio.timeout_at(until_s):
                await client.drain()
                message = await client.connection.recv(decode=False)
        except TimeoutError:
            # A sign of life by the protocol may have put it off.
            if loop.time() < min(client.conversation.wake_s, closes_s or client.conversation.wake_s):
                continue
            return None
        return message


async def respond(
    handler: RequestHandler,
    client: ClientConnection,
    request: HttpRequest,
    answer: Callable[[AccountQuery], Awaitable[bytes | Reply]],
) -> HttpResponse | None:
    """Answer a request as a venue's handler decides; None accepts the client on a push endpoint, and notes who it is.

    Args:
        handler: the venue's.
        client: the connection the request came on.
        request: the request.
        answer: answers a query about an account.
    """
    try:
        base = f"http://{request.headers.get('Host', '')}"
        decided = handler.handle(
            Request(request.method, request.target, request.headers, base, request.body, address_of(client))
        )
        if isinstance(decided, PortalAccess):
            if not request.is_upgrade:
                raise HttpError(426, "this address speaks WebSocket only")
            client.access = decided
            return None
        answered = await answer(decided) if isinstance(decided, AccountQuery) else decided
        reply = answered if isinstance(answered, Reply) else Reply(answered)
        return HttpResponse(reply.status, reply.body, 0, reply.content_type, reply.headers)
    except MultipleValuesError:
        return error_response(handler, HttpError(400, "a header is given twice"))
    except HttpError as error:
        return error_response(handler, error)


def address_of(client: ServerConnection) -> str:
    """The address that a connection comes from; empty if it is gone."""
    peer = client.transport.get_extra_info("peername") or ("",)
    return str(peer[0])


def error_response(handler: RequestHandler, error: HttpError) -> HttpResponse:
    """The response to a request that is refused."""
    return HttpResponse(error.status, handler.error_body(error), error.retry_after_s)
