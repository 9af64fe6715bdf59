"""A random trader, from a seed, who uses every order type and flag and sizes from one contract to too many."""

from collections.abc import Callable
from decimal import Decimal

from recorder.simulator.account import OrderRequest
from recorder.simulator.contract import opposite
from recorder.simulator.market import TICKS, Dice, Market
from recorder.simulator.matching import MatchingEngine, market_limit
from recorder.venues.fmex.orders import FILL_OR_KILL, HIDDEN, IMMEDIATE_OR_CANCEL, POST_ONLY, Direction, OrderType

#: First deposit, BTC; with the 18 decimals of the exchange's own sample.
FIRST_DEPOSIT = Decimal("12.796888254907565438")

#: Available balance below which the trader deposits again, BTC.
LOW = Decimal(2)

DEPOSIT = Decimal("5.000000000000000001")

#: At this many open orders the trader cancels one before placing another.
OPEN_MAX = 14

_SIZES = (1, 1, 2, 5, 10, 37, 100, 250, 994, 2500, 8000)


class Trader:
    """Takes one random action at a time."""

    def __init__(self, dice: Dice, engine: MatchingEngine, symbols: list[str]) -> None:
        self._dice = dice
        self._engine = engine
        self._symbols = symbols
        #: Actions and their relative frequencies.
        habits: list[tuple[int, Callable[[str, Market], None]]] = [
            (30, self._rest),
            (10, self._cross),
            (20, self._market),
            (9, self._stop),
            (5, self._trail),
            (1, self._overreach),
            (7, self._close_position),
            (18, self._cancel),
        ]
        self._actions = [action for weight, action in habits for _ in range(weight)]

    def act(self) -> None:
        """Take one action, in one symbol."""
        if self._engine.books.available < LOW:
            self._engine.transfer(DEPOSIT)
        symbol = self._dice.pick(self._symbols)
        if len(self._engine.open) >= OPEN_MAX:
            self._cancel(symbol, self._engine.markets[symbol])
        self._dice.pick(self._actions)(symbol, self._engine.markets[symbol])

    def _side(self) -> Direction:
        return "LONG" if self._dice.chance(0.5) else "SHORT"

    def _rest(self, symbol: str, market: Market) -> None:
        """A limit order away from the market; some hidden, some post-only."""
        side = self._side()
        away = self._dice.between(1, 24)
        price = market.bid - away if side == "LONG" else market.ask + away
        features = self._dice.pick((0, 0, POST_ONLY, HIDDEN, POST_ONLY | HIDDEN))
        self._at_limit(symbol, side, price, features)

    def _cross(self, symbol: str, market: Market) -> None:
        """A limit order that takes; what is left rests, is cancelled, or all of it is (fill-or-kill, post-only)."""
        side = self._side()
        into = self._dice.between(0, 3)
        price = market.ask + into if side == "LONG" else market.bid - into
        features = self._dice.pick((0, 0, IMMEDIATE_OR_CANCEL, FILL_OR_KILL, POST_ONLY))
        self._at_limit(symbol, side, price, features)

    def _market(self, symbol: str, market: Market) -> None:
        side = self._side()
        self._at_market(symbol, market, side, self._dice.pick(_SIZES))

    def _close_position(self, symbol: str, market: Market) -> None:
        """Close all or half of the position at the market, or reverse it."""
        position = self._engine.books.positions[symbol]
        if position.quantity:
            quantity = max(1, self._dice.pick((position.quantity, position.quantity // 2, position.quantity * 2)))
            self._at_market(symbol, market, opposite(position.direction), quantity)

    def _stop(self, symbol: str, market: Market) -> None:
        """A stop, half of them at the market and half at a limit."""
        rising = self._dice.chance(0.5)
        away = self._dice.between(3, 40)
        trigger = market.bid + away if rising else market.bid - away
        side: Direction = "LONG" if rising else "SHORT"
        at_market = self._dice.chance(0.5)
        quantity = self._dice.pick(_SIZES)
        if at_market:
            self._at_market(symbol, market, side, quantity, trigger_on=trigger)
        else:
            limit = trigger + self._dice.between(-4, 4)
            self._place(symbol, side, quantity, "LIMIT", limit, trigger_on=trigger)

    def _trail(self, symbol: str, market: Market) -> None:
        """A trailing stop at a distance of whole USD."""
        rising = self._dice.chance(0.5)
        distance = self._dice.between(5, 25) * TICKS
        trigger = market.bid + distance if rising else market.bid - distance
        quantity = self._dice.pick(_SIZES)
        side: Direction = "LONG" if rising else "SHORT"
        self._at_market(symbol, market, side, quantity, trigger_on=trigger, trailing_distance=distance)

    def _overreach(self, symbol: str, market: Market) -> None:
        """A stop for far more than the account can afford: it fails when triggered."""
        books = self._engine.books
        too_much = int(books.available * books.positions[symbol].leverage * market.bid)
        side = self._side()
        trigger = market.bid + 1 if side == "LONG" else market.bid - 1
        self._at_market(symbol, market, side, too_much, trigger_on=trigger)

    def _cancel(self, _symbol: str, _market: Market) -> None:
        if self._engine.open:
            self._engine.cancel(self._dice.pick(list(self._engine.open)))

    def _at_limit(self, symbol: str, side: Direction, price: int, features: int) -> None:
        self._place(symbol, side, self._dice.pick(_SIZES), "LIMIT", price, features)

    def _at_market(
        self,
        symbol: str,
        market: Market,
        side: Direction,
        quantity: int,
        *,
        trigger_on: int = 0,
        trailing_distance: int = 0,
    ) -> None:
        price = market_limit(market, side)
        stop = {"trigger_on": trigger_on, "trailing_distance": trailing_distance}
        self._place(symbol, side, quantity, "MARKET", price, IMMEDIATE_OR_CANCEL, **stop)

    def _place(
        self,
        symbol: str,
        side: Direction,
        quantity: int,
        kind: OrderType,
        price: int,
        features: int = 0,
        *,
        trigger_on: int = 0,
        trailing_distance: int = 0,
    ) -> None:
        """Place an order, or a stop if it has a trigger; a stop is triggered in the direction it trades in."""
        self._engine.place(
            OrderRequest(
                symbol=symbol,
                direction=side,
                quantity=quantity,
                type=kind,
                price=price,
                features=features,
                trigger_on=trigger_on,
                trigger_direction=side if trigger_on else "LONG",
                trailing_distance=trailing_distance,
            )
        )
