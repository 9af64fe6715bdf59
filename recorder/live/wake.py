"""Waking a thread that waits for a socket, from another thread or from a signal handler."""

import selectors
import signal
import socket
from contextlib import suppress


class Wake:
    """A flag that stays set until it is cleared; a socket pair, so that one wait can cover it and other sockets.

    Unlike a `threading.Event`, a signal handler may set it: the event's own lock could be held by the main thread.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._on_signals = False

    def fileno(self) -> int:
        """The descriptor that is readable once the flag is set."""
        return self._reader.fileno()

    def set(self) -> None:
        """End this and every later wait."""
        # Full: it is set already. Closed: nothing waits any more.
        with suppress(OSError):
            self._writer.send(b"!")

    def clear(self) -> None:
        """Reset the flag. Whoever clears it then checks what it was set for."""
        with suppress(OSError):
            while self._reader.recv(64, socket.MSG_DONTWAIT):
                pass

    def set_on_signals(self) -> None:
        """Let every signal that has a handler set the flag. For the main thread; one `Wake` at a time.

        The kernel may deliver a signal to any thread, and Python runs the handler only when the main thread next runs:
        a wait would not end.
        """
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._on_signals = True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the flag is set, at most this long; None: without limit. Returns whether it is set."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            return bool(selector.select(None if timeout_s is None else max(timeout_s, 0.0)))

    def close(self) -> None:
        """Close the sockets."""
        if self._on_signals:
            signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()
