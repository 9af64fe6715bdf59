"""Recorded fills as orders for vectorbt, so that its portfolio is the one that was held.

`pip install 'exchange-recorder[vectorbt]'`. vectorbt computes in floats; the record itself stays exact.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from recorder.backtest import needed
from recorder.model import BUY, INVERSE, Instrument
from recorder.read.records import Fill
from recorder.venues.accounting import EXACT

EXTRA = "vectorbt"


def orders(fills: Iterable[Fill], instrument: Instrument) -> Any:
    """One row per fill, in the order given, with the arguments of `Portfolio.from_orders`.

    vectorbt only knows linear instruments. An inverse contract pays in the coin it is quoted against, so being long BTC
    is being short USD: the asset becomes the USD, at a price of ``1 / price`` BTC, and sizes change their sign. Cash,
    fees and profit are then in BTC, as on the exchange. A contract's size is multiplied into the sizes.

    A fee that a spot market takes from the coin that was bought makes the size smaller, and counts with its value at
    the price of the fill. Fees in any other currency are left out; see `other_fees`.

    Args:
        fills: of one account and one instrument, such as `History.fills`.
        instrument: what the symbol means, such as `History.instrument`.

    Returns:
        Columns `size` (positive: bought), `price`, `fixed_fees` (negative: a rebate); index: time of receipt, UTC.

    Raises:
        ConfigurationError: pandas is not installed.
    """
    pandas: Any = needed("pandas", EXTRA)
    rows = [_row(fill, instrument) for fill in fills]
    index = pandas.DatetimeIndex([row[0] for row in rows], tz="UTC", name="received")
    return pandas.DataFrame(
        [row[1:] for row in rows], index=index, columns=["size", "price", "fixed_fees"], dtype=float
    )


def _row(fill: Fill, instrument: Instrument) -> tuple[int, float, float, float]:
    if not fill.price:
        return fill.received_ns, 0.0, float("nan"), 0.0  # a fee that changed without a fill: nothing to buy
    quantity, fee = fill.quantity if fill.side == BUY else fill.quantity.copy_negate(), fill.fee or Decimal(0)
    if _is_in_base(fill, instrument):
        quantity, fee = EXACT.subtract(quantity, fee), EXACT.multiply(fee, fill.price)
    elif not _is_in_cash(fill, instrument):
        fee = Decimal(0)
    size, price = float(EXACT.multiply(quantity, _size(instrument))), float(fill.price)
    if instrument.kind == INVERSE:
        return fill.received_ns, -size, 1 / price, float(fee)
    return fill.received_ns, size, price, float(fee)


def _size(instrument: Instrument) -> Decimal:
    return Decimal(instrument.contract_size or 1)


def _is_in_base(fill: Fill, instrument: Instrument) -> bool:
    return instrument.kind == "spot" and fill.fee_currency is not None and fill.fee_currency == instrument.base


def _is_in_cash(fill: Fill, instrument: Instrument) -> bool:
    return fill.fee_currency in {None, instrument.settle or instrument.quote}


def other_fees(fills: Iterable[Fill], instrument: Instrument) -> Mapping[str, Decimal]:
    """The fees that the portfolio leaves out because they were paid in a third currency: their sums by currency."""
    sums: dict[str, Decimal] = {}
    for fill in fills:
        if fill.fee and fill.fee_currency and not (_is_in_base(fill, instrument) or _is_in_cash(fill, instrument)):
            sums[fill.fee_currency] = EXACT.add(sums.get(fill.fee_currency, Decimal(0)), fill.fee)
    return sums


def portfolio(fills: Iterable[Fill], instrument: Instrument, *, cash: float | None = None) -> Any:
    """The `vectorbt.Portfolio` of recorded fills, each at its own price and fee.

    Args:
        fills: of one account and one instrument, such as `History.fills`.
        instrument: what the symbol means, such as `History.instrument`.
        cash: initial cash, in the currency of the fees. None: as much as is needed, because vectorbt knows no margin
            and a contract costs a fraction of its value.

    Raises:
        ConfigurationError: vectorbt is not installed.
        vectorbt's RejectedOrderError: `cash` does not suffice.
    """
    vectorbt: Any = needed("vectorbt", EXTRA)
    rows = orders(fills, instrument).query("size != 0")
    return vectorbt.Portfolio.from_orders(
        rows["price"],
        size=rows["size"],
        price=rows["price"],
        fixed_fees=rows["fixed_fees"],
        init_cash="auto" if cash is None else cash,
        # These orders were filled: none of them in part, and none left out.
        allow_partial=False,
        raise_reject=True,
    )


def held(portfolio: Any, instrument: Instrument) -> float:
    """The quantity held at the end; negative if short."""
    assets = float(portfolio.assets().iloc[-1]) / float(_size(instrument))
    return -assets if instrument.kind == INVERSE else assets


def realized_pnl(portfolio: Any) -> float:
    """Realized PnL net of all fees, those of open positions included, as exchanges count it."""
    trades = portfolio.trades
    return float(trades.closed.pnl.sum() - trades.open.entry_fees.sum())
