"""Waking a thread that waits for a socket, from another thread or from a signal handler."""

import selectors
import signal
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
        self._on_signals = False

    def fileno(self) -> int:
        """Readable once set."""
        return self._reader.fileno()

    def set(self) -> None:
        """Wake whoever waits, now and ever after."""
        # Full means that it is set already; closed, that nobody waits any more.
        with suppress(OSError):
            self._writer.send(b"!")

    def set_on_signals(self) -> None:
        """Be set by every signal that has a handler, until it is closed. In the main thread; one at a time.

        The kernel may give a signal to any thread, and Python runs the handler in the main one, when that next does
        something: without this it would sleep on.
        """
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._on_signals = True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is set, at most so long. Returns whether it is."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            return bool(selector.select(None if timeout_s is None else max(timeout_s, 0.0)))

    def close(self) -> None:
        """Give the sockets back."""
        if self._on_signals:
            signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()
