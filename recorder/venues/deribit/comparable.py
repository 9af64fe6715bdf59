"""What of Deribit's snapshot can be compared with its pushes. Pure.

Amounts are numbers with all digits on both sides, and must be equal. Not compared: what moves with the market. All
open orders are listed, and all open positions, together with those that were closed since the last settlement.
"""

from recorder.model import ENDED, AccountUpdate, OrderUpdate, PositionUpdate
from recorder.venues.comparable import Comparable, complete_lists
from recorder.venues.deribit.answers import BALANCES, OPEN_ORDERS, POSITIONS
from recorder.venues.deribit.portal import CHANGES, PORTFOLIO
from recorder.venues.deribit.symbols import expires_ms

COMPARABLE: tuple[Comparable, ...] = (
    Comparable(AccountUpdate, BALANCES, lambda _balance: PORTFOLIO, ("balance", "locked")),
    Comparable(
        PositionUpdate,
        POSITIONS,
        lambda _position: CHANGES,
        ("quantity",),
        absent={"quantity": "0"},
        expires_ms=lambda position: expires_ms(position.symbol),
    ),
    Comparable(
        OrderUpdate,
        OPEN_ORDERS,
        lambda _order: CHANGES,
        ("price", "quantity", "filled_quantity"),
        ("status",),
        absent={"status": ENDED},
    ),
)

LISTS = complete_lists(COMPARABLE)
