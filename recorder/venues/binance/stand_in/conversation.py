"""The exchange's side of a connection to a private socket: it pushes, and pings every three minutes.

Nothing that the client says is needed, and a client without a live listen key is not refused: it hears nothing.
"""

import msgspec

from recorder.venues.stand_in import POLICY_VIOLATION, Backend, Close, Conversation, PortalAccess, ProtocolPing, Said

#: How often the exchange pings, seconds.
PING_S = 180.0
#: Parameter of the address with the names of the events to push.
EVENTS = "events"

_encode = msgspec.json.Encoder().encode


class BinanceConversation(Conversation):
    """Implements `recorder.venues.stand_in.Conversation`, which documents the methods."""

    #: A pong has to come within ten minutes.
    silence_s = 600.0

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        super().__init__(access, backend, now_s)
        self._silent_at_s = self.wake_s
        self.wake_s = min(self.wake_s, now_s + PING_S)
        wanted = access.parameters.get(EVENTS, "").split("/")
        for key, followed in self.followed.items():
            followed.update(topic for topic in wanted if backend.has_topic(key, topic))

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Answer a command; none of them changes what is pushed here."""
        try:
            command = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            command = None
        if not isinstance(command, dict):
            return [_encode({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})]
        named = {"id": command["id"]} if isinstance(command.get("id"), int | str) else {}
        if command.get("method") in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return [_encode({"result": None, **named})]
        if command.get("method") == "LIST_SUBSCRIPTIONS":
            return [_encode({"result": [], **named})]
        return [_encode({"error": {"code": 2, "msg": "Invalid request: unknown method"}, **named})]

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
