"""A server in a thread of its own, and how it ends."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from recorder.wire.thread import ServerThread

PATIENCE_S = 10.0


class Slow:
    """A server that takes its time to be made."""

    def __init__(self, made: threading.Event, ended: threading.Event) -> None:
        self._stop = asyncio.Event()
        self._ended = ended
        made.wait(PATIENCE_S)

    async def run(self, on_ready: Callable[[], None]) -> None:
        on_ready()
        await self._stop.wait()
        self._ended.set()

    def stop(self) -> None:
        self._stop.set()


def test_a_start_that_is_broken_off_ends_at_once_and_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made, ended = threading.Event(), threading.Event()
    running: ServerThread[Slow] = ServerThread("slow", lambda _: Slow(made, ended))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        running.start()
    began_s = time.monotonic()
    running.close()
    assert time.monotonic() - began_s < PATIENCE_S / 2
    made.set()
    assert ended.wait(PATIENCE_S)
