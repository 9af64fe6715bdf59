"""The records of a simulated account, the same for every venue. A stand-in renders them in its frames and answers.

They are frozen: a change makes a new record, which is an event. Amounts are Decimals in whole units of their currency
(`Terms.unit`); they print with all their digits. They are msgspec structs because changing one field costs a tenth of a
dataclass's ``replace``.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Literal, NamedTuple, Protocol

import msgspec

from recorder.model import OPEN_STATUSES

NONE = Decimal(0)

Kind = Literal["spot", "linear", "inverse", "option"]
Side = Literal["buy", "sell"]
#: What made a fill: the trader, or the exchange that ended a position.
FillKind = Literal["trade", "liquidation", "adl", "settlement"]
PositionSide = Literal["long", "short"]

#: Why an order ended without being filled: its owner's wish; post-only, but would have taken; immediate or cancel, and
#: nothing more to take; fill or kill, and too little to take; no margin when its trigger was reached; the position
#: is being liquidated; it may only reduce a position, and there is none; its instrument has expired.
Reason = Literal["user", "post_only", "ioc", "fok", "margin", "liquidation", "reduce_only", "expiry"]

TransactionType = Literal["trade", "funding", "liquidation", "settlement", "deposit", "withdrawal", "transfer"]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of one instrument.

    Raises:
        ValueError: amounts at these steps are no whole units of the currency they are paid in.
    """

    symbol: str
    #: The venue's word for one of several markets that use the same symbols; None if the symbol alone is unique.
    market: str | None = None
    kind: Kind
    base: str
    quote: str
    #: The currency of margin, profit and fees; of a spot market the quote currency.
    settle: str
    #: The wallet that pays; None if the account has only one.
    wallet: str | None = None
    #: Steps of prices, and of quantities: coins, or contracts of 1 USD if inverse. The simulated price moves by some
    #: ticks at a time, so the first price should be at least some ten thousand of them, of an option some hundred.
    price_tick: Decimal
    quantity_step: Decimal
    #: The smallest amount of the settle currency, and of a spot market's base currency.
    unit: Decimal
    base_unit: Decimal = NONE
    #: Fee per value; a negative one is a rebate.
    taker_rate: Decimal
    maker_rate: Decimal
    #: Margin per value below which a position is liquidated.
    maintenance_rate: Decimal = NONE
    leverage: int = 1
    #: Of an option, that of its time value.
    first_price: Decimal
    #: When it expires and is settled, milliseconds since 1970; 0 for never.
    expires_ms: int = 0
    #: Of an option: the price at which it can be exercised, and whether it is a put. It is paid and settled in the
    #: base currency if that is its settle currency, else in the quote currency.
    strike: Decimal = NONE
    is_put: bool = False
    #: Whether expiry closes a position by an order with a fill of kind `settlement`; otherwise an entry of the ledger
    #: settles it, as it always does an option.
    closed_by_order: bool = False
    #: Whether a long and a short position are held side by side.
    hedged: bool = False
    #: Whether a spot buy pays its fee in the base currency that it receives.
    fee_in_received: bool = False

    def __post_init__(self) -> None:
        if self.kind != "inverse" and (self.price_tick * self.quantity_step) % self.unit:
            raise ValueError(f"{self.name}: a step of the quantity at a price's tick is less than {self.unit}")
        if self.kind == "spot" and not self.base_unit:
            raise ValueError(f"{self.name}: a spot market needs the base currency's unit")
        if self.kind == "option" and not (self.strike and self.expires_ms):
            raise ValueError(f"{self.name}: an option needs a strike and an expiry")

    @property
    def name(self) -> str:
        """What tells it from every other instrument of the venue."""
        return self.symbol if self.market is None else f"{self.market}:{self.symbol}"

    @property
    def is_paid_in_base(self) -> bool:
        """Whether it is an option whose premium is paid in what it is an option on."""
        return self.kind == "option" and self.settle == self.base


class Funds(NamedTuple):
    """What an account is given of one currency, and what its trader adds when it runs low."""

    wallet: str | None
    currency: str
    first: Decimal
    #: Available amount below which the trader deposits.
    low: Decimal
    more: Decimal


class SimulatedBalance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The balance of one currency in one wallet: free, held by open orders, held as margin of positions."""

    wallet: str | None
    currency: str
    available: Decimal
    locked: Decimal
    margin: Decimal
    updated_ms: int

    @property
    def total(self) -> Decimal:
        """What is owned, without unrealized profit."""
        return self.available + self.locked + self.margin


class SimulatedFill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of an order."""

    trade_id: int
    order_id: int
    client_order_id: str | None
    terms: Terms
    side: Side
    position_side: PositionSide | None
    price: Decimal
    quantity: Decimal
    #: In the settle currency.
    value: Decimal
    #: Positive when paid, negative for a rebate.
    fee: Decimal
    fee_currency: str
    fee_rate: Decimal
    is_taker: bool
    #: How much of it closed a position, and what that earned, before fees.
    closed_quantity: Decimal
    realized_pnl: Decimal
    #: The position before it, negative if short; in a spot market the balance of the base currency.
    position_before: Decimal
    kind: FillKind
    executed_ms: int


class SimulatedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order. `locked`, `fee` and amounts in the settle currency, except where a spot market pays in the base."""

    id: int
    client_order_id: str | None
    terms: Terms
    side: Side
    #: The position it belongs to in hedge mode; None in one-way mode.
    position_side: PositionSide | None = None
    type: Literal["limit", "market"]
    time_in_force: Literal["gtc", "ioc", "fok"]
    post_only: bool = False
    reduce_only: bool = False
    hidden: bool = False
    kind: FillKind = "trade"
    #: Of a market order, the worst price it accepts.
    price: Decimal
    quantity: Decimal
    filled_quantity: Decimal = NONE
    #: See `recorder.model`: `pending` until its trigger is reached.
    status: str
    reason: Reason | None = None
    #: Exact if 18 decimals suffice; 0 without fills.
    average_price: Decimal = NONE
    fee: Decimal
    fee_currency: str
    #: 0 without a trigger, which is reached by a price at or above it if `trigger_rises`, else at or below it.
    trigger_price: Decimal = NONE
    trigger_rises: bool = True
    is_triggered: bool = False
    #: Of a trailing stop: the best price so far, and the distance from it.
    trail_base: Decimal = NONE
    trail_distance: Decimal = NONE
    created_ms: int
    updated_ms: int
    #: Reserved for what is not filled yet.
    locked: Decimal
    #: The price that `locked` is computed at: no fill can cost more.
    locked_at: Decimal = NONE
    #: Sum of quantity times price over all fills.
    notional: Decimal = NONE
    fills: tuple[SimulatedFill, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it can still change."""
        return self.status in OPEN_STATUSES

    @property
    def left(self) -> Decimal:
        """The quantity that is not filled."""
        return self.quantity - self.filled_quantity

    @property
    def is_closing(self) -> bool:
        """Whether it may only reduce a position."""
        return self.reduce_only or (self.position_side is not None and _OPENING[self.position_side] != self.side)


_OPENING: dict[PositionSide, Side] = {"long": "buy", "short": "sell"}


class SimulatedPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The position in a derivative, with isolated margin: one per symbol, or one per symbol and side in hedge mode."""

    terms: Terms
    #: None in one-way mode.
    position_side: PositionSide | None = None
    #: Never negative.
    quantity: Decimal = NONE
    #: Of a closed position, its last side.
    side: PositionSide = "long"
    margin: Decimal
    entry_price: Decimal = NONE
    #: What a linear position or an option was opened for, exactly.
    cost: Decimal = NONE
    #: The market's price at the time; 0 before it was ever opened.
    mark_price: Decimal = NONE
    liquidation_price: Decimal = NONE
    bankruptcy_price: Decimal = NONE
    #: Profit net of fees, funding and liquidations since the account's first trade in it, and since it was last flat.
    realized_pnl: Decimal
    holding_pnl: Decimal
    #: Funding received, negative if paid, since the account's first trade in it, and since it was last flat.
    funding: Decimal
    holding_funding: Decimal
    #: When it was last opened; 0 before the first time.
    opened_ms: int = 0
    #: 0 if it never changed.
    updated_ms: int = 0

    def is_lost_at(self, price: Decimal) -> bool:
        """Whether it is liquidated at this price."""
        if not self.quantity or not self.liquidation_price:
            return False
        return price <= self.liquidation_price if self.side == "long" else price >= self.liquidation_price

    @property
    def signed(self) -> Decimal:
        """The quantity, negative if short."""
        return self.quantity if self.side == "long" else -self.quantity

    @property
    def value(self) -> Decimal:
        """What it is worth at the market's price, in the settle currency."""
        if not self.quantity:
            return NONE
        inverse = self.terms.kind == "inverse"
        worth = self.quantity / self.mark_price if inverse else self.quantity * self.mark_price
        return worth.quantize(self.terms.unit, ROUND_DOWN)

    @property
    def unrealized_pnl(self) -> Decimal:
        """What closing it at the market's price would earn, before fees."""
        if not self.quantity:
            return NONE
        if self.terms.kind == "inverse":
            gain = (self.quantity / self.entry_price).quantize(self.terms.unit, ROUND_DOWN) - self.value
        else:
            gain = self.value - self.cost
        return gain if self.side == "long" else -gain


class SimulatedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the account's ledger: a change of one balance.

    A fill of a derivative has one of type `trade`, ``realized_pnl - fee``; of an option the premium instead of the
    profit. A fill of a spot market has two, one for each currency, the fee included in that of its currency. A
    liquidation is a fill, and an entry of type `liquidation` for what the insurance fund takes besides or adds. An
    expiry is a fill of kind `settlement` or an entry of type `settlement`. A transfer between wallets has two.
    """

    id: int
    type: TransactionType
    wallet: str | None
    currency: str
    #: The change of the balance, and the fee that is included in it, positive when paid.
    amount: Decimal
    fee: Decimal
    balance_after: Decimal
    #: None for money that comes and goes.
    terms: Terms | None = None
    order_id: int | None = None
    trade_id: int | None = None
    #: Of the trade. Of a funding payment or a settlement: side and size of the position, price and rate it was
    #: computed at.
    side: Side | None = None
    position_side: PositionSide | None = None
    quantity: Decimal = NONE
    price: Decimal = NONE
    rate: Decimal = NONE
    #: What its fill is, if it is of type `trade`.
    kind: FillKind = "trade"
    #: The other wallet of a transfer.
    peer: str | None = None
    occurred_ms: int


#: Something that happened to the account.
Event = SimulatedOrder | SimulatedFill | SimulatedPosition | SimulatedTransaction | SimulatedBalance

#: What happened at once. In this order: the fill, its order, its position, its transactions, the balances.
Moment = Sequence[Event]


class SimulatedState(Protocol):
    """A simulated account at one moment, for faces that show all of it at once."""

    @property
    def now_ms(self) -> int:
        """The time of the last change, milliseconds since 1970."""
        ...

    @property
    def fills(self) -> Sequence[SimulatedFill]:
        """All fills, oldest first."""
        ...

    @property
    def transactions(self) -> Sequence[SimulatedTransaction]:
        """All transactions, oldest first."""
        ...

    def current_balances(self) -> Iterable[SimulatedBalance]:
        """The balance of every currency in every wallet."""
        ...

    def current_positions(self) -> Iterable[SimulatedPosition]:
        """The positions that have ever changed, at the current price."""
        ...

    def open_orders(self) -> Sequence[SimulatedOrder]:
        """The orders that can still change, newest first."""
        ...
