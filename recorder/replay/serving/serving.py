"""Serves a record in a thread of its own, for the command, tests and your own programs."""

from collections.abc import Callable

from recorder.model import host_port
from recorder.read.record import Record
from recorder.replay.serving.portal import ReplayPortal, ServingOptions, ServingStatus
from recorder.wire.thread import ServerThread, Startable


class Serving(Startable):
    """Serves a record, as a context manager. Safe to use from any thread.

    Args:
        url: database URL of the record.
        options: what to serve of it, and how.

    Raises:
        DatabaseError: the record does not exist or cannot be opened.
    """

    def __init__(self, url: str, options: ServingOptions | None = None) -> None:
        self.options = options or ServingOptions()
        self._record = Record(url)
        self._running = ServerThread("serving", self._make)

    def start(self) -> None:
        """Start listening; clients can connect when this returns. Can be called once only.

        Raises:
            OSError: it cannot listen on this address.
            ConfigurationError: the record does not contain what the options ask for.
            Incomplete: it has gaps, and the options require it to be complete.
        """
        self._running.start()

    def close(self) -> None:
        """Close all connections and stop; does nothing if already stopped.

        Raises:
            Exception: a failure of the server that no other call has raised.
        """
        try:
            self._running.close()
        finally:
            self._record.close()

    @property
    def url(self) -> str:
        """The HTTP address; the push portal's follows from it."""
        return f"http://{host_port(self.options.host, self._running.server.port)}"

    @property
    def accounts(self) -> list[str]:
        """The names of the served accounts, which are their API keys."""
        return self._running.server.accounts

    @property
    def keys(self) -> list[str]:
        """The API keys of the served accounts: their names and, where the exchange's keys are public, these too."""
        return self._running.server.keys

    def status(self) -> ServingStatus:
        """The current state."""
        return self._running.call(self._running.server.status)

    def wait_finished(self, clients: int = 1, timeout_s: float | None = None) -> None:
        """Wait until this many connected clients have been sent everything.

        Raises:
            TimeoutError: they have not after `timeout_s` seconds.
        """
        self._running.wait(lambda: self._running.server.finished >= clients, timeout_s, "the end of the record")

    def _make(self, on_change: Callable[[], None]) -> ReplayPortal:
        return ReplayPortal(self._record, self.options, on_change)
