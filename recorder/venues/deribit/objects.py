"""Converts Deribit's objects to records: orders, trigger orders, trades, positions, portfolios, instruments.

Values are JSON numbers, of which every digit is kept. A function's `around` are the undocumented fields of the frame
around the object; they join the object's own in `extra`. Source: docs.deribit.com, the pages of the subscriptions
`user.changes`, `user.portfolio`, and of the methods that list the same objects.
"""

from collections.abc import Mapping

from recorder.model import (
    INVERSE,
    AccountUpdate,
    Digits,
    FillUpdate,
    Instrument,
    OrderUpdate,
    PositionUpdate,
)
from recorder.venues.deribit import words
from recorder.venues.fields import Fields, digits, flag, identifier, names, required, text, unknown, whole
from recorder.venues.values import extra_text, unless_zero

Around = Mapping[str, str]

#: The documented fields of each object.
ORDER = """
  order_id label instrument_name direction order_state order_type original_order_type time_in_force price amount
  contracts filled_amount average_price post_only reject_post_only reduce_only trigger trigger_price trigger_offset
  trigger_reference_price triggered trigger_order_id trigger_fill_condition display_amount refresh_amount max_show
  cancel_reason reject_reason is_liquidation is_rebalance replaced auto_replaced advanced implv usd mmp
  mmp_cancelled mmp_group quote quote_id quote_set_id block_trade risk_reducing oto_order_ids oco_ref
  primary_order_id is_secondary_oto is_primary_otoco api web mobile app_name user_id creation_timestamp
  last_update_timestamp commission profit_loss"""
TRIGGER = """
  trigger_order_id order_id label instrument_name direction order_state order_type price amount post_only reduce_only
  trigger trigger_price trigger_offset request source oco_ref is_secondary_oto timestamp last_update_timestamp"""
TRADE = """
  trade_id trade_seq order_id label instrument_name direction price amount contracts fee fee_currency liquidity
  liquidation state order_type profit_loss timestamp mark_price index_price iv underlying_price tick_direction
  self_trade post_only reduce_only mmp risk_reducing api block_trade_id block_rfq_id block_rfq_quote_id combo_id
  combo_trade_id quote_id quote_set_id trade_allocations legs matching_id user_id"""
POSITION = """
  instrument_name kind direction size size_currency average_price average_price_usd mark_price index_price
  settlement_price floating_profit_loss floating_profit_loss_usd realized_profit_loss total_profit_loss
  realized_funding interest_value initial_margin maintenance_margin open_orders_margin leverage
  estimated_liquidation_price delta gamma vega theta"""
PORTFOLIO = """
  currency balance equity margin_balance available_funds available_withdrawal_funds initial_margin
  maintenance_margin projected_initial_margin projected_maintenance_margin session_rpl session_upl
  futures_session_rpl futures_session_upl options_session_rpl options_session_upl total_pl futures_pl options_pl
  options_value delta_total delta_total_map projected_delta_total options_delta options_gamma options_gamma_map
  options_vega options_vega_map options_theta options_theta_map estimated_liquidation_ratio
  estimated_liquidation_ratio_map fee_balance spot_reserve additional_reserve locked_balance margin_model
  portfolio_margining_enabled cross_collateral_enabled total_equity_usd total_initial_margin_usd
  total_maintenance_margin_usd total_margin_balance_usd total_delta_total_usd"""
INSTRUMENT = """
  instrument_name instrument_id kind instrument_type base_currency quote_currency counter_currency
  settlement_currency contract_size min_trade_amount tick_size tick_size_steps state is_active
  creation_timestamp expiration_timestamp settlement_period option_type strike maker_commission taker_commission"""

_ORDER_FIELDS = names(ORDER)
_TRIGGER_FIELDS = names(TRIGGER)
_TRADE_FIELDS = names(TRADE)
_POSITION_FIELDS = names(POSITION)
_PORTFOLIO_FIELDS = names(PORTFOLIO)
_INSTRUMENT_FIELDS = names(INSTRUMENT)


def extra_of(around: Around, fields: Fields, known: frozenset[str]) -> str | None:
    """The column `extra`: undocumented fields around an object and its own."""
    return extra_text({**around, **unknown(fields, known)})


def _flag(fields: Fields, name: str) -> int | None:
    """1 for true, 0 for false; very old trades have texts."""
    value = fields.get(name)
    return {"true": 1, "false": 0}.get(value) if isinstance(value, str) else flag(fields, name)


def _price(fields: Fields) -> Digits | None:
    """The limit price; none of an order that is executed at the market, which has a word instead."""
    return None if fields.get("price") == words.AT_MARKET else digits(fields, "price")


def order_update(order: Fields, around: Around, *, is_push: bool, is_snapshot: int = 0) -> OrderUpdate:
    """The record of an order.

    Args:
        order: the object.
        around: undocumented fields of the frame.
        is_push: whether it was pushed; an answer has no time of its own.
        is_snapshot: 1 if it is part of a full state.
    """
    filled, state = digits(order, "filled_amount"), text(order, "order_state")
    updated_ms = whole(order, "last_update_timestamp")
    return OrderUpdate(
        event_ms=updated_ms if is_push else None,
        is_snapshot=is_snapshot,
        is_partial=0,
        market=None,
        symbol=text(order, "instrument_name") or None,
        order_id=required(identifier(order, "order_id"), "order_id"),
        client_order_id=text(order, "label") or None,
        side=words.SIDES.get(text(order, "direction")),
        order_type=words.ORDER_TYPES.get(text(order, "order_type")),
        time_in_force=words.TIMES_IN_FORCE.get(text(order, "time_in_force")),
        post_only=_flag(order, "post_only"),
        reduce_only=_flag(order, "reduce_only"),
        price=_price(order),
        trigger_price=digits(order, "trigger_price"),
        quantity=digits(order, "amount"),
        filled_quantity=filled,
        average_price=unless_zero(digits(order, "average_price")),
        status=words.status(state, filled),
        venue_status=state or None,
        reason=text(order, "cancel_reason") or text(order, "reject_reason") or None,
        created_ms=whole(order, "creation_timestamp"),
        updated_ms=updated_ms,
        extra=extra_of(around, order, _ORDER_FIELDS),
    )


def trigger_update(entry: Fields, around: Around) -> OrderUpdate:
    """The record of an entry of the history of trigger orders; the order that one became is another order."""
    state = text(entry, "order_state")
    return OrderUpdate(
        event_ms=None,
        is_snapshot=0,
        is_partial=0,
        market=None,
        symbol=text(entry, "instrument_name") or None,
        order_id=required(identifier(entry, "trigger_order_id"), "trigger_order_id"),
        client_order_id=text(entry, "label") or None,
        side=words.SIDES.get(text(entry, "direction")),
        order_type=words.ORDER_TYPES.get(text(entry, "order_type")),
        post_only=_flag(entry, "post_only"),
        reduce_only=_flag(entry, "reduce_only"),
        price=_price(entry),
        trigger_price=digits(entry, "trigger_price"),
        quantity=digits(entry, "amount"),
        status=words.status(state, None),
        venue_status=state or None,
        updated_ms=whole(entry, "last_update_timestamp"),
        extra=extra_of(around, entry, _TRIGGER_FIELDS),
    )


def fill_update(trade: Fields, around: Around, *, is_push: bool) -> FillUpdate | None:
    """The record of a trade; None of a combo's, whose legs are trades of their own."""
    if trade.get("legs"):
        return None
    at_ms, liquidity = whole(trade, "timestamp"), text(trade, "liquidity")
    return FillUpdate(
        event_ms=at_ms if is_push else None,
        is_snapshot=0,
        trade_id=identifier(trade, "trade_id") or None,
        order_id=identifier(trade, "order_id") or None,
        client_order_id=text(trade, "label") or None,
        market=None,
        symbol=text(trade, "instrument_name") or None,
        side=words.SIDES.get(text(trade, "direction")),
        price=digits(trade, "price"),
        quantity=digits(trade, "amount"),
        fee=digits(trade, "fee"),
        fee_currency=text(trade, "fee_currency") or None,
        liquidity=words.LIQUIDITY.get(liquidity),
        realized_pnl=digits(trade, "profit_loss"),
        kind=words.fill_kind(liquidity, text(trade, "liquidation"), text(trade, "order_type")),
        executed_ms=at_ms,
        extra=extra_of(around, trade, _TRADE_FIELDS),
    )


def position_update(position: Fields, around: Around, *, is_snapshot: int = 0) -> PositionUpdate:
    """The record of a position, which has no time. PnL is that since the last settlement."""
    return PositionUpdate(
        event_ms=None,
        is_snapshot=is_snapshot,
        is_partial=0,
        market=None,
        symbol=required(text(position, "instrument_name"), "instrument_name"),
        quantity=digits(position, "size"),
        entry_price=digits(position, "average_price"),
        mark_price=digits(position, "mark_price"),
        liquidation_price=digits(position, "estimated_liquidation_price"),
        leverage=digits(position, "leverage"),
        margin=digits(position, "initial_margin"),
        unrealized_pnl=digits(position, "floating_profit_loss"),
        realized_pnl=digits(position, "realized_profit_loss"),
        extra=extra_of(around, position, _POSITION_FIELDS),
    )


def account_update(portfolio: Fields, around: Around, *, is_snapshot: int) -> AccountUpdate:
    """The record of a currency. Its balance is cash: the session's PnL joins it at the daily settlement."""
    return AccountUpdate(
        event_ms=None,
        is_snapshot=is_snapshot,
        is_partial=0,
        wallet=None,
        currency=required(text(portfolio, "currency"), "currency"),
        balance=digits(portfolio, "balance"),
        available=digits(portfolio, "available_funds"),
        locked=digits(portfolio, "spot_reserve"),
        position_margin=digits(portfolio, "initial_margin"),
        equity=digits(portfolio, "equity"),
        unrealized_pnl=digits(portfolio, "session_upl"),
        extra=extra_of(around, portfolio, _PORTFOLIO_FIELDS),
    )


def instrument(row: Fields, around: Around) -> Instrument:
    """What a symbol means. A quantity (`amount`) is in the base currency; of inverse contracts in USD."""
    kind, form = text(row, "kind"), text(row, "instrument_type")
    quote = text(row, "quote_currency") or None
    own: str | None = kind if kind in {"option", "spot"} else None
    if kind == "future":
        own = {"reversed": INVERSE, "linear": "linear"}.get(form or "")
    return Instrument(
        event_ms=None,
        is_snapshot=1,
        market=None,
        symbol=required(text(row, "instrument_name"), "instrument_name"),
        kind=own,
        base=text(row, "base_currency") or None,
        quote=quote,
        settle=text(row, "settlement_currency") or (quote if kind == "spot" else None),
        contract_size=None if own is None else "1",
        price_tick=digits(row, "tick_size"),
        quantity_step=digits(row, "min_trade_amount"),
        extra=extra_of(around, row, _INSTRUMENT_FIELDS),
    )
