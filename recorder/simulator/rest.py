"""What REST reports of a simulated account: the state as pushed so far."""

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import takewhile

import msgspec

from recorder.model import AccountUpdate, FillUpdate, OrderUpdate, PositionUpdate
from recorder.simulator.account import Change, OrderMatch, SimulatedBalance, SimulatedOrder, SimulatedPosition
from recorder.simulator.contract import MAINTENANCE_RATE, MAKER_FEE_RATE, TAKER_FEE_RATE, ZERO
from recorder.venues.fmex.orders import HIDDEN, OPEN
from recorder.venues.fmex.portal import topics_of
from recorder.venues.stand_in import Execution

#: Most contracts that a position may have.
QUANTITY_MAX = 10_000_000


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

    def balances(self) -> Iterator[AccountUpdate]:
        """The balance, in BTC."""
        one = self._state.balance
        amounts = str(one.available), str(one.frozen), str(one.position)
        yield AccountUpdate(None, "BTC", *amounts, one.updated_at, None)

    def positions(self) -> Iterator[PositionUpdate]:
        """The positions that have ever changed."""
        return (_position(held) for held in self._state.positions.values() if held.updated_at)

    def open_orders(self) -> Iterator[OrderUpdate]:
        """The open orders, newest first."""
        return map(_order, self._state.open_orders())

    def closed_orders(
        self, symbol: str | None, begins_ms: int, ends_ms: int, before_id: int | None
    ) -> Iterator[OrderUpdate]:
        """The closed orders, newest first. Ids grow with time, so the search can stop at the first older order."""
        recent = takewhile(lambda order: order.created_at >= begins_ms, self._state.closed_orders(before_id))
        mine = (order for order in recent if symbol is None or order.symbol.lower() == symbol)
        return (_order(order) for order in mine if order.created_at < ends_ms)

    def order(self, order_id: int) -> OrderUpdate | None:
        """One order."""
        order = self._state.orders.get(order_id)
        return None if order is None else _order(order)

    def executions(self, order_id: int) -> Sequence[Execution]:
        """The executions of one order."""
        return [_execution(order_id, match) for match in self._state.orders[order_id].matches]


def _order(order: SimulatedOrder) -> OrderUpdate:
    more = {
        "sequenceId": order.id + 1,
        "maker_fee_rate": MAKER_FEE_RATE,
        "taker_fee_rate": TAKER_FEE_RATE,
        "updated_at": order.updated_at,
        "frozen_margin": order.frozen_margin,
        "frozen_quantity": order.unfilled_quantity if order.frozen_margin else 0,
        "hidden": bool(order.features & HIDDEN),
    }
    return OrderUpdate(
        None,
        order.id,
        str(order.quantity),
        order.direction,
        order.features,
        str(order.price),
        str(order.fill_price),
        str(order.unfilled_quantity),
        order.symbol,
        "BTC",
        str(order.fee),
        order.type,
        order.status,
        order.trigger_direction,
        str(order.trigger_on),
        str(order.trailing_base_price),
        str(order.trailing_distance),
        order.created_at,
        _extra(more),
    )


def _position(position: SimulatedPosition) -> PositionUpdate:
    return PositionUpdate(
        None,
        position.symbol,
        str(position.quantity),
        position.direction,
        str(position.leverage),
        position.risk_level,
        str(position.margin),
        str(TAKER_FEE_RATE),
        str(position.realized_pnl),
        str(position.entry_price),
        str(position.liquidation_price),
        str(position.bankruptcy_price),
        str(MAINTENANCE_RATE),
        position.updated_at,
        _extra({"max_quantity": QUANTITY_MAX}),
    )


def _execution(order_id: int, match: OrderMatch) -> Execution:
    # The exchange's example has a decimal point in the quantity.
    taker, price, quantity, fee = int(match.taker), str(match.price), f"{match.quantity}.0", str(match.fee)
    return Execution(FillUpdate(order_id, taker, price, quantity, fee, match.created_at))


def _extra(fields: Mapping[str, object]) -> str:
    digits = {name: msgspec.Raw(str(one)) if isinstance(one, Decimal) else one for name, one in fields.items()}
    return msgspec.json.encode(digits).decode()
