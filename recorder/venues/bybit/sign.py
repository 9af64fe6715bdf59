"""Signing for Bybit: HMAC-SHA256, or RSA where the secret is a private key in PEM.

Source: bybit-exchange.github.io/docs/v5/guide (Authentication) and /v5/ws/connect.
"""

import base64
import hashlib
import hmac

#: Milliseconds for which a request stays valid: the server accepts one whose time is up to this far behind its clock,
#: and less than `AHEAD_MS` ahead of it.
RECV_WINDOW_MS = 10_000
AHEAD_MS = 1_000
#: How long a login stays valid after it was made, milliseconds.
LOGIN_MS = 10_000

_PEM = "-----BEGIN "


def signature(secret: str, text: str) -> str:
    """Sign a text: lower-case hex of the HMAC, or base64 of the RSA signature (PKCS #1 v1.5)."""
    if not secret.startswith(_PEM):
        return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    # Most keys need none of this.
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    key = serialization.load_pem_private_key(secret.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the secret is a private key, but not one of RSA")
    return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def headers(key: str, secret: str, query: str, now_ms: int) -> dict[str, str]:
    """The headers that authenticate a GET request.

    Args:
        key: the API key.
        secret: its secret, or the private key.
        query: of the address, exactly as sent, without the question mark.
        now_ms: milliseconds since 1970.
    """
    # A clock that runs ahead is refused within a second, one that is behind only after the window.
    at_ms = now_ms - AHEAD_MS
    return {
        "X-BAPI-API-KEY": key,
        "X-BAPI-TIMESTAMP": str(at_ms),
        "X-BAPI-RECV-WINDOW": str(RECV_WINDOW_MS),
        "X-BAPI-SIGN": signature(secret, f"{at_ms}{key}{RECV_WINDOW_MS}{query}"),
    }


def login(key: str, secret: str, now_ms: int) -> tuple[str, int, str]:
    """The arguments of the command that logs in: key, the time until which it is valid, signature."""
    expires_ms = now_ms + LOGIN_MS
    return key, expires_ms, signature(secret, f"GET/realtime{expires_ms}")
