"""The transaction log and the instruments of a simulated account, in Bybit's words.

Source: API v5, the pages "Get Transaction Log" and "Get Instruments Info".
"""

from decimal import Decimal

from recorder.venues.bybit.stand_in.frames import FILL, FUNDING, SIDES, Row, order_id, text, uuid_of
from recorder.venues.simulated import SimulatedFill, SimulatedTransaction, Terms

_TRANSACTION_TYPES = {
    "funding": "SETTLEMENT",
    "liquidation": "LIQUIDATION",
    "settlement": "DELIVERY",
    "deposit": "TRANSFER_IN",
    "withdrawal": "TRANSFER_OUT",
}
_TRADE_TYPES = {"trade": "TRADE", "liquidation": "LIQUIDATION", "adl": "ADL", "settlement": "DELIVERY"}


def transaction_row(entry: SimulatedTransaction, fill: SimulatedFill | None) -> Row:
    """An entry of the transaction log: `change` = `cashFlow` + `funding` - `fee`.

    Args:
        entry: the entry.
        fill: that it is of, if it is of a fill.
    """
    terms, funding = entry.terms, entry.type == "funding"
    return {
        "id": f"100000007_{entry.id}",
        "type": _type(entry),
        "transSubType": "",
        "category": "" if terms is None else terms.market,
        "symbol": "" if terms is None else terms.symbol,
        "currency": entry.currency,
        "side": SIDES[entry.side] if entry.side else "None",
        "qty": text(entry.quantity),
        "size": text(_size_after(fill)) if fill else "0",
        "tradePrice": text(entry.price),
        "cashFlow": text(Decimal(0) if funding else entry.amount + entry.fee),
        "funding": text(entry.amount) if funding else "",
        "fee": text(entry.fee),
        "change": text(entry.amount),
        "cashBalance": text(entry.balance_after),
        "feeRate": text(entry.rate if funding else fill.fee_rate if fill else Decimal(0)),
        "bonusChange": "",
        "tradeId": _trade_id(entry),
        "orderId": "" if entry.order_id is None or terms is None else order_id(entry.order_id, terms),
        "orderLinkId": (fill.client_order_id or "") if fill else "",
        "extraFees": "",
        "transactionTime": str(entry.occurred_ms),
    }


def instrument_row(terms: Terms) -> Row:
    """An instrument of the public list."""
    contract = {"linear": "Linear", "inverse": "Inverse"}.get(terms.kind)
    step = {"basePrecision" if terms.kind == "spot" else "qtyStep": text(terms.quantity_step)}
    row: Row = {
        "symbol": terms.symbol,
        "status": "Trading",
        "baseCoin": terms.base,
        "quoteCoin": terms.quote,
        "priceFilter": {"tickSize": text(terms.price_tick)},
        "lotSizeFilter": step,
    }
    if terms.kind != "spot":
        row |= {"settleCoin": terms.settle, "deliveryTime": str(terms.expires_ms)}
    if contract is not None:
        row["contractType"] = contract + ("Futures" if terms.expires_ms else "Perpetual")
    if terms.kind == "option":
        row["optionsType"] = "Put" if terms.is_put else "Call"
    return row


def _type(entry: SimulatedTransaction) -> str:
    if entry.type == "trade":
        return _TRADE_TYPES[entry.kind]
    return _TRANSACTION_TYPES.get(entry.type) or ("TRANSFER_IN" if entry.amount > 0 else "TRANSFER_OUT")


def _trade_id(entry: SimulatedTransaction) -> str:
    if entry.type == "funding":
        return uuid_of(entry.id, FUNDING)
    return "" if entry.trade_id is None else uuid_of(entry.trade_id, FILL)


def _size_after(fill: SimulatedFill) -> Decimal:
    if fill.terms.kind == "spot":
        return Decimal(0)
    return fill.position_before + (fill.quantity if fill.side == "buy" else -fill.quantity)
