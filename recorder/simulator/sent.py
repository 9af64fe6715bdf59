"""The simulator's own record of what it sent, against which a recorder can be checked."""

import base64
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

#: A push of the exchange; a raw frame sent by a test; an answer (hello, topics, ping, errors).
Kind = Literal["push", "raw", "answer"]


class Sent(NamedTuple):
    """One frame sent. It was handed to the socket; a connection that broke may still have lost it."""

    #: Number of the connection, from 1 in the order they came.
    connection: int
    kind: Kind
    payload: bytes
    #: Nanoseconds since 1970.
    sent_ns: int


class SentLog:
    """Notes frames before they go out, so that nothing can arrive that is not noted.

    Args:
        path: a file to write as well, a line a frame: connection, kind, base64; None for none.
        keep: whether to keep all frames in memory.
    """

    def __init__(self, path: Path | None, *, keep: bool) -> None:
        self.frames: list[Sent] = []
        self._keep = keep
        self._file: BinaryIO | None = path.open("wb") if path else None

    def note(self, connection: int, kind: Kind, payloads: Sequence[bytes]) -> None:
        """Note frames about to be sent."""
        if self._keep:
            now_ns = time.time_ns()
            self.frames.extend([Sent(connection, kind, payload, now_ns) for payload in payloads])
        if self._file:
            head = f"{connection} {kind} ".encode()
            self._file.write(b"".join([head + base64.b64encode(payload) + b"\n" for payload in payloads]))
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None
