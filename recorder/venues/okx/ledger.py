"""OKX's movements of money: bills of both accounts over REST, deposits and withdrawals as pushed and listed.

Source: okx.com/docs-v5, "Get bills details", "Deposit info channel", "Withdrawal info channel", "Get deposit history",
"Get withdrawal history".
"""

from recorder.model import Transaction
from recorder.venues.fields import Fields, digits, names, text, whole
from recorder.venues.okx import words
from recorder.venues.okx.objects import Around, extra_of, given_id, paid
from recorder.venues.values import negative

#: The documented fields of each object.
BILL = """
  billId type subType ts ccy balChg bal posBalChg posBal sz px pnl fee interest instType instId mgnMode ordId
  tradeId clOrdId execType from to notes tag fillTime earnAmt earnApr fillIdxPx fillMarkPx fillPxVol fillPxUsd
  fillMarkVol fillFwdPx"""
FUND_BILL = "billId ccy clientId balChg bal type notes ts"
DEPOSIT = "ccy chain amt from areaCodeFrom to txId depId fromWdId state ts actualDepBlkConfirm"
WITHDRAWAL = """
  ccy chain amt fee feeCcy from to toAddrType areaCodeFrom areaCodeTo tag pmtId memo addrEx txId wdId clientId
  nonTradableAsset note state ts"""
#: What pushes of both have besides.
PUSHED = "uid subAcct pTime"

_BILL_FIELDS = names(BILL)
_FUND_BILL_FIELDS = names(FUND_BILL)
_DEPOSIT_FIELDS = names(DEPOSIT, PUSHED)
_WITHDRAWAL_FIELDS = names(WITHDRAWAL, PUSHED)
#: States in which a deposit is in the account, and in which a withdrawal has left it.
CREDITED, LEFT = frozenset({"1", "2"}), frozenset({"2"})


def bill(row: Fields, around: Around) -> Transaction:
    """The record of a bill of the trading account: one change of one currency's cash balance."""
    kind, mode = text(row, "type"), words.ISOLATED if text(row, "mgnMode") == words.ISOLATED else None
    return Transaction(
        event_ms=None,
        is_snapshot=0,
        transaction_id=given_id(row, "billId"),
        type=words.BILL_TYPES.get(kind, "other"),
        venue_type="/".join(filter(None, (mode, kind, text(row, "subType")))) or None,
        wallet=words.TRADING,
        currency=text(row, "ccy") or None,
        amount=digits(row, "balChg"),
        fee=paid(row, "fee"),
        balance_after=digits(row, "bal"),
        market=None,
        symbol=text(row, "instId") or None,
        order_id=given_id(row, "ordId"),
        trade_id=given_id(row, "tradeId"),
        occurred_ms=whole(row, "ts"),
        extra=extra_of(around, row, _BILL_FIELDS),
    )


def fund_bill(row: Fields, around: Around) -> Transaction:
    """The record of a bill of the funding account, whose types are numbers of its own."""
    return Transaction(
        event_ms=None,
        is_snapshot=0,
        transaction_id=given_id(row, "billId"),
        type="other",
        venue_type=text(row, "type") or None,
        wallet=words.FUNDING,
        currency=text(row, "ccy") or None,
        amount=digits(row, "balChg"),
        fee=None,
        balance_after=digits(row, "bal"),
        market=None,
        symbol=None,
        order_id=None,
        trade_id=None,
        occurred_ms=whole(row, "ts"),
        extra=extra_of(around, row, _FUND_BILL_FIELDS),
    )


def deposit(row: Fields, around: Around) -> list[Transaction]:
    """The record of a deposit that was credited; none of one that is on its way or blocked."""
    return _movement(row, around, "deposit", "depId", _DEPOSIT_FIELDS) if text(row, "state") in CREDITED else []


def withdrawal(row: Fields, around: Around) -> list[Transaction]:
    """The record of a withdrawal that has succeeded."""
    return _movement(row, around, "withdrawal", "wdId", _WITHDRAWAL_FIELDS) if text(row, "state") in LEFT else []


def _movement(row: Fields, around: Around, kind: str, id_name: str, known: frozenset[str]) -> list[Transaction]:
    amount = digits(row, "amt")
    if kind == "withdrawal" and amount is not None:
        amount = negative(amount)
    return [
        Transaction(
            event_ms=whole(row, "pTime"),
            is_snapshot=0,
            transaction_id=given_id(row, id_name),
            type=kind,
            venue_type=None,
            wallet=words.FUNDING,
            currency=text(row, "ccy") or None,
            amount=amount,
            fee=digits(row, "fee"),
            balance_after=None,
            market=None,
            symbol=None,
            order_id=None,
            trade_id=None,
            occurred_ms=whole(row, "ts"),
            extra=extra_of(around, row, known),
        )
    ]
