"""How the program ends when a fault of its own surfaces: with what helps to find it, and an exit code of its own."""

import pytest

from recorder.cli import commands, main
from recorder.errors import InternalError


def ended(monkeypatch: pytest.MonkeyPatch, error: Exception, cause: Exception | None = None) -> object:
    """The exit code after a command that raised."""

    def fail(**_options: object) -> None:
        raise error from cause

    monkeypatch.setattr(commands.recorder, "main", fail)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # Ctrl-C stays pytest's
    with pytest.raises(SystemExit) as exit_:
        main()
    return exit_.value.code


def test_a_bug_is_no_finding_and_comes_with_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, ZeroDivisionError("a bug")) == 70
    said = capsys.readouterr().err
    assert "in fail\n" in said
    assert said.endswith("recorder: Recorder has a bug and stopped; report it with the lines above.\n")


def test_a_bug_in_a_thread_comes_with_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        raise ZeroDivisionError("in a thread")
    except ZeroDivisionError as caught:
        cause = caught
    assert ended(monkeypatch, InternalError("It stopped."), cause) == 70
    said = capsys.readouterr().err
    assert "ZeroDivisionError: in a thread\n" in said
    assert f"in {test_a_bug_in_a_thread_comes_with_its_lines.__name__}\n" in said
    assert said.endswith("recorder: It stopped.\n")
