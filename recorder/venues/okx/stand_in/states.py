"""Positions, balances, bills and instruments of a simulated account, in OKX's words. See `frames`."""

from collections.abc import Sequence
from decimal import Decimal

from recorder.venues.okx.stand_in.frames import BILL, ORDER, POSITION, Row, inst_type, text
from recorder.venues.simulated import (
    SimulatedBalance,
    SimulatedPosition,
    SimulatedTransaction,
    Terms,
)

#: Of a transaction: `type`, and `subType` for what came in and what went out.
_BILLS = {
    "trade": ("2", "1", "2"),
    "funding": ("8", "174", "173"),
    "liquidation": ("5", "110", "111"),
    "deposit": ("1", "11", "12"),
    "withdrawal": ("1", "11", "12"),
    "transfer": ("1", "11", "12"),
}
#: Of a fill by which the exchange ended a position: `type`, and `subType` of a long and of a short one.
_ENDINGS = {"liquidation": ("5", "104", "105"), "adl": ("9", "125", "126"), "settlement": ("3", "112", "113")}
_EMPTY_POSITION = """
  availPos baseBal baseBorrowed baseInterest bePx bizRefId bizRefType clSpotInUseAmt deltaBS deltaPA gammaBS gammaPA
  hedgedPos idxPx interest last liab liabCcy maxSpotInUseAmt mgnRatio mmr nonSettleAvgPx notionalUsd optVal
  pendingCloseOrdLiabVal posCcy quoteBal quoteBorrowed quoteInterest settledPnl spotInUseAmt spotInUseCcy thetaBS
  thetaPA tradeId uplLastPx uplRatio uplRatioLastPx usdPx vegaBS vegaPA"""
_EMPTY_BALANCE = """
  accAvgPx availEq borrowFroz clSpotInUseAmt crossLiab interest isoLiab liab maxLoan maxSpotInUseAmt mgnRatio mmr
  notionalLever openAvgPx spotBal spotInUseAmt spotUpl spotUplRatio stgyEq totalPnl totalPnlRatio uplLiab coinUsdPrice
  autoLendAmt autoLendMtAmt autoLendStatus autoStakingStatus colBorrAutoConversion colRes disEq eqUsd fixedBal frpType
  isoEq isoUpl rewardBal smtSyncEq spotCopyTradingEq spotIsoBal twap"""
_EMPTY_ACCOUNT = """
  adjEq availEq borrowFroz delta deltaLever deltaNeutralStatus imr isoEq mgnRatio mmr notionalUsd notionalUsdForBorrow
  notionalUsdForFutures notionalUsdForOption notionalUsdForSwap ordFroz totalEq upl"""


def position_row(position: SimulatedPosition, pushed_ms: int | None = None) -> Row:
    """A position, in pushes and answers.

    Args:
        position: the position.
        pushed_ms: when it is pushed; answers do not say.
    """
    terms, is_open = position.terms, bool(position.quantity)
    # In one-way mode the sign tells the side.
    signed = position.signed if position.position_side is None else position.quantity
    row: Row = {
        **dict.fromkeys(_EMPTY_POSITION.split(), ""),
        **key_of(position),
        "adl": "1",
        "avgPx": text(position.entry_price) if is_open else "",
        "cTime": str(position.opened_ms),
        "ccy": terms.settle,
        "closeOrderAlgo": [],
        "fee": "0",
        "fundingFee": text(position.holding_funding),
        "imr": text(position.margin),
        "lever": str(terms.leverage),
        "liqPenalty": "0",
        "liqPx": text(position.liquidation_price) if is_open else "",
        "margin": "",
        "markPx": text(position.mark_price) if is_open else "",
        "pnl": "0",
        "pos": text(signed),
        "realizedPnl": text(position.holding_pnl),
        "uTime": str(position.updated_ms),
        "upl": text(position.unrealized_pnl),
    }
    return row if pushed_ms is None else {**row, "pTime": str(pushed_ms)}


def key_of(position: SimulatedPosition) -> Row:
    """What tells a position from others."""
    side = {None: 0, "long": 1, "short": 2}[position.position_side]
    number = sum(position.terms.symbol.encode()) * 10 + side
    return {
        "instType": inst_type(position.terms),
        "instId": position.terms.symbol,
        "mgnMode": "cross",
        "posSide": position.position_side or "net",
        "posId": str(POSITION + number),
    }


def account_row(balances: Sequence[SimulatedBalance], at_ms: int) -> Row:
    """The account with some of its currencies. Its sums in USD are not known here."""
    return {
        **dict.fromkeys(_EMPTY_ACCOUNT.split(), ""),
        "uTime": str(at_ms),
        "details": [_balance_row(one) for one in balances],
    }


def _balance_row(balance: SimulatedBalance) -> Row:
    return {
        **dict.fromkeys(_EMPTY_BALANCE.split(), ""),
        "availBal": text(balance.available),
        "cashBal": text(balance.total),
        "ccy": balance.currency,
        "collateralEnabled": False,
        "collateralRestrict": False,
        "eq": text(balance.total),
        "frozenBal": text(balance.locked + balance.margin),
        "imr": text(balance.margin),
        "ordFrozen": text(balance.locked),
        "uTime": str(balance.updated_ms),
        "upl": "0",
    }


def changes_row(
    event_type: str, balances: Sequence[SimulatedBalance], positions: Sequence[SimulatedPosition], at_ms: int
) -> Row:
    """What changed, and why: a row of `balance_and_position`."""
    return {
        "pTime": str(at_ms),
        "eventType": event_type,
        "balData": [
            {"ccy": one.currency, "cashBal": text(one.total), "uTime": str(one.updated_ms)} for one in balances
        ],
        "posData": [_change_row(one) for one in positions],
        "trades": [],
    }


def _change_row(position: SimulatedPosition) -> Row:
    row = position_row(position)
    named = ("posId", "tradeId", "instId", "instType", "mgnMode", "posSide", "pos", "ccy", "posCcy", "avgPx")
    more = ("nonSettleAvgPx", "settledPnl", "uTime", "baseBal", "quoteBal")
    return {name: row[name] for name in (*named, *more)}


def bill_row(entry: SimulatedTransaction) -> Row:
    """A bill of the trading account. The one of a contract's fill is its PnL and its fee."""
    terms = entry.terms
    kind, sub_type = _types(entry)
    is_contract = terms is not None and terms.kind != "spot"
    # `fee` is told only of a fill; it is a part of the change.
    earned = entry.amount + entry.fee if is_contract else Decimal(0)
    return {
        "billId": str(BILL + entry.id),
        "type": kind,
        "subType": sub_type,
        "ts": str(entry.occurred_ms),
        "ccy": entry.currency,
        "balChg": text(entry.amount),
        "bal": text(entry.balance_after),
        "posBalChg": "0",
        "posBal": "0",
        "sz": text(entry.quantity),
        "px": text(entry.price) if terms else "",
        "pnl": text(earned),
        "fee": text(-entry.fee),
        "interest": "0",
        "instType": "" if terms is None else inst_type(terms),
        "instId": "" if terms is None else terms.symbol,
        "mgnMode": "cross" if is_contract else "cash" if terms else "",
        "ordId": "" if entry.order_id is None or kind == "3" else str(ORDER + entry.order_id),
        "tradeId": _trade_id(entry),
        "clOrdId": "",
        "execType": "",
        "from": "",
        "to": "",
        "notes": "",
        "tag": "",
        "fillTime": "",
        "earnAmt": "",
        "earnApr": "",
        "fillIdxPx": "",
        "fillMarkPx": "",
        "fillPxVol": "",
        "fillPxUsd": "",
        "fillMarkVol": "",
        "fillFwdPx": "",
    }


def _trade_id(entry: SimulatedTransaction) -> str:
    if entry.trade_id is None:
        return ""
    return str(-entry.trade_id if entry.kind == "liquidation" else entry.trade_id)


def _types(entry: SimulatedTransaction) -> tuple[str, str]:
    """Type and subtype: a future is delivered, an option exercised by its owner or against its writer, or worthless."""
    if entry.type == "trade" and entry.kind in _ENDINGS:
        kind, was_long, was_short = _ENDINGS[entry.kind]
        return kind, was_long if entry.side == "sell" else was_short
    if entry.type == "settlement":
        return "3", "172" if not entry.amount else "170" if entry.side == "buy" else "171"
    kind, came_in, went_out = _BILLS[entry.type]
    return kind, came_in if entry.amount > 0 else went_out


def instrument_row(terms: Terms) -> Row:
    """An instrument of the public list."""
    is_spot, is_option = terms.kind == "spot", terms.kind == "option"
    return {
        "instType": inst_type(terms),
        "instId": terms.symbol,
        "uly": "" if is_spot else f"{terms.base}-{terms.quote}",
        "instFamily": "" if is_spot else f"{terms.base}-{terms.quote}",
        "baseCcy": terms.base if is_spot else "",
        "quoteCcy": terms.quote if is_spot else "",
        "settleCcy": "" if is_spot else terms.settle,
        "ctVal": "" if is_spot else "1",
        "ctMult": "" if is_spot else "1",
        "ctValCcy": "" if is_spot else terms.quote if terms.kind == "inverse" else terms.base,
        "ctType": "" if is_spot or is_option else terms.kind,
        "optType": "" if not is_option else "P" if terms.is_put else "C",
        "stk": text(terms.strike) if is_option else "",
        "listTime": "1606468572000",
        "expTime": str(terms.expires_ms) if terms.expires_ms else "",
        "lever": str(terms.leverage),
        "tickSz": text(terms.price_tick),
        "lotSz": text(terms.quantity_step),
        "minSz": text(terms.quantity_step),
        "state": "live",
    }
