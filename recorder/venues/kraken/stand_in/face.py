"""Kraken's face of a simulated account: its pairs, and the frames and rows that it shows of an account.

An order is told whole once, when it is placed; then events say what changed, and a last one that it is over. What
orders hold of a balance is not pushed: each entry of the ledger is, with the balance after it.

An account that trades contracts, too, has them on the Unified WebSocket. Over REST, only the ledger tells of them.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal

from recorder.model import MAKER, TAKER, FillUpdate
from recorder.venues.face import Face, Push
from recorder.venues.kraken import answers
from recorder.venues.kraken import derivatives as theirs
from recorder.venues.kraken.decode import BALANCES, EXECUTIONS
from recorder.venues.kraken.derivatives import LEDGERS, MARGIN, POSITIONS
from recorder.venues.kraken.names import DERIVATIVES, MAIN, contract, is_contract, split
from recorder.venues.kraken.portal import DERIVATIVE_TOPICS, TOPICS
from recorder.venues.kraken.stand_in import contracts, frames
from recorder.venues.kraken.stand_in.spelling import ORDER, TRADE, own_id, own_number
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

DEFAULT_SYMBOLS = ("BTC/USD", "ETH/USD", "DOGE/USD", "ETH/EUR")

TAKER_RATE, MAKER_RATE = Decimal("0.004"), Decimal("0.0025")

#: Base currency → first price, tick and step of the quantity; of any other that of the last.
PRICES = {
    "BTC": (Decimal(84_210), Decimal("0.1"), Decimal("0.0001")),
    "ETH": (Decimal(2_870), Decimal("0.01"), Decimal("0.001")),
    "DOGE": (Decimal("0.38"), Decimal("0.00001"), Decimal(1)),
    "": (Decimal(140), Decimal("0.001"), Decimal("0.01")),
}
_QUOTES = frozenset(["USD", "EUR", "GBP", "USDT", "USDC"])

#: Currency → first deposit, the balance below which more is deposited, and how much.
FUNDS = {
    **dict.fromkeys(_QUOTES, (Decimal("250000.12345"), Decimal(50_000), Decimal("100000.00001"))),
    "DOGE": (Decimal("400000.00000001"), Decimal(80_000), Decimal("160000.00000001")),
}
#: The same of any other currency.
OTHER_FUNDS = (Decimal("25.00000001"), Decimal(5), Decimal("10.00000001"))

#: Newest fills of a snapshot at most.
_NEWEST = 50


def terms(symbols: Sequence[str]) -> tuple[Terms, ...]:
    """The terms of pairs such as `BTC/USD`, and of perpetuals such as `PF_XBTUSD`.

    Raises:
        ValueError: a symbol is none, or is given twice.
    """
    if len(set(symbols)) < len(symbols):
        raise ValueError("each symbol may be given once")
    return tuple(map(_instrument, symbols))


def funds(instruments: Sequence[Terms]) -> tuple[Funds, ...]:
    """What an account is given: of every currency that it trades."""
    pairs = [one for one in instruments if one.kind == "spot"]
    currencies = dict.fromkeys(coin for one in pairs for coin in (one.quote, one.base))
    mine = [Funds(MAIN, one, *FUNDS.get(one, OTHER_FUNDS)) for one in currencies]
    margins = dict.fromkeys(contracts.funds(one) for one in instruments if one.kind != "spot")
    return (*mine, *margins)


def _instrument(symbol: str) -> Terms:
    named = contract(symbol)
    if named is not None:
        return contracts.terms(symbol, PRICES.get(named[1], PRICES[""])[0])
    base, quote = split(symbol) or ("", "")
    if not base.isalnum() or not base.isascii() or quote not in _QUOTES or base == quote:
        raise ValueError(f"{symbol!r} is not a pair such as BTC/USD, quoted in {', '.join(sorted(_QUOTES))}")
    price, tick, step = PRICES.get(base, PRICES[""])
    return Terms(
        symbol=symbol,
        kind="spot",
        base=base,
        quote=quote,
        settle=quote,
        wallet=MAIN,
        price_tick=tick,
        quantity_step=step,
        unit=Decimal("1E-5"),
        base_unit=Decimal("1E-8"),
        taker_rate=TAKER_RATE,
        maker_rate=MAKER_RATE,
        first_price=price,
    )


class KrakenFace(Face):
    """Implements `recorder.venues.stand_in.Face`."""

    def __init__(self, instruments: Sequence[Terms], _key: str) -> None:
        has_contracts = any(one.kind != "spot" for one in instruments)
        self._topics = (*TOPICS, *(DERIVATIVE_TOPICS if has_contracts else ()))
        #: Orders that were told.
        self._placed: set[int] = set()
        #: The frames of each topic so far, with that of a snapshot.
        self._sequences = dict.fromkeys(self._topics, 1)

    def topics(self) -> Collection[str]:
        """The channels, those of derivatives too if a contract is traded."""
        return self._topics

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        """A frame for each event of an order, for each entry of the ledger, and for each position."""
        orders = {event.id: event for event in moment if isinstance(event, SimulatedOrder)}
        filled = {event.order_id for event in moment if isinstance(event, SimulatedFill)}
        passed: list[Event] = []
        for event in moment:
            passed.append(event)
            if isinstance(event, SimulatedFill):
                rows = self._placed_rows(orders[event.order_id])
                told: list[frames.Row] = [frames.trade(event, orders[event.order_id])]
            elif isinstance(event, SimulatedOrder):
                rows, told = [], self._order_rows(event, has_fill=event.id in filled)
            elif isinstance(event, SimulatedTransaction):
                channel = BALANCES if event.wallet == MAIN else theirs.topic(BALANCES)
                yield self._push(channel, frames.entry_row(event), passed)
                passed = []
                if LEDGERS in self._topics:
                    yield Push(LEDGERS, contracts.entry(event, self._next(LEDGERS)), ())
                continue
            elif isinstance(event, SimulatedPosition):
                row = contracts.position_row(event)
                frame = contracts.positions("update", [row], event.updated_ms, self._next(POSITIONS))
                yield Push(POSITIONS, frame, passed)
                passed = []
                continue
            elif isinstance(event, SimulatedBalance) and event.wallet == DERIVATIVES:
                yield Push(MARGIN, contracts.margin(event, self._next(MARGIN)), ())
                continue
            else:
                continue
            channel = EXECUTIONS if event.terms.kind == "spot" else theirs.topic(EXECUTIONS)
            for row in rows:
                yield self._push(channel, row, ())
            for row in told:
                yield self._push(channel, row, passed)
                passed = []

    def _placed_rows(self, order: SimulatedOrder) -> list[frames.Row]:
        """The events of a new order; none of one that was told."""
        if order.id in self._placed:
            return []
        self._placed.add(order.id)
        return [frames.placed(order), frames.live(order)] if order.terms.kind == "spot" else [frames.placed(order)]

    def _order_rows(self, order: SimulatedOrder, *, has_fill: bool) -> list[frames.Row]:
        rows = self._placed_rows(order)
        if not order.is_open:
            self._placed.discard(order.id)
            return [*rows[:1], frames.ended(order)]
        return rows if rows or has_fill else [frames.changed(order)]

    def _next(self, topic: str) -> int:
        self._sequences[topic] += 1
        return self._sequences[topic]

    def _push(self, topic: str, row: frames.Row, events: Sequence[Event]) -> Push:
        return Push(topic, frames.push(theirs.channel_of(topic), "update", [row], self._next(topic)), events)

    def snapshot(self, topic: str, state: SimulatedState, now_ms: int, *, is_first: bool) -> Iterable[bytes]:
        """Open orders and the newest fills; balances; positions; margins. None of the ledger."""
        number, is_spot = self._sequences[topic], topic in TOPICS
        balances = [one for one in state.current_balances() if (one.wallet == MAIN) == is_spot]
        channel = theirs.channel_of(topic)
        if channel == LEDGERS:
            return
        if channel == MARGIN:
            yield from (contracts.margin(balance, number) for balance in balances)
        elif channel == POSITIONS:
            rows = [contracts.position_row(one) for one in state.current_positions() if one.quantity]
            yield contracts.positions("snapshot", rows, now_ms, number)
        elif channel == EXECUTIONS:
            orders = [one for one in state.open_orders() if (one.terms.kind == "spot") == is_spot]
            fills = [one for one in state.fills if (one.terms.kind == "spot") == is_spot]
            rows = [frames.open_row(order) for order in orders]
            rows += [frames.trade(fill, None) for fill in reversed(fills[-_NEWEST:])]
            yield frames.push(channel, "snapshot", rows, number)
        else:
            yield frames.push(channel, "snapshot", [frames.balance_row(one) for one in balances], number)

    def balances(self, state: SimulatedState) -> Iterator[SentState]:
        """The balances of spot."""
        for balance in (one for one in state.current_balances() if one.wallet == MAIN):
            yield _sent(answers.BALANCES, dict([frames.listed_balance(balance)]))

    def positions(self, state: SimulatedState) -> Iterable[SentState]:
        """None: spot has none, and those of contracts are pushed only."""
        return ()

    def order_number(self, order_id: str) -> int | None:
        """See `spelling.own_id`."""
        return own_number(ORDER, order_id)

    def order(self, order: SimulatedOrder) -> SentState:
        """An order. Of a contract it is in no answer, so it is a push."""
        if is_contract(order.terms.symbol):
            return _pushed(frames.open_row(order) if order.is_open else frames.ended(order))
        path, place = (answers.OPEN_ORDERS, "open") if order.is_open else (answers.ORDERS, "closed")
        return _sent(path, {place: dict([frames.listed_order(order)])})

    def fill(self, fill: SimulatedFill) -> SentState:
        """A trade; as `order`."""
        if is_contract(fill.terms.symbol):
            return _pushed(frames.trade(fill, None))
        return _sent(answers.TRADES, {"trades": dict([frames.listed_trade(fill)])})

    def transaction(self, transaction: SimulatedTransaction) -> SentState:
        """An entry of the ledger."""
        return _sent(answers.LEDGER, {"ledger": dict([frames.listed_entry(transaction)])})

    def execution(self, fill: SimulatedFill) -> Execution:
        """A trade."""
        return Execution(
            FillUpdate(
                trade_id=own_id(TRADE, fill.trade_id, fill.terms.symbol),
                order_id=own_id(ORDER, fill.order_id, fill.terms.symbol),
                client_order_id=fill.client_order_id,
                market=fill.terms.market,
                symbol=fill.terms.symbol,
                side=fill.side,
                price=f"{fill.price:f}",
                quantity=f"{fill.quantity:f}",
                fee=f"{fill.fee:f}",
                fee_currency=fill.fee_currency,
                liquidity=TAKER if fill.is_taker else MAKER,
                kind=fill.kind,
                executed_ms=fill.executed_ms,
            )
        )


def _pushed(row: frames.Row) -> SentState:
    return SentState(theirs.topic(EXECUTIONS), frames.push(EXECUTIONS, "update", [row], 1))


def _sent(path: str, result: object) -> SentState:
    return SentState(f"POST {path}", frames.answer(result))
