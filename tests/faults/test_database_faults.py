"""A database that is held by somebody else, and a disk without room: waited for, and nothing is lost meanwhile."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from recorder.simulator import Simulator
from tests.faults.conftest import Report
from tests.faults.scene import COVERED, Scene
from tests.integration.process import Folder, Process

pytestmark = pytest.mark.long

#: A queue that is full at once: the socket is not read on.
SMALL_QUEUE = {"queue_frames_max": 300, "stalled_s": 60}

HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN " + sys.argv[2])
print("held", flush=True)
sys.stdin.read()
held.execute("ROLLBACK")
"""


@contextmanager
def held_by_another_process(database: Path, kind: str = "IMMEDIATE") -> Iterator[None]:
    """A process holds the database's lock, until the end of the block."""
    command = [sys.executable, "-c", HOLD, str(database), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate("")


def lost_nothing(scene: Scene, process: Process) -> None:
    assert process.errors.count(COVERED) == 1, "the session was to live on"


@pytest.mark.parametrize("queue", ["ample", "full"])
@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_locked_database_is_waited_for(scene: Scene, kind: str, queue: str) -> None:
    if queue == "full":
        scene.configure(limits=SMALL_QUEUE)
    with scene.running() as process:
        scene.wait_more(process)
        with held_by_another_process(scene.folder.database, kind):
            process.wait_for("is locked by another program")
            if queue == "full":
                process.wait_for("reading pauses until the database catches up")
        scene.goes_on(process)
        scene.wait_more(process, 1_000)
    lost_nothing(scene, process)
    scene.finish("locked database")


def test_a_database_that_is_locked_for_too_long_ends_the_session_not_the_record(scene: Scene) -> None:
    scene.configure(limits=SMALL_QUEUE | {"stalled_s": 1.0})
    with scene.running() as process:
        scene.wait_more(process)
        with held_by_another_process(scene.folder.database):
            process.wait_for("the connection has ended (stalled")
        with scene.recovery(process):
            pass
        scene.wait_more(process)
    assert scene.finish("locked database, too long").lost > 0


def test_the_holder_of_the_lock_is_killed(scene: Scene) -> None:
    with scene.running() as process:
        command = [sys.executable, "-c", HOLD, str(scene.folder.database), "IMMEDIATE"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            process.wait_for("is locked by another program")
            holder.kill()
        scene.goes_on(process, 500)
    lost_nothing(scene, process)
    scene.finish("locked database")


class SmallDisk:
    """A file system of so many bytes in a mount namespace of its own.

    Args:
        path: of its folder, as seen from here.
        into: the command to run another in it under.
        copies: a folder that all can reach.
    """

    def __init__(self, path: Path, into: tuple[str, ...], copies: Path) -> None:
        self.path = path
        self.into = into
        self._copies = copies

    def finish(self, scene: Scene, fault: str) -> None:
        """As `Scene.finish`, with a copy: SQLite does not find a file by its path through /proc."""
        scene.folder.database = Path(shutil.copy(scene.folder.database, self._copies))
        scene.finish(fault)

    @contextmanager
    def full(self, but_bytes: int) -> Iterator[None]:
        """Another file takes what is free but for so many bytes, until the end of the block."""
        ballast = self.path / "ballast"
        free = os.statvfs(self.path)
        with suppress(OSError):  # the recorder may have taken some meanwhile: then it is all the fuller
            ballast.write_bytes(bytes(max(free.f_bavail * free.f_frsize - but_bytes, 0)))
        yield
        ballast.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Sixteen megabytes. Root needs no user namespace, others do, and some machines allow neither."""
    mount = tmp_path / "disk"
    mount.mkdir()
    as_root = os.geteuid() == 0
    unshare = ["unshare", "-m"] if as_root else ["unshare", "-Urm"]
    script = f"mount -t tmpfs -o size=16m none {mount} && echo mounted && exec cat"
    try:
        holder = subprocess.Popen(
            [*unshare, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    except OSError:
        pytest.skip("unshare is not installed on this machine")
    with holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != "mounted\n":
            holder.kill()
            pytest.skip("this machine lets nobody mount, not in a namespace of their own either")
        user = () if as_root else ("-U", "--preserve-credentials")
        path = Path(f"/proc/{holder.pid}/root{mount}")
        yield SmallDisk(path, ("nsenter", "-t", str(holder.pid), "-m", *user, f"--wd={path}"), tmp_path)
        holder.communicate("")


@pytest.mark.parametrize("but_bytes", [0, 40_000, 300_000])
def test_a_full_disk_is_waited_for(small_disk: SmallDisk, exchange: Simulator, report: Report, but_bytes: int) -> None:
    scene = Scene(Folder(small_disk.path), exchange, report)
    scene.configure(limits=SMALL_QUEUE)
    with scene.folder.run("--ack-file", "ack.json", under=small_disk.into) as process:
        process.wait_for(COVERED)
        scene.wait_more(process)
        with small_disk.full(but_bytes):
            process.wait_for("is full")
            process.wait_for("reading pauses until the database catches up")
        scene.goes_on(process)
        scene.wait_more(process, 500)
        scene.stop(process)
        lost_nothing(scene, process)
        small_disk.finish(scene, "full disk")


def test_a_disk_that_is_full_at_the_start_is_named(small_disk: SmallDisk, exchange: Simulator, report: Report) -> None:
    scene = Scene(Folder(small_disk.path), exchange, report)
    with small_disk.full(0), scene.folder.run(under=small_disk.into) as process:
        assert process.wait() == 2, process.errors
        assert "Traceback" not in process.errors
    with scene.folder.run("--ack-file", "ack.json", under=small_disk.into) as process:
        process.wait_for(COVERED)
        scene.wait_more(process)
        scene.stop(process)
    small_disk.finish(scene, "full disk")


def test_a_kill_on_a_full_disk(small_disk: SmallDisk, exchange: Simulator, report: Report) -> None:
    scene = Scene(Folder(small_disk.path), exchange, report)
    with scene.folder.run("--ack-file", "ack.json", under=small_disk.into) as process:
        process.wait_for(COVERED)
        scene.wait_more(process)
        with small_disk.full(20_000):
            process.wait_for("is full")
            process.__exit__(None, None, None)
            scene.note_acknowledged()
    with scene.folder.run("--ack-file", "ack.json", under=small_disk.into) as process:
        process.wait_for(COVERED)
        scene.wait_more(process)
        scene.stop(process)
    small_disk.finish(scene, "full disk, then kill -9")
