"""A simulated account in OKX's words: the rows of its pushes and answers, with every documented field.

Source: okx.com/docs-v5, the pages of the channels and of the REST paths. A contract is of one unit of the base
currency, or of one dollar if inverse.
"""

from decimal import Decimal

import msgspec

from recorder.venues.okx.words import FUTURES, OPTION, SPOT, SWAP
from recorder.venues.simulated import (
    SimulatedFill,
    SimulatedOrder,
    Terms,
)

Row = dict[str, object]

encode = msgspec.json.Encoder().encode

UID = "512344556677889900"
#: Ids have 19 digits. Conditional orders, bills and positions have id spaces of their own.
ORDER, ALGO, BILL, POSITION = 3_967_000 * 10**12, 4_100_000 * 10**12, 3_800_000 * 10**12, 3_500_000 * 10**12

_STATES = {
    "new": "live",
    "partially_filled": "partially_filled",
    "filled": "filled",
    "canceled": "canceled",
    "rejected": "canceled",
}
#: Why an order ended → `cancelSource`.
_REASONS = {
    None: "",
    "user": "1",
    "post_only": "31",
    "ioc": "14",
    "fok": "13",
    "margin": "0",
    "liquidation": "6",
    "reduce_only": "21",
    "expiry": "7",
}
#: What made an order → `category`.
_CATEGORIES = {"trade": "normal", "liquidation": "full_liquidation", "adl": "adl", "settlement": "delivery"}
_SIGN = {"buy": 1, "sell": -1}


def push(channel: str, row: Row, **around: object) -> bytes:
    """A frame with one row."""
    arg: dict[str, str] = {"channel": channel, "uid": UID}
    if channel in {"orders", "positions", "orders-algo", "algo-advance"}:
        arg["instType"] = "ANY"
    return encode({"arg": arg, **around, "data": [row]})


def answer(rows: list[Row]) -> bytes:
    """The answer to a request."""
    return encode({"code": "0", "msg": "", "data": rows})


def refusal(code: str, message: str) -> bytes:
    """The answer to a request that is refused."""
    return encode({"code": code, "msg": message, "data": []})


def text(number: Decimal) -> str:
    """Digits without an exponent, as the exchange writes them."""
    return f"{number:f}"


def inst_type(terms: Terms) -> str:
    """The product line of an instrument."""
    if terms.kind == "spot":
        return SPOT
    if terms.kind == "option":
        return OPTION
    return SWAP if terms.symbol.endswith(SWAP) else FUTURES


def is_waiting(order: SimulatedOrder) -> bool:
    """Whether it waits for its trigger, or ended before: then it is a conditional order."""
    return bool(order.trigger_price) and not order.is_triggered


def order_id(order: SimulatedOrder) -> str:
    """The id of an order, or of the conditional order that it is."""
    return str((ALGO if is_waiting(order) else ORDER) + order.id)


def number_of(order_id: str) -> int | None:
    """The order that an id names; None if it is no id of this exchange."""
    if not (order_id.isascii() and order_id.isdigit()):
        return None
    number = int(order_id)
    return number - (ALGO if number >= ALGO else ORDER)


def trade_id(fill: SimulatedFill, *, is_push: bool) -> str:
    """The id of a fill: that of a liquidation is negative in answers, and 0 in pushes."""
    if fill.kind == "liquidation":
        return "0" if is_push else str(-fill.trade_id)
    return str(fill.trade_id)


def _position_side(terms: Terms, side: str | None) -> str:
    return "" if terms.kind == "spot" else side or "net"


def order_row(order: SimulatedOrder, fill: SimulatedFill | None = None) -> Row:
    """An order, in pushes and answers.

    Args:
        order: the order.
        fill: the execution that a push tells of; in answers the last one.
    """
    terms, filled = order.terms, order.filled_quantity
    row: Row = {
        "instType": inst_type(terms),
        "instId": terms.symbol,
        "tgtCcy": "base_ccy" if terms.kind == "spot" and order.type == "market" else "",
        "ccy": "",
        "tradeQuoteCcy": terms.quote if terms.kind == "spot" else "",
        "ordId": str(ORDER + order.id),
        "clOrdId": order.client_order_id or "",
        "algoClOrdId": "",
        "algoId": str(ALGO + order.id) if order.trigger_price else "",
        "tag": "",
        "px": text(order.price) if order.type == "limit" else "",
        "sz": text(order.quantity),
        "notionalUsd": "",
        "ordType": _order_type(order),
        "side": order.side,
        "posSide": _position_side(terms, order.position_side),
        "tdMode": "cash" if terms.kind == "spot" else "cross",
        "accFillSz": text(filled),
        "fillNotionalUsd": "",
        "avgPx": text(order.average_price) if filled else "",
        "state": _STATES[order.status],
        "lever": "0" if terms.kind == "spot" else str(terms.leverage),
        "pnl": text(sum((one.realized_pnl for one in order.fills), Decimal(0))),
        "feeCcy": order.fee_currency,
        "fee": text(-order.fee),
        "rebateCcy": order.fee_currency,
        "rebate": "0",
        "category": _CATEGORIES[order.kind],
        "uTime": str(order.updated_ms),
        "cTime": str(order.created_ms),
        "source": "6" if order.trigger_price else "",
        "reduceOnly": "true" if order.reduce_only else "false",
        "cancelSource": _cancel_source(order) if order.status in {"canceled", "rejected"} else "",
        "quickMgnType": "",
        "stpId": "",
        "stpMode": "cancel_maker",
        "attachAlgoClOrdId": "",
        "outcome": "",
        "isTpLimit": "false",
        "slTriggerPx": "",
        "slTriggerPxType": "",
        "tpOrdPx": "",
        "tpTriggerPx": "",
        "tpTriggerPxType": "",
        "slOrdPx": "",
        "fillPx": text(fill.price) if fill else "",
        "tradeId": trade_id(fill, is_push=True) if fill else "",
        "fillSz": text(fill.quantity) if fill else "0",
        "fillTime": str(fill.executed_ms) if fill else "",
        "fillPnl": text(fill.realized_pnl) if fill else "0",
        "fillFee": text(-fill.fee) if fill else "0",
        "fillFeeCcy": fill.fee_currency if fill else "",
        "execType": _liquidity(fill) if fill else "",
        "fillPxVol": "",
        "fillPxUsd": "",
        "fillMarkVol": "",
        "fillFwdPx": "",
        "fillMarkPx": "",
        "fillIdxPx": "",
        "lastPx": "",
        "amendSource": "",
        "reqId": "",
        "amendResult": "",
        "code": "0",
        "msg": "",
        "pxType": "",
        "pxUsd": "",
        "pxVol": "",
        "linkedAlgoOrd": {"algoId": str(ALGO + order.id) if order.trigger_price else ""},
        "attachAlgoOrds": [],
    }
    return row


#: Fields of an order that only pushes have.
ONLY_PUSHED = ("code", "msg", "fillFee", "fillFeeCcy", "fillPnl", "execType", "lastPx", "notionalUsd", "reqId")


def _order_type(order: SimulatedOrder) -> str:
    if order.type == "market":
        return "market"
    return "post_only" if order.post_only else {"gtc": "limit"}.get(order.time_in_force, order.time_in_force)


def _cancel_source(order: SimulatedOrder) -> str:
    return "10" if order.reason == "expiry" and order.terms.kind == "option" else _REASONS[order.reason]


def sub_type(fill: SimulatedFill) -> str:
    """What a fill was: bought or sold, or of a long or a short position that the exchange ended."""
    sold, bought = {"liquidation": ("104", "105"), "adl": ("125", "126"), "settlement": ("112", "113")}.get(
        fill.kind, ("2", "1")
    )
    return bought if fill.side == "buy" else sold


def _liquidity(fill: SimulatedFill) -> str:
    return "" if fill.kind == "liquidation" else "T" if fill.is_taker else "M"


def algo_row(order: SimulatedOrder, state: str | None = None) -> Row:
    """A conditional order, in pushes and answers.

    Args:
        order: the order.
        state: where it is not the order's own, because it is another order now.
    """
    terms = order.terms
    became = [str(ORDER + order.id)] if order.is_triggered else []
    return {
        "actualPx": "",
        "actualSide": "",
        "actualSz": text(order.quantity) if became else "0",
        "algoClOrdId": order.client_order_id or "",
        "algoId": str(ALGO + order.id),
        "amendPxOnTriggerType": "0",
        "amendResult": "",
        "attachAlgoOrds": [],
        "cTime": str(order.created_ms),
        "ccy": "",
        "clOrdId": "",
        "closeFraction": "",
        "failCode": "",
        "instId": terms.symbol,
        "instType": inst_type(terms),
        "isTradeBorrowMode": "",
        "last": "",
        "lever": str(terms.leverage),
        "linkedOrd": {"ordId": ""},
        "notionalUsd": "",
        "ordId": became[0] if became else "",
        "ordIdList": became,
        "ordPx": text(order.price) if order.type == "limit" else "-1",
        "ordType": "trigger",
        "posSide": _position_side(terms, order.position_side),
        "quickMgnType": "",
        "reduceOnly": "true" if order.reduce_only else "false",
        "reqId": "",
        "side": order.side,
        "slOrdPx": "",
        "slTriggerPx": "",
        "slTriggerPxType": "",
        "state": state or {"pending": "live", "rejected": "order_failed"}.get(order.status, "canceled"),
        "sz": text(order.quantity),
        "tag": "",
        "tdMode": "cash" if terms.kind == "spot" else "cross",
        "tgtCcy": "",
        "tpOrdPx": "",
        "tpTriggerPx": "",
        "tpTriggerPxType": "",
        "tradeQuoteCcy": "",
        "triggerPx": text(order.trigger_price),
        "triggerPxType": "last",
        "triggerTime": str(order.updated_ms) if became else "",
        "uTime": str(order.updated_ms),
    }


def fill_row(fill: SimulatedFill) -> Row:
    """A fill, in answers."""
    return {
        "instType": inst_type(fill.terms),
        "instId": fill.terms.symbol,
        "tradeId": trade_id(fill, is_push=False),
        "ordId": str(ORDER + fill.order_id),
        "clOrdId": fill.client_order_id or "",
        "billId": str(BILL + fill.trade_id),
        "subType": sub_type(fill),
        "tag": "",
        "fillPx": text(fill.price),
        "fillSz": text(fill.quantity),
        "fillIdxPx": "",
        "fillPnl": text(fill.realized_pnl),
        "fillPxVol": "",
        "fillPxUsd": "",
        "fillMarkVol": "",
        "fillFwdPx": "",
        "fillMarkPx": "",
        "side": fill.side,
        "posSide": fill.position_side or "net",
        "execType": _liquidity(fill),
        "feeCcy": fill.fee_currency,
        "fee": text(-fill.fee),
        "feeRate": text(-fill.fee_rate),
        "ts": str(fill.executed_ms),
        "fillTime": str(fill.executed_ms),
        "tradeQuoteCcy": fill.terms.quote if fill.terms.kind == "spot" else "",
    }
