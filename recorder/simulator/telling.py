"""What the simulated exchange tells of an account when it is asked: what has been pushed so far, never more."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import takewhile

import msgspec

from recorder.model import AccountUpdate, FillUpdate, OrderUpdate, PositionUpdate
from recorder.simulator.contract import MAINTENANCE_RATE, MAKER_FEE_RATE, TAKER_FEE_RATE
from recorder.simulator.exchange import Told
from recorder.simulator.records import HIDDEN, Match, Order, Position
from recorder.venues.fmex.commands import topics_of
from recorder.venues.stand_in import Execution

#: Contracts that may be held.
QUANTITY_MAX = 10_000_000


class SimulatedTelling:
    """Implements `recorder.venues.stand_in.Telling`.

    Args:
        told: the account's.
    """

    def __init__(self, told: Told) -> None:
        told.catch_up()
        self._told = told

    @property
    def now_ms(self) -> int:
        """The last change, on the account's own clock."""
        return self._told.now_ms

    @property
    def topics(self) -> tuple[str, ...]:
        """Of all contracts."""
        return topics_of(self._told.positions)

    def balances(self) -> Iterator[AccountUpdate]:
        """In BTC."""
        one = self._told.balance
        amounts = str(one.available), str(one.frozen), str(one.position)
        yield AccountUpdate(None, "BTC", *amounts, one.updated_at, None)

    def positions(self) -> Iterator[PositionUpdate]:
        """Positions ever touched."""
        return (_position(held) for held in self._told.positions.values() if held.updated_at)

    def open_orders(self) -> Iterator[OrderUpdate]:
        """Newest first."""
        return map(_order, self._told.open_orders())

    def closed_orders(
        self, symbol: str | None, begins_ms: int, ends_ms: int, before_id: int | None
    ) -> Iterator[OrderUpdate]:
        """Newest first. Numbers grow with time, so older months need not be looked through."""
        recent = takewhile(lambda order: order.created_at >= begins_ms, self._told.closed_orders(before_id))
        mine = (order for order in recent if symbol is None or order.symbol.lower() == symbol)
        return (_order(order) for order in mine if order.created_at < ends_ms)

    def order(self, order_id: int) -> OrderUpdate | None:
        """One order."""
        order = self._told.orders.get(order_id)
        return None if order is None else _order(order)

    def executions(self, order_id: int) -> Sequence[Execution]:
        """Those of one order."""
        return [_execution(order_id, match) for match in self._told.orders[order_id].matches]


def _order(order: Order) -> OrderUpdate:
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


def _position(position: Position) -> PositionUpdate:
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


def _execution(order_id: int, match: Match) -> Execution:
    # The quantity with a decimal point, as in the exchange's example.
    taker, price, quantity, fee = int(match.taker), str(match.price), f"{match.quantity}.0", str(match.fee)
    return Execution(FillUpdate(order_id, taker, price, quantity, fee, match.created_at))


def _extra(fields: Mapping[str, object]) -> str:
    digits = {name: msgspec.Raw(str(one)) if isinstance(one, Decimal) else one for name, one in fields.items()}
    return msgspec.json.encode(digits).decode()
