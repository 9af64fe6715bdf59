"""The records of a simulated account: balance, orders, executions, positions, transfers, and order requests.

They are frozen: a change makes a new record, which is then pushed. Fields have the exchange's names (page "ws Push
portal"). They are msgspec structs because changing one field costs a tenth of a dataclass's ``replace``.
"""

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from recorder.simulator.contract import ZERO
from recorder.venues.fmex.orders import Direction, OrderStatus, OrderType

NONE = Decimal(0)


class SimulatedBalance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The balance in BTC: free, held by open orders, held by positions. Time in ms."""

    available: Decimal
    frozen: Decimal
    position: Decimal
    updated_at: int


class OrderMatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One execution of an order. Fee in BTC, negative for a rebate; time in ms."""

    taker: bool
    price: Decimal
    quantity: int
    fee: Decimal
    created_at: int


class SimulatedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order: the pushed fields, then those that only REST has. Quantities in contracts, fee and margin in BTC."""

    id: int
    symbol: str
    quantity: int
    direction: Direction
    type: OrderType
    status: OrderStatus
    price: Decimal
    unfilled_quantity: int
    created_at: int
    features: int = 0
    fill_price: Decimal = NONE
    fee: Decimal = ZERO
    trigger_direction: Direction = "LONG"
    trigger_on: Decimal = NONE
    trailing_base_price: Decimal = NONE
    trailing_distance: Decimal = NONE
    # Not pushed:
    updated_at: int
    #: Margin and fee reserved for this order, BTC.
    frozen_margin: Decimal = ZERO
    #: The price ``frozen_margin`` is computed at: no fill can cost more.
    frozen_at: Decimal = NONE
    #: Sum of quantity times price over all fills.
    notional: Decimal = NONE
    #: The executions so far.
    matches: tuple[OrderMatch, ...] = ()


class SimulatedPosition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The one-way position in a symbol. ``realized_pnl`` is BTC net of fees since the account's first trade in it."""

    symbol: str
    leverage: int
    quantity: int = 0
    direction: Direction = "LONG"
    margin: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    entry_price: Decimal = NONE
    liquidation_price: Decimal = NONE
    bankruptcy_price: Decimal = NONE
    updated_at: int = 0

    @property
    def risk_level(self) -> int:
        """The step of the exchange's risk ladder: one for every 10,000 contracts."""
        return self.quantity // 10_000


class SimulatedTransfer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A deposit, or a withdrawal if the amount is negative, BTC. No push reports it as such."""

    amount: Decimal
    #: Milliseconds, by the clock of the pushes.
    made_at: int


#: What a push reports.
Change = SimulatedBalance | SimulatedOrder | SimulatedPosition


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRequest:
    """A request to place an order, before the exchange has assigned an id. Prices in ticks."""

    #: Upper case, as in payloads.
    symbol: str
    direction: Direction
    #: Contracts.
    quantity: int
    type: OrderType
    #: Limit price, in ticks; for a market order, the worst acceptable price.
    price: int
    #: Bits, see `recorder.venues.fmex.orders`.
    features: int = 0
    #: Trigger price of a stop order, in ticks; 0 for none.
    trigger_on: int = 0
    #: Whether a price at or above (LONG) or at or below (SHORT) the trigger triggers it.
    trigger_direction: Direction = "LONG"
    #: Distance of a trailing stop from the best price so far, in ticks; 0 for none.
    trailing_distance: int = 0
