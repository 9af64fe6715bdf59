"""One account on the simulated exchange: an endless, repeatable stream of pushes, and the state that REST reports."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext

from msgspec.structs import replace

from recorder.simulator.books import AccountBooks, Purse
from recorder.simulator.contract import EXACT
from recorder.simulator.history import AccountHistory
from recorder.simulator.ids import Ids
from recorder.simulator.market import Dice, markets_of
from recorder.simulator.matching import MatchingEngine
from recorder.simulator.options import START_MS, ActiveFaults
from recorder.simulator.rest import SimulatedAccount
from recorder.simulator.trader import Trader
from recorder.venues import DEFAULT_VENUE, venue_named
from recorder.venues.face import Push
from recorder.venues.simulated import (
    NONE,
    Event,
    FillKind,
    Moment,
    PositionSide,
    SimulatedFill,
    SimulatedPosition,
    SimulatedTransaction,
    Terms,
)
from recorder.venues.stand_in import StandIn
from recorder.venues.view import NEVER_MS

#: Delay of a push after the change, on the virtual clock, milliseconds.
PUSH_DELAY_MS = 17

DAY_MS = 86_400_000

#: Funding rates, in millionths.
FUNDING_RATES = (-300, -50, 0, 10, 100, 375)


class Exchange:
    """An endless iterator of ``(topic, payload)``; the same seed gives the same bytes.

    Args:
        seed: of the trading.
        symbols: instruments to trade; by default those of the venue's own choice, and some that expire next.
        venue: whose stand-in renders the account.
        key: of the account, which some venues show.
        start_ms: start of the virtual clock, milliseconds since 1970.
        clock_ms: a real clock to use instead of the virtual one; times and ids then differ between runs.
        funding_interval_ms: let positions pay or receive funding at each multiple of this; 0 for never.
        expiry_ms: let what expires do so this long after the start; 0 for at the time that its name says.

    Raises:
        ValueError: the venue has no such instrument, or an option's underlying is missing.
        BooksError: from ``next``: the books do not balance.
    """

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str] = (),
        *,
        venue: str = DEFAULT_VENUE,
        key: str = "",
        start_ms: int = START_MS,
        clock_ms: Callable[[], int] | None = None,
        funding_interval_ms: int = 0,
        expiry_ms: int = 0,
    ) -> None:
        stand_in = venue_named(venue).stand_in
        begins_ms = clock_ms() if clock_ms else start_ms
        #: Of all instruments, those that have expired included.
        self.terms = terms = _instruments(stand_in, symbols, begins_ms, expiry_ms)
        funds = stand_in.funds(terms)
        dice = Dice(seed)
        live = clock_ms is not None
        self._dice, self._rates = dice, Dice(seed)
        self._clock_ms = clock_ms
        self._funding_interval_ms = funding_interval_ms
        self.face = stand_in.face(terms, key)
        markets = markets_of(dice, terms)
        books = AccountBooks(terms, funds, Ids(1, live=live).next)
        self.engine = MatchingEngine(books, markets, live=live)
        self.engine.now_ms = begins_ms
        self._trader = Trader(dice, self.engine, funds)
        self._waiting: deque[Moment] = deque()
        self._rendered: deque[Push] = deque()
        self._announces = False
        self.history = AccountHistory(books.positions, books.marks, start_ms)
        #: Fault: error added to the realized PnL that positions report.
        self.misstatement = NONE
        # The first deposits were made before any client connected.
        with localcontext(EXACT):
            for fund in funds:
                self.engine.transfer(books.purses[fund.wallet, fund.currency], fund.first)
        for moment in self.engine.moments:
            self.history.note(moment)
        self.engine.moments.clear()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return self

    def __next__(self) -> tuple[str, bytes]:
        while not self._rendered:
            if self._waiting:
                self._render()
            else:
                self._step()
        push = self._rendered.popleft()
        self._announces = not push.events
        self.history.note(push.events)
        return push.topic, push.payload

    def apply(self, faults: ActiveFaults) -> None:
        """Set the active faults."""
        self.history.lag_s = faults.rest_lag_s
        self.history.catch_up()
        self.misstatement = faults.misstatement
        self.engine.books.fees_twice = faults.fees_twice
        self.engine.books.leak = faults.leak

    def view(self) -> SimulatedAccount:
        """The account as REST sees it."""
        return SimulatedAccount(self.history, self.face)

    @property
    def announced(self) -> int:
        """Pushes to make until REST has what the last one announced, such as that an order was triggered."""
        following = enumerate(self._rendered, 1) if self._announces else ()
        return next((number for number, push in following if push.events), 0)

    @property
    def waiting(self) -> int:
        """Pushes of what has happened already."""
        while self._waiting:
            self._render()
        return len(self._rendered)

    def purse(self, currency: str | None = None, wallet: str | None = None) -> Purse:
        """The account's money in a currency, by default in the first one.

        Args:
            currency: the currency; None for the first one.
            wallet: the wallet; None for the first one that has the currency.

        Raises:
            ValueError: the account has no such purse.
        """
        for purse in self.engine.books.purses.values():
            if currency in {None, purse.currency} and wallet in {None, purse.wallet}:
                return purse
        raise ValueError(f"the account has no {currency} {f'in wallet {wallet}' if wallet else ''}")

    def transfer(self, amount: Decimal, purse: Purse | None = None, *, fee: Decimal = NONE) -> None:
        """Deposit an amount, or withdraw it if negative; the next pushes report it.

        Args:
            amount: a negative one includes the fee.
            purse: of the account; by default its first one.
            fee: of the withdrawal.

        Raises:
            ValueError: the available balance is too small.
        """
        chosen = purse or self.purse()
        self._require(chosen, -amount)
        self._do(lambda: self.engine.transfer(chosen, amount, fee))

    def move(self, source: Purse, target: Purse, amount: Decimal) -> None:
        """Transfer an amount from one wallet to another; the next pushes report it.

        Raises:
            ValueError: the available balance is too small, or the currencies differ.
        """
        if source.currency != target.currency or source is target:
            raise ValueError(f"{source.currency} in {source.wallet} cannot become {target.currency} in {target.wallet}")
        self._require(source, amount)
        self._do(lambda: self.engine.move(source, target, amount))

    def end_position(self, kind: FillKind) -> None:
        """Let the exchange end the first open position that is not in an option; the next pushes report it.

        Args:
            kind: `liquidation`: the price jumps until the position is lost; `settlement`: it is closed at the price;
                `adl`: half of it is.

        Raises:
            ValueError: no position is open.
        """
        positions = self.engine.books.positions.values()
        position = next((one for one in positions if one.quantity and one.terms.kind != "option"), None)
        if position is None:
            raise ValueError("no position is open")
        name, side = position.terms.name, position.position_side
        self._do(lambda: self._end(name, side, kind))

    def expire(self) -> None:
        """Let everything that expires do so now; the next pushes report it."""
        self._do(lambda: self._expire(NEVER_MS))

    def cancel_unfilled(self) -> list[int]:
        """Cancel the open orders of which nothing was filled; the next pushes report it. Returns their numbers."""
        order_ids = [one.id for one in self.engine.open.values() if not one.filled_quantity]

        def cancel_all() -> None:
            for order_id in order_ids:
                self.engine.cancel(order_id)

        self._do(cancel_all)
        return order_ids

    def _end(self, name: str, side: PositionSide | None, kind: FillKind) -> None:
        engine = self.engine
        engine.cancel_all(engine.books.positions[name, side])
        position, market = engine.books.positions[name, side], engine.markets[name]
        if kind == "liquidation":
            market.bid = max(1, market.ticks(position.liquidation_price) + (-1 if position.side == "long" else 1))
            engine.react(name)
            return
        lots = market.lots(position.quantity)
        engine.close_position(position, lots if kind == "settlement" else (lots + 1) // 2, kind)

    def _expire(self, until_ms: int) -> None:
        """End what expires before or at a time, milliseconds since 1970."""
        for terms in [market.terms for market in self.engine.markets.values()]:
            if 0 < terms.expires_ms <= until_ms:
                self.engine.expire(terms.name)

    def _require(self, purse: Purse, amount: Decimal) -> None:
        if not purse.affords(amount):
            raise ValueError(
                f"{amount} {purse.currency} cannot be withdrawn: only {purse.available} {purse.currency} are available"
            )

    def _do(self, action: Callable[[], None]) -> None:
        if self._clock_ms:
            self.engine.now_ms = max(self.engine.now_ms, self._clock_ms())
        with localcontext(EXACT):
            action()
        self._queue()

    def _step(self) -> None:
        """Advance the clock and each market, and let the trader act."""
        engine = self.engine
        passed, before_ms = self._dice.between(1, 400), engine.now_ms
        engine.now_ms = max(engine.now_ms, self._clock_ms()) if self._clock_ms else engine.now_ms + passed
        interval_ms = self._funding_interval_ms
        with localcontext(EXACT):
            if interval_ms and engine.now_ms // interval_ms > before_ms // interval_ms:
                for name in engine.markets:
                    engine.pay_funding(name, Decimal(self._rates.pick(FUNDING_RATES)).scaleb(-6))
            for name, market in engine.markets.items():
                market.move()
                engine.react(name)
            self._expire(engine.now_ms)
            self._trader.act()
        self._queue()

    def _queue(self) -> None:
        self._waiting.extend(self.engine.moments)
        self.engine.moments.clear()

    def _render(self) -> None:
        """Render the oldest moment that is waiting; what no push tells is noted with the last one."""
        moment = [self._misstated(event) for event in self._waiting.popleft()]
        now_ms = self._clock_ms() if self._clock_ms else _time_ms(moment) + PUSH_DELAY_MS
        pushes = list(self.face.pushes(moment, now_ms))
        told = {id(event) for push in pushes for event in push.events}
        untold = [event for event in moment if id(event) not in told]
        if pushes:
            pushes[-1] = pushes[-1]._replace(events=[*pushes[-1].events, *untold])
            self._rendered.extend(pushes)
        else:
            self.history.note(untold)

    def _misstated(self, event: Event) -> Event:
        if not self.misstatement or not isinstance(event, SimulatedPosition):
            return event
        return replace(event, realized_pnl=EXACT.add(event.realized_pnl, self.misstatement))


def _instruments(stand_in: StandIn, symbols: Sequence[str], begins_ms: int, expiry_ms: int) -> tuple[Terms, ...]:
    """What is traded. What expires before its name says so has one that says the day before."""
    if not symbols:
        symbols = [*stand_in.default_symbols, *stand_in.dated_symbols(begins_ms - (DAY_MS if expiry_ms else 0))]
    terms = stand_in.terms(symbols)
    if not expiry_ms:
        return terms
    return tuple(replace(one, expires_ms=begins_ms + expiry_ms) if one.expires_ms else one for one in terms)


def _time_ms(moment: Moment) -> int:
    """When a moment was, milliseconds since 1970: its last event is a state."""
    last = moment[-1]
    assert not isinstance(last, SimulatedFill | SimulatedTransaction)
    return last.updated_ms


def wall_clock_ms() -> int:
    """The real clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000
