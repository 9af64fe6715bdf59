"""A simulated account in Bitget's words: orders, conditional orders and fills, with every documented field.

Source: bitget.com/docs/uta, the pages of the topics and of the REST paths. Quantities are in the base coin.
"""

from decimal import Decimal

import msgspec

from recorder.venues.bitget.answers import SUCCESS
from recorder.venues.bitget.portal import INST_TYPE
from recorder.venues.simulated import SimulatedFill, SimulatedOrder, Terms

Row = dict[str, object]

encode = msgspec.json.Encoder().encode

#: Ids have 19 digits. Conditional orders, executions, records and positions have numbers of their own.
ORDER, STRATEGY, EXECUTION, RECORD = 1_501_000 * 10**12, 1_601_000 * 10**12, 1_502_000 * 10**12, 1_503_000 * 10**12

_STATUSES = {
    "new": "live",
    "partially_filled": "partially_filled",
    "filled": "filled",
    "canceled": "cancelled",
    "rejected": "cancelled",
}
#: Why an order ended → `cancelReason`.
_REASONS = {
    None: "",
    "user": "normal_cancel",
    "post_only": "post_only_fill_cancel",
    "ioc": "ioc_not_full_cancel",
    "fok": "fok_not_full_cancel",
    "margin": "delegated_risk_order_cancel",
    "liquidation": "burst_cancel",
    "reduce_only": "trade_count_too_small",
}
#: Kind of a fill → how its `tradeSide` begins, and `execType` of its order.
_FORCED = {
    "trade": ("", "normal"),
    "liquidation": ("burst_", "liquidation"),
    "adl": ("dte_sys_adl_", "normal"),
    "settlement": ("delivery_", "delivery"),
}


def push(topic: str, rows: list[Row], now_ms: int) -> bytes:
    """A frame with these rows."""
    return encode({"action": "snapshot", "arg": {"instType": INST_TYPE, "topic": topic}, "data": rows, "ts": now_ms})


def answer(data: object, now_ms: int) -> bytes:
    """The answer to a request."""
    return encode({"code": SUCCESS, "msg": "success", "requestTime": now_ms, "data": data})


def page(rows: list[Row], now_ms: int, cursor: str = "") -> bytes:
    """The answer to a request for a list."""
    return answer({"list": rows, "cursor": cursor}, now_ms)


def refusal(code: str, message: str, now_ms: int) -> bytes:
    """The answer to a request that is refused."""
    return encode({"code": code, "msg": message, "requestTime": now_ms, "data": None})


def text(number: Decimal) -> str:
    """Digits without an exponent, as the exchange writes them."""
    return f"{number:f}"


def is_waiting(order: SimulatedOrder) -> bool:
    """Whether it waits for its trigger, or ended before: then it is a conditional order."""
    return bool(order.trigger_price) and not order.is_triggered


def number_of(order_id: str) -> int | None:
    """The order that an id names; None if it is no id of this exchange."""
    if not (order_id.isascii() and order_id.isdigit()):
        return None
    number = int(order_id)
    return number - (STRATEGY if number >= STRATEGY else ORDER)


def hold_mode(terms: Terms) -> str:
    """How the exchange calls hedge mode, and its absence."""
    return "hedge_mode" if terms.hedged else "one_way_mode"


def _fees(fee: Decimal, coin: str) -> list[Row]:
    return [{"feeCoin": coin, "fee": text(fee)}]


def _trade_side(terms: Terms, side: str, position_side: str | None, kind: str = "trade") -> str:
    """What a trade does: to a position in hedge mode, else which way it goes."""
    if terms.kind == "spot":
        return ""
    begin = _FORCED[kind][0]
    if position_side is None:
        if kind == "adl":
            return f"{begin}{side}_in_single_side_mode"
        return f"{begin}{side}_single"
    closes = (side == "sell") == (position_side == "long")
    return f"{begin}close_{position_side}" if begin else "close" if closes else "open"


def order_row(order: SimulatedOrder, *, is_push: bool) -> Row:
    """An order, in pushes or in answers."""
    terms, is_spot = order.terms, order.terms.kind == "spot"
    side = "" if is_spot else order.position_side or ("long" if order.side == "buy" else "short")
    row: Row = {
        "category": terms.market if is_push else str(terms.market).upper(),
        "symbol": terms.symbol,
        "orderId": str(ORDER + order.id),
        "clientOid": order.client_order_id or "",
        "price": text(order.price) if order.type == "limit" else "",
        "qty": text(order.quantity),
        "amount": "",
        "holdMode": "" if is_spot else hold_mode(terms),
        "holdSide" if is_push else "posSide": side,
        "delegateType": "normal",
        "tradeSide": _trade_side(terms, order.side, order.position_side, order.kind),
        "orderType": order.type,
        "timeInForce": "post_only" if order.post_only else order.time_in_force,
        "side": order.side,
        "marginMode": "" if is_spot else "crossed",
        "reduceOnly": "yes" if order.reduce_only else "no",
        "cumExecQty": text(order.filled_quantity),
        "cumExecValue": text(order.notional),
        "avgPrice": text(order.average_price) if order.filled_quantity else "0",
        "orderStatus": _STATUSES[order.status],
        "cancelReason": _REASONS[order.reason] if order.status in {"canceled", "rejected"} else "",
        "feeDetail": _fees(order.fee, order.fee_currency),
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
        "stpMode": "none",
    }
    if not is_push:
        return {**row, "execType": _FORCED[order.kind][1]}
    profit = sum((one.realized_pnl for one in order.fills), Decimal(0))
    return {
        **row,
        "marginCoin": "" if is_spot else terms.settle,
        "totalProfit": text(profit),
        "leverage": "" if is_spot else str(terms.leverage),
    }


def strategy_row(order: SimulatedOrder, *, is_push: bool, status: str | None = None) -> Row:
    """A conditional order.

    Args:
        order: the order.
        is_push: whether it is pushed; answers write its category in capitals.
        status: where it is not the order's own, because it is another order now.
    """
    terms = order.terms
    own = {"pending": "pending", "rejected": "failed"}.get(order.status, "cancelled")
    return {
        "category": terms.market if is_push else str(terms.market).upper(),
        "symbol": terms.symbol,
        "orderId": str(STRATEGY + order.id),
        "clientOid": order.client_order_id or "",
        "qty": text(order.quantity),
        "side": order.side,
        "posSide": order.position_side or "",
        "reduceOnly": "yes" if order.reduce_only else "no",
        "type": "trigger",
        "status": status or own,
        "triggerType": "",
        "takeProfit": "",
        "stopLoss": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "tpOrderType": "",
        "slOrderType": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "triggerBy": "market",
        "triggerPrice": text(order.trigger_price),
        "triggerOrderType": order.type,
        "triggerOrderPrice": text(order.price) if order.type == "limit" else "",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
    }


def fill_row(fill: SimulatedFill, order_type: str, *, is_push: bool) -> Row:
    """An execution.

    Args:
        fill: the execution.
        order_type: of its order.
        is_push: whether it is pushed; answers call some fields by other names.
    """
    terms = fill.terms
    side = "" if terms.kind == "spot" else fill.position_side or ("long" if fill.side == "buy" else "short")
    return {
        "category": terms.market if is_push else str(terms.market).upper(),
        "symbol": terms.symbol,
        "orderId": str(ORDER + fill.order_id),
        "clientOid": fill.client_order_id or "",
        "execId": str(EXECUTION + fill.trade_id),
        "execLinkId": str(EXECUTION + fill.trade_id + 1),
        "orderType": order_type,
        "side": fill.side,
        "holdSide" if is_push else "posSide": side,
        "tradeSide": _trade_side(terms, fill.side, fill.position_side, fill.kind),
        "execPrice": text(fill.price),
        "execQty": text(fill.quantity),
        "execValue": text(fill.value),
        "execPnl": text(fill.realized_pnl),
        "tradeScope": "taker" if fill.is_taker else "maker",
        "feeDetail": _fees(fill.fee, fill.fee_currency),
        "execTime" if is_push else "createdTime": str(fill.executed_ms),
        "updatedTime": str(fill.executed_ms),
        "isRPI": "no",
    }
