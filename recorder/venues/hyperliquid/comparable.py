"""What of Hyperliquid's snapshot can be compared with its pushes. Pure.

Not compared: what moves with the market (margins, liquidation price, unrealized PnL, and with them a perpetual
exchange's balance, which is the account's value without them). States are whole, so what is absent is zero.
"""

from decimal import Decimal

from recorder.model import ENDED, AccountUpdate, OrderUpdate, PositionUpdate
from recorder.venues.comparable import Comparable
from recorder.venues.hyperliquid.rest import INFO
from recorder.venues.hyperliquid.words import SPOT, dex_of

#: Amounts are printed from doubles.
_RELATIVE = Decimal("1E-9")


def _is_of_main(state: OrderUpdate | PositionUpdate) -> bool:
    return dex_of(state.symbol) == ""


COMPARABLE: tuple[Comparable, ...] = (
    Comparable(
        AccountUpdate,
        f'{INFO}{{"type":"spotClearinghouseState"',
        lambda _balance: "spotState",
        ("balance", "locked"),
        absent={"balance": "0"},
        covers=lambda balance: balance.wallet == SPOT,
        relative=_RELATIVE,
    ),
    Comparable(
        PositionUpdate,
        f'{INFO}{{"type":"clearinghouseState"',
        lambda _position: "allDexsClearinghouseState",
        ("quantity", "entry_price"),
        absent={"quantity": "0"},
        covers=_is_of_main,
        relative=_RELATIVE,
    ),
    Comparable(
        OrderUpdate,
        f'{INFO}{{"type":"frontendOpenOrders"',
        lambda _order: "orderUpdates",
        ("price", "quantity", "filled_quantity"),
        ("status",),
        absent={"status": ENDED},
        covers=_is_of_main,
        relative=_RELATIVE,
    ),
)
