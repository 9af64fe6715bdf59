"""A WebSocket text frame as bytes (RFC 6455, section 5.2): whole, unmasked, as servers send them.

Made here and not by the library, so that hundreds can go out in one write, a frame can stop half-way, and text need not
be UTF-8.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from recorder.venues.stand_in import Conversation


def text_frame(payload: bytes) -> bytes:
    """One unfragmented text frame of any bytes."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


#: How long a client may take over its half of a goodbye, seconds.
GOODBYE_S = 0.2


class PushClient:
    """A connected client.

    Args:
        number: of the connection, from 1.
        connection: the library's.
        conversation: what is known of the client.
    """

    def __init__(self, number: int, connection: ServerConnection, conversation: Conversation) -> None:
        self.number = number
        self.conversation = conversation
        #: Has topics, and they have come to rest.
        self.settled = False
        self.connection = connection

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands, dead or alive."""
        return self.connection.state is State.OPEN and not self.connection.transport.is_closing()

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return self.is_connected

    @property
    def waiting_bytes(self) -> int:
        """What has been sent and not been taken by the kernel yet."""
        return self.connection.transport.get_write_buffer_size()

    def keep_on_way(self, size_bytes: int) -> None:
        """Let the kernel hold about so much of what has been sent: what a client takes of more is seen soon."""
        sock = self.connection.transport.get_extra_info("socket")
        if sock is not None and not self.connection.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size_bytes)

    def answer(self, payload: bytes) -> None:
        """Send what a client is answered."""
        self.write([payload])

    def write(self, payloads: Sequence[bytes]) -> bool:
        """Hand frames to the socket in one write; nothing, and False, where nothing can be sent."""
        if not self.is_open:
            return False
        if payloads:
            self.connection.transport.write(b"".join([text_frame(payload) for payload in payloads]))
        return True

    async def drain(self) -> None:
        """Wait until the kernel has taken everything, or the line is dead."""
        if self.is_open:
            with suppress(OSError):  # the connection broke: its own handler sees to that
                await self.connection.drain()

    def reset(self) -> None:
        """End the connection with a TCP reset, no goodbye; what the client has not read is lost."""
        transport = self.connection.transport
        sock = transport.get_extra_info("socket")
        if sock is not None and not transport.is_closing():
            # Linger for zero seconds: the kernel answers with RST in place of FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    async def goodbye(self, code: int, reason: str) -> None:
        """Close politely; a client that takes no part in it is cut off."""
        if self.is_open:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self.connection.close(code, reason)
        self.connection.transport.abort()
