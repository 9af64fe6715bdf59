"""Recorded fills as orders for vectorbt: the portfolio that it makes of them is the one that was had.

`pip install 'exchange-recorder[vectorbt]'`. vectorbt reckons in floats; the record stays as it is.
"""

from collections.abc import Iterable
from typing import Any

from recorder.backtest.needs import needed
from recorder.read.records import Fill

EXTRA = "vectorbt"


def orders(fills: Iterable[Fill], *, inverse: bool = True) -> Any:
    """One row a fill, in the order of receipt, with what `Portfolio.from_orders` takes.

    An inverse contract pays in the coin it is quoted against: so many USD are worth ``quantity / price`` BTC, and being
    long of BTC is being short of USD. vectorbt knows linear things only; such a contract is one to it if the thing that
    is held is the USD, at a price of ``1 / price`` BTC. Sizes have the opposite sign then, prices are the inverse, and
    cash, fees and profit are BTC, as on the exchange.

    Args:
        fills: of one account and one symbol.
        inverse: whether the contract is one; FMex's are.

    Returns:
        Columns `size` (above 0: bought), `price`, `fixed_fees` (below 0: a rebate); index: time of receipt, UTC.

    Raises:
        ConfigurationError: pandas is not installed, or a fill has no price.
    """
    pandas: Any = needed("pandas", EXTRA)
    rows = [_row(fill, inverse) for fill in fills]
    index = pandas.DatetimeIndex([row[0] for row in rows], tz="UTC", name="received")
    return pandas.DataFrame(
        [row[1:] for row in rows], index=index, columns=["size", "price", "fixed_fees"], dtype=float
    )


def _row(fill: Fill, inverse: bool) -> tuple[int, float, float, float]:
    if fill.price is None:
        # A fee that changed without a fill: there is nothing to be bought.
        return fill.received_ns, 0.0, float("nan"), 0.0
    size = float(fill.quantity) * (1 if fill.direction == "LONG" else -1)
    price = float(fill.price)
    fee = 0.0 if fill.fee is None else float(fill.fee)
    return (fill.received_ns, -size, 1 / price, fee) if inverse else (fill.received_ns, size, price, fee)


def portfolio(fills: Iterable[Fill], *, cash: float | None = None, inverse: bool = True) -> Any:
    """The `vectorbt.Portfolio` of recorded fills, each at its own price and fee.

    Args:
        fills: of one account and one symbol.
        cash: what there was before the first, in the currency of fees. None: as much as was needed, for vectorbt knows
            no margin, and a contract is had for a fraction of its value.
        inverse: as for `orders`.

    Raises:
        ConfigurationError: vectorbt is not installed.
        vectorbt's RejectedOrderError: there was not so much cash.
    """
    vectorbt: Any = needed("vectorbt", EXTRA)
    told = orders(fills, inverse=inverse).query("size != 0")
    return vectorbt.Portfolio.from_orders(
        told["price"],
        size=told["size"],
        price=told["price"],
        fixed_fees=told["fixed_fees"],
        init_cash="auto" if cash is None else cash,
        # What happened is not to be filled in part, nor left out.
        allow_partial=False,
        raise_reject=True,
    )


def held(portfolio: Any, *, inverse: bool = True) -> float:
    """What is held at the end, contracts: above 0 long, below 0 short."""
    return float(portfolio.assets().iloc[-1]) * (-1 if inverse else 1)


def realized_pnl(portfolio: Any) -> float:
    """What has been realized, net of all fees, as an exchange counts it: also those of what is open still."""
    trades = portfolio.trades
    return float(trades.closed.pnl.sum() - trades.open.entry_fees.sum())
