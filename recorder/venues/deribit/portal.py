"""The client's side of Deribit's socket, as a state machine. Pure.

Ask for heartbeats → log in with a signature → subscribe, all channels in one command. The answer names the channels
that are pushed; one that is missing there was refused, without an error. The server asks for a sign of life about
every `HEARTBEAT_S`, and closes the connection if none comes; these questions are also when a login that ends soon is
renewed. Source: docs.deribit.com, "public/set_heartbeat", "public/auth", "private/subscribe".
"""

from collections.abc import Iterable
from itertools import count

from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, Asked, Control, LoggedIn, RefusedCommand
from recorder.venues.base import Command, PushSession, json_command
from recorder.venues.deribit import sign
from recorder.venues.deribit.decode import BEAT
from recorder.venues.rest import Credentials

#: Path of the socket.
PATH = "/ws/api/v2"

CHANGES, PORTFOLIO = "user.changes.any.any.raw", "user.portfolio.any"
#: The channels that together cover an account. `user.orders` and `user.trades` only repeat `user.changes`.
TOPICS = (CHANGES, PORTFOLIO, "user.lock", "platform_state")

#: How often the server is asked to ask for a sign of life, seconds.
HEARTBEAT_S = 30
#: A login is renewed after this share of its time, in thousandths.
RENEW_PERMILLE = 800

LOGIN, SUBSCRIBE, TEST, SET_HEARTBEAT = "login", "subscribe", "test", "set-heartbeat"
#: Errors that pass: too many requests, a retry, a settlement, a full queue, maintenance.
PASSING = frozenset([10028, 10040, 10041, 10047, 11051, 13028, 13888])
#: The login does not count, or no longer.
LOGGED_OUT = frozenset([10000, 13009])


class DeribitSession(PushSession):
    """The protocol of the socket."""

    def __init__(self, topics: Iterable[str], credentials: Credentials) -> None:
        super().__init__(topics)
        self._credentials = credentials
        self._beats = count(1)
        self._is_logged_in = False
        #: Whether a login was repeated because the exchange did not accept it for a subscription.
        self._is_repeated = False
        #: When the login is to be renewed, milliseconds since 1970; None: it is not, or is being renewed.
        self._renew_ms: int | None = None

    def opening(self, now_ms: int) -> list[Command]:
        """Ask for heartbeats, and log in."""
        return [_call(SET_HEARTBEAT, "public/set_heartbeat", {"interval": HEARTBEAT_S}), self._login(now_ms)]

    def receive(self, control: Control, now_ms: int) -> list[Command]:
        """Take a control frame; return the commands to send."""
        match control:
            case LoggedIn(_, expires_s):
                self._is_logged_in = True
                self._renew_ms = None if expires_s is None else now_ms + expires_s * RENEW_PERMILLE
                missing = self.missing()
                return [_call(SUBSCRIBE, "private/subscribe", {"channels": missing})] if missing else []
            case Asked():
                answer = [_call(TEST, "public/test", {})]
                if self._renew_ms is None or now_ms < self._renew_ms:
                    return answer
                self._renew_ms = None
                return [*answer, self._login(now_ms)]
            case Acknowledged(topics, command_id) if command_id == SUBSCRIBE:
                # A channel may come back in lower case.
                pushed = {topic.lower() for topic in topics}
                self.acknowledge(topic for topic in self.topics if topic.lower() in pushed)
                self.refuse(self.missing(), "the exchange left it out of its answer")
            case RefusedCommand():
                return self._refused(control, now_ms)
        return []

    def heartbeat(self, now_ms: int) -> Command:
        """A sign of life of our own; the answer has the server's clock."""
        return _call(f"{BEAT}{next(self._beats)}", "public/test", {})

    def _refused(self, refusal: RefusedCommand, now_ms: int) -> list[Command]:
        """Take a refusal. After one that passes, the next connection tries again; a renewal, at the next question."""
        is_login = refusal.command_id == LOGIN or (refusal.command_id is None and not self._is_logged_in)
        if not is_login and refusal.command_id not in {SUBSCRIBE, None}:
            return []
        if refusal.code in PASSING:
            if not is_login or not self._is_logged_in:
                raise SessionOver("not subscribed", refusal.message)
            self._renew_ms = now_ms
        elif is_login:
            raise Refused(
                f"The exchange refused the login ({refusal.message}); check key and secret, whether they are of "
                "this environment, and this machine's clock."
            )
        else:
            if refusal.code in LOGGED_OUT and not self._is_repeated:
                self._is_repeated = True
                return [self._login(now_ms)]
            self.refuse(self.missing(), refusal.message)
        return []

    def _login(self, now_ms: int) -> Command:
        """Log in, for reading only. What anybody could log in with for a minute is not recorded."""
        asked = sign.login(self._credentials["key"], self._credentials["secret"], now_ms, sign.nonce())
        asked["scope"] = sign.SCOPE
        hidden = {**asked, "client_id": "***", "signature": "***"}
        return _call(LOGIN, "public/auth", asked, hidden)


def _call(command_id: str, method: str, params: dict[str, object], hidden: dict[str, object] | None = None) -> Command:
    """A request; `hidden` are its parameters as they are recorded, if some are secret."""
    request = {"jsonrpc": "2.0", "id": command_id, "method": method, "params": params}
    return json_command(request) if hidden is None else json_command(request, params=hidden)
