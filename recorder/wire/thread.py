"""Runs an asyncio server in a thread of its own, for callers without an event loop."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

T = TypeVar("T")

#: Time limit of a call into the server's thread and of stopping it, seconds: far longer than either should take.
CALL_S = 10.0


class Startable(ABC):
    """Something that is started and closed; as a context manager, both."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def start(self) -> None:
        """Start it."""

    @abstractmethod
    def close(self) -> None:
        """Stop it."""


class ThreadedServer(Protocol):
    """A server that `ServerThread` can run."""

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until stopped."""
        ...

    def stop(self) -> None:
        """Make `run` return. Called in its event loop."""
        ...


S = TypeVar("S", bound=ThreadedServer)


class ServerThread(Generic[S]):
    """Runs a server. Safe to use from any thread.

    An exception in the server stops it, and is raised by the next call.

    Args:
        name: name of the thread and in messages, such as "simulator".
        make: makes the server, in its event loop; its argument wakes all callers of `wait`.
    """

    def __init__(self, name: str, make: Callable[[Callable[[], None]], S]) -> None:
        #: The server, once started.
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
        """Raise `RuntimeError` if it has been started before."""
        if self._thread or self._over:
            raise RuntimeError(f"a {self._name} starts once; make a new one")

    def start(self) -> None:
        """Start listening; clients can connect when this returns. Can be called once only.

        Raises:
            OSError: it cannot listen on this address.
        """
        self.require_new()
        self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()
        self.wait(lambda: self._ready, None, "listening")

    def close(self) -> None:
        """Stop; does nothing if already stopped.

        Raises:
            Exception: a failure of the server that no other call has raised.
        """
        if self._thread is None:
            return
        self._closing = True
        if not (self._ready or self._over):
            return  # starting was interrupted: the server stops by itself once it is made
        if not self._over:
            with suppress(RuntimeError):  # it has just stopped
                self._loop.call_soon_threadsafe(self.server.stop)
        self._thread.join(CALL_S)
        if self._thread.is_alive():
            raise RuntimeError(f"the {self._name} does not stop")
        self._thread = None
        self._raise_error()

    def wait(self, done: Callable[[], bool], timeout_s: float | None, what: str) -> None:
        """Wait until a condition holds; it is checked whenever the server reports a change.

        Raises:
            TimeoutError: it does not hold after `timeout_s` seconds.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over or done(), timeout_s)
        self._raise_error()
        if not done():
            if self._over:
                raise RuntimeError(f"the {self._name} is closed")
            raise TimeoutError(f"waited {timeout_s} s for {what}")

    def call(self, do: Callable[[], T]) -> T:
        """Call a function in the server's thread and return its result."""
        self._raise_error()
        result: Future[T] = Future()

        def work() -> None:
            try:
                result.set_result(do())
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                result.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:
            raise RuntimeError(f"the {self._name} is closed") from self._error
        return result.result(CALL_S)

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised by the next call
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
        """Raise what stopped the server, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error
