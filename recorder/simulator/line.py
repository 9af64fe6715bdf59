"""A client of the simulated exchange: what it is sent is noted, and it can be treated rudely."""

from collections.abc import Sequence

from websockets.asyncio.server import ServerConnection

from recorder.simulator.sent import Kind, SentLog
from recorder.venues.stand_in import Conversation
from recorder.wire.line import Line
from recorder.wire.text_frame import text_frame


class LoggedLine(Line):
    """A connected client.

    Args:
        number: of the connection, from 1.
        connection: the library's.
        conversation: what is known of the client.
        log: where to note what is sent.
    """

    def __init__(self, number: int, connection: ServerConnection, conversation: Conversation, log: SentLog) -> None:
        super().__init__(number, connection, conversation)
        #: Dead in all but name: nothing is read, answered or sent any more.
        self.stalled = False
        self._log = log

    @property
    def is_open(self) -> bool:
        """Whether anything can be sent."""
        return super().is_open and not self.stalled

    def answer(self, payload: bytes) -> None:
        """Send what a client is answered."""
        self.send("answer", [payload])

    def send(self, kind: Kind, payloads: Sequence[bytes], numbers: Sequence[int] = ()) -> bool:
        """Note frames and hand them to the socket in one write; nothing, and False, where the line is dead.

        Args:
            kind: of all of them.
            payloads: theirs.
            numbers: of pushes, one each.
        """
        if payloads and self.is_open:
            self._log.note(self.number, kind, payloads, numbers)
        return self.write(payloads)

    def stall(self, payload: bytes | None) -> None:
        """Send the first half of a frame, if given, and nothing ever after; nor read anything."""
        if payload is not None and self.is_open:
            frame = text_frame(payload)
            self.connection.transport.write(frame[: len(frame) // 2])
        self.stalled = True
        self.connection.transport.pause_reading()
