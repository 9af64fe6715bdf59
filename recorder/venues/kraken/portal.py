"""The client's side of Kraken's private sockets, as a state machine. Pure.

There is no login: each subscription carries the token that REST gave for this connection. It is valid for 15 minutes,
and then for as long as the connection has a private subscription. That of derivatives is the Unified WebSocket, which
takes the same keys and speaks in the same way.
Source: docs.kraken.com, "Spot WebSocket Authentication", "Executions", "Balances", "Ping"; of derivatives
docs.kraken.com/exchange/api-reference/, pages unified-websocket, unified-ws/executions, unified-ws/positions,
unified-ws/margin, unified-ws/balances, unified-ws/ledgers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, Control, RefusedCommand, SequenceNumber
from recorder.venues.base import Command, PushSession, Stream, json_command
from recorder.venues.kraken.decode import BALANCES, EXECUTIONS
from recorder.venues.kraken.derivatives import LEDGERS, MARGIN, POSITIONS, TOO_LARGE, channel_of, topic
from recorder.venues.kraken.names import DERIVATIVES
from recorder.venues.rest import Login, Token

#: Paths of the socket of spot, and of that of derivatives.
PATH, UNIFIED_PATH = "/v2", "/v2/private"
#: Host of the socket of spot → that of derivatives; any other one, such as a simulated exchange, has both.
_UNIFIED = {"wss://ws-auth.kraken.com": "wss://uws.kraken.com"}

#: Topic → parameters of its subscription. The newest fills at each subscription may be of a gap.
TOPICS: dict[str, Mapping[str, object]] = {
    EXECUTIONS: {"snap_orders": True, "snap_trades": True, "order_status": True},
    BALANCES: {"snapshot": True},
}
_CLASS = {"asset_class": DERIVATIVES}
#: The same of derivatives. Positions either come with a snapshot or with their margins; the margins of wallets are
#: always whole; the ledger is that of the account, whatever was traded.
DERIVATIVE_TOPICS: dict[str, Mapping[str, object]] = {
    topic(EXECUTIONS): {**_CLASS, **TOPICS[EXECUTIONS]},
    POSITIONS: {**_CLASS, "snapshot": True},
    MARGIN: _CLASS,
    topic(BALANCES): TOPICS[BALANCES],
    LEDGERS: {},
}
_PARAMETERS = {**TOPICS, **DERIVATIVE_TOPICS}
_COMMAND_IDS = {name: number for number, name in enumerate(_PARAMETERS, 1)}
_PING_ID = 100

#: Errors about the token, not about the topic.
_TOKEN_ERRORS = ("ESession:", "EAuth:", "EAPI:Invalid")
#: The exchange cannot answer now, or is asked too much: another connection is tried.
_PASSING = ("EService:", "EGeneral:Internal error", "EGeneral:Temporary lockout", "EAPI:Rate limit")


#: So many pushes in a row must follow a rule of counting before it is relied upon.
_RELIABLE = 3


class _Count:
    """Pushes that follow each other by their numbers: those of a channel, or those of a connection."""

    def __init__(self) -> None:
        self._last: int | None = None
        #: How many followed the one before.
        self._followed = 0

    def take(self, sequence: SequenceNumber, *, proves: bool = True) -> bool | None:
        """Take the next push. True: it follows the last one; False: it should, and does not; None: nobody knows.

        Args:
            sequence: its number.
            proves: whether the rule is more likely if it follows.
        """
        follows = self._last is not None and sequence.number == self._last + 1
        is_reliable = self._followed >= _RELIABLE and not sequence.is_first
        self._last = sequence.number
        self._followed = self._followed + proves if follows else 0
        return True if follows else False if is_reliable else None


def streams(login: Login) -> tuple[Stream, ...]:
    """The sockets of an account: one of spot, for all pairs, and one of derivatives if it is to be recorded."""
    spot = Stream(login.stream_url + PATH, tuple(TOPICS))
    if login.environment != DERIVATIVES:
        return (spot,)
    host = _UNIFIED.get(login.stream_url, login.stream_url)
    return spot, Stream(host + UNIFIED_PATH, tuple(DERIVATIVE_TOPICS), DERIVATIVES)


class KrakenSession(PushSession):
    """The protocol of a private socket."""

    def __init__(self, token: Token | None, topics: Iterable[str] = TOPICS) -> None:
        super().__init__(topics)
        self._token = "" if token is None else token.text
        #: Whether positions that did not fit in a message were asked for once more.
        self._asked_again = False
        #: Channel of the last push with a number.
        self._last_channel: str | None = None
        #: Channel → its count; None: that of the connection.
        self._counts: defaultdict[str | None, _Count] = defaultdict(_Count)

    def opening(self, now_ms: int) -> list[Command]:
        """Subscribe. What anybody could subscribe with for some minutes is not recorded."""
        return [self._command("subscribe", name) for name in self.topics]

    def _command(self, method: str, name: str) -> Command:
        params = {"channel": channel_of(name), **_PARAMETERS[name], "token": self._token}
        command = {"method": method, "params": params, "req_id": _COMMAND_IDS[name]}
        return json_command(command, params={**params, "token": "***"})

    def _of(self, command_id: str | None, channels: Iterable[str]) -> list[str]:
        """The topics that an answer is about: that of its command, or else of the channels that it names."""
        named = [name for name in self.topics if str(_COMMAND_IDS[name]) == command_id]
        return named or [name for name in self.topics if channel_of(name) in channels]

    def receive(self, control: Control, now_ms: int) -> list[Command]:
        """Take a control frame."""
        match control:
            case RefusedCommand(_, _, message) if message.startswith(_TOKEN_ERRORS):
                raise Refused(
                    f"The exchange refused the token ({message}); check that the key exists and may use WebSockets."
                )
            case RefusedCommand(_, _, message) if message.startswith(_PASSING):
                raise SessionOver("refused", f"the exchange is busy ({message})")
            case RefusedCommand(_, _, message) if message == TOO_LARGE:
                return self._once_more(POSITIONS)
            case RefusedCommand(command_id, _, message, channels):
                # One that names nothing may be of any topic that was not answered yet.
                self.refuse(self._of(command_id, channels) or self.missing(), message)
            case Acknowledged(channels, command_id):
                self.acknowledge(self._of(command_id, channels))
        return []

    def _once_more(self, name: str) -> list[Command]:
        """Ask for a snapshot again, once: one that is too large may be so for ever. Changes are pushed anyway."""
        if self._asked_again:
            return []
        self._asked_again = True
        return [self._command("unsubscribe", name), self._command("subscribe", name)]

    def counted(self, topic: str | None, sequence: SequenceNumber) -> None:
        """Take the number of a push.

        The exchange does not say whether it counts the pushes of a channel or those of a connection. So a push is
        taken for lost only if a count that has been right so far has a hole, and the other one does not explain it.
        That it counts those of a connection is only shown by pushes of several channels that follow each other. Of the
        ledger it says "per connection", which may mean both: only entries that follow each other although other pushes
        came between them show that it counts these alone.
        """
        channel = channel_of(topic or "")
        is_another = channel != self._last_channel
        self._last_channel = channel
        followed = [
            self._counts[channel].take(sequence, proves=is_another or channel != LEDGERS),
            self._counts[None].take(sequence, proves=is_another),
        ]
        if False in followed and True not in followed:
            raise SessionOver("lost", f"pushes of {channel} before number {sequence.number} did not arrive")

    def heartbeat(self, now_ms: int) -> Command:
        """A ping, which the answer shows the exchange's clock for."""
        return json_command({"method": "ping", "req_id": _PING_ID})
