"""Who may ask, and how often: key, signature, the 30 s window, 100 requests in 10 s. Pure but for the counts."""

import hmac
from collections import deque
from collections.abc import Mapping
from math import ceil

from recorder.venues.fmex.sign import KEY, SIGNATURE, TIMESTAMP, TIMESTAMP_WINDOW_MS, signature

#: Requests a key may make in a window.
REQUESTS_MAX = 100

#: The window, milliseconds.
WINDOW_MS = 10_000


class Refused(Exception):
    """The request is refused, with an HTTP status and a message for the client."""

    def __init__(self, status: int, message: str, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        #: Seconds to wait before the next request; 0 where that does not help.
        self.retry_after_s = retry_after_s


class Guard:
    """Checks the three values that prove who asks, and counts each key's requests.

    Args:
        secrets: each key's secret.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)
        self._requests: dict[str, deque[int]] = {key: deque() for key in secrets}

    def admit(self, given: Mapping[str, str], url: str, now_ms: int) -> str:
        """Say whose request this is.

        Args:
            given: key, signature and timestamp under their FC-ACCESS names: headers, or parameters of the push address.
            url: the http address that must have been signed, query sorted by name.
            now_ms: the server's clock.

        Returns:
            The key.

        Raises:
            Refused: 401, saying which of the three is wrong.
        """
        key = given.get(KEY, "")
        if key not in self._secrets:
            raise Refused(401, "api key not found")
        stamp = given.get(TIMESTAMP, "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 16):
            raise Refused(401, "timestamp missing or not in milliseconds")
        if abs(now_ms - int(stamp)) > TIMESTAMP_WINDOW_MS:
            raise Refused(401, "timestamp expired, more than 30 seconds from the server's clock")
        right = signature(self._secrets[key], "GET", url, int(stamp))
        if not hmac.compare_digest(right.encode(), given.get(SIGNATURE, "").encode(errors="replace")):
            raise Refused(401, "signature mismatch")
        return key

    def count(self, key: str, now_ms: int) -> None:
        """Count a request.

        Raises:
            Refused: 429, when the key made too many in the last ten seconds.
        """
        times = self._requests[key]
        while times and now_ms - times[0] >= WINDOW_MS:
            times.popleft()
        if len(times) >= REQUESTS_MAX:
            raise Refused(429, "too many requests, slow down", ceil((times[0] + WINDOW_MS - now_ms) / 1000))
        times.append(now_ms)
