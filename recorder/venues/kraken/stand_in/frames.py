"""A simulated account in Kraken's words: the events of its pushes, and the rows of its answers.

Source: docs.kraken.com, "Executions", "Balances", and the pages of the REST paths.
"""

from decimal import Decimal

import msgspec
from msgspec import Raw

from recorder.venues.kraken.names import DERIVATIVES, FIAT, MAIN, TOKENIZED, is_tokenized
from recorder.venues.kraken.stand_in.spelling import (
    ENTRY,
    ORDER,
    TRADE,
    alternative,
    code_of,
    id_of,
    own_id,
    pair_of,
    slashed,
    time_of,
)
from recorder.venues.simulated import SimulatedBalance, SimulatedFill, SimulatedOrder, SimulatedTransaction, Terms

Row = dict[str, object]

encode = msgspec.json.Encoder().encode

#: Why an order ended.
_REASONS = {
    "user": "User requested",
    "post_only": "Post only order",
    "ioc": "Insufficient liquidity for IOC",
    "fok": "Insufficient liquidity for FOK",
    "margin": "Insufficient funds",
    "reduce_only": "Reduce only:No position exists",
    "liquidation": "Liquidated",
}
_STATUSES = {"pending": "new", "rejected": "canceled"}
_ZERO = Decimal(0)


def push(channel: str, kind: str, rows: list[Row], sequence: int) -> bytes:
    """A frame."""
    return encode({"channel": channel, "type": kind, "data": rows, "sequence": sequence})


def answer(result: object) -> bytes:
    """The answer to a request."""
    return encode({"error": [], "result": result})


def refusal(error: str) -> bytes:
    """The answer to a request that is refused."""
    return encode({"error": [error]})


def number(value: Decimal) -> Raw:
    """A JSON number without an exponent."""
    return Raw(f"{value:f}".encode())


def seconds(at_ms: int | None) -> Raw:
    """A time as answers have it, seconds since 1970; 0 is none."""
    return Raw(b"0") if at_ms is None else number(Decimal(at_ms).scaleb(-3))


def order_type(order: SimulatedOrder) -> str:
    """The type: one that waits for a trigger says which way the price must go."""
    if not order.trigger_price:
        return order.type
    if order.trail_distance:
        kind = "trailing-stop"
    else:
        kind = "stop-loss" if (order.side == "buy") == order.trigger_rises else "take-profit"
    return kind if order.type == "market" else f"{kind}-limit"


def _triggers(order: SimulatedOrder) -> Row:
    trailing = bool(order.trail_distance)
    return {
        "reference": "last",
        "price": number(order.trail_distance if trailing else order.trigger_price),
        "price_type": "quote" if trailing else "static",
        "actual_price": number(order.trigger_price),
        "status": "triggered" if order.is_triggered else "untriggered",
    }


def _ids(order: SimulatedOrder) -> Row:
    mine: Row = {} if order.client_order_id is None else {"cl_ord_id": order.client_order_id}
    return {"order_id": own_id(ORDER, order.id, order.terms.symbol), "order_userref": 0, **mine}


def placed(order: SimulatedOrder) -> Row:
    """The event that tells the whole order, before anything happened to it. Of derivatives, it is live by then."""
    status = "pending_new" if order.terms.kind == "spot" else "new"
    row: Row = {
        **_ids(order),
        "symbol": order.terms.symbol,
        "order_qty": number(order.quantity),
        "cum_cost": number(_ZERO),
        "time_in_force": order.time_in_force.upper(),
        "exec_type": status,
        "side": order.side,
        "order_type": order_type(order),
        "limit_price_type": "static",
        "limit_price": number(order.price if order.type == "limit" else _ZERO),
        "stop_price": number(order.trigger_price),
        "order_status": status,
        "fee_usd_equiv": number(_ZERO),
        "fee_ccy_pref": "fciq",
        "timestamp": time_of(order.created_ms),
    }
    if order.post_only:
        row["post_only"] = True
    if order.trigger_price:
        row["triggers"] = _triggers(order) | {"status": "untriggered"}
    return row


def open_row(order: SimulatedOrder) -> Row:
    """An open order in a snapshot."""
    row = placed(order)
    row |= {"cum_qty": number(order.filled_quantity), "cum_cost": number(order.notional)}
    row |= {"avg_price": number(order.average_price)}
    if order.trigger_price:
        row["triggers"] = _triggers(order)
    return row | {"order_status": _STATUSES.get(order.status, order.status)}


def live(order: SimulatedOrder) -> Row:
    """The event that an order is in the book, or waits for its trigger; it says nothing else."""
    return _event(order, "new", "new", order.created_ms)


def changed(order: SimulatedOrder) -> Row:
    """The event that something about an open order is not as it was."""
    if order.trigger_price:
        row = _event(order, "status", _STATUSES.get(order.status, order.status), order.updated_ms)
        return {**row, "triggers": _triggers(order)}
    row = _event(order, "amended", _STATUSES.get(order.status, order.status), order.updated_ms)
    prices: Row = {"limit_price": number(order.price), "limit_price_type": "static"} if order.type == "limit" else {}
    return {**row, "amended": True, "order_qty": number(order.quantity), **prices}


def ended(order: SimulatedOrder) -> Row:
    """The event that an order was filled or canceled: what it came to, without its terms."""
    is_filled = order.status == "filled"
    kind = "filled" if is_filled else "canceled"
    reason: Row = {} if is_filled else dict.fromkeys(("cancel_reason", "reason"), _REASONS[order.reason or "user"])
    return {
        **_event(order, kind, kind, order.updated_ms),
        "cum_qty": number(order.filled_quantity),
        "cum_cost": number(order.notional),
        "avg_price": number(order.average_price),
        "fee_usd_equiv": number(_ZERO),
        **reason,
    }


def _event(order: SimulatedOrder, kind: str, status: str, at_ms: int) -> Row:
    return {"timestamp": time_of(at_ms), "order_status": status, "exec_type": kind, **_ids(order)}


def trade(fill: SimulatedFill, order: SimulatedOrder | None) -> Row:
    """The event of an execution.

    Args:
        fill: the execution.
        order: what it came to with this execution; None: a snapshot does not say.
    """
    so_far: Row = {}
    if order is not None:
        so_far = {
            "order_type": order_type(order),
            "cum_qty": number(order.filled_quantity),
            "cum_cost": number(order.notional),
            "avg_price": number(order.average_price),
        }
    mine: Row = {} if fill.client_order_id is None else {"cl_ord_id": fill.client_order_id}
    return {
        "order_id": own_id(ORDER, fill.order_id, fill.terms.symbol),
        "order_userref": 0,
        **mine,
        "exec_id": own_id(TRADE, fill.trade_id, fill.terms.symbol),
        "exec_type": "trade",
        "trade_id": fill.trade_id,
        "symbol": fill.terms.symbol,
        "side": fill.side,
        "last_qty": number(fill.quantity),
        "last_price": number(fill.price),
        "liquidity_ind": "t" if fill.is_taker else "m",
        "cost": number(fill.value),
        "timestamp": time_of(fill.executed_ms),
        "order_status": "partially_filled",
        **so_far,
        "fee_usd_equiv": number(fill.fee),
        "fees": [{"asset": fill.fee_currency, "qty": number(fill.fee)}],
    }


def decimals(currency: str) -> int:
    """To how many decimals the exchange keeps amounts of a currency."""
    return 4 if currency in FIAT else 10


def class_of(currency: str) -> str:
    """The class of an asset."""
    return TOKENIZED if is_tokenized(currency) else "currency"


def kept(balance: Decimal, currency: str) -> Decimal:
    """A balance, rounded as the exchange keeps it."""
    return round(balance, decimals(currency)) if currency in FIAT else balance


def _kept_entry(entry: SimulatedTransaction) -> tuple[Decimal, Decimal, Decimal]:
    """Amount without its fee, fee, and balance after both: rounded so that the balances still follow from them."""
    after, before = (kept(one, entry.currency) for one in (entry.balance_after, entry.balance_after - entry.amount))
    fee = kept(entry.fee, entry.currency)
    return after - before + fee, fee, after


def balance_row(balance: SimulatedBalance) -> Row:
    """A currency in a snapshot."""
    held = number(kept(balance.total, balance.currency))
    wallets = [{"type": wallet_type(balance.wallet), "id": balance.wallet, "balance": held}]
    return {"asset": balance.currency, "asset_class": class_of(balance.currency), "balance": held, "wallets": wallets}


def wallet_type(wallet: str | None) -> str:
    """The type of a wallet."""
    return DERIVATIVES if wallet == DERIVATIVES else "spot"


def _reference(entry: SimulatedTransaction) -> str:
    if entry.trade_id is None:
        return id_of(ENTRY, entry.id)
    return own_id(TRADE, entry.trade_id, "" if entry.terms is None else entry.terms.symbol)


def entry_row(entry: SimulatedTransaction) -> Row:
    """An entry of the ledger, as pushed. Its amount is without its fee."""
    amount, fee, after = _kept_entry(entry)
    return {
        "ledger_id": id_of(ENTRY, entry.id),
        "ref_id": _reference(entry),
        "timestamp": time_of(entry.occurred_ms),
        "type": entry.type,
        "asset": entry.currency,
        "asset_class": class_of(entry.currency),
        "category": entry.type,
        "wallet_type": wallet_type(entry.wallet),
        "wallet_id": entry.wallet,
        "amount": number(amount),
        "fee": number(fee),
        "balance": number(after),
    }


def listed_entry(entry: SimulatedTransaction) -> tuple[str, Row]:
    """The same over REST: its id, and the row."""
    amount, fee, after = (f"{one:.{decimals(entry.currency)}f}" for one in _kept_entry(entry))
    return id_of(ENTRY, entry.id), {
        "refid": _reference(entry),
        "time": seconds(entry.occurred_ms),
        "type": entry.type,
        "subtype": "",
        "aclass": DERIVATIVES if entry.wallet == DERIVATIVES else class_of(entry.currency),
        "asset": code_of(entry.currency, MAIN if entry.wallet == DERIVATIVES else entry.wallet),
        "amount": amount,
        "fee": fee,
        "balance": after,
    }


def listed_order(order: SimulatedOrder) -> tuple[str, Row]:
    """An order over REST: its id, and the row."""
    kind, pair = order_type(order), alternative(order.terms.symbol)
    limit = f"{order.price:f}" if order.type == "limit" else "0"
    first, second = (f"{order.trigger_price:f}", limit) if order.trigger_price else (limit, "0")
    status = {"filled": "closed", "canceled": "canceled", "rejected": "canceled"}.get(order.status, "open")
    mine: Row = {} if order.client_order_id is None else {"cl_ord_id": order.client_order_id}
    row: Row = {
        "refid": None,
        "userref": 0,
        **mine,
        "status": status,
        "opentm": seconds(order.created_ms),
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": pair,
            "type": order.side,
            "ordertype": kind,
            "price": first,
            "price2": second,
            "leverage": "none",
            "order": f"{order.side} {order.quantity:f} {pair} @ {kind}",
            "close": "",
        },
        "vol": f"{order.quantity:.8f}",
        "vol_exec": f"{order.filled_quantity:.8f}",
        "cost": f"{order.notional:f}",
        "fee": f"{order.fee:f}",
        "price": f"{order.average_price:f}",
        "stopprice": f"{order.trigger_price:f}",
        "limitprice": "0.00000",
        "misc": ("stopped" if kind.startswith(("stop", "trailing")) else "touched") if order.is_triggered else "",
        "oflags": "post,fciq" if order.post_only else "fciq",
    }
    if order.trigger_price:
        row["trigger"] = "last"
    if status != "open":
        row |= {"reason": _REASONS.get(order.reason or ""), "closetm": seconds(order.updated_ms)}
    return id_of(ORDER, order.id), row


def listed_trade(fill: SimulatedFill) -> tuple[str, Row]:
    """An execution over REST: its id, and the row."""
    return id_of(TRADE, fill.trade_id), {
        "ordertxid": id_of(ORDER, fill.order_id),
        "postxid": id_of(TRADE, fill.order_id),
        "pair": pair_of(fill.terms.symbol),
        "time": seconds(fill.executed_ms),
        "type": fill.side,
        "ordertype": "limit",
        "price": f"{fill.price:f}",
        "cost": f"{fill.value:f}",
        "fee": f"{fill.fee:f}",
        "vol": f"{fill.quantity:.8f}",
        "margin": "0.00000",
        "leverage": "0",
        "misc": "",
        "trade_id": fill.trade_id,
        "maker": not fill.is_taker,
    }


def listed_balance(balance: SimulatedBalance) -> tuple[str, Row]:
    """A balance over REST: its currency's code, and the row."""
    total, locked = (f"{one:.{decimals(balance.currency)}f}" for one in (balance.total, balance.locked))
    row: Row = {"balance": total, "hold_trade": locked}
    return code_of(balance.currency, balance.wallet), row


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def listed_pair(terms: Terms) -> tuple[str, Row]:
    """A pair of the public list: its name, and the row."""
    fees = [[0, float(terms.taker_rate * 100)]]
    return pair_of(terms.symbol), {
        "altname": alternative(terms.symbol),
        "wsname": slashed(terms.symbol),
        "aclass_base": class_of(terms.base),
        "base": code_of(terms.base),
        "aclass_quote": "currency",
        "quote": code_of(terms.quote),
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": _decimals(terms.price_tick),
        "lot_decimals": _decimals(terms.quantity_step),
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": fees,
        "fees_maker": [[0, float(terms.maker_rate * 100)]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": f"{terms.quantity_step:f}",
        "costmin": "0.5",
        "tick_size": f"{terms.price_tick:f}",
        "status": "online",
    }
