"""A client of the push portal, and the frames it is sent.

Frames are made here instead of by the `websockets` library, so that hundreds can be sent in one write, a frame can stop
half-way, and its text need not be UTF-8.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from recorder.venues.stand_in import Conversation

#: A ping of the protocol, without data (RFC 6455, section 5.5.2).
PING_FRAME = b"\x89\x00"


def text_frame(payload: bytes) -> bytes:
    """An unmasked, unfragmented WebSocket text frame of any bytes (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


#: How long a client may take for its half of the closing handshake, seconds.
GOODBYE_S = 0.2


class PushClient:
    """A connected client.

    Args:
        number: number of the connection, from 1.
        connection: the `websockets` library's connection.
        conversation: the exchange's side of the protocol, with the client's subscriptions.
    """

    def __init__(self, number: int, connection: ServerConnection, conversation: Conversation) -> None:
        self.number = number
        self.conversation = conversation
        #: Whether its subscriptions are complete.
        self.settled = False
        self.connection = connection

    @property
    def subscriptions(self) -> frozenset[tuple[str, str]]:
        """Account and topic of each of its subscriptions."""
        conversation = self.conversation
        return frozenset((key, topic) for key in conversation.keys for topic in conversation.topics_of(key))

    @property
    def is_connected(self) -> bool:
        """Whether the connection is up, even if stalled."""
        return self.connection.state is State.OPEN and not self.connection.transport.is_closing()

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self.is_connected

    @property
    def waiting_bytes(self) -> int:
        """Bytes written that the kernel has not taken yet."""
        return self.connection.transport.get_write_buffer_size()

    def limit_kernel_buffer(self, size_bytes: int) -> None:
        """Let the kernel buffer about this much, so that a client that stops reading is noticed soon."""
        sock = self.connection.transport.get_extra_info("socket")
        if sock is not None and not self.connection.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size_bytes)

    def answer(self, payload: bytes) -> None:
        """Send the answer to a command."""
        self.write([payload])

    def write(self, payloads: Sequence[bytes]) -> bool:
        """Send frames in one write; returns False, without sending, if the client cannot be reached."""
        if not self.is_open:
            return False
        if payloads:
            self.connection.transport.write(b"".join([text_frame(payload) for payload in payloads]))
        return True

    def ping(self) -> None:
        """Send a ping of the WebSocket protocol."""
        if self.is_open:
            self.connection.transport.write(PING_FRAME)

    async def drain(self) -> None:
        """Wait until the kernel has taken everything, or the connection is gone."""
        if self.is_open:
            with suppress(OSError):  # the connection broke; its own handler notices
                await self.connection.drain()

    def reset(self) -> None:
        """End the connection with a TCP reset; frames the client has not read yet are lost."""
        transport = self.connection.transport
        sock = transport.get_extra_info("socket")
        if sock is not None and not transport.is_closing():
            # Lingering for zero seconds makes the kernel send RST instead of FIN.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    async def goodbye(self, code: int, reason: str) -> None:
        """Close with a closing handshake; a client that does not take part is cut off."""
        if self.is_open:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self.connection.close(code, reason)
        self.connection.transport.abort()
