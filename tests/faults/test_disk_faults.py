"""The disk: death, EIO and ENOSPC at a write or a sync of the database, swept over a run.

strace counts the system calls of each thread, and makes the one that is asked for fail, or kills before it happens. The
first calls are of the schema, made by the main thread; all later ones of the writer.
"""

import re
from pathlib import Path
from random import Random

import pytest

from tests.faults.scene import Scene
from tests.faults.strace import happened, injecting, needs_strace

pytestmark = needs_strace

SEED = 20200204
#: So many calls at most make the schema and open the run: nothing is recorded yet, and a full disk is said at once.
SCHEMA_CALLS = {"pwrite64": 400, "fdatasync": 16}
#: A run of a second or two has as many.
LAST_CALL = {"pwrite64": 3_000, "fdatasync": 140}

#: Small batches, and many of them.
BATCHES = {"batch_frames_max": 50, "batch_ms": 5}


def points(call: str, of_schema: int, of_writer: int, share: float = 1.0) -> list[tuple[str, int]]:
    """Calls to fail at: of the schema, and of the writer, there within a share of what a run has."""
    random, schema = Random(SEED), SCHEMA_CALLS[call]
    first = random.sample(range(1, schema + 1), of_schema)
    later = random.sample(range(schema + 1, int(LAST_CALL[call] * share)), of_writer)
    return [(call, number) for number in sorted([*first, *later])]


KILLED = [*points("pwrite64", 24, 40), *points("fdatasync", 10, 40)]
FAILED = [
    (error, call, number)
    for error, counts in (("EIO", (4, 10)), ("ENOSPC", (4, 10)))
    for call in ("pwrite64", "fdatasync")
    for _, number in points(call, *counts, share=0.5)
]
#: For every run of the tests.
FEW = [("pwrite64", 700)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "strace.log"


def die_and_go_on(scene: Scene, log: Path, call: str, number: int) -> None:
    scene.configure(limits=BATCHES)
    with scene.run(under=injecting(log, call, "signal=SIGKILL", str(number))) as process:
        assert process.wait() == -9, process.errors
    with scene.restarted():
        pass
    scene.finish("death at a write" if call == "pwrite64" else "death at a sync")


@pytest.fixture
def exchange_rate() -> float:
    return 1_000  # strace slows each call down: what waits at a stop must fit into its time


@pytest.mark.parametrize(("call", "number"), FEW)
def test_death_at_a_write_or_a_sync(scene: Scene, log: Path, call: str, number: int) -> None:
    die_and_go_on(scene, log, call, number)


@pytest.mark.long
@pytest.mark.parametrize(("call", "number"), KILLED)
def test_death_at_any_write_or_sync(scene: Scene, log: Path, call: str, number: int) -> None:
    die_and_go_on(scene, log, call, number)


def fail_and_go_on(scene: Scene, log: Path, call: str, error: str, when: str) -> int:
    """A run in which calls fail: it goes on, or it ends and says why. The next needs no help."""
    scene.configure(limits=BATCHES)
    first = int(re.match(r"\d+", when)[0])  # type: ignore[index]
    with scene.run(under=injecting(log, call, f"error={error}", when)) as process:
        # A batch flushes once, and writes ten times at the least: the call has come then, and some more.
        scene.wait_batches(process, first // (10 if call == "pwrite64" else 1) + 20)
        code = process.stop()[0] if process.running else process.wait()
    assert happened(log), "the call never came: this test tests nothing"
    assert code in {0, 2}, process.errors
    assert "Traceback" not in process.errors
    if code == 2:
        print(process.errors)  # shown if the test fails
        assert "recorder.db" in process.errors, "the file is not named"
    with scene.restarted():
        pass
    return code


@pytest.mark.parametrize(("error", "call", "number"), [("EIO", "fdatasync", 40)])
def test_a_disk_error_or_a_full_disk_once(scene: Scene, log: Path, error: str, call: str, number: int) -> None:
    fail_and_go_on(scene, log, call, error, str(number))
    scene.finish("disk error once" if error == "EIO" else "disk full once")


@pytest.mark.long
@pytest.mark.parametrize(("error", "call", "number"), FAILED)
def test_a_disk_error_or_a_full_disk_at_any_call(scene: Scene, log: Path, error: str, call: str, number: int) -> None:
    code = fail_and_go_on(scene, log, call, error, str(number))
    if error == "ENOSPC" and call == "pwrite64" and number > SCHEMA_CALLS[call]:
        assert code == 0, "a full disk passes: it was to be waited for"
    scene.finish("disk error once" if error == "EIO" else "disk full once")


@pytest.mark.long
@pytest.mark.parametrize(("call", "number"), [*points("pwrite64", 1, 5, 0.3), *points("fdatasync", 1, 5, 0.3)])
def test_a_disk_that_fails_for_good(scene: Scene, log: Path, call: str, number: int) -> None:
    assert fail_and_go_on(scene, log, call, "EIO", f"{number}+") == 2
    scene.finish("disk error for good")


@pytest.mark.long
@pytest.mark.parametrize("number", [420, 500, 900, 1_400])
def test_a_disk_that_is_full_for_a_while_costs_nothing(scene: Scene, log: Path, number: int) -> None:
    code = fail_and_go_on(scene, log, "pwrite64", "ENOSPC", f"{number}..{number + 3}")
    assert code == 0, "a full disk passes: it was to be waited for"
    scene.finish("disk full for a while")
