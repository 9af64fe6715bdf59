"""The documented values of FMex's order fields: sides, types, statuses, flags. Source: `fmex/protocol.md`, "Orders"."""

from typing import Literal

from recorder.model import (
    BUY,
    CANCELED,
    FILLED,
    FOK,
    GTC,
    IOC,
    LIMIT,
    MARKET,
    NEW,
    OPEN_STATUSES,
    PARTIALLY_FILLED,
    PENDING,
    REJECTED,
    SELL,
)

Direction = Literal["LONG", "SHORT"]

OrderType = Literal["LIMIT", "MARKET"]

OrderStatus = Literal[
    "PENDING",
    "PARTIAL_FILLED",
    "FULLY_FILLED",
    "PARTIAL_CANCELLED",
    "FULLY_CANCELLED",
    "STOP_PENDING",
    "STOP_FAILED",
    "STOP_CANCELLED",
]

#: FMex's words → those of all venues. Its orders and positions are one-way, so a direction is a side.
SIDES: dict[str | None, str] = {"LONG": BUY, "SHORT": SELL}
SHORT_SIDE = "SHORT"
ORDER_TYPES: dict[str | None, str] = {"LIMIT": LIMIT, "MARKET": MARKET}
STATUSES: dict[str | None, str] = {
    "PENDING": NEW,
    "PARTIAL_FILLED": PARTIALLY_FILLED,
    "FULLY_FILLED": FILLED,
    "PARTIAL_CANCELLED": CANCELED,
    "FULLY_CANCELLED": CANCELED,
    "STOP_PENDING": PENDING,
    "STOP_FAILED": REJECTED,
    "STOP_CANCELLED": CANCELED,
}

#: FMex's statuses in which an order can still change.
OPEN = frozenset(word for word, status in STATUSES.items() if status in OPEN_STATUSES)

#: Bits of `features`.
FILL_OR_KILL = 0x01
POST_ONLY = 0x02
HIDDEN = 0x04
IMMEDIATE_OR_CANCEL = 0x08
LIQUIDATION = 0x8000


def time_in_force(features: int | None) -> str | None:
    """What an order's flags say about how long it stays in the book; None if there are no flags."""
    if features is None:
        return None
    if features & FILL_OR_KILL:
        return FOK
    return IOC if features & IMMEDIATE_OR_CANCEL else GTC


def post_only(features: int | None) -> int | None:
    """Whether an order's flags say that it never takes; None if there are no flags."""
    return None if features is None else int(features & POST_ONLY != 0)
