"""The client's side of Bybit's private stream, as a state machine. Pure.

Log in → subscribe, one topic a command, because a refusal concerns the whole command and an acknowledgement names only
the command, not its topics. There is no greeting and no snapshot.
Source: bybit-exchange.github.io/docs/v5/ws/connect.
"""

from collections.abc import Iterable
from itertools import count

import msgspec

from recorder.errors import Refused
from recorder.model import Acknowledged, Control, LoggedIn, RefusedCommand
from recorder.venues.base import Command
from recorder.venues.bybit import sign
from recorder.venues.rest import Credentials

#: Path of the private stream.
PATH = "/v5/private"

#: The topics that together cover an account: no symbols are needed. `execution.fast` only repeats `execution`.
TOPICS = ("order", "execution", "position", "wallet")

LOGIN = "login"
PING = "ping-"

_encode = msgspec.json.Encoder().encode


class BybitSession:
    """Implements `recorder.venues.base.PushSession`."""

    def __init__(self, topics: Iterable[str], credentials: Credentials) -> None:
        self.topics = tuple(topics)
        self.acknowledged: set[str] = set()
        self.refused: dict[str, str] = {}
        self._credentials = credentials
        self._logged_in = False
        self._pings = count(1)

    @property
    def settled(self) -> bool:
        """Whether every topic has been acknowledged or refused."""
        return all(topic in self.acknowledged or topic in self.refused for topic in self.topics)

    def opening(self, now_ms: int) -> list[Command]:
        """Log in. Key and signature, with which anybody could log in for some seconds, are not recorded."""
        key, expires_ms, signature = sign.login(self._credentials["key"], self._credentials["secret"], now_ms)
        command = {"req_id": LOGIN, "op": "auth", "args": [key, expires_ms, signature]}
        masked = {**command, "args": ["***", expires_ms, "***"]}
        return [Command(_encode(command), _encode(masked))]

    def receive(self, control: Control, _now_ms: int) -> list[Command]:
        """Take a control frame; return the commands to send."""
        match control:
            case LoggedIn():
                self._logged_in = True
                return [
                    Command(_encode({"req_id": topic, "op": "subscribe", "args": [topic]}))
                    for topic in self.topics
                    if topic not in self.acknowledged
                ]
            case Acknowledged(_, command_id) if command_id in self.topics:
                self.acknowledged.add(command_id)
                self.refused.pop(command_id, None)
            case RefusedCommand():
                self._refuse(control)
        return []

    def heartbeat(self, _now_ms: int) -> Command:
        """The ping; the answer has the server's clock."""
        return Command(_encode({"req_id": f"{PING}{next(self._pings)}", "op": "ping"}))

    def _refuse(self, refusal: RefusedCommand) -> None:
        if refusal.command_id == LOGIN or not self._logged_in:
            raise Refused(
                f"The exchange refused the login ({refusal.message}); check key and secret, whether they are of this "
                "environment, and this machine's clock."
            )
        named = set(self.topics).intersection((refusal.command_id or "", *refusal.topics))
        for topic in named - self.acknowledged:
            self.refused[topic] = refusal.message
