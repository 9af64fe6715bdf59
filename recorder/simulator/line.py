"""One client's connection, as the portal holds it: its session, its socket, and what it takes to be rude to it."""

import socket
import struct
from collections.abc import Sequence

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from recorder.simulator.sent import Kind, SentLog
from recorder.simulator.session import Session
from recorder.simulator.wire import text_frame


class Line:
    """A connected client.

    Args:
        number: of the connection, from 1.
        connection: the library's.
        session: what is known of the client.
        log: where to note what is sent.
    """

    def __init__(self, number: int, connection: ServerConnection, session: Session, log: SentLog) -> None:
        self.number = number
        self.session = session
        #: Has topics, and its commands have come to rest.
        self.settled = False
        #: Dead in all but name: nothing is sent or answered any more.
        self.stalled = False
        self._connection = connection
        self._log = log

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        connection = self._connection
        return connection.state is State.OPEN and not connection.transport.is_closing() and not self.stalled

    def send(self, kind: Kind, payloads: Sequence[bytes]) -> None:
        """Note frames and hand them to the socket in one write; nothing where the line is closed or stalled."""
        if payloads and self.is_open:
            self._log.note(self.number, kind, payloads)
            self._connection.transport.write(b"".join([text_frame(payload) for payload in payloads]))

    async def drain(self) -> None:
        """Wait until the client has read enough for more to be sent."""
        if self.is_open:
            await self._connection.drain()

    def stall(self, payload: bytes | None) -> None:
        """Send the head of a frame and half of what it announces, if given, and nothing ever after."""
        if payload is not None and self.is_open:
            frame = text_frame(payload)
            self._connection.transport.write(frame[: len(frame) // 2])
        self.stalled = True

    def reset(self) -> None:
        """End the connection with a TCP reset, no goodbye; what the client has not read is lost."""
        transport = self._connection.transport
        sock = transport.get_extra_info("socket")
        if sock is not None and not transport.is_closing():
            # Linger for zero seconds: the kernel answers with RST in place of FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
