"""A simulated account in Binance's words: the events of its pushes, and the orders and fills of its answers.

With every documented field. Source: developers.binance.com, "USDⓈ-M Futures" and "COIN-M Futures", the pages of the
user data streams and of the REST paths.
"""

from decimal import Decimal
from typing import Any

import msgspec

from recorder.venues.binance.words import ALGO
from recorder.venues.simulated import SimulatedFill, SimulatedOrder, Terms

Row = dict[str, Any]

encode = msgspec.json.Encoder().encode

#: Order ids have 19 digits, and conditional orders an id space of their own.
ORDER, ALGO_ID = 8_389_765_000 * 10**9, 4_000_001 * 10**9
#: Account alias of COIN-M, in each of its events.
ALIAS = "SgsR"

_STATUSES = {
    "new": "NEW",
    "partially_filled": "PARTIALLY_FILLED",
    "filled": "FILLED",
    "canceled": "CANCELED",
    "rejected": "REJECTED",
}
#: Why an order ended without the trader's wish → expiry reason.
_EXPIRED = {"ioc": "2", "fok": "10", "post_only": "11", "reduce_only": "4", "liquidation": "5", "expiry": "7"}


def text(number: Decimal) -> str:
    """Digits without an exponent and without zeros at the end, as most events have them."""
    digits = f"{number:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def position_side(side: str | None) -> str:
    """`BOTH` in one-way mode."""
    return "BOTH" if side is None else side.upper()


def event(name: str, terms: Terms | None, sent_ms: int, happened_ms: int, **more: object) -> bytes:
    """A frame of COIN-M has the account's alias."""
    alias = {"i": ALIAS} if terms is not None and terms.kind == "inverse" else {}
    return encode({"e": name, "T": happened_ms, "E": sent_ms, **alias, **more})


def is_waiting(order: SimulatedOrder) -> bool:
    """Whether it waits for its trigger, or ended before: then it is a conditional order."""
    return bool(order.trigger_price) and not order.is_triggered


def order_id(order: SimulatedOrder) -> str:
    """The id of an order as records have it."""
    return f"{ALGO}{ALGO_ID + order.id}" if is_waiting(order) else str(ORDER + order.id)


def number_of(order_id: str) -> int | None:
    """The order that an id of a record names; None if it is no id of this exchange."""
    digits = order_id.removeprefix(ALGO)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return None
    return int(digits) - (ALGO_ID if order_id.startswith(ALGO) else ORDER)


def client_id(order: SimulatedOrder | SimulatedFill) -> str:
    """The client order id: the exchange makes one where the client has not, and for orders of its own."""
    number = order.id if isinstance(order, SimulatedOrder) else order.order_id
    if order.kind == "settlement":
        return f"{'delivery' if order.terms.kind == 'inverse' else 'settlement'}_autoclose-{number}"
    if order.kind != "trade":
        return f"{'adl_' if order.kind == 'adl' else ''}autoclose-{number}"
    return order.client_order_id or f"web_{number}"


def order_type(order: SimulatedOrder) -> str:
    """The type that an order was placed with."""
    if not order.trigger_price:
        return "LIMIT" if order.type == "limit" else "MARKET"
    return "STOP" if order.type == "limit" else "STOP_MARKET"


def _type_now(order: SimulatedOrder) -> str:
    if order.kind == "liquidation":
        return "LIQUIDATION"
    return "LIMIT" if order.type == "limit" else "MARKET"


def _in_force(order: SimulatedOrder) -> str:
    return "GTX" if order.post_only else order.time_in_force.upper()


def _status(order: SimulatedOrder) -> str:
    if order.status == "canceled" and order.reason in _EXPIRED:
        return "EXPIRED"
    return _STATUSES[order.status]


def _price(order: SimulatedOrder) -> str:
    return text(order.price) if order.type == "limit" else "0"


def order_push(order: SimulatedOrder, fill: SimulatedFill | None, sent_ms: int, *, is_first: bool) -> bytes:
    """ORDER_TRADE_UPDATE.

    Args:
        order: the order.
        fill: what was executed of it.
        sent_ms: when it is pushed, milliseconds since 1970.
        is_first: whether the order was not pushed before.
    """
    terms, status = order.terms, _status(order)
    if fill is not None:
        happened = "TRADE" if fill.kind == "trade" else "CALCULATED"
    else:
        happened = status if not order.is_open else "NEW" if is_first else "AMENDMENT"
    execution: Row = {"l": "0", "L": "0", "t": 0, "m": False, "rp": "0"}
    if fill is not None:
        execution = {
            "l": text(fill.quantity),
            "L": text(fill.price),
            "n": text(fill.fee),
            "N": fill.fee_currency,
            "t": fill.trade_id,
            "m": not fill.is_taker,
            "rp": text(fill.realized_pnl),
        }
    row: Row = {
        "s": terms.symbol,
        "c": client_id(order),
        "S": order.side.upper(),
        "o": _type_now(order),
        "f": _in_force(order),
        "q": text(order.quantity),
        "p": _price(order),
        "ap": text(order.average_price),
        "sp": text(order.trigger_price),
        "x": happened,
        "X": status,
        "i": ORDER + order.id,
        "z": text(order.filled_quantity),
        "T": order.updated_ms,
        "b": "0",
        "a": "0",
        **execution,
        "R": order.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": order_type(order) if order.kind != "liquidation" else "LIQUIDATION",
        "ps": position_side(order.position_side),
        "cp": False,
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "gtd": 0,
        "er": _EXPIRED.get(order.reason or "", "0") if status == "EXPIRED" else "0",
    }
    if terms.kind == "inverse":
        row["ma"] = terms.settle
    return event("ORDER_TRADE_UPDATE", terms, sent_ms, order.updated_ms, o=row)


def lite_push(order: SimulatedOrder, fill: SimulatedFill, sent_ms: int) -> bytes:
    """TRADE_LITE, whose numbers have all their digits."""
    return event(
        "TRADE_LITE",
        None,
        sent_ms,
        fill.executed_ms,
        s=fill.terms.symbol,
        q=f"{order.quantity:f}",
        p=f"{order.price:f}" if order.type == "limit" else "0",
        m=not fill.is_taker,
        c=client_id(fill),
        S=fill.side.upper(),
        L=f"{fill.price:f}",
        l=f"{fill.quantity:f}",
        t=fill.trade_id,
        i=ORDER + fill.order_id,
    )


def algo_push(order: SimulatedOrder, sent_ms: int) -> bytes:
    """ALGO_UPDATE, of an order that waits, or is triggered."""
    row: Row = {
        "caid": order.client_order_id or f"algo_{order.id}",
        "aid": ALGO_ID + order.id,
        "at": "CONDITIONAL",
        "o": order_type(order),
        "s": order.terms.symbol,
        "S": order.side.upper(),
        "ps": position_side(order.position_side),
        "f": _in_force(order),
        "q": text(order.quantity),
        "X": _algo_status(order, "TRIGGERED"),
        "ai": str(ORDER + order.id) if order.is_triggered else "",
        "tp": text(order.trigger_price),
        "p": _price(order),
        "V": "EXPIRE_MAKER",
        "wt": "CONTRACT_PRICE",
        "pm": "NONE",
        "cp": False,
        "pP": False,
        "R": order.reduce_only,
        "tt": order.updated_ms if order.is_triggered else 0,
        "gtd": 0,
        "ia": False,
    }
    if order.is_triggered:
        row |= {"ap": "0", "aq": "0", "act": _type_now(order)}
    if order.status == "rejected":
        row["rm"] = "Margin is insufficient."
    return event("ALGO_UPDATE", order.terms, sent_ms, order.updated_ms, o=row)


def _algo_status(order: SimulatedOrder, triggered: str) -> str:
    if order.is_triggered:
        return triggered
    return {"pending": "NEW", "rejected": "REJECTED"}.get(order.status, "CANCELED")


def order_row(order: SimulatedOrder) -> Row:
    """An order, in answers."""
    coin_m = order.terms.kind == "inverse"
    return {
        "orderId": ORDER + order.id,
        "symbol": order.terms.symbol,
        "pair": order.terms.symbol.partition("_")[0],
        "status": _STATUSES["new"] if order.status == "pending" else _status(order),
        "clientOrderId": client_id(order),
        "price": text(order.price) if order.type == "limit" else "0",
        "avgPrice": text(order.average_price),
        "origQty": text(order.quantity),
        "executedQty": text(order.filled_quantity),
        "cumBase" if coin_m else "cumQuote": text(order.notional),
        "timeInForce": _in_force(order),
        "type": _type_now(order),
        "origType": order_type(order),
        "reduceOnly": order.reduce_only,
        "closePosition": False,
        "side": order.side.upper(),
        "positionSide": position_side(order.position_side),
        "stopPrice": text(order.trigger_price),
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": 0,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def algo_row(order: SimulatedOrder) -> Row:
    """A conditional order that waits, or ended before its trigger was reached, in answers."""
    return algo_of(order_row(order), _algo_status(order, ""), order.client_order_id or f"algo_{order.id}")


def algo_of(order: Row, status: str = "", client_id: str = "") -> Row:
    """A conditional order, in answers.

    Args:
        order: the row of the order that it is, or became.
        status: its own; empty: it became the order.
        client_id: its own.
    """
    is_open = order["status"] in {"NEW", "PARTIALLY_FILLED"}
    return {
        "algoId": ALGO_ID + order["orderId"] - ORDER,
        "clientAlgoId": client_id or order["clientOrderId"],
        "algoType": "CONDITIONAL",
        "orderType": order["origType"],
        "symbol": order["symbol"],
        "side": order["side"],
        "positionSide": order["positionSide"],
        "timeInForce": order["timeInForce"],
        "quantity": order["origQty"],
        "algoStatus": status or ("TRIGGERED" if is_open else "FINISHED"),
        "actualOrderId": "" if status else str(order["orderId"]),
        "actualPrice": order["avgPrice"],
        "actualQty": order["executedQty"],
        "triggerPrice": order["stopPrice"],
        "price": order["price"],
        "icebergQuantity": None,
        "tpTriggerPrice": "0",
        "tpPrice": "0",
        "slTriggerPrice": "0",
        "slPrice": "0",
        "tpOrderType": "",
        "selfTradePreventionMode": order["selfTradePreventionMode"],
        "workingType": order["workingType"],
        "priceMatch": order["priceMatch"],
        "closePosition": order["closePosition"],
        "priceProtect": order["priceProtect"],
        "reduceOnly": order["reduceOnly"],
        "createTime": order["time"],
        "updateTime": order["updateTime"],
        "triggerTime": 0 if status else order["updateTime"],
        "goodTillDate": 0,
    }


def fill_row(fill: SimulatedFill) -> Row:
    """A fill, in answers."""
    inverse = fill.terms.kind == "inverse"
    return {
        "symbol": fill.terms.symbol,
        "pair": fill.terms.symbol.partition("_")[0],
        "id": fill.trade_id,
        "orderId": ORDER + fill.order_id,
        "side": fill.side.upper(),
        "price": text(fill.price),
        "qty": text(fill.quantity),
        "realizedPnl": text(fill.realized_pnl),
        "marginAsset": fill.terms.settle,
        "baseQty" if inverse else "quoteQty": text(fill.value),
        "commission": text(fill.fee),
        "commissionAsset": fill.fee_currency,
        "time": fill.executed_ms,
        "positionSide": position_side(fill.position_side),
        "buyer": fill.side == "buy",
        "maker": not fill.is_taker,
    }
