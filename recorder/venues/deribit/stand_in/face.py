"""Deribit's face of a simulated account: its instruments, and the frames and rows that it shows of an account.

Fill, order and position of an instrument are in one frame. An order that waits for a trigger has an id of its own; when
it is triggered, it is over, and an ordinary order begins. What expires is delivered for cash by an entry of the log.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal

from recorder.model import INVERSE, MAKER, TAKER, FillUpdate, Instrument
from recorder.venues.deribit import answers
from recorder.venues.deribit.portal import CHANGES, PORTFOLIO, TOPICS
from recorder.venues.deribit.stand_in import frames
from recorder.venues.deribit.symbols import described, expires_ms, native, strike_of
from recorder.venues.expiry import in_words, next_day
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

DEFAULT_SYMBOLS = ("BTC-PERPETUAL", "ETH-PERPETUAL", "BTC_USDC-PERPETUAL", "ETH_USDC")

TAKER_RATE, MAKER_RATE = Decimal("0.0005"), Decimal("-0.0001")
SPOT_TAKER_RATE, SPOT_MAKER_RATE = Decimal("0.0005"), Decimal("0.0003")
#: Here a share of an option's premium.
OPTION_RATE = Decimal("0.01")
#: First time value of an option, as a share of the price of what it is on.
TIME_VALUE = Decimal("0.03")
MAINTENANCE_RATE = Decimal("0.005")

#: First price of a currency, in dollars; of any other that of the last.
FIRST_PRICES = {"BTC": Decimal(91_500), "ETH": Decimal(3_020), "": Decimal(230)}

#: Currency → first deposit, the balance below which more is deposited, and how much.
FUNDS = {"USDC": (Decimal("250000.12345678"), Decimal(50_000), Decimal("100000.00000001"))}
#: The same of any other currency.
OTHER_FUNDS = (Decimal("25.00000001"), Decimal(5), Decimal("10.00000001"))

_CENT8 = Decimal("1E-8")
#: The kinds of instruments that are simulated.
_KINDS: dict[str | None, Kind] = {"spot": "spot", "linear": "linear", "inverse": "inverse", "option": "option"}


def dated_symbols(at_ms: int) -> tuple[str, ...]:
    """Futures of both kinds, and options at and in the money."""
    date = in_words(next_day(at_ms))
    return f"BTC-{date}", f"BTC_USDC-{date}", f"BTC-{date}-91000-C", f"BTC-{date}-92000-P", f"BTC_USDC-{date}-91500-C"


def terms(symbols: Sequence[str]) -> tuple[Terms, ...]:
    """The terms of instruments: perpetuals, futures, options and spot markets, named as the exchange names them.

    Raises:
        ValueError: a symbol is none of these, or is given twice.
    """
    if len(set(symbols)) < len(symbols):
        raise ValueError("each symbol may be given once")
    return tuple(map(_instrument, symbols))


def funds(instruments: Sequence[Terms]) -> tuple[Funds, ...]:
    """What an account is given: of every currency that it pays in."""
    currencies = dict.fromkeys(one.settle for one in instruments)
    currencies |= dict.fromkeys(one.base for one in instruments if one.kind == "spot")
    return tuple(Funds(None, one, *FUNDS.get(one, OTHER_FUNDS)) for one in currencies)


def _instrument(symbol: str) -> Terms:
    means = described(symbol)
    kind, due_ms = _KINDS.get(means.kind), expires_ms(symbol)
    is_named = kind == "spot" or symbol.endswith("-PERPETUAL") or due_ms is not None
    if kind is None or not is_named or not means.base or symbol != native(symbol) or means.quote is None:
        raise ValueError(f"{symbol!r} is not a symbol such as BTC-PERPETUAL, BTC_USDC-PERPETUAL or ETH_USDC")
    price = FIRST_PRICES.get(means.base, FIRST_PRICES[""])
    if kind == "option":
        return _option(symbol, means, price, due_ms or 0)
    is_spot = kind == "spot"
    step = Decimal(10 if price > 10_000 else 1) if kind == INVERSE else Decimal("0.001")
    return Terms(
        symbol=symbol,
        kind=kind,
        base=means.base,
        quote=means.quote,
        settle=means.settle or means.quote,
        price_tick=Decimal("0.5") if price > 10_000 else Decimal("0.01"),
        quantity_step=step,
        unit=_CENT8,
        base_unit=_CENT8 if is_spot else Decimal(0),
        taker_rate=SPOT_TAKER_RATE if is_spot else TAKER_RATE,
        maker_rate=SPOT_MAKER_RATE if is_spot else MAKER_RATE,
        maintenance_rate=Decimal(0) if is_spot else MAINTENANCE_RATE,
        leverage=1 if is_spot else 10,
        first_price=price,
        expires_ms=due_ms or 0,
        fee_in_received=is_spot,
    )


def _option(symbol: str, means: Instrument, price: Decimal, due_ms: int) -> Terms:
    assert means.base and means.settle
    in_base = means.settle == means.base
    tick = Decimal("0.0001") if in_base else Decimal(5 if price > 10_000 else "0.1")
    return Terms(
        symbol=symbol,
        kind="option",
        base=means.base,
        quote=means.settle,
        settle=means.settle,
        price_tick=tick,
        quantity_step=Decimal("0.1") if in_base else Decimal("0.01"),
        unit=_CENT8,
        taker_rate=OPTION_RATE,
        maker_rate=OPTION_RATE,
        first_price=TIME_VALUE if in_base else TIME_VALUE * price,
        expires_ms=due_ms,
        strike=strike_of(symbol),
        is_put=symbol.endswith("-P"),
    )


class DeribitFace(Face):
    """Implements `recorder.venues.face.Face`."""

    def __init__(self, _instruments: Sequence[Terms], _key: str) -> None:
        #: Trigger orders that were pushed as waiting.
        self._waiting: set[int] = set()

    def topics(self) -> Collection[str]:
        """The channels."""
        return TOPICS

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        """A frame for what happens at once to an instrument, and one for each balance."""
        frame = _Changes()
        is_delivery = any(isinstance(event, SimulatedTransaction) and event.type == "settlement" for event in moment)
        for event in moment:
            if is_delivery and isinstance(event, SimulatedPosition):
                # Of a delivery only the log says that it ended a position.
                frame.passed.append(event)
                continue
            if isinstance(event, SimulatedOrder) and event.id in self._waiting and event.is_triggered:
                self._waiting.remove(event.id)
                yield Push(CHANGES, _changes(event.terms, orders=[frames.order_row(event, "triggered")]), ())
            if isinstance(event, SimulatedBalance):
                if frame.rows:
                    yield frame.push()
                    frame = _Changes()
                yield Push(PORTFOLIO, frames.push(PORTFOLIO, frames.portfolio_row(event)), [*frame.passed, event])
                frame = _Changes()
                continue
            if frame.is_full(event):
                yield frame.push()
                frame = _Changes()
            frame.add(event)
            if isinstance(event, SimulatedOrder) and frames.is_waiting(event):
                (self._waiting.add if event.is_open else self._waiting.discard)(event.id)
        if frame.rows:
            yield frame.push()

    def snapshot(self, topic: str, state: SimulatedState, now_ms: int, *, is_first: bool) -> Iterable[bytes]:
        """The portfolio of each currency, soon after the subscription."""
        if topic == PORTFOLIO:
            for balance in state.current_balances():
                yield frames.push(PORTFOLIO, frames.portfolio_row(balance))

    def balances(self, state: SimulatedState) -> Iterator[SentState]:
        """The currencies."""
        for balance in state.current_balances():
            row = {"id": frames.USER_ID, "type": "main", "summaries": [frames.portfolio_row(balance)]}
            yield _sent(answers.BALANCES, row, balance.updated_ms)

    def positions(self, state: SimulatedState) -> Iterator[SentState]:
        """The positions."""
        for position in state.current_positions():
            yield _sent(answers.POSITIONS, [frames.position_row(position)], position.updated_ms)

    def order_number(self, order_id: str) -> int | None:
        """See `frames.order_id`."""
        return frames.number_of(order_id)

    def order(self, order: SimulatedOrder) -> SentState:
        """An order, or the trigger order that it is."""
        return _sent(answers.ORDER, frames.order_row(order), order.updated_ms)

    def fill(self, fill: SimulatedFill) -> SentState:
        """A fill."""
        return _sent(answers.FILLS, {"trades": [frames.trade_row(fill)], "has_more": False}, fill.executed_ms)

    def transaction(self, transaction: SimulatedTransaction) -> SentState:
        """The entries of the log for a change of a balance."""
        logs = frames.log_rows(transaction)
        return _sent(answers.LOG, {"logs": logs, "continuation": None}, transaction.occurred_ms)

    def execution(self, fill: SimulatedFill) -> Execution:
        """A fill."""
        is_spot = fill.terms.kind == "spot"
        return Execution(
            FillUpdate(
                trade_id=frames.trade_id(fill),
                order_id=f"{frames.prefix(fill.terms)}{frames.ORDER + fill.order_id}",
                client_order_id=fill.client_order_id,
                symbol=fill.terms.symbol,
                side=fill.side,
                price=str(fill.price),
                quantity=str(fill.quantity),
                fee=str(fill.fee),
                fee_currency=fill.fee_currency,
                liquidity=TAKER if fill.is_taker else MAKER,
                realized_pnl=None if is_spot else str(fill.realized_pnl),
                kind="liquidation" if fill.kind == "liquidation" else "trade",
                executed_ms=fill.executed_ms,
            )
        )


class _Changes:
    """A frame of what happens at once to an instrument: at most one fill, one order, one position."""

    def __init__(self) -> None:
        #: What has happened since the last frame.
        self.passed: list[Event] = []
        self.rows: dict[type[Event], frames.Row] = {}
        self._terms: Terms | None = None

    def is_full(self, event: Event) -> bool:
        """Whether an event belongs in another frame."""
        if not isinstance(event, SimulatedFill | SimulatedOrder | SimulatedPosition) or self._terms is None:
            return False
        return type(event) in self.rows or event.terms.symbol != self._terms.symbol

    def add(self, event: Event) -> None:
        """Take an event; a transaction is told by none, but happens with them."""
        self.passed.append(event)
        match event:
            case SimulatedFill():
                self.rows[SimulatedFill], self._terms = frames.trade_row(event), event.terms
            case SimulatedOrder():
                self.rows[SimulatedOrder], self._terms = frames.order_row(event), event.terms
            case SimulatedPosition():
                self.rows[SimulatedPosition], self._terms = frames.position_row(event), event.terms

    def push(self) -> Push:
        """The frame."""
        assert self._terms is not None
        trades, orders, positions = (
            [self.rows[kind]] if kind in self.rows else []
            for kind in (SimulatedFill, SimulatedOrder, SimulatedPosition)
        )
        return Push(CHANGES, _changes(self._terms, trades, orders, positions), self.passed)


def _changes(
    terms: Terms,
    trades: Sequence[frames.Row] = (),
    orders: Sequence[frames.Row] = (),
    positions: Sequence[frames.Row] = (),
) -> bytes:
    data = {"trades": trades, "positions": positions, "orders": orders, "instrument_name": terms.symbol}
    return frames.push(CHANGES, data)


def _sent(target: str, result: object, at_ms: int) -> SentState:
    return SentState(target, frames.answer(result, at_ms))
