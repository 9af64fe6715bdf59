"""The exchange of the documentation's record: a simulated one with its own clock, and what really happened.

It trades for some minutes on some days. A recorder receives its pushes, or nobody does.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from recorder.clock import NS_PER_MS
from recorder.simulator.exchange import Exchange
from recorder.simulator.market import Dice
from recorder.venues.fmex.portal import topics_of
from recorder.venues.fmex.stand_in import FMexStandIn
from recorder.venues.rest import Credentials, RestRequest
from recorder.venues.simulated import SimulatedFill, SimulatedOrder, SimulatedPosition
from recorder.venues.stand_in import AccountQuery, Backend, Conversation, PortalAccess, Request
from tests.made import body_of

SEED = 7
SYMBOLS = ("btcusd_p", "btcusd_q")
CREDENTIALS = Credentials(key="demo-key", secret="demo-secret")
URL = "https://api.fmex.com"

#: The longest pause between two moments of trading, milliseconds.
PAUSE_MAX_MS = 40_000
#: How long a frame is in transit, milliseconds.
LATENCY_MS = (3, 45)


class Moment(NamedTuple):
    """The account's books after something happened."""

    at_ms: int
    positions: dict[str, SimulatedPosition]
    #: Paid in so far, BTC.
    deposits: Decimal
    #: Available, frozen and margin together, BTC.
    total: Decimal

    @property
    def realized(self) -> Decimal:
        """All positions' realized PnL net of fees, BTC."""
        return sum((position.realized_pnl for position in self.positions.values()), Decimal(0))


class Truth(NamedTuple):
    """What happened, recorded or not."""

    #: At the end, with every execution.
    orders: list[SimulatedOrder]
    moments: list[Moment]

    @property
    def fills(self) -> Iterator[tuple[SimulatedOrder, SimulatedFill]]:
        """Every execution, with its order."""
        return ((order, fill) for order in self.orders for fill in order.fills)

    def at(self, at_ms: int) -> Moment:
        """The books at an instant."""
        return [moment for moment in self.moments if moment.at_ms <= at_ms][-1]


def day_of(at_ms: int) -> str:
    """The day of an instant, UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


def instant_ms(text: str) -> int:
    """Milliseconds since 1970 of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


class TradedExchange:
    """An account that trades when it is asked to.

    Attributes:
        now_ms: milliseconds since 1970, on its clock, which is also the recorder's.
    """

    def __init__(self, start: str) -> None:
        self.now_ms = instant_ms(start)
        self._exchange = Exchange(SEED, SYMBOLS, start_ms=self.now_ms)
        self._pauses, self._ways = Dice(SEED), Dice(SEED)
        self._stand_in = FMexStandIn()
        self._backend = Backend(
            secret_of={CREDENTIALS["key"]: CREDENTIALS["secret"]}.get,
            clock_ms=lambda: self.now_ms,
            has_topic=lambda _key, topic: topic in topics_of(SYMBOLS),
        )
        self._handler = self._stand_in.request_handler(self._backend)
        self._moments: list[Moment] = []

    def conversation(self) -> Conversation:
        """The portal's side of a new connection."""
        return self._stand_in.conversation(PortalAccess(CREDENTIALS["key"], {}), self._backend, self.now_ms / 1000)

    def answer(self, request: RestRequest, now_ms: int) -> bytes:
        """The answer to a REST request."""
        self.now_ms = max(self.now_ms, now_ms)
        decided = self._handler.handle(Request("GET", request.url.removeprefix(URL), request.headers, URL))
        assert not isinstance(decided, PortalAccess)
        return body_of(decided.answer(self._exchange.view()) if isinstance(decided, AccountQuery) else decided)

    def arrival_ns(self, sent_ns: int) -> int:
        """When a frame that is sent then reaches the other side."""
        return sent_ns + self._ways.between(*LATENCY_MS) * NS_PER_MS + self._ways.below(NS_PER_MS)

    def trade(self, pushes: int) -> Iterator[tuple[int, bytes]]:
        """Trade until there are this many pushes, and those that belong to the last; each with its time in ms."""
        count = 0
        while count < pushes:
            self._exchange.engine.now_ms = self.now_ms + self._pauses.below(PAUSE_MAX_MS)
            moment = [next(self._exchange)]
            while self._exchange.waiting:
                moment.append(next(self._exchange))
            self._keep_books()
            count += len(moment)
            sent_ms = self.now_ms = self._exchange.engine.now_ms + 17
            yield from ((sent_ms, payload) for _, payload in moment)

    def deposit(self, amount: Decimal) -> None:
        """Pay in; the next trade's pushes include it."""
        self._exchange.engine.now_ms = self.now_ms
        self._exchange.engine.transfer(self._exchange.purse(), amount)

    def trade_unrecorded(self, pushes: int) -> None:
        """Trade while nobody records."""
        for _ in self.trade(pushes):
            pass

    def truth(self) -> Truth:
        """What happened to the account so far."""
        return Truth(list(self._exchange.history.orders.values()), self._moments)

    def _keep_books(self) -> None:
        engine, purse = self._exchange.engine, self._exchange.purse()
        positions = {name: position for (name, _), position in engine.books.positions.items()}
        deposits = sum((one.amount for one in engine.transfers), Decimal(0))
        moment = Moment(engine.now_ms, positions, deposits, purse.total)
        self._moments.append(moment)
