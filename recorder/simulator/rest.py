"""What REST reports of a simulated account: the state as pushed so far."""

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

from recorder.model import MAKER, TAKER, FillUpdate
from recorder.simulator.account import Change, OrderMatch, SimulatedBalance, SimulatedOrder, SimulatedPosition
from recorder.simulator.contract import ZERO
from recorder.simulator.frames import balance_answer, order_answer, position_answer
from recorder.venues.fmex import rest
from recorder.venues.fmex.orders import OPEN, SIDES
from recorder.venues.fmex.portal import topics_of
from recorder.venues.stand_in import Execution, SentState


class RestState:
    """The state that REST reports: it follows the pushes and is never ahead of them.

    It keeps all orders and executions for as long as the simulator runs.

    Attributes:
        lag_s: delay behind the pushes, in seconds of the real clock.
    """

    def __init__(self, positions: dict[str, SimulatedPosition], start_ms: int) -> None:
        self.balance = SimulatedBalance(available=ZERO, frozen=ZERO, position=ZERO, updated_at=start_ms)
        self.positions = positions
        self.orders: dict[int, SimulatedOrder] = {}
        self.now_ms = start_ms
        self._ids: list[int] = []
        self._open: dict[int, SimulatedOrder] = {}
        self.lag_s = 0.0
        self._late: deque[tuple[float, Change]] = deque()

    def note(self, change: Change) -> None:
        """Take a pushed change, now or `lag_s` later."""
        if self.lag_s or self._late:
            self._late.append((time.monotonic(), change))
            self.catch_up()
        else:
            self._note(change)

    def catch_up(self) -> None:
        """Take the changes that have been delayed for long enough."""
        until_s = time.monotonic() - self.lag_s
        while self._late and self._late[0][0] <= until_s:
            self._note(self._late.popleft()[1])

    def _note(self, change: Change) -> None:
        if isinstance(change, SimulatedBalance):
            self.balance = change
        elif isinstance(change, SimulatedPosition):
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

    def open_orders(self) -> list[SimulatedOrder]:
        """The orders that can still change, newest first."""
        return [self._open[order_id] for order_id in sorted(self._open, reverse=True)]

    def closed_orders(self, before_id: int | None) -> Iterator[SimulatedOrder]:
        """The orders that can no longer change, newest first; only those with a smaller id if one is given."""
        end = len(self._ids) if before_id is None else bisect_left(self._ids, before_id)
        newest = (self._ids[index] for index in range(end - 1, -1, -1))
        return (self.orders[order_id] for order_id in newest if order_id not in self._open)


class SimulatedAccount:
    """Implements `recorder.venues.stand_in.AccountView`.

    Args:
        state: of the account.
    """

    def __init__(self, state: RestState) -> None:
        state.catch_up()
        self._state = state

    @property
    def now_ms(self) -> int:
        """The time of the last change, on the account's own clock."""
        return self._state.now_ms

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of all contracts."""
        return topics_of(self._state.positions)

    def balances(self) -> Iterator[SentState]:
        """The balance, in BTC."""
        yield SentState(rest.ACCOUNTS, balance_answer(self._state.balance))

    def positions(self) -> Iterator[SentState]:
        """The positions that have ever changed."""
        held = (position for position in self._state.positions.values() if position.updated_at)
        return (SentState(rest.POSITIONS, position_answer(position)) for position in held)

    def open_orders(self) -> Iterator[SentState]:
        """The open orders, newest first."""
        return map(_sent, self._state.open_orders())

    def closed_orders(
        self, symbol: str | None, begins_ms: int, ends_ms: int, before_id: str | None, limit: int
    ) -> Iterator[SentState]:
        """The closed orders, newest first. Ids grow with time, so the search can stop at the first older order."""
        closed = self._state.closed_orders(None if before_id is None else int(before_id))
        recent = takewhile(lambda order: order.created_at >= begins_ms, closed)
        mine = (order for order in recent if symbol in {None, order.symbol} and order.created_at < ends_ms)
        return map(_sent, islice(mine, limit))

    def order(self, order_id: str) -> SentState | None:
        """One order."""
        order = self._state.orders.get(int(order_id))
        return None if order is None else _sent(order)

    def executions(self, order_id: str) -> Sequence[Execution]:
        """The executions of one order."""
        order = self._state.orders[int(order_id)]
        return [_execution(order, match) for match in order.matches]


def _sent(order: SimulatedOrder) -> SentState:
    return SentState(f"{rest.ORDERS}/{order.id}", order_answer(order))


def _execution(order: SimulatedOrder, match: OrderMatch) -> Execution:
    fill = FillUpdate(
        event_ms=None,
        is_snapshot=0,
        trade_id=None,
        order_id=str(order.id),
        client_order_id=None,
        market=None,
        symbol=order.symbol,
        side=SIDES[order.direction],
        position_side=None,
        price=str(match.price),
        quantity=f"{match.quantity}.0",  # with a decimal point, as in the exchange's example
        fee=str(match.fee),
        fee_currency="BTC",
        liquidity=TAKER if match.taker else MAKER,
        realized_pnl=None,
        kind=None,
        executed_ms=match.created_at,
        extra=None,
    )
    return Execution(fill)
