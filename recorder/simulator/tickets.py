"""Requests to place an order, before the exchange has assigned an id."""

from dataclasses import dataclass
from typing import Literal

from recorder.venues.simulated import FillKind, PositionSide, Side


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRequest:
    """A request to place an order. Prices in ticks, quantities in steps."""

    #: See `Terms.name`.
    name: str
    side: Side
    #: The position it belongs to in hedge mode; None in one-way mode.
    position_side: PositionSide | None = None
    lots: int
    type: Literal["limit", "market"]
    #: Limit price, in ticks; for a market order, the worst acceptable price.
    price: int
    time_in_force: Literal["gtc", "ioc", "fok"] = "gtc"
    post_only: bool = False
    reduce_only: bool = False
    hidden: bool = False
    #: Whether the trader placed it, or the exchange to end a position.
    kind: FillKind = "trade"
    #: Trigger price of a stop order, in ticks; 0 for none.
    trigger: int = 0
    #: Whether a price at or above the trigger triggers it; otherwise one at or below.
    trigger_rises: bool = True
    #: Distance of a trailing stop from the best price so far, in ticks; 0 for none.
    trail: int = 0
