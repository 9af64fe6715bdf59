"""The pace of REST requests: never more than our share in any window."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recorder.live.pace import Pace


@given(st.integers(2, 40), st.floats(0.1, 20.0), st.lists(st.floats(0.0, 5.0), min_size=1, max_size=200))
def test_no_window_holds_more_than_our_share(requests_max: int, window_s: float, idle_s: list[float]) -> None:
    pace = Pace(requests_max, window_s)
    now_s, sent_s = 0.0, []
    for pause_s in idle_s:
        now_s += pause_s
        now_s += pace.wait_s(now_s)
        sent_s.append(now_s)
    ours = max(requests_max // 2, 1)
    for first, last in zip(sent_s, sent_s[ours:], strict=False):
        assert last - first >= window_s * (1 - 1e-9)
    assert all(before <= after for before, after in pairwise(sent_s))


def test_the_first_go_out_at_once() -> None:
    pace = Pace(100, 10.0)
    assert [pace.wait_s(0.0) for _ in range(51)] == [0.0] * 50 + [10.0]
