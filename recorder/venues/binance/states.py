"""Converts Binance's objects to records: positions, balances, instruments. See `objects`."""

from recorder.model import INVERSE, AccountUpdate, Instrument, PositionUpdate
from recorder.venues.binance import words
from recorder.venues.binance.objects import Around, Times, extra_of
from recorder.venues.fields import Fields, digits, names, objects, required, text, whole
from recorder.venues.values import unless_zero

#: The documented fields of each object of a push.
BALANCE = "a wb cw bc"
POSITION = "s pa ep bep cr up mt iw ps ma"
#: The documented fields of each object of an answer.
REST_POSITION = """
  symbol positionSide positionAmt entryPrice breakEvenPrice markPrice unRealizedProfit liquidationPrice isolatedMargin
  notional notionalValue marginAsset isolatedWallet initialMargin maintMargin positionInitialMargin
  openOrderInitialMargin adl bidNotional askNotional updateTime leverage marginType isAutoAddMargin maxNotionalValue
  maxQty isolated"""
REST_BALANCE = """
  accountAlias asset balance crossWalletBalance crossUnPnl availableBalance maxWithdrawAmount marginAvailable
  withdrawAvailable updateTime"""
INSTRUMENT = """
  symbol pair contractType deliveryDate onboardDate status contractStatus maintMarginPercent requiredMarginPercent
  baseAsset quoteAsset marginAsset contractSize pricePrecision quantityPrecision baseAssetPrecision quotePrecision
  equalQtyPrecision maxMoveOrderLimit underlyingType underlyingSubType settlePlan triggerProtect liquidationFee
  marketTakeBound filters orderTypes OrderType timeInForce permissionSets"""

_BALANCE_FIELDS = names(BALANCE)
_POSITION_FIELDS = names(POSITION)
_REST_POSITION_FIELDS = names(REST_POSITION)
_REST_BALANCE_FIELDS = names(REST_BALANCE)
_INSTRUMENT_FIELDS = names(INSTRUMENT)


def _margin_mode(mode: str | None) -> str | None:
    return None if not mode else words.MARGIN_MODES.get(mode.lower(), mode)


def pushed_position(position: Fields, times: Times, around: Around) -> PositionUpdate:
    """The record of a position in ACCOUNT_UPDATE: symbol and side are its key."""
    return PositionUpdate(
        event_ms=times.sent_ms,
        is_snapshot=0,
        is_partial=0,
        market=None,
        symbol=required(text(position, "s"), "a.P.s"),
        position_side=words.POSITION_SIDES.get(text(position, "ps")),
        margin_mode=_margin_mode(text(position, "mt")),
        quantity=digits(position, "pa"),
        entry_price=digits(position, "ep"),
        margin=unless_zero(digits(position, "iw")),
        unrealized_pnl=digits(position, "up"),
        realized_pnl=digits(position, "cr"),
        updated_ms=times.happened_ms,
        extra=extra_of(around, position, _POSITION_FIELDS),
    )


def position_update(position: Fields, around: Around) -> PositionUpdate:
    """The record of a position over REST, which does not repeat its realized PnL, nor, in version 3, its modes."""
    return PositionUpdate(
        event_ms=None,
        is_snapshot=1,
        is_partial=1,
        market=None,
        symbol=required(text(position, "symbol"), "symbol"),
        position_side=words.POSITION_SIDES.get(text(position, "positionSide")),
        margin_mode=_margin_mode(text(position, "marginType")),
        quantity=digits(position, "positionAmt"),
        entry_price=digits(position, "entryPrice"),
        mark_price=unless_zero(digits(position, "markPrice")),
        liquidation_price=unless_zero(digits(position, "liquidationPrice")),
        leverage=digits(position, "leverage"),
        margin=unless_zero(digits(position, "isolatedWallet")),
        unrealized_pnl=digits(position, "unRealizedProfit"),
        updated_ms=whole(position, "updateTime") or None,
        extra=extra_of(around, position, _REST_POSITION_FIELDS),
    )


def pushed_balance(balance: Fields, times: Times, around: Around) -> AccountUpdate:
    """The record of an asset in ACCOUNT_UPDATE. What of it is free, only REST says."""
    return AccountUpdate(
        event_ms=times.sent_ms,
        is_snapshot=0,
        is_partial=0,
        wallet=None,
        currency=required(text(balance, "a"), "a.B.a"),
        balance=digits(balance, "wb"),
        updated_ms=times.happened_ms,
        extra=extra_of(around, balance, _BALANCE_FIELDS),
    )


def balance_update(balance: Fields, around: Around) -> AccountUpdate:
    """The record of an asset over REST."""
    return AccountUpdate(
        event_ms=None,
        is_snapshot=1,
        is_partial=0,
        wallet=None,
        currency=required(text(balance, "asset"), "asset"),
        balance=digits(balance, "balance"),
        available=digits(balance, "availableBalance"),
        unrealized_pnl=digits(balance, "crossUnPnl"),
        updated_ms=whole(balance, "updateTime") or None,
        extra=extra_of(around, balance, _REST_BALANCE_FIELDS),
    )


def instrument(row: Fields, around: Around) -> Instrument:
    """What a symbol means. A quantity counts the base currency; of COIN-M, contracts of so many USD."""
    size = digits(row, "contractSize")
    filters = objects(row, "filters") if row.get("filters") is not None else []
    told = {text(one, "filterType"): one for one in filters}
    return Instrument(
        event_ms=None,
        is_snapshot=1,
        market=None,
        symbol=required(text(row, "symbol"), "symbol"),
        kind="linear" if size is None else INVERSE,
        base=text(row, "baseAsset") or None,
        quote=text(row, "quoteAsset") or None,
        settle=text(row, "marginAsset") or None,
        contract_size=size or "1",
        price_tick=digits(told.get("PRICE_FILTER", {}), "tickSize"),
        quantity_step=digits(told.get("LOT_SIZE", {}), "stepSize"),
        extra=extra_of(around, row, _INSTRUMENT_FIELDS),
    )
