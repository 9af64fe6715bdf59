"""The client's side of Bybit's private stream, as a state machine. Pure.

Log in → subscribe, one topic a command, because a refusal concerns the whole command and an acknowledgement names only
the command, not its topics. There is no greeting and no snapshot.
Source: bybit-exchange.github.io/docs/v5/ws/connect.
"""

from collections.abc import Iterable
from itertools import count

from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, Control, LoggedIn, RefusedCommand
from recorder.venues.base import Command, PushSession, json_command
from recorder.venues.bybit import sign
from recorder.venues.rest import Credentials

#: Path of the private stream.
PATH = "/v5/private"

#: The topics that together cover an account: no symbols are needed. `execution.fast` only repeats `execution`.
TOPICS = ("order", "execution", "position", "wallet")

LOGIN = "login"
PING = "ping-"
#: The exchange cannot answer now, or is asked too much: nothing is wrong with the login, another connection is tried.
_PASSING = frozenset([10000, 10006, 10016])


class BybitSession(PushSession):
    """The protocol of the private stream."""

    def __init__(self, topics: Iterable[str], credentials: Credentials) -> None:
        super().__init__(topics)
        self._credentials = credentials
        self._logged_in = False
        self._pings = count(1)

    def opening(self, now_ms: int) -> list[Command]:
        """Log in. Key and signature, with which anybody could log in for some seconds, are not recorded."""
        key, expires_ms, signature = sign.login(self._credentials["key"], self._credentials["secret"], now_ms)
        command = {"req_id": LOGIN, "op": "auth", "args": [key, expires_ms, signature]}
        return [json_command(command, args=["***", expires_ms, "***"])]

    def receive(self, control: Control, _now_ms: int) -> list[Command]:
        """Take a control frame; return the commands to send."""
        match control:
            case LoggedIn():
                self._logged_in = True
                return [
                    json_command({"req_id": topic, "op": "subscribe", "args": [topic]})
                    for topic in self.topics
                    if topic not in self.acknowledged
                ]
            case Acknowledged(_, command_id):
                self.acknowledge([command_id or ""])
            case RefusedCommand():
                self._refuse(control)
        return []

    def heartbeat(self, _now_ms: int) -> Command:
        """The ping; the answer has the server's clock."""
        return json_command({"req_id": f"{PING}{next(self._pings)}", "op": "ping"})

    def _refuse(self, refusal: RefusedCommand) -> None:
        if refusal.code in _PASSING:
            raise SessionOver("refused", f"the exchange is busy ({refusal.message})")
        if refusal.command_id == LOGIN or not self._logged_in:
            raise Refused(
                f"The exchange refused the login ({refusal.message}); check key and secret, whether they are of this "
                "environment, and this machine's clock."
            )
        self.refuse([refusal.command_id or "", *refusal.topics], refusal.message)
