"""A client of a push portal, and of the REST interface beside it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Self

import pytest
import websocket

from recorder.venues.fmex.portal import subscribe
from recorder.venues.rest import Credentials, RestRequest
from tests.samples import signed_portal

#: How long anything may take before a test gives up, seconds.
PATIENCE_S = 20.0

TOPICS = ("account", "order.btcusd_p", "position.btcusd_p")


def now_ms() -> int:
    """The clock that signs, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Client:
    """A client of a push portal.

    Args:
        url: the http address of the exchange.
        who: key and secret.
        at_ms: when it signs; None: now.
        timeout_s: how long it waits for a frame.
        sockopt: options of its socket.
        more: appended to the push portal's address.
    """

    def __init__(
        self,
        url: str,
        who: Credentials,
        *,
        at_ms: int | None = None,
        timeout_s: float = PATIENCE_S,
        sockopt: Sequence[tuple[int, int, int]] = (),
        more: str = "",
    ) -> None:
        address = signed_portal(url, who, now_ms() if at_ms is None else at_ms) + more
        self.socket = websocket.create_connection(
            address, timeout=timeout_s, sockopt=sockopt, skip_utf8_validation=True
        )
        #: All frames received, hello first.
        self.frames: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.socket.shutdown()  # type: ignore[no-untyped-call]

    def receive(self) -> bytes:
        """The next frame."""
        opcode, payload = self.socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise websocket.WebSocketConnectionClosedException(int.from_bytes(payload[:2], "big"))
        self.frames.append(payload)
        return bytes(payload)

    def answer(self) -> Any:
        """The next frame, read."""
        return json.loads(self.receive())

    def say(self, command: bytes | dict[str, Any]) -> Any:
        """Send a command, return the next frame."""
        self.socket.send(command if isinstance(command, bytes) else json.dumps(command))
        return self.answer()

    def subscribe(self, *topics: str) -> Self:
        """Be greeted, and subscribe."""
        assert self.answer()["type"] == "hello"
        assert self.say(subscribe(topics or TOPICS, "1"))["topics"] == list(topics or TOPICS)
        return self

    def take(self, count: int) -> list[bytes]:
        """The next frames."""
        return [self.receive() for _ in range(count)]


def fetch(request: RestRequest) -> bytes:
    """The body of the answer to a REST request."""
    headers = dict(request.headers)
    asked = urllib.request.Request(request.address, request.body or None, headers, method=request.method)
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
        body: bytes = answer.read()
    return body


@contextmanager
def http_error(status: int) -> Iterator[dict[str, Any]]:
    """Expect an HTTP error; its headers and JSON body are in the dict afterwards."""
    found: dict[str, Any] = {}
    with pytest.raises(urllib.error.HTTPError) as raised:
        yield found
    with closing(raised.value) as error:
        assert error.code == status
        found.update(body=json.loads(error.read()), headers=dict(error.headers))
