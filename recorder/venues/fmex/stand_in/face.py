"""FMex's face of a simulated account: its contracts, and how it shows orders, positions and the balance.

It pushes no fills and no transactions: an execution is a change of its order, and every payment one of the balance.
"""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from functools import partial

from recorder.model import MAKER, TAKER, FillUpdate
from recorder.venues.face import Face, Push, pushed
from recorder.venues.fmex import rest
from recorder.venues.fmex.portal import topics_of
from recorder.venues.fmex.stand_in import frames
from recorder.venues.fmex.stand_in.frames import MAINTENANCE_RATE, MAKER_FEE_RATE, TAKER_FEE_RATE
from recorder.venues.simulated import (
    Event,
    Funds,
    Moment,
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    SimulatedState,
    Terms,
)
from recorder.venues.view import Execution, SentState

#: Of the first symbol, the second, ...; then from the beginning again.
LEVERAGES = (50, 25, 20, 10)

#: First price of each symbol, USD.
FIRST_PRICES = (9288, 9400, 8850, 9610)

#: First deposit, BTC, with the 18 decimals of the exchange's own sample; later ones, and the balance they follow.
FIRST_DEPOSIT = Decimal("12.796888254907565438")
DEPOSIT = Decimal("5.000000000000000001")
LOW = Decimal(2)


def terms(symbols: Sequence[str]) -> tuple[Terms, ...]:
    """The terms of contracts: 1 USD each, margin and profit in BTC, whatever their name says.

    Raises:
        ValueError: a symbol is empty or has upper case letters, or is given twice.
    """
    if any(not name or name != name.lower() for name in symbols):
        raise ValueError("symbols must be given in lower case, such as btcusd_p")
    return tuple(_contract(name.upper(), number) for number, name in enumerate(symbols))


def funds(_terms: Sequence[Terms]) -> tuple[Funds, ...]:
    """What an account is given."""
    return (Funds(None, "BTC", FIRST_DEPOSIT, LOW, DEPOSIT),)


def _contract(symbol: str, number: int) -> Terms:
    return Terms(
        symbol=symbol,
        kind="inverse",
        base="BTC",
        quote="USD",
        settle="BTC",
        price_tick=Decimal("0.5"),
        quantity_step=Decimal(1),
        unit=Decimal("1E-18"),
        taker_rate=TAKER_FEE_RATE,
        maker_rate=MAKER_FEE_RATE,
        maintenance_rate=MAINTENANCE_RATE,
        leverage=LEVERAGES[number % len(LEVERAGES)],
        first_price=Decimal(FIRST_PRICES[number % len(FIRST_PRICES)]),
    )


class FMexFace(Face):
    """Implements `recorder.venues.face.Face`."""

    def __init__(self, contracts: Sequence[Terms], _key: str = "") -> None:
        self._topics = topics_of([one.symbol for one in contracts])
        self._order_topics = {one.symbol: f"order.{one.symbol.lower()}" for one in contracts}
        self._position_topics = {one.symbol: f"position.{one.symbol.lower()}" for one in contracts}

    def topics(self) -> Collection[str]:
        """The topics of all contracts."""
        return self._topics

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        """One frame for each order, position and balance."""
        return pushed(moment, partial(self._told, now_ms))

    def _told(self, now_ms: int, event: Event) -> tuple[str, bytes] | None:
        match event:
            case SimulatedOrder():
                return self._order_topics[event.terms.symbol], frames.order_push(event, now_ms)
            case SimulatedPosition():
                return self._position_topics[event.terms.symbol], frames.position_push(event, now_ms)
            case SimulatedBalance():
                return "account", frames.balance_push(event, now_ms)
        return None

    def balances(self, state: SimulatedState) -> Iterator[SentState]:
        """The balance, in BTC."""
        for balance in state.current_balances():
            yield SentState(rest.ACCOUNTS, frames.balance_answer(balance))

    def positions(self, state: SimulatedState) -> Iterator[SentState]:
        """The positions."""
        for position in state.current_positions():
            yield SentState(rest.POSITIONS, frames.position_answer(position))

    def order(self, order: SimulatedOrder) -> SentState:
        """An order."""
        return SentState(f"{rest.ORDERS}/{order.id}", frames.order_answer(order))

    def execution(self, fill: SimulatedFill) -> Execution:
        """An execution, as the list of an order's matches has it."""
        update = FillUpdate(
            order_id=str(fill.order_id),
            symbol=fill.terms.symbol,
            side=fill.side,
            price=str(fill.price),
            quantity=f"{fill.quantity}.0",  # with a decimal point, as in the exchange's example
            fee=str(fill.fee),
            fee_currency="BTC",
            liquidity=TAKER if fill.is_taker else MAKER,
            executed_ms=fill.executed_ms,
        )
        return Execution(update)
