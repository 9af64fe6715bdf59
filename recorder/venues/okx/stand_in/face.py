"""OKX's face of a simulated account: its instruments, and the frames and rows that it shows of an account.

A fill has no frame of its own: it is in the push of its order. An order that waits for a trigger is a conditional order
with an id of its own; when it is triggered, it is over, and an ordinary order begins.
"""

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal

from recorder.model import MAKER, TAKER, FillUpdate
from recorder.venues.expiry import expires_ms, next_day
from recorder.venues.face import Face, Push
from recorder.venues.okx import answers
from recorder.venues.okx.portal import TOPICS
from recorder.venues.okx.stand_in import frames, states
from recorder.venues.okx.words import SWAP, TRADING
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

DEFAULT_SYMBOLS = ("BTC-USDT-SWAP", "ETH-USDT-SWAP", "BTC-USD-SWAP", "BTC-USDT")

TAKER_RATE, MAKER_RATE = Decimal("0.0005"), Decimal("0.0002")
SPOT_TAKER_RATE, SPOT_MAKER_RATE = Decimal("0.001"), Decimal("0.0008")
MAINTENANCE_RATE = Decimal("0.005")
#: Here a share of an option's premium, and its first time value in coins.
OPTION_RATE, TIME_VALUE = Decimal("0.01"), Decimal("0.03")

#: First price of a currency, in dollars; of any other that of the last.
FIRST_PRICES = {"BTC": Decimal(84_100), "ETH": Decimal(2_870), "": Decimal(230)}

#: Currency → first deposit, the balance below which more is deposited, and how much.
FUNDS = {"USDT": (Decimal("250000.12345678"), Decimal(50_000), Decimal("100000.00000001"))}
#: The same of any other currency.
OTHER_FUNDS = (Decimal("25.00000001"), Decimal(5), Decimal("10.00000001"))

#: Type of a transaction → `eventType` of the push that says why a balance moved.
_WHY = {"funding": "funding_fee", "liquidation": "liquidation", "trade": "filled", "settlement": "exercised"}

_CENT8 = Decimal("1E-8")


def dated_symbols(at_ms: int) -> tuple[str, ...]:
    """Futures of both kinds, and options at and in the money."""
    date = f"{next_day(at_ms):%y%m%d}"
    options = (f"BTC-USD-{date}-{rest}" for rest in ("83500-C", "84500-P", "84500-C"))
    return f"BTC-USDT-{date}", f"BTC-USD-{date}", *options


def terms(symbols: Sequence[str]) -> tuple[Terms, ...]:
    """The terms of instruments: `BTC-USDT-SWAP` is linear, `BTC-USD-SWAP` inverse, `BTC-USDT` a spot market.

    `BTC-USDT-260327` and `BTC-USD-260327` expire, `BTC-USD-260327-90000-C` is an option.

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
    return tuple(Funds(TRADING, one, *FUNDS.get(one, OTHER_FUNDS)) for one in currencies)


def _instrument(symbol: str) -> Terms:
    base, _, rest = symbol.partition("-")
    quote, _, product = rest.partition("-")
    due_ms, *option = (expires_ms(product[:6]), *product[6:].split("-")[1:])
    is_known = product in {"", SWAP} or (due_ms is not None and (len(product) == 6 or quote == "USD"))
    if not base or not symbol.isupper() or quote not in {"USD", "USDT", "USDC"} or not is_known:
        raise ValueError(f"{symbol!r} is not a symbol such as BTC-USDT-SWAP, BTC-USD-SWAP or BTC-USDT")
    if option:
        return _option(symbol, base, due_ms or 0, option)
    if not product and quote == "USD":
        raise ValueError(f"{symbol!r}: a spot market needs a quote currency such as USDT")
    kind: Kind = "spot" if not product else "inverse" if quote == "USD" else "linear"
    price = FIRST_PRICES.get(base, FIRST_PRICES[""])
    is_spot = kind == "spot"
    return Terms(
        symbol=symbol,
        kind=kind,
        base=base,
        quote=quote,
        settle=base if kind == "inverse" else quote,
        wallet=TRADING,
        price_tick=Decimal("0.1") if price > 10_000 else Decimal("0.01"),
        quantity_step=Decimal(1) if kind == "inverse" else Decimal("0.001"),
        unit=_CENT8,
        base_unit=_CENT8 if is_spot else Decimal(0),
        taker_rate=SPOT_TAKER_RATE if is_spot else TAKER_RATE,
        maker_rate=SPOT_MAKER_RATE if is_spot else MAKER_RATE,
        maintenance_rate=Decimal(0) if is_spot else MAINTENANCE_RATE,
        leverage=1 if is_spot else 10,
        first_price=price,
        expires_ms=due_ms or 0,
        closed_by_order=due_ms is not None,
        fee_in_received=is_spot,
    )


def _option(symbol: str, base: str, due_ms: int, rest: Sequence[str]) -> Terms:
    strike, form = rest if len(rest) == 2 else ("", "")
    if form not in {"C", "P"} or not strike.isdigit():
        raise ValueError(f"{symbol!r} is not an option such as BTC-USD-260327-90000-C")
    return Terms(
        symbol=symbol,
        kind="option",
        base=base,
        quote="USD",
        settle=base,
        wallet=TRADING,
        price_tick=Decimal("0.0001"),
        quantity_step=Decimal("0.1"),
        unit=_CENT8,
        taker_rate=OPTION_RATE,
        maker_rate=OPTION_RATE,
        first_price=TIME_VALUE,
        expires_ms=due_ms,
        strike=Decimal(strike),
        is_put=form == "P",
    )


class OKXFace(Face):
    """Implements `recorder.venues.stand_in.Face`."""

    def __init__(self, _instruments: Sequence[Terms], _key: str) -> None:
        #: Conditional orders that were pushed as waiting.
        self._waiting: set[int] = set()

    def topics(self) -> Collection[str]:
        """The topics of both sockets."""
        return tuple(topic for topics in TOPICS.values() for topic in topics)

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        """A frame for each order, with the fill that changed it, and for each position; one for all balances."""
        fills = {event.order_id: event for event in moment if isinstance(event, SimulatedFill)}
        passed: list[Event] = []
        for event in moment:
            passed.append(event)
            if isinstance(event, SimulatedOrder):
                if event.id in self._waiting and event.is_triggered:
                    self._waiting.remove(event.id)
                    yield Push("orders-algo", frames.push("orders-algo", frames.algo_row(event, "effective")), ())
                topic, payload = self._order_frame(event, fills.get(event.id))
                yield Push(topic, payload, passed)
                passed = []
            elif isinstance(event, SimulatedPosition) and not _is_exercise(moment):
                row = states.position_row(event, now_ms)
                yield Push("positions", frames.push("positions", row, eventType="event_update"), passed)
                passed = []
        yield from _balances(moment, passed, now_ms)

    def _order_frame(self, order: SimulatedOrder, fill: SimulatedFill | None) -> tuple[str, bytes]:
        if not frames.is_waiting(order):
            return "orders", frames.push("orders", frames.order_row(order, fill))
        if order.is_open:
            self._waiting.add(order.id)
        else:
            self._waiting.discard(order.id)
        return "orders-algo", frames.push("orders-algo", frames.algo_row(order))

    def balances(self, state: SimulatedState) -> Iterator[SentState]:
        """The currencies of the trading account."""
        for balance in state.current_balances():
            yield _sent(answers.BALANCE, states.account_row([balance], balance.updated_ms))

    def positions(self, state: SimulatedState) -> Iterator[SentState]:
        """The positions."""
        for position in state.current_positions():
            yield _sent(answers.POSITIONS, states.position_row(position))

    def order_number(self, order_id: str) -> int | None:
        """See `frames.order_id`."""
        return frames.number_of(order_id)

    def order(self, order: SimulatedOrder) -> SentState:
        """An order, or the conditional order that it is."""
        if frames.is_waiting(order):
            return _sent(answers.OPEN_ALGOS, frames.algo_row(order))
        row = frames.order_row(order, order.fills[-1] if order.fills else None)
        return _sent(answers.OPEN_ORDERS, {name: row[name] for name in row if name not in frames.ONLY_PUSHED})

    def fill(self, fill: SimulatedFill) -> SentState:
        """A fill."""
        return _sent(answers.FILLS, frames.fill_row(fill))

    def transaction(self, transaction: SimulatedTransaction) -> SentState:
        """A bill."""
        return _sent(answers.BILLS, states.bill_row(transaction))

    def execution(self, fill: SimulatedFill) -> Execution:
        """A fill."""
        return Execution(
            FillUpdate(
                trade_id=frames.trade_id(fill, is_push=False),
                order_id=str(frames.ORDER + fill.order_id),
                client_order_id=fill.client_order_id,
                symbol=fill.terms.symbol,
                side=fill.side,
                position_side=fill.position_side,
                price=frames.text(fill.price),
                quantity=frames.text(fill.quantity),
                fee=frames.text(fill.fee),
                fee_currency=fill.fee_currency,
                liquidity=None if fill.kind == "liquidation" else TAKER if fill.is_taker else MAKER,
                realized_pnl=frames.text(fill.realized_pnl),
                kind=fill.kind,
                executed_ms=fill.executed_ms,
            )
        )


def _balances(moment: Moment, passed: list[Event], now_ms: int) -> Iterator[Push]:
    """The balances, and why they and the positions changed."""
    balances = [event for event in moment if isinstance(event, SimulatedBalance)]
    if balances:
        row = states.account_row(balances, now_ms)
        yield Push("account", frames.push("account", row, eventType="event_update"), passed)
    entries = [event for event in moment if isinstance(event, SimulatedTransaction)]
    if entries:
        positions = [event for event in moment if isinstance(event, SimulatedPosition) and not _is_exercise(moment)]
        is_delivery = entries[0].type == "trade" and entries[0].kind == "settlement"
        why = "delivered" if is_delivery else _WHY.get(entries[0].type, "transferred")
        row = states.changes_row(why, balances, positions, now_ms)
        yield Push("balance_and_position", frames.push("balance_and_position", row), ())


def _is_exercise(moment: Moment) -> bool:
    """Whether an option expired: nobody is pushed the end of the position."""
    return any(isinstance(event, SimulatedTransaction) and event.type == "settlement" for event in moment)


def _sent(target: str, row: frames.Row) -> SentState:
    return SentState(target, frames.answer([row]))
