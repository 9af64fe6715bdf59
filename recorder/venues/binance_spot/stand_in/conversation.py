"""The exchange's side of a connection to the WebSocket API: commands, subscriptions, pings.

Source: developers.binance.com/docs/binance-spot-api-docs, "WebSocket API".
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from recorder.venues.binance_spot import sign
from recorder.venues.binance_spot.portal import METHOD, TOPICS
from recorder.venues.stand_in import (
    POLICY_VIOLATION,
    Backend,
    Close,
    Conversation,
    PortalAccess,
    ProtocolPing,
    Said,
    is_same,
)

#: Seconds between two pings, and after which a client that has answered none is disconnected.
PING_S, SILENCE_S = 20.0, 60.0
#: The longest window that a command may ask for, milliseconds.
WINDOW_MAX_MS = 60_000

_encode = msgspec.json.Encoder().encode
_RATE_LIMITS = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000, "count": 2}]
_Answer = dict[str, Any]


class Refusal(Exception):
    """A command is refused with a status and a code of the exchange."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class BinanceSpotConversation(Conversation):
    """Implements `recorder.venues.stand_in.Conversation`, which documents the methods."""

    silence_s = SILENCE_S

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        super().__init__(access, backend, now_s)
        self._session_key = ""
        #: Account → the id of its subscription.
        self._subscriptions: dict[str, int] = {}
        self._last_id = -1
        self._closes_s = now_s + self.silence_s
        self._ping_s = min(PING_S, self.silence_s / 3)
        self.wake_s = now_s + self._ping_s
        self._methods: dict[str, Callable[[Mapping[str, Any], int], object]] = {
            "ping": lambda _params, _now_ms: {},
            "time": lambda _params, now_ms: {"serverTime": now_ms},
            METHOD: lambda params, now_ms: self._subscribe(self._authenticate(params, now_ms)),
            "session.logon": self._log_on,
            "session.status": lambda _params, now_ms: self._status(now_ms),
            "session.subscriptions": lambda _params, _now_ms: [
                {"subscriptionId": number} for number in self._subscriptions.values()
            ],
            "userDataStream.subscribe": lambda _params, _now_ms: self._subscribe_session(),
            "userDataStream.unsubscribe": lambda params, _now_ms: self._unsubscribe(params.get("subscriptionId")),
        }

    def pushed(self, key: str, topic: str, payload: bytes) -> Iterable[bytes]:
        """The frame under the id of the client's own subscription."""
        number = self._subscriptions.get(key, 0)
        if not number:
            return (payload,)
        return (_encode({**msgspec.json.decode(payload), "subscriptionId": number}),)

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Take a command and answer it."""
        try:
            command = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            command = None
        if not isinstance(command, dict):
            return [_refused(None, Refusal(-1102, "Invalid JSON."))]
        command_id = command.get("id")
        params = command.get("params", {})
        try:
            if not isinstance(params, dict):
                raise Refusal(-1102, "Mandatory parameter 'params' was not sent, was empty/null, or malformed.")
            result = self._obey(str(command.get("method")), params, now_ms)
        except Refusal as refusal:
            return [_refused(command_id, refusal)]
        return [_encode({"id": command_id, "status": 200, "result": result, "rateLimits": _RATE_LIMITS})]

    def heard(self, now_ms: int, now_s: float) -> None:
        """A pong puts off the end."""
        self._closes_s = now_s + self.silence_s

    def wake(self, now_ms: int, now_s: float) -> list[Said]:
        """Ping, or disconnect a client that has not answered for too long."""
        if now_s >= self._closes_s:
            return [Close(POLICY_VIOLATION, "Disconnected: no pong")]
        self.wake_s = min(now_s + self._ping_s, self._closes_s)
        return [ProtocolPing()]

    def _obey(self, method: str, params: Mapping[str, Any], now_ms: int) -> object:
        obey = self._methods.get(method)
        if obey is None:
            raise Refusal(-1000, f"Unknown method '{method[:40]}'.")
        return obey(params, now_ms)

    def _subscribe_session(self) -> _Answer:
        if not self._session_key:
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return self._subscribe(self._session_key)

    def _authenticate(self, params: Mapping[str, Any], now_ms: int) -> str:
        """The key that a command is signed with."""
        key, at, window = params.get("apiKey"), params.get("timestamp"), params.get("recvWindow", sign.WINDOW_MS)
        for name in ("apiKey", "timestamp", "signature"):
            if name not in params:
                raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        if not isinstance(key, str) or type(at) is not int or type(window) is not int:
            raise Refusal(-1104, "A parameter has the wrong type.")
        check_time(at, window, now_ms)
        secret = self.backend.secret_of(key)
        if secret is None or self.backend.is_expired(key):
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        signed = sign.sorted_text({name: value for name, value in params.items() if name != "signature"})
        check_signature(secret, signed, str(params["signature"]))
        return key

    def _subscribe(self, key: str) -> _Answer:
        if key in self._subscriptions:
            raise Refusal(-2035, "User Data Stream subscription already active.")
        topics = {topic for topic in TOPICS if self.backend.has_topic(key, topic)}
        if not topics:
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        self._last_id += 1
        self._subscriptions[key] = self._last_id
        self.followed[key] = topics
        return {"subscriptionId": self._last_id}

    def _unsubscribe(self, number: object) -> _Answer:
        gone = [key for key, one in self._subscriptions.items() if number in {None, one}]
        if number is not None and not gone:
            raise Refusal(-2036, "User Data Stream subscription not found.")
        for key in gone:
            del self._subscriptions[key]
            del self.followed[key]
        return {}

    def _log_on(self, params: Mapping[str, Any], now_ms: int) -> _Answer:
        key = self._authenticate(params, now_ms)
        if not sign.is_ed25519(self.backend.secret_of(key) or ""):
            raise Refusal(-4056, "HMAC_SHA256 API key is not supported.")
        self._session_key = key
        return self._status(now_ms)

    def _status(self, now_ms: int) -> _Answer:
        key = self._session_key or None
        since_ms = now_ms if key else None
        return {
            "apiKey": key,
            "authorizedSince": since_ms,
            "connectedSince": now_ms,
            "returnRateLimits": True,
            "serverTime": now_ms,
            "userDataStream": bool(self._subscriptions),
        }


def check_time(at_ms: int, window_ms: int, now_ms: int) -> None:
    """Refuse a request that is too old, or from the future."""
    if not 0 < window_ms <= WINDOW_MAX_MS:
        raise Refusal(-1131, f"recvWindow must be less than {WINDOW_MAX_MS}")
    if at_ms >= now_ms + sign.AHEAD_MS:
        ahead = "Timestamp for this request was 1000ms ahead of the server's time."
        raise Refusal(-1021, ahead)
    if now_ms - at_ms > window_ms:
        raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")


def check_signature(secret: str, signed: str, given: str) -> None:
    """Refuse a wrong signature. That of an HMAC key may be in capital letters."""
    right = sign.signature(secret, signed)
    forms = (right, right.upper()) if len(right) == 64 else (right,)
    if not any(is_same(given, form) for form in forms):
        raise Refusal(-1022, "Signature for this request is not valid.")


def _refused(command_id: object, refusal: Refusal) -> bytes:
    error = {"code": refusal.code, "msg": refusal.message}
    return _encode({"id": command_id, "status": refusal.status, "error": error, "rateLimits": _RATE_LIMITS})
