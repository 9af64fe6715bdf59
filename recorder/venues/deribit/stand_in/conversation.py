"""The exchange's side of a socket: login, subscriptions, heartbeats, and the questions that end a dead connection."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from recorder.venues.deribit.portal import PORTFOLIO
from recorder.venues.deribit.stand_in import frames
from recorder.venues.deribit.stand_in.forms import Form, form_of
from recorder.venues.deribit.stand_in.login import DeribitRefusal, Doorkeeper, tokens
from recorder.venues.stand_in import NORMAL, Backend, Close, Conversation, PortalAccess, Said, Snapshot

#: The shortest interval of heartbeats, seconds.
INTERVAL_MIN_S = 10

_BEAT = b'{"params":{"type":"heartbeat"},"method":"heartbeat","jsonrpc":"2.0"}'
_QUESTION = b'{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}'


class DeribitConversation(Conversation):
    """Implements `recorder.venues.stand_in.Conversation`, which documents the methods."""

    #: A year: without heartbeats, nobody notices that a connection is dead.
    silence_s = 31_536_000.0

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        super().__init__(access, backend, now_s)
        self._doorkeeper = Doorkeeper(backend)
        #: Seconds between heartbeats; None: the client has not asked for them.
        self._interval_s: float | None = None
        #: Whether a question of the exchange was not answered yet.
        self._is_asked = False
        #: The channels that the client follows, and how each is made of a channel of the face; None: it is one.
        self._forms: dict[str, tuple[str, Form] | None] = {}

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Take a request and answer it."""
        if self._interval_s is None:
            self.wake_s = now_s + self.silence_s
        try:
            request = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [frames.refusal(-32700, "Parse error", now_ms)]
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return [frames.refusal(-32600, "Invalid Request", now_ms)]
        params = request.get("params")
        request_id = request.get("id")
        try:
            method = request["method"].removeprefix("/")  # clients may write it as a path
            told = self._obey(method, params if isinstance(params, dict) else {}, now_ms, now_s)
        except DeribitRefusal as refused:
            return [frames.refusal(refused.code, refused.message, now_ms, refused.reason, request_id)]
        said: list[Said] = [frames.answer(told, now_ms, request_id)]
        if request["method"].endswith("/subscribe") and any(one.startswith("user.portfolio.") for one in told):
            said += [Snapshot(key, PORTFOLIO, is_first=True) for key in self.followed]
        return said

    def wake(self, now_ms: int, now_s: float) -> list[Said]:
        """Send a heartbeat and ask for a sign of life; disconnect a client that gave none."""
        if self._interval_s is None or self._is_asked:
            return [Close(NORMAL, "")]
        self._is_asked = True
        self.wake_s = now_s + self._interval_s
        return [_BEAT, _QUESTION]

    def pushed(self, key: str, topic: str, payload: bytes) -> Iterable[bytes]:
        """The push, or what other channels make of it, or both."""
        for channel, form in self._forms.items():
            if form is None and channel == topic:
                yield payload
            elif form is not None and form[0] == topic:
                yield from form[1](payload)

    def _obey(self, method: str, params: Mapping[str, Any], now_ms: int, now_s: float) -> Any:
        match method:
            case "public/set_heartbeat":
                interval = params.get("interval")
                if not isinstance(interval, int | float) or interval < INTERVAL_MIN_S:
                    raise DeribitRefusal(-32602, "Invalid params", "interval")
                self._interval_s = min(float(interval), self.silence_s)
                self.wake_s = now_s + self._interval_s
                return "ok"
            case "public/test":
                self._is_asked = False
                return {"version": "1.2.26"}
            case "public/get_time":
                return now_ms
            case "public/auth":
                key = self._doorkeeper.log_in(params, now_ms)
                if key not in self.followed:
                    self.followed = {key: set()}
                return tokens(key, now_ms)
            case "public/subscribe" | "private/subscribe":
                return self._subscribe(params, needs_login=method.startswith("private"))
            case "private/unsubscribe" | "public/unsubscribe":
                return self._unsubscribe(params)
        raise DeribitRefusal(-32601, "Method not found")

    def _subscribe(self, params: Mapping[str, Any], *, needs_login: bool) -> list[str]:
        """The channels that are pushed from now on: those that do not exist are left out."""
        key, followed = next(iter(self.followed.items()), ("", set[str]()))
        if needs_login and not key:
            raise DeribitRefusal(13009, "unauthorized", "invalid_token")
        channels = params.get("channels")
        if not isinstance(channels, list):
            raise DeribitRefusal(-32602, "Invalid params", "channels")
        found = {one: form_of(one) for one in channels if isinstance(one, str)}
        shown = {one: one if form is None else form[0] for one, form in found.items()}
        accepted = [one for one, topic in shown.items() if self.backend.has_topic(key, topic)]
        self._forms |= {one: found[one] for one in accepted}
        followed.update(shown[one] for one in accepted)
        return accepted

    def _unsubscribe(self, params: Mapping[str, Any]) -> list[str]:
        channels = [one for one in params.get("channels") or [] if one in self._forms]
        for channel in channels:
            del self._forms[channel]
        for followed in self.followed.values():
            followed.intersection_update(channel if form is None else form[0] for channel, form in self._forms.items())
        return channels
