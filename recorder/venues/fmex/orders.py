"""The documented values of FMex's order fields: sides, types, statuses, flags. Source: `fmex/protocol.md`, "Orders"."""

from typing import Literal, get_args

from recorder.model import MAKER, TAKER, UNKNOWN

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

#: Statuses in which an order can still change, and all others.
OPEN: frozenset[OrderStatus] = frozenset(["PENDING", "PARTIAL_FILLED", "STOP_PENDING"])
FINAL: frozenset[str] = frozenset(get_args(OrderStatus)) - OPEN

#: Bits of `features`.
FILL_OR_KILL = 0x01
POST_ONLY = 0x02
HIDDEN = 0x04
IMMEDIATE_OR_CANCEL = 0x08
LIQUIDATION = 0x8000


def liquidity(features: int | None, order_type: str | None) -> str:
    """Whether an order can only be filled as `maker`, or only as `taker`; otherwise `unknown`.

    Pushes do not say which side was the maker; only REST does. A post-only order never takes. A market order never
    rests in the book, nor does one that is filled immediately or not at all. The liquidation flag decides nothing.
    """
    features = features or 0
    if features & POST_ONLY:
        return MAKER
    if features & (FILL_OR_KILL | IMMEDIATE_OR_CANCEL) or order_type == "MARKET":
        return TAKER
    return UNKNOWN
