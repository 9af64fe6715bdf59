"""Ways out: a file that notes are appended to, and a command, real ones."""

import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recorder.audit.evidence.checkpoint import checkpoint_of, checkpoints_in, sign_checkpoint
from recorder.audit.evidence.delivery import NoteCommand, NoteFile
from recorder.audit.evidence.keys import new_key
from recorder.errors import NotDelivered
from tests.waiting import wait_until

KEY = new_key("audit")
ONE, TWO, THREE = (sign_checkpoint(checkpoint_of(7, size, bytes(32)), KEY) for size in (1, 2, 3))
#: Ample: other tests share the machine.
PATIENCE_S = 10.0


def refused(way: NoteFile | NoteCommand, note: str = ONE) -> str:
    with pytest.raises(NotDelivered) as raised:
        way.send(note)
    return str(raised.value)


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file grows beyond, as where a disk is full (setrlimit(2), `RLIMIT_FSIZE`)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_of_notes(tmp_path: Path) -> None:
    path = tmp_path / "recorder.checkpoints"
    file = NoteFile(path)
    file.send(ONE)
    assert path.read_text() == ONE
    file.send(TWO)
    file.send(THREE)
    assert path.read_text() == f"{ONE}\n{TWO}\n{THREE}"
    assert checkpoints_in(path.read_text()) == [ONE, TWO, THREE]
    # `tail -n 5` shows the newest.
    assert "".join(path.read_text().splitlines(keepends=True)[-5:]) == THREE


def test_a_note_has_arrived_once_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "recorder.checkpoints"
    flushed: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append(path.read_text()))
    NoteFile(path).send(ONE)
    assert flushed == [ONE]


@pytest.mark.parametrize("torn", ["recorder/7\n2", "recorder/7\n2\n", "recorder/7\n2\nAAAA\n\n\u2014 au", "\n"])
def test_what_broke_off_is_no_part_of_the_next_note(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "recorder.checkpoints"
    path.write_text(f"{ONE}\n{torn}")
    NoteFile(path).send(TWO)
    assert path.read_text().startswith(f"{ONE}\n{torn}")
    assert path.read_text().endswith(f"\n\n{TWO}")
    path.write_text(path.read_text().replace(torn, "", 1) if torn.strip() else path.read_text())
    assert checkpoints_in(path.read_text()) == [ONE, TWO]


@pytest.mark.parametrize("size", [len(ONE.encode()) + 30, len(ONE.encode())])
def test_a_file_is_as_it_was_where_there_is_no_room(tmp_path: Path, size: int) -> None:
    path = tmp_path / "recorder.checkpoints"
    file = NoteFile(path)
    file.send(ONE)
    with files_end_at(size):
        said = refused(file, TWO)
    assert said.startswith(f"{path} cannot be written: ")
    assert path.read_text() == ONE
    file.send(TWO)
    assert checkpoints_in(path.read_text()) == [ONE, TWO]


@pytest.mark.parametrize("content", [b"SQLite format 3\x00" + bytes(5_000), b"export PATH=/bin\n", b"\n"])
def test_a_file_that_holds_something_else_is_not_spoilt(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "something"
    path.write_bytes(content)
    assert refused(NoteFile(path)) == (
        f"{path} cannot be written: it contains something else; name a file for checkpoints only."
    )
    assert path.read_bytes() == content


def test_a_file_that_cannot_be(tmp_path: Path) -> None:
    for path, cause in ((tmp_path / "none" / "x", "No such file or directory"), (tmp_path, "Is a directory")):
        assert refused(NoteFile(path)) == f"{path} cannot be written: {cause}."
    assert list(tmp_path.iterdir()) == []


def test_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = NoteCommand(["sh", "-c", 'cat >> notes; echo "$GREETING" >> words'], {"GREETING": "hello"})
    monkeypatch.chdir(tmp_path)
    command.send(ONE)
    command.send(TWO)
    assert (tmp_path / "notes").read_text() == ONE + TWO
    assert (tmp_path / "words").read_text() == "hello\nhello\n"
    assert command.place == "sh"


def test_a_command_knows_no_more_than_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMEX_SECRET", "the-secret-itself")
    NoteCommand(["sh", "-c", f"env > {tmp_path / 'env'}"], {"PATH": os.environ["PATH"]}).send(ONE)
    assert "the-secret" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["false"], "false failed: it ended with 1."),
        (["sh", "-c", "cat > /dev/null; exit 255"], "sh failed: it ended with 255."),
        (["sh", "-c", "kill -9 $$"], "sh was ended by signal 9."),
        (["no-such-program"], "no-such-program cannot be started: No such file or directory."),
        (["/"], "/ cannot be started: Permission denied."),
        (["a\0b"], "a\0b cannot be started: embedded null byte."),
    ],
)
def test_a_command_that_fails(arguments: list[str], said: str) -> None:
    assert refused(NoteCommand(arguments, {"PATH": os.environ["PATH"]})) == said


def test_a_command_need_not_read() -> None:
    NoteCommand(["true"], {"PATH": os.environ["PATH"]}).send(ONE * 10_000)


def gone(pid: int) -> bool:
    """Whether a process has ended; of one that nobody waits for, only its entry in the system's table is left."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except FileNotFoundError:
        return True


def hanging(folder: Path, limit_s: float) -> NoteCommand:
    """A command that starts another, writes down both, and waits."""
    script = f"sleep 1000 & echo $$ $! > {folder / 'new'}; mv {folder / 'new'} {folder / 'pids'}; wait"
    return NoteCommand(["sh", "-c", script], {"PATH": os.environ["PATH"]}, limit_s)


def test_a_command_that_hangs_is_killed_with_all_that_it_has_started(tmp_path: Path) -> None:
    assert refused(hanging(tmp_path, 3.0)) == "sh did not end within 3 s and was killed."
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: all(map(gone, pids)))  # a signal is obeyed a little after it was sent


def test_a_command_that_is_abandoned(tmp_path: Path) -> None:
    command = hanging(tmp_path, PATIENCE_S)
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(refused(command)))
    thread.start()
    while not (tmp_path / "pids").exists():
        # Not an event, but a file.
        assert thread.is_alive()
        time.sleep(0.01)
    command.abandon()
    thread.join(PATIENCE_S)
    assert said == [f"sh was ended by signal {int(signal.SIGKILL)}."]
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    wait_until(lambda: all(map(gone, pids)))
    command.abandon()
    assert refused(command) == f"sh was ended by signal {int(signal.SIGKILL)}.", "nor is it started again"
