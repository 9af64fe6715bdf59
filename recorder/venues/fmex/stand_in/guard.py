"""Who may ask, and how often: key, signature, the 30 s window, 100 requests in 10 s. Pure but for the counts."""

import hmac
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from math import ceil

from recorder.venues.fmex.rest import REQUESTS_MAX, REQUESTS_WINDOW_S
from recorder.venues.fmex.sign import KEY, SIGNATURE, TIMESTAMP, TIMESTAMP_WINDOW_MS, signature
from recorder.venues.stand_in import Declined

#: The window in which a key may make so many requests, milliseconds.
WINDOW_MS = int(REQUESTS_WINDOW_S * 1000)


class Guard:
    """Checks the three values that prove who asks, and counts each key's requests.

    Args:
        secret_of: key → its secret; None: there is no such key.
    """

    def __init__(self, secret_of: Callable[[str], str | None]) -> None:
        self._secret_of = secret_of
        self._requests: defaultdict[str, deque[int]] = defaultdict(deque)

    def admit(self, given: Mapping[str, str], urls: Collection[str], now_ms: int) -> str:
        """Say whose request this is.

        Args:
            given: key, signature and timestamp under their FC-ACCESS names: headers, or parameters of the push address.
            urls: the http addresses of which one must have been signed, query sorted by name.
            now_ms: the server's clock.

        Returns:
            The key.

        Raises:
            Declined: 401, saying which of the three is wrong.
        """
        key = given.get(KEY, "")
        secret = self._secret_of(key)
        if secret is None:
            raise Declined(401, "api key not found")
        stamp = given.get(TIMESTAMP, "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 16):
            raise Declined(401, "timestamp missing or not in milliseconds")
        if abs(now_ms - int(stamp)) > TIMESTAMP_WINDOW_MS:
            raise Declined(401, "timestamp expired, more than 30 seconds from the server's clock")
        # Many clients do not escape a `+` in the push address, and a query reads it as a blank.
        signed = given.get(SIGNATURE, "").replace(" ", "+").encode(errors="replace")
        right = [signature(secret, "GET", url, int(stamp)).encode() for url in urls]
        if not any(hmac.compare_digest(one, signed) for one in right):
            raise Declined(401, "signature mismatch")
        return key

    def count(self, key: str, now_ms: int) -> None:
        """Count a request.

        Raises:
            Declined: 429, when the key made too many in the last ten seconds.
        """
        if key not in self._requests:  # there can be ever new ones
            for old in [old for old, times in self._requests.items() if now_ms - times[-1] >= WINDOW_MS]:
                del self._requests[old]
        times = self._requests[key]
        while times and now_ms - times[0] >= WINDOW_MS:
            times.popleft()
        if len(times) >= REQUESTS_MAX:
            raise Declined(429, "too many requests, slow down", ceil((times[0] + WINDOW_MS - now_ms) / 1000))
        times.append(now_ms)
