"""Every living venue through the faults that its protocol has a say in: kills, cuts, silence, refusals, logins."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import deaf, expired, invalid_topics, refusing, stalled_mid_frame
from recorder.venues import DEFAULT_VENUE, VENUES
from tests.faults.conftest import Report
from tests.faults.proxy import Proxy
from tests.faults.scene import COVERED, Scene
from tests.integration.process import Folder

pytestmark = pytest.mark.long

LIVING = [name for name in VENUES if name != DEFAULT_VENUE]


@pytest.fixture(params=LIVING)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """An exchange that trades on and on, by the real clock."""
    options = SimulatorOptions(venue=request.param, rate_per_s=200, live_clock=True, funding_interval_s=1)
    with Simulator(options) as simulator:
        yield simulator


@pytest.fixture
def scene(tmp_path: Path, exchange: Simulator, report: Report) -> Scene:
    return Scene(Folder(tmp_path), exchange, report)


@pytest.mark.parametrize("frames", [1, 300])
def test_killed_in_the_thick_of_it(scene: Scene, frames: int) -> None:
    with scene.run() as process:
        process.wait_for(COVERED)
        scene.wait_more(process, frames)
        process.send(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    with scene.restarted() as process:
        scene.wait_more(process)
    scene.finish(f"kill -9 ({scene.exchange.options.venue})")


def test_connections_that_are_reset(scene: Scene) -> None:
    with Proxy(scene.exchange.port) as proxy:
        scene.configure(proxy)
        with scene.running() as process:
            for _ in range(3):
                scene.wait_more(process, 60)
                with scene.recovery(process):
                    proxy.reset()
            scene.wait_more(process, 60)
    scene.finish(f"resets ({scene.exchange.options.venue})")


def test_an_exchange_that_hangs(scene: Scene) -> None:
    with scene.running() as process:
        scene.wait_more(process, 60)
        with scene.recovery(process), deaf(scene.exchange):
            process.wait_for("nothing came for 2 s")
        scene.wait_more(process, 60)
    scene.finish(f"hanging exchange ({scene.exchange.options.venue})")


def test_a_frame_that_stops_in_its_middle(scene: Scene) -> None:
    with scene.running() as process:
        scene.wait_more(process, 60)
        with scene.outage(process), stalled_mid_frame(scene.exchange):
            process.wait_for("nothing came for 2 s")
        scene.wait_more(process, 60)
    scene.finish(f"half a frame ({scene.exchange.options.venue})")


@pytest.mark.parametrize("status", [429, 503])
def test_an_exchange_that_refuses_for_a_while(scene: Scene, status: int) -> None:
    with scene.running() as process:
        scene.wait_more(process, 60)
        with scene.recovery(process), refusing(scene.exchange, status):
            scene.exchange.drop_connections()
            process.wait_for("Trying again in")
        scene.wait_more(process, 60)
    scene.finish(f"refusals ({scene.exchange.options.venue})")


def test_a_topic_that_is_refused_is_a_gap_of_its_own(scene: Scene) -> None:
    topic = sorted(scene.exchange.topics())[0]
    with invalid_topics(scene.exchange, [topic]), scene.running() as process:
        process.wait_for("refused topic")
        scene.wait_more(process, 60)
    assert scene.folder.rows("SELECT reason FROM gaps WHERE topic = ?", topic) == [("refused",)]
    scene.finish(f"refused topic ({scene.exchange.options.venue})")


def test_a_key_that_expires_in_a_run(tmp_path: Path, report: Report) -> None:
    """Only of venues that have keys."""
    with Simulator(SimulatorOptions(venue="bybit", rate_per_s=200, live_clock=True)) as exchange:
        scene = Scene(Folder(tmp_path), exchange, report)
        with scene.running() as process:
            scene.wait_more(process, 60)
            with expired(exchange):
                exchange.drop_connections()
                process.wait_for("refused the login")
            scene.wait_more(process, 0)
    scene.finish("expired key (bybit)")
