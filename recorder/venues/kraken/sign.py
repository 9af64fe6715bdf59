"""Signing for Kraken: HMAC-SHA512 in base64. Source: docs.kraken.com, "Spot REST Authentication".

A request has a number, the nonce, that must be greater than in all requests of its key before. Milliseconds are used,
as most programs do: after a greater unit, those that share the key could make no more requests.
"""

import base64
import binascii
import hashlib
import hmac


def signature(secret: str, path: str, nonce: str, body: bytes) -> str:
    """The signature of a request.

    Args:
        secret: of the key, in base64.
        path: from `/0/` on.
        nonce: as in the body.
        body: exactly as sent.
    """
    digest = hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.new(_key(secret), path.encode() + digest, hashlib.sha512).digest()).decode()


def _key(secret: str) -> bytes:
    """The bytes of a secret. One that is no base64 is none of the exchange's, which will refuse it."""
    try:
        return base64.b64decode(secret)
    except (binascii.Error, ValueError):
        return secret.encode()


def headers(key: str, secret: str, path: str, nonce: str, body: bytes) -> dict[str, str]:
    """The headers that authenticate a request."""
    return {
        "API-Key": key,
        "API-Sign": signature(secret, path, nonce, body),
        "Content-Type": "application/x-www-form-urlencoded",
    }
