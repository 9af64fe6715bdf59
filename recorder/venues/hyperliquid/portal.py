"""The client's side of Hyperliquid's socket, as a state machine. Pure.

One subscription a command; each is acknowledged by an echo, or refused in prose that may or may not repeat it. There is
no login. One connection has one account, because two of its streams do not name theirs.
Source: hyperliquid.gitbook.io, "WebSocket" (Subscriptions, Timeouts and heartbeats).
"""

from collections.abc import Iterable

from recorder.venues.base import Command, PushSession, json_command
from recorder.venues.hyperliquid.topics import topic

PATH = "/ws"

#: What is subscribed to once. `userEvents` has liquidations and cancellations that the user did not ask for.
_TOPICS = (
    "orderUpdates",
    "userFills",
    "userFundings",
    "userNonFundingLedgerUpdates",
    "userTwapSliceFills",
    "userEvents",
    "allDexsClearinghouseState",
    "spotState",
)
#: What is subscribed to for each perpetual exchange of the account.
_OF_DEX = "openOrders"

#: Topics with full states that are pushed every four to five seconds → seconds of silence after which a subscription
#: counts as lost. Answers to pings prove only the connection.
REPEATED = {"allDexsClearinghouseState": 30.0, "spotState": 30.0, _OF_DEX: 30.0}


def topics_of(symbols: Iterable[str]) -> tuple[str, ...]:
    """All topics of an account.

    Args:
        symbols: those whose perpetual exchange (`xyz` of `xyz:TSLA`) the account uses besides the main one.
    """
    return (*_TOPICS, *(topic(_OF_DEX, dex) for dex in dexes_of(symbols)))


def dexes_of(symbols: Iterable[str]) -> tuple[str, ...]:
    """The perpetual exchanges of these symbols; the main one, which has no name, is always among them."""
    return tuple(dict.fromkeys(["", *(symbol.rpartition(":")[0] for symbol in symbols)]))


class HyperliquidSession(PushSession):
    """The protocol of the socket. A refusal that names nothing is that of too many users of one address.

    Args:
        topics: to subscribe to.
        address: of the account.
    """

    def __init__(self, topics: Iterable[str], address: str) -> None:
        super().__init__(topics)
        self._address = address

    def opening(self, _now_ms: int) -> list[Command]:
        """Subscribe to everything."""
        return [self._subscribe(one) for one in self.topics]

    def heartbeat(self, _now_ms: int) -> Command:
        """The ping; the answer says nothing but that the connection lives."""
        return json_command({"method": "ping"})

    def _subscribe(self, one: str) -> Command:
        kind, _, dex = one.partition(":")
        subscription = {"type": kind, "user": self._address}
        if kind == _OF_DEX:
            subscription["dex"] = dex
        return json_command({"method": "subscribe", "subscription": subscription})
