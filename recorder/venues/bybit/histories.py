"""Which histories Bybit has: their lists, and for how long each is kept. Pure.

Fully cancelled orders are remembered for 24 hours, those of demo trading for a week, everything else for two years.
Executions of options are those of one base coin, BTC if none is named; no other history has such a default. What was
before an account became a unified one has lists of its own.
Source: bybit-exchange.github.io/docs/v5 (Get Order History, Get Trade History, Get Transaction Log, Pre-upgrade,
Demo Trading Service).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from recorder.venues.bybit.answers import (
    EXECUTIONS,
    OLD_EXECUTIONS,
    OLD_LOG,
    OLD_ORDERS,
    ORDER_HISTORY,
    TRANSACTION_LOG,
)
from recorder.venues.bybit.words import INVERSE, LINEAR, OPTION, SPOT, UNIFIED, settle_coin
from recorder.venues.rest import Known

DAY_MS = 86_400_000
#: The longest window that a history may be asked for.
WINDOW_MS = 7 * DAY_MS
#: How long fully cancelled, rejected and deactivated orders are remembered.
CANCELLED_MS = DAY_MS
HISTORY_MS = 730 * DAY_MS
#: The environment of demo trading, and how long its orders are remembered, whether they have a fill or not.
DEMO, DEMO_MS = "demo", 7 * DAY_MS
#: How long what was before an account was upgraded is remembered of USDC contracts and options: six months.
OLD_USDC_MS = 184 * DAY_MS

CATEGORIES = (LINEAR, INVERSE, OPTION, SPOT)
#: The base coin whose options are listed if none is named.
DEFAULT_COIN = "BTC"


class History(NamedTuple):
    """A list of what happened."""

    name: str
    path: str
    query: Mapping[str, str]
    topic: str
    #: What of it the exchange keeps; empty: it counts only with others.
    kept: str
    #: For how long, milliseconds.
    kept_ms: int = HISTORY_MS


LEDGER = History("transactions", TRANSACTION_LOG, {"accountType": UNIFIED, "limit": "50"}, "wallet", "transactions")


def orders_kept_ms(environment: str) -> int:
    """How long orders with a fill are remembered in an environment, milliseconds."""
    return DEMO_MS if environment == DEMO else HISTORY_MS


def histories(environment: str) -> Iterator[History]:
    """Those of orders and executions of an environment, without the executions of options."""
    kept_ms = orders_kept_ms(environment)
    for category in CATEGORIES:
        query = {"category": category}
        orders, fills = f"orders with fills of {category}", f"fills of {category}"
        yield History(f"orders of {category}", ORDER_HISTORY, {**query, "limit": "50"}, "order", orders, kept_ms)
        if category != OPTION:
            yield History(f"executions of {category}", EXECUTIONS, {**query, "limit": "100"}, "execution", fills)


def option_executions(coins: Iterable[str]) -> Iterator[History]:
    """Those of the executions of options.

    Args:
        coins: base coins of the options that the account may have traded; the default is listed in any case.
    """
    for coin in sorted({DEFAULT_COIN, *coins}):
        query = {"category": OPTION, "baseCoin": coin, "limit": "100"}
        yield History(f"executions of {coin} options", EXECUTIONS, query, "execution", f"fills of {coin} options")


def base_coins(symbols: Iterable[str]) -> set[str]:
    """The base coins of options, by their names: `BTC-26JUN26-89000-P-USDT`."""
    return {symbol.partition("-")[0] for symbol in symbols}


def old_histories(known: Known, coins: Iterable[str]) -> Iterator[History]:
    """Those of before an upgrade. Orders of USDC contracts are listed by symbol only; the log has USDC alone.

    The page of old executions names no default coin, so they are listed without one, and for each other coin besides.

    Args:
        known: the record.
        coins: base coins of the options that the account may have traded.
    """
    for category in CATEGORIES:
        name, query = f"{category} before an upgrade", {"category": category}
        kept_ms = OLD_USDC_MS if category == OPTION else HISTORY_MS
        yield History(f"orders of {name}", OLD_ORDERS, {**query, "limit": "50"}, "order", "", kept_ms)
        if category != SPOT:
            yield History(f"executions of {name}", OLD_EXECUTIONS, {**query, "limit": "100"}, "execution", "", kept_ms)
        if category in {LINEAR, OPTION}:
            yield History(f"transactions of {name}", OLD_LOG, {**query, "limit": "50"}, "wallet", "", OLD_USDC_MS)
    for coin in sorted({*coins} - {DEFAULT_COIN}):
        name, query = f"executions of {coin} options before an upgrade", {"category": OPTION, "baseCoin": coin}
        yield History(name, OLD_EXECUTIONS, {**query, "limit": "100"}, "execution", "", OLD_USDC_MS)
    for symbol in sorted({one.symbol for one in known.instruments if one.market == LINEAR and one.symbol}):
        if settle_coin(LINEAR, symbol) == "USDC":
            query = {"category": LINEAR, "symbol": symbol, "limit": "50"}
            yield History(f"orders of {symbol} before an upgrade", OLD_ORDERS, query, "order", "", OLD_USDC_MS)
