"""What FMex's order flags say of an order. Source: `fmex/protocol.md`, "Orders"."""

from recorder.model import MAKER, TAKER, UNKNOWN

#: Bits of `features`.
FILL_OR_KILL = 0x01
POST_ONLY = 0x02
IMMEDIATE_OR_CANCEL = 0x08


def liquidity(features: int | None, order_type: str | None) -> str:
    """Whether an order can only ever be filled as `maker`, or as `taker`; otherwise `unknown`.

    Pushes do not tell who was the maker, only REST does. A post-only order never takes; a market order, and one that is
    filled at once or not at all, never stands. A liquidation's flag says nothing of it.
    """
    features = features or 0
    if features & POST_ONLY:
        return MAKER
    if features & (FILL_OR_KILL | IMMEDIATE_OR_CANCEL) or order_type == "MARKET":
        return TAKER
    return UNKNOWN
