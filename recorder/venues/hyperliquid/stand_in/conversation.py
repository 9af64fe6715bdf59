"""The exchange's side of a connection: subscriptions, snapshots, states that repeat, pings. Pure."""

import re
from collections.abc import Collection
from typing import Any

import msgspec

from recorder.venues.hyperliquid.portal import REPEATED, topics_of
from recorder.venues.hyperliquid.topics import topic
from recorder.venues.stand_in import NORMAL, Backend, Close, Conversation, PortalAccess, Said, Snapshot

#: Whole states are pushed again after this, whether they changed or not, seconds.
REPEAT_S = 5.0
#: Different accounts on the connections of one address at most.
USERS_MAX = 15

#: A subscription to the state of one perpetual exchange, which the state of all of them contains.
ONE_DEX, ALL_DEXES = "clearinghouseState", "allDexsClearinghouseState"

_ADDRESS = re.compile(r"0[xX][0-9a-fA-F]{40}")
_KINDS = frozenset([ONE_DEX, *(one.partition(":")[0] for one in topics_of(()))])
_UNREADABLE = "Error parsing JSON into valid websocket request: "

_encode = msgspec.json.Encoder().encode


class HyperliquidConversation(Conversation):
    """Implements `recorder.venues.stand_in.Conversation`; every account may be followed, as all are public."""

    #: Without a frame to the client; what it sends does not count.
    silence_s = 60.0

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        super().__init__(access, backend, now_s)
        self._said_s = self._repeated_s = now_s
        #: Whether something was pushed since the last call of `wake`.
        self._has_pushed = False

    def topics_of(self, key: str) -> Collection[str]:
        """The topics whose pushes the client is sent."""
        return {_source(one) for one in self.followed.get(key, ())}

    def pushed(self, key: str, topic: str, payload: bytes) -> list[bytes]:
        """The push, or the states in it that the client has subscribed to."""
        self._has_pushed = True
        if topic != ALL_DEXES:
            return [payload]
        names = self.followed.get(key, set())
        dexes = [one.partition(":")[2] for one in sorted(names) if one.partition(":")[0] == ONE_DEX]
        return [payload] * (topic in names) + [state for dex in dexes for state in _state_of(dex, payload)]

    def wake(self, now_ms: int, now_s: float) -> list[Said]:
        """Repeat the states, or close a silent connection."""
        repeating = self._repeating()
        if self._has_pushed:
            self._said_s, self._has_pushed = now_s, False
        if not repeating and now_s >= self._said_s + self.silence_s:
            return [Close(NORMAL, "Inactive")]
        self._said_s = self._repeated_s = now_s
        self._set_alarm()
        return [Snapshot(key, one, is_first=False) for key, one in repeating]

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Take a command and answer it."""
        self._said_s = now_s
        said = self._obey(message)
        self._set_alarm()
        return said

    def _set_alarm(self) -> None:
        silent_s = self._said_s + self.silence_s
        self.wake_s = min(silent_s, self._repeated_s + REPEAT_S) if self._repeating() else silent_s

    def _obey(self, message: bytes) -> list[Said]:
        try:
            command = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            command = None
        if not isinstance(command, dict):
            return [_refusal(_UNREADABLE + message.decode("utf-8", "replace"))]
        if command.get("method") == "ping":
            return [_encode({"channel": "pong"})]
        subscription = command.get("subscription")
        if (
            command.get("method") not in ("subscribe", "unsubscribe")
            or not isinstance(subscription, dict)
            or not self._is_valid(subscription)
        ):
            return [_refusal(_UNREADABLE + message.decode("utf-8", "replace"))]
        return self._subscribe(command["method"], subscription)

    def _is_valid(self, subscription: dict[str, Any]) -> bool:
        if str(subscription.get("type")) not in _KINDS:
            return False
        user = subscription.get("user")
        return isinstance(user, str) and (bool(_ADDRESS.fullmatch(user)) or self.backend.secret_of(user) is not None)

    def _subscribe(self, method: str, subscription: dict[str, Any]) -> list[Said]:
        user, name = str(subscription["user"]), topic(subscription["type"], subscription.get("dex"))
        # Accounts are known by the address in lower case.
        key = user if self.backend.secret_of(user) is not None else user.lower()
        if key not in self.followed and len(self.followed) >= USERS_MAX:
            return [_refusal(f"Cannot track more than {USERS_MAX} total users.")]
        topics = self.followed.setdefault(key, set())
        echo = {**subscription, "user": key}
        shown = _encode(echo).decode()
        if method == "unsubscribe":
            if name not in topics:
                return [_refusal(f"Already unsubscribed: {shown}")]
            topics.discard(name)
            return [_answer(method, echo)]
        if name in topics:
            return [_refusal(f"Already subscribed: {shown}")]
        if not self.backend.has_topic(key, _source(name)):
            return [_refusal(f"Invalid subscription {shown}")]
        topics.add(name)
        if subscription["type"] == "userFills":
            echo = {**echo, "aggregateByTime": False}
        answer: list[Said] = [_answer(method, echo)]
        if self.backend.secret_of(key) is not None:
            answer.append(Snapshot(key, _source(name), is_first=True))
        return answer

    def _repeating(self) -> list[tuple[str, str]]:
        """Accounts and topics whose states repeat."""
        return [
            (key, one)
            for key, topics in self.followed.items()
            if self.backend.secret_of(key) is not None
            for one in sorted(map(_source, topics))
            if one.partition(":")[0] in REPEATED
        ]


def _source(name: str) -> str:
    """The topic whose pushes contain what a subscription asks for."""
    return ALL_DEXES if name.partition(":")[0] == ONE_DEX else name


def _state_of(dex: str, payload: bytes) -> list[bytes]:
    """The state of one perpetual exchange as a push of its own; none if the push does not contain it."""
    try:
        data = msgspec.json.decode(payload)["data"]
        states = [state for name, state in data["clearinghouseStates"] if name == dex]
    except (ValueError, KeyError, TypeError):  # a frame that nobody can read was recorded
        return []
    return [_encode({"channel": ONE_DEX, "data": {"dex": dex, "user": data["user"], ONE_DEX: one}}) for one in states]


def _answer(method: str, subscription: dict[str, Any]) -> bytes:
    return _encode({"channel": "subscriptionResponse", "data": {"method": method, "subscription": subscription}})


def _refusal(words: str) -> bytes:
    return _encode({"channel": "error", "data": words})
