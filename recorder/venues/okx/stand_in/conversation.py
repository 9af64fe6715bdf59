"""The exchange's side of a connection to a private socket: login, subscriptions, pings."""

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from recorder.venues.okx import sign
from recorder.venues.okx.portal import PATHS, TOPICS
from recorder.venues.stand_in import Backend, Close, Conversation, PortalAccess, Said, is_same, number_in

#: Close codes: the login failed, no data has flowed for 30 s, the key was deleted.
LOGIN_FAILED, NO_DATA = 4001, 4004

#: Topics that need to know which product line is wanted.
_BY_TYPE = frozenset(["orders", "positions", "orders-algo", "algo-advance"])
_TYPES = frozenset(["SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", "EVENTS", "ANY"])

_encode = msgspec.json.Encoder().encode


class OKXConversation(Conversation):
    """Implements `recorder.venues.stand_in.Conversation`, which documents the methods."""

    silence_s = 30.0

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        super().__init__(access, backend, now_s)
        self._connection_id = secrets.token_hex(4)
        stream = next((name for name, path in PATHS.items() if path == access.path), "")
        #: The topics of this socket, and of the other one.
        self._topics = TOPICS[stream]
        self._elsewhere = [topic for topics in TOPICS.values() for topic in topics if topic not in self._topics]

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Take a command and answer it."""
        self.wake_s = now_s + self.silence_s
        if message == b"ping":
            return [b"pong"]
        try:
            command = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            command = None
        if not isinstance(command, dict) or not isinstance(command.get("args"), list):
            return [self._error(None, "60012", f"Invalid request: {message[:200].decode(errors='replace')}")]
        return list(self._obey(command, now_ms))

    def wake(self, now_ms: int, now_s: float) -> list[Said]:
        """Disconnect a client that has sent nothing."""
        return [Close(NO_DATA, "No data received in 30s.")]

    def _obey(self, command: Mapping[str, Any], now_ms: int) -> list[Said]:
        request_id, args = command.get("id"), [arg for arg in command["args"] if isinstance(arg, dict)]
        match command.get("op"):
            case "login":
                return self._log_in(args, now_ms)
            case "subscribe":
                return [self._subscribe(request_id, arg) for arg in args]
            case "unsubscribe":
                for arg in args:
                    for topics in self.followed.values():
                        topics.discard(str(arg.get("channel")))
                return [self._said("unsubscribe", request_id, arg=arg) for arg in args]
        return [self._error(request_id, "60019", "Invalid op")]

    def _log_in(self, args: list[dict[str, Any]], now_ms: int) -> list[Said]:
        given = {name: str(value) for name, value in args[0].items()} if len(args) == 1 else {}
        key, at = given.get("apiKey", ""), given.get("timestamp", "")
        secret = self.backend.secret_of(key)
        if self.followed:
            return [self._error(None, "60031", "Multiple logins are not allowed.")]
        if secret is None or self.backend.is_expired(key):
            return [self._error(None, "60032", "API key doesn't exist"), Close(LOGIN_FAILED, "Login Failed")]
        at_s = number_in(at)
        if at_s is None or abs(at_s * 1000 - now_ms) > sign.WINDOW_MS:
            return [self._error(None, "60006", "Timestamp request expired"), Close(LOGIN_FAILED, "Login Failed")]
        right = sign.signature(secret, f"{at}GET{sign.LOGIN_PATH}")
        if not is_same(given.get("sign", ""), right):
            return [self._error(None, "60007", "Invalid sign"), Close(LOGIN_FAILED, "Login Failed")]
        if given.get("passphrase") != passphrase_of(secret):
            return [self._error(None, "60024", "Wrong passphrase"), Close(LOGIN_FAILED, "Login Failed")]
        self.followed = {key: set()}
        return [self._said("login", None, msg="", code="0")]

    def _subscribe(self, request_id: object, arg: dict[str, Any]) -> bytes:
        channel = str(arg.get("channel"))
        key, followed = next(iter(self.followed.items()), ("", set[str]()))
        if not key:
            return self._error(request_id, "60011", "Please log in")
        if channel in self._elsewhere:
            return self._error(request_id, "64001", f"channel:{channel} is on another path")
        if channel not in self._topics or not self.backend.has_topic(key, channel):
            return self._error(request_id, "60018", f"Wrong URL or channel:{channel} doesn't exist.")
        if channel in _BY_TYPE and str(arg.get("instType")) not in _TYPES:
            return self._error(request_id, "60018", f"channel:{channel}, instType is wrong.")
        followed.add(channel)
        return self._said("subscribe", request_id, arg={name: arg[name] for name in arg if name != "extraParams"})

    def _error(self, request_id: object, code: str, message: str) -> bytes:
        return self._said("error", request_id, code=code, msg=message)

    def _said(self, event: str, request_id: object, **more: object) -> bytes:
        named = {"id": request_id} if isinstance(request_id, str) else {}
        return _encode({**named, "event": event, **more, "connId": self._connection_id})


def passphrase_of(secret: str) -> str:
    """The passphrase of a simulated account: that of the demo account, or made from the secret."""
    return f"pass-{secret}"
