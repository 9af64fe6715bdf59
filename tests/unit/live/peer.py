"""The other end of a WebSocket connection, byte by byte: what a server library could not be made to send."""

import base64
import hashlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Queue
from types import TracebackType
from typing import Self

from websocket import ABNF

#: RFC 6455, section 1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

TEXT, BINARY, CONT = ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY, ABNF.OPCODE_CONT
CLOSE, PING, PONG = ABNF.OPCODE_CLOSE, ABNF.OPCODE_PING, ABNF.OPCODE_PONG

#: How long anything may take before a test gives up, seconds.
PATIENCE_S = 20.0


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, mask: bytes = b"", reserved: int = 0) -> bytes:
    """A frame on the wire (RFC 6455, section 5.2)."""
    first = fin << 7 | reserved << 4 | opcode
    size, masked = len(payload), bool(mask) << 7
    if size < 126:
        head = bytes([first, masked | size])
    elif size < 65_536:
        head = bytes([first, masked | 126]) + struct.pack("!H", size)
    else:
        head = bytes([first, masked | 127]) + struct.pack("!Q", size)
    if mask:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + payload


def head(size: int, opcode: int = TEXT) -> bytes:
    """The beginning of a frame of this size, its payload yet to come."""
    return bytes([0x80 | opcode, 127]) + struct.pack("!Q", size)


class Line:
    """A connection that has been accepted."""

    def __init__(self, connection: socket.socket, request: bytes) -> None:
        self.socket = connection
        self.request = request
        connection.settimeout(PATIENCE_S)

    def send(self, *frames: bytes) -> None:
        """Send bytes, in one piece."""
        self.socket.sendall(b"".join(frames))

    def receive(self) -> tuple[int, bytes]:
        """Opcode and payload of the client's next frame, which is short and masked."""
        first, second = self._exactly(2)
        assert second & 0x80, "a client masks its frames"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._exactly(2))
        mask = self._exactly(4)
        return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(self._exactly(size)))

    def receive_text(self) -> bytes:
        """The client's next text frame."""
        opcode, payload = self.receive()
        assert opcode == TEXT
        return payload

    def reset(self) -> None:
        """End it with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """End it without a goodbye."""
        self.socket.close()

    def _exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            chunk = self.socket.recv(size - len(got))
            if not chunk:
                raise EOFError("the client has gone")
            got += chunk
        return got


def accept(request: bytes) -> bytes:
    """The answer that opens a WebSocket."""
    lines = [line.partition(b":") for line in request.split(b"\r\n")]
    key = next(value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key + GUID).digest()) + b"\r\n\r\n"
    )


def refuse(status: str, *headers: str, body: bytes = b"") -> Callable[[bytes], bytes]:
    """An answer that opens none."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return lambda _request: "\r\n".join(lines).encode() + body


class Peer:
    """Listens; every connection gets the next answer, and the last one from then on.

    Args:
        answers: request → the bytes to say to it. Where they open a WebSocket, the connection is `line`.
    """

    def __init__(self, *answers: Callable[[bytes], bytes]) -> None:
        self._answers = list(answers or (accept,))
        self._server = socket.create_server(("127.0.0.1", 0))
        self._lines: Queue[Line] = Queue()
        self._all: list[Line] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.requests: Queue[bytes] = Queue()
        self.port: int = self._server.getsockname()[1]
        #: As a venue's own address.
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(PATIENCE_S)
        for line in self._all:
            line.close()

    def line(self) -> Line:
        """The next connection that was opened."""
        return self._lines.get(timeout=PATIENCE_S)

    def opened(self, line: Line) -> None:
        """A connection was opened; for an exchange that speaks by itself."""

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return  # the test is over
            connection.settimeout(PATIENCE_S)
            try:
                self._answer(connection)
            except OSError:
                connection.close()  # the client has gone

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            chunk = connection.recv(4096)
            if not chunk:
                connection.close()
                return
            request += chunk
        self.requests.put(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        said = answer(request)
        connection.sendall(said)
        if said.startswith(b"HTTP/1.1 101") and said.endswith(b"\r\n\r\n"):
            line = Line(connection, request)
            self._all.append(line)
            self._lines.put(line)
            self.opened(line)
        else:
            connection.close()


@contextmanager
def trickling(first: bytes) -> Iterator[str]:
    """A server that begins an answer, and goes on with it a byte at a time; its address, without the scheme."""
    over = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError), server.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(first)
            while not over.wait(0.02):
                connection.sendall(b"a")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        over.set()
        thread.join(PATIENCE_S)
        server.close()
