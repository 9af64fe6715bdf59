"""One WebSocket connection: bytes in, whole messages out. The only file that touches a socket of the push portal.

The connection is websocket-client's own: its handshake, its frame parser. Two things are different from its defaults.
Bytes are read 64 KiB at a time and without validating UTF-8 (that is the decoder's business, and in pure Python costs
more than all the rest). And the socket never blocks: waiting is done in one place, where a stop wakes it.
"""

import selectors
import socket
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

import websocket
from websocket import ABNF

from recorder.clock import Clock
from recorder.errors import Refused, SessionOver, Unavailable, Unreachable, VenueError
from recorder.live.wake import Wake

#: Read at most so much from the socket at a time.
CHUNK_BYTES = 65_536
#: Commands are tiny: one that cannot be handed to the kernel for so long shows a dead connection.
SEND_TIMEOUT_S = 5.0
#: So much of the exchange's own words is shown.
WORDS_MAX = 200

UNAUTHORIZED = {401, 403}
ASKED_TO_WAIT = {429, 503}


class Message(NamedTuple):
    """A whole message and when it was received."""

    #: When the bytes that completed it left the socket.
    received_ns: int
    payload: bytes


class Waited(Exception):
    """Nothing came before the deadline, or a stop woke the wait. Not an error."""


class _Buffer(websocket._abnf.frame_buffer):
    """The library's frame parser over a buffer of our own. A parse that is interrupted goes on where it was."""

    def __init__(self, read: Callable[[], bytes], bytes_max: int) -> None:
        super().__init__(lambda _size: b"", skip_utf8_validation=True)
        self._read = read
        self._bytes_max = bytes_max
        self._bytes = b""
        self._at = 0

    def recv_strict(self, bufsize: int) -> bytes:
        end = self._at + bufsize
        if end > len(self._bytes):
            self._fill(bufsize)
            end = bufsize
        taken = self._bytes[self._at : end]
        self._at = end
        return taken

    def _fill(self, size: int) -> None:
        if size > self._bytes_max:
            raise SessionOver("frame too large", f"a frame of {size} bytes, more than {self._bytes_max}")
        parts = [self._bytes[self._at :]]
        missing = size - len(parts[0])
        try:
            while missing > 0:
                parts.append(self._read())
                missing -= len(parts[-1])
        finally:
            self._bytes = b"".join(parts)
            self._at = 0


class Transport:
    """An open connection.

    Args:
        connection: websocket-client's, its handshake done.
        wake: ends `receive` early.
        clock: stamps messages, measures waits.
        message_bytes_max: a larger message ends the session.
    """

    def __init__(self, connection: websocket.WebSocket, wake: Wake, clock: Clock, message_bytes_max: int) -> None:
        self._connection = connection
        self._socket: socket.socket = connection.sock
        self._socket.setblocking(False)
        self._clock = clock
        self._bytes_max = message_bytes_max
        self._buffer = _Buffer(self._read, message_bytes_max)
        self._parts: list[bytes] = []  # of a fragmented message
        self._parts_bytes = 0
        self._deadline_s = 0.0
        self._stopping = False
        self._received_ns = clock.wall_ns()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(wake, selectors.EVENT_READ)

    def receive(self, until_s: float) -> Message:
        """The next message.

        Args:
            until_s: on the monotonic clock.

        Raises:
            Waited: none came in time, or the wake was set.
            SessionOver: the connection is gone or its peer broke the protocol.
        """
        self._deadline_s = until_s
        while True:
            try:
                frame = self._buffer.recv_frame()
            except websocket.WebSocketException as error:
                raise SessionOver("protocol error", str(error)) from error
            if frame.opcode == ABNF.OPCODE_TEXT and frame.fin and not self._parts:
                return Message(self._received_ns, frame.data)
            message = self._special(frame)
            if message is not None:
                return message

    def received_already(self) -> list[Message]:
        """The whole messages that had left the socket when a stop came; the socket is not read again."""
        self._stopping = True
        messages: list[Message] = []
        try:
            while True:
                messages.append(self.receive(0.0))
        except (Waited, SessionOver):
            return messages

    def send(self, command: bytes) -> None:
        """Send one text message.

        Raises:
            SessionOver: the connection is gone.
        """
        self._send(command, ABNF.OPCODE_TEXT)

    def close(self) -> None:
        """Say goodbye if the line allows it, and let go of the socket. Never raises, never waits."""
        self._selector.close()
        try:
            self._connection.send_close()
        except (OSError, websocket.WebSocketException):
            pass  # the peer is gone already
        self._connection.shutdown()

    def _special(self, frame: ABNF) -> Message | None:
        """Everything that is not a whole text message in one frame."""
        if frame.opcode == ABNF.OPCODE_PING:
            self._send(frame.data, ABNF.OPCODE_PONG)
            return None
        if frame.opcode == ABNF.OPCODE_PONG:
            return None
        if frame.opcode == ABNF.OPCODE_CLOSE:
            raise SessionOver("closed", _close_words(frame.data))
        if (frame.opcode == ABNF.OPCODE_CONT) != bool(self._parts):
            raise SessionOver("protocol error", "a fragment out of its place")
        self._parts.append(frame.data)
        self._parts_bytes += len(frame.data)
        if self._parts_bytes > self._bytes_max:
            raise SessionOver("frame too large", f"a message of more than {self._bytes_max} bytes, in fragments")
        if not frame.fin:
            return None
        payload = b"".join(self._parts)
        self._parts, self._parts_bytes = [], 0
        return Message(self._received_ns, payload)

    def _read(self) -> bytes:
        while not self._stopping:
            try:
                chunk: bytes = self._socket.recv(CHUNK_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._wait()
                continue
            except OSError as error:
                raise SessionOver("lost", _os_words(error)) from error
            if not chunk:
                raise SessionOver("lost", "the exchange ended the connection without a goodbye")
            self._received_ns = self._clock.wall_ns()
            return chunk
        raise Waited

    def _wait(self) -> None:
        left_s = self._deadline_s - self._clock.monotonic_s()
        ready = self._selector.select(max(left_s, 0.0))
        if not any(key.fileobj is self._socket for key, _ in ready):
            raise Waited

    def _send(self, payload: bytes, opcode: int) -> None:
        try:
            self._socket.settimeout(SEND_TIMEOUT_S)
            self._connection.send(payload, opcode)
            self._socket.setblocking(False)
        except (OSError, websocket.WebSocketException) as error:
            raise SessionOver("lost", f"a command could not be sent: {_os_words(error)}") from error


def connect(
    signed_url: str, push_url: str, secrets: tuple[str, ...], wake: Wake, clock: Clock, connect_s: float, bytes_max: int
) -> Transport:
    """Open a connection.

    Args:
        signed_url: where to connect; it carries the key and the signature and is never shown.
        push_url: the same without them, for messages.
        secrets: what must not appear in a message, should the exchange echo it.
        wake: ends the transport's waits.
        clock: of the transport.
        connect_s: the limit of each step.
        bytes_max: the size limit of a message.

    Raises:
        Unreachable, Refused, Unavailable: with one sentence that says what to do.
    """
    try:
        connection = websocket.create_connection(
            signed_url,
            timeout=connect_s,
            skip_utf8_validation=True,
            enable_multithread=False,  # one thread owns the connection: its locks would be taken for every frame
            redirect_limit=0,  # a signed address is for the host it was signed for
            suppress_origin=True,
        )
    except websocket.WebSocketBadStatusException as error:
        body = error.resp_body or b""
        headers = {name.lower(): value for name, value in (error.resp_headers or {}).items()}
        raise refused_by_status(push_url, error.status_code, body, headers, secrets) from None
    except ssl.SSLError as error:
        raise Unreachable(
            f"{push_url} cannot be trusted: {_os_words(error)}; check the address and the clock."
        ) from None
    except (OSError, websocket.WebSocketException, ValueError) as error:
        words = scrubbed(_os_words(error), secrets)
        raise Unreachable(f"{push_url} cannot be reached: {words}; check the address and the network.") from None
    return Transport(connection, wake, clock, bytes_max)


def refused_by_status(
    url: str, status: int, body: bytes, headers: dict[str, Any], secrets: tuple[str, ...]
) -> VenueError:
    """What an HTTP status other than success means for the run."""
    words = scrubbed(body.decode("utf-8", "replace").strip()[:WORDS_MAX], secrets)
    said = f"HTTP {status} {words}".strip()
    if status in UNAUTHORIZED:
        return Refused(f"{url} refused the key, its signature or the time: {said}; check key, secret and this clock.")
    if status in ASKED_TO_WAIT:
        return Unavailable(f"{url} asks to be left alone for now: {said}.", retry_after_s=_seconds(headers))
    return Unreachable(f"{url} does not answer as this venue does: {said}; check the address.")


def scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    """A text without anything secret, whoever put it there."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _seconds(headers: dict[str, Any]) -> float:
    """`Retry-After` (RFC 9110, section 10.2.3), its form in seconds."""
    text = str(headers.get("retry-after", "")).strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _close_words(data: bytes) -> str:
    """Status code and reason of a close frame (RFC 6455, section 5.5.1)."""
    if len(data) < 2:
        return "no status"
    return f"{int.from_bytes(data[:2], 'big')} {data[2:].decode('utf-8', 'replace')[:WORDS_MAX]}".strip()


def _os_words(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "the host's name is not known"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:WORDS_MAX] or type(error).__name__
