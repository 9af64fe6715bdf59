"""A server in an event loop, that stands in for an exchange: requests are answered, clients talked to.

The `websockets` library shakes hands and reads; what goes out is written by `Line`. Requests other than GET are
declined, except that the library itself hangs up on one that has a body (and, before its version 17, on all of them).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeVar, cast

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers, MultipleValuesError
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from recorder.venues.stand_in import Admitted, Declined, Door, Question
from recorder.wire.line import Line

T = TypeVar("T")

#: A client's subscriptions are complete when they did not change for so long, seconds.
SETTLE_S = 0.1

#: WebSocket close codes (RFC 6455, 7.4.1).
GOING_AWAY = 1001
POLICY_VIOLATION = 1008

_LOGGER = logging.getLogger(__name__)
_LOGGER.addHandler(logging.NullHandler())  # a client that breaks off is no news
_LOGGER.propagate = False


class Client(ServerConnection):
    """The library's connection, and who it is."""

    #: Set once it is let in.
    admitted: Admitted


class Server:
    """Listens, and hands over what comes. Made and used in its event loop only.

    Args:
        host: address to listen on.
        port: to listen on; 0 for any that is free.
        request: answers a request with a response, or lets a client in.
        converse: serves one client to its end.
    """

    def __init__(
        self,
        host: str,
        port: int,
        request: Callable[[Client, Request], Awaitable[Response | None]],
        converse: Callable[[Client], Coroutine[Any, Any, None]],
    ) -> None:
        #: The port that is listened on, once ready.
        self.port = 0
        self._host = host
        self._asked_port = port
        self._request = request
        self._converse = converse
        self._failure: Exception | None = None
        self._stop = asyncio.Event()

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
        lines: Callable[[], Iterable[Line]],
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
        transports: set[asyncio.Transport] = set()
        server = await serve(
            cast(Callable[[ServerConnection], Coroutine[Any, Any, None]], self._converse),
            self._host,
            self._asked_port,
            process_request=self._answer,
            create_connection=_clients_noting(transports, self._stop),
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
        for transport in tuple(transports):
            transport.abort()
        release()
        await server.wait_closed()
        if self._failure:
            raise self._failure

    async def listen(
        self, line: Line, clock_ms: Callable[[], int], on_settled: Callable[[], None], is_patient: Callable[[], bool]
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

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._stop.is_set():  # nothing is begun for it that the end would have to wait for
            return _response(HTTPStatus.SERVICE_UNAVAILABLE, b"")
        return await self.guarded(self._request(cast(Client, connection), request))


async def decide(
    door: Door, client: Client, request: Request, answer: Callable[[Question], Awaitable[bytes]]
) -> Response | None:
    """Decide on a request at the door of an exchange; None lets the client in, and notes who it is.

    Args:
        door: the exchange's.
        client: who asks.
        request: what is asked.
        answer: finds the answer to a question about an account.
    """
    method = getattr(request, "method", "GET")  # before its version 17, the library takes no other
    try:
        base = f"http://{request.headers.get('Host', '')}"
        if not (base + request.path).isascii():  # before its version 16, the library lets them through
            raise Declined(400, "an address is of ASCII characters")
        decided = door.knock(method, request.path, request.headers, base)
        if isinstance(decided, Admitted):
            client.admitted = decided
            return None
        return _response(200, decided if isinstance(decided, bytes) else await answer(decided))
    except MultipleValuesError:
        return decline(door, Declined(400, "a header is given twice"))
    except Declined as declined:
        return decline(door, declined)


def decline(door: Door, declined: Declined) -> Response:
    """The response to a request that is declined."""
    return _response(declined.status, door.refusal(declined), declined.retry_after_s)


def _response(status: int, body: bytes, retry_after_s: int = 0) -> Response:
    headers = Headers(
        {
            "Date": formatdate(usegmt=True),
            "Connection": "close",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
    )
    if retry_after_s:
        headers["Retry-After"] = str(retry_after_s)
    return Response(status, HTTPStatus(status).phrase, headers, body)


def _clients_noting(transports: set[asyncio.Transport], ending: asyncio.Event) -> type[Client]:
    """Connections that also note what is open: the server must close it when it ends."""

    class Noted(Client):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            transports.add(cast(asyncio.Transport, transport))
            if ending.is_set():  # it was on its way in
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            transports.discard(self.transport)
            super().connection_lost(exc)

    return Noted
