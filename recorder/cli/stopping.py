"""Signals: the first asks for an orderly end, the second ends at once."""

import os
import signal
from types import FrameType

from recorder.live.wake import Wake

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Turns SIGTERM and SIGINT into a request. Install it in the main thread, before anything is started.

    Attributes:
        received: the name of the first signal, once it came.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._wake: Wake | None = None
        for number in STOPPING:
            signal.signal(number, self._handle)

    def wakes(self, wake: Wake) -> None:
        """From now on, set this; until now, a signal ended the program, for there was nothing to save."""
        self._wake = wake
        wake.set_on_signals()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self.received = signal.Signals(number).name
        if self._wake is None:
            raise SystemExit(0)
        self._wake.set()
