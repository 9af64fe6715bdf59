"""The client's side of Bitget's private socket, as a state machine. Pure.

Log in → wait for the answer → subscribe. All subscriptions are one command, because a client may send ten messages a
second; each is acknowledged on its own, and a refusal names its topic. A ping is the bare word `ping`; the exchange
does not count those of the WebSocket protocol. Source: bitget.com/docs/uta, "WebSocket".
"""

from collections.abc import Iterable

from recorder.errors import Refused, SessionOver
from recorder.model import Control, LoggedIn, RefusedCommand
from recorder.venues.base import Command, PushSession, json_command
from recorder.venues.bitget import sign
from recorder.venues.rest import Credentials

PATH = "/v3/ws/private"
#: They cover an account: no symbols are needed. `fast-fill` repeats `fill` with fewer fields, and not all of them.
TOPICS = ("order", "fill", "position", "account", "strategy-order", "adl-notification")
INST_TYPE = "UTA"

LOGIN_ERRORS = frozenset([30004, 30005, 30011, 30012, 30013, 30014, 30015])
#: The exchange is asked too much: nothing is wrong with the login, and another connection is tried later.
_PASSING = frozenset([30006, 30007])


class BitgetSession(PushSession):
    """The protocol of the private socket."""

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
                wanted = [{"instType": INST_TYPE, "topic": topic} for topic in self.missing()]
                return [json_command({"op": "subscribe", "args": wanted})] if wanted else []
            case RefusedCommand(_, code, message):
                if code in _PASSING:
                    raise SessionOver("refused", f"the exchange is busy ({message})")
                if code in LOGIN_ERRORS or not self._logged_in:
                    raise Refused(
                        f"The exchange refused the login ({message}); check key, secret and passphrase, whether they "
                        "are of this environment, and this machine's clock."
                    )
        return super().receive(control, now_ms)

    def heartbeat(self, now_ms: int) -> Command:
        """The ping, which is no JSON."""
        return Command(b"ping")
