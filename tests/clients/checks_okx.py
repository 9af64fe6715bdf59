"""What a typed row of OKX says, beside what ccxt understood of the same part of the same frame."""

from collections import Counter
from decimal import Decimal
from typing import Any

from tests.clients.listening import number

#: Our statuses of orders in ccxt's words.
STATUSES = {"new": "open", "partially_filled": "open", "filled": "closed", "canceled": "canceled"}


def check_order(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare an order."""
    # ccxt names an order after the conditional order that placed it.
    assert theirs["id"] == (theirs["info"]["algoId"] or ours.order_id)
    if theirs["id"] != ours.order_id:
        counts["differ: id of orders that a trigger placed"] += 1
    assert (theirs["info"]["ordId"], theirs["clientOrderId"]) == (ours.order_id, ours.client_order_id)
    assert (theirs["side"], theirs["type"]) == (ours.side, ours.order_type)
    assert theirs["status"] == STATUSES[ours.status]
    assert (theirs["timestamp"], theirs["lastUpdateTimestamp"]) == (ours.created_ms, ours.updated_ms)
    if ours.price is None:
        # ccxt makes up the price of a market order from its average.
        assert number(theirs["price"]) == number(ours.average_price)
        counts["differ: price of market orders"] += 1
    else:
        assert number(theirs["price"]) == number(ours.price)
    assert number(theirs["amount"]) == number(ours.quantity)
    assert number(theirs["filled"]) == number(ours.filled_quantity)
    assert number(theirs["average"]) == number(ours.average_price)
    counts["agree"] += 1


def check_fill(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare a fill."""
    assert (theirs["id"], theirs["info"]["ordId"]) == (ours.trade_id, ours.order_id)
    assert (theirs["side"], theirs["takerOrMaker"]) == (ours.side, ours.liquidity)
    assert theirs["timestamp"] == ours.executed_ms
    assert (number(theirs["price"]), number(theirs["amount"])) == (number(ours.price), number(ours.quantity))
    # Of pushes, ccxt keeps the exchange's sign: what was paid is negative.
    assert (number(theirs["fee"]["cost"]), theirs["fee"]["currency"]) == (-Decimal(ours.fee), ours.fee_currency)
    counts["differ: sign of fees"] += 1


def check_position(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare a position."""
    assert number(theirs["contracts"]) == abs(Decimal(ours.quantity))
    assert number(theirs["entryPrice"]) == number(ours.entry_price)
    counts["agree"] += 1


def check_balance(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare a balance."""
    assert number(theirs["free"]) == number(ours.available)
    counts["agree"] += 1


#: Table → how a row is compared with what ccxt understood.
CHECKS = {
    "order_updates": check_order,
    "fills": check_fill,
    "position_updates": check_position,
    "account_updates": check_balance,
}
