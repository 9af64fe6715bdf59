"""Recorded fills as orders for vectorbt, so that its portfolio is the one that was held.

`pip install 'exchange-recorder[vectorbt]'`. vectorbt computes in floats; the record itself stays exact.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from recorder.backtest import needed
from recorder.clock import NS_PER_MS
from recorder.model import BUY, SELL
from recorder.read.fills import DERIVED
from recorder.read.record import ALL, Filter, Record
from recorder.read.records import Fill, Position
from recorder.read.trips import Terms
from recorder.venues.base import EXACT

EXTRA = "vectorbt"
_ZERO = Decimal(0)


class History(NamedTuple):
    """A position between its first and its last recorded state."""

    first: Position
    last: Position
    #: What happened in between; before that, the quantity held at the first state as one fill at its entry price.
    fills: list[Fill]
    #: Of the contract: whether it is inverse, and its size.
    terms: Terms

    @property
    def held(self) -> Decimal:
        """The quantity held at the end; negative if short."""
        return self.last.quantity or _ZERO

    @property
    def realized_pnl(self) -> Decimal | None:
        """PnL realized in between, net of fees, as the venue reports it; None if it does not."""
        if self.first.realized_pnl is None or self.last.realized_pnl is None:
            return None
        return EXACT.subtract(self.last.realized_pnl, self.first.realized_pnl)


def history(record: Record, wanted: Filter = ALL) -> History | None:
    """The history of one position; None if no state of it was recorded.

    A record rarely begins with an empty position or ends right after a position update. So the fills are those after
    the first recorded state, up to the last: in the connection that pushed a state, those of earlier or later frames;
    otherwise, those executed earlier or later by the venue's clock.

    Args:
        record: the record.
        wanted: must leave one account and one symbol. Without a symbol, that of the account's last state is taken; in
            hedge mode, the side of that state.
    """
    states = [state for state in record.position_history(wanted, as_it_happened=True) if state.quantity is not None]
    if not states:
        return None
    last = states[-1]
    first = next(state for state in states if _position(state) == _position(last))
    asked_ns = {one.reconciliation_id: one.began_ns for one in record.rounds()}
    fills = [_opening(first)] if first.quantity else []
    fills += [
        fill
        for fill in record.fills(wanted._replace(account=last.account, symbol=last.symbol))
        if (fill.market, fill.position_side) == (last.market, last.position_side)
        and not _is_in(fill, first, asked_ns)
        and _is_in(fill, last, asked_ns)
    ]
    return History(first, last, fills, record.terms()(last.account, last.market, last.symbol))


def _position(state: Position) -> tuple[str | None, ...]:
    return state.account, state.market, state.symbol, state.position_side


def _is_in(fill: Fill, state: Position, asked_ns: dict[int, int]) -> bool:
    """Whether a state of a position includes a fill."""
    if fill.session_id == state.session_id and fill.origin == DERIVED:
        return fill.seq < state.seq
    known_ms = asked_ns.get(state.session_id, state.received_ns) // NS_PER_MS
    return fill.at_ms <= (known_ms if state.event_ms is None else state.event_ms)


def _opening(state: Position) -> Fill:
    quantity = state.quantity or _ZERO
    return Fill(
        account=state.account,
        received_ns=state.received_ns,
        event_ms=state.event_ms,
        trade_id=None,
        order_id=None,
        client_order_id=None,
        market=state.market,
        symbol=state.symbol,
        side=BUY if quantity > 0 else SELL,
        position_side=state.position_side,
        order_type=None,
        price=state.entry_price,
        quantity=quantity.copy_abs(),
        fee=_ZERO,
        fee_currency=None,
        realized_pnl=None,
        kind=None,
        executed_ms=None,
        price_is_estimate=False,
        origin=DERIVED,
        session_id=state.session_id,
        seq=state.seq,
        item=state.item,
    )


def orders(fills: Iterable[Fill], terms: Terms) -> Any:
    """One row per fill, in the order given, with the arguments of `Portfolio.from_orders`.

    vectorbt only knows linear instruments. An inverse contract pays in the coin it is quoted against, so being long BTC
    is being short USD: the asset becomes the USD, at a price of ``1 / price`` BTC, and sizes change their sign. Cash,
    fees and profit are then in BTC, as on the exchange. A contract's size is multiplied into the sizes.

    Args:
        fills: of one account and one symbol, such as `History.fills`.
        terms: of its contract, such as `History.terms`.

    Returns:
        Columns `size` (positive: bought), `price`, `fixed_fees` (negative: a rebate); index: time of receipt, UTC.

    Raises:
        ConfigurationError: pandas is not installed.
    """
    pandas: Any = needed("pandas", EXTRA)
    rows = [_row(fill, terms) for fill in fills]
    index = pandas.DatetimeIndex([row[0] for row in rows], tz="UTC", name="received")
    return pandas.DataFrame(
        [row[1:] for row in rows], index=index, columns=["size", "price", "fixed_fees"], dtype=float
    )


def _row(fill: Fill, terms: Terms) -> tuple[int, float, float, float]:
    if not fill.price:
        return fill.received_ns, 0.0, float("nan"), 0.0  # a fee that changed without a fill: nothing to buy
    size = float(EXACT.multiply(fill.quantity, terms.contract_size)) * (1 if fill.side == BUY else -1)
    price = float(fill.price)
    fee = 0.0 if fill.fee is None else float(fill.fee)
    return (fill.received_ns, -size, 1 / price, fee) if terms.is_inverse else (fill.received_ns, size, price, fee)


def portfolio(fills: Iterable[Fill], terms: Terms, *, cash: float | None = None) -> Any:
    """The `vectorbt.Portfolio` of recorded fills, each at its own price and fee.

    Args:
        fills: of one account and one symbol, such as `History.fills`.
        terms: of its contract, such as `History.terms`.
        cash: initial cash, in the currency of the fees. None: as much as is needed, because vectorbt knows no margin
            and a contract costs a fraction of its value.

    Raises:
        ConfigurationError: vectorbt is not installed.
        vectorbt's RejectedOrderError: `cash` does not suffice.
    """
    vectorbt: Any = needed("vectorbt", EXTRA)
    rows = orders(fills, terms).query("size != 0")
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


def held(portfolio: Any, terms: Terms) -> float:
    """The quantity held at the end; negative if short."""
    assets = float(portfolio.assets().iloc[-1]) / float(terms.contract_size)
    return -assets if terms.is_inverse else assets


def realized_pnl(portfolio: Any) -> float:
    """Realized PnL net of all fees, those of open positions included, as exchanges count it."""
    trades = portfolio.trades
    return float(trades.closed.pnl.sum() - trades.open.entry_fees.sum())
