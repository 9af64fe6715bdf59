"""The client's side of OKX's private sockets, as a state machine. Pure.

Log in → subscribe, one channel a command, because a refusal names only the command. There are two sockets: conditional
orders, deposits and withdrawals are on a path of their own. A ping is the bare word `ping`.
Source: okx.com/docs-v5, "WebSocket": Connect, Login, Subscribe.
"""

from collections.abc import Iterable

from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, Asked, Control, LoggedIn, RefusedCommand
from recorder.venues.base import Command, PushSession, json_command
from recorder.venues.okx import sign
from recorder.venues.rest import Credentials

#: Stream → path of its socket. The first one is the main stream, which has no name.
PRIVATE, BUSINESS = "", "business"
PATHS = {PRIVATE: "/ws/v5/private", BUSINESS: "/ws/v5/business"}

#: Stream → its topics, which together cover an account: no symbols are needed. `fills` only repeats `orders`.
TOPICS = {
    PRIVATE: ("orders", "positions", "account", "balance_and_position"),
    BUSINESS: ("orders-algo", "algo-advance", "deposit-info", "withdrawal-info"),
}
#: Arguments of a subscription besides the channel. Without the interval of 0, positions and balances are repeated every
#: five seconds although nothing has changed.
_ANY = {"instType": "ANY"}
_EVENTS_ONLY = {"extraParams": '{"updateInterval": "0"}'}
ARGUMENTS: dict[str, dict[str, str]] = {
    "orders": _ANY,
    "positions": {**_ANY, **_EVENTS_ONLY},
    "account": _EVENTS_ONLY,
    "orders-algo": _ANY,
    "algo-advance": _ANY,
}

LOGIN_ERRORS = frozenset([60004, 60005, 60006, 60007, 60009, 60011, 60024, 60031, 60032, 50101])
#: The exchange cannot answer now, or is asked too much: nothing is wrong with the login, another connection is tried.
_PASSING = frozenset([50001, 50004, 50011, 50013, 50026, 50061, 60014, 60023, 63999, 64007])


class OKXSession(PushSession):
    """The protocol of one private socket."""

    def __init__(self, topics: Iterable[str], credentials: Credentials) -> None:
        super().__init__(topics)
        self._credentials = credentials
        self._logged_in = False

    def opening(self, now_ms: int) -> list[Command]:
        """Log in. What anybody could log in with for some seconds is not recorded."""
        given = self._credentials
        argument = sign.login(given["key"], given["secret"], given["passphrase"], now_ms)
        masked = {**argument, **dict.fromkeys(("apiKey", "passphrase", "sign"), "***")}
        return [json_command({"op": "login", "args": [argument]}, args=[masked])]

    def receive(self, control: Control, now_ms: int) -> list[Command]:
        """Take a control frame; return the commands to send."""
        match control:
            case LoggedIn():
                self._logged_in = True
                return [
                    json_command(
                        {
                            "id": _id_of(topic),
                            "op": "subscribe",
                            "args": [{"channel": topic, **ARGUMENTS.get(topic, {})}],
                        }
                    )
                    for topic in self.topics
                    if topic not in self.acknowledged
                ]
            case Asked():
                return [Command(b"pong")]
            case RefusedCommand(_, code, message) if code in _PASSING:
                raise SessionOver("refused", f"the exchange is busy ({message})")
            case RefusedCommand(command_id, code, message, topics):
                if not self._logged_in or code in LOGIN_ERRORS:
                    raise Refused(
                        f"The exchange refused the login ({message}); check key, secret and passphrase, whether they "
                        "are of this environment and region, and this machine's clock."
                    )
                named = [topic for topic in self.topics if _id_of(topic) == command_id]
                # One that names nothing may be of any topic that was not answered yet.
                for topic in named or topics or self.missing():
                    self.acknowledged.discard(topic)
                    self.refuse([topic], message)
            case Acknowledged(topics):
                self.acknowledge(topics)
        return []

    def heartbeat(self, now_ms: int) -> Command:
        """The ping, which is no JSON."""
        return Command(b"ping")


def _id_of(topic: str) -> str:
    """The id of a subscription: letters and digits only."""
    return "".join(filter(str.isalnum, topic))
