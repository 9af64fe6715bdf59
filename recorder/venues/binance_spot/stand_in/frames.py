"""A simulated account in Binance spot's words: its events and rows, with every field that the exchange always sends.

Source: developers.binance.com/docs/binance-spot-api-docs, "User Data Streams" and the pages of the REST paths.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from recorder.venues.simulated import (
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedTransaction,
    Terms,
)

Row = dict[str, object]

encode = msgspec.json.Encoder().encode

#: Ids of orders and of trades begin far beyond 2^32; those of executions are numbers of their own.
ORDER, TRADE, EXECUTION = 51_000_000_000, 5_500_000_000, 108_000_000_000

_NONE = "0.00000000"
_UNIT = Decimal("1E-8")

_STATUSES = {
    "pending": "NEW",
    "new": "NEW",
    "partially_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "canceled": "CANCELED",
    "rejected": "REJECTED",
}


def text(number: Decimal) -> str:
    """Digits as the exchange writes them: at least eight decimals, and never an exponent."""
    padded = number.quantize(_UNIT) if number == number.quantize(_UNIT) else number
    return f"{padded:f}"


def push(event: Row) -> bytes:
    """The frame of an event, as it is pushed for the first subscription of a connection."""
    return encode({"subscriptionId": 0, "event": event})


def order_id(order: SimulatedOrder) -> int:
    """The id of an order."""
    return ORDER + order.id


def _status(order: SimulatedOrder) -> str:
    if order.status == "canceled" and order.reason not in {None, "user"}:
        return "EXPIRED"
    return _STATUSES[order.status]


def _type(order: SimulatedOrder) -> str:
    if order.trigger_price:
        is_loss = (order.side == "buy") == order.trigger_rises
        kind = "STOP_LOSS" if is_loss else "TAKE_PROFIT"
        return kind if order.type == "market" else f"{kind}_LIMIT"
    if order.type == "market":
        return "MARKET"
    return "LIMIT_MAKER" if order.post_only else "LIMIT"


def _is_working(order: SimulatedOrder) -> bool:
    return order.is_open and (order.is_triggered or not order.trigger_price)


def _price(order: SimulatedOrder) -> str:
    return text(order.price) if order.type == "limit" else _NONE


def _client_id(order: SimulatedOrder) -> str:
    return order.client_order_id or f"web_{order.id:x}"


def report(order: SimulatedOrder, fill: SimulatedFill | None, now_ms: int) -> Row:
    """The event that tells of an order.

    Args:
        order: the order after it.
        fill: the execution that it tells of.
        now_ms: when it is sent.
    """
    status = _status(order)
    happened = "TRADE" if fill else status if status in {"CANCELED", "EXPIRED", "REJECTED"} else "NEW"
    is_canceled = happened == "CANCELED"
    row: Row = {
        "e": "executionReport",
        "E": now_ms,
        "s": order.terms.symbol,
        "c": f"cancel_{order.id:x}" if is_canceled else _client_id(order),
        "S": order.side.upper(),
        "o": _type(order),
        "f": order.time_in_force.upper(),
        "q": text(order.quantity),
        "p": _price(order),
        "P": text(order.trigger_price),
        "F": _NONE,
        "g": -1,
        "C": _client_id(order) if is_canceled else "",
        "x": happened,
        "X": status,
        "r": "NONE",
        "i": order_id(order),
        "l": text(fill.quantity) if fill else _NONE,
        "z": text(order.filled_quantity),
        "L": text(fill.price) if fill else _NONE,
        "n": text(fill.fee) if fill else "0",
        "N": fill.fee_currency if fill else None,
        "T": fill.executed_ms if fill else order.updated_ms,
        "t": TRADE + fill.trade_id if fill else -1,
        "I": EXECUTION + order.updated_ms % 1_000_000_000,
        "w": _is_working(order),
        "m": bool(fill) and not (fill is None or fill.is_taker),
        "M": bool(fill),
        "O": order.created_ms,
        "Z": text(order.notional),
        "Y": text(fill.value) if fill else _NONE,
        "Q": _NONE,
        "V": "EXPIRE_MAKER",
    }
    if _is_working(order) or order.filled_quantity:
        row["W"] = order.created_ms
    return row


def position(balances: Sequence[SimulatedBalance], now_ms: int) -> Row:
    """The event that tells of balances."""
    return {
        "e": "outboundAccountPosition",
        "E": now_ms,
        "u": max(one.updated_ms for one in balances),
        "B": [{"a": one.currency, "f": text(one.available), "l": text(one.locked)} for one in balances],
    }


def movement(transaction: SimulatedTransaction, now_ms: int) -> Row:
    """The event that tells of money that comes or goes."""
    return {
        "e": "balanceUpdate",
        "E": now_ms,
        "a": transaction.currency,
        "d": text(transaction.amount),
        "T": transaction.occurred_ms,
    }


def order_row(order: SimulatedOrder) -> Row:
    """An order, in answers."""
    row: Row = {
        "symbol": order.terms.symbol,
        "orderId": order_id(order),
        "orderListId": -1,
        "clientOrderId": _client_id(order),
        "price": _price(order),
        "origQty": text(order.quantity),
        "executedQty": text(order.filled_quantity),
        "cummulativeQuoteQty": text(order.notional),
        "status": _status(order),
        "timeInForce": order.time_in_force.upper(),
        "type": _type(order),
        "side": order.side.upper(),
        "stopPrice": text(order.trigger_price),
        "icebergQty": _NONE,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.is_triggered or not order.trigger_price,
        "workingTime": order.created_ms if order.is_triggered or not order.trigger_price else -1,
        "origQuoteOrderQty": _NONE,
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    return row


def trade_row(fill: SimulatedFill) -> Row:
    """A fill, in answers."""
    return {
        "symbol": fill.terms.symbol,
        "id": TRADE + fill.trade_id,
        "orderId": ORDER + fill.order_id,
        "orderListId": -1,
        "price": text(fill.price),
        "qty": text(fill.quantity),
        "quoteQty": text(fill.value),
        "commission": text(fill.fee),
        "commissionAsset": fill.fee_currency,
        "time": fill.executed_ms,
        "isBuyer": fill.side == "buy",
        "isMaker": not fill.is_taker,
        "isBestMatch": True,
    }


def account(balances: Sequence[Row], updated_ms: int) -> Row:
    """The account, in answers."""
    rate = {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000", "seller": "0.00000000"}
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": rate,
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": updated_ms,
        "accountType": "SPOT",
        "balances": list(balances),
        "permissions": ["SPOT"],
        "uid": 354937868,
    }


def asset(balance: SimulatedBalance) -> Row:
    """A balance, in answers."""
    return {"asset": balance.currency, "free": text(balance.available), "locked": text(balance.locked)}


def instrument(terms: Terms) -> Row:
    """An instrument of the public list."""
    return {
        "symbol": terms.symbol,
        "status": "TRADING",
        "baseAsset": terms.base,
        "baseAssetPrecision": 8,
        "quoteAsset": terms.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": text(terms.price_tick),
                "maxPrice": "1000000.00000000",
                "tickSize": text(terms.price_tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": text(terms.quantity_step),
                "maxQty": "9000.00000000",
                "stepSize": text(terms.quantity_step),
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": "5.00000000",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"],
    }
