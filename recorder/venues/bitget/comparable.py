"""What of Bitget's snapshot can be compared with its pushes. Pure.

Amounts are texts with all digits on both sides, and must be equal. Not compared: what moves with the market or is an
estimate, what never changes, and what is locked by orders, because placing one does not push the account. Lists leave
out what is zero, and open orders are listed completely, by product line.
"""

from recorder.model import ENDED, AccountUpdate, OrderUpdate, PositionUpdate
from recorder.venues.bitget.answers import ASSETS, OPEN_ORDERS, POSITIONS
from recorder.venues.bitget.words import CATEGORIES, FUTURES, UNIFIED
from recorder.venues.comparable import Comparable, complete_lists


def _positions(line: str) -> Comparable:
    return Comparable(
        PositionUpdate,
        f"{POSITIONS}?category={line.upper()}",
        lambda _position: "position",
        ("quantity", "entry_price"),
        absent={"quantity": "0"},
        covers=lambda position: position.market == line,
    )


def _orders(line: str) -> Comparable:
    return Comparable(
        OrderUpdate,
        f"{OPEN_ORDERS}?category={line.upper()}",
        lambda _order: "order",
        ("price", "quantity", "filled_quantity"),
        ("status",),
        absent={"status": ENDED},
        # Conditional orders are listed elsewhere, and have statuses of their own.
        covers=lambda order: order.market == line and order.filled_quantity is not None,
    )


COMPARABLE: tuple[Comparable, ...] = (
    Comparable(
        AccountUpdate,
        ASSETS,
        lambda _balance: "account",
        ("balance",),
        absent={"balance": "0"},
        covers=lambda balance: balance.wallet == UNIFIED,
    ),
    *map(_positions, FUTURES),
    *map(_orders, CATEGORIES),
)

LISTS = complete_lists(COMPARABLE, "coin=", "symbol=")
