"""How the exchange checks who asks: by a signature, whose nonce counts once, or by the secret itself."""

from collections import deque
from collections.abc import Mapping

from recorder.venues.deribit import sign
from recorder.venues.deribit.stand_in.frames import Row
from recorder.venues.stand_in import Backend, is_same, number_in

#: Nonces are remembered for this many requests, more than are sent within `sign.WINDOW_MS`.
NONCES_MAX = 10_000
#: The greatest scope of a simulated key.
SCOPE = "account:read block_trade:none connection mainaccount trade:read wallet:read"
CONNECTION_S = 31_536_000


class DeribitRefusal(Exception):
    """A request is refused with a code of the exchange."""

    def __init__(self, code: int, message: str, reason: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.status = status


class Doorkeeper:
    """Checks logins and signed requests.

    Args:
        backend: the exchange.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._used: deque[str] = deque(maxlen=NONCES_MAX)

    def log_in(self, params: Mapping[str, object], now_ms: int) -> str:
        """The key of a login with `public/auth`.

        Raises:
            DeribitRefusal: it is not accepted.
        """
        given = {name: str(value) for name, value in params.items()}
        key, kind = given.get("client_id", ""), given.get("grant_type")
        if kind == "client_signature":
            once, at, data = (given.get(name, "") for name in ("nonce", "timestamp", "data"))
            self._check(key, at, once, given.get("signature", ""), (at, once, data), now_ms)
        elif kind == "client_credentials":
            if not is_same(given.get("client_secret", ""), self._secret(key)):
                raise _wrong()
        else:
            raise DeribitRefusal(-32602, "Invalid params", "grant_type")
        return key

    def authenticate(self, authorization: str, method: str, target: str, body: str, now_ms: int) -> str:
        """The key of a signed request.

        Raises:
            DeribitRefusal: it is not accepted.
        """
        scheme, _, rest = authorization.partition(" ")
        if scheme != sign.SCHEME:
            raise DeribitRefusal(13009, "unauthorized", "invalid_token")
        given = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        key, at, once, signature = (given.get(name, "") for name in ("id", "ts", "nonce", "sig"))
        self._check(key, at, once, signature, (at, once, method, target, body, ""), now_ms)
        return key

    def _secret(self, key: str) -> str:
        secret = self._backend.secret_of(key)
        if secret is None or self._backend.is_expired(key):
            raise _wrong()
        return secret

    def _check(self, key: str, at: str, once: str, signature: str, lines: tuple[str, ...], now_ms: int) -> None:
        secret = self._secret(key)
        at_ms = number_in(at)
        if at_ms is None or abs(at_ms - now_ms) > sign.WINDOW_MS or not once or f"{key} {once}" in self._used:
            raise _wrong()
        if not is_same(signature, sign.signature(secret, *lines)):
            raise _wrong()
        self._used.append(f"{key} {once}")


def tokens(key: str, now_ms: int) -> Row:
    """What a login is answered with."""
    return {
        "access_token": f"{now_ms}.1M{key}-access-{now_ms:x}",
        "expires_in": CONNECTION_S,
        "refresh_token": f"{now_ms}.1K{key}-refresh-{now_ms:x}",
        "scope": SCOPE,
        "token_type": "bearer",
        "enabled_features": [],
    }


def _wrong() -> DeribitRefusal:
    return DeribitRefusal(13004, "invalid_credentials")
