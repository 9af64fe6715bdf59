"""A simulated account in Hyperliquid's words: the objects of its pushes and answers, with every documented field.

Source: hyperliquid.gitbook.io, "WebSocket subscriptions" and "Info endpoint".
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from recorder.venues.hyperliquid.words import MAIN_DEX, SPOT
from recorder.venues.simulated import (
    Kind,
    SimulatedBalance,
    SimulatedFill,
    SimulatedOrder,
    SimulatedPosition,
    SimulatedTransaction,
    Terms,
)

Object = dict[str, object]

encode = msgspec.json.Encoder().encode

#: The other side of transfers to and from the account, and of what remains after a liquidation.
OTHERS = "0x" + "0" * 38 + "01"
LIQUIDATOR = "0x" + "0" * 38 + "02"

_NO_HASH = "0x" + "0" * 64
_SIDES = {"buy": "B", "sell": "A"}
_OPEN = frozenset(["pending", "new", "partially_filled"])
#: Why an order ended → its status, if nothing of it was filled.
_REASONS = {
    "user": "canceled",
    "post_only": "badAloPxRejected",
    "ioc": "iocCancelRejected",
    "fok": "iocCancelRejected",
    "margin": "perpMarginRejected",
    "liquidation": "liquidatedCanceled",
    "reduce_only": "reduceOnlyCanceled",
}
_ZERO = Decimal(0)


def push(channel: str, data: object) -> bytes:
    """A frame of the socket."""
    return encode({"channel": channel, "data": data})


def stated_order(order: SimulatedOrder, *, listed: bool = False) -> Object:
    """An order with its status, as `orderUpdates` and, with more fields, `historicalOrders` have it."""
    shown = listed_order(order) if listed else _order(order)
    return {"order": shown, "status": _status(order), "statusTimestamp": order.updated_ms}


def listed_order(order: SimulatedOrder) -> Object:
    """An order as lists have it."""
    is_trigger = bool(order.trigger_price) and not order.is_triggered
    market = order.type == "market"
    if is_trigger:
        kind, tif = ("Stop Market" if market else "Stop Limit"), None
    elif market:
        kind, tif = "Market", "FrontendMarket"
    else:
        kind, tif = "Limit", "Alo" if order.post_only else "Gtc" if order.time_in_force == "gtc" else "Ioc"
    condition = f"Price {'above' if order.trigger_rises else 'below'} {order.trigger_price:f}"
    return {
        **_order(order),
        "isTrigger": is_trigger,
        "triggerPx": _text(order.trigger_price),
        "triggerCondition": condition if is_trigger else "N/A",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": order.reduce_only,
        "orderType": kind,
        "tif": tif,
        "cloid": order.client_order_id,
    }


def _order(order: SimulatedOrder) -> Object:
    shown: Object = {
        "coin": order.terms.symbol,
        "side": _SIDES[order.side],
        "limitPx": _text(order.price),
        "sz": _text(order.left),
        "oid": order.id,
        "timestamp": order.created_ms,
        "origSz": _text(order.quantity),
    }
    if order.client_order_id is not None:
        shown["cloid"] = order.client_order_id
    if order.reduce_only:
        shown["reduceOnly"] = True
    return shown


def _status(order: SimulatedOrder) -> str:
    if order.status in _OPEN:
        return "open"
    if order.status == "filled":
        return "filled"
    if order.filled_quantity or order.reason is None:
        return "canceled"
    return _REASONS[order.reason]


def fill(one: SimulatedFill, address: str) -> Object:
    """A fill.

    Args:
        one: the fill.
        address: of the account.
    """
    shown: Object = {
        "coin": one.terms.symbol,
        "px": _text(one.price),
        "sz": _text(one.quantity),
        "side": _SIDES[one.side],
        "time": one.executed_ms,
        "startPosition": _text(one.position_before),
        "dir": _direction(one),
        "closedPnl": _text(one.realized_pnl),
        "hash": _NO_HASH if one.kind == "liquidation" else _hash(one.trade_id),
        "oid": one.order_id,
        "crossed": one.is_taker,
        "fee": _text(one.fee),
        "tid": one.trade_id,
        "feeToken": one.fee_currency,
        "twapId": None,
    }
    if one.client_order_id is not None:
        shown["cloid"] = one.client_order_id
    if one.kind == "liquidation":
        shown["liquidation"] = {"liquidatedUser": address, "markPx": _text(one.price), "method": "backstop"}
    return shown


def _direction(one: SimulatedFill) -> str:
    """What a fill did, for people."""
    if one.terms.kind == "spot":
        return "Buy" if one.side == "buy" else "Sell"
    before = one.position_before
    held = "Long" if before > 0 else "Short"
    if one.kind == "liquidation":
        return f"Liquidated Isolated {held}"
    opens = "Long" if one.side == "buy" else "Short"
    if not before or held == opens:
        return f"Open {opens}"
    return f"Close {held}" if one.quantity <= abs(before) else f"{held} > {opens}"


def funding(payment: SimulatedTransaction) -> Object:
    """A payment of funding; a negative amount is paid."""
    assert payment.terms is not None
    long = payment.position_side == "long" or payment.side == "buy"
    return {
        "time": payment.occurred_ms,
        "coin": payment.terms.symbol,
        "usdc": _text(payment.amount),
        "szi": _text(payment.quantity if long else -payment.quantity),
        "fundingRate": _text(payment.rate),
        "nSamples": None,
    }


def funding_row(payment: SimulatedTransaction) -> Object:
    """The same as a row of an answer."""
    delta = {name: value for name, value in funding(payment).items() if name != "time"}
    return {"time": payment.occurred_ms, "hash": _NO_HASH, "delta": {"type": "funding", **delta}}


def ledger_row(entry: SimulatedTransaction, address: str) -> Object | None:
    """A row of the ledger; None for what it does not list: trades, funding, and the second half of a transfer.

    Args:
        entry: of the account's ledger.
        address: of the account.
    """
    delta = _delta(entry, address)
    if delta is None:
        return None
    return {"time": entry.occurred_ms, "hash": _hash(entry.id), "delta": delta}


def _delta(entry: SimulatedTransaction, address: str) -> Object | None:
    amount = abs(entry.amount)
    match entry.type:
        case "deposit" | "withdrawal" if entry.wallet == SPOT:
            return _token_moved(entry, address)
        case "deposit":
            return {"type": "deposit", "usdc": _text(amount)}
        case "withdrawal":
            return {"type": "withdraw", "usdc": _text(amount), "nonce": entry.occurred_ms, "fee": _text(entry.fee)}
        case "transfer" if entry.amount < 0:
            return {"type": "accountClassTransfer", "usdc": _text(amount), "toPerp": entry.wallet == SPOT}
        case "liquidation":
            # What a liquidation leaves goes to the vault that takes the position over, or comes from it.
            ends = (address, LIQUIDATOR) if entry.amount < 0 else (LIQUIDATOR, address)
            moved = {"usdc": _text(amount), "user": ends[0], "destination": ends[1], "fee": "0.0"}
            return {"type": "internalTransfer", **moved}
    return None


def _token_moved(entry: SimulatedTransaction, address: str) -> Object:
    ends = (address, OTHERS) if entry.amount < 0 else (OTHERS, address)
    return {
        "type": "spotTransfer",
        "token": entry.currency,
        "amount": _text(abs(entry.amount)),
        "usdcValue": "0.0",
        "user": ends[0],
        "destination": ends[1],
        "fee": _text(entry.fee),
        "nativeTokenFee": "0.0",
        "nonce": None,
        "feeToken": "",
    }


def margin_state(balance: SimulatedBalance | None, positions: Iterable[SimulatedPosition], at_ms: int) -> Object:
    """The state of a perpetual exchange. Prices are marked at the entry, so nothing is unrealized.

    Args:
        balance: its money; None if there was none yet.
        positions: those that are not flat are listed.
        at_ms: milliseconds since 1970.
    """
    held = [one for one in positions if one.quantity]
    total = _ZERO if balance is None else balance.total
    value = sum((one.cost for one in held), _ZERO)
    signed = sum((one.cost if one.side == "long" else -one.cost for one in held), _ZERO)
    summary = {
        "accountValue": _text(total),
        "totalNtlPos": _text(value),
        "totalRawUsd": _text(total - signed),
        "totalMarginUsed": _text(sum((one.margin for one in held), _ZERO)),
    }
    return {
        "marginSummary": summary,
        "crossMarginSummary": summary,
        "crossMaintenanceMarginUsed": "0.0",
        "withdrawable": _text(_ZERO if balance is None else balance.available),
        "assetPositions": [{"type": "oneWay", "position": _position(one)} for one in held],
        "time": at_ms,
    }


def _position(one: SimulatedPosition) -> Object:
    return {
        "coin": one.terms.symbol,
        "szi": _text(one.signed),
        "leverage": {"type": "isolated", "value": one.terms.leverage, "rawUsd": _text(one.margin - one.cost)},
        "entryPx": _text(one.entry_price),
        "positionValue": _text(one.cost),
        "unrealizedPnl": "0.0",
        "returnOnEquity": "0.0",
        "liquidationPx": _text(one.liquidation_price) if one.liquidation_price else None,
        "marginUsed": _text(one.margin),
        "maxLeverage": 40,
        "cumFunding": {
            "allTime": _text(-one.funding),
            "sinceOpen": _text(-one.holding_funding),
            "sinceChange": _text(-one.holding_funding),
        },
    }


def spot_state(balances: Iterable[SimulatedBalance]) -> Object:
    """The balances of the spot wallet."""
    return {
        "balances": [
            {
                "coin": one.currency,
                "token": token_of(one.currency),
                "total": _text(one.total),
                "hold": _text(one.locked),
                "entryNtl": "0.0",
            }
            for one in balances
        ]
    }


#: Tokens of the spot market → their numbers, which are their places in the list of all tokens, too.
TOKENS = {"USDC": 0, "PURR": 1, "HYPE": 2}


def token_of(coin: str) -> int:
    """The number of a token."""
    return TOKENS.get(coin, 1_000)


def perpetuals(terms: Iterable[Terms]) -> Object:
    """The answer to `meta`."""
    universe = [
        {"name": one.symbol, "szDecimals": _decimals(one.quantity_step), "maxLeverage": 40}
        for one in terms
        if one.kind == "linear"
    ]
    return {"universe": universe, "collateralToken": TOKENS["USDC"]}


def contexts(terms: Iterable[Terms], kind: Kind) -> list[Object]:
    """What is traded beside each instrument of a kind: nothing. The price is the first one, and none is offered."""
    return [{**context(kind == "spot"), "markPx": _text(one.first_price)} for one in terms if one.kind == kind]


def context(is_spot: bool) -> Object:
    """What is traded beside an instrument: nothing."""
    none: Object = {"prevDayPx": None, "dayNtlVlm": "0.0", "midPx": None}
    return none if is_spot else {**none, "funding": "0.0", "openInterest": "0.0", "premium": None, "impactPxs": None}


def pairs(terms: Iterable[Terms]) -> Object:
    """The answer to `spotMeta`."""
    spot = [one for one in terms if one.kind == "spot"]
    steps = {one.base: _decimals(one.quantity_step) for one in spot}
    return {
        "universe": [
            {
                "name": one.symbol,
                "tokens": [token_of(one.base), token_of(one.quote)],
                "index": int(one.symbol.removeprefix("@")) if one.symbol.startswith("@") else 0,
                "isCanonical": False,
            }
            for one in spot
        ],
        "tokens": [
            {"name": coin, "index": number, "szDecimals": steps.get(coin, 8), "weiDecimals": 8}
            for coin, number in TOKENS.items()
        ],
    }


def dex_states(state: Object) -> list[list[object]]:
    """The states of all perpetual exchanges; there is only the main one."""
    return [[MAIN_DEX, state]]


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0


def _hash(number: int) -> str:
    return f"0x{number:064x}"


def _text(number: Decimal) -> str:
    """Digits as the exchange writes them: whole numbers with `.0`, and never with an exponent."""
    shown = f"{number:f}"
    return shown if "." in shown else f"{shown}.0"
