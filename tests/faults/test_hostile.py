"""Hostile frames among good ones: kept verbatim, and what follows them is recorded."""

import pytest

from tests.faults.scene import Scene
from tests.integration.test_hostile_frames import GOOD, HOSTILE, READABLE

pytestmark = pytest.mark.long


def test_hostile_frames_among_pushes(scene: Scene) -> None:
    with scene.running() as process:
        for number, hostile in enumerate((HOSTILE | READABLE).values()):
            assert scene.exchange.push(hostile) == 1
            assert scene.exchange.push(GOOD % number) == 1
        scene.wait_more(process, 200)
    verdict = scene.finish("hostile frames")
    assert verdict.lost < verdict.sent
    kept = {payload for (payload,) in scene.folder.rows("SELECT payload FROM frames WHERE status = 'undecoded'")}
    assert kept == set(HOSTILE.values())


@pytest.mark.parametrize("size", [1_000_001, 100 * 2**20])
def test_a_frame_over_the_limit(scene: Scene, size: int) -> None:
    scene.configure(limits={"frame_bytes_max": 1_000_000})
    with scene.running() as process:
        scene.wait_more(process)
        with scene.recovery(process):
            scene.exchange.push(b" " * size)
        scene.wait_more(process)
        assert process.peak_bytes() < 150 * 2**20
    assert scene.folder.rows("SELECT count(*) FROM gaps WHERE reason = 'frame too large'") == [(1,)]
    scene.finish("frame over the limit")
