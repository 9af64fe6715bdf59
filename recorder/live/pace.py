"""No more REST requests than an exchange allows, with room left for the user's programs: the limit is theirs."""

from collections import deque

#: Of the requests a user may make, so much is ours.
OUR_SHARE = 0.5


class Pace:
    """The pace of one user's requests: a sliding window.

    Args:
        requests_max: a user's, within a window.
        window_s: the window.
    """

    def __init__(self, requests_max: int, window_s: float) -> None:
        self._ours_max = max(int(requests_max * OUR_SHARE), 1)
        self._window_s = window_s
        self._sent_s: deque[float] = deque(maxlen=self._ours_max)

    def wait_s(self, now_s: float) -> float:
        """How long to wait before the next request, on the monotonic clock; the request is counted."""
        wait_s = 0.0
        if len(self._sent_s) == self._ours_max:
            wait_s = max(self._sent_s[0] + self._window_s - now_s, 0.0)
        self._sent_s.append(now_s + wait_s)
        return wait_s
