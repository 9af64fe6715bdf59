"""When events are due."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.replay import ReplayPace

S = 10**9


@pytest.mark.parametrize(
    ("speed", "expected"), [(1.0, [100, 102, 110]), (10.0, [100, 100.2, 101]), (0.5, [100, 104, 120])]
)
def test_intervals_are_those_of_the_record_divided_by_the_speed(speed: float, expected: list[float]) -> None:
    pace = ReplayPace(speed)
    assert [pace.due_s(at_s * S, 100.0) for at_s in (7, 9, 17)] == pytest.approx(expected)


def test_without_a_speed_every_event_is_due_now() -> None:
    pace = ReplayPace(None)
    assert [pace.due_s(at_s * S, 50.0 + at_s) for at_s in (7, 9, 1000)] == [57.0, 59.0, 1050.0]


def test_a_late_replay_catches_up() -> None:
    pace = ReplayPace(1.0)
    assert pace.due_s(0, 100.0) == 100.0
    assert pace.due_s(1 * S, 105.0) == 101.0
    assert pace.due_s(10 * S, 106.0) == 110.0


def test_a_clock_that_was_set_back_causes_no_wait() -> None:
    pace = ReplayPace(1.0)
    assert [pace.due_s(at_s * S, 0.0) for at_s in (10, 12, 2, 12, 13)] == [0.0, 2.0, 2.0, 2.0, 3.0]


def test_a_long_wait_can_be_limited() -> None:
    pace = ReplayPace(1.0, wait_s_max=5.0)
    assert pace.due_s(0, 100.0) == 100.0
    assert pace.due_s(3 * S, 100.0) == 103.0
    assert pace.due_s(10_000 * S, 103.0) == 108.0
    assert pace.due_s(10_001 * S, 108.0) == 109.0


def test_an_event_without_an_instant_is_due_at_once() -> None:
    pace = ReplayPace(1.0)
    assert pace.due_s(None, 5.0) == 5.0
    assert pace.due_s(10 * S, 6.0) == 6.0


@given(st.lists(st.integers(0, 10**12)), st.floats(0.01, 1000))
def test_due_times_never_go_back(instants: list[int], speed: float) -> None:
    pace = ReplayPace(speed)
    due = [pace.due_s(ns, 0.0) for ns in instants]
    assert due == sorted(due)


@pytest.mark.parametrize(
    ("speed", "wait_s_max"),
    [(0, None), (-1, None), (float("inf"), None), (float("nan"), None), (1, 0), (1, -1), (1, float("nan"))],
)
def test_an_invalid_pace_is_refused(speed: float, wait_s_max: float | None) -> None:
    with pytest.raises(ValueError, match=r"speed|waits"):
        ReplayPace(speed, wait_s_max)


def test_events_in_progress_at_the_start_are_due_there() -> None:
    pace = ReplayPace(1.0, since_ns=7_000 * S)
    assert [pace.due_s(at_s * S, 100.0) for at_s in (1, 2, 7_003)] == [100.0, 100.0, 103.0]
    pace = ReplayPace(1.0, since_ns=0)
    assert pace.due_s(7_000 * S, 100.0) == 100.0, "before the record there is nothing to wait for"
