"""The simulator's log of the frames it sent, to check a recorder against."""

import base64
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast

#: A push; a raw frame sent by a test; an answer (hello, topics, ping, error).
Kind = Literal["push", "raw", "answer"]

#: The `connection` of a push that went to no client.
NOBODY = 0


class Sent(NamedTuple):
    """One frame handed to the socket; if the connection broke, it may not have arrived."""

    #: Number of the connection, from 1 in order of arrival; `NOBODY` for a push that went to no client.
    connection: int
    kind: Kind
    payload: bytes
    #: Nanoseconds since 1970.
    sent_ns: int
    #: Number of a push among all pushes, the same on every connection it went to; 0 for other frames.
    number: int = 0


class SentLog:
    """Logs frames before they are sent, so that no frame can arrive that is not logged.

    Args:
        path: file to write, one line per frame: connection, kind, number, time, payload in base64; None for no file.
        keep: whether to keep all frames in memory.
    """

    def __init__(self, path: Path | None, *, keep: bool) -> None:
        self.frames: list[Sent] = []
        self._keep = keep
        self._file: BinaryIO | None = path.open("wb") if path else None
        self._numbered = 0

    def numbers(self, count: int) -> range:
        """Numbers for the next pushes."""
        first = self._numbered + 1
        self._numbered += count
        return range(first, first + count)

    def note(self, connection: int, kind: Kind, payloads: Sequence[bytes], numbers: Sequence[int] = ()) -> None:
        """Log frames about to be sent; each push has a number."""
        if not self._keep and not self._file:
            return
        now_ns = time.time_ns()
        numbers = numbers or (0,) * len(payloads)
        numbered = zip(payloads, numbers, strict=True)
        frames = [Sent(connection, kind, payload, now_ns, number) for payload, number in numbered]
        if self._keep:
            self.frames.extend(frames)
        if self._file:
            self._file.write(b"".join([_line(frame) for frame in frames]))
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None


def read_sent_log(path: Path) -> Iterator[Sent]:
    """The frames in a file; an incomplete last line, left by a simulator that was killed, is skipped."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                connection, kind, number, sent_ns, payload = line[:-1].split(b" ")
                yield Sent(
                    int(connection), cast(Kind, kind.decode()), base64.b64decode(payload), int(sent_ns), int(number)
                )


def _line(sent: Sent) -> bytes:
    head = f"{sent.connection} {sent.kind} {sent.number} {sent.sent_ns} "
    return head.encode() + base64.b64encode(sent.payload) + b"\n"
