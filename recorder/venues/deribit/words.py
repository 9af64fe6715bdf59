"""Deribit's words in the words of all venues: sides, types, statuses. Source: docs.deribit.com."""

from recorder.model import (
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    GTD,
    IOC,
    LIMIT,
    MAKER,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    PENDING,
    REJECTED,
    SELL,
    TAKER,
    Digits,
)
from recorder.venues.values import unless_zero

SIDES: dict[str | None, str] = {"buy": BUY, "sell": SELL}
LIQUIDITY: dict[str | None, str] = {"M": MAKER, "T": TAKER}

#: `order_type` → how it is executed, once it was triggered if it has a trigger.
ORDER_TYPES: dict[str | None, str] = {
    "limit": LIMIT,
    "market": MARKET,
    "stop_limit": LIMIT,
    "stop_market": MARKET,
    "take_limit": LIMIT,
    "take_market": MARKET,
    "trailing_stop": MARKET,
}
TIMES_IN_FORCE: dict[str | None, str] = {
    "good_til_cancelled": GTC,
    "good_til_day": GTD,
    "fill_or_kill": FOK,
    "immediate_or_cancel": IOC,
}
#: `order_state`, except `open`. A triggered order is over: another order, with an id of its own, takes its place.
STATUSES: dict[str, str] = {
    "filled": FILLED,
    "rejected": REJECTED,
    "cancelled": CANCELED,
    "untriggered": PENDING,
    "triggered": EXPIRED,
}
#: The price of an order that is executed at the market.
AT_MARKET = "market_price"

#: `type` of an entry of the transaction log → the type of a transaction; any other is `other`. New ones come without
#: notice.
LOG_TYPES: dict[str | None, str] = {
    "trade": "trade",
    "settlement": "settlement",
    "delivery": "settlement",
    "deposit": "deposit",
    "withdrawal": "withdrawal",
    "transfer": "transfer",
    "swap": "conversion",
}


def status(state: str | None, filled: Digits | None) -> str | None:
    """The status of an order. `open` with a filled amount is partially filled; `rejected:why` is rejected."""
    if state == "open":
        return NEW if unless_zero(filled) is None else PARTIALLY_FILLED
    return STATUSES.get((state or "").partition(":")[0])


def fill_kind(liquidity: str | None, liquidation: str | None, order_type: str | None) -> str:
    """The kind of a fill. `liquidation` names whose side was liquidated: `M`, `T` or `MT`; maybe not the account's."""
    is_own = bool(liquidity) and (liquidity or "") in (liquidation or "")
    return "liquidation" if is_own or order_type == "liquidation" else "trade"
