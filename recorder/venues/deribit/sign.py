"""Signing for Deribit: HMAC-SHA256 in lower-case hex.

Source: docs.deribit.com, "Authentication": `client_signature` on the socket, `deri-hmac-sha256` over REST.
"""

import hashlib
import hmac
import secrets

#: How far a request's time may be from the exchange's clock, milliseconds.
WINDOW_MS = 60_000
#: What a login asks for: its token cannot trade, even if the key can.
SCOPE = "account:read trade:read wallet:read"
SCHEME = "deri-hmac-sha256"


def signature(secret: str, *lines: str) -> str:
    """Sign lines of text."""
    return hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def nonce() -> str:
    """A text that is used once, whoever else uses the key."""
    return secrets.token_hex(8)


def login(key: str, secret: str, now_ms: int, once: str) -> dict[str, object]:
    """The parameters of `public/auth`, but for the scope.

    Args:
        key: the client id.
        secret: its secret.
        now_ms: milliseconds since 1970.
        once: see `nonce`.
    """
    return {
        "grant_type": "client_signature",
        "client_id": key,
        "timestamp": now_ms,
        "nonce": once,
        "data": "",
        "signature": signature(secret, str(now_ms), once, ""),
    }


def authorization(key: str, secret: str, method: str, target: str, now_ms: int, once: str, body: str = "") -> str:
    """The header `Authorization` of a REST request.

    Args:
        key: the client id.
        secret: its secret.
        method: of HTTP.
        target: path and query, exactly as sent.
        now_ms: milliseconds since 1970.
        once: see `nonce`.
        body: as sent.
    """
    signed = signature(secret, str(now_ms), once, method, target, body, "")
    return f"{SCHEME} id={key},ts={now_ms},nonce={once},sig={signed}"
