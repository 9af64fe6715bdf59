"""OKX's words in the words of all venues: sides, types, statuses. Source: okx.com/docs-v5."""

from recorder.model import (
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    INVERSE,
    IOC,
    LIMIT,
    LONG,
    MAKER,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    PENDING,
    REJECTED,
    SELL,
    SHORT,
    TAKER,
)

#: Product lines (`instType`). An instrument's id says its own, but for margin trading, which uses the ids of spot.
SPOT, MARGIN, SWAP, FUTURES, OPTION = "SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION"
#: Prediction markets: `BTC-ABOVE-DAILY-260224-1600-65000`.
EVENTS = "EVENTS"

SIDES: dict[str | None, str] = {"buy": BUY, "sell": SELL}
#: `posSide`; `net` is one-way mode, and spot has none.
POSITION_SIDES: dict[str | None, str] = {"long": LONG, "short": SHORT}
LIQUIDITY: dict[str | None, str] = {"M": MAKER, "T": TAKER}

#: `ordType` → order type, time in force, and whether the order never takes. There is no separate time in force.
ORDER_TYPES: dict[str | None, tuple[str, str | None, int]] = {
    "market": (MARKET, None, 0),
    "limit": (LIMIT, GTC, 0),
    "post_only": (LIMIT, GTC, 1),
    "fok": (LIMIT, FOK, 0),
    "ioc": (LIMIT, IOC, 0),
    "optimal_limit_ioc": (MARKET, IOC, 0),
    "mmp": (LIMIT, GTC, 0),
    "mmp_and_post_only": (LIMIT, GTC, 1),
    "op_fok": (LIMIT, FOK, 0),
    "elp": (LIMIT, GTC, 1),
    "rpi": (LIMIT, GTC, 1),
}
STATUSES: dict[str | None, str] = {
    "live": NEW,
    "partially_filled": PARTIALLY_FILLED,
    "filled": FILLED,
    "canceled": CANCELED,
    "mmp_canceled": CANCELED,
}
#: Of a conditional order. One that has been triggered becomes other orders, and is over.
ALGO_STATUSES: dict[str | None, str] = {
    "live": PENDING,
    "pause": PENDING,
    "partially_effective": PENDING,
    "effective": EXPIRED,
    "canceled": CANCELED,
    "order_failed": REJECTED,
    "partially_failed": REJECTED,
}
#: A conditional order's price that says: at the market.
AT_MARKET = "-1"

#: `category` of an order → the kind of its fills.
FILL_KINDS: dict[str | None, str] = {
    "normal": "trade",
    "twap": "trade",
    "ddh": "trade",
    "auto_conversion": "trade",
    "full_liquidation": "liquidation",
    "partial_liquidation": "liquidation",
    "adl": "adl",
    "delivery": "settlement",
}
#: `subType` of a fill over REST, where it is no ordinary trade → its kind.
FILL_SUBTYPES: dict[str | None, str] = {
    **dict.fromkeys(("100", "101", "102", "103", "104", "105", "106", "107", "110", "111"), "liquidation"),
    **dict.fromkeys(("125", "126", "127", "128"), "adl"),
    **dict.fromkeys(("112", "113", "117", "170", "171", "172"), "settlement"),
}

#: `type` of a bill → the type of a transaction; any other is `other`.
BILL_TYPES: dict[str | None, str] = {
    "1": "transfer",
    "2": "trade",
    "3": "settlement",
    "5": "liquidation",
    "6": "transfer",
    "7": "interest",
    "8": "funding",
    "9": "liquidation",
    "10": "liquidation",
    "11": "conversion",
    "12": "transfer",
    "14": "trade",
    "24": "trade",
    "27": "conversion",
    "28": "conversion",
    "29": "conversion",
    "34": "settlement",
}

#: `mgnMode` of a position with money of its own: a bill moves it there and back, together with fee and PnL.
ISOLATED = "isolated"

#: The wallet of the private stream, which holds all instruments. Deposits and withdrawals move the other one.
TRADING, FUNDING = "trading", "funding"


def inst_type(symbol: str) -> str:
    """The product line of an instrument, by the rules for its id: `BTC-USDT-SWAP`, `BTC-USD-241217-92000-C`."""
    parts = symbol.split("-")
    if parts[-1] == SWAP:
        return SWAP
    if len(parts) == 5 and parts[-1] in {"C", "P"}:
        return OPTION
    if len(parts) == 3 and parts[-1].isdigit():
        return FUTURES
    return SPOT if len(parts) <= 2 else EVENTS


def kind_of(line: str | None, contract: str | None) -> str | None:
    """The kind of an instrument by `instType` and `ctType`."""
    if line in {SPOT, MARGIN}:
        return "spot"
    if line == OPTION:
        return "option"
    return {"linear": "linear", "inverse": INVERSE}.get(contract or "")
