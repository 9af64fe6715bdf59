"""Converts Kraken's objects to records: orders, fills, balances, instruments.

Pushes have JSON numbers, times as in RFC 3339, and leave out what has not changed; answers have texts, times in
seconds, and the whole of an order. A function's `around` are the undocumented fields of the frame around the object;
they join the object's own in `extra`. Source: docs.kraken.com, "Executions", "Balances", "Get Open Orders", "Get Trades
History", "Get Extended Balance", "Get Tradable Asset Pairs".
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from recorder.errors import Undecodable
from recorder.model import (
    GTD,
    PARTIALLY_FILLED,
    PENDING,
    AccountUpdate,
    Digits,
    FillUpdate,
    Instrument,
    OrderUpdate,
)
from recorder.venues.fields import (
    Fields,
    digits,
    flag,
    identifier,
    inner,
    names,
    number,
    objects,
    required,
    text,
    unknown,
)
from recorder.venues.kraken import words
from recorder.venues.kraken.names import MAIN, currency, holding, market, split, symbol
from recorder.venues.values import extra_text, total, unless_zero

Around = Mapping[str, str]

#: The documented fields of each object.
EXECUTION = """
  exec_type order_status order_id cl_ord_id order_userref ext_ord_id ext_exec_id ord_ref_id sender_sub_id user symbol
  side order_type time_in_force effective_time expire_time post_only reduce_only margin no_mpp liquidated amended
  margin_borrow order_qty cash_order_qty display_qty display_qty_remain limit_price limit_price_type triggers
  contingent cum_qty cum_cost avg_price exec_id trade_id last_qty last_price cost liquidity_ind fees fee_usd_equiv
  fee_ccy_pref position_status reason timestamp stop_price trigger triggered_price cancel_reason"""
TRIGGERS = "reference price price_type actual_price peak_price last_price status timestamp"
BALANCE = "asset asset_class balance wallets"
WALLET = "type id balance"
ORDER = """
  refid link_id userref cl_ord_id status opentm starttm expiretm closetm descr vol vol_exec cost fee price stopprice
  limitprice trigger margin misc sender_sub_id oflags trades reason amended"""
DESCR = "pair type ordertype price price2 leverage order close"
TRADE = """
  ordertxid postxid pair aclass time type ordertype price cost fee vol margin leverage misc ledgers trade_id maker
  posstatus cprice ccost cfee cvol cmargin net trades"""
BALANCE_EX = "balance hold_trade credit credit_used"
PAIR = """
  altname wsname aclass_base base aclass_quote quote lot pair_decimals cost_decimals lot_decimals lot_multiplier
  leverage_buy leverage_sell fees fees_maker fee_volume_currency margin_call margin_stop ordermin costmin tick_size
  status long_position_limit short_position_limit execution_venue"""

_EXECUTION_FIELDS = names(EXECUTION)
_BALANCE_FIELDS = names(BALANCE)
_ORDER_FIELDS = names(ORDER)
_DESCR_FIELDS = names(DESCR)
_TRADE_FIELDS = names(TRADE)
_BALANCE_EX_FIELDS = names(BALANCE_EX)
_PAIR_FIELDS = names(PAIR)

#: Types of the wallets of spot.
SPOT_TYPES = frozenset(["spot", "earn"])
#: Decimals of a quantity.
_DECIMALS = frozenset(map(str, range(31)))

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


def extra_of(around: Around, fields: Fields, known: frozenset[str], within: Around | None = None) -> str | None:
    """The column `extra`: undocumented fields around an object, its own, and those within it."""
    return extra_text({**around, **unknown(fields, known), **(within or {})})


def time_ms(fields: Fields, name: str) -> int | None:
    """A time as pushes have it, milliseconds since 1970: `2026-09-30T02:53:25.118204Z`."""
    sent = text(fields, name)
    if not sent:
        return None
    try:
        return (datetime.fromisoformat(sent) - _EPOCH) // _MILLISECOND
    except (ValueError, TypeError, OverflowError):
        raise Undecodable(f"{name}: {sent[:40]} is not a time") from None


def seconds_ms(fields: Fields, name: str) -> int | None:
    """A time as answers have it, milliseconds since 1970: `1688667796.8802`; 0 is none."""
    sent = unless_zero(digits(fields, name))
    if sent is None:
        return None
    # The greatest time that is read ends before the year 5000.
    if Decimal(sent).copy_abs() > 10**11:
        raise Undecodable(f"{name}: {sent[:40]} is out of range")
    return int((Decimal(sent) * 1000).to_integral_value(ROUND_FLOOR))


def order_update(row: Fields, around: Around, *, is_snapshot: int) -> OrderUpdate:
    """The record of an order, of channel `executions`. It is partial: events leave out what has not changed.

    Args:
        row: the event.
        around: undocumented fields of the frame.
        is_snapshot: 1 if it is part of a full state.
    """
    at_ms, triggers = time_ms(row, "timestamp"), inner(row, "triggers")
    pair, of = text(row, "symbol"), market(text(row, "symbol"))
    # Of derivatives, nothing comes before `new`.
    is_placed = text(row, "exec_type") == ("pending_new" if of is None else "new")
    return OrderUpdate(
        event_ms=at_ms,
        is_snapshot=is_snapshot,
        is_partial=1,
        market=of,
        symbol=None if not pair else symbol(pair),
        order_id=required(text(row, "order_id"), "order_id"),
        client_order_id=_client_id(row, "order_userref"),
        side=words.SIDES.get(text(row, "side")),
        position_side=None,
        order_type=words.ORDER_TYPES.get(text(row, "order_type")),
        time_in_force=words.TIMES_IN_FORCE.get(text(row, "time_in_force")),
        post_only=flag(row, "post_only"),
        reduce_only=flag(row, "reduce_only"),
        price=_static(row, "limit_price"),
        trigger_price=_trigger_price(row, triggers),
        quantity=digits(row, "order_qty"),
        quote_quantity=unless_zero(digits(row, "cash_order_qty")),
        filled_quantity=digits(row, "cum_qty"),
        average_price=unless_zero(digits(row, "avg_price")),
        status=_status(row, triggers),
        venue_status=text(row, "order_status") or None,
        reason=text(row, "reason") or text(row, "cancel_reason") or None,
        fee=None,
        fee_currency=None,
        created_ms=at_ms if is_placed else None,
        updated_ms=at_ms,
        extra=extra_of(around, row, _EXECUTION_FIELDS),
    )


def _client_id(row: Fields, number_name: str) -> str | None:
    """The client's id of an order, or the number that it may give to several orders; 0 is none."""
    given = identifier(row, number_name)
    return text(row, "cl_ord_id") or (None if given in {None, "", "0"} else given)


def _static(fields: Fields, name: str) -> Digits | None:
    """A price, unless it is relative to another one."""
    is_relative = text(fields, f"{name}_type") not in {None, "", "static"}
    return None if is_relative else unless_zero(digits(fields, name))


def _trigger_price(row: Fields, triggers: Fields) -> Digits | None:
    """The price at which an order is triggered, just now if it follows the market."""
    for price in (digits(triggers, "actual_price"), _static(triggers, "price"), digits(row, "stop_price")):
        if unless_zero(price) is not None:
            return price
    return None


def _status(row: Fields, triggers: Fields) -> str | None:
    """The status. Events name a trigger, or the type that has one, only sometimes: then `new` says nothing new."""
    sent = text(row, "order_status")
    status = words.STATUSES.get(sent)
    if sent not in {"pending_new", "new"}:
        return status
    triggered = words.TRIGGERS.get(text(triggers, "status"))
    if triggered is not None:
        return triggered
    order_type = text(row, "order_type")
    if order_type is None:
        return None
    return PENDING if order_type in words.TRIGGERED_TYPES else status


def pushed_fill(row: Fields, around: Around, *, is_alone: bool) -> FillUpdate:
    """The record of a trade event of channel `executions`.

    Args:
        row: the event.
        around: undocumented fields of the frame.
        is_alone: whether no record of the order stands beside it, with the event's undocumented fields.
    """
    at_ms, pair = time_ms(row, "timestamp"), text(row, "symbol")
    fee, fee_currency = _fee(row)
    return FillUpdate(
        event_ms=at_ms,
        is_snapshot=0,
        trade_id=text(row, "exec_id") or None,
        order_id=text(row, "order_id") or None,
        client_order_id=_client_id(row, "order_userref"),
        market=market(pair),
        symbol=None if not pair else symbol(pair),
        side=words.SIDES.get(text(row, "side")),
        price=digits(row, "last_price"),
        quantity=digits(row, "last_qty"),
        fee=fee,
        fee_currency=fee_currency,
        liquidity=words.LIQUIDITY.get(text(row, "liquidity_ind")),
        realized_pnl=None,
        kind="liquidation" if flag(row, "liquidated") else "trade",
        executed_ms=at_ms,
        extra=extra_of(around, row, _EXECUTION_FIELDS) if is_alone else extra_text(dict(around)),
    )


def _fee(row: Fields) -> tuple[Digits | None, str | None]:
    """The fee of a trade and its currency; neither if it was paid in several."""
    if row.get("fees") is None:
        return None, None
    parts = [
        (currency(asset), quantity)
        for part in objects(row, "fees")
        if (asset := text(part, "asset")) and (quantity := digits(part, "qty")) is not None
    ]
    currencies = {asset for asset, _ in parts}
    if len(currencies) != 1:
        return None, None
    quantities = [quantity for _, quantity in parts]
    return quantities[0] if len(parts) == 1 else total(*quantities), currencies.pop()


def answered_order(order_id: str, row: Fields, around: Around, *, is_snapshot: int) -> OrderUpdate:
    """The record of an order as answers have it.

    Args:
        order_id: its id, under which it is listed.
        row: the order.
        around: undocumented fields of the answer.
        is_snapshot: 1 if it is part of a full state.
    """
    descr = inner(row, "descr")
    pair, kind = symbol(text(descr, "pair") or ""), text(descr, "ordertype")
    flags = frozenset((text(row, "oflags") or "").split(","))
    size, in_quote = digits(row, "vol"), "viqc" in flags
    opened_ms, closed_ms = seconds_ms(row, "opentm"), seconds_ms(row, "closetm")
    price, trigger_price = _prices(row, descr, kind)
    return OrderUpdate(
        event_ms=None,
        is_snapshot=is_snapshot,
        is_partial=0,
        market=None,
        symbol=pair or None,
        order_id=required(order_id, "order_id"),
        client_order_id=_client_id(row, "userref"),
        side=words.SIDES.get(text(descr, "type")),
        position_side=None,
        order_type=words.ORDER_TYPES.get(kind),
        time_in_force=GTD if seconds_ms(row, "expiretm") else None,
        post_only=int("post" in flags),
        reduce_only=None,
        price=price,
        trigger_price=trigger_price,
        quantity=None if in_quote else size,
        quote_quantity=size if in_quote else None,
        filled_quantity=digits(row, "vol_exec"),
        average_price=unless_zero(digits(row, "price")),
        status=_answered_status(row, kind),
        venue_status=text(row, "status") or None,
        reason=text(row, "reason") or None,
        fee=digits(row, "fee"),
        fee_currency=_quote_of(pair),
        created_ms=opened_ms,
        updated_ms=closed_ms,
        extra=extra_of(around, row, _ORDER_FIELDS, unknown(descr, _DESCR_FIELDS, "descr.")),
    )


def _prices(row: Fields, descr: Fields, kind: str | None) -> tuple[Digits | None, Digits | None]:
    """The limit price, and the price of the trigger. A relative price, such as `+2.5%`, is none."""
    first, second = (_plain(text(descr, name)) for name in ("price", "price2"))
    if kind not in words.TRIGGERED_TYPES:
        return first, None
    limit = unless_zero(digits(row, "limitprice")) or second
    return limit, unless_zero(digits(row, "stopprice")) or first


def _plain(price: str | None) -> Digits | None:
    """A price in a text that may be relative to another one."""
    is_plain = price is not None and price.replace(".", "", 1).isdigit() and price.isascii()
    return unless_zero(number("price", price)) if is_plain else None


def _answered_status(row: Fields, kind: str | None) -> str | None:
    sent = text(row, "status")
    status = words.REST_STATUSES.get(sent)
    if sent not in {"pending", "open"}:
        return status
    if unless_zero(digits(row, "vol_exec")) is not None:
        return PARTIALLY_FILLED
    # Which trigger was reached: by a price that went against the order, or for it.
    is_triggered = {"stopped", "touched"}.intersection((text(row, "misc") or "").split(","))
    return PENDING if kind in words.TRIGGERED_TYPES and not is_triggered else status


def _quote_of(pair: str) -> str | None:
    """The currency of an order's fee over REST."""
    parts = split(pair)
    return None if parts is None else parts[1]


def answered_fill(trade_id: str, row: Fields, around: Around) -> FillUpdate:
    """The record of a trade as answers have it, with its fee in the quote currency.

    Args:
        trade_id: its id, under which it is listed.
        row: the trade.
        around: undocumented fields of the answer.
    """
    pair = symbol(text(row, "pair") or "")
    is_maker = flag(row, "maker")
    return FillUpdate(
        event_ms=None,
        is_snapshot=0,
        trade_id=trade_id or None,
        order_id=text(row, "ordertxid") or None,
        client_order_id=None,
        market=None,
        symbol=pair or None,
        side=words.SIDES.get(text(row, "type")),
        price=digits(row, "price"),
        quantity=digits(row, "vol"),
        fee=digits(row, "fee"),
        fee_currency=_quote_of(pair),
        liquidity=None if is_maker is None else words.LIQUIDITY["m" if is_maker else "t"],
        realized_pnl=None,
        kind="liquidation" if "liquidated" in (text(row, "misc") or "").split(",") else "trade",
        executed_ms=seconds_ms(row, "time"),
        extra=extra_of(around, row, _TRADE_FIELDS),
    )


def balances(row: Fields, around: Around) -> list[AccountUpdate]:
    """The records of a currency in a snapshot of channel `balances`: one for each wallet."""
    name, more = currency(required(text(row, "asset"), "asset")), extra_of(around, row, _BALANCE_FIELDS)
    listed = [] if row.get("wallets") is None else objects(row, "wallets")
    wallets = [(wallet_of(one, "type", "id"), digits(one, "balance")) for one in listed]
    return [
        AccountUpdate(None, 1, 0, wallet, name, balance, extra=more if place == 0 else None)
        for place, (wallet, balance) in enumerate(wallets or [(MAIN, digits(row, "balance"))])
    ]


def wallet_of(fields: Fields, type_name: str, id_name: str) -> str:
    """The wallet: the id that the exchange gives it, such as `main`, or else its type.

    Ids of types that are not those of spot may be the same: theirs has the type before it.
    """
    kind, own = text(fields, type_name), text(fields, id_name)
    if kind in {None, "", *SPOT_TYPES} or not own or own == kind:
        return own or kind or MAIN
    return f"{kind}/{own}"


def answered_balance(code: str, row: Fields, around: Around) -> AccountUpdate:
    """The record of a balance as answers have it."""
    name, wallet = holding(code)
    return AccountUpdate(
        event_ms=None,
        is_snapshot=1,
        is_partial=0,
        wallet=wallet,
        currency=required(name, "asset"),
        balance=digits(row, "balance"),
        locked=digits(row, "hold_trade"),
        extra=extra_of(around, row, _BALANCE_EX_FIELDS),
    )


def instrument(pair: str, row: Fields, around: Around) -> Instrument:
    """The record of a pair of the public list."""
    name = symbol(text(row, "wsname") or text(row, "altname") or pair)
    base, quote = split(name) or (None, None)
    decimals = identifier(row, "lot_decimals") or ""
    return Instrument(
        event_ms=None,
        is_snapshot=1,
        market=None,
        symbol=required(name, "wsname"),
        kind="spot",
        base=base,
        quote=quote,
        settle=quote,
        contract_size="1",
        price_tick=digits(row, "tick_size"),
        quantity_step=f"{Decimal(1).scaleb(-int(decimals)):f}" if decimals in _DECIMALS else None,
        extra=extra_of(around, row, _PAIR_FIELDS),
    )
