"""A record that is served, in a thread of its own: what the command, tests and your own programs hold in hand."""

from collections.abc import Callable

from recorder.model import host_port
from recorder.read.record import Record
from recorder.replay.serving.options import ServingOptions
from recorder.replay.serving.portal import ReplayPortal, ServingStatus
from recorder.wire.thread import ServerThread, Startable


class Serving(Startable):
    """Serves a record, as a context manager. Safe to use from any thread.

    Args:
        url: of the record's database.
        options: what of it, and how.

    Raises:
        DatabaseError: there is no such record.
    """

    def __init__(self, url: str, options: ServingOptions | None = None) -> None:
        self.options = options or ServingOptions()
        self._record = Record(url)
        self._running = ServerThread("serving", self._make)

    def start(self) -> None:
        """Begin to listen; clients can connect when this returns. Once only.

        Raises:
            OSError: the address cannot be listened on.
            ConfigurationError: the record does not have what is to be served.
            Incomplete: it has gaps, and none are wanted.
        """
        self._running.start()

    def close(self) -> None:
        """Say goodbye to all clients and stop; nothing where it is stopped already.

        Raises:
            Whatever went wrong in it and was not raised by another call.
        """
        try:
            self._running.close()
        finally:
            self._record.close()

    @property
    def url(self) -> str:
        """The http address; the push portal's follows from it."""
        return f"http://{host_port(self.options.host, self._running.server.port)}"

    @property
    def accounts(self) -> list[str]:
        """What is served, by name: the names are the keys."""
        return self._running.server.accounts

    def status(self) -> ServingStatus:
        """How it does just now."""
        return self._running.call(self._running.server.status)

    def wait_finished(self, clients: int = 1, timeout_s: float | None = None) -> None:
        """Wait until so many connected clients have been pushed all there is.

        Raises:
            TimeoutError: they were not in that time.
        """
        self._running.wait(lambda: self._running.server.finished >= clients, timeout_s, "the end of the record")

    def _make(self, on_change: Callable[[], None]) -> ReplayPortal:
        return ReplayPortal(self._record, self.options, on_change)
