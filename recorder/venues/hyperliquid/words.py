"""Hyperliquid's words for sides, statuses, order types and times in force, in the words of all venues.

Source: hyperliquid.gitbook.io, "Info endpoint" and "WebSocket subscriptions". Hyperliquid adds statuses without notice.
"""

from recorder.model import BUY, CANCELED, FILLED, GTC, IOC, LIMIT, MARKET, NEW, REJECTED, SELL

SIDES = {"B": BUY, "A": SELL}

ORDER_TYPES = {
    "Limit": LIMIT,
    "Stop Limit": LIMIT,
    "Take Profit Limit": LIMIT,
    "Market": MARKET,
    "Stop Market": MARKET,
    "Take Profit Market": MARKET,
}

#: `Alo` ("add liquidity only") is post-only.
POST_ONLY = "Alo"
TIMES_IN_FORCE = {"Gtc": GTC, POST_ONLY: GTC, "Ioc": IOC, "FrontendMarket": IOC, "LiquidationMarket": IOC}

#: Alive: resting or waiting for its trigger; and triggered, about to be executed under the same id.
OPEN, TRIGGERED = "open", "triggered"
_STATUSES = {OPEN: NEW, TRIGGERED: NEW, "filled": FILLED, "canceled": CANCELED, "rejected": REJECTED}


def status_of(word: str | None) -> str | None:
    """The status of an order; None for a word that nobody knows yet, which may or may not be final."""
    if word is None or word in _STATUSES:
        return _STATUSES.get(word or "")
    if word.endswith("Rejected"):
        return REJECTED
    if word.endswith(("Canceled", "Cancel")):
        return CANCELED
    return None


#: The main perpetual exchange has no name; builder-deployed ones ("HIP-3") have one, which prefixes their symbols.
MAIN_DEX = ""
SPOT = "spot"
USDC = "USDC"


def dex_of(coin: str | None) -> str | None:
    """The perpetual exchange of a symbol: `xyz` of `xyz:TSLA`, empty for the main one."""
    return None if coin is None else coin.rpartition(":")[0]


def collateral_of(dex: str) -> str:
    """The currency of a perpetual exchange's amounts.

    Only the main one is known to be margined in USDC. No frame names another one's collateral, whose amounts the venue
    labels as USD (`totalRawUsd`).
    """
    return USDC if dex == MAIN_DEX else "USD"


def is_same_address(one: str | None, other: str | None) -> bool:
    """Whether two addresses are one, whatever the case of their letters."""
    return one is not None and other is not None and one.lower() == other.lower()
