"""Bitget's face of a simulated account: its instruments, and the frames and rows that it shows of an account.

One wallet for everything. Fills have a topic of their own, and money movements none. An order that waits for a trigger
is a conditional order with an id of its own; when it is triggered, it is over, and an ordinary order begins.
"""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal

from recorder.model import MAKER, TAKER, FillUpdate
from recorder.venues.bitget import answers
from recorder.venues.bitget.portal import TOPICS
from recorder.venues.bitget.stand_in import frames, states
from recorder.venues.bitget.words import SPOT, UNIFIED, USDC_FUTURES, USDT_FUTURES
from recorder.venues.face import Face, Push
from recorder.venues.simulated import (
    Event,
    Funds,
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

DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT", "BTCPERP", "spot:BTCUSDT")

TAKER_RATE, MAKER_RATE = Decimal("0.0006"), Decimal("0.0002")
SPOT_RATE = Decimal("0.001")
MAINTENANCE_RATE = Decimal("0.005")

#: First price of a coin, in dollars; of any other coin that of the last.
FIRST_PRICES = {"BTC": Decimal(106_900), "ETH": Decimal(3_120), "": Decimal(140)}

#: Coin → first deposit, the balance below which more is deposited, and how much.
FUNDS = {
    "USDT": (Decimal("250000.12345678"), Decimal(50_000), Decimal("100000.00000001")),
    "USDC": (Decimal("250000.12345678"), Decimal(50_000), Decimal("100000.00000001")),
}
#: The same of any other coin.
OTHER_FUNDS = (Decimal("25.00000001"), Decimal(5), Decimal("10.00000001"))

_CENT8 = Decimal("1E-8")


def terms(symbols: Sequence[str]) -> tuple[Terms, ...]:
    """The terms of instruments: `BTCUSDT` is in USDT, `BTCPERP` in USDC, `spot:BTCUSDT` a spot market.

    Raises:
        ValueError: a symbol is none of these, or is given twice.
    """
    if len(set(symbols)) < len(symbols):
        raise ValueError("each symbol may be given once")
    return tuple(map(_instrument, symbols))


def funds(instruments: Sequence[Terms]) -> tuple[Funds, ...]:
    """What an account is given: of every coin that it pays in."""
    coins = dict.fromkeys(one.settle for one in instruments)
    coins |= dict.fromkeys(one.base for one in instruments if one.kind == "spot")
    return tuple(Funds(UNIFIED, coin, *FUNDS.get(coin, OTHER_FUNDS)) for coin in coins)


def _instrument(symbol: str) -> Terms:
    market, _, name = symbol.rpartition(":")
    is_spot = market == SPOT
    end = next((one for one in ("USDT", "PERP") if name.endswith(one) and name != one), "")
    if not end or not name.isupper() or market not in {"", SPOT} or (is_spot and end == "PERP"):
        raise ValueError(f"{symbol!r} is not a symbol such as BTCUSDT, BTCPERP or spot:BTCUSDT")
    base = name.removesuffix(end)
    quote = "USDT" if end == "USDT" else "USDC"
    price = FIRST_PRICES.get(base, FIRST_PRICES[""])
    return Terms(
        symbol=name,
        market=SPOT if is_spot else USDT_FUTURES if end == "USDT" else USDC_FUTURES,
        kind="spot" if is_spot else "linear",
        base=base,
        quote=quote,
        settle=quote,
        wallet=UNIFIED,
        price_tick=Decimal("0.1") if price > 10_000 else Decimal("0.01"),
        quantity_step=Decimal("0.001"),
        unit=_CENT8,
        base_unit=_CENT8 if is_spot else Decimal(0),
        taker_rate=SPOT_RATE if is_spot else TAKER_RATE,
        maker_rate=SPOT_RATE if is_spot else MAKER_RATE,
        maintenance_rate=Decimal(0) if is_spot else MAINTENANCE_RATE,
        leverage=1 if is_spot else 10,
        first_price=price,
        hedged=not is_spot and base == "ETH",
        fee_in_received=is_spot,
    )


class BitgetFace(Face):
    """Implements `recorder.venues.face.Face`."""

    def __init__(self, _instruments: Sequence[Terms], _key: str) -> None:
        #: Conditional orders that were pushed as waiting.
        self._waiting: set[int] = set()

    def topics(self) -> Collection[str]:
        """The topics of the private socket."""
        return TOPICS

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        """A frame for each fill, order and position; one for all balances."""
        types = {event.id: event.type for event in moment if isinstance(event, SimulatedOrder)}
        passed: list[Event] = []
        for event in moment:
            passed.append(event)
            told: tuple[str, frames.Row] | None = None
            match event:
                case SimulatedFill():
                    kind = types.get(event.order_id, "market")
                    told = "fill", frames.fill_row(event, kind, is_push=True)
                case SimulatedOrder():
                    if event.id in self._waiting and event.is_triggered:
                        self._waiting.remove(event.id)
                        row = frames.strategy_row(event, is_push=True, status="success")
                        yield Push("strategy-order", frames.push("strategy-order", [row], now_ms), ())
                    told = self._order_row(event)
                case SimulatedPosition():
                    told = "position", states.position_row(event)
            if told is not None:
                yield Push(told[0], frames.push(told[0], [told[1]], now_ms), passed)
                passed = []
        balances = [event for event in moment if isinstance(event, SimulatedBalance)]
        if balances:
            yield Push("account", frames.push("account", [states.account_row(balances)], now_ms), passed)

    def _order_row(self, order: SimulatedOrder) -> tuple[str, frames.Row]:
        if not frames.is_waiting(order):
            return "order", frames.order_row(order, is_push=True)
        if order.is_open:
            self._waiting.add(order.id)
        else:
            self._waiting.discard(order.id)
        return "strategy-order", frames.strategy_row(order, is_push=True)

    def snapshot(self, topic: str, state: SimulatedState, now_ms: int, *, is_first: bool) -> Iterator[bytes]:
        """All coins of which there is something, or all open positions."""
        if topic == "account":
            held = [one for one in state.current_balances() if one.total]
            yield frames.push(topic, [states.account_row(held)], now_ms)
        if topic == "position":
            rows = [states.position_row(one) for one in state.current_positions() if one.quantity]
            yield frames.push(topic, rows, now_ms)

    def balances(self, state: SimulatedState) -> Iterator[SentState]:
        """The coins of the account."""
        for balance in state.current_balances():
            data = states.assets([states.coin_row(balance)])
            yield SentState(answers.ASSETS, frames.answer(data, balance.updated_ms))

    def positions(self, state: SimulatedState) -> Iterator[SentState]:
        """The positions."""
        for position in state.current_positions():
            category = str(position.terms.market).upper()
            row = states.answered_position(states.position_row(position), category)
            yield _sent(f"{answers.POSITIONS}?category={category}", row, position.updated_ms)

    def order_number(self, order_id: str) -> int | None:
        """See `frames.number_of`."""
        return frames.number_of(order_id)

    def order(self, order: SimulatedOrder) -> SentState:
        """An order, or the conditional order that it is."""
        if frames.is_waiting(order):
            return _sent(answers.STRATEGIES, frames.strategy_row(order, is_push=False), order.updated_ms)
        return _sent(answers.ORDERS, frames.order_row(order, is_push=False), order.updated_ms)

    def fill(self, fill: SimulatedFill) -> SentState:
        """A fill."""
        kind = "market" if fill.is_taker else "limit"
        return _sent(answers.FILLS, frames.fill_row(fill, kind, is_push=False), fill.executed_ms)

    def transaction(self, transaction: SimulatedTransaction) -> SentState:
        """A record."""
        return _sent(answers.RECORDS, states.record_row(transaction), transaction.occurred_ms)

    def execution(self, fill: SimulatedFill) -> Execution:
        """A fill, as records have it."""
        return Execution(
            FillUpdate(
                trade_id=str(frames.EXECUTION + fill.trade_id),
                order_id=str(frames.ORDER + fill.order_id),
                client_order_id=fill.client_order_id,
                market=fill.terms.market,
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


def _sent(target: str, row: frames.Row, at_ms: int) -> SentState:
    return SentState(target, frames.page([row], at_ms))
