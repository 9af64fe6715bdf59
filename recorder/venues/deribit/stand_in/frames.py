"""A simulated account in Deribit's words: the objects of its pushes and answers, with every documented field.

Amounts are JSON numbers. Ids of what is settled in another currency than BTC begin with that currency; those of trigger
orders say what they are. Source: docs.deribit.com, the pages of the channels and methods.
"""

from decimal import Decimal

import msgspec

from recorder.venues.simulated import (
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    SimulatedTransaction,
    Terms,
)

Row = dict[str, object]

#: Decimals become numbers with all of their digits.
encode = msgspec.json.Encoder(decimal_format="number").encode

USER_ID = 4711
#: Where the numbers in ids begin.
ORDER, TRADE = 81_000_000_000, 312_000_000
NONE = Decimal(0)

_STATES = {
    "pending": "untriggered",
    "new": "open",
    "partially_filled": "open",
    "filled": "filled",
    "canceled": "cancelled",
    "rejected": "rejected",
}
#: Why an order ended → `cancel_reason`, where the exchange has a word for it.
_REASONS = {
    "user": "user_request",
    "liquidation": "autoliquidation",
    "margin": "risk_mitigation",
    "expiry": "settlement",
}
_TIMES_IN_FORCE = {"gtc": "good_til_cancelled", "ioc": "immediate_or_cancel", "fok": "fill_or_kill"}
#: Type of a transaction → `type` of an entry of the log.
_LOG_TYPES = {
    "trade": "trade",
    "funding": "settlement",
    "liquidation": "correction",
    "settlement": "delivery",
    "deposit": "deposit",
    "withdrawal": "withdrawal",
    "transfer": "transfer",
}


def push(channel: str, data: object) -> bytes:
    """A push."""
    params = {"channel": channel, "data": data}
    return encode({"jsonrpc": "2.0", "method": "subscription", "params": params})


def answer(result: object, now_ms: int, request_id: object = None) -> bytes:
    """The answer to a request."""
    return _told(now_ms, request_id, result=result)


def refusal(code: int, message: str, now_ms: int, reason: str = "", request_id: object = None) -> bytes:
    """The answer to a request that is refused."""
    error: Row = {"code": code, "message": message}
    if reason:
        error["data"] = {"reason": reason}
    return _told(now_ms, request_id, error=error)


def _told(now_ms: int, request_id: object, **told: object) -> bytes:
    named = {} if request_id is None else {"id": request_id}
    at_us = now_ms * 1000
    around = {"usIn": at_us, "usOut": at_us + 608, "usDiff": 608, "testnet": False}
    return encode({"jsonrpc": "2.0", **named, **told, **around})


def prefix(terms: Terms) -> str:
    """How the ids of an instrument begin."""
    return "" if terms.settle == "BTC" else f"{terms.settle}-"


def is_waiting(order: SimulatedOrder) -> bool:
    """Whether it waits for its trigger, or ended before: then it is a trigger order."""
    return bool(order.trigger_price) and not order.is_triggered


def contract_size(terms: Terms) -> Decimal:
    """The amount of a contract."""
    return Decimal(1) if terms.kind == "option" else terms.quantity_step


def order_id(order: SimulatedOrder) -> str:
    """The id of an order, or of the trigger order that it is."""
    return trigger_id(order) if is_waiting(order) else f"{prefix(order.terms)}{ORDER + order.id}"


def trigger_id(order: SimulatedOrder) -> str:
    """The id of a trigger order: a stop by the last trade's price, to buy or to sell."""
    return f"{prefix(order.terms)}SLT{'B' if order.side == 'buy' else 'S'}-{order.id}"


def number_of(order_id: str) -> int | None:
    """The order that an id names; None if it is no id of this exchange."""
    rest, _, digits = order_id.rpartition("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) - (0 if "SLT" in rest else ORDER)


def trade_id(fill: SimulatedFill) -> str:
    """The id of a fill."""
    return f"{prefix(fill.terms)}{TRADE + fill.trade_id}"


def order_row(order: SimulatedOrder, state: str | None = None) -> Row:
    """An order, in pushes and answers.

    Args:
        order: the order.
        state: where it is not the order's own, because it is another order now: then it is the trigger order.
    """
    terms = order.terms
    waits = is_waiting(order) or state is not None
    row: Row = {
        "web": False,
        "user_id": USER_ID,
        "time_in_force": _TIMES_IN_FORCE[order.time_in_force],
        "risk_reducing": False,
        "replaced": False,
        "reduce_only": order.reduce_only,
        "price": order.price if order.type == "limit" or not waits else "market_price",
        "post_only": order.post_only,
        "order_type": f"stop_{order.type}" if waits else order.type,
        "order_state": state or _STATES[order.status],
        "order_id": trigger_id(order) if waits else order_id(order),
        "mmp": False,
        "last_update_timestamp": order.updated_ms,
        "label": order.client_order_id or "",
        "is_liquidation": order.kind == "liquidation",
        "instrument_name": terms.symbol,
        "direction": order.side,
        "creation_timestamp": order.created_ms,
        "contracts": order.quantity / contract_size(terms),
        "api": True,
        "amount": order.quantity,
    }
    if waits:
        row |= {"trigger": "last_price", "trigger_price": order.trigger_price, "triggered": state is not None}
    else:
        row |= {"filled_amount": order.filled_quantity, "average_price": order.average_price}
        row |= {"trigger_order_id": trigger_id(order)} if order.trigger_price else {}
    if order.status in {"canceled", "rejected"} and order.reason in _REASONS:
        row["cancel_reason"] = _REASONS[order.reason]
    if order.status == "rejected":
        row["reject_reason"] = order.reason or "rejected"
    return row


def trade_row(fill: SimulatedFill) -> Row:
    """A fill, in pushes and answers."""
    terms = fill.terms
    liquidity = "T" if fill.is_taker else "M"
    row: Row = {
        "user_id": USER_ID,
        "trade_seq": fill.trade_id,
        "trade_id": trade_id(fill),
        "timestamp": fill.executed_ms,
        "tick_direction": 2,
        "state": "open",
        "self_trade": False,
        "risk_reducing": False,
        "reduce_only": False,
        "profit_loss": None if terms.kind == "spot" else fill.realized_pnl,
        "price": fill.price,
        "post_only": False,
        "order_type": "limit",
        "order_id": f"{prefix(terms)}{ORDER + fill.order_id}",
        "mmp": False,
        "matching_id": None,
        "mark_price": fill.price,
        "liquidity": liquidity,
        "label": fill.client_order_id or "",
        "instrument_name": terms.symbol,
        "index_price": fill.price,
        "fee_currency": fill.fee_currency,
        "fee": fill.fee,
        "direction": fill.side,
        "contracts": fill.quantity / contract_size(terms),
        "api": True,
        "amount": fill.quantity,
    }
    if fill.kind == "liquidation":
        row["liquidation"] = liquidity
    if terms.kind == "option":
        del row["index_price"]
    return row


def position_row(position: SimulatedPosition) -> Row:
    """A position, in pushes and answers. Its session begins when it was last flat."""
    size, unrealized = position.signed, position.unrealized_pnl
    coins = -position.value if position.side == "short" else position.value
    row: Row = {
        "total_profit_loss": position.holding_pnl + unrealized,
        "size_currency": coins if position.terms.kind == "inverse" else size,
        "size": size,
        "settlement_price": NONE,
        "realized_profit_loss": position.holding_pnl,
        "realized_funding": position.holding_funding,
        "open_orders_margin": NONE,
        "mark_price": position.mark_price,
        "maintenance_margin": position.margin,
        "leverage": position.terms.leverage,
        "kind": "future",
        "interest_value": NONE,
        "instrument_name": position.terms.symbol,
        "initial_margin": position.margin,
        "index_price": position.mark_price,
        "floating_profit_loss": unrealized,
        "estimated_liquidation_price": position.liquidation_price if size else None,
        "direction": "zero" if not size else "buy" if size > 0 else "sell",
        "delta": size,
        "average_price": position.entry_price if size else NONE,
    }
    if position.terms.kind == "option":
        del row["size_currency"], row["estimated_liquidation_price"], row["index_price"]
        row["kind"] = "option"
    return row


#: Fields of a portfolio that are 0 here: every PnL is settled at once, and there are no options.
_NOTHING = """
  session_rpl session_upl futures_session_rpl futures_session_upl options_session_rpl options_session_upl futures_pl
  options_pl total_pl options_value delta_total projected_delta_total options_delta options_gamma options_vega
  options_theta fee_balance spot_reserve additional_reserve locked_balance"""


def portfolio_row(balance: SimulatedBalance) -> Row:
    """A currency, in pushes and answers."""
    margin = balance.margin + balance.locked
    return {
        "currency": balance.currency,
        "balance": balance.total,
        "equity": balance.total,
        "margin_balance": balance.total,
        "available_funds": balance.available,
        "available_withdrawal_funds": balance.available,
        "initial_margin": margin,
        "maintenance_margin": balance.margin,
        "projected_initial_margin": margin,
        "projected_maintenance_margin": balance.margin,
        **dict.fromkeys(_NOTHING.split(), NONE),
        "delta_total_map": {},
        "margin_model": "segregated_sm",
        "portfolio_margining_enabled": False,
        "cross_collateral_enabled": False,
    }


def log_rows(entry: SimulatedTransaction) -> list[Row]:
    """The entries of the transaction log for a change of a balance, oldest first.

    That of a future's trade is its fee; what it has earned is settled in the same moment, by an entry of its own.
    """
    terms = entry.terms
    is_future = entry.type == "trade" and terms is not None and terms.kind not in {"spot", "option"}
    change = -entry.fee if is_future else entry.amount
    settled = entry.amount - change
    first = _log_row(entry, 0, _LOG_TYPES[entry.type], change, entry.balance_after - settled)
    if entry.type == "funding":
        first |= _settled(change, change)
    if entry.type == "settlement":
        first |= _delivered(entry)
    if not settled:
        return [first]
    last = _log_row(entry, 1, "settlement", settled, entry.balance_after) | _settled(settled, NONE)
    return [first, {**last, "info": {"settles": first["id"]}}]


def _settled(change: Decimal, funding: Decimal) -> Row:
    told: Row = {"session_rpl": change, "session_upl": NONE, "interest_pl": funding, "total_interest_pl": funding}
    return {**told, "trade_id": None, "order_id": None, "commission": NONE, "side": "long"}


def _delivered(entry: SimulatedTransaction) -> Row:
    """What a delivery says: the position that it closes, and the price; of an option also what each earned."""
    assert entry.terms is not None
    is_option = entry.terms.kind == "option"
    each = abs(entry.amount / entry.quantity) if is_option else entry.price
    return {
        "side": "close sell" if entry.side == "buy" else "close buy",
        "position": NONE,
        "contracts": entry.quantity / contract_size(entry.terms),
        "price": each,
        "mark_price": each,
        "settlement_price": entry.price,
        "index_price": entry.price,
    }


def settlement_row(log: Row) -> Row:
    """A settlement or a delivery of the settlement history, from its entry of the log."""
    size = Decimal(str(log.get("amount") or 0))
    named = ("type", "timestamp", "instrument_name", "mark_price", "index_price")
    return {
        **{name: log.get(name) for name in named},
        "position": -size if log.get("side") in {"close buy", "short"} else size,
        "profit_loss": log["change"],
        "session_profit_loss": log["change"],
        "funding": log.get("interest_pl", 0),
    }


def _log_row(entry: SimulatedTransaction, place: int, kind: str, change: Decimal, after: Decimal) -> Row:
    terms = entry.terms
    row: Row = {
        "id": entry.id * 2 + place,
        "user_seq": entry.id * 2 + place,
        "user_id": USER_ID,
        "username": "simulated",
        "type": kind,
        "timestamp": entry.occurred_ms,
        "currency": entry.currency,
        "change": change,
        "cashflow": change,
        "balance": after,
        "equity": after,
        "commission": entry.fee,
        "info": None,
    }
    if terms is not None:
        row |= {
            "instrument_name": terms.symbol,
            "side": f"open {entry.side}" if entry.side else "-",
            "amount": entry.quantity,
            "price": entry.price,
            "price_currency": terms.settle if terms.kind == "option" else "USD",
            "trade_id": None if entry.trade_id is None else f"{prefix(terms)}{TRADE + entry.trade_id}",
            "order_id": None if entry.order_id is None else f"{prefix(terms)}{ORDER + entry.order_id}",
            "profit_as_cashflow": False,
        }
    return row


def instrument_row(terms: Terms, now_ms: int = 0) -> Row:
    """An instrument of the public lists, at a time."""
    is_spot, is_option = terms.kind == "spot", terms.kind == "option"
    is_inverse, is_open = terms.kind == "inverse" or terms.is_paid_in_base, not 0 < terms.expires_ms <= now_ms
    quote = "USD" if terms.kind == "inverse" else terms.quote
    row: Row = {
        "instrument_name": terms.symbol,
        "instrument_id": sum(terms.symbol.encode()),
        "kind": terms.kind if is_spot or is_option else "future",
        "instrument_type": "reversed" if is_inverse else "linear",
        "base_currency": terms.base,
        "quote_currency": quote,
        "counter_currency": "USD" if is_inverse else terms.quote,
        "contract_size": contract_size(terms),
        "min_trade_amount": terms.quantity_step,
        "tick_size": terms.price_tick,
        "tick_size_steps": [],
        "state": "open" if is_open else "delivered",
        "is_active": is_open,
        "creation_timestamp": 1534167754000,
        "expiration_timestamp": terms.expires_ms or 32503708800000,
        "settlement_period": "day" if terms.expires_ms else "perpetual",
        "maker_commission": terms.maker_rate,
        "taker_commission": terms.taker_rate,
    }
    if is_option:
        row |= {"option_type": "put" if terms.is_put else "call", "strike": terms.strike}
    return row if is_spot else {**row, "settlement_currency": terms.settle}
