"""The time in the record that a replay has reached."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.clock import NS_PER_S
from recorder.replay.clock import speed_of
from recorder.replay.serving.feed import ReplayPosition

S = NS_PER_S


def test_before_the_first_event_the_position_is_the_start() -> None:
    assert ReplayPosition(5 * S, 100 * S, 1.0).now_ns(1e9) == 5 * S


def test_between_two_events_the_position_advances_at_the_pace() -> None:
    moment = ReplayPosition(0, 100 * S, 2.0)
    moment.passed(10 * S)
    moment.waits(20 * S, due_s=1_005.0)
    assert moment.now_ns(1_000.0) == 10 * S
    assert moment.now_ns(1_003.0) == 16 * S
    assert moment.now_ns(1_005.0) == 20 * S - 1, "the next has not been told"
    assert moment.now_ns(1_500.0) == 20 * S - 1
    moment.passed(20 * S)
    assert moment.now_ns(1_500.0) == 20 * S
    assert moment.reached_ns == 20 * S


def test_a_limited_wait_does_not_move_the_position_back() -> None:
    moment = ReplayPosition(0, 10_000 * S, 1.0)
    moment.passed(10 * S)
    moment.waits(5_000 * S, due_s=1_005.0)
    assert moment.now_ns(1_000.0) == 4_995 * S, "the wait is cut at its beginning"
    moment.passed(9 * S)
    assert moment.now_ns(1_006.0) == 10 * S, "nor does a record whose clock went back"


def test_after_the_last_event_the_position_advances_to_the_end_of_the_period() -> None:
    moment = ReplayPosition(0, 100 * S, 10.0)
    moment.passed(50 * S)
    moment.ended(1_000.0)
    assert moment.now_ns(1_000.0) == 50 * S
    assert moment.now_ns(1_002.0) == 70 * S
    assert moment.now_ns(2_000.0) == 100 * S


def test_without_a_speed_the_position_jumps_from_event_to_event_and_to_the_end() -> None:
    moment = ReplayPosition(0, 100 * S, None)
    moment.passed(50 * S)
    moment.waits(60 * S, due_s=1_000.0)
    assert moment.now_ns(999.0) in (50 * S, 60 * S - 1)
    moment.ended(1_000.0)
    assert moment.now_ns(1_000.0) == 100 * S


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 5), st.floats(0, 10)), max_size=20), st.floats(0.1, 100))
def test_the_position_never_goes_back_and_never_beyond_the_sent_events(
    steps: list[tuple[int, float, float]], speed: float
) -> None:
    moment, now_s, latest_ns, at_ns = ReplayPosition(0, 1_000 * S, speed), 0.0, 0, 0
    for more_ns, wait_s, passes_s in steps:
        at_ns += more_ns * S + 1
        moment.waits(at_ns, now_s + wait_s)
        now_s += min(passes_s, wait_s)
        between_ns = moment.now_ns(now_s)
        assert latest_ns <= between_ns < at_ns
        moment.passed(at_ns)
        latest_ns = moment.now_ns(now_s)
        assert latest_ns == at_ns


def test_a_speed_is_parsed() -> None:
    assert [speed_of(text) for text in ("1", "0.5", "max")] == [1.0, 0.5, None]
    for text in ("0", "-1", "inf", "nan", "fast", ""):
        with pytest.raises(ValueError, match="is not a speed"):
            speed_of(text)


@pytest.mark.parametrize("speed", [5e-324, 1e-9, 1e9, 1.7e308])
def test_the_position_is_defined_at_extreme_speeds(speed: float) -> None:
    moment = ReplayPosition(0, 100 * S, speed)
    moment.passed(10 * S)
    for due_s in (1_000.0, 1e300, float("inf")):
        moment.waits(20 * S, due_s)
        for now_s in (999.0, 1_001.0):
            assert 10 * S <= moment.now_ns(now_s) < 20 * S
    moment.passed(20 * S)
    moment.ended(1_000.0)
    assert 20 * S <= moment.now_ns(1_001.0) <= 100 * S
