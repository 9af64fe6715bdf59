"""The exchange's side of a connection to a private socket: it pushes, and pings every three minutes.

A client names its listen key in the address, or subscribes to it with a command. One without a live listen key is not
refused: it hears nothing. On a combined stream, whose path ends with `/stream`, each frame names the listen key.
Source: developers.binance.com, "Connect", "Live Subscribing/Unsubscribing to streams".
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from recorder.venues.stand_in import POLICY_VIOLATION, Backend, Close, Conversation, PortalAccess, ProtocolPing, Said

#: How often the exchange pings, seconds.
PING_S = 180.0
#: Parameters of the address: the listen key, and the names of the events to push.
LISTEN_KEY, EVENTS = "listenKey", "events"
#: End of the path of a combined stream.
COMBINED = "/stream"

_encode = msgspec.json.Encoder().encode


class BinanceConversation(Conversation):
    """Implements `recorder.venues.stand_in.Conversation`, which documents the methods."""

    #: A pong has to come within ten minutes.
    silence_s = 600.0

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        super().__init__(access, backend, now_s)
        self._silent_at_s = self.wake_s
        self.wake_s = min(self.wake_s, now_s + PING_S)
        self._access = access
        #: Account → the listen key that the client has named.
        self._listen_keys: dict[str, str] = {}
        if access.key is not None:
            self._follow(access.key, access.parameters.get(LISTEN_KEY, ""))

    def pushed(self, key: str, topic: str, payload: bytes) -> Iterable[bytes]:
        """The frame as it is, or within one that names the listen key."""
        if not self._access.path.endswith(COMBINED):
            return (payload,)
        return (_encode({"stream": self._listen_keys[key], "data": msgspec.Raw(payload)}),)

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Answer a command. Streams that are no live listen key are subscribed to, and silent."""
        try:
            command = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            command = None
        if not isinstance(command, dict):
            return [_encode({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})]
        named = {"id": command["id"]} if isinstance(command.get("id"), int | str) else {}
        streams = command.get("params")
        names = [one for one in streams if isinstance(one, str)] if isinstance(streams, list) else []
        match command.get("method"):
            case "SUBSCRIBE":
                result = self._subscribe(names)
            case "UNSUBSCRIBE":
                result = self._unsubscribe(names)
            case "LIST_SUBSCRIPTIONS":
                result = [*self._listen_keys.values()]
            case _:
                return [_encode({"error": {"code": 2, "msg": "Invalid request: unknown method"}, **named})]
        return [_encode({"result": result, **named})]

    def heard(self, now_ms: int, now_s: float) -> None:
        """A pong, or the client's own ping, is a sign of life."""
        self._silent_at_s = now_s + self.silence_s
        self.wake_s = min(self._silent_at_s, now_s + PING_S)

    def wake(self, now_ms: int, now_s: float) -> list[Said]:
        """Ping, or end a connection that does not answer."""
        if now_s >= self._silent_at_s:
            return [Close(POLICY_VIOLATION, "Pong timeout")]
        self.wake_s = min(self._silent_at_s, now_s + PING_S)
        return [ProtocolPing()]

    def _follow(self, key: str, listen_key: str) -> None:
        wanted = self._access.parameters.get(EVENTS, "").split("/")
        self.followed[key] = {topic for topic in wanted if self.backend.has_topic(key, topic)}
        self._listen_keys[key] = listen_key

    def _subscribe(self, names: Iterable[str]) -> Any:
        for name in names:
            key = self._access.owner_of(name)
            if key is not None:
                self._follow(key, name)

    def _unsubscribe(self, names: Iterable[str]) -> Any:
        gone = [key for key, name in self._listen_keys.items() if name in set(names)]
        for key in gone:
            del self._listen_keys[key], self.followed[key]
