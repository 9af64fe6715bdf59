"""A server in an event loop that stands in for an exchange: REST and WebSocket on one port.

`HttpExchange` answers requests; one that asks for a WebSocket goes to the `websockets` library, which shakes hands and
reads frames. What goes out on a WebSocket is written by `PushClient`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from http import HTTPStatus
from typing import Any, TypeVar, cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers, MultipleValuesError
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from recorder.venues.stand_in import AccountQuery, HttpError, PortalAccess, RequestHandler
from recorder.wire.client import PushClient
from recorder.wire.http import HttpExchange, HttpRequest, HttpResponse

T = TypeVar("T")

#: A client's subscriptions are complete when they did not change for so long, seconds.
SETTLE_S = 0.1

#: WebSocket close codes (RFC 6455, 7.4.1).
GOING_AWAY = 1001
POLICY_VIOLATION = 1008

_LOGGER = logging.getLogger(__name__)
_LOGGER.addHandler(logging.NullHandler())  # a client that breaks off is no news
_LOGGER.propagate = False


class ClientConnection(ServerConnection):
    """A connection: HTTP requests first, a WebSocket once one of them asks for it."""

    #: Who it is; set once it is let in.
    access: PortalAccess
    #: Reads what comes in until the handshake, and the task that answers it.
    http: HttpExchange | None = None
    answering: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        if self.http:
            self.http.feed(data)
        else:
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Called by the transport; True: answers may still be sent."""
        if self.http:
            self.http.feed(b"")
            return True
        super().eof_received()
        return False

    def start_websocket(self, data: bytes) -> None:
        """Go on as a WebSocket, beginning with the bytes of its handshake."""
        self.http = None
        self.transport.resume_reading()
        super().data_received(data)


class Server:
    """Listens, and hands over what comes. Made and used in its event loop only.

    Args:
        host: address to listen on.
        port: to listen on; 0 for any that is free.
        request: answers a request, or lets a client in: None.
        converse: serves one client to its end.
        handler: makes the bodies of error responses.
    """

    def __init__(
        self,
        host: str,
        port: int,
        request: Callable[[ClientConnection, HttpRequest], Awaitable[HttpResponse | None]],
        converse: Callable[[ClientConnection], Coroutine[Any, Any, None]],
        handler: RequestHandler,
    ) -> None:
        #: The port that is listened on, once ready.
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
        """Let `run` end."""
        self._stop.set()

    async def guarded(self, work: Awaitable[T]) -> T:
        """Do it; an error of ours ends the server, and `run` raises it."""
        try:
            return await work
        except Exception as error:
            self._failure = self._failure or error
            self.stop()
            raise

    async def run(
        self,
        on_ready: Callable[[], None],
        lines: Callable[[], Iterable[PushClient]],
        goodbye: str,
        work: Iterable[Callable[[], Awaitable[None]]] = (),
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve until stopped or failed, then say goodbye to everybody.

        Args:
            on_ready: called once clients can connect.
            lines: the connected clients.
            goodbye: said to them at the end.
            work: done meanwhile.
            release: lets requests go that are held back, once their connections are gone.

        Raises:
            OSError: the address cannot be listened on.
            Whatever else ended it.
        """
        server = await serve(
            cast(Callable[[ServerConnection], Coroutine[Any, Any, None]], self._converse),
            self._host,
            self._asked_port,
            process_request=self._shake_hands,
            create_connection=self._client_class(),
            compression=None,
            ping_interval=None,
            open_timeout=None,  # a deaf exchange does not answer handshakes either, for as long as it is deaf
            write_limit=0,  # to drain a line is to have the kernel take everything
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
        await asyncio.gather(*[line.goodbye(GOING_AWAY, goodbye) for line in lines()])
        for transport in tuple(self._transports):
            transport.abort()
        release()
        await asyncio.gather(*self._answering, return_exceptions=True)
        await server.wait_closed()
        if self._failure:
            raise self._failure

    async def listen(
        self,
        line: PushClient,
        clock_ms: Callable[[], int],
        on_settled: Callable[[], None],
        is_patient: Callable[[], bool],
    ) -> None:
        """Greet a client and answer its commands until it is gone, or gave no sign of life for too long.

        Args:
            line: the client's.
            clock_ms: the exchange's clock, milliseconds since 1970.
            on_settled: called when its subscriptions are complete for the first time.
            is_patient: whether it is kept, silent as it is.
        """
        loop = asyncio.get_running_loop()
        settling: asyncio.TimerHandle | None = None
        conversation = line.conversation
        line.answer(conversation.hello(clock_ms()))

        def settle() -> None:
            line.settled = True
            on_settled()

        try:
            while True:
                async with asyncio.timeout_at(conversation.deadline_s):
                    await line.drain()
                    message = await line.connection.recv(decode=False)
                known = set(conversation.topics)
                line.answer(conversation.receive(message, clock_ms(), loop.time()))
                if conversation.topics == known:
                    continue  # a ping, say: who never stops sending those waits for nothing
                if settling:
                    settling.cancel()
                if conversation.topics and not line.settled:
                    settling = loop.call_later(SETTLE_S, settle)
        except TimeoutError:
            if not is_patient():
                await line.goodbye(POLICY_VIOLATION, "no ping")
            await line.connection.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            if settling:
                settling.cancel()

    async def _shake_hands(self, connection: ServerConnection, request: Request) -> Response | None:
        """Decide on a handshake; the library's name for it is `process_request`."""
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
        if self._stop.is_set():  # nothing is begun for it that the end would have to wait for
            return HttpResponse(HTTPStatus.SERVICE_UNAVAILABLE, b"")
        return await self.guarded(self._request(client, request))

    def _error(self, status: int, message: str) -> HttpResponse:
        return error_response(self._handler, HttpError(status, message))

    def _client_class(self) -> type[ClientConnection]:
        """The class of connections to this server, which knows them all: it must close them when it ends."""
        server = self

        class Connected(ClientConnection):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                server._transports.add(self.transport)
                if server._stop.is_set():  # it was on its way in
                    self.transport.abort()
                    return

                async def answer(request: HttpRequest) -> HttpResponse:
                    response = await server._decide(self, request)
                    return response or server._error(426, "this address speaks WebSocket only")

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


async def respond(
    handler: RequestHandler,
    client: ClientConnection,
    request: HttpRequest,
    answer: Callable[[AccountQuery], Awaitable[bytes]],
) -> HttpResponse | None:
    """Answer a request as a venue's handler decides; None accepts the client on the push portal, and notes who it is.

    Args:
        handler: the venue's.
        client: the connection the request came on.
        request: the request.
        answer: answers a query about an account.
    """
    try:
        base = f"http://{request.headers.get('Host', '')}"
        decided = handler.handle(request.method, request.target, request.headers, base)
        if isinstance(decided, PortalAccess):
            client.access = decided
            return None
        return HttpResponse(200, decided if isinstance(decided, bytes) else await answer(decided))
    except MultipleValuesError:
        return error_response(handler, HttpError(400, "a header is given twice"))
    except HttpError as error:
        return error_response(handler, error)


def error_response(handler: RequestHandler, error: HttpError) -> HttpResponse:
    """The response to a request that is refused."""
    return HttpResponse(error.status, handler.error_body(error), error.retry_after_s)
