"""A server in a thread of its own, for whoever has no event loop."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

T = TypeVar("T")

#: How long a call into the server's thread, or its end, may take, seconds: far longer than either should.
CALL_S = 10.0


class Startable(ABC):
    """What is started and closed, and as a context manager both."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def start(self) -> None:
        """Begin."""

    @abstractmethod
    def close(self) -> None:
        """End."""


class ThreadedServer(Protocol):
    """What is run."""

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until stopped."""
        ...

    def stop(self) -> None:
        """Let `run` end. In its event loop."""
        ...


S = TypeVar("S", bound=ThreadedServer)


class ServerThread(Generic[S]):
    """Runs a server. Safe to use from any thread.

    An error of the server's own ends it, and is raised by whatever is called next.

    Args:
        name: of the thread, and in messages: "the simulator".
        make: makes the server, in its event loop; is given what wakes those who `wait`.
    """

    def __init__(self, name: str, make: Callable[[Callable[[], None]], S]) -> None:
        #: Once started.
        self.server: S
        self._name = name
        self._make = make
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._ready = False
        self._closing = False
        self._over = False
        self._error: BaseException | None = None

    def require_new(self) -> None:
        """Raise where it has been started before."""
        if self._thread or self._over:
            raise RuntimeError(f"a {self._name} starts once; make a new one")

    def start(self) -> None:
        """Begin to listen; clients can connect when this returns. Once only.

        Raises:
            OSError: the address cannot be listened on.
        """
        self.require_new()
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()
        self.wait(lambda: self._ready, None, "listening")

    def close(self) -> None:
        """Stop; nothing where it is stopped already.

        Raises:
            Whatever went wrong in the server and was not raised by another call.
        """
        if self._thread is None:
            return
        self._closing = True
        if not (self._ready or self._over):
            return  # its start was broken off: nobody has come to it yet, and it ends by itself once it is made
        if not self._over:
            with suppress(RuntimeError):  # it ended just now
                self._loop.call_soon_threadsafe(self.server.stop)
        self._thread.join(CALL_S)
        if self._thread.is_alive():
            raise RuntimeError(f"the {self._name} does not stop")
        self._thread = None
        self._raise_error()

    def wait(self, done: Callable[[], bool], timeout_s: float | None, what: str) -> None:
        """Wait until it is so; looked at whenever the server says that something changed.

        Raises:
            TimeoutError: it was not in that time.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over or done(), timeout_s)
        self._raise_error()
        if not done():
            if self._over:
                raise RuntimeError(f"the {self._name} is closed")
            raise TimeoutError(f"waited {timeout_s} s for {what}")

    def call(self, do: Callable[[], T]) -> T:
        """Do something in the server's thread."""
        self._raise_error()
        result: Future[T] = Future()

        def work() -> None:
            try:
                result.set_result(do())
            except BaseException as error:  # noqa: BLE001 - raised where it was called for
                result.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:
            raise RuntimeError(f"the {self._name} is closed") from self._error
        return result.result(CALL_S)

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised in the next call
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.server = self._make(self._notify)
        await self.server.run(self._note_ready)

    def _note_ready(self) -> None:
        self._ready = True
        if self._closing:
            self.server.stop()
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _raise_error(self) -> None:
        """Raise what ended the server, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error
