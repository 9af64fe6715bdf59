"""The client's side of Binance spot's WebSocket API, as a state machine. Pure.

One signed command subscribes to every event of the account. There is no login, no greeting and no snapshot. The
heartbeat asks for the server's clock. An end of the subscription is pushed, and so is a shutdown of the server.
Source: developers.binance.com/docs/binance-spot-api-docs, "WebSocket API".
"""

from collections.abc import Iterable
from itertools import count

from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, Control, Notice, RefusedCommand
from recorder.venues.base import Command, PushSession, json_command
from recorder.venues.binance_spot import sign
from recorder.venues.binance_spot.decode import TERMINATED
from recorder.venues.rest import Credentials

PATH = "/ws-api/v3"

#: The events of an account. One command subscribes to all of them.
TOPICS = ("executionReport", "listStatus", "outboundAccountPosition", "balanceUpdate", "externalLockUpdate")

METHOD = "userDataStream.subscribe.signature"
#: Ids of commands.
SUBSCRIBE, TIME = "subscribe", "time-"

#: Error codes that say nothing about the key: internal errors, too many requests, no answer in time, overload.
TRANSIENT = frozenset([-1000, -1001, -1003, -1006, -1007, -1008, -1015, -1016, -1034])


class BinanceSpotSession(PushSession):
    """The protocol of a connection to the WebSocket API."""

    def __init__(self, topics: Iterable[str], credentials: Credentials) -> None:
        super().__init__(topics)
        self._credentials = credentials
        self._times = count(1)

    def opening(self, now_ms: int) -> list[Command]:
        """Subscribe. What anybody could subscribe with for some seconds is not recorded."""
        given = sign.parameters(self._credentials["key"], self._credentials["secret"], now_ms)
        masked = {**given, "apiKey": "***", "signature": "***"}
        return [json_command({"id": SUBSCRIBE, "method": METHOD, "params": given}, params=masked)]

    def receive(self, control: Control, now_ms: int) -> list[Command]:
        """Take a control frame; there is nothing to send."""
        match control:
            case Acknowledged(_, command_id) if command_id == SUBSCRIBE:
                self.acknowledge(self.topics)
            case Notice(message) if message == TERMINATED:
                raise SessionOver("closed", message)
            case RefusedCommand():
                self._refused(control)
        return []

    def _refused(self, refusal: RefusedCommand) -> None:
        command_id, code, message, _ = refusal
        if (command_id or "").startswith(TIME):
            return  # a heartbeat that is not answered ends the connection soon enough
        if code in TRANSIENT:
            raise SessionOver("not subscribed", f"{code} {message}")
        raise Refused(
            f"The exchange refused the subscription ({code} {message}); check key and secret, whether they are of this "
            "environment and may be used from this address, and this machine's clock."
        )

    def heartbeat(self, now_ms: int) -> Command:
        """Ask for the clock."""
        return json_command({"id": f"{TIME}{next(self._times)}", "method": "time"})
