"""One client's connection, as the portal holds it: its session, its socket, and what it takes to be rude to it."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from recorder.simulator.sent import Kind, SentLog
from recorder.simulator.session import Session
from recorder.simulator.wire import text_frame

#: How long a client may take over its half of a goodbye, seconds.
GOODBYE_S = 0.2


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
        #: Dead in all but name: nothing is read, answered or sent any more.
        self.stalled = False
        self._connection = connection
        self._log = log

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands, dead or alive."""
        return self._connection.state is State.OPEN and not self._connection.transport.is_closing()

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return self.is_connected and not self.stalled

    def send(self, kind: Kind, payloads: Sequence[bytes], numbers: Sequence[int] = ()) -> bool:
        """Note frames and hand them to the socket in one write; nothing, and False, where the line is dead.

        Args:
            kind: of all of them.
            payloads: theirs.
            numbers: of pushes, one each.
        """
        if not self.is_open:
            return False
        if payloads:
            self._log.note(self.number, kind, payloads, numbers)
            self._connection.transport.write(b"".join([text_frame(payload) for payload in payloads]))
        return True

    async def drain(self) -> None:
        """Wait until the kernel has taken everything, or the line is dead."""
        if self.is_open:
            with suppress(OSError):  # the connection broke: its own handler sees to that
                await self._connection.drain()

    def stall(self, payload: bytes | None) -> None:
        """Send the first half of a frame, if given, and nothing ever after; nor read anything."""
        if payload is not None and self.is_open:
            frame = text_frame(payload)
            self._connection.transport.write(frame[: len(frame) // 2])
        self.stalled = True
        self._connection.transport.pause_reading()

    def reset(self) -> None:
        """End the connection with a TCP reset, no goodbye; what the client has not read is lost."""
        transport = self._connection.transport
        sock = transport.get_extra_info("socket")
        if sock is not None and not transport.is_closing():
            # Linger for zero seconds: the kernel answers with RST in place of FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    async def goodbye(self, code: int, reason: str) -> None:
        """Close politely; a client that is stalled, or takes no part in it, is cut off."""
        if not self.stalled:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._connection.close(code, reason)
        self._connection.transport.abort()
