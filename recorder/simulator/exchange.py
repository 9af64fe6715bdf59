"""One account on the simulated exchange: an endless, repeatable stream of pushes, and what REST tells beside it."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext

from msgspec.structs import replace

from recorder.simulator.account import Change, SimulatedBalance, SimulatedOrder, SimulatedPosition
from recorder.simulator.books import AccountBooks
from recorder.simulator.contract import EXACT, MAINTENANCE_RATE, TAKER_FEE_RATE, ZERO
from recorder.simulator.market import TICKS, Dice, Market
from recorder.simulator.matching import MatchingEngine
from recorder.simulator.options import START_MS, ActiveFaults
from recorder.simulator.rest import RestState
from recorder.simulator.trader import FIRST_DEPOSIT, Trader

#: From a change to its push on the virtual clock, milliseconds: as in the page's samples.
PUSH_DELAY_MS = 17

#: Leverage of the first symbol, the second, and so on round.
LEVERAGES = (50, 25, 20, 10)

#: Where prices start, USD.
START_PRICES = (9288, 9400, 8850, 9610)


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
        books = AccountBooks({name: LEVERAGES[index % len(LEVERAGES)] for index, name in enumerate(names)})
        markets = {
            name: Market(dice, START_PRICES[index % len(START_PRICES)] * TICKS + dice.between(-40, 40))
            for index, name in enumerate(names)
        }
        self.desk = MatchingEngine(books, markets, live=clock_ms is not None)
        self.desk.now_ms = start_ms
        self._trader = Trader(dice, self.desk, names)
        self._waiting: deque[Change] = deque()
        self.told = RestState(dict(books.positions), start_ms)
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
        if self.misstatement and isinstance(change, SimulatedPosition):
            change = replace(change, realized_pnl=EXACT.add(change.realized_pnl, self.misstatement))
        self.told.note(change)
        ts = self._clock_ms() if self._clock_ms else change.updated_at + PUSH_DELAY_MS
        if isinstance(change, SimulatedOrder):
            return self._order_topics[change.symbol], order_push(change, ts)
        if isinstance(change, SimulatedPosition):
            return self._position_topics[change.symbol], position_push(change, ts)
        return "account", balance_push(change, ts)

    def obey(self, conditions: ActiveFaults) -> None:
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


def balance_push(balance: SimulatedBalance, ts: int) -> bytes:
    """A push of topic ``account``."""
    return (
        f'{{"type":"account","account":{{"currency":"BTC","available":{balance.available},"frozen":{balance.frozen},'
        f'"position":{balance.position},"updated_at":{balance.updated_at}}},"ts":{ts}}}'
    ).encode()


def order_push(order: SimulatedOrder, ts: int) -> bytes:
    """A push of topic ``order.<symbol>``."""
    return f'{{"type":"order.{order.symbol.lower()}","order":{{{_order(order)}}},"ts":{ts}}}'.encode()


def position_push(position: SimulatedPosition, ts: int) -> bytes:
    """A push of topic ``position.<symbol>``."""
    return (
        f'{{"type":"position.{position.symbol.lower()}","position":{{"symbol":"{position.symbol}",'
        f'"quantity":{position.quantity},"direction":"{position.direction}","leverage":{position.leverage},'
        f'"risk_level":{position.risk_level},"margin":{position.margin},"taker_fee_rate":{TAKER_FEE_RATE},'
        f'"realized_pnl":{position.realized_pnl},"entry_price":{position.entry_price},'
        f'"liquidation_price":{position.liquidation_price},"bankruptcy_price":{position.bankruptcy_price},'
        f'"minimum_maintenance_margin_rate":{MAINTENANCE_RATE},"updated_at":{position.updated_at}}},"ts":{ts}}}'
    ).encode()


def _order(order: SimulatedOrder) -> str:
    return (
        f'"id":{order.id},"quantity":{order.quantity},"direction":"{order.direction}","features":{order.features},'
        f'"price":{order.price},"fill_price":{order.fill_price},"unfilled_quantity":{order.unfilled_quantity},'
        f'"symbol":"{order.symbol}","margin_currency":"BTC","fee":{order.fee},"type":"{order.type}",'
        f'"status":"{order.status}","trigger_direction":"{order.trigger_direction}","trigger_on":{order.trigger_on},'
        f'"trailing_base_price":{order.trailing_base_price},"trailing_distance":{order.trailing_distance},'
        f'"created_at":{order.created_at}'
    )
