"""The line between recorder and exchange: slow, sliced, reset, cut, half-open, stalled; and mere silence."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from recorder.simulator import Simulator
from recorder.simulator.faults import deaf, silent, stalled_mid_frame
from tests.faults.conftest import Report
from tests.faults.live import Live
from tests.faults.proxy import BOTH, Proxy
from tests.faults.scene import COVERED, Scene

pytestmark = pytest.mark.long

SILENT = "nothing came for 2 s"


@pytest.fixture
def proxy(exchange: Simulator) -> Iterator[Proxy]:
    with Proxy(exchange.port) as proxy:
        yield proxy


def loses_nothing(scene: Scene, proxy: Proxy, toxic: AbstractContextManager[None], frames: int) -> None:
    """A line that is bad but whole costs time and nothing else: no gap, no loss."""
    scene.configure(proxy)
    with scene.running() as process:
        with toxic:
            scene.wait_more(process, frames)
        scene.wait_more(process)
    assert process.errors.count(COVERED) == 1, "the session was to live on"


@pytest.mark.parametrize("bytes_max", [1, 7, 600])
def test_sliced_frames(scene: Scene, proxy: Proxy, bytes_max: int) -> None:
    loses_nothing(scene, proxy, proxy.slicer(bytes_max), 100)
    scene.finish("sliced frames")


def test_a_slow_line(scene: Scene, proxy: Proxy) -> None:
    loses_nothing(scene, proxy, proxy.latency(0.2), 300)
    scene.finish("slow line")


def test_a_narrow_line(scene: Scene, proxy: Proxy) -> None:
    loses_nothing(scene, proxy, proxy.bandwidth(30_000), 100)
    scene.finish("slow line")


def test_a_line_that_is_interrupted_and_comes_back_in_time(scene: Scene, proxy: Proxy) -> None:
    scene.configure(proxy, {"silent_s": 20})
    with scene.running() as process:
        with proxy.hold():
            before = len(scene.exchange.sent)
            while len(scene.exchange.sent) < before + 500:
                scene.exchange.wait_subscribed()
        scene.wait_more(process, 500)
    assert process.errors.count(COVERED) == 1
    scene.finish("interrupted line")


@pytest.mark.parametrize("end", [Proxy.reset, Proxy.cut])
@pytest.mark.parametrize("times", [1, 5])
def test_a_line_that_is_reset_or_cut(scene: Scene, proxy: Proxy, end: Callable[[Proxy], int], times: int) -> None:
    scene.configure(proxy)
    with scene.running() as process:
        for _ in range(times):
            scene.wait_more(process)
            with scene.recovery(process):
                end(proxy)
        scene.wait_more(process)
    scene.finish("reset" if end is Proxy.reset else "cut")


def test_a_line_that_is_reset_in_the_middle_of_a_slice(scene: Scene, proxy: Proxy) -> None:
    scene.configure(proxy)
    with scene.running() as process:
        for _ in range(5):
            with proxy.slicer(5):
                scene.wait_more(process, 30)
                with scene.recovery(process):
                    proxy.reset()
    scene.finish("reset")


def test_nobody_answers_for_a_while(scene: Scene, proxy: Proxy) -> None:
    scene.configure(proxy)
    with scene.running() as process:
        with scene.recovery(process), proxy.refusing():
            proxy.reset()
            process.wait_for("Trying again in", 3)
        scene.wait_more(process)
    verdict = scene.finish("nobody answers")
    assert verdict.lost > 0, "trading went on meanwhile"


@pytest.mark.parametrize("directions", [BOTH, frozenset({"down"})], ids=["both ways", "half-open"])
def test_a_black_hole(scene: Scene, proxy: Proxy, directions: frozenset[str]) -> None:
    scene.configure(proxy)
    with scene.running() as process:
        with scene.outage(process), proxy.blackhole(directions):  # type: ignore[arg-type]
            process.wait_for(SILENT)
        scene.wait_more(process)
    verdict = scene.finish("half-open line")
    assert verdict.lost > 500, "two seconds of pushes vanished"


@pytest.mark.parametrize("fault", [deaf, stalled_mid_frame])
def test_an_exchange_that_hangs(scene: Scene, fault: Callable[[Simulator], AbstractContextManager[None]]) -> None:
    with scene.running() as process:
        with scene.outage(process), fault(scene.exchange):
            process.wait_for(SILENT)
        scene.wait_more(process)
    verdict = scene.finish("hung exchange" if fault is deaf else "stall in the middle of a frame")
    assert verdict.lost > 500


def test_a_silent_exchange_is_no_gap(tmp_path: Path, exchange: Simulator, report: Report) -> None:
    """Nothing is traded for longer than the watchdog's bound, but pings are answered: that is proof of life."""
    live = Live(tmp_path, exchange, heartbeat_s=0.3, silent_s=1.0)
    with live.recording():
        live.wait_more(100)
        with silent(exchange):
            # Of a batch of its own each: the answers go on for three times the bound.
            for _ in range(12):
                live.wait_more(1)
        live.wait_more(100)
    live.finish("silent exchange", report)
    assert live.sessions() == 1
