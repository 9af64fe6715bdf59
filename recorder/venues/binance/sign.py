"""Signing for Binance: HMAC-SHA256 in hex; RSA or Ed25519 in base64 where the secret is a private key in PEM.

Source: developers.binance.com, "USDⓈ-M Futures", "General Info" (SIGNED Endpoint Examples).
"""

import base64
import hashlib
import hmac
from urllib.parse import quote

#: Milliseconds for which a request stays valid. A request is accepted whose time is up to this far behind the
#: exchange's clock, and less than a second ahead of it.
RECV_WINDOW_MS = 10_000
AHEAD_MS = 1_000
#: Requests are dated back, so that this machine's clock may be as far ahead as behind.
CLOCK_TOLERANCE_MS = 5_000
_BACK_MS = CLOCK_TOLERANCE_MS - AHEAD_MS

KEY = "X-MBX-APIKEY"
_PEM = "-----BEGIN "


def signature(secret: str, text: str) -> str:
    """Sign a text: lower-case hex of the HMAC, or base64 of the signature (RSA: PKCS #1 v1.5)."""
    if not secret.startswith(_PEM):
        return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    # Most keys need none of this.
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa  # noqa: PLC0415

    key = serialization.load_pem_private_key(secret.encode(), password=None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return base64.b64encode(key.sign(text.encode())).decode()
    if isinstance(key, rsa.RSAPrivateKey):
        return base64.b64encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    raise ValueError("the secret is a private key, but neither of Ed25519 nor of RSA")


def signed(secret: str, query: str, now_ms: int) -> str:
    """What authenticates a request, to be sent behind its query.

    Args:
        secret: of the key, or the private key.
        query: as sent, without the question mark.
        now_ms: milliseconds since 1970.
    """
    dated = f"timestamp={now_ms - _BACK_MS}&recvWindow={RECV_WINDOW_MS}"
    text = f"{query}&{dated}" if query else dated
    return f"{'&' if query else '?'}{dated}&signature={quote(signature(secret, text), safe='')}"
