"""Waking a thread that waits for a socket, from another thread or from a signal handler."""

import selectors
import socket
from contextlib import suppress


class Wake:
    """Set once, it stays set. A socket pair, so that it can be waited for beside other sockets.

    A signal handler may set it too; a `threading.Event` would deadlock there, when the signal comes while the main
    thread holds the event's own lock.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """Readable once set."""
        return self._reader.fileno()

    def set(self) -> None:
        """Wake whoever waits, now and ever after."""
        # Full means that it is set already; closed, that nobody waits any more.
        with suppress(OSError):
            self._writer.send(b"!")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is set, at most so long. Returns whether it is."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            return bool(selector.select(None if timeout_s is None else max(timeout_s, 0.0)))

    def close(self) -> None:
        """Give the sockets back."""
        self._reader.close()
        self._writer.close()
