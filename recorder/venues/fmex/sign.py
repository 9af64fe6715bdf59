"""Signing for FMex: HMAC-SHA1 over the base64 of method, address, time and body.

Source: the exchange's page "ws Push portal" and its REST authentication page (2019-2020).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlencode

#: Largest difference between a request's timestamp and the server's clock, in milliseconds.
TIMESTAMP_WINDOW_MS = 30_000

KEY = "FC-ACCESS-KEY"
SIGNATURE = "FC-ACCESS-SIGNATURE"
TIMESTAMP = "FC-ACCESS-TIMESTAMP"


def signature(secret: str, method: str, url: str, timestamp_ms: int, body: Mapping[str, str] | None = None) -> str:
    """Sign one request.

    Args:
        secret: the API secret.
        method: ``GET`` or ``POST``.
        url: the full http(s) address, its query parameters already sorted by name.
        timestamp_ms: the client's clock, milliseconds since 1970.
        body: the parameters of a POST.

    Returns:
        The signature in base64.
    """
    pairs = "&".join(f"{name}={value}" for name, value in sorted((body or {}).items()))
    prepared = base64.b64encode(f"{method}{url}{timestamp_ms}{pairs}".encode())
    return base64.b64encode(hmac.new(secret.encode(), prepared, hashlib.sha1).digest()).decode()


def credentials(key: str, secret: str, method: str, url: str, timestamp_ms: int) -> dict[str, str]:
    """The three values that authenticate: headers of a REST request, query parameters of the push address."""
    return {
        KEY: key,
        TIMESTAMP: str(timestamp_ms),
        SIGNATURE: signature(secret, method, url, timestamp_ms),
    }


def push_address(http_url: str, ws_url: str, key: str, secret: str, timestamp_ms: int) -> str:
    """The signed address of the push portal: only the http address is signed, the ws address carries the result."""
    return f"{ws_url}?{urlencode(credentials(key, secret, 'GET', http_url, timestamp_ms))}"
