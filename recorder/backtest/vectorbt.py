"""Recorded fills as orders for vectorbt, so that its portfolio is the one that was held.

`pip install 'exchange-recorder[vectorbt]'`. vectorbt computes in floats; the record itself stays exact.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from recorder.backtest import needed
from recorder.clock import NS_PER_MS
from recorder.read.fills import DERIVED
from recorder.read.record import ALL, Filter, Record
from recorder.read.records import Fill, Position
from recorder.venues.base import EXACT

EXTRA = "vectorbt"
_ZERO = Decimal(0)


class History(NamedTuple):
    """A position between its first and its last recorded state."""

    first: Position
    last: Position
    #: What happened in between; before that, the quantity held at the first state as one fill at its entry price.
    fills: list[Fill]

    @property
    def held(self) -> Decimal:
        """Contracts held at the end; negative if short."""
        return _signed(self.last)

    @property
    def realized_pnl(self) -> Decimal | None:
        """PnL realized in between, net of fees, as the exchange reports it; None if it does not."""
        if self.first.realized_pnl is None or self.last.realized_pnl is None:
            return None
        return EXACT.subtract(self.last.realized_pnl, self.first.realized_pnl)


def history(record: Record, wanted: Filter = ALL) -> History | None:
    """The history of one position; None if no state of it was recorded.

    A record rarely begins with an empty position or ends right after a position update. So the fills are those after
    the first recorded state, up to the last: in the connection that pushed a state, those of earlier or later frames;
    otherwise, those executed earlier or later by the exchange's clock.

    Args:
        record: the record.
        wanted: must leave one account and one symbol. Without a symbol, that of the account's last state is taken.
    """
    states = [state for state in record.position_history(wanted, as_it_happened=True) if state.quantity is not None]
    if not states:
        return None
    last = states[-1]
    first = next(state for state in states if (state.account, state.symbol) == (last.account, last.symbol))
    asked_ns = {one.reconciliation_id: one.began_ns for one in record.rounds()}
    fills = [_opening(first)] if first.quantity else []
    fills += [
        fill
        for fill in record.fills(wanted._replace(account=last.account, symbol=last.symbol))
        if not _is_in(fill, first, asked_ns) and _is_in(fill, last, asked_ns)
    ]
    return History(first, last, fills)


def _is_in(fill: Fill, state: Position, asked_ns: dict[int, int]) -> bool:
    """Whether a state of a position includes a fill."""
    if fill.session_id == state.session_id and fill.origin == DERIVED:
        return fill.seq < state.seq
    known_ms = asked_ns.get(state.session_id, state.received_ns) // NS_PER_MS if state.ts is None else state.ts
    return fill.at_ms <= known_ms


def _opening(state: Position) -> Fill:
    return Fill(
        state.account,
        state.received_ns,
        state.ts,
        0,
        state.symbol,
        state.direction,
        None,
        state.quantity or _ZERO,
        state.entry_price,
        _ZERO,
        None,
        False,
        DERIVED,
        state.session_id,
        state.seq,
        state.item,
    )


def _signed(state: Position) -> Decimal:
    quantity = state.quantity or _ZERO
    return quantity.copy_negate() if state.direction == "SHORT" else quantity


def orders(fills: Iterable[Fill], *, inverse: bool = True) -> Any:
    """One row per fill, in the order given, with the arguments of `Portfolio.from_orders`.

    vectorbt only knows linear instruments. An inverse contract pays in the coin it is quoted against, so being long BTC
    is being short USD: the asset becomes the USD, at a price of ``1 / price`` BTC, and sizes change their sign. Cash,
    fees and profit are then in BTC, as on the exchange.

    Args:
        fills: of one account and one symbol, such as `History.fills`.
        inverse: whether the contract is inverse; FMex's are.

    Returns:
        Columns `size` (positive: bought), `price`, `fixed_fees` (negative: a rebate); index: time of receipt, UTC.

    Raises:
        ConfigurationError: pandas is not installed.
    """
    pandas: Any = needed("pandas", EXTRA)
    rows = [_row(fill, inverse) for fill in fills]
    index = pandas.DatetimeIndex([row[0] for row in rows], tz="UTC", name="received")
    return pandas.DataFrame(
        [row[1:] for row in rows], index=index, columns=["size", "price", "fixed_fees"], dtype=float
    )


def _row(fill: Fill, inverse: bool) -> tuple[int, float, float, float]:
    if not fill.price:
        return fill.received_ns, 0.0, float("nan"), 0.0  # a fee that changed without a fill: nothing to buy
    size = float(fill.quantity) * (1 if fill.direction == "LONG" else -1)
    price = float(fill.price)
    fee = 0.0 if fill.fee is None else float(fill.fee)
    return (fill.received_ns, -size, 1 / price, fee) if inverse else (fill.received_ns, size, price, fee)


def portfolio(fills: Iterable[Fill], *, cash: float | None = None, inverse: bool = True) -> Any:
    """The `vectorbt.Portfolio` of recorded fills, each at its own price and fee.

    Args:
        fills: of one account and one symbol, such as `History.fills`.
        cash: initial cash, in the currency of the fees. None: as much as is needed, because vectorbt knows no margin
            and a contract costs a fraction of its value.
        inverse: as for `orders`.

    Raises:
        ConfigurationError: vectorbt is not installed.
        vectorbt's RejectedOrderError: `cash` does not suffice.
    """
    vectorbt: Any = needed("vectorbt", EXTRA)
    told = orders(fills, inverse=inverse).query("size != 0")
    return vectorbt.Portfolio.from_orders(
        told["price"],
        size=told["size"],
        price=told["price"],
        fixed_fees=told["fixed_fees"],
        init_cash="auto" if cash is None else cash,
        # These orders were filled: none of them in part, and none left out.
        allow_partial=False,
        raise_reject=True,
    )


def held(portfolio: Any, *, inverse: bool = True) -> float:
    """Contracts held at the end; negative if short."""
    return float(portfolio.assets().iloc[-1]) * (-1 if inverse else 1)


def realized_pnl(portfolio: Any) -> float:
    """Realized PnL net of all fees, those of open positions included, as exchanges count it."""
    trades = portfolio.trades
    return float(trades.closed.pnl.sum() - trades.open.entry_fees.sum())
