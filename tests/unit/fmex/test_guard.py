"""Who may ask FMex's stand-in, and how often."""

import pytest

from recorder.venues.fmex.rest import REQUESTS_MAX
from recorder.venues.fmex.stand_in.guard import WINDOW_MS, Guard
from recorder.venues.stand_in import Declined


def test_a_key_may_ask_so_often_in_so_long() -> None:
    guard = Guard(lambda _: None)
    for number in range(REQUESTS_MAX):
        guard.count("a", number)
    with pytest.raises(Declined) as declined:
        guard.count("a", WINDOW_MS - 1)
    assert (declined.value.status, declined.value.retry_after_s) == (429, 1)
    guard.count("b", WINDOW_MS - 1)
    guard.count("a", WINDOW_MS)
    with pytest.raises(Declined):
        guard.count("a", WINDOW_MS)


def test_keys_that_come_once_are_forgotten() -> None:
    guard = Guard(lambda _: None)
    for number in range(1_000):
        guard.count(f"main/{number}", number * WINDOW_MS // 10)
    assert len(guard._requests) <= 11
