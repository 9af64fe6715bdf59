"""The garbage collector while recording: it does not run during a burst, and garbage stays bounded all the same."""

import gc
import logging
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Semaphore

import pytest

from recorder.live.garbage import rare_collection
from recorder.simulator import Simulator, SimulatorOptions
from recorder.store.entries import Covered, SessionEnded
from tests.integration.process import Folder
from tests.unit.live.peer import PATIENCE_S, Peer
from tests.unit.live.stage import Stage

#: `recorder run`, which ends once this many frames are durable, and prints how often the collector ran until then.
COUNTING_RUN = """
import gc, sys
from recorder.cli import main, run

def record_until(recording, *rest):
    starts = []
    gc.callbacks.append(lambda phase, info: starts.append(info) if phase == "start" else None)
    while recording.state().frames_durable < frames:
        recording.wait(0.05)
    gc.callbacks.clear()
    print(len(starts))

frames = int(sys.argv.pop())
run.record_until = record_until
main()
"""
PUSHES = 2_000
CONNECTIONS = 20


class Node:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@contextmanager
def collections() -> Iterator[list[int]]:
    """The generations of the collections that were started."""
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    gc.callbacks.append(note)
    try:
        yield generations
    finally:
        gc.callbacks.remove(note)


def test_no_collection_runs_during_a_burst(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with Simulator(SimulatorOptions(pushes=PUSHES)) as simulator:
        folder.configure(simulator)
        ended = subprocess.run(
            [sys.executable, "-c", COUNTING_RUN, "run", "--quiet", str(PUSHES)],
            cwd=tmp_path,
            env=folder.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert ended.stdout == "0\n"


def test_garbage_that_grows_fast_is_collected() -> None:
    with rare_collection(objects=10_000, every_s=1000), collections() as generations:
        most = 0
        alive: weakref.WeakSet[Node] = weakref.WeakSet()
        for _ in range(50_000):
            alive.add(Node())
            most = max(most, len(alive))
    assert 1_000 < most <= 10_000
    assert 0 < len(generations) <= 15


def test_a_few_objects_are_collected_in_time() -> None:
    collected = Event()
    with rare_collection(every_s=0.01):
        weakref.finalize(Node(), collected.set)
        assert collected.wait(PATIENCE_S)


def test_what_ended_connections_leave_is_collected(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    """A connection and its frame parser refer to each other, and hold the last bytes read."""
    caplog.set_level(logging.ERROR, "recorder")  # a captured warning would keep the exception and its traceback
    collected = Semaphore(0)
    with rare_collection(every_s=0.05), Stage(peer) as stage:
        for number in range(CONNECTIONS):
            line = stage.subscribed()
            stage.wait_entry(Covered, number + 1)
            session = stage.collector.session
            assert session is not None
            weakref.finalize(session._transport, collected.release)
            del session
            line.reset()
        stage.wait_entry(SessionEnded, CONNECTIONS)
        for _ in range(CONNECTIONS):
            assert collected.acquire(timeout=PATIENCE_S)


def test_the_collector_is_as_before_afterwards() -> None:
    gc.unfreeze()  # what the tests had frozen
    before = gc.get_threshold(), gc.get_freeze_count()
    with rare_collection():
        assert (gc.get_threshold(), gc.get_freeze_count()) != before
        assert gc.isenabled()
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
