"""Converts Binance spot's objects to records: orders, fills, balances, movements of money, instruments.

Pushes name their fields by single letters, REST by words. Amounts are texts, ids and times are numbers. A function's
`around` are the undocumented fields of the frame around the object; they join the object's own in `extra`.
Source: developers.binance.com/docs/binance-spot-api-docs, "User Data Streams" and the pages of the REST paths.
"""

from collections.abc import Mapping
from decimal import Context, Decimal, Inexact
from typing import Any

from recorder.model import (
    MAKER,
    NEW,
    PENDING,
    TAKER,
    AccountUpdate,
    Digits,
    FillUpdate,
    Instrument,
    OrderUpdate,
    Transaction,
)
from recorder.venues.binance_spot import words
from recorder.venues.fields import (
    Fields,
    as_object,
    digits,
    flag,
    identifier,
    listed,
    names,
    required,
    text,
    unknown,
    whole,
)
from recorder.venues.values import extra_text, plus, unless_zero

Around = Mapping[str, str]

#: The documented fields of each object.
REPORT = """
  e E s c S o f q p P F g C x X r i l z L n N T t I w m M O Z Y Q W V d D j J v A B u U Cs pl pL pY b a k uS gP gOT gOV
  gp eR"""
POSITION = "e E u B"
BALANCE = "a f l"
BALANCE_UPDATE = "e E a d T"
ORDER = """
  symbol orderId orderListId clientOrderId price origQty executedQty cummulativeQuoteQty status timeInForce type side
  stopPrice icebergQty time updateTime isWorking workingTime origQuoteOrderQty selfTradePreventionMode preventedMatchId
  preventedQuantity strategyId strategyType trailingDelta trailingTime usedSor workingFloor pegPriceType pegOffsetType
  pegOffsetValue peggedPrice expiryReason"""
TRADE = """
  symbol id orderId orderListId price qty quoteQty commission commissionAsset time isBuyer isMaker isBestMatch"""
ACCOUNT = """
  makerCommission takerCommission buyerCommission sellerCommission commissionRates canTrade canWithdraw canDeposit
  brokered requireSelfTradePrevention preventSor updateTime accountType balances permissions uid"""
ASSET = "asset free locked"
INSTRUMENT = """
  symbol status baseAsset baseAssetPrecision quoteAsset quotePrecision quoteAssetPrecision baseCommissionPrecision
  quoteCommissionPrecision orderTypes icebergAllowed ocoAllowed otoAllowed opoAllowed quoteOrderQtyMarketAllowed
  allowTrailingStop cancelReplaceAllowed amendAllowed pegInstructionsAllowed isSpotTradingAllowed
  isMarginTradingAllowed filters permissions permissionSets defaultSelfTradePreventionMode
  allowedSelfTradePreventionModes"""

_REPORT_FIELDS = names(REPORT)
_POSITION_FIELDS = names(POSITION)
_BALANCE_FIELDS = names(BALANCE)
_BALANCE_UPDATE_FIELDS = names(BALANCE_UPDATE)
_ORDER_FIELDS = names(ORDER)
_TRADE_FIELDS = names(TRADE)
_ACCOUNT_FIELDS = names(ACCOUNT)
_ASSET_FIELDS = names(ASSET)
_INSTRUMENT_FIELDS = names(INSTRUMENT)

#: Divides amounts; a quotient that does not end is none.
_QUOTIENT = Context(prec=60, traps=[Inexact])


def extra_of(around: Around, fields: Fields, known: frozenset[str]) -> str | None:
    """The column `extra`: undocumented fields around an object and its own."""
    return extra_text({**around, **unknown(fields, known)})


def pushed_order(report: Fields, around: Around) -> OrderUpdate:
    """The record of an order as a push tells of it, after one thing happened to it."""
    kind, reason = text(report, "o"), text(report, "r")
    if reason in {None, "", words.NO_REASON}:
        reason = identifier(report, "eR")
    return _order(
        event_ms=whole(report, "E"),
        is_snapshot=0,
        symbol=required(text(report, "s"), "s"),
        order_id=required(identifier(report, "i"), "i"),
        client_order_id=client_id(report),
        side=text(report, "S"),
        kind=kind,
        time_in_force=text(report, "f"),
        price=digits(report, "p"),
        stop=digits(report, "P"),
        quantity=digits(report, "q"),
        quote_quantity=digits(report, "Q"),
        filled=digits(report, "z"),
        value=digits(report, "Z"),
        status=text(report, "X"),
        is_working=flag(report, "w"),
        reason=reason,
        created_ms=whole(report, "O"),
        updated_ms=whole(report, "T"),
        extra=extra_of(around, report, _REPORT_FIELDS),
    )


def client_id(report: Fields) -> str | None:
    """The client's id of an order. In the push of a cancellation, `c` is the request's and `C` the order's."""
    original = text(report, "C")
    if text(report, "x") == words.CANCELLATION and original not in {None, "", "null"}:
        return original
    return text(report, "c") or None


def answered_order(order: Fields, around: Around, *, is_snapshot: int) -> OrderUpdate:
    """The record of an order in an answer."""
    return _order(
        event_ms=None,
        is_snapshot=is_snapshot,
        symbol=required(text(order, "symbol"), "symbol"),
        order_id=required(identifier(order, "orderId"), "orderId"),
        client_order_id=text(order, "clientOrderId") or None,
        side=text(order, "side"),
        kind=text(order, "type"),
        time_in_force=text(order, "timeInForce"),
        price=digits(order, "price"),
        stop=digits(order, "stopPrice"),
        quantity=digits(order, "origQty"),
        quote_quantity=digits(order, "origQuoteOrderQty"),
        filled=digits(order, "executedQty"),
        value=digits(order, "cummulativeQuoteQty"),
        status=text(order, "status"),
        is_working=flag(order, "isWorking"),
        reason=identifier(order, "expiryReason"),
        created_ms=whole(order, "time"),
        updated_ms=whole(order, "updateTime"),
        extra=extra_of(around, order, _ORDER_FIELDS),
    )


def _order(
    *,
    side: str | None,
    kind: str | None,
    time_in_force: str | None,
    price: Digits | None,
    stop: Digits | None,
    quantity: Digits | None,
    quote_quantity: Digits | None,
    filled: Digits | None,
    value: Digits | None,
    status: str | None,
    is_working: int | None,
    **same: Any,
) -> OrderUpdate:
    known = words.STATUSES.get(status)
    if known == NEW and kind in words.CONDITIONAL and is_working == 0:
        known = PENDING
    quote_quantity = unless_zero(quote_quantity)
    return OrderUpdate(
        is_partial=0,
        market=None,
        side=words.SIDES.get(side),
        order_type=words.ORDER_TYPES.get(kind),
        time_in_force=words.TIMES_IN_FORCE.get(time_in_force),
        post_only=None if kind is None else int(kind == words.LIMIT_MAKER),
        price=unless_zero(price),
        trigger_price=unless_zero(stop),
        quantity=None if quote_quantity else quantity,
        quote_quantity=quote_quantity,
        filled_quantity=filled,
        average_price=_average(value, filled),
        status=known,
        venue_status=status or None,
        **same,
    )


def _average(value: Digits | None, quantity: Digits | None) -> Digits | None:
    """The average price, which the exchange leaves to be divided; None if the quotient has no end."""
    if unless_zero(value) is None or unless_zero(quantity) is None:
        return None
    try:
        return f"{_QUOTIENT.divide(Decimal(value or 0), Decimal(quantity or 1)):f}"
    except Inexact:
        return None


def pushed_fill(report: Fields, around: Around) -> FillUpdate | None:
    """The execution that a push of an order tells of; None if it tells of none.

    An order that was routed (SOR) has allocations instead of trades, whose ids are numbers of their own.
    """
    trade_id, allocation_id = identifier(report, "t"), identifier(report, "a")
    if trade_id in {None, "", words.NO_TRADE}:
        trade_id = f"allocation-{allocation_id}" if allocation_id else None
    quantity = digits(report, "l")
    if text(report, "x") != words.TRADE or trade_id is None or unless_zero(quantity) is None:
        return None
    return FillUpdate(
        event_ms=whole(report, "E"),
        trade_id=trade_id,
        order_id=required(identifier(report, "i"), "i"),
        client_order_id=client_id(report),
        symbol=required(text(report, "s"), "s"),
        side=words.SIDES.get(text(report, "S")),
        price=digits(report, "L"),
        quantity=quantity,
        fee=digits(report, "n"),
        fee_currency=text(report, "N") or None,
        liquidity=_liquidity(flag(report, "m")),
        kind="trade",
        executed_ms=whole(report, "T"),
        # The order in the same frame has the rest.
        extra=extra_text(dict(around)),
    )


def _liquidity(is_maker: int | None) -> str | None:
    return None if is_maker is None else MAKER if is_maker else TAKER


def answered_fill(trade: Fields, around: Around) -> FillUpdate:
    """The record of a fill in an answer."""
    is_buyer = flag(trade, "isBuyer")
    return FillUpdate(
        trade_id=required(identifier(trade, "id"), "id"),
        order_id=identifier(trade, "orderId"),
        symbol=required(text(trade, "symbol"), "symbol"),
        side=None if is_buyer is None else words.SIDES["BUY" if is_buyer else "SELL"],
        price=digits(trade, "price"),
        quantity=digits(trade, "qty"),
        fee=digits(trade, "commission"),
        fee_currency=text(trade, "commissionAsset") or None,
        liquidity=_liquidity(flag(trade, "isMaker")),
        kind="trade",
        executed_ms=whole(trade, "time"),
        extra=extra_of(around, trade, _TRADE_FIELDS),
    )


def pushed_balances(event: Fields, around: Around) -> list[AccountUpdate]:
    """The balances that a push shows: those that may have changed, each whole."""
    around = {**around, **unknown(event, _POSITION_FIELDS)}
    event_ms, updated_ms = whole(event, "E"), whole(event, "u")
    rows = (as_object(row, "B") for row in listed(event, "B"))
    return [
        _balance(row, ("a", "f", "l"), event_ms, updated_ms, 0, extra_of(around, row, _BALANCE_FIELDS)) for row in rows
    ]


def answered_balances(account: Fields, around: Around) -> list[AccountUpdate]:
    """The balances of the account, as an answer shows them."""
    around = {**around, **unknown(account, _ACCOUNT_FIELDS)}
    updated_ms = whole(account, "updateTime")
    rows = (as_object(row, "balances") for row in listed(account, "balances"))
    return [
        _balance(row, ("asset", "free", "locked"), None, updated_ms, 1, extra_of(around, row, _ASSET_FIELDS))
        for row in rows
    ]


def _balance(
    row: Fields,
    called: tuple[str, str, str],
    event_ms: int | None,
    updated_ms: int | None,
    is_snapshot: int,
    extra: str | None,
) -> AccountUpdate:
    asset, available, locked = called
    free, held = digits(row, available), digits(row, locked)
    return AccountUpdate(
        event_ms=event_ms,
        is_snapshot=is_snapshot,
        is_partial=0,
        wallet=None,
        currency=required(text(row, asset), asset),
        # Without one of the two, it is not known what is owned.
        balance=None if free is None or held is None else plus(free, held),
        available=free,
        locked=held,
        updated_ms=updated_ms,
        extra=extra,
    )


def movement(event: Fields, around: Around) -> Transaction:
    """The record of money that came into the account or left it. The exchange does not say why, and gives no id."""
    return Transaction(
        event_ms=whole(event, "E"),
        is_snapshot=0,
        transaction_id=None,
        type="transfer",
        venue_type=text(event, "e"),
        currency=required(text(event, "a"), "a"),
        amount=digits(event, "d"),
        occurred_ms=whole(event, "T"),
        extra=extra_of(around, event, _BALANCE_UPDATE_FIELDS),
    )


def instrument(row: Fields, around: Around) -> Instrument:
    """What a symbol means. Quantities are in the base asset."""
    filters = {text(one, "filterType"): one for one in (as_object(one, "filters") for one in row.get("filters") or ())}
    quote = text(row, "quoteAsset") or None
    return Instrument(
        event_ms=None,
        is_snapshot=1,
        market=None,
        symbol=required(text(row, "symbol"), "symbol"),
        kind="spot",
        base=text(row, "baseAsset") or None,
        quote=quote,
        settle=quote,
        contract_size="1",
        price_tick=digits(filters.get("PRICE_FILTER", {}), "tickSize"),
        quantity_step=digits(filters.get("LOT_SIZE", {}), "stepSize"),
        extra=extra_of(around, row, _INSTRUMENT_FIELDS),
    )
