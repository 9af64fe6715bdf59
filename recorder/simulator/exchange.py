"""One account on the simulated exchange: an endless, repeatable stream of pushes, and the state that REST reports."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext

from msgspec.structs import replace

from recorder.simulator.account import Change, SimulatedOrder, SimulatedPosition
from recorder.simulator.books import AccountBooks
from recorder.simulator.contract import EXACT, ZERO
from recorder.simulator.frames import balance_push, order_push, position_push
from recorder.simulator.market import TICKS, Dice, Market
from recorder.simulator.matching import MatchingEngine
from recorder.simulator.options import START_MS, ActiveFaults
from recorder.simulator.rest import RestState
from recorder.simulator.trader import FIRST_DEPOSIT, Trader

#: Delay of a push after the change, on the virtual clock, milliseconds: as in the page's samples.
PUSH_DELAY_MS = 17

#: Leverage of the first symbol, the second, ...; then from the beginning again.
LEVERAGES = (50, 25, 20, 10)

#: First price of each symbol, USD.
START_PRICES = (9288, 9400, 8850, 9610)


class Exchange:
    """An endless iterator of ``(topic, payload)``; the same seed gives the same bytes.

    Args:
        seed: of the trading.
        symbols: contracts traded, in lower case as in topics.
        start_ms: start of the virtual clock, milliseconds since 1970.
        clock_ms: a real clock to use instead of the virtual one; times and order ids then differ between runs.

    Raises:
        BooksError: from ``next``: the books do not balance.
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
        books = AccountBooks({name: LEVERAGES[index % len(LEVERAGES)] for index, name in enumerate(names)})
        markets = {
            name: Market(dice, START_PRICES[index % len(START_PRICES)] * TICKS + dice.between(-40, 40))
            for index, name in enumerate(names)
        }
        self.engine = MatchingEngine(books, markets, live=clock_ms is not None)
        self.engine.now_ms = start_ms
        self._trader = Trader(dice, self.engine, names)
        self._waiting: deque[Change] = deque()
        self.rest_state = RestState(dict(books.positions), start_ms)
        #: Fault: error added to the realized PnL that positions report, BTC.
        self.misstatement = ZERO
        self.engine.transfer(FIRST_DEPOSIT)
        # The first deposit was made before any client connected.
        self.rest_state.note(books.balance(start_ms))
        self.engine.changes.clear()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return self

    def __next__(self) -> tuple[str, bytes]:
        while not self._waiting:
            self._step()
        change = self._waiting.popleft()
        if self.misstatement and isinstance(change, SimulatedPosition):
            change = replace(change, realized_pnl=EXACT.add(change.realized_pnl, self.misstatement))
        self.rest_state.note(change)
        ts = self._clock_ms() if self._clock_ms else change.updated_at + PUSH_DELAY_MS
        if isinstance(change, SimulatedOrder):
            return self._order_topics[change.symbol], order_push(change, ts)
        if isinstance(change, SimulatedPosition):
            return self._position_topics[change.symbol], position_push(change, ts)
        return "account", balance_push(change, ts)

    def apply(self, faults: ActiveFaults) -> None:
        """Set the active faults."""
        self.rest_state.lag_s = faults.rest_lag_s
        self.misstatement = faults.misstatement
        self.engine.books.fees_twice = faults.fees_twice
        self.engine.books.leak = faults.leak

    @property
    def waiting(self) -> int:
        """Changes that have not been pushed yet."""
        return len(self._waiting)

    def transfer(self, amount: Decimal) -> None:
        """Deposit an amount, or withdraw it if negative; the next pushes report it.

        Raises:
            ValueError: the available balance is too small.
        """
        if not self.engine.books.affords(-amount):
            raise ValueError(f"{-amount} BTC cannot be withdrawn: only {self.engine.books.available} BTC are available")
        if self._clock_ms:
            self.engine.now_ms = max(self.engine.now_ms, self._clock_ms())
        with localcontext(EXACT):
            self.engine.transfer(amount)
        self._queue_changes()

    def _step(self) -> None:
        """Advance the clock and each market, and let the trader act."""
        engine = self.engine
        passed = self._dice.between(1, 400)
        engine.now_ms = max(engine.now_ms, self._clock_ms()) if self._clock_ms else engine.now_ms + passed
        with localcontext(EXACT):
            for name in self._names:
                engine.markets[name].move()
                engine.react(name)
            self._trader.act()
        self._queue_changes()

    def _queue_changes(self) -> None:
        self._waiting.extend(self.engine.changes)
        self.engine.changes.clear()


def wall_clock_ms() -> int:
    """The real clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000
