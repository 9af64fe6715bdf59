"""What a trader asks for: an order before the exchange has seen it. Prices in ticks."""

from dataclasses import dataclass

from recorder.simulator.contract import Direction
from recorder.simulator.records import OrderType


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
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
