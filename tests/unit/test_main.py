"""The program as a whole: what a command imports, and how it ends when a fault of its own surfaces."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.cli import commands, main
from recorder.errors import InternalError
from recorder.store import migrate
from recorder.store.engine import open_engine
from tests.depth import share
from tests.unit.read.desk import Desk


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


#: Packages that take long to import, and that a command which only reads does without.
SLOW = {"alembic", "sqlalchemy.orm", "sqlalchemy.dialects.postgresql", "psycopg", "rich", "websocket", "websockets",
        "h11", "urllib3", "jinja2", "cryptography", "pyarrow"}  # fmt: skip


@pytest.mark.parametrize("encoding", share(["iso-8859-1", "ascii", "utf-8"], "iso-8859-1"))
def test_characters_that_the_terminal_lacks_are_printed(tmp_path: Path, encoding: str) -> None:
    desk = Desk(tmp_path / "recorder.db")
    desk.order(1, symbol="\u6bd4USD")
    desk.balance(2, currency="\u6bd4")

    def printed(command: str, *arguments: str) -> bytes:
        run = subprocess.run(
            [sys.executable, "-m", "recorder", command, *arguments, "--database", desk.url],
            env={"PYTHONIOENCODING": encoding, "PATH": ""},
            capture_output=True,
            check=False,
        )
        assert (run.returncode, run.stderr) == (0, b"")
        return run.stdout

    for command, forms in (("orders", ("csv", "json")), ("balances", ("json",)), ("timeline", ("csv",))):
        for form in forms:
            assert "\u6bd4" in printed(command, "--format", form).decode("utf-8")
        table = printed(command)
        # Click itself takes ASCII for a locale that is not set.
        assert (b"\\u6bd4" if encoding == "iso-8859-1" else "\u6bd4".encode()) in table
    assert json.loads(printed("status", "--format", "json"))["accounts"]


def imported_by(*commands: str) -> set[str]:
    """The modules that a fresh process has imported after some commands."""
    script = (
        "import sys\nfrom recorder.cli.commands import recorder\n"
        f"for command in {commands!r}:\n"
        "    try:\n        assert recorder.main(command.split(), standalone_mode=False) in (None, 0)\n"
        "    except SystemExit as end:\n        assert not end.code\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stderr.split())


def test_help_imports_no_database() -> None:
    assert imported_by("--version", "--help", "gaps --help") & (SLOW | {"sqlalchemy", "msgspec"}) == set()


def test_commands_that_read_import_only_what_they_need(tmp_path: Path) -> None:
    database = f"--database sqlite:///{tmp_path}/recorder.db"
    migrate.upgrade(open_engine(database.split()[1]))
    commands = [f"{name} {database}" for name in ("status", "gaps", "discrepancies")]
    assert imported_by(*commands) & (SLOW | {"recorder.venues.fmex"}) == set()
    commands = [f"{name} {database}" for name in ("orders", "fills", "pnl", "trips", "books", "timeline", "db check")]
    assert imported_by(*commands) & SLOW == set()
