"""What an account consists of: balance, orders, executions, positions. Frozen; a change makes a new record.

Each is also a push: what the exchange publishes is the record as it stands after the change. Names are the exchange's
own (page "ws Push portal"); msgspec structs, for a change of one field costs a tenth of a dataclass's ``replace``.
"""

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from recorder.simulator.contract import ZERO
from recorder.venues.fmex.orders import Direction, OrderStatus, OrderType

NONE = Decimal(0)


class SimulatedBalance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The account in BTC: free, held by open orders, held by positions. Time in ms."""

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
    """One order as pushed, and below the line what only REST tells. Quantities in contracts, fee and margin in BTC."""

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
    #: Margin and fee this order holds back, BTC.
    frozen_margin: Decimal = ZERO
    #: The price ``frozen_margin`` is reckoned at: no fill can be dearer.
    frozen_at: Decimal = NONE
    #: Sum of quantity times price over the fills.
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
        """The step of the exchange's risk ladder the size stands on: one for every 10,000 contracts."""
        return self.quantity // 10_000


class SimulatedTransfer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Money that came to the account, or left it where the amount is negative, BTC. No push tells of it as such."""

    amount: Decimal
    #: Milliseconds, by the clock of the pushes.
    made_at: int


#: Whatever a push can be about.
Change = SimulatedBalance | SimulatedOrder | SimulatedPosition


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRequest:
    """One request to place an order."""

    #: Upper case, as in payloads.
    symbol: str
    direction: Direction
    #: Contracts.
    quantity: int
    type: OrderType
    #: Limit, in ticks; of a market order, how far it may go.
    price: int
    #: Bits, see `records`.
    features: int = 0
    #: A stop order's trigger, in ticks; 0 for none.
    trigger_on: int = 0
    #: Triggered by a price at or above (LONG) or at or below (SHORT).
    trigger_direction: Direction = "LONG"
    #: How far a trailing stop follows the best price seen, in ticks; 0 for none.
    trailing_distance: int = 0
