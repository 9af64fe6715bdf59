"""Signing for Bitget: HMAC-SHA256 in base64. Source: bitget.com/docs/uta, "Signature", "Login"."""

import base64
import hashlib
import hmac

#: How far a request's time may be from the exchange's clock, milliseconds.
WINDOW_MS = 30_000
LOGIN_PATH = "/user/verify"


def signature(secret: str, text: str) -> str:
    """Sign a text."""
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def headers(key: str, secret: str, passphrase: str, target: str, now_ms: int) -> dict[str, str]:
    """The headers that authenticate a GET request.

    Args:
        key: the API key.
        secret: its secret.
        passphrase: chosen with the key.
        target: path and query, its values as they are and not percent-encoded: the exchange signs decoded text.
        now_ms: milliseconds since 1970.
    """
    return {
        "ACCESS-KEY": key,
        "ACCESS-SIGN": signature(secret, f"{now_ms}GET{target}"),
        "ACCESS-TIMESTAMP": str(now_ms),
        "ACCESS-PASSPHRASE": passphrase,
        "locale": "en-US",
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
