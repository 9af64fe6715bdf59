"""What of Hyperliquid's snapshot can be compared with its pushes. Pure.

Not compared: what moves with the market (margins, liquidation price, unrealized PnL, and with them a perpetual
exchange's balance, which is the account's value without them). States are whole, so what is absent is zero.
`orderUpdates` do not say that an order waits for a trigger, and perhaps not that a part of it was filled: only
`openOrders` do.
"""

import re
from decimal import Decimal

from recorder.model import (
    BALANCES,
    ENDED,
    NEW,
    PARTIALLY_FILLED,
    PENDING,
    POSITIONS,
    AccountUpdate,
    OrderUpdate,
    PositionUpdate,
)
from recorder.venues.comparable import Comparable, CompleteList
from recorder.venues.hyperliquid.rest import INFO
from recorder.venues.hyperliquid.words import MAIN_DEX, SPOT, dex_of

#: Amounts are printed from doubles.
_RELATIVE = Decimal("1E-9")


def _is_of_main(state: OrderUpdate | PositionUpdate) -> bool:
    return dex_of(state.symbol) == ""


#: The perpetual exchange that a request or a topic is about; the main one is not named.
_dex_in = re.compile(r'"dex":"([^"]+)"|^clearinghouseState:(.+)$').search


def _is_of_dex(topic: str, position: PositionUpdate) -> bool:
    found = _dex_in(topic)
    return dex_of(position.symbol) == ((found[1] or found[2]) if found else MAIN_DEX)


def _is_spot(_topic: str, balance: AccountUpdate) -> bool:
    return balance.wallet == SPOT


COMPARABLE: tuple[Comparable, ...] = (
    Comparable(
        AccountUpdate,
        f'{INFO}{{"type":"spotClearinghouseState"',
        lambda _balance: "spotState",
        ("balance", "locked"),
        absent={"balance": "0"},
        covers=lambda balance: balance.wallet == SPOT,
        relative=_RELATIVE,
    ),
    Comparable(
        PositionUpdate,
        f'{INFO}{{"type":"clearinghouseState"',
        lambda _position: "allDexsClearinghouseState",
        ("quantity", "entry_price"),
        absent={"quantity": "0"},
        covers=_is_of_main,
        relative=_RELATIVE,
    ),
    Comparable(
        OrderUpdate,
        f'{INFO}{{"type":"frontendOpenOrders"',
        lambda _order: "orderUpdates",
        ("price", "quantity"),
        ("status",),
        absent={"status": ENDED},
        covers=_is_of_main,
        relative=_RELATIVE,
        alike={PENDING: NEW, PARTIALLY_FILLED: NEW},
    ),
    Comparable(
        OrderUpdate,
        f'{INFO}{{"type":"frontendOpenOrders"',
        lambda _order: "openOrders",
        ("filled_quantity",),
        covers=_is_of_main,
        relative=_RELATIVE,
    ),
)

#: States are whole: what one leaves out is zero.
LISTS: tuple[CompleteList, ...] = (
    CompleteList(POSITIONS, "allDexsClearinghouseState"),
    CompleteList(POSITIONS, "clearinghouseState", covers=_is_of_dex),
    CompleteList(POSITIONS, f'{INFO}{{"type":"clearinghouseState"', covers=_is_of_dex),
    CompleteList(BALANCES, "spotState", covers=_is_spot),
    CompleteList(BALANCES, f'{INFO}{{"type":"spotClearinghouseState"', covers=_is_spot),
)
