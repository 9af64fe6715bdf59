"""The exchange's side of a connection to the private stream: login, subscriptions, pings. Pure."""

import hmac
from collections.abc import Collection
from typing import Any

import msgspec

from recorder.venues.bybit import sign
from recorder.venues.bybit.portal import TOPICS
from recorder.venues.stand_in import Backend, Close, PortalAccess, Said

#: The exchange cuts a connection after this time without a frame from the client, seconds.
PING_TIMEOUT_S = 600.0

#: Topics in one command at most.
ARGS_MAX = 10

#: WebSocket close code (RFC 6455, 7.4.1).
_NORMAL = 1000

_encode = msgspec.json.Encoder().encode
_CONNECTION = "cejreaspqfh3sjdnldmg-p"


class BybitConversation:
    """Implements `recorder.venues.stand_in.Conversation`, which documents the methods."""

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        self._backend = backend
        self._key: str | None = None
        self._topics: set[str] = set()
        self._timeout_s = backend.ping_timeout_s or PING_TIMEOUT_S
        self.wake_s = now_s + self._timeout_s

    @property
    def keys(self) -> Collection[str]:
        """The account that has logged in."""
        return () if self._key is None else (self._key,)

    def topics_of(self, key: str) -> Collection[str]:
        """The topics that the client has subscribed to."""
        return self._topics if key == self._key else ()

    def open(self, now_ms: int, now_s: float) -> list[Said]:
        """Nothing: there is no greeting."""
        return []

    def heard(self, now_ms: int, now_s: float) -> None:
        """Pings of the WebSocket protocol do not keep a connection."""

    def wake(self, now_ms: int, now_s: float) -> list[Said]:
        """Disconnect a client that has sent nothing."""
        return [Close(_NORMAL, "")]

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Take a command and answer it."""
        self.wake_s = now_s + self._timeout_s
        try:
            command = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [_answer(None, "", "Failed to decode incoming data: not JSON")]
        if not isinstance(command, dict):
            return [_answer(None, "", "error:invalid op")]
        args = command.get("args")
        return [self._obey(command.get("req_id"), command.get("op"), args if isinstance(args, list) else [], now_ms)]

    def _obey(self, request_id: object, op: object, args: list[Any], now_ms: int) -> bytes:
        match op:
            case "ping":
                return _named(request_id, {"op": "pong", "args": [str(now_ms)], "conn_id": _CONNECTION})
            case "auth":
                return _answer(request_id, "auth", self._log_in(args, now_ms))
            case "subscribe":
                return _answer(request_id, "subscribe", self._subscribe(args))
            case "unsubscribe":
                self._topics.difference_update(one for one in args if isinstance(one, str))
                return _answer(request_id, "unsubscribe", "")
        return _answer(request_id, "", "error:invalid op")

    def _log_in(self, args: list[Any], now_ms: int) -> str:
        """Log in; returns why it is refused, or nothing."""
        key, expires_ms, signature = args if len(args) == 3 else ("", 0, "")
        if not str(expires_ms).isdigit() or int(expires_ms) <= now_ms:
            return "Params Error"
        secret = self._backend.secret_of(str(key))
        right = None if secret is None else sign.signature(secret, f"GET/realtime{expires_ms}")
        if right is None or self._backend.is_expired(str(key)) or not hmac.compare_digest(right, str(signature)):
            return "Request not authorized"
        self._key = str(key)
        return ""

    def _subscribe(self, topics: list[Any]) -> str:
        """Subscribe; returns why the whole command is refused, or nothing."""
        if len(topics) > ARGS_MAX:
            return f"error:args size >{ARGS_MAX}"
        for topic in topics:
            if self._key is None:
                return f"error:topic:{topic} needs auth first"
            if topic not in TOPICS or not self._backend.has_topic(self._key, topic):
                return f"error:handler not found,topic:{topic}"
            if topic in self._topics:
                return f"error:already subscribed,topic:{topic}"
        self._topics.update(topics)
        return ""


def _answer(request_id: object, op: str, refusal: str) -> bytes:
    said = {"success": not refusal, "ret_msg": refusal, "op": op, "conn_id": _CONNECTION}
    return _named(request_id, said)


def _named(request_id: object, said: dict[str, object]) -> bytes:
    return _encode({"req_id": request_id, **said} if isinstance(request_id, str) else said)
