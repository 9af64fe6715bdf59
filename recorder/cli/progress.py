"""Progress on standard error: a live line or a bar on a terminal, plain log lines otherwise.

Rich is imported only where something is drawn: a command whose output goes to a file does without.
"""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from rich.console import Console
    from sqlalchemy import Engine

log = logging.getLogger("recorder")

#: Between two updates of the live line, and between two log lines, seconds.
LIVE_S = 0.25
LOG_S = 60.0

#: `--quiet`, for commands that show their `progress`.
quiet_option = click.option(
    "-q", "--quiet", is_flag=True, help="Write only warnings and errors to standard error, for example from cron."
)


class Advance(Protocol):
    """Moves a bar."""

    def __call__(self, done: int, total: int | None, doing: str | None = None) -> None:
        """Say how much is done, of how much (None where that is not known), and what is done now."""
        ...


class Progress(Protocol):
    """Shows how far something is, every `every_s` seconds."""

    every_s: float

    def show(self, frames: int, details: str) -> None:
        """Show how many frames there have been so far, and the rest of the line."""
        ...


class _Rate:
    """Frames per second since the previous call."""

    def __init__(self) -> None:
        self._frames = 0
        self._at_s = time.monotonic()

    def per_s(self, frames: int) -> float:
        now_s = time.monotonic()
        rate = (frames - self._frames) / max(now_s - self._at_s, 0.001)
        self._frames, self._at_s = frames, now_s
        return rate


def line(frames: int, rate_per_s: float, details: str) -> str:
    """The line that shows progress."""
    return f"{frames:,} frames, {rate_per_s:,.1f}/s, {details}"


class LiveLine:
    """One line that is redrawn in its place. A context manager; the line is gone at its end."""

    every_s = LIVE_S

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self.console: Console = Console(stderr=True)
        self._live: Live = Live(console=self.console, auto_refresh=False, transient=True)
        self._rate = _Rate()

    def __enter__(self) -> "LiveLine":
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, frames: int, details: str) -> None:
        """Redraw it."""
        self.write(line(frames, self._rate.per_s(frames), details))

    def write(self, text: str) -> None:
        """Redraw it with any text."""
        from rich.text import Text  # noqa: PLC0415

        self._live.update(Text(text, style="bold"), refresh=True)


class _LogLines:
    every_s = LOG_S

    def __init__(self) -> None:
        self._rate = _Rate()

    def show(self, frames: int, details: str) -> None:
        log.info("%s", line(frames, self._rate.per_s(frames), details))


class _AboveLiveLine(logging.Handler):
    """Log lines above the live line."""

    def __init__(self, console: "Console") -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        from rich.text import Text  # noqa: PLC0415

        # A string would be read as markup and for its :emoji: names.
        self._console.print(Text(self.format(record)), soft_wrap=True)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Set up logging for a command that runs for long, and show its progress while the context lasts.

    Args:
        quiet: write warnings and errors only.
    """
    if quiet or not sys.stderr.isatty():
        _log_to(logging.StreamHandler(sys.stderr), logging.WARNING if quiet else logging.INFO)
        yield _LogLines()
        return
    live = LiveLine()
    _log_to(_AboveLiveLine(live.console), logging.INFO)
    with live:
        yield live


def _log_to(handler: logging.Handler, level: int) -> None:
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries are heard only when something is wrong.
    root.setLevel(logging.WARNING)
    log.setLevel(level)


@contextmanager
def bar(doing: str) -> Iterator[Advance]:
    """Show a bar on a terminal, and nothing elsewhere.

    Args:
        doing: what is done, such as `verifying frames`.

    Yields:
        A function that takes how much is done, and of how much.
    """
    if not sys.stderr.isatty():
        yield _no_bar
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(doing, total=None, count="")

        last = doing

        def advance(done: int, total: int | None, doing: str | None = None) -> None:
            nonlocal last
            count = f"{done:,}" if total is None else f"{done:,} of {total:,}"
            # A step that takes less than the time between two drawings is shown, too.
            refresh = done == total or (doing or last) != last
            last = doing or last
            shown.update(task, completed=done, total=total, count=count, description=doing, refresh=refresh)

        yield advance


def _no_bar(done: int, total: int | None, doing: str | None = None) -> None:
    """Progress that nobody sees."""


def project_everything(engine: "Engine") -> None:
    """Bring the projections of a database up to date, with a progress bar on a terminal."""
    from recorder.read.projector import project_all  # noqa: PLC0415  most commands project nothing

    with bar("projecting orders and fills") as advance, engine.connect() as connection:
        for done, frames in project_all(connection):
            advance(done, frames)
