"""Bitget's words in the words of all venues: sides, types, statuses, product lines. Source: bitget.com/docs/uta.

The same word comes in upper and lower case, by channel and by age of the interface; here it is compared in lower case.
"""

import re

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

#: Product lines (`category`), as records spell them; the same symbol can be in several. Requests have them in capitals.
SPOT, MARGIN = "spot", "margin"
USDT_FUTURES, COIN_FUTURES, USDC_FUTURES = "usdt-futures", "coin-futures", "usdc-futures"
FUTURES = (USDT_FUTURES, COIN_FUTURES, USDC_FUTURES)
CATEGORIES = (SPOT, MARGIN, *FUTURES)

#: The wallet of the private stream, which holds all product lines, and the one for deposits and withdrawals.
UNIFIED, FUNDING = "unified", "funding"

SIDES: dict[str | None, str] = {"buy": BUY, "sell": SELL}
POSITION_SIDES: dict[str | None, str] = {"long": LONG, "short": SHORT}
HEDGE_MODE = "hedge_mode"
LIQUIDITY: dict[str | None, str] = {"maker": MAKER, "taker": TAKER}
MARGIN_MODES: dict[str | None, str] = {"crossed": "cross", "isolated": "isolated"}
FLAGS: dict[str | None, int] = {"yes": 1, "no": 0}

ORDER_TYPES: dict[str | None, str] = {"limit": LIMIT, "market": MARKET}
#: `timeInForce` → time in force, and whether the order never takes.
TIMES_IN_FORCE: dict[str | None, tuple[str, int]] = {
    "gtc": (GTC, 0),
    "ioc": (IOC, 0),
    "fok": (FOK, 0),
    "post_only": (GTC, 1),
    "rpi": (GTC, 1),
}
STATUSES: dict[str | None, str] = {
    "init": NEW,
    "live": NEW,
    "new": NEW,
    "partially_filled": PARTIALLY_FILLED,
    "filled": FILLED,
    "canceled": CANCELED,
    "cancelled": CANCELED,
    "reject": REJECTED,
    "rejected": REJECTED,
}
#: Of a conditional order. One that has been triggered becomes another order, and is over.
STRATEGY_STATUSES: dict[str | None, str] = {
    "pending": PENDING,
    "submitting": PENDING,
    "success": EXPIRED,
    "failed": REJECTED,
    "cancelled": CANCELED,
    "canceled": CANCELED,
}

#: How `tradeSide` begins → the kind of a fill; any other is a trade.
_FILL_KINDS = {
    "reduce_": "liquidation",
    "burst_": "liquidation",
    "offset_": "liquidation",
    "dte_sys_adl_": "adl",
    "delivery_": "settlement",
}
#: What is in the name of a record's type → the type of a transaction; the first that is found counts.
_RECORD_TYPES = (
    ("SETTLE_FEE_USER", "funding"),
    ("REBASE", "other"),
    ("DELIVERY", "settlement"),
    ("BURST_", "liquidation"),
    ("FORCE_", "liquidation"),
    ("ADL_", "liquidation"),
    ("OFFSET_REDUCE", "liquidation"),
    ("OFFSET_IN_SSM", "trade"),
    ("LIQ_", "liquidation"),
    ("RISK_", "liquidation"),
    ("INTEREST", "interest"),
    ("PLF_FEE", "fee"),
    ("ORDER_DEALT", "trade"),
    ("OPEN_LONG", "trade"),
    ("OPEN_SHORT", "trade"),
    ("CLOSE_LONG", "trade"),
    ("CLOSE_SHORT", "trade"),
    ("BUY_DEAL", "trade"),
    ("SELL_DEAL", "trade"),
    ("EXCHANGE_", "conversion"),
    ("SMALL_ASSET", "conversion"),
    ("INS_LOAN", "other"),
    ("TRANSFER", "transfer"),
    ("PAPTRADING", "transfer"),
    ("DEPOSIT", "deposit"),
    ("WITHDRAW", "withdrawal"),
)

#: The end of a symbol of each futures line: `BTCUSDT`, `BTCUSDTZ26`; `BTCPERP`. All others are COIN-margined.
_DELIVERY = r"(?:[FGHJKMNQUVXZ]\d{2})?"
_is_usdt = re.compile(rf".+USDT{_DELIVERY}").fullmatch
_is_usdc = re.compile(rf".+(?:PERP|USDC{_DELIVERY})").fullmatch


def lower(word: str | None) -> str | None:
    """A word as it is compared here; an empty one is none."""
    return word.lower() if word else None


def fill_kind(trade_side: str | None) -> str:
    """The kind of a fill by its `tradeSide`."""
    side = trade_side or ""
    return next((kind for begin, kind in _FILL_KINDS.items() if side.startswith(begin)), "trade")


def record_type(name: str | None) -> str:
    """The type of a transaction by the `type` of a record."""
    upper = (name or "").upper()
    return next((kind for part, kind in _RECORD_TYPES if part in upper), "other")


def futures_line(symbol: str, margin_coin: str | None) -> str:
    """The product line of a position, which pushes leave out: by its symbol, else by its coin."""
    if _is_usdt(symbol):
        return USDT_FUTURES
    if _is_usdc(symbol):
        return USDC_FUTURES
    return {"USDT": USDT_FUTURES, "USDC": USDC_FUTURES}.get(margin_coin or "", COIN_FUTURES)


def kind_of(category: str | None) -> str | None:
    """The kind of an instrument."""
    if category in {SPOT, MARGIN}:
        return "spot"
    return {USDT_FUTURES: "linear", USDC_FUTURES: "linear", COIN_FUTURES: INVERSE}.get(category or "")


def settle_coin(category: str | None, base: str | None, quote: str | None) -> str | None:
    """The coin in which an instrument gains and loses."""
    coins = {SPOT: quote, MARGIN: quote, USDT_FUTURES: "USDT", USDC_FUTURES: "USDC", COIN_FUTURES: base}
    return coins.get(category or "")
