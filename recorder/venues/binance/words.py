"""Binance's words in the words of all venues: sides, types, statuses, kinds of income.

Source: developers.binance.com, "USDⓈ-M Futures" and "COIN-M Futures", "Common Definition" and the pages of the streams.
"""

from recorder.model import (
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    GTD,
    INVERSE,
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

#: The two products. Each has hosts and paths of its own, and an account has a wallet in each.
USD_M, COIN_M = "usd-m", "coin-m"

#: What the exchange says when a listen key is no longer valid, for people.
KEY_EXPIRED = "the listen key has expired"

SIDES: dict[str | None, str] = {"BUY": BUY, "SELL": SELL}
#: `ps`, `positionSide`; `BOTH` is one-way mode.
POSITION_SIDES: dict[str | None, str] = {"LONG": LONG, "SHORT": SHORT}

#: `o`, `type` → how an order is executed, once it was triggered. Of a liquidation it is not documented.
ORDER_TYPES: dict[str | None, str] = {
    "LIMIT": LIMIT,
    "STOP": LIMIT,
    "TAKE_PROFIT": LIMIT,
    "MARKET": MARKET,
    "STOP_MARKET": MARKET,
    "TAKE_PROFIT_MARKET": MARKET,
    "TRAILING_STOP_MARKET": MARKET,
}
TRAILING = "TRAILING_STOP_MARKET"

#: `f`, `timeInForce` → time in force, and whether the order never takes.
TIMES_IN_FORCE: dict[str | None, tuple[str, int]] = {
    "GTC": (GTC, 0),
    "IOC": (IOC, 0),
    "FOK": (FOK, 0),
    "GTX": (GTC, 1),
    "GTD": (GTD, 0),
    "GTE_GTC": (GTC, 0),
    "RPI": (GTC, 1),
}
STATUSES: dict[str | None, str] = {
    "NEW": NEW,
    "PARTIALLY_FILLED": PARTIALLY_FILLED,
    "FILLED": FILLED,
    "CANCELED": CANCELED,
    "EXPIRED": EXPIRED,
    "EXPIRED_IN_MATCH": EXPIRED,
    "REJECTED": REJECTED,
}
#: Of a conditional order. One that has been triggered becomes another order, and is over.
ALGO_STATUSES: dict[str | None, str] = {
    "NEW": PENDING,
    "TRIGGERING": PENDING,
    "TRIGGERED": EXPIRED,
    "FINISHED": EXPIRED,
    "CANCELED": CANCELED,
    "REJECTED": REJECTED,
    "EXPIRED": EXPIRED,
}
#: Conditional orders have numbers of their own, which an ordinary order can have, too.
ALGO = "algo-"

#: Beginning of the client order id of an order that the exchange placed → the kind of its fills.
_AUTOMATIC = (
    ("adl_autoclose", "adl"),
    ("settlement_autoclose-", "settlement"),
    ("delivery_autoclose-", "settlement"),
    ("autoclose-", "liquidation"),
)
#: `x` of a push that tells an execution; the second one is the exchange's own.
TRADE, CALCULATED = "TRADE", "CALCULATED"

MARGIN_MODES: dict[str, str] = {"cross": "cross", "crossed": "cross", "isolated": "isolated"}

#: `incomeType` → the type of a transaction; any other is `other`.
INCOME_TYPES: dict[str | None, str] = {
    "REALIZED_PNL": "trade",
    "COMMISSION": "fee",
    "FUNDING_FEE": "funding",
    "SPECIAL_FUNDING_FEE": "funding",
    "INSURANCE_CLEAR": "liquidation",
    "DELIVERED_SETTELMENT": "settlement",
    "AUTO_EXCHANGE": "conversion",
    **dict.fromkeys(
        (
            "TRANSFER",
            "INTERNAL_TRANSFER",
            "CROSS_COLLATERAL_TRANSFER",
            "COIN_SWAP_DEPOSIT",
            "COIN_SWAP_WITHDRAW",
            "STRATEGY_UMFUTURES_TRANSFER",
        ),
        "transfer",
    ),
    **dict.fromkeys(("COMMISSION_REBATE", "REFERRAL_KICKBACK", "API_REBATE", "FEE_RETURN"), "rebate"),
    **dict.fromkeys(
        (
            "WELCOME_BONUS",
            "CONTEST_REWARD",
            "BFUSD_REWARD",
            "POSITION_LIMIT_INCREASE_FEE",
            "OPTIONS_PREMIUM_FEE",
            "OPTIONS_SETTLE_PROFIT",
        ),
        "other",
    ),
}

#: Quote currencies of USD-M contracts: symbols end with one.
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "USD1", "USDE", "BTC")


def fill_kind(execution: str | None, client_order_id: str | None) -> str | None:
    """The kind of an execution: by who placed the order. Over REST, only the order says it.

    Args:
        execution: `x` of the push.
        client_order_id: of the order.
    """
    for beginning, kind in _AUTOMATIC:
        if client_order_id is not None and client_order_id.startswith(beginning):
            return kind
    return {TRADE: "trade", CALCULATED: "liquidation"}.get(execution or "")


def product_of(environment: str) -> str:
    """The product that an environment serves."""
    return COIN_M if environment.startswith(COIN_M) else USD_M


def parts_of(symbol: str) -> tuple[str, str | None, str]:
    """Base, quote and kind of a contract, by the rules for names: `BTCUSDT`, `BTCUSDT_261225`, `BTCUSD_PERP`."""
    pair, _, ends = symbol.partition("_")
    if ends and pair.endswith("USD"):
        return pair.removesuffix("USD"), "USD", INVERSE
    quote = next((one for one in _QUOTES if pair.endswith(one) and pair != one), None)
    return pair.removesuffix(quote or ""), quote, "linear"
