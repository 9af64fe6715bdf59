"""The exchange's side of a connection to the private stream: login, subscriptions, pings."""

import secrets
from typing import Any

import msgspec

from recorder.venues.bybit import sign
from recorder.venues.bybit.portal import TOPICS
from recorder.venues.stand_in import Backend, Conversation, PortalAccess, Said, is_same, number_in

#: Topics in one command at most.
ARGS_MAX = 10

_encode = msgspec.json.Encoder().encode


class BybitConversation(Conversation):
    """Implements `recorder.venues.stand_in.Conversation`, which documents the methods."""

    silence_s = 600.0

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        super().__init__(access, backend, now_s)
        self._connection_id = f"{secrets.token_hex(10)}-p"

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Take a command and answer it."""
        self.wake_s = now_s + self.silence_s
        try:
            command = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [self._answer(None, "", "Failed to decode incoming data: not JSON")]
        if not isinstance(command, dict):
            return [self._answer(None, "", "error:invalid op")]
        args = command.get("args")
        return [self._obey(command.get("req_id"), command.get("op"), args if isinstance(args, list) else [], now_ms)]

    def _obey(self, request_id: object, op: object, args: list[Any], now_ms: int) -> bytes:
        match op:
            case "ping":
                return _named(request_id, {"op": "pong", "args": [str(now_ms)], "conn_id": self._connection_id})
            case "auth":
                return self._answer(request_id, "auth", self._log_in(args, now_ms))
            case "subscribe":
                return self._answer(request_id, "subscribe", self._subscribe(args))
            case "unsubscribe":
                for topics in self.followed.values():
                    topics.difference_update(one for one in args if isinstance(one, str))
                return self._answer(request_id, "unsubscribe", "")
        return self._answer(request_id, "", "error:invalid op")

    def _log_in(self, args: list[Any], now_ms: int) -> str:
        """Log in; returns why it is refused, or nothing."""
        key, expires_ms, signature = args if len(args) == 3 else ("", 0, "")
        if (number_in(str(expires_ms)) or 0) <= now_ms:
            return "Params Error"
        secret = self.backend.secret_of(str(key))
        right = None if secret is None else sign.signature(secret, f"GET/realtime{expires_ms}")
        if right is None or self.backend.is_expired(str(key)) or not is_same(str(signature), right):
            return "Request not authorized"
        self.followed = {str(key): set()}
        return ""

    def _subscribe(self, topics: list[Any]) -> str:
        """Subscribe; returns why the whole command is refused, or nothing."""
        if len(topics) > ARGS_MAX:
            return f"error:args size >{ARGS_MAX}"
        key, followed = next(iter(self.followed.items()), ("", set[str]()))
        for topic in topics:
            if not key:
                return f"error:topic:{topic} needs auth first"
            if topic not in TOPICS or not self.backend.has_topic(key, topic):
                return f"error:handler not found,topic:{topic}"
            if topic in followed:
                return f"error:already subscribed,topic:{topic}"
        followed.update(topics)
        return ""

    def _answer(self, request_id: object, op: str, refusal: str) -> bytes:
        said = {"success": not refusal, "ret_msg": refusal, "op": op, "conn_id": self._connection_id}
        return _named(request_id, said)


def _named(request_id: object, said: dict[str, object]) -> bytes:
    # An id that was sent as a number comes back as text.
    return _encode({"req_id": str(request_id), **said} if isinstance(request_id, str | int) else said)
