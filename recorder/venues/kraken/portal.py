"""The client's side of Kraken's private socket, as a state machine. Pure.

There is no login: each subscription carries the token that REST gave for this connection. It is valid for 15 minutes,
and then for as long as the connection has a private subscription.
Source: docs.kraken.com, "Spot WebSocket Authentication", "Executions", "Balances", "Ping".
"""

from collections import defaultdict
from collections.abc import Mapping

from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, Control, RefusedCommand, SequenceNumber
from recorder.venues.base import Command, PushSession, json_command
from recorder.venues.kraken.decode import BALANCES, EXECUTIONS
from recorder.venues.rest import Token

PATH = "/v2"

#: Topic → parameters of its subscription. The newest fills at each subscription may be of a gap.
TOPICS: dict[str, Mapping[str, object]] = {
    EXECUTIONS: {"snap_orders": True, "snap_trades": True, "order_status": True},
    BALANCES: {"snapshot": True},
}
_COMMAND_IDS = {topic: number for number, topic in enumerate(TOPICS, 1)}
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

    def take(self, sequence: SequenceNumber) -> bool | None:
        """Take the next push. True: it follows the last one; False: it should, and does not; None: nobody knows."""
        follows = self._last is not None and sequence.number == self._last + 1
        is_reliable = self._followed >= _RELIABLE and not sequence.is_first
        self._last = sequence.number
        self._followed = self._followed + 1 if follows else 0
        return True if follows else False if is_reliable else None


class KrakenSession(PushSession):
    """The protocol of a private socket."""

    def __init__(self, token: Token | None) -> None:
        super().__init__(TOPICS)
        self._token = "" if token is None else token.text
        #: Channel → its count; None: that of the connection.
        self._counts: defaultdict[str | None, _Count] = defaultdict(_Count)

    def opening(self, now_ms: int) -> list[Command]:
        """Subscribe. What anybody could subscribe with for some minutes is not recorded."""
        return [self._subscribe(topic) for topic in self.topics]

    def _subscribe(self, topic: str) -> Command:
        params = {"channel": topic, **TOPICS[topic], "token": self._token}
        command = {"method": "subscribe", "params": params, "req_id": _COMMAND_IDS[topic]}
        return json_command(command, params={**params, "token": "***"})

    def receive(self, control: Control, now_ms: int) -> list[Command]:
        """Take a control frame."""
        match control:
            case RefusedCommand(_, _, message) if message.startswith(_TOKEN_ERRORS):
                raise Refused(
                    f"The exchange refused the token ({message}); check that the key exists and may use WebSockets."
                )
            case RefusedCommand(_, _, message) if message.startswith(_PASSING):
                raise SessionOver("refused", f"the exchange is busy ({message})")
            case RefusedCommand(command_id, _, message, topics):
                named = [topic for topic in self.topics if str(_COMMAND_IDS[topic]) == command_id]
                # One that names nothing may be of any topic that was not answered yet.
                self.refuse(named or topics or self.missing(), message)
            case Acknowledged(topics, command_id):
                self.acknowledge(topics or [one for one in self.topics if str(_COMMAND_IDS[one]) == command_id])
        return []

    def counted(self, topic: str | None, sequence: SequenceNumber) -> None:
        """Take the number of a push.

        The exchange does not say whether it counts the pushes of a channel or those of a connection. So a push is
        taken for lost only if a count that has been right so far has a hole, and the other one does not explain it.
        """
        followed = [self._counts[one].take(sequence) for one in (topic, None)]
        if False in followed and True not in followed:
            raise SessionOver("lost", f"pushes of {topic} before number {sequence.number} did not arrive")

    def heartbeat(self, now_ms: int) -> Command:
        """A ping, which the answer shows the exchange's clock for."""
        return json_command({"method": "ping", "req_id": _PING_ID})
