"""Who is alone is alone, and does not wait for ever for it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from importlib import import_module
from pathlib import Path

import pytest

from tests.alone import in_the_room

PATIENCE_S = 10.0
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def room(tmp_path: Path) -> Path:
    path = tmp_path / "room"
    path.touch()
    return path


def is_free(path: Path, how: int) -> bool:
    with path.open() as file:
        try:
            flock(file, how | LOCK_NB)
        except BlockingIOError:
            return False
        flock(file, LOCK_UN)
        return True


def test_several_are_there_together(room: Path) -> None:
    with in_the_room(alone=False, room=room), in_the_room(alone=False, room=room):
        assert not is_free(room, LOCK_EX)
    assert is_free(room, LOCK_EX)


def test_nobody_enters_while_one_is_alone(room: Path) -> None:
    with in_the_room(alone=True, room=room):
        assert not is_free(room, LOCK_SH)
    assert is_free(room, LOCK_EX)


def test_nobody_stands_still_while_one_waits_to_be_alone(room: Path) -> None:
    came: list[str] = []

    def enter() -> None:
        with in_the_room(alone=True, room=room):
            came.append("alone")

    with ThreadPoolExecutor(1) as threads:
        with in_the_room(alone=False, room=room):
            waiting = threads.submit(enter)
            while waits_for(room) == 0:
                assert not waiting.done()
            with in_the_room(alone=False, room=room):
                came.append("later")
        waiting.result(PATIENCE_S)
    assert came == ["later", "alone"]


def waits_for(path: Path) -> int:
    """How many wait for a lock of a file (proc_locks(5): `->` precedes them)."""
    inode = f":{path.stat().st_ino} "
    return sum("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def test_it_is_left_when_a_test_fails(room: Path) -> None:
    with pytest.raises(ZeroDivisionError), in_the_room(alone=True, room=room):
        raise ZeroDivisionError
    assert is_free(room, LOCK_EX)


@pytest.mark.long
def test_what_modules_name_for_postgresql_is_there() -> None:
    """A test that was renamed, or has no variant on PostgreSQL, would silently not run there."""
    collect = [sys.executable, "-m", "pytest", "tests/contract", "--collect-only", "-q", "-m", "long or not long"]
    printed = subprocess.run(collect, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    there: dict[str, set[str]] = {}
    for line in printed.splitlines():
        path, _, name = line.partition("::")
        if "postgresql" in name:
            there.setdefault(path, set()).update((name, name.partition("[")[0]))
    chosen = {
        path: set(getattr(import_module(path.removesuffix(".py").replace("/", ".")), "ON_POSTGRESQL", ()))
        for path in there
    }
    assert sum(map(len, chosen.values())) > 50
    assert {path: names - there[path] for path, names in chosen.items() if names - there[path]} == {}
