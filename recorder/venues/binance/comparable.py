"""What of Binance's snapshot can be compared with its pushes. Pure.

Amounts are decimals of the same value on both sides. Not compared: what moves with the market, and what pushes do not
have, such as the free part of a balance. Balances and open orders are listed completely; positions that are flat are
left out.
"""

from decimal import Decimal

from recorder.model import ENDED, AccountUpdate, OrderUpdate, PositionUpdate
from recorder.venues.binance.answers import BALANCES, OPEN_ALGOS, OPEN_ORDERS, POSITIONS, path_of
from recorder.venues.binance.words import ALGO, COIN_M, USD_M
from recorder.venues.comparable import Comparable, complete_lists

#: Averages may be rounded to different numbers of digits.
_AVERAGE = Decimal("1E-6")


def _is_algo(order: OrderUpdate) -> bool:
    return order.order_id.startswith(ALGO)


def _of(product: str) -> tuple[Comparable, ...]:
    balances, positions, orders, algos = (
        path_of(one, product) for one in (BALANCES, POSITIONS, OPEN_ORDERS, OPEN_ALGOS)
    )
    return (
        Comparable(AccountUpdate, balances, lambda _one: "ACCOUNT_UPDATE", ("balance",), absent={"balance": "0"}),
        Comparable(PositionUpdate, positions, lambda _one: "ACCOUNT_UPDATE", ("quantity",), absent={"quantity": "0"}),
        Comparable(PositionUpdate, positions, lambda _one: "ACCOUNT_UPDATE", ("entry_price",), relative=_AVERAGE),
        Comparable(
            OrderUpdate,
            orders,
            lambda _one: "ORDER_TRADE_UPDATE",
            ("price", "quantity", "filled_quantity"),
            ("status",),
            absent={"status": ENDED},
            covers=lambda order: not _is_algo(order),
        ),
        Comparable(
            OrderUpdate,
            algos,
            lambda _one: "ALGO_UPDATE",
            ("trigger_price", "quantity"),
            ("status",),
            absent={"status": ENDED},
            covers=_is_algo,
        ),
    )


COMPARABLE: tuple[Comparable, ...] = (*_of(USD_M), *_of(COIN_M))

LISTS = complete_lists(COMPARABLE, "symbol=", "pair=")
