"""Who is alone is alone, and does not wait for ever for it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from importlib import import_module
from pathlib import Path
from threading import Event

import pytest

from tests.alone import in_the_room

PATIENCE_S = 10.0
CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("door", "room")}
    for path in found.values():
        path.touch()
    return found


def is_free(path: Path, how: int) -> bool:
    with path.open() as file:
        try:
            flock(file, how | LOCK_NB)
        except BlockingIOError:
            return False
        flock(file, LOCK_UN)
        return True


def test_several_are_there_together(files: dict[str, Path]) -> None:
    with in_the_room(alone=False, **files), in_the_room(alone=False, **files):
        assert not is_free(files["room"], LOCK_EX)
        assert is_free(files["door"], LOCK_EX)
    assert is_free(files["room"], LOCK_EX)


def test_nobody_enters_while_one_is_alone(files: dict[str, Path]) -> None:
    with in_the_room(alone=True, **files):
        assert not is_free(files["room"], LOCK_SH)
    assert is_free(files["room"], LOCK_EX)


def test_who_waits_to_be_alone_is_next(files: dict[str, Path]) -> None:
    came: list[str] = []
    began = Event()

    def enter(name: str, alone: bool) -> None:
        began.set()
        with in_the_room(alone=alone, **files):
            came.append(name)

    with ThreadPoolExecutor(2) as threads, ExitStack() as room:
        room.enter_context(in_the_room(alone=False, **files))
        first = threads.submit(enter, "alone", True)
        assert began.wait(PATIENCE_S)
        while is_free(files["door"], LOCK_EX):
            pass
        second = threads.submit(enter, "after", False)
        assert came == []
        room.close()
        first.result(PATIENCE_S)
        second.result(PATIENCE_S)
    assert came == ["alone", "after"]


def test_it_is_left_when_a_test_fails(files: dict[str, Path]) -> None:
    with pytest.raises(ZeroDivisionError), in_the_room(alone=True, **files):
        raise ZeroDivisionError
    assert is_free(files["room"], LOCK_EX)


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
