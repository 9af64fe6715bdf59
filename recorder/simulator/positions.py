"""What becomes of a position when some of it is closed or opened. Pure; amounts are cut as in `contract`."""

from decimal import Decimal

from msgspec.structs import replace

from recorder.simulator import contract
from recorder.simulator.contract import EXACT, zero
from recorder.venues.simulated import NONE, PositionSide, SimulatedPosition


def closed(
    position: SimulatedPosition, quantity: Decimal, price: Decimal
) -> tuple[Decimal, Decimal, SimulatedPosition]:
    """Profit and released margin of closing a quantity, and the position after it."""
    terms = position.terms
    if not quantity:
        return zero(terms.unit), zero(terms.unit), position
    whole = quantity == position.quantity
    released = position.margin if whole else contract.share(position.margin, quantity, position.quantity, terms.unit)
    if terms.kind == "inverse":
        gain, cost = contract.profit(terms, position.side, quantity, position.entry_price, price), NONE
    else:
        cost = position.cost if whole else contract.share(position.cost, quantity, position.quantity, terms.unit)
        worth = contract.value(terms, quantity, price)
        gain = worth - cost if position.side == "long" else cost - worth
    left = replace(
        position,
        quantity=position.quantity - quantity,
        margin=position.margin - released,
        cost=position.cost - cost,
    )
    return gain, released, left


def opened(
    position: SimulatedPosition, side: PositionSide, quantity: Decimal, price: Decimal, now_ms: int
) -> tuple[SimulatedPosition, Decimal]:
    """The position with a quantity added, and the margin this requires."""
    terms = position.terms
    if not quantity:
        return position, zero(terms.unit)
    worth = contract.value(terms, quantity, price)
    added = contract.margin(terms, side, quantity, worth)
    held = position.quantity + quantity
    after = replace(position, side=side, quantity=held, margin=EXACT.add(position.margin, added))
    if not position.quantity:
        nothing = zero(terms.unit)
        after = replace(after, opened_ms=now_ms, holding_pnl=nothing, holding_funding=nothing)
    if terms.kind != "inverse":
        cost = position.cost + worth
        return replace(after, cost=cost, entry_price=contract.average(cost, held)), added
    entry = (
        contract.entry_after(position.quantity, position.entry_price, quantity, price) if position.quantity else price
    )
    return replace(after, entry_price=entry), added


def priced(position: SimulatedPosition) -> SimulatedPosition:
    """The position with its liquidation and bankruptcy prices recomputed; an option has none."""
    if not position.quantity:
        return replace(position, entry_price=NONE, cost=NONE, liquidation_price=NONE, bankruptcy_price=NONE)
    if position.terms.kind == "option":
        return position
    of = (position.terms, position.side, position.quantity, position.entry_price, position.margin)
    return replace(
        position,
        liquidation_price=contract.liquidation_price(*of),
        bankruptcy_price=contract.bankruptcy_price(*of),
    )
