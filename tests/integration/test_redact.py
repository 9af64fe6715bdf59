"""`recorder redact` as people type it."""

from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from tests.integration.process import Folder


@pytest.fixture(scope="module")
def recorded_once(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("recorded"))
    with Simulator(SimulatorOptions(pushes=200)) as exchange:
        folder.configure(exchange)
        ended = folder.command("run", "--stop-when-idle", "3s")
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture
def recorded(recorded_once: Folder, tmp_path: Path) -> Folder:
    """A folder with a record of 200 pushes."""
    return recorded_once.copied_to(tmp_path)


def test_a_frame_is_redacted_for_good(recorded: Folder) -> None:
    ((session_id,),) = recorded.rows("SELECT session_id FROM sessions")
    which = "--account", "main", "--session", str(session_id), "--seq", "17-19"
    ended = recorded.command("redact", *which, "--why", "a court asked for it", "--who", "the owner", "--yes")
    assert ended.returncode == 0, ended.stderr
    assert "3 frames of main erased" in ended.stdout
    assert recorded.rows("SELECT seq FROM frames WHERE payload = x''") == [(17,), (18,), (19,)]
    assert recorded.rows("SELECT first_seq, last_seq, who, why FROM redactions") == [
        (17, 19, "the owner", "a court asked for it")
    ]
    again = recorded.command("redact", *which, "--why", "again", "--yes")
    assert (again.returncode, again.stdout) == (0, "No such frame has a payload; nothing was changed.\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--account", "main", "--why", "x"], "Choose frames with --before"),
        (["--account", "main", "--why", "x", "--before", "1s", "--seq", "3"], "--seq needs --session"),
        (["--account", "main", "--why", " ", "--before", "1s"], "--why must give a reason"),
        (["--account", "main", "--why", "x", "--session", "1", "--seq", "9-3"], "'9-3' is not the number of a frame"),
        (
            ["--account", "nobody", "--why", "x", "--before", "1s", "--yes"],
            "there is: main",
        ),
        (["--account", "main", "--why", "x", "--before", "1s"], "Standard input is not a terminal"),
        (
            ["--account", "main", "--why", "x", "--before", "1s", "--database", "postgresql+psycopg://h/d"],
            "redacted through its journal",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(recorded: Folder, arguments: list[str], told: str) -> None:
    before = recorded.rows("SELECT * FROM frames ORDER BY session_id, seq")
    ended = recorded.command("redact", *arguments)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert recorded.rows("SELECT * FROM frames ORDER BY session_id, seq") == before


def test_not_while_a_recorder_writes(folder: Folder) -> None:
    with Simulator(SimulatorOptions(pushes=10)) as exchange:
        folder.configure(exchange)
        with folder.run() as process:
            process.wait_for("covered")
            ended = folder.command("redact", "--account", "main", "--before", "0s", "--why", "x", "--yes")
    assert ended.returncode == 2
    assert "Another recorder is writing" in ended.stderr
