"""Binance spot's face of a simulated account: its instruments, and the frames and rows that it shows of an account.

A fill has no frame of its own: it is in the report of its order. An order that waits for a trigger keeps its id when it
is triggered.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal

from recorder.model import MAKER, TAKER, FillUpdate
from recorder.venues.binance_spot import answers
from recorder.venues.binance_spot.portal import TOPICS
from recorder.venues.binance_spot.stand_in import frames
from recorder.venues.face import Face, Push
from recorder.venues.simulated import (
    Event,
    Funds,
    Moment,
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedState,
    SimulatedTransaction,
    Terms,
)
from recorder.venues.view import Execution, SentState

DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT")

TAKER_RATE, MAKER_RATE = Decimal("0.001"), Decimal("0.0008")

#: First price of a currency, in dollars; of any other that of the last.
FIRST_PRICES = {"BTC": Decimal(87_000), "ETH": Decimal(3_010), "BNB": Decimal(890), "": Decimal(230)}

#: Currency → first deposit, the balance below which more is deposited, and how much.
FUNDS = {"USDT": (Decimal("250000.12345678"), Decimal(50_000), Decimal("100000.00000001"))}
#: The same of any other currency.
OTHER_FUNDS = (Decimal("25.00000001"), Decimal(5), Decimal("10.00000001"))

_CENT8 = Decimal("1E-8")
_QUOTES = ("USDT", "USDC", "FDUSD")


def terms(symbols: Sequence[str]) -> tuple[Terms, ...]:
    """The terms of instruments such as `BTCUSDT`.

    Raises:
        ValueError: a symbol is none of these, or is given twice.
    """
    if len(set(symbols)) < len(symbols):
        raise ValueError("each symbol may be given once")
    return tuple(map(_instrument, symbols))


def funds(instruments: Sequence[Terms]) -> tuple[Funds, ...]:
    """What an account is given: of every currency that it pays in."""
    currencies = dict.fromkeys((*(one.quote for one in instruments), *(one.base for one in instruments)))
    return tuple(Funds(None, one, *FUNDS.get(one, OTHER_FUNDS)) for one in currencies)


def _instrument(symbol: str) -> Terms:
    quote = next((one for one in _QUOTES if symbol.endswith(one)), "")
    base = symbol.removesuffix(quote)
    if not quote or not base or not symbol.isalnum() or not symbol.isupper():
        raise ValueError(f"{symbol!r} is not a symbol such as BTCUSDT")
    price = FIRST_PRICES.get(base, FIRST_PRICES[""])
    return Terms(
        symbol=symbol,
        kind="spot",
        base=base,
        quote=quote,
        settle=quote,
        price_tick=Decimal("0.01"),
        quantity_step=Decimal("0.001"),
        unit=_CENT8,
        base_unit=_CENT8,
        taker_rate=TAKER_RATE,
        maker_rate=MAKER_RATE,
        first_price=price,
        fee_in_received=True,
    )


class BinanceSpotFace(Face):
    """Implements `recorder.venues.face.Face`."""

    def __init__(self, _instruments: Sequence[Terms], _key: str) -> None:
        pass

    def topics(self) -> Collection[str]:
        """The events of an account."""
        return TOPICS

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        """A frame for each order, with the fill that changed it, and for each movement; one for all balances."""
        fills = {event.order_id: event for event in moment if isinstance(event, SimulatedFill)}
        balances = [event for event in moment if isinstance(event, SimulatedBalance)]
        passed: list[Event] = []
        for event in moment:
            passed.append(event)
            row: frames.Row | None = None
            if isinstance(event, SimulatedOrder):
                row = frames.report(event, fills.get(event.id), now_ms)
            elif isinstance(event, SimulatedTransaction) and event.terms is None:
                row = frames.movement(event, now_ms)
            elif balances and event is balances[-1]:
                row = frames.position(balances, now_ms)
            if row is not None:
                yield Push(str(row["e"]), frames.push(row), passed)
                passed = []

    def balances(self, state: SimulatedState) -> Iterator[SentState]:
        """The balances."""
        for balance in state.current_balances():
            row = frames.account([frames.asset(balance)], balance.updated_ms)
            yield SentState(answers.ACCOUNT, frames.encode(row))

    def positions(self, state: SimulatedState) -> Iterable[SentState]:
        """None: there are only balances."""
        return ()

    def order_number(self, order_id: str) -> int | None:
        """Ids of orders begin at `frames.ORDER`."""
        number = super().order_number(order_id)
        return None if number is None else number - frames.ORDER

    def order(self, order: SimulatedOrder) -> SentState:
        """An order."""
        return SentState(answers.OPEN_ORDERS, frames.encode([frames.order_row(order)]))

    def fill(self, fill: SimulatedFill) -> SentState:
        """A fill."""
        return SentState(answers.TRADES, frames.encode([frames.trade_row(fill)]))

    def execution(self, fill: SimulatedFill) -> Execution:
        """A fill, as records have it."""
        return Execution(
            FillUpdate(
                trade_id=str(frames.TRADE + fill.trade_id),
                order_id=str(frames.ORDER + fill.order_id),
                client_order_id=fill.client_order_id,
                symbol=fill.terms.symbol,
                side=fill.side,
                price=frames.text(fill.price),
                quantity=frames.text(fill.quantity),
                fee=frames.text(fill.fee),
                fee_currency=fill.fee_currency,
                liquidity=TAKER if fill.is_taker else MAKER,
                kind=fill.kind,
                executed_ms=fill.executed_ms,
            )
        )
