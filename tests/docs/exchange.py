"""The exchange of the documentation's record: a simulated one on a clock of its own, and what is true of its account.

It trades a few stretches of some days. Its pushes are heard by a recorder, or by nobody.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from recorder.clock import NS_PER_MS
from recorder.simulator.conditions import Conditions
from recorder.simulator.exchange import Exchange
from recorder.simulator.guard import Guard
from recorder.simulator.market import Dice
from recorder.simulator.records import Match, Order
from recorder.simulator.rest import Rest
from recorder.simulator.session import Session
from recorder.venues.base import Credentials, RestRequest

SEED = 7
SYMBOLS = ("btcusd_p", "btcusd_q")
CREDENTIALS = Credentials("demo-key", "demo-secret")
URL = "https://api.fmex.com"

#: Between two moments of trading there pass at most so many milliseconds.
PAUSE_MAX_MS = 40_000
#: A frame is on its way so long, milliseconds.
LATENCY_MS = (3, 45)


class Truth(NamedTuple):
    """What the account's books say, whatever was recorded of it."""

    #: Every execution there was, with its order as it stands at the end.
    matches: list[tuple[Order, Match]]
    #: (day, symbol) → realized PnL net of fees, in BTC.
    realized: dict[tuple[str, str], Decimal]
    #: Day → what was paid in, in BTC.
    deposits: dict[str, Decimal]
    #: Day → available, frozen and margin together at its end, in BTC.
    balances: dict[str, Decimal]


def day_of(at_ms: int) -> str:
    """The day of an instant, UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


def instant_ms(text: str) -> int:
    """Milliseconds since 1970 of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


class TradedExchange:
    """An account that trades when it is told to.

    Attributes:
        now_ms: milliseconds since 1970 on its clock, which is everybody's here.
    """

    def __init__(self, start: str) -> None:
        self.now_ms = instant_ms(start)
        self._exchange = Exchange(SEED, SYMBOLS, start_ms=self.now_ms)
        self._dice = Dice(SEED)
        self._rest = Rest(
            Guard({CREDENTIALS.key: CREDENTIALS.secret}),
            {CREDENTIALS.key: self._exchange.told},
            lambda: self.now_ms,
        )
        books = self._exchange.desk.books
        self._before = {name: held.realized_pnl for name, held in books.positions.items()}, books.deposits
        self._realized: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._deposits: dict[str, Decimal] = defaultdict(Decimal)
        self._balances: dict[str, Decimal] = {}

    def session(self) -> Session:
        """The portal's side of a new connection."""
        return Session(SYMBOLS, Conditions(), self.now_ms / 1000, 30)

    def answer(self, request: RestRequest, now_ms: int) -> bytes:
        """The answer to a REST request."""
        self.now_ms = max(self.now_ms, now_ms)
        return self._rest.answer("GET", request.url.removeprefix(URL), request.headers, URL)

    def arrival_ns(self, sent_ms: int) -> int:
        """When a frame that is sent then reaches the recorder."""
        return (sent_ms + self._dice.between(*LATENCY_MS)) * NS_PER_MS + self._dice.below(NS_PER_MS)

    def trade(self, pushes: int) -> Iterator[tuple[int, bytes]]:
        """Trade for so many pushes, and what belongs to the last; each with the exchange's time of it, milliseconds."""
        count = 0
        while count < pushes:
            self._exchange.desk.now_ms = self.now_ms + self._dice.below(PAUSE_MAX_MS)
            moment = [next(self._exchange)]
            while self._exchange._waiting:
                moment.append(next(self._exchange))
            self._keep_books()
            count += len(moment)
            sent_ms = self.now_ms = self._exchange.desk.now_ms + 17
            yield from ((sent_ms, payload) for _, payload in moment)

    def deposit(self, amount: Decimal) -> None:
        """Pay in; it is pushed with what is traded next."""
        self._exchange.desk.now_ms = self.now_ms
        self._exchange.desk.deposit(amount)

    def trade_unheard(self, pushes: int) -> None:
        """Trade while nobody listens."""
        for _ in self.trade(pushes):
            pass

    def truth(self) -> Truth:
        """What is true of the account so far."""
        orders = self._exchange.told.orders.values()
        matches = [(order, match) for order in orders for match in order.matches]
        return Truth(matches, dict(self._realized), dict(self._deposits), dict(self._balances))

    def _keep_books(self) -> None:
        books = self._exchange.desk.books
        day = day_of(self._exchange.desk.now_ms)
        realized, deposits = self._before
        for name, held in books.positions.items():
            self._realized[day, name] += held.realized_pnl - realized[name]
        self._deposits[day] += books.deposits - deposits
        self._before = {name: held.realized_pnl for name, held in books.positions.items()}, books.deposits
        balance = books.balance(0)
        self._balances[day] = balance.available + balance.frozen + balance.position
