"""An exchange that refuses: key, clock, topic, too many requests, maintenance. Said clearly, and never hammered."""

from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import invalid_topics, refusing
from tests.faults.conftest import Report
from tests.faults.scene import Scene
from tests.integration.process import Folder

pytestmark = pytest.mark.long


@pytest.mark.parametrize("status", [429, 503])
def test_asked_to_wait(scene: Scene, status: int) -> None:
    with scene.running() as process:
        scene.wait_more(process)
        with scene.recovery(process), refusing(scene.exchange, status, retry_after_s=1):
            scene.exchange.drop_connections()
            process.wait_for("asks to be left alone", 2)
            assert process.errors.count("asks to be left alone") <= 3, "tried again sooner than asked for"
        scene.wait_more(process)
    assert scene.finish(f"refused: {status}").lost > 0


@pytest.mark.parametrize(("status", "words"), [(500, "cannot answer now"), (404, "does not answer as this venue does")])
def test_an_answer_that_is_none(scene: Scene, status: int, words: str) -> None:
    with scene.running() as process:
        with scene.recovery(process), refusing(scene.exchange, status):
            scene.exchange.drop_connections()
            process.wait_for(words, 3)
        scene.wait_more(process)
    assert scene.finish("refused: other").lost > 0


def test_a_key_that_is_refused_in_the_middle_of_a_run_is_tried_slowly(scene: Scene) -> None:
    with scene.running() as process:
        scene.wait_more(process)
        with refusing(scene.exchange, 401):
            scene.exchange.drop_connections()
            process.wait_for("refused the key, its signature or the time")
            process.wait_for("Trying again in 30.0 s")
    assert process.errors.count("refused the key, its signature or the time") == 1
    scene.finish("refused: 401")


def test_a_key_that_is_refused_at_the_start_ends_the_run(scene: Scene) -> None:
    scene.folder.env["SECRET_MAIN"] = "wrong"
    with scene.run() as process:
        assert process.wait() == 2
    assert "refused the key, its signature or the time" in process.errors
    scene.configure()
    with scene.restarted():
        pass
    scene.finish("refused: 401")


@pytest.mark.parametrize("topics", [["account"], ["order.btcusd_p", "position.btcusd_p"]])
def test_a_topic_that_is_refused_has_a_gap_of_its_own(scene: Scene, topics: list[str]) -> None:
    with scene.running() as process:
        scene.wait_more(process)
        with scene.recovery(process), invalid_topics(scene.exchange, topics):
            scene.exchange.drop_connections()
            process.wait_for("the exchange refused topic", len(topics))
        scene.wait_more(process, 200)
        with scene.recovery(process):
            scene.exchange.drop_connections()
        scene.wait_more(process)
    assert scene.finish("refused: 41002").lost > 20, "what the topic would have told"
    gaps = scene.folder.rows("SELECT topic, ends_ns IS NOT NULL FROM gaps WHERE topic IS NOT NULL ORDER BY topic")
    assert gaps == [(topic, 1) for topic in topics]


def test_a_clock_that_is_off_is_told_before_anything_is_written(tmp_path: Path, report: Report) -> None:
    with Simulator(SimulatorOptions(rate_per_s=500, clock_offset_ms=-60_000)) as exchange:
        scene = Scene(Folder(tmp_path), exchange, report)
        with scene.run() as process:
            assert process.wait() == 2
        assert "This machine's clock is 60" in process.errors
        assert not scene.folder.database.exists()
    with Simulator(SimulatorOptions(rate_per_s=500, clock_offset_ms=-20_000)) as exchange:
        scene = Scene(Folder(tmp_path), exchange, report)
        with scene.restarted() as process:
            scene.wait_more(process)
        scene.finish("clock off")
