"""What a run shows while it lasts: a live line on a terminal, plain log lines otherwise."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from recorder.live.recording import State

log = logging.getLogger("recorder")

#: How often the live line is drawn, and a log line written, seconds.
LIVE_S = 0.25
LOG_S = 60.0


class Progress(Protocol):
    """Shows a run's state, every `every_s` seconds."""

    every_s: float

    def show(self, state: State) -> None:
        """Show it now."""
        ...


class _Rate:
    """Frames a second since the last time it was asked."""

    def __init__(self) -> None:
        self._frames = 0
        self._at_s = time.monotonic()

    def per_s(self, frames: int) -> float:
        now_s = time.monotonic()
        rate = (frames - self._frames) / max(now_s - self._at_s, 0.001)
        self._frames, self._at_s = frames, now_s
        return rate


def line(state: State, rate_per_s: float) -> str:
    """A run in one line."""
    sessions = ", ".join(f"{name} {told}" for name, told in state.sessions.items())
    behind = f"{state.frames_waiting:,} waiting, {state.lag_ms} ms behind" if state.frames_waiting else "all durable"
    found = f", {state.discrepancies:,} discrepancies" if state.discrepancies else ""
    server = f" | server {state.server}" if state.server else ""
    if state.frames_to_send:
        server += f", {state.frames_to_send:,} behind"
    return f"{state.frames:,} frames, {rate_per_s:,.1f}/s, {behind}{found} | {sessions}{server}"


class _LiveLine:
    every_s = LIVE_S

    def __init__(self, live: Live) -> None:
        self._live = live
        self._rate = _Rate()

    def show(self, state: State) -> None:
        self._live.update(Text(line(state, self._rate.per_s(state.frames)), style="bold"), refresh=True)


class _LogLines:
    every_s = LOG_S

    def __init__(self) -> None:
        self._rate = _Rate()

    def show(self, state: State) -> None:
        log.info("%s", line(state, self._rate.per_s(state.frames)))


class _ConsoleHandler(logging.Handler):
    """Log lines above the live line."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        # A string would be read as markup and for its :emoji: names.
        self._console.print(Text(self.format(record)), soft_wrap=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """Set logging up for a command that runs for long, and show its progress while the context lasts."""
    if sys.stderr.isatty():
        console = Console(stderr=True)
        _log_to(_ConsoleHandler(console))
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield _LiveLine(live)
    else:
        _log_to(logging.StreamHandler(sys.stderr))
        yield _LogLines()


def _log_to(handler: logging.Handler) -> None:
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak up only when something is wrong.
    root.setLevel(logging.WARNING)
    log.setLevel(logging.INFO)
    logging.getLogger("recorder.simulator").setLevel(logging.WARNING)
