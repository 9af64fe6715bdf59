"""Hyperliquid's face of a simulated account: its instruments, and the frames that it pushes.

It pushes fills, order states, payments and the ledger as events, and the whole state of positions, balances and open
orders whenever something changes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from recorder.model import MAKER, TAKER, FillUpdate
from recorder.venues.face import Face, Push
from recorder.venues.hyperliquid.portal import topics_of
from recorder.venues.hyperliquid.stand_in import frames
from recorder.venues.hyperliquid.words import MAIN_DEX, SPOT, USDC
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

DEFAULT_SYMBOLS = ("BTC", "ETH", "@107")

TAKER_RATE, MAKER_RATE = Decimal("0.00045"), Decimal("0.00015")
SPOT_TAKER_RATE, SPOT_MAKER_RATE = Decimal("0.0007"), Decimal("0.0004")
MAINTENANCE_RATE = Decimal("0.0125")

#: Spot pairs → base and quote token.
PAIRS = {"@107": ("HYPE", USDC), "PURR/USDC": ("PURR", USDC)}

FIRST_PRICES = {
    "BTC": Decimal(94_000),
    "ETH": Decimal("3120.4"),
    "@107": Decimal("38.25"),
    "PURR/USDC": Decimal("0.19"),
    "": Decimal(25),
}


def terms(symbols: Sequence[str]) -> tuple[Terms, ...]:
    """The terms of instruments: perpetuals of the main exchange, margined in USDC, and spot pairs.

    Raises:
        ValueError: a symbol is not one of the main exchange's, or is given twice.
    """
    if len(set(symbols)) < len(symbols):
        raise ValueError("each symbol may be given once")
    return tuple(map(_instrument, symbols))


def funds(instruments: Sequence[Terms]) -> tuple[Funds, ...]:
    """What an account is given: USDC for perpetuals, and the tokens of its spot pairs."""
    tokens = dict.fromkeys(coin for one in instruments if one.kind == "spot" for coin in (one.quote, one.base))
    return (
        Funds(MAIN_DEX, USDC, Decimal("50000.123456"), Decimal(10_000), Decimal("20000.000001")),
        *(Funds(SPOT, coin, Decimal("20000.12345678"), Decimal(4_000), Decimal("8000.00000001")) for coin in tokens),
    )


def _instrument(symbol: str) -> Terms:
    base, quote = PAIRS.get(symbol, (symbol, "USD"))
    if symbol not in PAIRS and (not symbol.isalnum() or not symbol.isascii()):
        raise ValueError(f"{symbol!r} is not a symbol such as BTC, or one of {', '.join(PAIRS)}")
    spot = symbol in PAIRS
    price = FIRST_PRICES.get(symbol, FIRST_PRICES[""])
    tick = Decimal(1) if price > 50_000 else Decimal("0.1") if price > 1_000 else Decimal("0.001")
    if price < 1:
        tick = Decimal("0.00001")
    return Terms(
        symbol=symbol,
        kind="spot" if spot else "linear",
        base=base,
        quote=quote,
        settle=USDC,
        wallet=SPOT if spot else MAIN_DEX,
        price_tick=tick,
        quantity_step=Decimal("0.01") if spot else Decimal("0.001") if price > 1_000 else Decimal("0.01"),
        unit=Decimal("1E-8") if spot else Decimal("1E-6"),
        base_unit=Decimal("1E-8") if spot else Decimal(0),
        taker_rate=SPOT_TAKER_RATE if spot else TAKER_RATE,
        maker_rate=SPOT_MAKER_RATE if spot else MAKER_RATE,
        maintenance_rate=Decimal(0) if spot else MAINTENANCE_RATE,
        leverage=1 if spot else 10,
        first_price=price,
        fee_in_received=spot,
    )


class HyperliquidFace(Face):
    """Implements `recorder.venues.stand_in.Face`.

    Args:
        instruments: that are traded.
        address: of the account.
    """

    def __init__(self, instruments: Sequence[Terms], address: str) -> None:
        self.address = address
        self.instruments = tuple(instruments)
        #: The state according to the pushes so far, of which each push of a state shows all.
        self._balances: dict[tuple[str | None, str], SimulatedBalance] = {}
        self._positions: dict[str, SimulatedPosition] = {}
        self._orders: dict[int, SimulatedOrder] = {}

    def topics(self) -> Collection[str]:
        """The topics of the account."""
        return topics_of(())

    def pushes(self, moment: Moment, now_ms: int) -> Iterator[Push]:
        """A frame for each fill, order and payment, and the whole states that they change."""
        passed: list[Event] = []
        changed: dict[str, None] = {}
        # A state says as of when it is, not when it was sent.
        last = moment[-1]
        as_of_ms = now_ms if isinstance(last, SimulatedFill | SimulatedTransaction) else last.updated_ms
        for event in moment:
            passed.append(event)
            told = self._told(event, changed)
            if told is not None:
                yield Push(told[0], frames.push(*told), passed)
                passed = []
        for topic in changed:
            states = self._balances, self._positions.values(), self._orders.values()
            yield Push(topic, self._state(topic, *states, as_of_ms), passed)
            passed = []

    def snapshot(self, topic: str, state: SimulatedState, now_ms: int, *, is_first: bool) -> Iterator[bytes]:
        """Whole states at subscription and every few seconds; of events, the newest at subscription."""
        if topic in {"openOrders", "spotState", "allDexsClearinghouseState"}:
            yield self._state(
                topic,
                {(one.wallet, one.currency): one for one in state.current_balances()},
                state.current_positions(),
                state.open_orders(),
                now_ms,
            )
        elif is_first and topic in _EVENTS:
            name, rows = _EVENTS[topic](state, self.address)
            yield frames.push(topic, {"isSnapshot": True, "user": self.address, name: rows})

    def _state(
        self,
        topic: str,
        balances: Mapping[tuple[str | None, str], SimulatedBalance],
        positions: Iterable[SimulatedPosition],
        orders: Iterable[SimulatedOrder],
        now_ms: int,
    ) -> bytes:
        """The frame of a topic that has a whole state."""
        user = {"user": self.address}
        if topic == "openOrders":
            return frames.push(topic, {"dex": MAIN_DEX, **user, "orders": list(map(frames.listed_order, orders))})
        if topic == "spotState":
            tokens = [one for (wallet, _), one in balances.items() if wallet == SPOT]
            return frames.push(topic, {**user, "spotState": frames.spot_state(tokens)})
        margin = frames.margin_state(balances.get((MAIN_DEX, USDC)), positions, now_ms)
        return frames.push(topic, {**user, "clearinghouseStates": frames.dex_states(margin)})

    def _told(self, event: Event, changed: dict[str, None]) -> tuple[str, object] | None:
        """Channel and data of the frame about an event, if it has one; notes which whole states it changes."""
        user = {"user": self.address}
        match event:
            case SimulatedFill():
                return "userFills", {**user, "fills": [frames.fill(event, self.address)]}
            case SimulatedOrder():
                changed["openOrders"] = None
                if event.is_open:
                    self._orders[event.id] = event
                else:
                    self._orders.pop(event.id, None)
                return "orderUpdates", [frames.stated_order(event)]
            case SimulatedPosition():
                changed["allDexsClearinghouseState"] = None
                self._positions[event.terms.symbol] = event
            case SimulatedBalance():
                changed["spotState" if event.wallet == SPOT else "allDexsClearinghouseState"] = None
                self._balances[event.wallet, event.currency] = event
            case SimulatedTransaction() if event.type == "funding":
                return "userFundings", {**user, "fundings": [frames.funding(event)]}
            case SimulatedTransaction():
                row = frames.ledger_row(event, self.address)
                if row is not None:
                    return "userNonFundingLedgerUpdates", {**user, "nonFundingLedgerUpdates": [row]}
        return None

    def balances(self, state: SimulatedState) -> Iterator[SentState]:
        """The balances."""
        for balance in state.current_balances():
            if balance.wallet == SPOT:
                yield _sent("spotClearinghouseState", self.address, frames.spot_state([balance]))
            else:
                held = [one for one in state.current_positions() if one.quantity]
                margin = frames.margin_state(balance, held, balance.updated_ms)
                yield _sent("clearinghouseState", self.address, margin)._replace(item=len(held))

    def positions(self, state: SimulatedState) -> Iterator[SentState]:
        """The positions."""
        for position in state.current_positions():
            yield _sent("clearinghouseState", self.address, frames.margin_state(None, [position], position.updated_ms))

    def order(self, order: SimulatedOrder) -> SentState:
        """An order."""
        stated = frames.stated_order(order, listed=True)
        return _sent("orderStatus", self.address, {"status": "order", "order": stated}, oid=order.id)

    def fill(self, fill: SimulatedFill) -> SentState:
        """A fill."""
        return _sent("userFillsByTime", self.address, [frames.fill(fill, self.address)])

    def transaction(self, transaction: SimulatedTransaction) -> SentState:
        """A payment of funding, or a row of the ledger; the exchange lists no others."""
        if transaction.type == "funding":
            return _sent("userFunding", self.address, [frames.funding_row(transaction)])
        row_of_ledger = frames.ledger_row(transaction, self.address)
        return _sent("userNonFundingLedgerUpdates", self.address, [] if row_of_ledger is None else [row_of_ledger])

    def execution(self, fill: SimulatedFill) -> Execution:
        """A fill, as records have it."""
        return Execution(
            FillUpdate(
                trade_id=str(fill.trade_id),
                order_id=str(fill.order_id),
                client_order_id=fill.client_order_id,
                symbol=fill.terms.symbol,
                side=fill.side,
                price=str(fill.price),
                quantity=str(fill.quantity),
                fee=str(fill.fee),
                fee_currency=fill.fee_currency,
                liquidity=TAKER if fill.is_taker else MAKER,
                realized_pnl=str(fill.realized_pnl),
                kind=fill.kind,
                executed_ms=fill.executed_ms,
            )
        )


def _sent(kind: str, address: str, answer: object, **parameters: object) -> SentState:
    body = frames.encode({"type": kind, "user": address, **parameters}).decode()
    return SentState(f"POST /info {body}", frames.encode(answer))


#: Newest events of a snapshot at most.
_NEWEST = 100


def _fills(state: SimulatedState, address: str) -> tuple[str, list[frames.Object]]:
    return "fills", [frames.fill(one, address) for one in reversed(state.fills[-_NEWEST:])]


def _fundings(state: SimulatedState, _address: str) -> tuple[str, list[frames.Object]]:
    payments = [one for one in state.transactions if one.type == "funding"]
    return "fundings", [frames.funding(one) for one in payments[-_NEWEST:]]


def _ledger(state: SimulatedState, address: str) -> tuple[str, list[frames.Object]]:
    rows = [frames.ledger_row(one, address) for one in state.transactions]
    return "nonFundingLedgerUpdates", [row for row in rows if row is not None]


def _no_slices(_state: SimulatedState, _address: str) -> tuple[str, list[frames.Object]]:
    return "twapSliceFills", []


#: Topics of events whose newest ones a snapshot at subscription shows.
_EVENTS: dict[str, Callable[[SimulatedState, str], tuple[str, list[frames.Object]]]] = {
    "userFills": _fills,
    "userFundings": _fundings,
    "userNonFundingLedgerUpdates": _ledger,
    "userTwapSliceFills": _no_slices,
}
