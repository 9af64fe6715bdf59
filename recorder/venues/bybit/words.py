"""Bybit's words in the words of all venues: sides, types, statuses. Source: API v5, the page "Enums Definitions"."""

from recorder.model import (
    BUY,
    CANCELED,
    FILLED,
    FOK,
    GTC,
    IOC,
    LIMIT,
    LONG,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    PENDING,
    REJECTED,
    SELL,
    SHORT,
)

#: Product lines (`category`): what `market` says. One symbol, such as `BTCUSDT`, can be of two of them.
SPOT, LINEAR, INVERSE, OPTION = "spot", "linear", "inverse", "option"

SIDES: dict[str | None, str] = {"Buy": BUY, "Sell": SELL}
#: Of a position: flat ones have an empty side.
SHORT_SIDE = "Sell"
#: `positionIdx`; 0 is one-way mode.
POSITION_SIDES: dict[int | None, str] = {1: LONG, 2: SHORT}

ORDER_TYPES: dict[str | None, str] = {"Limit": LIMIT, "Market": MARKET}
#: `timeInForce` → time in force, and whether the order never takes. `RPI` is a maker-only order as well.
TIMES_IN_FORCE: dict[str | None, tuple[str, int]] = {
    "GTC": (GTC, 0),
    "IOC": (IOC, 0),
    "FOK": (FOK, 0),
    "PostOnly": (GTC, 1),
    "RPI": (GTC, 1),
}
#: A conditional order keeps its id when it is triggered, so it becomes `new`.
STATUSES: dict[str | None, str] = {
    "Untriggered": PENDING,
    "Triggered": NEW,
    "New": NEW,
    "PartiallyFilled": PARTIALLY_FILLED,
    "Filled": FILLED,
    "Cancelled": CANCELED,
    "PartiallyFilledCanceled": CANCELED,
    "Deactivated": CANCELED,
    "Rejected": REJECTED,
}
#: Reasons that give none, and the one of every order cancelled on request, where `cancelType` says who requested it.
NO_REASONS = frozenset([None, "", "EC_NoError", "UNKNOWN"])
CANCELED_ON_REQUEST = "EC_PerCancelRequest"

#: Ids that say that there is none.
NO_IDS = frozenset([None, "", "0", "-1"])

#: `execType` → the kind of a fill. Other types have none.
FILL_KINDS: dict[str | None, str] = {
    "Trade": "trade",
    "BlockTrade": "trade",
    "MovePosition": "trade",
    "FutureSpread": "trade",
    "BustTrade": "liquidation",
    "AdlTrade": "adl",
    "Delivery": "settlement",
    "Settle": "settlement",
}
#: An execution that is a payment of funding; its quantity and price are those of the position.
FUNDING = "Funding"

#: `type` of the transaction log → the type of a transaction; any other is `other`.
TRANSACTION_TYPES: dict[str | None, str] = {
    "TRADE": "trade",
    "SETTLEMENT": "funding",
    "DELIVERY": "settlement",
    "LIQUIDATION": "liquidation",
    "ADL": "liquidation",
    "TRANSFER_IN": "transfer",
    "TRANSFER_OUT": "transfer",
    "INTEREST": "interest",
    "FEE_REFUND": "rebate",
    "CONVERT": "conversion",
    "CURRENCY_BUY": "conversion",
    "CURRENCY_SELL": "conversion",
}
#: Funding and, for USDC contracts, the result of the session, in one row of the log.
SETTLEMENT = "SETTLEMENT"

#: The wallet of a unified account; a push may leave it out. The other one is `FUND`, which is not pushed.
UNIFIED = "UNIFIED"
FUND = "FUND"
#: The wallets of derivatives before an account was upgraded to a unified one: that of USDC contracts and options, and
#: that of all others.
OLD_USDC, OLD_CONTRACTS = "OPTION", "CONTRACT"


def settle_coin(category: str | None, symbol: str) -> str | None:
    """The coin in which a contract is settled, by the rules for its name; None if the name does not tell."""
    name, _, rest = symbol.partition("-")
    if category == OPTION:
        # BTC-26JUN26-89000-P-USDT, and without a last part USDC
        last = rest.rpartition("-")[2]
        return "USDC" if last in {"C", "P"} else last or None
    if category == LINEAR:
        if name.endswith("USDT"):
            return "USDT"
        return "USDC" if rest or name.endswith("PERP") else None
    if category == INVERSE:
        # BTCUSD, or BTCUSDH26: the month's letter and the year
        base, dollars, month = name.partition("USD")
        return base if base and dollars and len(month) in {0, 3} else None
    return None
