"""What a typed row of Kraken says, beside what ccxt reads in the same event of the same frame."""

from collections import Counter
from typing import Any

from tests.clients.listening import number

#: Our statuses of orders in ccxt's words.
STATUSES = {
    "pending": "open",
    "new": "open",
    "partially_filled": "open",
    "filled": "closed",
    "canceled": "canceled",
    None: "open",
}


def read(client: Any, events: Any) -> list[Any]:
    """What ccxt reads in the events of a frame. It merges only those that name a symbol with the ones before."""
    found = []
    for event in events:
        is_trade = event["exec_type"] == "trade"
        found += [] if is_trade and "cum_qty" not in event else [client.parse_ws_order(event)]
        found += [client.parse_ws_trade(event)] if is_trade else []
    return found


def check_order(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare an event of an order."""
    assert (theirs["id"], theirs["symbol"], theirs["side"]) == (ours.order_id, ours.symbol, ours.side)
    if theirs["status"] != STATUSES[ours.status]:
        # ccxt has no word for `partially_filled`, and gives the exchange's.
        assert (theirs["status"], ours.status) == ("partially_filled", "partially_filled")
        counts["differ: status of orders that were filled in part"] += 1
    assert theirs["timestamp"] == ours.updated_ms
    if number(theirs["average"]) != number(ours.average_price):
        # ccxt reads numbers as floats.
        assert theirs["info"]["avg_price"] == float(ours.average_price)
        counts["differ: digits of the average"] += 1
    if ours.quantity is None:
        # Where an event does not tell the quantity, ccxt takes what was filled for it.
        assert float(theirs["amount"] or 0) == float(ours.filled_quantity or 0)
        counts["differ: quantity of events without it"] += 1
    else:
        assert number(theirs["amount"]) == number(ours.quantity)
    if ours.price is not None:
        assert number(theirs["price"]) == number(ours.price)
    if ours.trigger_price is not None and theirs["triggerPrice"] is not None:
        assert number(theirs["triggerPrice"]) == number(ours.trigger_price)
    counts["agree"] += 1


def check_fill(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare a fill."""
    assert (theirs["id"], theirs["order"], theirs["symbol"]) == (ours.trade_id, ours.order_id, ours.symbol)
    assert (theirs["side"], theirs["takerOrMaker"]) == (ours.side, ours.liquidity)
    assert theirs["timestamp"] == ours.executed_ms
    assert (number(theirs["price"]), number(theirs["amount"])) == (number(ours.price), number(ours.quantity))
    assert (number(theirs["fee"]["cost"]), theirs["fee"]["currency"]) == (number(ours.fee), ours.fee_currency)
    counts["agree"] += 1


def check_balance(ours: Any, theirs: Any, counts: Counter[str]) -> None:
    """Compare a balance."""
    assert number(theirs["total"]) == number(ours.balance)
    counts["agree"] += 1


#: Table → how a row is compared with what ccxt understood.
CHECKS = {"order_updates": check_order, "fills": check_fill, "account_updates": check_balance}
