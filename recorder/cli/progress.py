"""What shows that something goes on: a live line on a terminal, plain log lines otherwise."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

log = logging.getLogger("recorder")

#: How often the live line is drawn, and a log line written, seconds.
LIVE_S = 0.25
LOG_S = 60.0


class Progress(Protocol):
    """Shows how far something is, every `every_s` seconds."""

    every_s: float

    def show(self, frames: int, told: str) -> None:
        """Show how many frames there have been so far, and what else there is to tell."""
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


def line(frames: int, rate_per_s: float, told: str) -> str:
    """All of it in one line."""
    return f"{frames:,} frames, {rate_per_s:,.1f}/s, {told}"


class _LiveLine:
    every_s = LIVE_S

    def __init__(self, live: Live) -> None:
        self._live = live
        self._rate = _Rate()

    def show(self, frames: int, told: str) -> None:
        self._live.update(Text(line(frames, self._rate.per_s(frames), told), style="bold"), refresh=True)


class _LogLines:
    every_s = LOG_S

    def __init__(self) -> None:
        self._rate = _Rate()

    def show(self, frames: int, told: str) -> None:
        log.info("%s", line(frames, self._rate.per_s(frames), told))


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
