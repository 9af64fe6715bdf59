"""Converts OKX's objects to records: orders, conditional orders, fills, positions, balances, instruments.

All values are texts, and an empty text means that there is none. A function's `around` are the undocumented fields of
the frame around the object; they join the object's own in `extra`. Source: okx.com/docs-v5, the pages of the channels
and of the REST paths.
"""

from collections.abc import Mapping
from decimal import Decimal

from recorder.model import (
    LIMIT,
    MARKET,
    SHORT,
    AccountUpdate,
    Digits,
    FillUpdate,
    Instrument,
    OrderUpdate,
    PositionUpdate,
)
from recorder.venues.accounting import EXACT
from recorder.venues.fields import Fields, digits, identifier, names, required, text, unknown, whole
from recorder.venues.okx import words
from recorder.venues.values import difference, extra_text, negative, unless_zero

Around = Mapping[str, str]

#: The documented fields of each object.
ORDER = """
  instType instId tgtCcy ccy tradeQuoteCcy ordId clOrdId algoClOrdId algoId attachAlgoClOrdId tag reqId px pxUsd
  pxVol pxType sz notionalUsd ordType side posSide tdMode accFillSz fillNotionalUsd avgPx state lever pnl feeCcy
  fee rebateCcy rebate category uTime cTime source reduceOnly cancelSource cancelSourceReason quickMgnType stpId
  stpMode lastPx outcome isTpLimit slTriggerPx slTriggerPxType slOrdPx tpTriggerPx tpTriggerPxType tpOrdPx fillPx
  tradeId fillSz fillTime fillPnl fillFee fillFeeCcy execType fillPxVol fillPxUsd fillMarkVol fillFwdPx fillMarkPx
  fillIdxPx amendSource amendResult code msg linkedAlgoOrd attachAlgoOrds slippage riskBypassResult"""
ALGO = """
  algoId algoClOrdId ordId ordIdList clOrdId instType instId ccy sz tgtCcy ordType side posSide tdMode lever
  reduceOnly closeFraction triggerPx triggerPxType ordPx advanceOrdType tpTriggerPx tpTriggerPxType tpOrdPx
  slTriggerPx slTriggerPxType slOrdPx actualSz actualPx actualSide triggerTime last notionalUsd failCode tag reqId
  amendResult amendPxOnTriggerType attachAlgoOrds linkedOrd isTradeBorrowMode tradeQuoteCcy quickMgnType chaseType
  chaseVal maxChaseType maxChaseVal cTime uTime state pxVar pxSpread szLimit pxLimit timeInterval count
  callbackRatio callbackSpread activePx moveTriggerPx pTime"""
FILL = """
  instType instId tradeId ordId clOrdId billId subType tag fillPx fillSz fillIdxPx fillPnl fillPxVol fillPxUsd
  fillMarkVol fillFwdPx fillMarkPx side posSide execType feeCcy fee feeRate ts fillTime tradeQuoteCcy"""
POSITION = """
  instType instId mgnMode posSide posId pos availPos posCcy liab liabCcy interest avgPx bePx nonSettleAvgPx upl
  uplRatio uplLastPx uplRatioLastPx realizedPnl pnl fee fundingFee liqPenalty settledPnl lever margin imr mmr
  mgnRatio liqPx markPx last idxPx usdPx notionalUsd adl ccy optVal deltaBS deltaPA gammaBS gammaPA thetaBS
  thetaPA vegaBS vegaPA tradeId cTime uTime pTime closeOrderAlgo hedgedPos pendingCloseOrdLiabVal spotInUseAmt
  spotInUseCcy clSpotInUseAmt maxSpotInUseAmt bizRefId bizRefType baseBal quoteBal baseBorrowed baseInterest
  quoteBorrowed quoteInterest"""
BALANCE = """
  ccy uTime cashBal eq availBal availEq frozenBal ordFrozen upl isoEq isoUpl uplLiab liab crossLiab isoLiab
  interest maxLoan borrowFroz imr mmr mgnRatio notionalLever disEq eqUsd coinUsdPrice stgyEq fixedBal rewardBal
  spotIsoBal smtSyncEq spotCopyTradingEq spotBal openAvgPx accAvgPx spotUpl spotUplRatio totalPnl totalPnlRatio
  spotInUseAmt clSpotInUseAmt maxSpotInUseAmt maxSpotInUse twap frpType colRes colBorrAutoConversion
  autoLendStatus autoLendMtAmt autoLendAmt autoStakingStatus collateralEnabled collateralRestrict"""
FUND_BALANCE = "ccy bal frozenBal availBal"
INSTRUMENT = """
  instType instId uly instFamily category baseCcy quoteCcy settleCcy ctVal ctMult ctValCcy optType stk listTime
  auctionEndTime contTdSwTime openType expTime lever tickSz lotSz minSz ctType alias state ruleType maxLmtSz
  maxMktSz maxLmtAmt maxMktAmt maxTwapSz maxIcebergSz maxTriggerSz maxStopSz futureSettlement instIdCode
  tradeQuoteCcyList instCategory groupId seriesId posLmtAmt posLmtPct maxPlatOILmt upcChg longPosRemainingQuota
  preMktSwTime shortPosRemainingQuota elp"""

_ORDER_FIELDS = names(ORDER)
_ALGO_FIELDS = names(ALGO)
_FILL_FIELDS = names(FILL)
_POSITION_FIELDS = names(POSITION)
_BALANCE_FIELDS = names(BALANCE)
_FUND_BALANCE_FIELDS = names(FUND_BALANCE)
_INSTRUMENT_FIELDS = names(INSTRUMENT)


def extra_of(around: Around, fields: Fields, known: frozenset[str]) -> str | None:
    """The column `extra`: undocumented fields around an object and its own."""
    return extra_text({**around, **unknown(fields, known)})


def flag(fields: Fields, name: str) -> int | None:
    """1 for true, 0 for false, whether a text or a truth value."""
    value = fields.get(name)
    return int(value) if type(value) is bool else {"true": 1, "false": 0}.get(text(fields, name) or "")


def given_id(fields: Fields, name: str) -> str | None:
    """An id; `0` and an empty text are none."""
    value = identifier(fields, name)
    return None if value in {"", "0"} else value


def paid(fields: Fields, name: str) -> Digits | None:
    """A fee, which the venue sends as a negative number when it is paid."""
    value = digits(fields, name)
    return None if value is None else negative(value)


def order_update(order: Fields, around: Around, *, is_push: bool, is_snapshot: int = 0) -> OrderUpdate:
    """The record of an order, as topic `orders` and the REST answers about orders have it.

    Args:
        order: the row.
        around: undocumented fields of the frame.
        is_push: whether it was pushed; an answer has no time of its own.
        is_snapshot: 1 if the row is part of a full state.
    """
    order_type, time_in_force, post_only = words.ORDER_TYPES.get(text(order, "ordType"), (None, None, None))
    size, is_quote = digits(order, "sz"), text(order, "tgtCcy") == "quote_ccy"
    fee, fee_currency = _whole_fee(order)
    updated_ms = whole(order, "uTime")
    return OrderUpdate(
        event_ms=updated_ms if is_push else None,
        is_snapshot=is_snapshot,
        is_partial=0,
        market=None,
        symbol=text(order, "instId") or None,
        order_id=required(given_id(order, "ordId"), "ordId"),
        client_order_id=text(order, "clOrdId") or None,
        side=words.SIDES.get(text(order, "side")),
        position_side=words.POSITION_SIDES.get(text(order, "posSide")),
        order_type=order_type,
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=flag(order, "reduceOnly"),
        price=digits(order, "px"),
        trigger_price=None,
        quantity=None if is_quote else size,
        quote_quantity=size if is_quote else None,
        filled_quantity=digits(order, "accFillSz"),
        average_price=unless_zero(digits(order, "avgPx")),
        status=words.STATUSES.get(text(order, "state")),
        venue_status=text(order, "state") or None,
        reason=text(order, "cancelSource") or None,
        fee=fee,
        fee_currency=fee_currency,
        created_ms=whole(order, "cTime"),
        updated_ms=updated_ms,
        extra=extra_of(around, order, _ORDER_FIELDS),
    )


def _whole_fee(order: Fields) -> tuple[Digits | None, str | None]:
    """What an order has paid less its rebate, and the currency; nothing where the two have different currencies."""
    fee, currency = paid(order, "fee"), text(order, "feeCcy") or None
    rebate = unless_zero(digits(order, "rebate"))
    if fee is None or rebate is None:
        return fee, currency
    if (text(order, "rebateCcy") or None) != currency:
        return None, None
    return difference(fee, rebate), currency


def pushed_fill(order: Fields, around: Around) -> FillUpdate | None:
    """The execution that a push of an order tells of; None if it tells of none.

    A liquidation has no id in the push, and a negative one over REST: it is counted from there.
    """
    trade_id, quantity = given_id(order, "tradeId"), digits(order, "fillSz")
    if trade_id is None or unless_zero(quantity) is None:
        return None
    return FillUpdate(
        event_ms=whole(order, "uTime"),
        is_snapshot=0,
        trade_id=trade_id,
        order_id=given_id(order, "ordId"),
        client_order_id=text(order, "clOrdId") or None,
        market=None,
        symbol=text(order, "instId") or None,
        side=words.SIDES.get(text(order, "side")),
        position_side=words.POSITION_SIDES.get(text(order, "posSide")),
        price=digits(order, "fillPx"),
        quantity=quantity,
        fee=paid(order, "fillFee"),
        fee_currency=text(order, "fillFeeCcy") or None,
        liquidity=words.LIQUIDITY.get(text(order, "execType")),
        realized_pnl=_pnl(order),
        kind=words.FILL_KINDS.get(text(order, "category")),
        executed_ms=whole(order, "fillTime"),
        extra=extra_text(dict(around)),
    )


def _pnl(row: Fields) -> Digits | None:
    """The realized PnL of a fill. On spot it is 0, whatever was sold, and says nothing."""
    return None if text(row, "instType") == "SPOT" else digits(row, "fillPnl")


def fill_update(fill: Fields, around: Around) -> FillUpdate:
    """The record of a fill over REST."""
    at_ms = whole(fill, "fillTime")
    return FillUpdate(
        event_ms=None,
        is_snapshot=0,
        trade_id=given_id(fill, "tradeId"),
        order_id=given_id(fill, "ordId"),
        client_order_id=text(fill, "clOrdId") or None,
        market=None,
        symbol=text(fill, "instId") or None,
        side=words.SIDES.get(text(fill, "side")),
        position_side=words.POSITION_SIDES.get(text(fill, "posSide")),
        price=digits(fill, "fillPx"),
        quantity=digits(fill, "fillSz"),
        fee=paid(fill, "fee"),
        fee_currency=text(fill, "feeCcy") or None,
        liquidity=words.LIQUIDITY.get(text(fill, "execType")),
        realized_pnl=_pnl(fill),
        kind=words.FILL_SUBTYPES.get(text(fill, "subType"), "trade"),
        executed_ms=whole(fill, "ts") if at_ms is None else at_ms,
        extra=extra_of(around, fill, _FILL_FIELDS),
    )


def algo_update(order: Fields, around: Around, *, is_push: bool, is_snapshot: int = 0) -> OrderUpdate:
    """The record of a conditional order. What it became are other orders, with ids of their own."""
    triggers = [
        (trigger, digits(order, price))
        for name, price in (("triggerPx", "ordPx"), ("slTriggerPx", "slOrdPx"), ("tpTriggerPx", "tpOrdPx"))
        if (trigger := digits(order, name)) is not None
    ]
    trigger, price = triggers[0] if len(triggers) == 1 else (None, None)
    updated_ms, pushed_ms = whole(order, "uTime"), whole(order, "pTime")
    at_market = price is not None and Decimal(price) == -1
    return OrderUpdate(
        event_ms=(pushed_ms if updated_ms is None else updated_ms) if is_push else None,
        is_snapshot=is_snapshot,
        is_partial=0,
        market=None,
        symbol=text(order, "instId") or None,
        order_id=required(given_id(order, "algoId"), "algoId"),
        client_order_id=text(order, "algoClOrdId") or None,
        side=words.SIDES.get(text(order, "side")),
        position_side=words.POSITION_SIDES.get(text(order, "posSide")),
        order_type=None if price is None else MARKET if at_market else LIMIT,
        time_in_force=None,
        post_only=None,
        reduce_only=flag(order, "reduceOnly"),
        price=None if at_market else price,
        trigger_price=trigger,
        quantity=digits(order, "sz"),
        quote_quantity=None,
        filled_quantity=None,
        average_price=None,
        status=words.ALGO_STATUSES.get(text(order, "state")),
        venue_status=text(order, "state") or None,
        reason=given_id(order, "failCode"),
        fee=None,
        fee_currency=None,
        created_ms=whole(order, "cTime"),
        updated_ms=updated_ms,
        extra=extra_of(around, order, _ALGO_FIELDS),
    )


def position_update(position: Fields, around: Around, *, is_snapshot: int) -> PositionUpdate:
    """The record of a position, of topic `positions` and of the answer about positions.

    Args:
        position: the row.
        around: undocumented fields of the frame.
        is_snapshot: 1 if it is part of a full state.
    """
    mode = text(position, "mgnMode") or None
    return PositionUpdate(
        event_ms=whole(position, "pTime"),
        is_snapshot=is_snapshot,
        is_partial=0,
        market=None,
        symbol=required(text(position, "instId"), "instId"),
        position_side=words.POSITION_SIDES.get(text(position, "posSide")),
        position_id=given_id(position, "posId"),
        margin_mode=mode,
        quantity=_signed(position),
        entry_price=digits(position, "avgPx"),
        mark_price=digits(position, "markPx"),
        liquidation_price=digits(position, "liqPx"),
        leverage=digits(position, "lever"),
        margin=digits(position, "margin" if mode == words.ISOLATED else "imr"),
        unrealized_pnl=digits(position, "upl"),
        realized_pnl=digits(position, "realizedPnl"),
        updated_ms=whole(position, "uTime"),
        extra=extra_of(around, position, _POSITION_FIELDS),
    )


def _signed(position: Fields) -> Digits | None:
    """The quantity, negative if short. A position in margin trading holds the base currency, or owes it."""
    quantity = digits(position, "pos")
    if quantity is None:
        return None
    is_short = words.POSITION_SIDES.get(text(position, "posSide")) == SHORT
    if text(position, "instType") == words.MARGIN:
        base = (text(position, "instId") or "").partition("-")[0]
        is_short = (text(position, "posCcy") or base) != base
    return negative(quantity) if is_short and not quantity.startswith("-") else quantity


def account_update(balance: Fields, around: Around, event_ms: int | None, *, is_snapshot: int) -> AccountUpdate:
    """The record of a currency in the trading account.

    Args:
        balance: the row.
        around: undocumented fields of the frame.
        event_ms: when it was pushed; an answer does not say.
        is_snapshot: 1 if it is part of a full state.
    """
    return AccountUpdate(
        event_ms=event_ms,
        is_snapshot=is_snapshot,
        is_partial=0,
        wallet=words.TRADING,
        currency=required(text(balance, "ccy"), "ccy"),
        balance=digits(balance, "cashBal"),
        available=digits(balance, "availBal"),
        locked=digits(balance, "ordFrozen"),
        position_margin=digits(balance, "imr"),
        equity=digits(balance, "eq"),
        unrealized_pnl=digits(balance, "upl"),
        updated_ms=whole(balance, "uTime"),
        extra=extra_of(around, balance, _BALANCE_FIELDS),
    )


def fund_balance(balance: Fields, around: Around) -> AccountUpdate:
    """The record of a currency in the funding account."""
    return AccountUpdate(
        event_ms=None,
        is_snapshot=1,
        is_partial=0,
        wallet=words.FUNDING,
        currency=required(text(balance, "ccy"), "ccy"),
        balance=digits(balance, "bal"),
        available=digits(balance, "availBal"),
        locked=digits(balance, "frozenBal"),
        position_margin=None,
        equity=None,
        unrealized_pnl=None,
        updated_ms=None,
        extra=extra_of(around, balance, _FUND_BALANCE_FIELDS),
    )


def instrument(row: Fields, around: Around) -> Instrument:
    """What a symbol means. A quantity counts contracts of `ctVal` times `ctMult`, in spot the base currency."""
    value, multiplier = digits(row, "ctVal"), digits(row, "ctMult")
    kind = words.kind_of(text(row, "instType"), text(row, "ctType"))
    of_base, _, of_quote = (text(row, "uly") or "").partition("-")
    size = "1" if kind == "spot" else None
    if value is not None:
        size = value if multiplier is None else str(EXACT.multiply(Decimal(value), Decimal(multiplier)))
    quote = text(row, "quoteCcy") or of_quote or None
    return Instrument(
        event_ms=None,
        is_snapshot=1,
        market=None,
        symbol=required(text(row, "instId"), "instId"),
        kind=kind,
        base=text(row, "baseCcy") or of_base or None,
        quote=quote,
        settle=text(row, "settleCcy") or (quote if kind == "spot" else None),
        contract_size=size,
        price_tick=digits(row, "tickSz"),
        quantity_step=digits(row, "lotSz"),
        extra=extra_of(around, row, _INSTRUMENT_FIELDS),
    )
