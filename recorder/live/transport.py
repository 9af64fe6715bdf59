"""One WebSocket connection: bytes in, complete messages out. The only file that touches a socket of the push portal.

Handshake and frame parser are websocket-client's, with three differences from its defaults. Bytes are read 64 KiB at a
time and without validating UTF-8, which the decoder does; in pure Python it would cost more than everything else. A
whole text that has been read is cut out directly. And the socket never blocks: there is one place that waits, and a
stop wakes it.
"""

import selectors
import socket
import ssl
from collections.abc import Callable
from http.cookies import CookieError
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import websocket
from websocket import ABNF

from recorder.clock import Clock
from recorder.errors import SessionOver, Unreachable
from recorder.live.http import HttpAnswer, cut_off, presentable, venue_error
from recorder.live.wake import Wake
from recorder.model import new
from recorder.venues.base import Venue

#: The most read from the socket at a time.
CHUNK_BYTES = 65_536
#: Connecting as a whole may take so many times as long as one step: addresses that are dead, a proxy, TLS, the upgrade.
CONNECT_STEPS = 6
#: Commands are small: if the kernel does not take one within this time, the connection is dead.
SEND_TIMEOUT_S = 5.0
#: The most that a control frame (close, ping, pong) may carry (RFC 6455, section 5.5).
CONTROL_BYTES_MAX = 125
CONTROL_OPCODES = {ABNF.OPCODE_CLOSE, ABNF.OPCODE_PING, ABNF.OPCODE_PONG}


class Message(NamedTuple):
    """A complete message and when it was received."""

    #: When the bytes that completed it left the socket.
    received_ns: int
    payload: bytes


class Waited(Exception):
    """Nothing came before the deadline, or a stop ended the wait. Not an error."""


#: First byte of a whole text frame (RFC 6455, section 5.2).
_WHOLE_TEXT = 0x80 | ABNF.OPCODE_TEXT
#: A second byte below it is the length; it is followed by two bytes of length if equal to it.
_LENGTH_16 = 126


class _Buffer(websocket._abnf.frame_buffer):
    """The library's frame parser over a buffer of our own. An interrupted parse continues where it was.

    The ordinary frame, a whole text that is already in the buffer, does not need the library's parser, which takes four
    times as long.
    """

    def __init__(self, read: Callable[[], bytes], bytes_max: int) -> None:
        super().__init__(lambda _size: b"", skip_utf8_validation=True)
        self._read = read
        self._bytes_max = bytes_max
        self._bytes = b""
        self._at = 0

    def whole_text(self) -> bytes | None:
        """Take the next frame if it is a whole, unmasked text and in the buffer; otherwise take nothing."""
        data, at = self._bytes, self._at
        if len(data) - at < 4 or data[at] != _WHOLE_TEXT or self.header is not None:
            return None
        size, begin = data[at + 1], at + 2
        if size == _LENGTH_16:
            size, begin = data[at + 2] << 8 | data[at + 3], at + 4
        elif size > _LENGTH_16:
            return None
        end = begin + size
        if end > len(data) or size > self._bytes_max:
            return None
        self._at = end
        return data[begin:end]

    def recv_strict(self, bufsize: int) -> bytes:
        end = self._at + bufsize
        if end > len(self._bytes) or bufsize > self._bytes_max:
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
        connection: websocket-client's connection, after the handshake.
        wake: ends `receive` early.
        clock: stamps messages, measures waits.
        message_bytes_max: a larger message ends the session.
        secrets: masked in messages, in case the exchange echoes them.

    Attributes:
        secrets: likewise; more may become known while the connection lives.
        on_pong: called with the payload of each pong and its time of receipt, after all messages before it were
            returned.
        pinged_s: when the last ping or pong of the WebSocket protocol came, on the monotonic clock.
    """

    def __init__(
        self,
        connection: websocket.WebSocket,
        wake: Wake,
        clock: Clock,
        message_bytes_max: int,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self._connection = connection
        assert connection.sock is not None
        self._socket = connection.sock
        self._socket.setblocking(False)
        self._clock = clock
        self._bytes_max = message_bytes_max
        self._buffer = _Buffer(self._read, message_bytes_max)
        self.secrets = secrets
        self.on_pong: Callable[[bytes, int], None] = lambda _payload, _received_ns: None
        self._partial: bytearray | None = None  # the first fragments of a message
        self._deadline_s = 0.0
        self._stopping = False
        self._over = False
        #: Why the connection is lost, if a pong could not be sent: messages received before are still returned.
        self._unsendable: SessionOver | None = None
        self.pinged_s = clock.monotonic_s()
        self._received_ns = clock.wall_ns()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(wake, selectors.EVENT_READ)

    def receive(self, until_s: float) -> Message:
        """Return the next message.

        Args:
            until_s: the deadline, on the monotonic clock.

        Raises:
            Waited: none came in time, or `wake` was set.
            SessionOver: the connection is lost, or the exchange broke the protocol.
        """
        self._deadline_s = until_s
        if self._partial is None:
            text = self._buffer.whole_text()
            if text is not None:
                return new(Message, (self._received_ns, text))
        try:
            while True:
                frame: Any = self._buffer.recv_frame()  # the library's types allow text in a received frame
                if frame.opcode == ABNF.OPCODE_TEXT and frame.fin and self._partial is None:
                    return Message(self._received_ns, frame.data)
                message = self._special(frame)
                if message is not None:
                    return message
                self._check_deadline()
        except SessionOver:
            self._over = True
            raise
        except websocket.WebSocketException as error:
            self._over = True
            raise SessionOver("protocol error", presentable(str(error), self.secrets)) from error

    def received_already(self) -> list[Message]:
        """Return the complete messages already read from the socket, which is not used again.

        After `receive` raised `SessionOver` there are none: what follows on a broken connection proves nothing.
        """
        self._stopping = True
        messages: list[Message] = []
        try:
            while not self._over:
                messages.append(self.receive(0.0))
        except (Waited, SessionOver):
            pass
        return messages

    def send(self, command: bytes) -> None:
        """Send one text message.

        Raises:
            SessionOver: the connection is lost.
        """
        self._send(command, ABNF.OPCODE_TEXT)

    def ping(self, payload: bytes) -> None:
        """Send a ping of the WebSocket protocol (RFC 6455, section 5.5.2). The pong repeats its payload.

        Raises:
            SessionOver: the connection is lost.
        """
        self._send(payload, ABNF.OPCODE_PING)

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._socket.fileno()

    def close(self) -> None:
        """Send a close frame if possible, and close the socket. Never raises, never waits."""
        self._selector.close()
        try:
            self._socket.setblocking(False)  # a command that could not be sent has left it blocking
            self._connection.send_close()
        except (OSError, websocket.WebSocketException):
            pass  # the connection is already lost
        self._connection.shutdown()  # type: ignore[no-untyped-call]

    def _special(self, frame: Any) -> Message | None:
        """Take a frame that is not a complete text message. Returns the message that it completes, if any."""
        if frame.opcode in CONTROL_OPCODES:
            self._control(frame)
            return None
        if (frame.opcode == ABNF.OPCODE_CONT) != (self._partial is not None):
            raise SessionOver("protocol error", "an unexpected fragment")
        partial = self._partial = self._partial if self._partial is not None else bytearray()
        partial += frame.data
        if len(partial) > self._bytes_max:
            raise SessionOver("frame too large", f"a message of more than {self._bytes_max} bytes, in fragments")
        if not frame.fin:
            return None
        self._partial = None
        return Message(self._received_ns, bytes(partial))

    def _control(self, frame: Any) -> None:
        if len(frame.data) > CONTROL_BYTES_MAX:
            raise SessionOver("protocol error", f"a control frame of {len(frame.data)} bytes")
        if frame.opcode == ABNF.OPCODE_CLOSE:
            raise SessionOver("closed", presentable(_close_text(frame.data), self.secrets))
        self.pinged_s = self._clock.monotonic_s()
        if frame.opcode == ABNF.OPCODE_PONG:
            self.on_pong(bytes(frame.data), self._received_ns)
        if frame.opcode == ABNF.OPCODE_PING and not self._stopping and self._unsendable is None:
            try:
                self._send(frame.data, ABNF.OPCODE_PONG)
            except SessionOver as over:
                self._unsendable = over  # raised once the messages after the ping have been taken

    def _check_deadline(self) -> None:
        """Notice the deadline or a stop even in a flood of frames that complete no message."""
        if self._stopping:
            return
        woken = any(key.fileobj is not self._socket for key, _ in self._selector.select(0))
        if woken or self._clock.monotonic_s() >= self._deadline_s:
            raise Waited

    def _read(self) -> bytes:
        while not self._stopping:
            if self._unsendable is not None:
                raise self._unsendable
            try:
                chunk: bytes = self._socket.recv(CHUNK_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._wait()
                continue
            except OSError as error:
                raise SessionOver("lost", _error_text(error)) from error
            if not chunk:
                raise SessionOver("lost", "the exchange ended the connection without a close frame")
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
            raise SessionOver("lost", f"a command could not be sent: {_error_text(error)}") from error


def connect(
    signed_url: str,
    push_url: str,
    secrets: tuple[str, ...],
    venue: Venue,
    wake: Wake,
    clock: Clock,
    connect_s: float,
    bytes_max: int,
) -> Transport:
    """Open a connection.

    Args:
        signed_url: the address with key and signature; never shown.
        push_url: the address without them, for messages.
        secrets: masked in messages, in case the exchange echoes them.
        venue: says what an HTTP answer other than success means.
        wake: ends the transport's waits.
        clock: of the transport.
        connect_s: the time limit of each step; that of all of them is `CONNECT_STEPS` times as long.
        bytes_max: the size limit of a message.

    Raises:
        Unreachable, Refused, Unavailable: one sentence says what to do.
    """
    # The signature is only in the address.
    signed = (value for _, value in parse_qsl(signed_url.partition("?")[2]))
    hidden = (*secrets, *(value for value in signed if not value.isdigit() and value not in push_url))
    # One thread owns the connection: no lock for each frame.
    connection = websocket.WebSocket(skip_utf8_validation=True, enable_multithread=False)
    connection.settimeout(connect_s)
    whole_s = CONNECT_STEPS * connect_s
    try:
        with cut_off(whole_s, lambda: connection.sock) as is_late:
            # No redirect: the signature is only for the host it was made for.
            connection.connect(signed_url, redirect_limit=0, suppress_origin=True)  # type: ignore[no-untyped-call]
        if is_late.is_set():
            connection.shutdown()  # type: ignore[no-untyped-call]
            raise TimeoutError
    except websocket.WebSocketBadStatusException as error:
        headers = {name.lower(): value for name, value in (error.resp_headers or {}).items()}
        answer = HttpAnswer(error.status_code, headers, error.resp_body or b"")
        raise venue_error(venue, push_url, answer, hidden, clock.wall_ms()) from None
    except ssl.SSLError as error:
        why = presentable(_error_text(error), hidden)
        raise Unreachable(f"{push_url} cannot be trusted: {why}; check the address and the clock.") from None
    except (OSError, websocket.WebSocketException, ValueError, CookieError) as error:
        if is_late.is_set():
            raise Unreachable(f"{push_url} did not answer within {whole_s:g} s; check the network.") from None
        why = presentable(_error_text(error), hidden)
        raise Unreachable(f"{push_url} cannot be reached: {why}; check the address and the network.") from None
    return Transport(connection, wake, clock, bytes_max, hidden)


def _close_text(data: bytes) -> str:
    """Status code and reason of a close frame (RFC 6455, section 5.5.1)."""
    if len(data) < 2:
        return "no status"
    return f"{int.from_bytes(data[:2], 'big')} {data[2:].decode('utf-8', 'replace')}"


def _error_text(error: Exception) -> str:
    if isinstance(error, socket.gaierror | websocket.WebSocketAddressException):
        return "the host name is not known"
    if isinstance(error, CookieError):
        return "it sent a cookie that cannot be read"  # the error text may contain a part of a secret
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
