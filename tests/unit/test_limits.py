"""Limits of the rate of requests, as an exchange keeps them."""

from recorder.venues.limits import DecayingLimit, RateLimit


def test_weight_is_spent_within_a_window() -> None:
    limit = RateLimit(100, 1_000)
    assert [limit.spend("a", now_ms, 40) for now_ms in (0, 100)] == [0, 0]
    assert limit.left("a", 100) == 20
    # 40 more fit once the first 40 are a second old; 80 more once both are.
    assert limit.spend("a", 200, 40) == 800
    assert limit.spend("a", 200, 80) == 900
    assert limit.spend("b", 200, 80) == 0
    assert limit.spend("a", 1_000, 40) == 0
    assert limit.left("a", 1_000) == 20


def test_one_request_too_many_can_be_a_ban() -> None:
    limit = RateLimit(1, 100, ban_ms=5_000)
    assert limit.spend("a", 0) == 0
    assert limit.spend("a", 50) == 5_000
    # The window is over, the ban is not, and asking does not extend it.
    assert limit.spend("a", 4_050) == 1_000
    assert limit.spend("a", 5_050) == 0


def test_a_counter_falls_with_time() -> None:
    limit = DecayingLimit(20, 0.5)
    assert [limit.spend("a", 0, 4) for _ in range(5)] == [0] * 5
    # A refused request does not count.
    assert [limit.spend("a", 0, 4), limit.spend("a", 4_000, 4), limit.spend("b", 0, 20)] == [8_000, 4_000, 0]
    assert limit.spend("a", 8_000, 4) == 0
    assert limit.spend("a", 8_000) == 2_000
    # Long ago is as if never.
    assert limit.spend("c", 10**9) == 0
    assert limit.spend("a", 10**9, 20) == 0
