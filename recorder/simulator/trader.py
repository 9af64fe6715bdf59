"""A random trader, from a seed, who uses every order type and flag and sizes from one lot to too many."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from recorder.simulator.contract import held_by, opposite
from recorder.simulator.market import Dice, Market
from recorder.simulator.matching import MatchingEngine
from recorder.simulator.tickets import OrderRequest
from recorder.venues.simulated import Funds, PositionSide, Side

#: At this many open orders the trader cancels one before placing another.
OPEN_MAX = 14

#: Quantities, in steps.
_SIZES = (1, 1, 2, 5, 10, 37, 100, 250, 994, 2500, 8000)


class _Flags(NamedTuple):
    time_in_force: Literal["gtc", "ioc", "fok"] = "gtc"
    post_only: bool = False
    hidden: bool = False


_PLAIN, _POST_ONLY = _Flags(), _Flags(post_only=True)
_RESTING = (_PLAIN, _PLAIN, _POST_ONLY, _Flags(hidden=True), _Flags(post_only=True, hidden=True))
_CROSSING = (_PLAIN, _PLAIN, _Flags("ioc"), _Flags("fok"), _POST_ONLY)


class Trader:
    """Takes one random action at a time.

    Args:
        dice: random numbers.
        engine: of the account.
        funds: what to deposit when it runs low.
    """

    def __init__(self, dice: Dice, engine: MatchingEngine, funds: Sequence[Funds]) -> None:
        self._dice = dice
        self._engine = engine
        self._funds = funds
        #: Actions and their relative frequencies.
        habits: list[tuple[int, Callable[[Market], None]]] = [
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
        """Take one action, in one market."""
        for funds in self._funds:
            purse = self._engine.books.purses[funds.wallet, funds.currency]
            if purse.available < funds.low:
                self._engine.transfer(purse, funds.more)
        market = self._dice.pick(list(self._engine.markets.values()))
        if len(self._engine.open) >= OPEN_MAX:
            self._cancel(market)
        action = self._dice.pick(self._actions)
        # Exchanges take only limit orders for options.
        is_option = market.terms.kind == "option" and action not in {self._rest, self._cancel}
        (self._cross if is_option else action)(market)

    def _side(self) -> Side:
        return "buy" if self._dice.chance(0.5) else "sell"

    def _rest(self, market: Market) -> None:
        """A limit order away from the market; some hidden, some post-only."""
        side = self._side()
        away = self._dice.between(1, 24) * market.scale
        price = market.bid - away if side == "buy" else market.ask + away
        self._at_limit(market, side, price, self._dice.pick(_RESTING))

    def _cross(self, market: Market) -> None:
        """A limit order that takes; what is left rests, is cancelled, or all of it is (fill-or-kill, post-only)."""
        side = self._side()
        into = self._dice.between(0, 3) * market.scale
        price = market.ask + into if side == "buy" else market.bid - into
        self._at_limit(market, side, price, self._dice.pick(_CROSSING))

    def _market(self, market: Market) -> None:
        side = self._side()
        self._at_market(market, side, self._dice.pick(_SIZES))

    def _close_position(self, market: Market) -> None:
        """Close all or half of the position at the market, or reverse it. In a spot market, sell what there is."""
        name, books = market.terms.name, self._engine.books
        if market.terms.kind == "spot":
            lots = market.lots(books.paying(market.terms, "sell").available)
            if lots > 1:
                self._at_market(market, "sell", max(1, self._dice.pick((lots - 1, lots // 2))))
            return
        held_sides: tuple[PositionSide | None, ...] = ("long", "short") if market.terms.hedged else (None,)
        for held_side in held_sides:
            position = books.positions[name, held_side]
            lots = market.lots(position.quantity)
            if lots:
                size = max(1, self._dice.pick((lots, lots // 2, lots * 2)))
                side = opposite("buy" if position.side == "long" else "sell")
                self._at_market(market, side, size, position_side=held_side)

    def _stop(self, market: Market) -> None:
        """A stop, half of them at the market and half at a limit."""
        rising = self._dice.chance(0.5)
        away = self._dice.between(3, 40) * market.scale
        trigger = market.bid + away if rising else market.bid - away
        side: Side = "buy" if rising else "sell"
        at_market = self._dice.chance(0.5)
        lots = self._dice.pick(_SIZES)
        if at_market:
            self._at_market(market, side, lots, trigger=trigger)
        else:
            limit = trigger + self._dice.between(-4, 4) * market.scale
            self._place(market, side, lots, "limit", limit, trigger=trigger)

    def _trail(self, market: Market) -> None:
        """A trailing stop."""
        rising = self._dice.chance(0.5)
        distance = self._dice.between(5, 25) * 2 * market.scale
        trigger = market.bid + distance if rising else market.bid - distance
        lots = self._dice.pick(_SIZES)
        self._at_market(market, "buy" if rising else "sell", lots, trigger=trigger, trail=distance)

    def _overreach(self, market: Market) -> None:
        """A stop for twice of what the account can afford: it fails when triggered."""
        side = self._side()
        trigger = market.bid + 1 if side == "buy" else market.bid - 1
        self._at_market(market, side, self._too_many(market, side), trigger=trigger)

    def _too_many(self, market: Market, side: Side) -> int:
        terms, price = market.terms, market.traded(market.bid)
        available = self._engine.books.paying(terms, side).available * terms.leverage * 2
        if terms.kind == "inverse":
            return market.lots(available * price)
        return max(1, market.lots(available if terms.kind == "spot" and side == "sell" else available / price))

    def _cancel(self, _market: Market) -> None:
        if self._engine.open:
            self._engine.cancel(self._dice.pick(list(self._engine.open)))

    def _at_limit(self, market: Market, side: Side, price: int, flags: _Flags) -> None:
        self._place(market, side, self._dice.pick(_SIZES), "limit", price, flags)

    def _at_market(
        self,
        market: Market,
        side: Side,
        lots: int,
        *,
        position_side: PositionSide | None = None,
        trigger: int = 0,
        trail: int = 0,
    ) -> None:
        self._place(
            market,
            side,
            lots,
            "market",
            market.worst(side),
            _Flags("ioc"),
            position_side=position_side,
            trigger=trigger,
            trail=trail,
        )

    def _place(
        self,
        market: Market,
        side: Side,
        lots: int,
        kind: Literal["limit", "market"],
        price: int,
        flags: _Flags = _PLAIN,
        *,
        position_side: PositionSide | None = None,
        trigger: int = 0,
        trail: int = 0,
    ) -> None:
        """Place an order, or a stop if it has a trigger; a stop is triggered in the direction it trades in."""
        if market.terms.hedged and position_side is None:
            # Two of three orders open or add to a position, the third reduces the opposite one.
            opens = self._dice.chance(2 / 3)
            position_side = held_by(side if opens else opposite(side))
        self._engine.place(
            OrderRequest(
                name=market.terms.name,
                side=side,
                position_side=position_side,
                lots=lots,
                type=kind,
                price=price,
                time_in_force=flags.time_in_force,
                post_only=flags.post_only,
                hidden=flags.hidden,
                trigger=trigger,
                trigger_rises=side == "buy" if trigger else True,
                trail=trail,
            )
        )
