"""A request at the exchange's door: answered as REST, refused, or let in to the push portal.

Requests other than GET are answered 405, except that the `websockets` library itself hangs up on one that has a body
(and, before its version 17, on all of them).
"""

import asyncio
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import parse_qsl

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request, Response

from recorder.simulator.conditions import Conditions
from recorder.simulator.exchange import Told
from recorder.simulator.guard import Guard, Refused
from recorder.simulator.rest import SERVER_TIME, Rest, refusal

PUSH_PATH = "/v2/user/ws"


class Door:
    """Decides on requests.

    Args:
        secrets: each key's secret.
        told: what REST answers, by key.
        clock_ms: the server's clock.
        conditions: what is wrong just now.
    """

    def __init__(
        self,
        secrets: Mapping[str, str],
        told: Mapping[str, Told],
        clock_ms: Callable[[], int],
        conditions: Conditions,
    ) -> None:
        self._guard = Guard(secrets)
        self._rest = Rest(self._guard, told, clock_ms)
        self._clock_ms = clock_ms
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

    async def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer one request; None to go on to the push portal, the key being the connection's user name."""
        await self._open.wait()
        try:
            return self._answer(connection, request)
        except MultipleValuesError:
            return _response(400, refusal(400, "a header is given twice"))
        except Refused as refused:
            return _response(refused.status, refusal(refused.status, refused.message), refused.retry_after_s)

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        path, _, query = request.path.partition("?")
        method = getattr(request, "method", "GET")  # before its version 17, the library takes no other
        self._refuse_for_now(path)
        base = f"http://{request.headers.get('Host', '')}"
        if path != PUSH_PATH:
            return _response(200, self._rest.answer(method, request.path, request.headers, base))
        if method != "GET":
            raise Refused(405, f"method {method} not allowed")
        connection.username = self._guard.admit(dict(parse_qsl(query)), base + PUSH_PATH, self._clock_ms())
        return None

    def _refuse_for_now(self, path: str) -> None:
        status = self._conditions.refuse_status
        # Whoever asks for the time is not asked for a key, so a key that is refused does not matter there.
        if status and not (status == HTTPStatus.UNAUTHORIZED and path == SERVER_TIME):
            raise Refused(status, HTTPStatus(status).phrase.lower(), self._conditions.retry_after_s)


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
