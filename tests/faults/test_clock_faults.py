"""The wall clock jumps: no session ends by it, and order holds. Only the monotonic clock measures."""

import time
from pathlib import Path

import pytest

from recorder.clock import NS_PER_S, Clock
from recorder.simulator import Simulator
from tests.faults.conftest import Report
from tests.faults.live import Live

pytestmark = pytest.mark.long


class JumpingClock:
    """The machine's clock, and so many seconds off."""

    def __init__(self) -> None:
        self.off_s = 0.0

    def clock(self) -> Clock:
        return Clock(wall_ns=lambda: time.time_ns() + int(self.off_s * NS_PER_S))


@pytest.mark.parametrize("jump_s", [3_600.0, -3_600.0, 0.5, -0.5])
def test_a_jump_in_a_session_ends_nothing(tmp_path: Path, exchange: Simulator, report: Report, jump_s: float) -> None:
    jumping = JumpingClock()
    live = Live(tmp_path, exchange, clock=jumping.clock(), heartbeat_s=0.2, silent_s=2.0)
    with live.recording():
        live.wait_more(100)
        jumping.off_s = jump_s
        live.wait_more(600)
        jumping.off_s = 0.0
        live.wait_more(100)
    live.finish("clock jump", report, one_clock=False)
    assert live.sessions() == 1


@pytest.mark.parametrize("jump_s", [25.0, -25.0])
def test_a_jump_and_then_an_outage(tmp_path: Path, exchange: Simulator, report: Report, jump_s: float) -> None:
    """The exchange forgives half a minute. A gap may then end before it begins by the clock, but not by its frames."""
    jumping = JumpingClock()
    live = Live(tmp_path, exchange, clock=jumping.clock())
    with live.recording():
        for off_s in (jump_s, 0.0, jump_s):
            live.wait_more(100)
            jumping.off_s = off_s
            before = live.sessions()
            exchange.drop_connections()
            live.wait_new_session(before)
        live.wait_more(100)
    live.finish("clock jump", report, one_clock=False)
    assert live.sessions() == 4


@pytest.mark.parametrize("jump_s", [25.0, -25.0])
def test_a_jump_between_two_runs(tmp_path: Path, exchange: Simulator, report: Report, jump_s: float) -> None:
    jumping = JumpingClock()
    live = Live(tmp_path, exchange, clock=jumping.clock())
    for off_s in (0.0, jump_s, 0.0):
        jumping.off_s = off_s
        with live.recording():
            live.wait_more(100)
    live.finish("clock jump", report, one_clock=False)
