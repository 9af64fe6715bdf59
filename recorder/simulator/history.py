"""What a simulated account's REST reports: the state as pushed so far, and everything that led to it."""

import time
from collections import deque
from collections.abc import Collection, Mapping
from decimal import Decimal

from msgspec.structs import replace

from recorder.simulator.books import PositionKey, PurseKey
from recorder.venues.simulated import (
    Event,
    Moment,
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    SimulatedTransaction,
)


class AccountHistory:
    """The state that REST reports: it follows the pushes and is never ahead of them.

    It keeps all orders, fills and transactions for as long as the simulator runs.

    Args:
        positions: at the beginning.
        marks: `Terms.name` → the market's price, kept up to date.
        start_ms: when it begins, milliseconds since 1970.

    Attributes:
        lag_s: delay behind the pushes, in seconds of the real clock.
        orders: each as it is now, by its id.
        order_ids: of all orders, in the order of their creation; ids grow with time.
        triggered: those of them that have a trigger.
        ended: of the orders that can no longer change, in the order of their ends.
        fills: oldest first.
        transactions: oldest first.
    """

    def __init__(
        self, positions: Mapping[PositionKey, SimulatedPosition], marks: Mapping[str, Decimal], start_ms: int
    ) -> None:
        self._marks = marks
        self.balances: dict[PurseKey, SimulatedBalance] = {}
        self.positions = dict(positions)
        self.orders: dict[int, SimulatedOrder] = {}
        self.order_ids: list[int] = []
        self.triggered: list[int] = []
        self.ended: list[int] = []
        self.fills: list[SimulatedFill] = []
        self.transactions: list[SimulatedTransaction] = []
        self.now_ms = start_ms
        self.lag_s = 0.0
        self._open: dict[int, SimulatedOrder] = {}
        self._late: deque[tuple[float, Moment]] = deque()

    def note(self, events: Moment) -> None:
        """Take what was pushed, now or `lag_s` later."""
        if self.lag_s or self._late:
            self._late.append((time.monotonic(), events))
            self.catch_up()
        else:
            self._note_all(events)

    def catch_up(self) -> None:
        """Take what has been delayed for long enough."""
        until_s = time.monotonic() - self.lag_s
        while self._late and self._late[0][0] <= until_s:
            self._note_all(self._late.popleft()[1])

    def current_balances(self) -> list[SimulatedBalance]:
        """The balance of every currency in every wallet."""
        return list(self.balances.values())

    def current_positions(self) -> list[SimulatedPosition]:
        """The positions that have ever changed, at the current price."""
        return [
            replace(one, mark_price=self._marks.get(one.terms.name, one.mark_price))
            for one in self.positions.values()
            if one.updated_ms
        ]

    def open_orders(self) -> list[SimulatedOrder]:
        """The orders that can still change, newest first."""
        return [self._open[order_id] for order_id in sorted(self._open, reverse=True)]

    def forget(self, order_ids: Collection[int]) -> None:
        """Have orders no longer."""
        for order_id in order_ids:
            self.orders.pop(order_id, None)
            self._open.pop(order_id, None)
        for numbers in (self.order_ids, self.triggered, self.ended):
            numbers[:] = [order_id for order_id in numbers if order_id in self.orders]

    def forget_fills(self) -> None:
        """Have no fills any longer."""
        self.fills.clear()

    def _note_all(self, events: Moment) -> None:
        for event in events:
            self._note(event)

    def _note(self, event: Event) -> None:
        match event:
            case SimulatedOrder():
                if event.id not in self.orders:
                    self.order_ids.append(event.id)
                    if event.trigger_price:
                        self.triggered.append(event.id)
                if event.is_open:
                    self._open[event.id] = event
                elif self._open.pop(event.id, None) is not None or event.id not in self.orders:
                    self.ended.append(event.id)
                self.orders[event.id] = event
                self.now_ms = event.updated_ms
            case SimulatedFill():
                self.fills.append(event)
            case SimulatedPosition():
                self.positions[event.terms.name, event.position_side] = event
                self.now_ms = event.updated_ms
            case SimulatedTransaction():
                self.transactions.append(event)
            case SimulatedBalance():
                self.balances[event.wallet, event.currency] = event
                self.now_ms = event.updated_ms
