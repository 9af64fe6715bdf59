"""Binance's face of a simulated account: its instruments, and the frames and rows that it shows of an account.

A fill comes three times: shortened in TRADE_LITE (not in COIN-M), as what it did to balance and position in
ACCOUNT_UPDATE, and with its order in ORDER_TRADE_UPDATE. Orders that rest or end push no balance. An order that waits
for a trigger is a conditional order with an id of its own; when it is triggered, it is over, and an order begins.
"""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal

from recorder.model import INVERSE, MAKER, TAKER, FillUpdate
from recorder.venues.binance import answers
from recorder.venues.binance.portal import TOPICS
from recorder.venues.binance.stand_in import frames, states
from recorder.venues.binance.words import COIN_M, USD_M, parts_of
from recorder.venues.expiry import expires_ms, next_day, quarter_day
from recorder.venues.face import Face, Push
from recorder.venues.simulated import (
    Event,
    Funds,
    Kind,
    Moment,
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    SimulatedState,
    SimulatedTransaction,
    Terms,
)
from recorder.venues.view import Execution, SentState

DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT", "ETHUSDC")

TAKER_RATE, MAKER_RATE = Decimal("0.0005"), Decimal("0.0002")
MAINTENANCE_RATE = Decimal("0.005")

#: First price of a currency, in dollars; of any other that of the last.
FIRST_PRICES = {"BTC": Decimal(91_300), "ETH": Decimal(3_010), "": Decimal(230)}

#: Currency → first deposit, the balance below which more is deposited, and how much.
_DOLLARS = (Decimal("250000.12345678"), Decimal(50_000), Decimal("100000.00000001"))
FUNDS = {"USDT": _DOLLARS, "USDC": _DOLLARS}
#: The same of any other currency.
OTHER_FUNDS = (Decimal("25.00000001"), Decimal(5), Decimal("10.00000001"))

_CENT8 = Decimal("1E-8")


def dated_symbols(at_ms: int) -> tuple[str, ...]:
    """The future of a quarter."""
    return (f"BTCUSDT_{quarter_day(next_day(at_ms)):%y%m%d}",)


def terms(symbols: Sequence[str]) -> tuple[Terms, ...]:
    """The terms of instruments: `BTCUSDT` is linear, `BTCUSD_PERP` inverse; with a date, `BTCUSDT_260327`, they expire.

    Raises:
        ValueError: a symbol is neither of these, or is given twice, or they are of both products.
    """
    if len(set(symbols)) < len(symbols):
        raise ValueError("each symbol may be given once")
    found = tuple(map(_instrument, symbols))
    if len({one.kind for one in found}) > 1:
        raise ValueError("USD-M and COIN-M are accounts of their own: give symbols of one of them")
    return found


def funds(instruments: Sequence[Terms]) -> tuple[Funds, ...]:
    """What an account is given: of every margin asset."""
    currencies = dict.fromkeys(one.settle for one in instruments)
    return tuple(Funds(None, one, *FUNDS.get(one, OTHER_FUNDS)) for one in currencies)


def product_of(instruments: Sequence[Terms]) -> str:
    """The product that an account trades."""
    return COIN_M if any(one.kind == INVERSE for one in instruments) else USD_M


def _instrument(symbol: str) -> Terms:
    base, quote, named = parts_of(symbol)
    kind: Kind = "inverse" if named == INVERSE else "linear"
    rest = symbol.removeprefix(f"{base}{quote}")
    due_ms = expires_ms(rest.removeprefix("_"))
    is_known = rest in {"", "_PERP"} or due_ms is not None
    if not base or not symbol.isupper() or quote not in {"USD", "USDT", "USDC"} or not is_known:
        raise ValueError(f"{symbol!r} is not a symbol such as BTCUSDT or BTCUSD_PERP")
    price = FIRST_PRICES.get(base, FIRST_PRICES[""])
    return Terms(
        symbol=symbol,
        kind=kind,
        base=base,
        quote=quote,
        settle=base if kind == "inverse" else quote,
        price_tick=Decimal("0.1") if price > 10_000 else Decimal("0.01"),
        quantity_step=Decimal(1) if kind == "inverse" else Decimal("0.001"),
        unit=_CENT8,
        taker_rate=TAKER_RATE,
        maker_rate=MAKER_RATE,
        maintenance_rate=MAINTENANCE_RATE,
        leverage=10,
        first_price=price,
        expires_ms=due_ms or 0,
        closed_by_order=True,
    )


class BinanceFace(Face):
    """Implements `recorder.venues.face.Face`."""

    def __init__(self, instruments: Sequence[Terms], _key: str) -> None:
        self._product = product_of(instruments)
        #: Conditional orders that were pushed as waiting.
        self._waiting: set[int] = set()
        #: Orders that were pushed as open.
        self._open: set[int] = set()

    def topics(self) -> Collection[str]:
        """The events of the product."""
        return TOPICS[self._product]

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        """TRADE_LITE of each fill, then balances and positions, then the orders."""
        fills = {event.order_id: event for event in moment if isinstance(event, SimulatedFill)}
        orders = [event for event in moment if isinstance(event, SimulatedOrder)]
        if self._product == USD_M:
            for order in orders:
                if order.id in fills:
                    yield Push("TRADE_LITE", frames.lite_push(order, fills[order.id], now_ms), ())
        rest = [event for event in moment if not isinstance(event, SimulatedFill | SimulatedOrder)]
        told = _account_push(rest, now_ms)
        if told is not None:
            yield Push("ACCOUNT_UPDATE", told, rest)
            rest = []
        for order in orders:
            fill = fills.get(order.id)
            events: list[Event] = [order] if fill is None else [fill, order]
            yield from self._order_pushes(order, fill, [*rest, *events], now_ms)
            rest = []

    def _order_pushes(
        self, order: SimulatedOrder, fill: SimulatedFill | None, events: Sequence[Event], now_ms: int
    ) -> Iterator[Push]:
        if frames.is_waiting(order):
            (self._waiting.add if order.is_open else self._waiting.discard)(order.id)
            yield Push("ALGO_UPDATE", frames.algo_push(order, now_ms), events)
            return
        if order.id in self._waiting:
            self._waiting.remove(order.id)
            yield Push("ALGO_UPDATE", frames.algo_push(order, now_ms), ())
        payload = frames.order_push(order, fill, now_ms, is_first=order.id not in self._open)
        (self._open.add if order.is_open else self._open.discard)(order.id)
        yield Push("ORDER_TRADE_UPDATE", payload, events)

    def balances(self, state: SimulatedState) -> Iterator[SentState]:
        """The margin assets."""
        return (_sent(answers.BALANCES, states.balance_row(one)) for one in state.current_balances())

    def positions(self, state: SimulatedState) -> Iterator[SentState]:
        """The positions."""
        return (_sent(answers.POSITIONS, states.position_row(one)) for one in state.current_positions())

    def order_number(self, order_id: str) -> int | None:
        """See `frames.order_id`."""
        return frames.number_of(order_id)

    def order(self, order: SimulatedOrder) -> SentState:
        """An order, or the conditional order that it is."""
        if frames.is_waiting(order):
            return _sent(answers.OPEN_ALGOS, frames.algo_row(order))
        return _sent(answers.OPEN_ORDERS, frames.order_row(order))

    def fill(self, fill: SimulatedFill) -> SentState:
        """A fill."""
        return _sent(answers.FILLS, frames.fill_row(fill))

    def transaction(self, transaction: SimulatedTransaction) -> SentState:
        """The rows of a transaction: a fill has two."""
        return _sent(answers.INCOME, *states.income_rows(transaction, is_coin_m=self._product == COIN_M))

    def execution(self, fill: SimulatedFill) -> Execution:
        """A fill."""
        return Execution(
            FillUpdate(
                trade_id=str(fill.trade_id),
                order_id=str(frames.ORDER + fill.order_id),
                client_order_id=frames.client_id(fill),
                symbol=fill.terms.symbol,
                side=fill.side,
                position_side=fill.position_side,
                price=frames.text(fill.price),
                quantity=frames.text(fill.quantity),
                fee=frames.text(fill.fee),
                fee_currency=fill.fee_currency,
                liquidity=TAKER if fill.is_taker else MAKER,
                realized_pnl=frames.text(fill.realized_pnl),
                kind=fill.kind,
                executed_ms=fill.executed_ms,
            )
        )


def _account_push(events: Sequence[Event], now_ms: int) -> bytes | None:
    """The balances and positions that changed; None if an order only reserved something, or gave it back."""
    balances = [event for event in events if isinstance(event, SimulatedBalance)]
    positions = [event for event in events if isinstance(event, SimulatedPosition)]
    transactions = [event for event in events if isinstance(event, SimulatedTransaction)]
    if not positions and not transactions:
        return None
    return states.account_push(balances, positions, transactions, now_ms)


def _sent(target: str, *rows: frames.Row) -> SentState:
    return SentState(target, frames.encode(rows))
