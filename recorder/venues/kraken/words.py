"""Kraken's words in the words of all venues: sides, types, statuses.

Source: docs.kraken.com, "Executions", "Get Open Orders", "Get Ledgers Info".
"""

from recorder.model import (
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    GTD,
    IOC,
    LIMIT,
    MAKER,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    PENDING,
    SELL,
    TAKER,
)

SIDES: dict[str | None, str] = {"buy": BUY, "sell": SELL}
LIQUIDITY: dict[str | None, str] = {"m": MAKER, "t": TAKER}
TIMES_IN_FORCE: dict[str | None, str] = {"GTC": GTC, "GTD": GTD, "IOC": IOC, "FOK": FOK}

#: How an order is executed, once it was triggered if it has a trigger.
ORDER_TYPES: dict[str | None, str] = {
    "limit": LIMIT,
    "iceberg": LIMIT,
    "market": MARKET,
    "settle-position": MARKET,
    "stop-loss": MARKET,
    "take-profit": MARKET,
    "trailing-stop": MARKET,
    "stop-loss-limit": LIMIT,
    "take-profit-limit": LIMIT,
    "trailing-stop-limit": LIMIT,
}
#: Those that wait for a trigger. They keep their ids when it is reached.
TRIGGERED_TYPES = frozenset(name for name in ORDER_TYPES if name and name.startswith(("stop", "take", "trailing")))

#: `order_status` of a push.
STATUSES: dict[str | None, str] = {
    "pending_new": NEW,
    "new": NEW,
    "partially_filled": PARTIALLY_FILLED,
    "filled": FILLED,
    "canceled": CANCELED,
    "expired": EXPIRED,
}
#: `status` of an answer.
REST_STATUSES: dict[str | None, str] = {
    "pending": NEW,
    "open": NEW,
    "closed": FILLED,
    "canceled": CANCELED,
    "expired": EXPIRED,
}
#: `triggers.status` of a push.
TRIGGERS: dict[str | None, str] = {"untriggered": PENDING, "triggered": NEW}

#: `type` of an entry of the ledger → the type of a transaction; any other is `other`. What a margin position pays for
#: its time is interest.
LEDGER_TYPES: dict[str | None, str] = {
    "deposit": "deposit",
    "withdrawal": "withdrawal",
    "trade": "trade",
    "margin": "trade",
    "settled": "settlement",
    "rollover": "interest",
    "transfer": "transfer",
    "custodytransfer": "transfer",
    "conversion": "conversion",
    "spend": "conversion",
    "receive": "conversion",
}
#: Entries whose reference is the id of a trade.
OF_TRADES = frozenset(["trade", "margin", "settled"])
