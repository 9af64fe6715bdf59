"""Positions, balances, records and instruments of a simulated account, in Bitget's words. See `frames`."""

from collections.abc import Iterable

from recorder.venues.bitget.stand_in.frames import RECORD, Row, hold_mode, text
from recorder.venues.simulated import SimulatedBalance, SimulatedPosition, SimulatedTransaction, Terms

#: Type of a transaction → `type` of what came in and of what went out.
_TYPES = {
    "funding": ("CONTRACT_MAIN_SETTLE_FEE_USER_IN", "CONTRACT_MAIN_SETTLE_FEE_USER_OUT"),
    "liquidation": ("RISK_LIQ_USER_IN", "RISK_LIQ_USER_OUT"),
    "deposit": ("TRANSFER_IN", "TRANSFER_OUT"),
    "withdrawal": ("TRANSFER_IN", "TRANSFER_OUT"),
    "transfer": ("TRANSFER_IN", "TRANSFER_OUT"),
}
#: Kind of a fill → how the type of its record begins.
_FORCED = {"trade": "", "liquidation": "BURST_", "adl": "ADL_", "settlement": "DELIVERY_"}

_EMPTY_ACCOUNT = """
  totalEquity effEquity imr mmr mgnRatio positionMgnRatio unrealisedPnL bonus"""
_EMPTY_ASSETS = """
  accountEquity usdtEquity btcEquity unrealisedPnl usdtUnrealisedPnl btcUnrealizedPnl effEquity mmr imr mgnRatio
  positionMgnRatio positionValue leverage bonus"""
#: Names in pushes → those in answers.
POSITION_NAMES = {
    "size": "total",
    "marginSize": "positionBalance",
    "liqPrice": "liquidationPrice",
    "totalFundingFee": "totalFunding",
}


def position_row(position: SimulatedPosition) -> Row:
    """A position, as pushes have it."""
    terms, is_open = position.terms, bool(position.quantity)
    return {
        "symbol": terms.symbol,
        "marginCoin": terms.settle,
        "marginSize": text(position.margin),
        "marginMode": "crossed",
        "posSide": position.position_side or position.side,
        "holdMode": hold_mode(terms),
        "positionStatus": "opening" if is_open else "ended",
        "size": text(position.quantity),
        "available": text(position.quantity),
        "frozen": "0",
        "avgPrice": text(position.entry_price) if is_open else "0",
        "leverage": str(terms.leverage),
        "curRealisedPnl": text(position.holding_pnl),
        "unrealisedPnl": text(position.unrealized_pnl),
        "liqPrice": text(position.liquidation_price) if is_open else "",
        "mmr": "",
        "marginRate": "",
        "markPrice": text(position.mark_price),
        "breakEvenPrice": "",
        "profitRate": "",
        "totalFundingFee": text(position.holding_funding),
        "cashDividend": "0",
        "openFeeTotal": "",
        "closeFeeTotal": "",
        "createdTime": str(position.opened_ms),
        "updatedTime": str(position.updated_ms),
    }


def answered_position(row: Row, category: str) -> Row:
    """A position as answers have it."""
    named = {POSITION_NAMES.get(name, name): value for name, value in row.items()}
    return {**named, "category": category.upper(), "positionStatus": "normal"}


def coin_row(balance: SimulatedBalance) -> Row:
    """A coin of the account, as pushes have it."""
    total = text(balance.total)
    return {
        "coin": balance.currency,
        "equity": total,
        "usdValue": "",
        "balance": total,
        "available": text(balance.available),
        "locked": text(balance.locked),
        "borrow": "0",
        "debts": "0",
        "bonus": "0",
    }


def account_row(balances: Iterable[SimulatedBalance]) -> Row:
    """The account with some of its coins, as pushes have it. Its sums in USD are not known here."""
    return {**dict.fromkeys(_EMPTY_ACCOUNT.split(), ""), "coin": [coin_row(one) for one in balances]}


def assets(coins: Iterable[Row]) -> Row:
    """The account as an answer has it."""
    return {**dict.fromkeys(_EMPTY_ASSETS.split(), ""), "assets": [_answered_coin(one) for one in coins]}


def _answered_coin(coin: Row) -> Row:
    kept = ("coin", "equity", "usdValue", "balance", "available", "locked")
    return {
        **{name: coin[name] for name in kept},
        "balanceOriginal": coin["balance"],
        "debt": coin.get("debts", coin.get("debt", "0")),
        "interestBase": "0",
    }


def record_row(entry: SimulatedTransaction) -> Row:
    """A record of the unified account. Its amount is without the fee, which stands beside it."""
    terms = entry.terms
    return {
        "category": "OTHER" if terms is None else str(terms.market).upper(),
        "id": str(RECORD + entry.id),
        "symbol": "" if terms is None else terms.symbol,
        "coin": entry.currency,
        "type": _record_type(entry),
        "positionType": "",
        "amount": text(entry.amount + entry.fee),
        "fee": text(-entry.fee),
        "positionAmount": "",
        "positionBalance": "",
        "balance": text(entry.balance_after),
        "ts": str(entry.occurred_ms),
    }


def _record_type(entry: SimulatedTransaction) -> str:
    if entry.type != "trade" or entry.terms is None:
        came_in, went_out = _TYPES[entry.type]
        return came_in if entry.amount > 0 else went_out
    if entry.terms.kind == "spot":
        return "ORDER_DEALT_IN" if entry.amount > 0 else "ORDER_DEALT_FROZEN_OUT"
    begin, side, held = _FORCED[entry.kind], entry.side or "buy", entry.position_side
    if held is None:
        return f"{begin}{side.upper()}_SSM" if begin else f"{side.upper()}_DEAL"
    closes = (side == "sell") == (held == "long")
    return f"{begin}{'CLOSE' if closes else 'OPEN'}_{held.upper()}"


def instrument_row(terms: Terms) -> Row:
    """An instrument of the public list."""
    row: Row = {
        "symbol": terms.symbol,
        "category": str(terms.market).upper(),
        "baseCoin": terms.base,
        "quoteCoin": terms.quote,
        "buyLimitPriceRatio": "0.05",
        "sellLimitPriceRatio": "0.05",
        "minOrderQty": text(terms.quantity_step),
        "maxOrderQty": "0",
        "pricePrecision": str(_decimals(text(terms.price_tick))),
        "quantityPrecision": str(_decimals(text(terms.quantity_step))),
        "quotePrecision": "8",
        "minOrderAmount": "1",
        "maxSymbolOrderNum": "400",
        "maxProductOrderNum": "400",
        "status": "online",
        "maintainTime": "",
    }
    if terms.kind == "spot":
        return {**row, "areaSymbol": "no"}
    return {
        **row,
        "feeRateUpRatio": "0.005",
        "makerFeeRate": text(terms.maker_rate),
        "takerFeeRate": text(terms.taker_rate),
        "openCostUpRatio": "0.01",
        "priceMultiplier": text(terms.price_tick),
        "quantityMultiplier": text(terms.quantity_step),
        "type": "perpetual",
        "maxPositionNum": "150",
        "offTime": "-1",
        "limitOpenTime": "-1",
        "deliveryTime": "",
        "deliveryStartTime": "",
        "deliveryPeriod": "",
        "launchTime": "",
        "fundInterval": "8",
        "minLeverage": "1",
        "maxLeverage": "125",
    }


def _decimals(step: str) -> int:
    return len(step.partition(".")[2])
