"""The exchange's side of a connection to the private socket: login, subscriptions, pings."""

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from recorder.venues.bitget import sign
from recorder.venues.bitget.portal import INST_TYPE, TOPICS
from recorder.venues.limits import RateLimit
from recorder.venues.stand_in import (
    NORMAL,
    POLICY_VIOLATION,
    Backend,
    Close,
    Conversation,
    PortalAccess,
    Said,
    Snapshot,
    is_same,
    number_in,
)

#: Topics that begin with the full state.
_BEGIN_WITH_STATE = frozenset(["account", "position"])
#: The longest command, bytes, and the most subscriptions in one.
COMMAND_BYTES_MAX, ARGS_MAX = 4096, 20
#: Messages of a client, pings included, in a window of this length, milliseconds.
MESSAGES_MAX, WINDOW_MS = 10, 1_000

_encode = msgspec.json.Encoder().encode


class BitgetConversation(Conversation):
    """Implements `recorder.venues.stand_in.Conversation`, which documents the methods."""

    silence_s = 120.0

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        super().__init__(access, backend, now_s)
        self._connection_id = secrets.token_hex(4)
        self._messages = RateLimit(MESSAGES_MAX, WINDOW_MS)

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Take a command and answer it. Only a ping in words is a sign of life."""
        if self._messages.spend("", now_ms):
            return [self._error(30007, "request over limit"), Close(POLICY_VIOLATION, "too many messages")]
        if message == b"ping":
            self.wake_s = now_s + self.silence_s
            return [b"pong"]
        try:
            command = msgspec.json.decode(message) if len(message) <= COMMAND_BYTES_MAX else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            command = None
        if not isinstance(command, dict) or not isinstance(command.get("args"), list):
            return [self._error(30002, "Illegal request")]
        return list(self._obey(command, now_ms))

    def wake(self, now_ms: int, now_s: float) -> list[Said]:
        """Disconnect a client that has sent no ping."""
        return [Close(NORMAL, "no ping")]

    def _obey(self, command: Mapping[str, Any], now_ms: int) -> list[Said]:
        args = [arg for arg in command["args"] if isinstance(arg, dict)]
        if len(args) > ARGS_MAX:
            return [Close(NORMAL, "too many arguments")]
        match command.get("op"):
            case "login":
                return self._log_in(args, now_ms)
            case "subscribe":
                return [said for arg in args for said in self._subscribe(arg)]
            case "unsubscribe":
                for arg in args:
                    for topics in self.followed.values():
                        topics.discard(str(arg.get("topic")))
                return [self._said("unsubscribe", arg=arg) for arg in args]
        return [self._error(30003, "Invalid op")]

    def _log_in(self, args: list[dict[str, Any]], now_ms: int) -> list[Said]:
        given = {name: str(value) for name, value in args[0].items()} if len(args) == 1 else {}
        key, at = given.get("apiKey", ""), given.get("timestamp", "")
        secret = self.backend.secret_of(key)
        if secret is None or self.backend.is_expired(key):
            return self._refuse_login(30011, "Invalid ACCESS_KEY")
        at_s = number_in(at)
        if at_s is None:
            return self._refuse_login(30013, "Invalid ACCESS_TIMESTAMP")
        if abs(at_s * 1000 - now_ms) > sign.WINDOW_MS:
            return self._refuse_login(30014, "Request timestamp expired")
        if not is_same(given.get("sign", ""), sign.signature(secret, f"{at}GET{sign.LOGIN_PATH}")):
            return self._refuse_login(30015, "Invalid sign")
        if given.get("passphrase") != passphrase_of(secret):
            return self._refuse_login(30012, "Invalid ACCESS_PASSPHRASE")
        self.followed = {key: set()}
        return [_encode({"event": "login", "code": 0})]

    def _refuse_login(self, code: int, message: str) -> list[Said]:
        return [self._error(code, message), Close(NORMAL, message)]

    def _subscribe(self, arg: dict[str, Any]) -> list[Said]:
        topic = str(arg.get("topic"))
        key, followed = next(iter(self.followed.items()), ("", set[str]()))
        if not key:
            return [self._error(30004, "User needs to log in")]
        if arg.get("instType") != INST_TYPE or topic not in TOPICS or not self.backend.has_topic(key, topic):
            return [self._error(30001, f"{_encode(arg).decode()} doesn't exist")]
        followed.add(topic)
        answer: list[Said] = [self._said("subscribe", arg=arg)]
        return answer + [Snapshot(key, topic, is_first=True)] * (topic in _BEGIN_WITH_STATE)

    def _error(self, code: int, message: str) -> bytes:
        return self._said("error", code=code, msg=message)

    def _said(self, event: str, **more: object) -> bytes:
        return _encode({"event": event, **more, "connId": self._connection_id})


def passphrase_of(secret: str) -> str:
    """The passphrase of a simulated account: that of the demo account, or made from the secret."""
    return f"pass-{secret}"
