"""Converts Binance's objects to records: orders, conditional orders, fills.

Amounts are texts. In a function, `around` are the undocumented fields of the frame around the object; they join the
object's own in `extra`. Source: developers.binance.com, "USDⓈ-M Futures" and "COIN-M Futures", the pages of the user
data streams and of the REST paths.
"""

from collections.abc import Mapping
from typing import NamedTuple

from recorder.model import MAKER, TAKER, Digits, FillUpdate, OrderUpdate
from recorder.venues.binance import words
from recorder.venues.fields import Fields, digits, flag, identifier, names, required, text, unknown, whole
from recorder.venues.values import extra_text, unless_zero

Around = Mapping[str, str]

#: The documented fields of each object of a push.
ORDER = """
  s c S o f q p ap sp x X i l z L n N T t b a m R ps rp wt ot cp pP AP cr V pm gtd er M si ss st W ma"""
ALGO = "caid aid at o s S ps f q X ai ap aq act tp p V wt pm cp pP R tt gtd rm ia T"
#: The documented fields of each object of an answer.
REST_ORDER = """
  orderId symbol pair status clientOrderId price avgPrice origQty executedQty cumQuote cumQty cumBase timeInForce type
  origType reduceOnly closePosition side positionSide stopPrice workingType priceProtect priceMatch
  selfTradePreventionMode goodTillDate time updateTime activatePrice priceRate"""
REST_ALGO = """
  algoId clientAlgoId algoType orderType symbol side positionSide timeInForce quantity algoStatus actualOrderId
  actualPrice actualQty actualType triggerPrice price icebergQuantity tpTriggerPrice tpPrice slTriggerPrice slPrice
  tpOrderType slOrderType selfTradePreventionMode workingType priceMatch closePosition priceProtect reduceOnly
  activatePrice callbackRate createTime updateTime triggerTime goodTillDate"""
REST_FILL = """
  symbol pair id orderId side price qty realizedPnl quoteQty baseQty marginAsset commission commissionAsset time
  positionSide buyer maker"""

_ORDER_FIELDS = names(ORDER)
_ALGO_FIELDS = names(ALGO)
_REST_ORDER_FIELDS = names(REST_ORDER)
_REST_ALGO_FIELDS = names(REST_ALGO)
_REST_FILL_FIELDS = names(REST_FILL)


class Times(NamedTuple):
    """The times of a frame, milliseconds since 1970."""

    #: `E`, when it was sent.
    sent_ms: int | None
    #: `T`, when what it tells of happened.
    happened_ms: int | None


def extra_of(around: Around, fields: Fields, known: frozenset[str]) -> str | None:
    """The column `extra`: undocumented fields around an object and its own."""
    return extra_text({**around, **unknown(fields, known)})


def given_id(fields: Fields, name: str) -> str | None:
    """An id; 0, -1 and an empty text are none."""
    value = identifier(fields, name)
    return None if value in {"", "0", "-1"} else value


def either(fields: Fields, *names: str) -> int | None:
    """1 if one of these flags is set, 0 if none is; None if the venue has none of them."""
    given = [value for name in names if (value := flag(fields, name)) is not None]
    return max(given, default=None)


def _trigger(kind: str | None, stop: Digits | None, activation: Digits | None) -> Digits | None:
    """The price that triggers an order; of a trailing stop the one that activates it."""
    return unless_zero(activation if kind == words.TRAILING else stop)


def pushed_order(order: Fields, times: Times, around: Around) -> OrderUpdate:
    """The record of `o` in ORDER_TRADE_UPDATE. It does not repeat when the order was created."""
    time_in_force, post_only = words.TIMES_IN_FORCE.get(text(order, "f"), (None, None))
    updated_ms = whole(order, "T")
    updated_ms = times.happened_ms if updated_ms is None else updated_ms
    return OrderUpdate(
        event_ms=times.sent_ms,
        is_snapshot=0,
        is_partial=0,
        market=None,
        symbol=text(order, "s") or None,
        order_id=required(given_id(order, "i"), "o.i"),
        client_order_id=text(order, "c") or None,
        side=words.SIDES.get(text(order, "S")),
        position_side=words.POSITION_SIDES.get(text(order, "ps")),
        order_type=words.ORDER_TYPES.get(text(order, "o")),
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=either(order, "R", "cp"),
        price=unless_zero(digits(order, "p")),
        trigger_price=_trigger(text(order, "ot"), digits(order, "sp"), digits(order, "AP")),
        quantity=digits(order, "q"),
        filled_quantity=digits(order, "z"),
        average_price=unless_zero(digits(order, "ap")),
        status=words.STATUSES.get(text(order, "X")),
        venue_status=text(order, "X") or None,
        reason=given_id(order, "er"),
        created_ms=updated_ms if text(order, "x") == "NEW" else None,
        updated_ms=updated_ms,
        extra=extra_of(around, order, _ORDER_FIELDS),
    )


def pushed_fill(order: Fields, times: Times) -> FillUpdate | None:
    """The execution that ORDER_TRADE_UPDATE tells of; None if it tells of none.

    A liquidation is told with quantity 0 or without an id where nothing was executed.
    """
    execution, trade_id, quantity = text(order, "x"), given_id(order, "t"), digits(order, "l")
    is_told = execution in {words.TRADE, words.CALCULATED}
    if not is_told or trade_id is None or unless_zero(quantity) is None:
        return None
    is_maker, executed_ms = flag(order, "m"), whole(order, "T")
    client_order_id, fee = text(order, "c") or None, digits(order, "n")
    return FillUpdate(
        event_ms=times.sent_ms,
        trade_id=trade_id,
        order_id=given_id(order, "i"),
        client_order_id=client_order_id,
        symbol=text(order, "s") or None,
        side=words.SIDES.get(text(order, "S")),
        position_side=words.POSITION_SIDES.get(text(order, "ps")),
        price=digits(order, "L"),
        quantity=quantity,
        fee=fee,
        fee_currency=text(order, "N") or None,
        liquidity=_liquidity(is_maker),
        realized_pnl=digits(order, "rp"),
        kind=words.fill_kind(execution, client_order_id),
        executed_ms=times.happened_ms if executed_ms is None else executed_ms,
    )


def _liquidity(is_maker: int | None) -> str | None:
    return None if is_maker is None else MAKER if is_maker else TAKER


def pushed_algo(order: Fields, times: Times, around: Around) -> OrderUpdate:
    """The record of `o` in ALGO_UPDATE: a conditional order. What it becomes is an order of its own."""
    status = text(order, "X")
    is_new = status == "NEW" and not flag(order, "ia")
    return _algo(
        order,
        around,
        _ALGO_FIELDS,
        symbol=text(order, "s"),
        number=identifier(order, "aid"),
        client_id=text(order, "caid"),
        side=text(order, "S"),
        position_side=text(order, "ps"),
        kind=text(order, "o"),
        time_in_force=text(order, "f"),
        quantity=digits(order, "q"),
        price=digits(order, "p"),
        trigger_price=unless_zero(digits(order, "tp")),
        status=status,
        reason=text(order, "rm"),
    )._replace(
        event_ms=times.sent_ms,
        reduce_only=either(order, "R", "cp"),
        created_ms=times.happened_ms if is_new else None,
        updated_ms=times.happened_ms,
    )


def algo(order: Fields, around: Around, *, is_snapshot: int) -> OrderUpdate:
    """The record of a conditional order over REST."""
    kind = text(order, "orderType")
    return _algo(
        order,
        around,
        _REST_ALGO_FIELDS,
        symbol=text(order, "symbol"),
        number=identifier(order, "algoId"),
        client_id=text(order, "clientAlgoId"),
        side=text(order, "side"),
        position_side=text(order, "positionSide"),
        kind=kind,
        time_in_force=text(order, "timeInForce"),
        quantity=digits(order, "quantity"),
        price=digits(order, "price"),
        trigger_price=_trigger(kind, digits(order, "triggerPrice"), digits(order, "activatePrice")),
        status=text(order, "algoStatus"),
        reason=None,
    )._replace(
        is_snapshot=is_snapshot,
        reduce_only=either(order, "reduceOnly", "closePosition"),
        created_ms=whole(order, "createTime"),
        updated_ms=whole(order, "updateTime"),
    )


def _algo(
    order: Fields,
    around: Around,
    known: frozenset[str],
    *,
    symbol: str | None,
    number: str | None,
    client_id: str | None,
    side: str | None,
    position_side: str | None,
    kind: str | None,
    time_in_force: str | None,
    quantity: Digits | None,
    price: Digits | None,
    trigger_price: Digits | None,
    status: str | None,
    reason: str | None,
) -> OrderUpdate:
    in_force, post_only = words.TIMES_IN_FORCE.get(time_in_force, (None, None))
    return OrderUpdate(
        event_ms=None,
        is_snapshot=0,
        is_partial=0,
        market=None,
        symbol=symbol or None,
        order_id=words.ALGO + required(number, "algo id"),
        client_order_id=client_id or None,
        side=words.SIDES.get(side),
        position_side=words.POSITION_SIDES.get(position_side),
        order_type=words.ORDER_TYPES.get(kind),
        time_in_force=in_force,
        post_only=post_only,
        price=unless_zero(price),
        trigger_price=trigger_price,
        # One that closes a position has no quantity of its own.
        quantity=unless_zero(quantity),
        status=words.ALGO_STATUSES.get(status),
        venue_status=status or None,
        reason=reason or None,
        extra=extra_of(around, order, known),
    )


def order_update(order: Fields, around: Around, *, is_snapshot: int) -> OrderUpdate:
    """The record of an order over REST."""
    time_in_force, post_only = words.TIMES_IN_FORCE.get(text(order, "timeInForce"), (None, None))
    stop, activation = digits(order, "stopPrice"), digits(order, "activatePrice")
    return OrderUpdate(
        event_ms=None,
        is_snapshot=is_snapshot,
        is_partial=0,
        market=None,
        symbol=text(order, "symbol") or None,
        order_id=required(given_id(order, "orderId"), "orderId"),
        client_order_id=text(order, "clientOrderId") or None,
        side=words.SIDES.get(text(order, "side")),
        position_side=words.POSITION_SIDES.get(text(order, "positionSide")),
        order_type=words.ORDER_TYPES.get(text(order, "type")),
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=either(order, "reduceOnly", "closePosition"),
        price=unless_zero(digits(order, "price")),
        trigger_price=_trigger(text(order, "origType"), stop, activation),
        quantity=digits(order, "origQty"),
        filled_quantity=digits(order, "executedQty"),
        average_price=unless_zero(digits(order, "avgPrice")),
        status=words.STATUSES.get(text(order, "status")),
        venue_status=text(order, "status") or None,
        created_ms=whole(order, "time"),
        updated_ms=whole(order, "updateTime"),
        extra=extra_of(around, order, _REST_ORDER_FIELDS),
    )


def fill_update(fill: Fields, around: Around) -> FillUpdate:
    """The record of a fill over REST, which does not say of what kind it is."""
    return FillUpdate(
        trade_id=given_id(fill, "id"),
        order_id=given_id(fill, "orderId"),
        symbol=text(fill, "symbol") or None,
        side=words.SIDES.get(text(fill, "side")),
        position_side=words.POSITION_SIDES.get(text(fill, "positionSide")),
        price=digits(fill, "price"),
        quantity=digits(fill, "qty"),
        fee=digits(fill, "commission"),
        fee_currency=text(fill, "commissionAsset") or None,
        liquidity=_liquidity(flag(fill, "maker")),
        realized_pnl=digits(fill, "realizedPnl"),
        executed_ms=whole(fill, "time"),
        extra=extra_of(around, fill, _REST_FILL_FIELDS),
    )
