"""Signing for Binance spot, with any kind of key: HMAC-SHA256, Ed25519 or RSA.

The secret is that of an HMAC key, or the private key in the text form that begins with `-----BEGIN`.
Source: developers.binance.com/docs/binance-spot-api-docs, "Request security" of the REST API and of the WebSocket API.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import quote, urlencode

from recorder.errors import ConfigurationError

#: The header that names the key.
KEY = "X-MBX-APIKEY"
#: How far a request's time may be behind the exchange's clock, and ahead of it, milliseconds.
WINDOW_MS, AHEAD_MS = 5_000, 1_000
#: Requests are dated back, so that this machine's clock may be as far ahead as behind.
CLOCK_TOLERANCE_MS = 2 * AHEAD_MS
_BACK_MS = CLOCK_TOLERANCE_MS - AHEAD_MS

_PEM = "-----BEGIN"
#: A private key of Ed25519 in its text form has some hundred characters, one of RSA more than a thousand.
_ED25519_CHARS_MAX = 200


def signature(secret: str, text: str) -> str:
    """Sign a text: hexadecimal with an HMAC key, base64 with a private key.

    Raises:
        ConfigurationError: the private key cannot be used.
    """
    if secret.lstrip().startswith(_PEM):
        return base64.b64encode(_signer(secret)(text.encode())).decode()
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_ed25519(secret: str) -> bool:
    """Whether the secret is a private key of the kind that may log on: its text form tells it by its length."""
    return secret.lstrip().startswith(_PEM) and len("".join(secret.split())) < _ED25519_CHARS_MAX


@lru_cache(maxsize=16)
def _signer(secret: str) -> Callable[[bytes], bytes]:
    try:
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415  an extra
        from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            "Private keys need a library; type: pip install 'exchange-recorder[audit]', or use an HMAC key."
        ) from None
    try:
        key = load_pem_private_key(secret.strip().encode(), None)
    except (ValueError, TypeError) as error:
        # The error may quote the key.
        raise ConfigurationError(
            "The secret is not a private key without a password in PEM form; give the text of the exchange's page, "
            f"or an HMAC secret ({type(error).__name__})."
        ) from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign
    if isinstance(key, rsa.RSAPrivateKey):
        private = key
        return lambda text: private.sign(text, padding.PKCS1v15(), hashes.SHA256())
    raise ConfigurationError("The secret is a private key of another kind than Ed25519 and RSA; make one of these.")


def signed(secret: str, query: str, now_ms: int) -> str:
    """What signs a query, to be sent after it.

    Args:
        secret: of the key.
        query: exactly as sent, without `?`; it may be empty.
        now_ms: milliseconds since 1970.
    """
    more = urlencode({"recvWindow": str(WINDOW_MS), "timestamp": str(now_ms - _BACK_MS)})
    text = f"{query}&{more}" if query else more
    return f"{'&' if query else '?'}{more}&signature={quote(signature(secret, text), safe='')}"


def parameters(key: str, secret: str, now_ms: int) -> dict[str, object]:
    """The parameters of a command of the WebSocket API that needs a signature and nothing else."""
    given = {"apiKey": key, "recvWindow": WINDOW_MS, "timestamp": now_ms - _BACK_MS}
    return {**given, "signature": signature(secret, sorted_text(given))}


def sorted_text(given: Mapping[str, object]) -> str:
    """The parameters of a command as they are signed: by their names, and not percent-encoded."""
    return "&".join(f"{name}={given[name]}" for name in sorted(given))
