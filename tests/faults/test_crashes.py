"""The recorder's own process: killed, killed again, killed while it asks, frozen, told to stop."""

import signal
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from tests.faults.conftest import Report
from tests.faults.proxy import Proxy
from tests.faults.scene import COVERED, Scene
from tests.integration.process import PATIENCE_S, Folder, Process

pytestmark = pytest.mark.long

#: After a signal, everything received is durable within this, seconds.
STOP_S_MAX = 5.0


def kill(process: Process) -> None:
    process.send(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("frames", [1, 60, 400])
def test_killed_in_the_thick_of_it(scene: Scene, frames: int) -> None:
    with scene.run() as process:
        process.wait_for(COVERED)
        scene.wait_more(process, frames)
        kill(process)
    with scene.restarted() as process:
        scene.wait_more(process)
    scene.finish("kill -9")


@pytest.mark.parametrize("stage", ["recording ", ": connected to", COVERED, "asking the exchange"])
def test_killed_at_a_stage_of_its_start_twice_in_a_row(scene: Scene, stage: str) -> None:
    for _ in range(2):
        with scene.run() as process:
            process.wait_for(stage)
            kill(process)
    with scene.restarted() as process:
        scene.wait_more(process)
    scene.finish("two crashes in a row")


def test_killed_while_it_reconciles(tmp_path: Path, report: Report) -> None:
    options = SimulatorOptions(live_clock=True, rate_per_s=200)
    with Simulator(options) as exchange, Proxy(exchange.port) as proxy:
        scene = Scene(Folder(tmp_path), exchange, report)
        scene.configure(proxy)
        with scene.run() as process:
            process.wait_for("reconciled: a snapshot")
            scene.wait_more(process, 100)
            # Each answer takes its time: the round is going on when the kill comes.
            with proxy.latency(0.3):
                proxy.reset()
                process.wait_for("asking the exchange what happened", 2)
                # That it has begun is durable with these.
                scene.wait_more(process, 50)
                kill(process)
        with scene.restarted() as process:
            process.wait_for("reconciled: restored")
        scene.finish("crash while reconciling")
    states = scene.folder.rows("SELECT state FROM gaps WHERE reason IN ('lost', 'crashed') AND ends_ns IS NOT NULL")
    assert states == [("reconciled",)] * 2
    assert ("interrupted",) in scene.folder.rows("SELECT result FROM reconciliations")


def test_frozen_for_longer_than_the_exchange_waits_for_a_ping(tmp_path: Path, report: Report) -> None:
    """A laptop's lid, a debugger: the exchange has hung up meanwhile, and what it pushed is lost."""
    with Simulator(SimulatorOptions(rate_per_s=500, ping_timeout_s=1.0)) as exchange:
        scene = Scene(Folder(tmp_path), exchange, report)
        with scene.run() as process:
            process.wait_for(COVERED)
            process.send(signal.SIGSTOP)
            exchange.wait_alone(PATIENCE_S)
            with scene.recovery(process):
                process.send(signal.SIGCONT)
            scene.stop(process)
        scene.finish("frozen process")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.alone
def test_told_to_stop(scene: Scene, number: signal.Signals) -> None:
    with scene.run() as process:
        process.wait_for(COVERED)
        scene.wait_more(process, 200)
        code, took_s = process.stop(number)
        assert (code, took_s < STOP_S_MAX) == (0, True), process.errors
    scene.finish("stop")
    with scene.restarted():
        pass
    scene.verdict().require_clean()


def test_told_to_stop_twice(scene: Scene) -> None:
    with scene.run() as process:
        process.wait_for(COVERED)
        with scene.folder.locked():
            process.wait_for("is locked by another program")
            process.send(signal.SIGTERM)
            process.wait_for("stopping (SIGTERM)")
            assert process.stop()[0] == 128 + signal.SIGTERM
    with scene.restarted():
        pass
    scene.finish("stop, twice")
