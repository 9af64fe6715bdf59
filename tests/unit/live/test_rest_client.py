"""Requests over REST: the exchange's clock, the rate limit, and what each failure costs."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.clock import NS_PER_MS, Clock
from recorder.errors import Refused, Unreachable
from recorder.live.http import HttpClient
from recorder.live.rest_client import RateLimit, check_clock
from recorder.venues.rest import RestLimit
from tests.unit.live.peer import PATIENCE_S, Peer, refuse
from tests.unit.live.stage import account_of

NOW_MS = int(datetime(2020, 2, 4, tzinfo=UTC).timestamp()) * 1000
CLOCK = Clock(wall_ns=lambda: NOW_MS * NS_PER_MS)

Answer = Callable[[bytes], bytes]


@given(st.integers(2, 40), st.floats(0.1, 20.0), st.lists(st.floats(0.0, 5.0), min_size=1, max_size=200))
def test_no_window_holds_more_than_our_share(requests_max: int, window_s: float, idle_s: list[float]) -> None:
    rate = RateLimit([RestLimit(requests_max, window_s)])
    now_s, sent_s = 0.0, []
    for pause_s in idle_s:
        now_s += pause_s
        now_s += rate.wait_s(now_s)
        sent_s.append(now_s)
    ours = max(requests_max // 2, 1)
    for first, last in zip(sent_s, sent_s[ours:], strict=False):
        assert last - first >= window_s * (1 - 1e-9)
    assert all(before <= after for before, after in pairwise(sent_s))


def test_the_first_go_out_at_once() -> None:
    rate = RateLimit([RestLimit(100, 10.0)])
    assert [rate.wait_s(0.0) for _ in range(51)] == [0.0] * 50 + [10.0]


def server_time(ms: int) -> Answer:
    return refuse("200 OK", body=b'{"status":0,"data":%d}' % ms)


def check(answer: Answer, clock: Clock = CLOCK) -> None:
    with Peer(answer) as peer:
        check_clock(account_of(peer), HttpClient(peer.url, PATIENCE_S, PATIENCE_S), clock)
        assert peer.requests.get().startswith(b"GET /v2/public/server-time HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("server_ms", "words"),
    [
        (NOW_MS - 30_001, "30.0 s ahead of"),
        (NOW_MS + 30_001, "30.0 s behind"),
        (NOW_MS + 3_600_000, "3600.0 s behind"),
        (0, "1580774400.0 s ahead of"),
    ],
)
def test_a_clock_that_the_exchange_would_refuse(server_ms: int, words: str) -> None:
    with pytest.raises(Refused, match=f"This machine's clock is {words} the exchange's, which refuses more than 30 s"):
        check(server_time(server_ms))


@pytest.mark.parametrize(
    ("server_ms", "words"),
    [
        (NOW_MS - 30_000, "this machine's clock is 30.0 s ahead of the exchange's: set it"),
        (NOW_MS + 1_001, "this machine's clock is 1.0 s behind the exchange's: set it"),
        (NOW_MS - 1_000, ""),
        (NOW_MS, ""),
    ],
)
def test_a_clock_that_is_a_little_off_is_said(server_ms: int, words: str, caplog: pytest.LogCaptureFixture) -> None:
    check(server_time(server_ms))
    assert caplog.messages == ([f"main: {words} (NTP)"] if words else [])


def test_a_slow_answer_is_no_wrong_clock(caplog: pytest.LogCaptureFixture) -> None:
    """Asked at 0, answered at 4, come at 8 seconds."""
    times = iter([NOW_MS, NOW_MS + 8_000])
    check(server_time(NOW_MS + 4_000), Clock(wall_ns=lambda: next(times) * NS_PER_MS))
    assert caplog.messages == []


@pytest.mark.parametrize(
    "answer",
    [
        refuse("503 Service Unavailable"),
        refuse("429 Too Many Requests"),
        refuse("200 OK", body=b'{"data":"soon"}'),
    ],
)
def test_a_clock_that_is_not_told_is_no_reason_to_stop(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    check(answer)
    (said,) = caplog.messages
    assert said.startswith("main: the exchange's clock is not known (")


@pytest.mark.parametrize("answer", [refuse("200 OK", body=b"<html>"), refuse("200 OK"), refuse("500 Error")])
def test_an_address_that_is_another_servers_ends_the_start(answer: Answer) -> None:
    with pytest.raises(Unreachable, match=r"does not answer as this venue does: HTTP .*; check the address"):
        check(answer)
