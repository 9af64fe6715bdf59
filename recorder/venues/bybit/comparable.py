"""What of Bybit's snapshot can be compared with its pushes. Pure.

Amounts are texts with all digits on both sides, and must be equal. Not compared: what moves with the market or is an
estimate (mark price, margins, liquidation price, unrealized PnL), and what never changes. A wallet lists no coins of
which there is nothing, and a position list no flat ones; what is absent is zero.
"""

from recorder.model import ENDED, AccountUpdate, OrderUpdate, PositionUpdate
from recorder.venues.bybit.answers import BALANCES, OPEN_ORDERS, POSITIONS
from recorder.venues.bybit.words import INVERSE, LINEAR, OPTION, SPOT, UNIFIED, settle_coin
from recorder.venues.comparable import Comparable, complete_lists

#: Category and settle coin of each list of positions, as `questions` asks for them.
_LISTS = ((LINEAR, "USDT"), (LINEAR, "USDC"), (INVERSE, None), (OPTION, None))


def _is_in(state: OrderUpdate | PositionUpdate, category: str, coin: str | None) -> bool:
    if state.market != category:
        return False
    return coin is None or (state.symbol is not None and settle_coin(category, state.symbol) == coin)


def _query(path: str, category: str, coin: str | None) -> str:
    return f"{path}?category={category}&" + (f"settleCoin={coin}&" if coin else "")


def _positions(category: str, coin: str | None) -> Comparable:
    return Comparable(
        PositionUpdate,
        _query(POSITIONS, category, coin),
        lambda _position: "position",
        ("quantity", "entry_price"),
        absent={"quantity": "0"},
        covers=lambda position: _is_in(position, category, coin),
    )


def _orders(category: str, coin: str | None) -> Comparable:
    return Comparable(
        OrderUpdate,
        _query(OPEN_ORDERS, category, coin),
        lambda _order: "order",
        ("price", "quantity", "filled_quantity"),
        ("status",),
        absent={"status": ENDED},
        covers=lambda order: _is_in(order, category, coin),
    )


COMPARABLE: tuple[Comparable, ...] = (
    Comparable(
        AccountUpdate,
        BALANCES,
        lambda _balance: "wallet",
        ("balance", "locked"),
        absent={"balance": "0"},
        covers=lambda balance: balance.wallet == UNIFIED,
    ),
    *(_positions(*one) for one in _LISTS),
    *(_orders(*one) for one in (*_LISTS, (SPOT, None))),
)

LISTS = complete_lists(COMPARABLE, "symbol=", "cursor=")
