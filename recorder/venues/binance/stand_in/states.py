"""Positions, balances, income and instruments of a simulated account, in Binance's words. See `frames`."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from recorder.venues.binance.stand_in.frames import Row, event, position_side, text
from recorder.venues.simulated import SimulatedBalance, SimulatedPosition, SimulatedTransaction, Terms

#: The largest position, in coins (COIN-M) or in the quote currency.
QUANTITY_MAX, VALUE_MAX = 1_500, 500_000_000

#: Type of a transaction → why a balance moved, and its kind of income.
_WHY = {
    "trade": "ORDER",
    "funding": "FUNDING_FEE",
    "liquidation": "INSURANCE_CLEAR",
    "deposit": "DEPOSIT",
    "withdrawal": "WITHDRAW",
    "transfer": "ASSET_TRANSFER",
}
_INCOME = {
    "funding": "FUNDING_FEE",
    "liquidation": "INSURANCE_CLEAR",
    "deposit": "TRANSFER",
    "withdrawal": "TRANSFER",
    "transfer": "TRANSFER",
}


def account_push(
    balances: Sequence[SimulatedBalance],
    positions: Sequence[SimulatedPosition],
    transactions: Sequence[SimulatedTransaction],
    sent_ms: int,
) -> bytes:
    """ACCOUNT_UPDATE: what changed at once, and why."""
    happened_ms = max([one.updated_ms for one in balances] + [one.updated_ms for one in positions])
    terms = next((one.terms for one in positions), None)
    moved = {balance.currency: Decimal(0) for balance in balances}
    for one in transactions:
        if one.type != "trade":
            moved[one.currency] += one.amount
    why = _WHY[transactions[0].type] if transactions else "MARGIN_TRANSFER"
    changes: Row = {
        "B": [
            {
                "a": one.currency,
                "wb": text(one.total),
                "cw": text(one.available + one.locked),
                "bc": text(moved[one.currency]),
            }
            for one in balances
        ],
        "P": [_position(one) for one in positions],
        "m": why,
    }
    if why == "FUNDING_FEE" and transactions[0].terms is not None:
        changes["S"] = transactions[0].terms.symbol
    return event("ACCOUNT_UPDATE", terms, sent_ms, happened_ms, a=changes)


def _position(position: SimulatedPosition) -> Row:
    return {
        "s": position.terms.symbol,
        "pa": text(position.signed),
        "ep": text(position.entry_price) if position.quantity else "0",
        "cr": text(position.realized_pnl),
        "up": text(position.unrealized_pnl),
        "mt": "isolated",
        "iw": text(position.margin),
        "ps": position_side(position.position_side),
        "ma": position.terms.settle,
        "bep": text(position.entry_price) if position.quantity else "0",
    }


def position_row(position: SimulatedPosition) -> Row:
    """A position, in answers. COIN-M tells it as version 2 of USD-M did. The value of a short one is negative."""
    terms, is_open = position.terms, bool(position.quantity)
    value = text(position.value if position.side == "long" else -position.value)
    common: Row = {
        "symbol": terms.symbol,
        "positionSide": position_side(position.position_side),
        "positionAmt": text(position.signed),
        "entryPrice": text(position.entry_price) if is_open else "0.0",
        "breakEvenPrice": text(position.entry_price) if is_open else "0.0",
        "markPrice": text(position.mark_price),
        "unRealizedProfit": text(position.unrealized_pnl),
        "liquidationPrice": text(position.liquidation_price) if is_open else "0",
        "isolatedMargin": text(position.margin),
        "isolatedWallet": text(position.margin),
        "updateTime": position.updated_ms,
    }
    if terms.kind == "inverse":
        return {
            **common,
            "notionalValue": value,
            "leverage": str(terms.leverage),
            "maxQty": str(QUANTITY_MAX),
            "marginType": "isolated",
            "isAutoAddMargin": "false",
        }
    return {
        **common,
        "notional": value,
        "marginAsset": terms.settle,
        "initialMargin": text(position.margin),
        "maintMargin": "0",
        "positionInitialMargin": text(position.margin),
        "openOrderInitialMargin": "0",
        "adl": 1,
        "bidNotional": "0",
        "askNotional": "0",
    }


def bracket_row(terms: Terms) -> Row:
    """The one bracket of leverages of a symbol: of COIN-M up to a quantity of the coin, else up to a value."""
    limit = "qty" if terms.kind == "inverse" else "notional"
    bracket: Row = {
        "bracket": 1,
        "initialLeverage": terms.leverage,
        f"{limit}Cap": QUANTITY_MAX if terms.kind == "inverse" else VALUE_MAX,
        f"{limit}Floor": 0,
        "maintMarginRatio": msgspec.Raw(text(terms.maintenance_rate).encode()),
        "cum": 0,
    }
    return {"symbol": terms.symbol, "brackets": [bracket]}


def balance_row(balance: SimulatedBalance) -> Row:
    """A balance, in answers."""
    return {
        "accountAlias": "SgsR",
        "asset": balance.currency,
        "balance": text(balance.total),
        "crossWalletBalance": text(balance.available + balance.locked),
        "crossUnPnl": "0.00000000",
        "availableBalance": text(balance.available),
        "maxWithdrawAmount": text(balance.available),
        "marginAvailable": True,
        "updateTime": balance.updated_ms,
    }


def income_rows(entry: SimulatedTransaction, *, is_coin_m: bool = False) -> list[Row]:
    """A transaction, in answers: of a fill its PnL and its commission, each unless it is zero.

    COIN-M sends ids as text.
    """
    number = 9_689_000_000 + entry.id
    common: Row = {
        "symbol": "" if entry.terms is None else entry.terms.symbol,
        "asset": entry.currency,
        "info": "" if entry.trade_id is None else str(entry.trade_id),
        "time": entry.occurred_ms,
        "tranId": str(number) if is_coin_m else number,
        "tradeId": "" if entry.trade_id is None else str(entry.trade_id),
    }
    if entry.type != "trade":
        return [{**common, "incomeType": _INCOME[entry.type], "income": text(entry.amount)}]
    pnl = "DELIVERED_SETTELMENT" if entry.kind == "settlement" else "REALIZED_PNL"
    earned = {pnl: entry.amount + entry.fee, "COMMISSION": -entry.fee}
    return [{**common, "incomeType": kind, "income": text(amount)} for kind, amount in earned.items() if amount]


def instrument_row(terms: Terms) -> Row:
    """An instrument of the public list. A contract of COIN-M is of one dollar here."""
    contract_size = {"contractSize": 1, "equalQtyPrecision": 4} if terms.kind == "inverse" else {}
    return {
        "symbol": terms.symbol,
        "pair": terms.symbol.partition("_")[0],
        "contractType": "CURRENT_QUARTER" if terms.expires_ms else "PERPETUAL",
        "deliveryDate": terms.expires_ms or 4_133_404_800_000,
        "onboardDate": 1_569_398_400_000,
        "contractStatus" if contract_size else "status": "TRADING",
        "baseAsset": terms.base,
        "quoteAsset": terms.quote,
        "marginAsset": terms.settle,
        **contract_size,
        "pricePrecision": _decimals(terms.price_tick),
        "quantityPrecision": _decimals(terms.quantity_step),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": text(terms.price_tick),
                "maxPrice": "4529764",
                "tickSize": text(terms.price_tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": text(terms.quantity_step),
                "maxQty": "1000000",
                "stepSize": text(terms.quantity_step),
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": text(terms.quantity_step),
                "maxQty": "100000",
                "stepSize": text(terms.quantity_step),
            },
            *([] if contract_size else [{"filterType": "MIN_NOTIONAL", "notional": "5"}]),
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }


def _decimals(step: Decimal) -> int:
    return max(-int(step.normalize().as_tuple().exponent), 0)
