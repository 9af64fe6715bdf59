"""A simulated account in Bybit's words: the rows of its pushes and answers, with every documented field.

Source: API v5, the pages of the private topics and of the REST paths.
"""

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

import msgspec

from recorder.venues.bybit.words import INVERSE, UNIFIED
from recorder.venues.simulated import (
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    Terms,
)

Row = dict[str, object]

encode = msgspec.json.Encoder().encode

#: The smallest amount of a coin.
CENT8 = Decimal("1E-8")

#: The low 64 bits of the UUID of an order, of a fill and of a payment of funding.
ORDER, FILL, FUNDING = 0x8F0B_5A2F_0D8C_1E77, 0x9D7E_64D0_B7F1_A9B2, 0x8F0B_64D0_0D8C_A9B2
#: Ids of spot orders have 19 digits.
_SPOT_ID = 10**18

SIDES = {"buy": "Buy", "sell": "Sell"}
_POSITION_IDX = {None: 0, "long": 1, "short": 2}
_STATUSES = {
    "pending": "Untriggered",
    "new": "New",
    "partially_filled": "PartiallyFilled",
    "filled": "Filled",
    "canceled": "Cancelled",
    "rejected": "Rejected",
}
#: What made an order or a fill → `createType`, and `execType`.
_CREATE_TYPES = {
    "trade": "CreateByUser",
    "liquidation": "CreateByTakeOver_PassThrough",
    "adl": "CreateByAdl_PassThrough",
    "settlement": "CreateBySettle",
}
_EXEC_TYPES = {"trade": "Trade", "liquidation": "BustTrade", "adl": "AdlTrade", "settlement": "Delivery"}
_TIMES_IN_FORCE = {"gtc": "GTC", "ioc": "IOC", "fok": "FOK"}
#: Why an order ended → `cancelType`, `rejectReason`.
_REASONS = {
    None: ("UNKNOWN", "EC_NoError"),
    "user": ("CancelByUser", "EC_PerCancelRequest"),
    "post_only": ("UNKNOWN", "EC_PostOnlyWillTakeLiquidity"),
    "ioc": ("UNKNOWN", "EC_CancelForNoFullFill"),
    "fok": ("UNKNOWN", "EC_NoEnoughQtyToFill"),
    "margin": ("UNKNOWN", "EC_CannotAffordOrderCost"),
    "liquidation": ("CancelByPrepareLiq", "EC_PerCancelRequest"),
    "reduce_only": ("CancelByReduceOnly", "EC_PerCancelRequest"),
    "expiry": ("CancelBySettle", "EC_PerCancelRequest"),
}


def push(topic: str, row: Row, at_ms: int, number: int) -> bytes:
    """A frame with one row."""
    return encode({"topic": topic, "id": f"100000007_{number}", "creationTime": at_ms, "data": [row]})


def answer(result: Row, at_ms: int) -> bytes:
    """The answer to a request."""
    return encode({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": at_ms})


def refusal(code: int, message: str, at_ms: int) -> bytes:
    """The answer to a request that is refused."""
    return encode({"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}, "time": at_ms})


def order_id(order_id: int, terms: Terms) -> str:
    """The id of an order: of spot a number, of a derivative a UUID."""
    return str(_SPOT_ID + order_id) if terms.kind == "spot" else uuid_of(order_id, ORDER)


def number_of(order_id: str) -> int | None:
    """The order that an id names; None if it is no id of this exchange."""
    if order_id.isascii() and order_id.isdigit():
        return int(order_id) - _SPOT_ID
    try:
        return UUID(order_id).int >> 64
    except ValueError:
        return None


def order_row(order: SimulatedOrder) -> Row:
    """An order, in pushes and answers."""
    terms, filled, left = order.terms, order.filled_quantity, order.left if order.is_open else Decimal(0)
    cancel, reject = _REASONS[order.reason]
    if order.reason == "expiry" and terms.kind == "option":
        cancel = "CancelByDelivery"
    return {
        "category": terms.market,
        "symbol": terms.symbol,
        "orderId": order_id(order.id, terms),
        "orderLinkId": order.client_order_id or "",
        "blockTradeId": "",
        "side": SIDES[order.side],
        "positionIdx": _POSITION_IDX[order.position_side],
        "orderStatus": _status(order),
        "createType": _CREATE_TYPES[order.kind],
        "cancelType": cancel,
        "rejectReason": reject,
        "timeInForce": "PostOnly" if order.post_only else _TIMES_IN_FORCE[order.time_in_force],
        "isLeverage": "0" if terms.kind == "spot" else "",
        "price": text(order.price),
        "qty": text(order.quantity),
        "marketUnit": "baseCoin" if terms.kind == "spot" and order.type == "market" else "",
        "avgPrice": text(order.average_price) if filled else "",
        "leavesQty": text(left),
        "leavesValue": text(left * order.price),
        "cumExecQty": text(filled),
        "cumExecValue": text(sum((fill.value for fill in order.fills), Decimal(0))),
        "cumExecFee": text(order.fee),
        "cumFeeDetail": {order.fee_currency: text(order.fee)} if order.fills else {},
        "feeCurrency": "",
        "closedPnl": text(sum((fill.realized_pnl for fill in order.fills), Decimal(0))),
        "orderType": "Market" if order.type == "market" else "Limit",
        "stopOrderType": "Stop" if order.trigger_price else "",
        "orderIv": "",
        "triggerPrice": text(order.trigger_price) if order.trigger_price else "",
        "triggerBy": "LastPrice" if order.trigger_price else "",
        "triggerDirection": (1 if order.trigger_rises else 2) if order.trigger_price else 0,
        "takeProfit": "",
        "stopLoss": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "tpLimitPrice": "0",
        "slLimitPrice": "0",
        "tpslMode": "UNKNOWN",
        "ocoTriggerBy": "",
        "placeType": "",
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": False,
        "lastPriceOnCreated": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "slippageTolerance": "0",
        "slippageToleranceType": "UNKNOWN",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }


def execution_row(fill: SimulatedFill, order: SimulatedOrder | None) -> Row:
    """A fill, in pushes and answers.

    Args:
        fill: the fill.
        order: its order, if it is known.
    """
    return {
        **_execution(fill.terms.market, fill.terms.symbol, uuid_of(fill.trade_id, FILL), fill.trade_id),
        "closedSize": "" if fill.terms.kind == "spot" else text(fill.closed_quantity),
        "execFee": text(fill.fee),
        "execPrice": text(fill.price),
        "execQty": text(fill.quantity),
        "execType": _exec_type(fill),
        "execValue": text(fill.value),
        "feeRate": text(fill.fee_rate),
        "feeCurrency": fill.fee_currency,
        "execPnl": "" if fill.terms.kind == "spot" else text(fill.realized_pnl),
        "leavesQty": "" if order is None else text(order.left),
        "orderId": order_id(fill.order_id, fill.terms),
        "orderLinkId": fill.client_order_id or "",
        "orderPrice": "" if order is None else text(order.price),
        "orderQty": "" if order is None else text(order.quantity),
        "orderType": "Limit" if order is None or order.type == "limit" else "Market",
        "stopOrderType": "Stop" if order is not None and order.trigger_price else "UNKNOWN",
        "createType": _CREATE_TYPES[fill.kind],
        "side": SIDES[fill.side],
        "execTime": str(fill.executed_ms),
        "isLeverage": "0",
        "isMaker": not fill.is_taker,
        "markPrice": text(fill.price),
    }


def _exec_type(fill: SimulatedFill) -> str:
    """An inverse future is settled, anything else delivered."""
    if fill.kind == "settlement" and fill.terms.kind == "inverse":
        return "Settle"
    return _EXEC_TYPES[fill.kind]


def funding_row(payment: Row) -> Row:
    """A payment of funding, which is an execution here: size and value are those of the position.

    Args:
        payment: its row of the transaction log, which says what is received: the opposite of a fee.
    """
    price, quantity, received = (Decimal(str(payment[name] or 0)) for name in ("tradePrice", "qty", "funding"))
    at_ms, number = str(payment["transactionTime"]), str(payment["id"]).rpartition("_")[2]
    seq = int(number) if number.isdigit() else 0
    return {
        **_execution(payment["category"], payment["symbol"], payment["tradeId"], seq),
        "closedSize": "0",
        "execFee": text(-received),
        "execPrice": text(price),
        "execQty": text(quantity),
        "execType": "Funding",
        "execValue": text(_value(payment["category"] == INVERSE, quantity, price)),
        "feeRate": payment["feeRate"],
        "feeCurrency": payment["currency"],
        "execPnl": "0",
        "leavesQty": "0",
        "orderId": f"{at_ms[:-3]}-{payment['symbol']}-100000007-{payment['side']}",
        "orderLinkId": "",
        "orderPrice": "0",
        "orderQty": "0",
        "orderType": "UNKNOWN",
        "stopOrderType": "UNKNOWN",
        "createType": "",
        "side": payment["side"],
        "execTime": at_ms,
        "isLeverage": "0",
        "isMaker": False,
        "markPrice": text(price),
    }


def _execution(category: object, symbol: object, exec_id: object, number: int) -> Row:
    return {
        "category": category,
        "symbol": symbol,
        "execId": exec_id,
        "seq": number,
        "tradeIv": "",
        "markIv": "",
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "marketUnit": "",
        "extraFees": "",
    }


def position_row(position: SimulatedPosition, *, answer: bool = False) -> Row:
    """A position. The entry price has another name in answers.

    Args:
        position: the position.
        answer: whether the row is of an answer.
    """
    terms = position.terms
    side = {"long": "Buy", "short": "Sell"}[position.side] if position.quantity else ""
    return {
        "category": terms.market,
        "symbol": terms.symbol,
        "positionIdx": _POSITION_IDX[position.position_side],
        "side": side,
        "size": text(position.quantity),
        ("avgPrice" if answer else "entryPrice"): text(position.entry_price),
        "sessionAvgPrice": "",
        "leverage": str(terms.leverage),
        "positionValue": text(_value(terms.kind == "inverse", position.quantity, position.entry_price)),
        "markPrice": text(position.entry_price),
        "breakEvenPrice": "",
        "positionBalance": text(position.margin),
        "positionIM": text(position.margin),
        "positionMM": "0",
        "positionIMByMp": text(position.margin),
        "positionMMByMp": "0",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "unrealisedPnl": "0",
        "curRealisedPnl": text(position.holding_pnl),
        "cumRealisedPnl": text(position.realized_pnl),
        "liqPrice": text(position.liquidation_price) if position.quantity else "",
        "bustPrice": "",
        "positionStatus": "Normal",
        "adlRankIndicator": 0,
        "autoAddMargin": 0,
        "tradeMode": 0,
        "riskId": 1,
        "riskLimitValue": "",
        "tpslMode": "Full",
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": str(position.opened_ms),
        "updatedTime": str(position.updated_ms),
        "openTime": position.opened_ms if position.quantity else 0,
        "seq": position.updated_ms,
    }


def wallet_row(balances: Mapping[str, SimulatedBalance]) -> Row:
    """The account with some of its coins. Sums in USD say nothing under isolated margin.

    Args:
        balances: by coin.
    """
    sums = ("Equity", "WalletBalance", "MarginBalance", "AvailableBalance", "PerpUPL")
    rates = ("accountIMRate", "accountMMRate", "accountIMRateByMp", "accountMMRateByMp")
    margins = ("InitialMargin", "MaintenanceMargin", "InitialMarginByMp", "MaintenanceMarginByMp")
    return {
        **dict.fromkeys(rates, ""),
        **dict.fromkeys([f"total{name}" for name in (*sums, *margins)], ""),
        "accountLTV": "0",
        "accountType": UNIFIED,
        "coin": [_coin(coin, balance) for coin, balance in balances.items()],
    }


def _coin(coin: str, balance: SimulatedBalance) -> Row:
    return {
        "coin": coin,
        "equity": text(balance.total),
        "usdValue": "",
        "walletBalance": text(balance.total),
        "availableToWithdraw": "",
        "availableToBorrow": "",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "totalOrderIM": "0",
        "totalPositionIM": text(balance.margin),
        "totalPositionMM": "0",
        "unrealisedPnl": "0",
        "cumRealisedPnl": "0",
        "bonus": "0",
        "collateralSwitch": True,
        "marginCollateral": True,
        "locked": text(balance.locked),
        "spotHedgingQty": "0",
        "colRes": "0",
        "spotBorrow": "0",
    }


def _status(order: SimulatedOrder) -> str:
    if order.status == "canceled" and order.trigger_price and not order.is_triggered:
        return "Deactivated"
    if order.status == "canceled" and order.terms.kind == "spot" and order.filled_quantity:
        return "PartiallyFilledCanceled"
    return _STATUSES[order.status]


def _value(is_inverse: bool, quantity: Decimal, price: Decimal) -> Decimal:
    if is_inverse:
        return (quantity / price).quantize(CENT8) if price else Decimal(0)
    return quantity * price


def uuid_of(number: int, kind: int) -> str:
    """The UUID of an order, a fill or a payment of funding."""
    return str(UUID(int=number << 64 | kind))


def text(number: Decimal) -> str:
    """Digits without an exponent, as the exchange writes them."""
    return f"{number:f}"
