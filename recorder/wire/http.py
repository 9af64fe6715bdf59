"""HTTP/1.1 on a connection that may become a WebSocket: request bodies, keep-alive, answers in order.

The `websockets` library accepts handshakes only: it drops a request with a body, and closes after every answer. So
`h11` reads each connection until a request asks for an upgrade.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple

import h11
from websockets.datastructures import Headers

#: The longest request line with its headers, and the longest body, in bytes.
HEAD_BYTES_MAX = 1 << 16
BODY_BYTES_MAX = 1 << 20


_PHRASES = frozenset(map(int, HTTPStatus))


class HttpRequest(NamedTuple):
    """A request."""

    method: str
    #: Path and query as sent.
    target: str
    headers: Headers
    body: bytes = b""

    @property
    def is_upgrade(self) -> bool:
        """Whether the client asks to switch to WebSocket."""
        return "websocket" in ",".join(self.headers.get_all("Upgrade")).lower()


class HttpResponse(NamedTuple):
    """A response."""

    status: int
    body: bytes
    #: Seconds to wait before the next request; 0 to leave the header out.
    retry_after_s: int = 0
    content_type: str = "application/json"
    #: Headers besides those that every response has.
    more: Mapping[str, str] = {}

    @property
    def reason(self) -> str:
        """The reason phrase of the status."""
        return HTTPStatus(self.status).phrase if self.status in _PHRASES else "Refused"

    def headers(self) -> dict[str, str]:
        """The headers of the response."""
        headers = {
            "Date": formatdate(usegmt=True),
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            **self.more,
        }
        return headers | ({"Retry-After": str(self.retry_after_s)} if self.retry_after_s else {})


class HttpExchange:
    """Reads the requests of one connection and answers them in order.

    Reading pauses while a request is being answered, so a client cannot queue more bytes than one read returns.

    Args:
        transport: the connection's transport.
        answer: makes the response to a request that is not a handshake.
        refuse: makes the response to malformed input, from a status and a message.
        drain: waits until the kernel has taken what was written.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        answer: Callable[[HttpRequest], Awaitable[HttpResponse]],
        refuse: Callable[[int, str], HttpResponse],
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        self._transport = transport
        self._answer = answer
        self._refuse = refuse
        self._drain = drain
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._fed = asyncio.Event()

    def feed(self, data: bytes) -> None:
        """Take received bytes; empty at the end of the stream."""
        self._transport.pause_reading()
        self._h11.receive_data(data)
        self._fed.set()

    async def run(self) -> bytes | None:
        """Answer requests until the connection ends.

        Returns:
            The bytes of a WebSocket handshake and whatever followed it; None if the connection ended.
        """
        try:
            while request := await self._request():
                if request.is_upgrade:
                    return self._bytes_from(request)
                self._send(request, await self._answer(request))
                await self._drain()
                if self._h11.our_state is h11.MUST_CLOSE:
                    break
                self._h11.start_next_cycle()
        except h11.RemoteProtocolError as error:
            self._give_up(error.error_status_hint, str(error))
        self._transport.close()
        return None

    async def _request(self) -> HttpRequest | None:
        """The next request, once its whole body has been read; None at the end of the connection."""
        request: HttpRequest | None = None
        body = bytearray()
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                if self._h11.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
                self._fed.clear()
                self._transport.resume_reading()
                await self._fed.wait()
            elif isinstance(event, h11.Request):
                headers = Headers([(name.decode(), value.decode("latin-1")) for name, value in event.headers])
                request = HttpRequest(event.method.decode(), event.target.decode(), headers)
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > BODY_BYTES_MAX:
                    raise h11.RemoteProtocolError(f"a body is at most {BODY_BYTES_MAX} bytes", error_status_hint=413)
            elif isinstance(event, h11.EndOfMessage):
                return request and request._replace(body=bytes(body))
            else:  # the client closed the connection
                return None

    def _send(self, request: HttpRequest | None, response: HttpResponse) -> None:
        self._write(
            h11.Response(
                status_code=response.status, headers=list(response.headers().items()), reason=response.reason.encode()
            )
        )
        if request is None or request.method != "HEAD":
            self._write(h11.Data(data=response.body))
        self._write(h11.EndOfMessage())

    def _give_up(self, status: int, message: str) -> None:
        """Answer malformed input, if an answer is still possible."""
        if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._send(None, self._refuse(status, message))

    def _write(self, event: h11.Event) -> None:
        sent = self._h11.send(event)
        if sent and not self._transport.is_closing():
            self._transport.write(sent)

    def _bytes_from(self, request: HttpRequest) -> bytes:
        head = f"{request.method} {request.target} HTTP/1.1\r\n{request.headers}"
        return head.encode("latin-1") + self._h11.trailing_data[0]
