"""The exchange's side of a connection to a private socket: subscriptions with a token, heartbeats, pings.

What the socket of derivatives refuses besides: docs.kraken.com/exchange/api-reference/, pages unified-ws/positions,
unified-ws/margin, unified-ws/ledgers.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from recorder.venues.kraken.decode import EXECUTIONS
from recorder.venues.kraken.derivatives import LEDGERS, MARGIN, POSITIONS, channel_of
from recorder.venues.kraken.names import DERIVATIVES
from recorder.venues.kraken.portal import DERIVATIVE_TOPICS, TOPICS, UNIFIED_PATH
from recorder.venues.kraken.stand_in.spelling import time_of
from recorder.venues.stand_in import NORMAL, Backend, Close, Conversation, PortalAccess, Said, Snapshot

#: For how long a token can be subscribed with, milliseconds.
TOKEN_MS = 900_000
#: A client is told that the connection lives if nothing else is, after so many seconds.
HEARTBEAT_S = 1.0

_GREETING = {"api_version": "v2", "connection_id": 13834774380200032777, "system": "online", "version": "2.0.10"}
_HEARTBEAT = b'{"channel":"heartbeat"}'
_SNAPSHOT = b'{"channel":"executions","type":"snapshot"'
#: Channels that have to be asked for with a class of assets.
_OF_A_CLASS = frozenset([EXECUTIONS, POSITIONS, MARGIN])

_encode = msgspec.json.Encoder().encode
#: Numbers keep their digits.
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def token_of(key: str, secret: str, now_ms: int) -> str:
    """A token for a key, which says which key it is of, and since when it is valid."""
    issued = f"{key}\0{now_ms}"
    return base64.b64encode(f"{issued}\0{_mac(secret, issued)}".encode()).decode()


def _mac(secret: str, issued: str) -> str:
    return hmac.new(secret.encode(), issued.encode(), hashlib.sha256).hexdigest()


def _read_token(token: str) -> tuple[str, int, str]:
    """Key, time and seal of a token. Raises ValueError if it is none."""
    try:
        key, issued_ms, mac = base64.b64decode(token, validate=True).decode().split("\0")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("not a token") from error
    return key, int(issued_ms), mac


class KrakenConversation(Conversation):
    """Implements `recorder.venues.stand_in.Conversation`, which documents the methods."""

    silence_s = 60.0

    def __init__(self, access: PortalAccess, backend: Backend, now_s: float) -> None:
        super().__init__(access, backend, now_s)
        self._closes_s = now_s + self.silence_s
        self._has_said = False
        self._is_unified = access.path == UNIFIED_PATH
        #: Channel → its topic.
        self._topics = {channel_of(one): one for one in (DERIVATIVE_TOPICS if self._is_unified else TOPICS)}
        #: What a snapshot of executions has, by the newest subscription.
        self._parts: tuple[bool, bool] = (True, False)

    def open(self, now_ms: int, now_s: float) -> list[Said]:
        """The greeting."""
        return [_encode({"channel": "status", "type": "update", "data": [_GREETING]})]

    def pushed(self, key: str, topic: str, payload: bytes) -> list[bytes]:
        """The push. A snapshot of executions has the parts that were asked for."""
        self._has_said = True
        if channel_of(topic) != EXECUTIONS or not payload.startswith(_SNAPSHOT) or all(self._parts):
            return [payload]
        frame, (orders, trades) = _raw(payload), self._parts
        rows = [row for row in _rows(frame["data"]) if (trades if b"exec_id" in _encode(row) else orders)]
        return [_encode({**frame, "data": rows})]

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Take a command and answer it."""
        self._closes_s = now_s + self.silence_s
        self._has_said = True
        said = self._obey(message, now_ms)
        self._set_alarm(now_s)
        return said

    def wake(self, now_ms: int, now_s: float) -> list[Said]:
        """Disconnect a client that has sent nothing, or tell it that the connection lives."""
        if now_s >= self._closes_s:
            return [Close(NORMAL, "")]
        said: list[Said] = [] if self._has_said else [_HEARTBEAT]
        self._has_said = False
        self._set_alarm(now_s)
        return said

    def _set_alarm(self, now_s: float) -> None:
        has_topics = any(self.followed.values())
        self.wake_s = min(self._closes_s, now_s + HEARTBEAT_S) if has_topics else self._closes_s

    def _obey(self, message: bytes, now_ms: int) -> list[Said]:
        try:
            command = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            command = None
        if not isinstance(command, dict):
            return [_encode({"error": "Malformed request", "success": False, "method": ""})]
        at = time_of(now_ms)
        around = {"time_in": at, "time_out": at}
        if isinstance(command.get("req_id"), int):
            around["req_id"] = command["req_id"]
        method, params = command.get("method"), command.get("params")
        if method == "ping":
            return [_encode({"method": "pong", **around})]
        if method not in ("subscribe", "unsubscribe") or not isinstance(params, dict):
            return [_encode({"method": str(method), "success": False, "error": "Unsupported method", **around})]
        refused = self._refusal(params, now_ms) or (self._misfit(params) if method == "subscribe" else None)
        if refused is not None:
            return [_encode({"method": method, "success": False, "error": refused, **around})]
        return self._follow(method, params, around)

    def _follow(self, method: str, params: Mapping[str, Any], around: Mapping[str, Any]) -> list[Said]:
        key, channel = _read_token(params["token"])[0], params["channel"]
        topic = self._topics[channel]
        topics = self.followed.setdefault(key, set())
        result = {name: value for name, value in params.items() if name != "token"}
        said: list[Said] = [_encode({"method": method, "result": result, "success": True, **around})]
        if method == "unsubscribe":
            topics.discard(topic)
            return said
        topics.add(topic)
        wants = params.get("snapshot", True)
        if channel == EXECUTIONS:
            self._parts = bool(params.get("snap_orders", True)), bool(params.get("snap_trades", False))
            wants = any(self._parts)
        return [*said, Snapshot(key, topic, is_first=True)] if wants else said

    def _refusal(self, params: Mapping[str, Any], now_ms: int) -> str | None:
        """Why a subscription is refused; None: it is not."""
        channel = params.get("channel")
        try:
            key, issued_ms, mac = _read_token(str(params.get("token")))
        except ValueError:
            return "ESession:Invalid session"
        secret = self.backend.secret_of(key)
        if secret is None or self.backend.is_expired(key):
            return "ESession:Invalid session"
        if not hmac.compare_digest(_mac(secret, f"{key}\0{issued_ms}"), mac):
            return "ESession:Invalid session"
        if key not in self.followed and not 0 <= now_ms - issued_ms <= TOKEN_MS:
            return "ESession:Invalid session"
        if channel not in self._topics or not self.backend.has_topic(key, self._topics[channel]):
            return f"Currency pair not in ISO 4217-A3 format {channel}" if channel is None else "Channel not supported"
        return None

    def _misfit(self, params: Mapping[str, Any]) -> str | None:
        """Which parameter the socket of derivatives does not take; None: it takes them all."""
        channel = params["channel"]
        if not self._is_unified:
            return None
        if channel == LEDGERS and "asset_class" in params:
            return "'params.asset_class' is not valid for the ledgers channel"
        if channel == MARGIN and "snapshot" in params:
            return "'params.snapshot' is not valid for the margin channel"
        if channel in _OF_A_CLASS and params.get("asset_class") != DERIVATIVES:
            return f"asset_class must be {DERIVATIVES}"
        if channel in {POSITIONS, MARGIN} and channel in self.followed.get(_read_token(params["token"])[0], ()):
            return f"Already subscribed to {channel} channel"
        return None
