"""Binance spot's words in the words of all venues: sides, types, statuses.

Source: developers.binance.com/docs/binance-spot-api-docs, "Enums".
"""

from recorder.model import (
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    IOC,
    LIMIT,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    PENDING,
    REJECTED,
    SELL,
)

SIDES: dict[str | None, str] = {"BUY": BUY, "SELL": SELL}
TIMES_IN_FORCE: dict[str | None, str] = {"GTC": GTC, "IOC": IOC, "FOK": FOK}

#: The type of an order that never takes.
LIMIT_MAKER = "LIMIT_MAKER"
ORDER_TYPES: dict[str | None, str] = {
    "LIMIT": LIMIT,
    "MARKET": MARKET,
    LIMIT_MAKER: LIMIT,
    "STOP_LOSS": MARKET,
    "STOP_LOSS_LIMIT": LIMIT,
    "TAKE_PROFIT": MARKET,
    "TAKE_PROFIT_LIMIT": LIMIT,
}
#: Types that wait for a trigger. Such an order keeps its id: it is on the book once it is triggered.
CONDITIONAL = frozenset(["STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"])

STATUSES: dict[str | None, str] = {
    # Waits for another order of its list.
    "PENDING_NEW": PENDING,
    "NEW": NEW,
    "PARTIALLY_FILLED": PARTIALLY_FILLED,
    "FILLED": FILLED,
    "CANCELED": CANCELED,
    "REJECTED": REJECTED,
    "EXPIRED": EXPIRED,
    # By the prevention of trades with oneself.
    "EXPIRED_IN_MATCH": EXPIRED,
}

#: `x` of an order's push: what happened.
TRADE, CANCELLATION = "TRADE", "CANCELED"
#: What stands where there is no reason, and no trade.
NO_REASON, NO_TRADE = "NONE", "-1"
