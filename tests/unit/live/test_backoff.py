"""Waits between attempts to connect."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.live.backoff import Backoff

FIRST_S, LAST_S = 0.5, 30.0


def longest(low_s: float, high_s: float) -> float:
    return high_s


def shortest(low_s: float, high_s: float) -> float:
    return low_s


def test_the_waits_double_up_to_their_bound() -> None:
    backoff = Backoff(FIRST_S, LAST_S, longest)
    assert [backoff.next_s() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_wait_is_at_least_half_its_bound() -> None:
    backoff = Backoff(FIRST_S, LAST_S, shortest)
    assert [backoff.next_s() for _ in range(8)] == [0.25, 0.5, 1, 2, 4, 8, 15, 15]


def test_after_a_good_connection_they_begin_anew() -> None:
    backoff = Backoff(FIRST_S, LAST_S, longest)
    for _ in range(5):
        backoff.next_s()
    backoff.reset()
    assert [backoff.next_s() for _ in range(2)] == [0.5, 1]


def test_never_sooner_than_the_exchange_asked_and_it_counts_as_an_attempt() -> None:
    backoff = Backoff(FIRST_S, LAST_S, longest)
    assert [backoff.next_s(120.0), backoff.next_s(0.1), backoff.next_s()] == [120.0, 1, 2]


def test_months_of_attempts_overflow_nothing() -> None:
    backoff = Backoff(FIRST_S, LAST_S, longest)
    for _ in range(5_000):
        assert backoff.next_s() <= LAST_S


@given(st.floats(0.001, 100), st.floats(0.001, 1000), st.integers(1, 40), st.floats(0, 100))
def test_every_wait_is_within_its_bounds(first_s: float, last_s: float, attempts: int, at_least_s: float) -> None:
    backoff = Backoff(first_s, last_s)
    for attempt in range(attempts):
        bound_s = min(last_s, first_s * 2**attempt)
        wait_s = backoff.next_s(at_least_s)
        assert max(bound_s / 2, at_least_s) <= wait_s <= max(bound_s, at_least_s) or wait_s == pytest.approx(bound_s)


def test_no_two_recorders_wait_alike() -> None:
    waits = [Backoff(FIRST_S, LAST_S).next_s() for _ in range(20)]
    assert len(set(waits)) > 1
    assert all(0.25 <= wait_s <= 0.5 for wait_s in waits)
    assert any(one != other for one, other in pairwise(waits))
