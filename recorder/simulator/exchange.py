"""One account on the simulated exchange: an endless, repeatable stream of pushes, and what REST tells beside it."""

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext

from msgspec.structs import replace

from recorder.simulator import frames
from recorder.simulator.books import Books
from recorder.simulator.conditions import Conditions
from recorder.simulator.contract import EXACT, ZERO
from recorder.simulator.desk import Desk
from recorder.simulator.market import TICKS, Dice, Market
from recorder.simulator.records import OPEN, Balance, Change, Order, Position
from recorder.simulator.trader import FIRST_DEPOSIT, Trader

#: Where the virtual clock starts: the hour of the page's samples.
START_MS = 1_580_802_000_000

#: From a change to its push on the virtual clock, milliseconds: as in the page's samples.
PUSH_DELAY_MS = 17

#: Leverage of the first symbol, the second, and so on round.
LEVERAGES = (50, 25, 20, 10)

#: Where prices start, USD.
START_PRICES = (9288, 9400, 8850, 9610)


class Told:
    """What the exchange has told so far, by push: what REST answers. It never runs ahead of the pushes.

    Orders and their executions are all kept, for as long as the simulator runs.

    Attributes:
        lag_s: how far it is behind the pushes, in seconds of a real clock.
    """

    def __init__(self, positions: dict[str, Position], start_ms: int) -> None:
        self.balance = Balance(available=ZERO, frozen=ZERO, position=ZERO, updated_at=start_ms)
        self.positions = positions
        self.orders: dict[int, Order] = {}
        self.now_ms = start_ms
        self._ids: list[int] = []
        self._open: dict[int, Order] = {}
        self.lag_s = 0.0
        self._late: deque[tuple[float, Change]] = deque()

    def note(self, change: Change) -> None:
        """Take in what was pushed, now or as late as `lag_s` has it."""
        if self.lag_s or self._late:
            self._late.append((time.monotonic(), change))
            self.catch_up()
        else:
            self._note(change)

    def catch_up(self) -> None:
        """Take in what has been late for long enough."""
        until_s = time.monotonic() - self.lag_s
        while self._late and self._late[0][0] <= until_s:
            self._note(self._late.popleft()[1])

    def _note(self, change: Change) -> None:
        if isinstance(change, Balance):
            self.balance = change
        elif isinstance(change, Position):
            self.positions[change.symbol] = change
        else:
            if change.id not in self.orders:
                self._ids.append(change.id)
            self.orders[change.id] = change
            if change.status in OPEN:
                self._open[change.id] = change
            else:
                self._open.pop(change.id, None)
        self.now_ms = change.updated_at

    def open_orders(self) -> list[Order]:
        """Orders that may still change, newest first."""
        return [self._open[order_id] for order_id in sorted(self._open, reverse=True)]

    def closed_orders(self, before_id: int | None) -> Iterator[Order]:
        """Orders that are done, newest first; only those with a smaller id where one is given."""
        end = len(self._ids) if before_id is None else bisect_left(self._ids, before_id)
        newest = (self._ids[index] for index in range(end - 1, -1, -1))
        return (self.orders[order_id] for order_id in newest if order_id not in self._open)


class Exchange:
    """An iterator of ``(topic, payload)``, without end; the same seed gives the same bytes.

    Args:
        seed: of everything that happens.
        symbols: contracts traded, in lower case as in topics.
        start_ms: where the virtual clock starts, milliseconds since 1970.
        clock_ms: a real clock to stamp with in place of the virtual one; times and order ids then differ between runs.

    Raises:
        BooksError: from ``next``, when the books do not balance.
    """

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str] = ("btcusd_p",),
        *,
        start_ms: int = START_MS,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        dice = Dice(seed)
        names = [symbol.upper() for symbol in symbols]
        self._dice = dice
        self._clock_ms = clock_ms
        self._names = names
        self._order_topics = {name: f"order.{name.lower()}" for name in names}
        self._position_topics = {name: f"position.{name.lower()}" for name in names}
        books = Books({name: LEVERAGES[index % len(LEVERAGES)] for index, name in enumerate(names)})
        markets = {
            name: Market(dice, START_PRICES[index % len(START_PRICES)] * TICKS + dice.between(-40, 40))
            for index, name in enumerate(names)
        }
        self.desk = Desk(books, markets, live=clock_ms is not None)
        self.desk.now_ms = start_ms
        self._trader = Trader(dice, self.desk, names)
        self._waiting: deque[Change] = deque()
        self.told = Told(dict(books.positions), start_ms)
        #: Positions tell a realized PnL that is so far off, BTC.
        self.misstatement = ZERO
        self.desk.transfer(FIRST_DEPOSIT)
        # The first deposit was before anyone listened.
        self.told.note(books.balance(start_ms))
        self.desk.changes.clear()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return self

    def __next__(self) -> tuple[str, bytes]:
        while not self._waiting:
            self._live()
        change = self._waiting.popleft()
        if self.misstatement and isinstance(change, Position):
            change = replace(change, realized_pnl=EXACT.add(change.realized_pnl, self.misstatement))
        self.told.note(change)
        ts = self._clock_ms() if self._clock_ms else change.updated_at + PUSH_DELAY_MS
        if isinstance(change, Order):
            return self._order_topics[change.symbol], frames.order_push(change, ts)
        if isinstance(change, Position):
            return self._position_topics[change.symbol], frames.position_push(change, ts)
        return "account", frames.balance_push(change, ts)

    def obey(self, conditions: Conditions) -> None:
        """What is wrong from now on."""
        self.told.lag_s = conditions.rest_lag_s
        self.misstatement = conditions.misstatement
        self.desk.books.fees_twice = conditions.fees_twice
        self.desk.books.leak = conditions.leak

    @property
    def waiting(self) -> int:
        """Pushes that are made and not told yet."""
        return len(self._waiting)

    def transfer(self, amount: Decimal) -> None:
        """Money comes in, or out where it is negative; the account's next pushes tell.

        Raises:
            ValueError: there is not so much to take out.
        """
        if not self.desk.books.affords(-amount):
            raise ValueError(f"{-amount} BTC cannot be taken out: {self.desk.books.available} are available")
        if self._clock_ms:
            self.desk.now_ms = max(self.desk.now_ms, self._clock_ms())
        with localcontext(EXACT):
            self.desk.transfer(amount)
        self._tell()

    def _live(self) -> None:
        """Let a moment pass: time, each market, the trader."""
        desk = self.desk
        passed = self._dice.between(1, 400)
        desk.now_ms = max(desk.now_ms, self._clock_ms()) if self._clock_ms else desk.now_ms + passed
        with localcontext(EXACT):
            for name in self._names:
                desk.markets[name].move()
                desk.react(name)
            self._trader.act()
        self._tell()

    def _tell(self) -> None:
        self._waiting.extend(self.desk.changes)
        self.desk.changes.clear()


def wall_clock_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
