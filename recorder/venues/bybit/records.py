"""Converts Bybit's objects to records."""

from msgspec import UNSET

from recorder.errors import Undecodable
from recorder.model import (
    MAKER,
    TAKER,
    AccountUpdate,
    Digits,
    FillUpdate,
    OrderUpdate,
    PositionUpdate,
    Transaction,
    new,
)
from recorder.venues.bybit.objects import CoinObject, ExecutionObject, OrderObject, PositionObject, Text
from recorder.venues.bybit.words import (
    CANCELED_ON_REQUEST,
    FILL_KINDS,
    FUNDING,
    NO_IDS,
    NO_REASONS,
    ORDER_TYPES,
    POSITION_SIDES,
    SHORT_SIDE,
    SIDES,
    SPOT,
    STATUSES,
    TIMES_IN_FORCE,
    UNIFIED,
    settle_coin,
)
from recorder.venues.fields import milliseconds, number
from recorder.venues.values import negative, plus, unless_zero


def price(name: str, text: Text) -> Digits | None:
    """The digits of a price; a price of zero means that there is none."""
    return unless_zero(number(name, text))


def trade_id(text: Text) -> str | None:
    """The id of an execution; None if there is none."""
    return None if text is UNSET or text in NO_IDS else text


def order_update(order: OrderObject, event_ms: int | None, extra: str | None, *, is_snapshot: int = 0) -> OrderUpdate:
    """The record of an order."""
    if not order.order_id:
        raise Undecodable("orderId: missing")
    # `UNSET` is false as well, and is in none of the maps.
    side, order_type, status = order.side or None, order.order_type or None, order.order_status or None
    quantity, quote_quantity = number("qty", order.qty), None
    if order.category == SPOT and order_type == "Market" and _is_in_quote_coin(order.market_unit, side):
        quantity, quote_quantity = None, quantity
    in_force, post_only = TIMES_IN_FORCE.get(order.time_in_force or None, (None, None))
    fee, fee_currency = _order_fee(order)
    reduce_only = order.reduce_only
    return new(
        OrderUpdate,
        (
            event_ms,
            is_snapshot,
            0,
            order.category or None,
            order.symbol or None,
            order.order_id,
            order.order_link_id or None,
            SIDES.get(side),
            POSITION_SIDES.get(order.position_idx or None),
            ORDER_TYPES.get(order_type),
            in_force,
            post_only,
            None if reduce_only is None or reduce_only is UNSET else int(reduce_only),
            price("price", order.price),
            price("triggerPrice", order.trigger_price),
            quantity,
            quote_quantity,
            number("cumExecQty", order.cum_exec_qty),
            price("avgPrice", order.avg_price),
            STATUSES.get(status),
            status,
            _reason(order),
            fee,
            fee_currency,
            milliseconds("createdTime", order.created_time),
            milliseconds("updatedTime", order.updated_time),
            extra,
        ),
    )


def _is_in_quote_coin(unit: Text, side: str | None) -> bool:
    """Whether the quantity of a spot market order is an amount of the quote coin: by default, that of one to buy."""
    return unit == "quoteCoin" or (side == "Buy" and unit != "baseCoin")


def _reason(order: OrderObject) -> str | None:
    """Why an order ended: a reason of the matching engine, or else who cancelled it."""
    rejection, cancellation = order.reject_reason or None, order.cancel_type or None
    if rejection not in NO_REASONS and rejection != CANCELED_ON_REQUEST:
        return rejection
    if cancellation not in NO_REASONS:
        return cancellation
    return rejection if rejection == CANCELED_ON_REQUEST else None


def _order_fee(order: OrderObject) -> tuple[Digits | None, str | None]:
    """The fee so far and its coin; neither if it was paid in several coins."""
    fees = [(number("cumFeeDetail", fee), coin) for coin, fee in (order.cum_fee_detail or {}).items() if fee]
    if not fees:
        return number("cumExecFee", order.cum_exec_fee), order.fee_currency or None
    return fees[0] if len(fees) == 1 else (None, None)


def execution_update(execution: ExecutionObject, event_ms: int | None, extra: str | None) -> FillUpdate | Transaction:
    """The record of an execution: a fill, or a payment of funding."""
    exec_type, market, symbol = execution.exec_type or None, execution.category or None, execution.symbol or None
    currency = execution.fee_currency or execution.fee_coin or None
    if currency is None and symbol is not None:
        currency = settle_coin(market, symbol)
    fee = number("execFee", execution.exec_fee)
    if exec_type == FUNDING:
        return new(
            Transaction,
            (
                event_ms,
                0,
                None,  # the id of the ledger; this tells of the payment before the ledger does
                "funding",
                exec_type,
                UNIFIED,
                currency,
                None if fee is None else negative(fee),
                None,
                None,
                market,
                symbol,
                None,  # it names no order
                trade_id(execution.exec_id),
                milliseconds("execTime", execution.exec_time),
                extra,
            ),
        )
    if execution.extra_fees and not isinstance(execution.extra_fees, str):
        for tax in execution.extra_fees:
            if currency is None or tax.fee_coin in {currency, UNSET, ""}:
                fee = plus(fee, number("extraFees", tax.fee))
    is_maker = execution.is_maker
    return new(
        FillUpdate,
        (
            event_ms,
            0,
            trade_id(execution.exec_id),
            execution.order_id or None,
            execution.order_link_id or None,
            market,
            symbol,
            SIDES.get(execution.side or None),
            None,
            number("execPrice", execution.exec_price),
            number("execQty", execution.exec_qty),
            fee,
            currency,
            None if is_maker is None or is_maker is UNSET else MAKER if is_maker else TAKER,
            number("execPnl", execution.exec_pnl),
            FILL_KINDS.get(exec_type),
            milliseconds("execTime", execution.exec_time),
            extra,
        ),
    )


def position_update(
    position: PositionObject, event_ms: int | None, extra: str | None, *, is_snapshot: int = 0
) -> PositionUpdate:
    """The record of a position."""
    if not position.symbol:
        raise Undecodable("symbol: missing")
    quantity = number("size", position.size)
    if position.side == SHORT_SIDE and quantity is not None:
        quantity = negative(quantity)
    entry_price = position.entry_price or position.avg_price
    return new(
        PositionUpdate,
        (
            event_ms,
            is_snapshot,
            0,
            position.category or None,
            position.symbol,
            POSITION_SIDES.get(position.position_idx or None),
            None,
            None,  # the margin mode is the account's, and no row says it
            quantity,
            price("entryPrice", entry_price),
            price("markPrice", position.mark_price),
            price("liqPrice", position.liq_price),
            number("leverage", position.leverage),
            number("positionIM", position.position_im),
            number("unrealisedPnl", position.unrealised_pnl),
            number("curRealisedPnl", position.cur_realised_pnl),
            milliseconds("updatedTime", position.updated_time),
            extra,
        ),
    )


def account_update(
    coin: CoinObject, wallet: str, event_ms: int | None, extra: str | None, *, is_snapshot: int = 0
) -> AccountUpdate:
    """The record of a coin's balance. `walletBalance` includes what was borrowed for spot, which is not owned."""
    if not coin.coin:
        raise Undecodable("coin: missing")
    balance, borrowed = number("walletBalance", coin.wallet_balance), number("spotBorrow", coin.spot_borrow)
    return new(
        AccountUpdate,
        (
            event_ms,
            is_snapshot,
            0,
            wallet,
            coin.coin,
            balance if balance is None or borrowed is None else plus(balance, negative(borrowed)),
            None,
            plus(number("locked", coin.locked), number("totalOrderIM", coin.total_order_im)),
            number("totalPositionIM", coin.total_position_im),
            number("equity", coin.equity),
            number("unrealisedPnl", coin.unrealised_pnl),
            event_ms,
            extra,
        ),
    )
