"""What of OKX's snapshot can be compared with its pushes. Pure.

Amounts are texts with all digits on both sides, and must be equal. Not compared: what moves with the market or is an
estimate, and what never changes. Lists leave out what is zero, and open orders are listed completely.
"""

from recorder.model import ENDED, PENDING, AccountUpdate, OrderUpdate, PositionUpdate
from recorder.venues.comparable import Comparable, complete_lists
from recorder.venues.expiry import expires_ms
from recorder.venues.okx.answers import BALANCE, OPEN_ALGOS, OPEN_ORDERS, POSITIONS
from recorder.venues.okx.words import ALGO_STATUSES, TRADING


def _is_plain(order: OrderUpdate) -> bool:
    """Whether it is no conditional order: those are listed elsewhere, by their types."""
    return order.status != PENDING and order.venue_status not in ALGO_STATUSES.keys() - {"live", "canceled"}


COMPARABLE: tuple[Comparable, ...] = (
    Comparable(
        AccountUpdate,
        BALANCE,
        lambda _balance: "account",
        ("balance", "locked"),
        absent={"balance": "0"},
        covers=lambda balance: balance.wallet == TRADING,
    ),
    Comparable(
        PositionUpdate,
        POSITIONS,
        lambda _position: "positions",
        ("quantity", "entry_price"),
        absent={"quantity": "0"},
        expires_ms=lambda position: expires_ms("".join(position.symbol.split("-")[2:3])),
    ),
    Comparable(
        OrderUpdate,
        OPEN_ORDERS,
        lambda _order: "orders",
        ("price", "quantity", "filled_quantity"),
        ("status",),
        absent={"status": ENDED},
        covers=_is_plain,
    ),
    Comparable(
        OrderUpdate,
        OPEN_ALGOS,
        lambda _order: "orders-algo",
        (),
        ("status",),
        absent={"status": ENDED},
        covers=lambda order: not _is_plain(order),
    ),
)

LISTS = complete_lists(COMPARABLE, "ccy=", "instId=")
