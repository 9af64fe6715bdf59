"""Converts Bitget's objects to records: orders, conditional orders, fills, positions, balances, instruments.

All values are texts, and an empty text means that there is none. Pushes and answers call some fields by other names;
each function reads both. Its `around` are the undocumented fields of the frame around the object; they join the
object's own in `extra`. Source: bitget.com/docs/uta, the pages of the channels and of the REST paths.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from recorder.errors import Undecodable
from recorder.model import (
    MARKET,
    SHORT,
    AccountUpdate,
    Digits,
    FillUpdate,
    Instrument,
    OrderUpdate,
    PositionUpdate,
)
from recorder.venues.bitget import words
from recorder.venues.fields import Fields, as_object, digits, identifier, names, read_json, required, text, whole
from recorder.venues.fields import unknown as unknown_fields
from recorder.venues.values import extra_text, negative, total, unless_zero

Around = Mapping[str, str]

#: The documented fields of each object, as pushed and as answered.
ORDER = """
  category symbol orderId clientOid price qty amount holdMode holdSide delegateType tradeSide orderType timeInForce side
  marginMode marginCoin reduceOnly cumExecQty cumExecValue avgPrice totalProfit orderStatus cancelReason leverage
  feeDetail createdTime updatedTime stpMode requestId"""
REST_ORDER = """
  orderId clientOid category symbol orderType side price qty amount cumExecQty cumExecValue avgPrice timeInForce
  orderStatus posSide holdMode tradeSide delegateType reduceOnly marginMode stpMode takeProfit stopLoss tpTriggerBy
  slTriggerBy tpOrderType slOrderType tpLimitPrice slLimitPrice feeDetail cancelReason execType createdTime
  updatedTime"""
FILL = """
  category symbol orderId clientOid execId execLinkId orderType side holdSide tradeSide execPrice execQty execValue
  execPnl tradeScope feeDetail execTime updatedTime isRPI"""
REST_FILL = """
  execId execLinkId orderId clientOid category symbol orderType side posSide execPrice execQty execValue tradeScope
  tradeSide feeDetail createdTime updatedTime execPnl isRPI"""
STRATEGY = """
  category symbol orderId clientOid qty side posSide reduceOnly type tpslMode status triggerType takeProfit stopLoss
  tpTriggerBy slTriggerBy tpOrderType slOrderType tpLimitPrice slLimitPrice triggerBy triggerPrice triggerOrderType
  triggerOrderPrice createdTime updatedTime"""
POSITION = """
  symbol marginCoin marginSize marginMode posSide holdMode positionStatus size available frozen avgPrice leverage
  curRealisedPnl unrealisedPnl liqPrice mmr marginRate markPrice breakEvenPrice profitRate totalFundingFee cashDividend
  openFeeTotal closeFeeTotal createdTime updatedTime"""
REST_POSITION = """
  category symbol marginCoin posSide positionBalance available frozen total leverage curRealisedPnl avgPrice marginMode
  positionStatus holdMode unrealisedPnl liquidationPrice mmr marginRate profitRate markPrice breakEvenPrice totalFunding
  openFeeTotal closeFeeTotal cashDividend createdTime updatedTime"""
#: A coin of the account, and the sums around it.
COIN = "coin equity usdValue balance available locked borrow debts bonus"
ACCOUNT = "totalEquity effEquity imr mmr mgnRatio positionMgnRatio unrealisedPnL bonus"
REST_COIN = "coin equity usdValue balance balanceOriginal available debt locked interestBase bonus"
REST_ACCOUNT = """
  accountEquity usdtEquity btcEquity unrealisedPnl usdtUnrealisedPnl btcUnrealizedPnl effEquity mmr imr mgnRatio
  positionMgnRatio positionValue leverage bonus"""
FUNDING_COIN = "coin balance available frozen"
INSTRUMENT = """
  symbol category baseCoin quoteCoin buyLimitPriceRatio sellLimitPriceRatio feeRateUpRatio makerFeeRate takerFeeRate
  openCostUpRatio minOrderQty maxOrderQty maxMarketOrderQty pricePrecision quantityPrecision quotePrecision
  priceMultiplier quantityMultiplier type symbolType minOrderAmount maxSymbolOrderNum maxProductOrderNum maxPositionNum
  status offTime limitOpenTime deliveryTime deliveryStartTime deliveryPeriod launchTime fundInterval minLeverage
  maxLeverage maintainTime areaSymbol isReality isRwa isIsolatedBaseBorrowable isIsolatedQuotedBorrowable
  warningRiskRatio liquidationRiskRatio maxCrossedLeverage maxIsolatedLeverage userMinBorrow"""

_ORDER_FIELDS = names(ORDER, REST_ORDER)
_FILL_FIELDS = names(FILL, REST_FILL)
_STRATEGY_FIELDS = names(STRATEGY)
_POSITION_FIELDS = names(POSITION, REST_POSITION)
_COIN_FIELDS = names(COIN, REST_COIN)
_FUNDING_COIN_FIELDS = names(FUNDING_COIN)
_INSTRUMENT_FIELDS = names(INSTRUMENT)
_FEE_FIELDS = names("feeCoin fee")

#: More decimals than any amount has.
_DECIMALS_MAX = 40


def extra_of(around: Around, fields: Fields, known: frozenset[str], more: Around | None = None) -> str | None:
    """The column `extra`: undocumented fields around an object, its own, and those inside it."""
    return extra_text({**around, **unknown_fields(fields, known), **(more or {})})


def given_id(fields: Fields, name: str) -> str | None:
    """An id; `0` and an empty text are none."""
    value = identifier(fields, name)
    return None if value in {"", "0"} else value


def word(fields: Fields, *any_of: str) -> str | None:
    """The first of these fields that holds a word, in lower case."""
    return next((found for name in any_of if (found := words.lower(text(fields, name)))), None)


def symbol_in(fields: Fields) -> str | None:
    """A symbol, which some answers write in lower case."""
    symbol = text(fields, "symbol")
    return symbol.upper() if symbol else None


def order_update(order: Fields, around: Around, event_ms: int | None, *, is_snapshot: int = 0) -> OrderUpdate:
    """The record of an order.

    Args:
        order: the row.
        around: undocumented fields of the frame.
        event_ms: when it was sent.
        is_snapshot: 1 if the row is part of a full state.
    """
    category, side = word(order, "category"), words.SIDES.get(word(order, "side"))
    order_type = words.ORDER_TYPES.get(word(order, "orderType"))
    time_in_force, post_only = words.TIMES_IN_FORCE.get(word(order, "timeInForce"), (None, None))
    # A spot market order to buy is placed for money.
    is_for_money = words.kind_of(category) == "spot" and order_type == MARKET and side == "buy"
    money = unless_zero(digits(order, "amount")) if is_for_money else None
    fee, fee_currency, more = fee_of(order)
    status = word(order, "orderStatus")
    return OrderUpdate(
        event_ms=event_ms,
        is_snapshot=is_snapshot,
        is_partial=0,
        market=category,
        symbol=symbol_in(order),
        order_id=required(given_id(order, "orderId"), "orderId"),
        client_order_id=text(order, "clientOid") or None,
        side=side,
        position_side=_hedged_side(order, "holdSide", "posSide"),
        order_type=order_type,
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=words.FLAGS.get(word(order, "reduceOnly")),
        price=unless_zero(digits(order, "price")),
        quantity=digits(order, "qty") if money is None else None,
        quote_quantity=money,
        filled_quantity=digits(order, "cumExecQty"),
        average_price=unless_zero(digits(order, "avgPrice")),
        status=words.STATUSES.get(status),
        venue_status=text(order, "orderStatus") or None,
        reason=text(order, "cancelReason") or None,
        fee=fee,
        fee_currency=fee_currency,
        created_ms=whole(order, "createdTime"),
        updated_ms=whole(order, "updatedTime"),
        extra=extra_of(around, order, _ORDER_FIELDS, more),
    )


def _hedged_side(fields: Fields, *any_of: str) -> str | None:
    """The side of a position, in hedge mode only."""
    return words.POSITION_SIDES.get(word(fields, *any_of)) if word(fields, "holdMode") == words.HEDGE_MODE else None


def fee_of(row: Fields) -> tuple[Digits | None, str | None, dict[str, str]]:
    """What was paid, its coin, and undocumented fields of `feeDetail`; nothing was if it names no coin.

    A fee in several coins has no amount. `feeDetail` is a list of objects; it was also met as one object, as a text
    that holds either, and empty.
    """
    detail = row.get("feeDetail")
    if type(detail) is str:
        try:
            detail = read_json(detail.encode()) if detail else None
        except (Undecodable, UnicodeError, msgspec.DecodeError, RecursionError):
            return None, None, {}
    listed = detail if type(detail) is list else [] if detail is None else [detail]
    paid: dict[str, list[Digits]] = {}
    more: dict[str, str] = {}
    for place, one in enumerate(listed):
        fee = as_object(one, "feeDetail")
        more |= unknown_fields(fee, _FEE_FIELDS, f"feeDetail.{place}.")
        coin, amount = text(fee, "feeCoin"), digits(fee, "fee")
        if coin and amount is not None:
            paid.setdefault(coin, []).append(amount)
    sums = {coin: amounts[0] if len(amounts) == 1 else total(*amounts) for coin, amounts in paid.items()}
    counted = {coin: amount for coin, amount in sums.items() if unless_zero(amount)} or sums
    if len(counted) != 1:
        return None, None, more
    ((coin, amount),) = counted.items()
    return amount, coin, more


def fill_update(fill: Fields, around: Around, event_ms: int | None) -> FillUpdate:
    """The record of an execution, pushed or answered."""
    trade_side = word(fill, "tradeSide")
    # In one-way mode, `tradeSide` is `buy_single` and the like.
    side = None if trade_side and "single" in trade_side else word(fill, "holdSide", "posSide")
    category = word(fill, "category")
    at_ms = whole(fill, "execTime")
    fee, fee_currency, more = fee_of(fill)
    is_spot = words.kind_of(category) == "spot"
    return FillUpdate(
        event_ms=event_ms,
        is_snapshot=0,
        trade_id=given_id(fill, "execId"),
        order_id=given_id(fill, "orderId"),
        client_order_id=text(fill, "clientOid") or None,
        market=category,
        symbol=symbol_in(fill),
        side=words.SIDES.get(word(fill, "side")),
        position_side=None if is_spot else words.POSITION_SIDES.get(side),
        price=digits(fill, "execPrice"),
        quantity=digits(fill, "execQty"),
        fee=fee,
        fee_currency=fee_currency,
        liquidity=words.LIQUIDITY.get(word(fill, "tradeScope")),
        realized_pnl=None if is_spot else digits(fill, "execPnl"),  # 0 on spot, whatever was sold
        kind=words.fill_kind(trade_side),
        executed_ms=whole(fill, "createdTime") if at_ms is None else at_ms,
        extra=extra_of(around, fill, _FILL_FIELDS, more),
    )


def strategy_update(order: Fields, around: Around, event_ms: int | None, *, is_snapshot: int = 0) -> OrderUpdate:
    """The record of a conditional order. What it became is another order, with an id of its own."""
    triggers = [
        (trigger, words.ORDER_TYPES.get(word(order, kind)), unless_zero(digits(order, price)))
        for name, kind, price in (
            ("triggerPrice", "triggerOrderType", "triggerOrderPrice"),
            ("takeProfit", "tpOrderType", "tpLimitPrice"),
            ("stopLoss", "slOrderType", "slLimitPrice"),
        )
        if (trigger := unless_zero(digits(order, name))) is not None
    ]
    trigger, order_type, price = triggers[0] if len(triggers) == 1 else (None, None, None)
    return OrderUpdate(
        event_ms=event_ms,
        is_snapshot=is_snapshot,
        is_partial=0,
        market=word(order, "category"),
        symbol=symbol_in(order),
        order_id=required(given_id(order, "orderId"), "orderId"),
        client_order_id=text(order, "clientOid") or None,
        side=words.SIDES.get(word(order, "side")),
        position_side=words.POSITION_SIDES.get(word(order, "posSide")),
        order_type=order_type,
        reduce_only=words.FLAGS.get(word(order, "reduceOnly")),
        price=price,
        trigger_price=trigger,
        quantity=digits(order, "qty"),
        status=words.STRATEGY_STATUSES.get(word(order, "status")),
        venue_status=text(order, "status") or None,
        created_ms=whole(order, "createdTime"),
        updated_ms=whole(order, "updatedTime"),
        extra=extra_of(around, order, _STRATEGY_FIELDS),
    )


def position_update(position: Fields, around: Around, event_ms: int | None, *, is_snapshot: int = 0) -> PositionUpdate:
    """The record of a position. Its quantity is never negative there; the side says whether it is short."""
    symbol = required(symbol_in(position), "symbol")
    mode = word(position, "marginMode")
    side = words.POSITION_SIDES.get(word(position, "posSide"))
    quantity = _first(position, "size", "total")
    if quantity is not None and side == SHORT:
        quantity = negative(quantity)
    return PositionUpdate(
        event_ms=event_ms,
        is_snapshot=is_snapshot,
        is_partial=0,
        market=word(position, "category") or words.futures_line(symbol, text(position, "marginCoin")),
        symbol=symbol,
        position_side=_hedged_side(position, "posSide"),
        margin_mode=words.MARGIN_MODES.get(mode, mode),
        quantity=quantity,
        entry_price=unless_zero(digits(position, "avgPrice")),
        mark_price=unless_zero(digits(position, "markPrice")),
        liquidation_price=unless_zero(_first(position, "liqPrice", "liquidationPrice")),
        leverage=digits(position, "leverage"),
        margin=_first(position, "marginSize", "positionBalance"),
        unrealized_pnl=digits(position, "unrealisedPnl"),
        realized_pnl=digits(position, "curRealisedPnl"),
        updated_ms=whole(position, "updatedTime"),
        extra=extra_of(around, position, _POSITION_FIELDS),
    )


def _first(fields: Fields, *any_of: str) -> Digits | None:
    return next((found for name in any_of if (found := digits(fields, name)) is not None), None)


def flat_position(category: str, symbol: str, side: str | None, event_ms: int | None) -> PositionUpdate:
    """The record of a position that the answer to a question about it does not have."""
    return PositionUpdate(
        event_ms=event_ms,
        is_snapshot=1,
        is_partial=0,
        market=words.lower(category),
        symbol=symbol.upper(),
        position_side=words.POSITION_SIDES.get(words.lower(side)),
        quantity="0",
    )


def no_balance(wallet: str, currency: str, event_ms: int | None) -> AccountUpdate:
    """The record of a coin that the answer to a question about it does not have."""
    return AccountUpdate(
        event_ms=event_ms,
        is_snapshot=1,
        is_partial=0,
        wallet=wallet,
        currency=currency,
        balance="0",
        available="0",
        locked="0",
    )


def account_update(coin: Fields, around: Around, event_ms: int | None, *, is_snapshot: int) -> AccountUpdate:
    """The record of a coin in the unified account. What was borrowed makes its balance smaller, or negative."""
    return AccountUpdate(
        event_ms=event_ms,
        is_snapshot=is_snapshot,
        is_partial=0,
        wallet=words.UNIFIED,
        currency=required(text(coin, "coin"), "coin"),
        balance=digits(coin, "balance"),
        available=digits(coin, "available"),
        locked=digits(coin, "locked"),
        equity=digits(coin, "equity"),
        extra=extra_of(around, coin, _COIN_FIELDS),
    )


def funding_balance(coin: Fields, around: Around, event_ms: int | None) -> AccountUpdate:
    """The record of a coin in the funding account."""
    return AccountUpdate(
        event_ms=event_ms,
        is_snapshot=1,
        is_partial=0,
        wallet=words.FUNDING,
        currency=required(text(coin, "coin"), "coin"),
        balance=digits(coin, "balance"),
        available=digits(coin, "available"),
        locked=digits(coin, "frozen"),
        extra=extra_of(around, coin, _FUNDING_COIN_FIELDS),
    )


def instrument(row: Fields, around: Around, event_ms: int | None) -> Instrument:
    """What a symbol means. Quantities are in the base coin, even of COIN-margined contracts, so these have no size."""
    category = word(row, "category")
    base, quote = text(row, "baseCoin") or None, text(row, "quoteCoin") or None
    kind = words.kind_of(category)
    return Instrument(
        event_ms=event_ms,
        is_snapshot=1,
        market=category,
        symbol=required(symbol_in(row), "symbol"),
        kind=kind,
        base=base,
        quote=quote,
        settle=words.settle_coin(category, base, quote),
        contract_size="1" if kind in {"spot", "linear"} else None,
        price_tick=_step(row, "priceMultiplier", "pricePrecision"),
        quantity_step=_step(row, "quantityMultiplier", "quantityPrecision"),
        extra=extra_of(around, row, _INSTRUMENT_FIELDS),
    )


def _step(row: Fields, step: str, decimals: str) -> Digits | None:
    """A step, or that of the number of decimals."""
    told = unless_zero(digits(row, step))
    places = whole(row, decimals)
    if told is not None or places is None or not 0 <= places <= _DECIMALS_MAX:
        return told
    return f"{Decimal(1).scaleb(-places):f}"
