"""Signing for OKX: HMAC-SHA256 in base64. Source: okx.com/docs-v5, "REST Authentication" and "Login"."""

import base64
import hashlib
import hmac

from recorder.clock import NS_PER_MS, utc_text

#: How far a request's time may be from the exchange's clock, milliseconds.
WINDOW_MS = 30_000
LOGIN_PATH = "/users/self/verify"


def signature(secret: str, text: str) -> str:
    """Sign a text."""
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def timestamp(now_ms: int) -> str:
    """An instant as REST wants it: `2020-12-08T09:08:57.715Z`."""
    return f"{utc_text(now_ms * NS_PER_MS).replace(' ', 'T')}Z"


def headers(key: str, secret: str, passphrase: str, target: str, now_ms: int) -> dict[str, str]:
    """The headers that authenticate a GET request.

    Args:
        key: the API key.
        secret: its secret.
        passphrase: chosen with the key.
        target: path and query, exactly as sent.
        now_ms: milliseconds since 1970.
    """
    at = timestamp(now_ms)
    return {
        "OK-ACCESS-KEY": key,
        "OK-ACCESS-SIGN": signature(secret, f"{at}GET{target}"),
        "OK-ACCESS-TIMESTAMP": at,
        "OK-ACCESS-PASSPHRASE": passphrase,
    }


def login(key: str, secret: str, passphrase: str, now_ms: int) -> dict[str, str]:
    """The argument of the command that logs in; its time is in seconds."""
    at = str(now_ms // 1000)
    return {
        "apiKey": key,
        "passphrase": passphrase,
        "timestamp": at,
        "sign": signature(secret, f"{at}GET{LOGIN_PATH}"),
    }
