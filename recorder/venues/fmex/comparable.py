"""What of FMex's snapshot can be compared with its pushes. Pure.

Fields that change without a push are not compared: of a position `liquidation_price`, `leverage` and `realized_pnl`; of
an order its trigger, which follows the market, and what never changes. Each list is complete.
"""

from decimal import Decimal
from functools import partial

from recorder.model import ENDED, AccountUpdate, OrderUpdate, PositionUpdate
from recorder.venues.comparable import Comparable, complete_lists
from recorder.venues.fmex import rest

#: Pushes carry doubles, some cut to 18 decimals, and REST may carry more digits of the same number. A double of 15
#: digits is off by at most 5E-15 of its value.
_comparable = partial(Comparable, relative=Decimal("1E-14"), absolute=Decimal("1E-18"))

COMPARABLE: tuple[Comparable, ...] = (
    _comparable(
        AccountUpdate,
        rest.ACCOUNTS,
        lambda _balance: "account",
        ("available", "locked", "position_margin"),
        absent={"available": "0", "locked": "0", "position_margin": "0"},
    ),
    _comparable(
        PositionUpdate,
        rest.POSITIONS,
        lambda position: f"position.{position.symbol.lower()}",
        ("quantity", "entry_price", "margin"),
        absent={"quantity": "0"},
    ),
    _comparable(
        OrderUpdate,
        rest.OPEN_ORDERS,
        lambda order: None if order.symbol is None else f"order.{order.symbol.lower()}",
        ("quantity", "price", "filled_quantity", "average_price", "fee"),
        ("status",),
        absent={"status": ENDED},
    ),
)

LISTS = complete_lists(COMPARABLE)
