"""What of Binance spot's snapshot can be compared with its pushes. Pure.

Amounts are texts with all digits on both sides, and must be equal. The snapshot leaves out balances of zero, and lists
open orders completely.
"""

from recorder.model import ENDED, AccountUpdate, OrderUpdate
from recorder.venues.binance_spot.answers import ACCOUNT, OPEN_ORDERS
from recorder.venues.comparable import Comparable, complete_lists

COMPARABLE: tuple[Comparable, ...] = (
    Comparable(
        AccountUpdate,
        ACCOUNT,
        lambda _balance: "outboundAccountPosition",
        ("balance", "available", "locked"),
        absent={"balance": "0"},
    ),
    Comparable(
        OrderUpdate,
        OPEN_ORDERS,
        lambda _order: "executionReport",
        ("price", "trigger_price", "quantity", "filled_quantity"),
        ("status",),
        absent={"status": ENDED},
    ),
)

LISTS = complete_lists(COMPARABLE, "symbol=")
