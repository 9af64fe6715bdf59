"""What a run shows while it lasts."""

import io
import logging
import re
from collections.abc import Iterator

import pytest
from rich.console import Console

from recorder.cli import progress as shown
from recorder.cli.backfill import _doing
from recorder.cli.progress import progress
from recorder.cli.run import summary
from recorder.live.history import Asked
from recorder.live.recording import RunState

QUIET = RunState(frames=12_345, frames_durable=12_345, frames_waiting=0, lag_ms=0, sessions={"main": "covered"})
BEHIND = RunState(frames=5, frames_durable=3, frames_waiting=2, lag_ms=17, sessions={"a": "connecting", "b": "covered"})


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is set up for the whole process: put it back."""
    loggers = [logging.getLogger(name) for name in (None, "recorder")]
    levels, handlers = [logger.level for logger in loggers], list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def test_a_run_in_one_line() -> None:
    assert shown.line(QUIET.frames, 1234.56, summary(QUIET)) == "12,345 frames, 1,234.6/s, all durable | main covered"
    assert summary(BEHIND) == "2 waiting, 17 ms behind | a connecting, b covered"
    found = QUIET._replace(discrepancies=1_234)
    assert summary(found) == "all durable, 1,234 discrepancies | main covered"


def test_log_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as one:
        assert one.every_s == shown.LOG_S
        one.show(QUIET.frames, summary(QUIET))
        logging.getLogger("recorder.live").warning("something %s", "[red]odd[/red]")
        logging.getLogger("urllib3").info("not this")
        logging.getLogger("urllib3").warning("but this")
    said = capsys.readouterr()
    assert said.out == ""
    first, second, third = said.err.splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO 12,345 frames, [\d,.]+/s, all durable \| main covered", first
    )
    assert second.endswith("Z WARNING something [red]odd[/red]")
    assert third.endswith("Z WARNING but this")


@pytest.mark.parametrize("text", ["[red]odd[/red]", "\\[x]", "[/]", ":warning:", "x" * 300])
def test_log_lines_above_the_live_line_are_shown_as_they_are(text: str) -> None:
    screen = io.StringIO()
    handler = shown._AboveLiveLine(Console(file=screen, width=80, force_terminal=True, color_system=None))
    handler.emit(logging.LogRecord("x", logging.INFO, "x", 1, "%s", (text,), None))
    assert screen.getvalue() == f"{text}\n"


def test_the_live_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress() as one:
        assert one.every_s == shown.LIVE_S
        one.show(BEHIND.frames, summary(BEHIND))
        logging.getLogger("recorder.live").warning("a word")
    said = capsys.readouterr()
    assert said.out == ""
    assert "2 waiting, 17 ms behind | a connecting, b covered" in said.err
    assert "WARNING a word" in said.err


def test_quiet_shows_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as one:
        one.show(5, "all durable")
        logging.getLogger("recorder.run").info("stopped")
        logging.getLogger("recorder.live").warning("the exchange is away")
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.endswith("Z WARNING the exchange is away")


def test_a_backfill_estimates_the_rest_only_while_it_knows_how_much_there_is() -> None:
    asked = Asked("fills of spot", 1, 4, 100.0)
    assert _doing(Asked(), 0.0) == "starting"
    assert _doing(asked, 220.0) == "fills of spot (1 of 4)"
    assert _doing(asked._replace(number=3), 220.0) == "fills of spot (3 of 4, about 2 min left)"
    # Long periods are asked for in parts.
    assert _doing(asked._replace(number=1_005), 220.0) == "fills of spot (1,005 so far)"
