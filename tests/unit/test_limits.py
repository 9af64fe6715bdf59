"""Limits of the rate of requests, and of connections, as an exchange keeps them."""

from recorder.venues.limits import ConnectionCount, Connections, DecayingLimit, RateLimit


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


def test_new_connections_are_counted_by_address() -> None:
    count = ConnectionCount(Connections(opened_max=2, window_s=1.0))
    assert [count.refuses("a", 0, now_ms) for now_ms in (0, 500, 999, 1_000, 1_001)] == [
        False,
        False,
        True,
        False,
        True,
    ]
    assert not count.refuses("b", 0, 1_001)


def test_one_connection_too_many_can_be_a_ban() -> None:
    count = ConnectionCount(Connections(opened_max=1, window_s=1.0, ban_s=10.0))
    assert [count.refuses("a", 0, now_ms) for now_ms in (0, 1, 10_000, 10_001)] == [False, True, True, False]


def test_open_connections_are_limited_too() -> None:
    count = ConnectionCount(Connections(open_max=2))
    assert [count.refuses("a", open_now, 0) for open_now in (0, 1, 2, 1)] == [False, False, True, False]


def test_an_exchange_that_says_nothing_limits_nothing() -> None:
    count = ConnectionCount(Connections())
    assert not any(count.refuses("a", 1_000, 0) for _ in range(1_000))
