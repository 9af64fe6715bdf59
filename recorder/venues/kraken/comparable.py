"""What of Kraken's snapshot can be compared with its pushes. Pure.

Only spot: REST tells nothing of derivatives. Balances are what is owned, on both sides; what open orders hold is told
over REST only. Balances other than those of spot trading have other names over REST. Open orders are listed completely;
of those that wait for a trigger, a push does not always tell that they do.
"""

from recorder.model import ENDED, PENDING, POSITIONS, AccountUpdate, OrderUpdate
from recorder.venues.comparable import Comparable, CompleteList, complete_lists
from recorder.venues.kraken.answers import BALANCES, OPEN_ORDERS
from recorder.venues.kraken.decode import BALANCES as BALANCES_TOPIC
from recorder.venues.kraken.decode import EXECUTIONS
from recorder.venues.kraken.derivatives import POSITIONS as POSITIONS_TOPIC
from recorder.venues.kraken.derivatives import is_order_of_derivatives
from recorder.venues.kraken.names import MAIN


def _is_main(balance: AccountUpdate) -> bool:
    return balance.wallet == MAIN


def _is_triggered(order: OrderUpdate) -> bool:
    is_of_spot = not is_order_of_derivatives(order.order_id, order.symbol)
    return is_of_spot and order.status != PENDING and order.trigger_price is None


COMPARABLE: tuple[Comparable, ...] = (
    Comparable(
        AccountUpdate,
        f"POST {BALANCES}",
        lambda _balance: BALANCES_TOPIC,
        ("balance",),
        absent={"balance": "0"},
        covers=_is_main,
    ),
    Comparable(
        OrderUpdate,
        f"POST {OPEN_ORDERS}",
        lambda _order: EXECUTIONS,
        ("price", "quantity", "filled_quantity"),
        ("status",),
        absent={"status": ENDED},
        covers=_is_triggered,
    ),
)

#: Of positions, the snapshot that is pushed.
LISTS = (*complete_lists(COMPARABLE), CompleteList(POSITIONS, POSITIONS_TOPIC))
