"""Bybit's own ledgers: the transaction log of the unified account, and history and balances of the funding account."""

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal

import msgspec
from msgspec import UNSET

from recorder.model import AccountUpdate, Transaction
from recorder.venues.accounting import EXACT
from recorder.venues.bybit.fields import read_object
from recorder.venues.bybit.objects import Text
from recorder.venues.bybit.records import trade_id
from recorder.venues.bybit.words import FUND, SETTLEMENT, TRANSACTION_TYPES, UNIFIED
from recorder.venues.fields import Fields, milliseconds, names, number
from recorder.venues.values import difference, extra_text, negative, unless_zero


class TransactionObject(msgspec.Struct, gc=False, rename="camel"):
    """A row of the transaction log. `change = cashFlow + funding - fee`."""

    id: Text = UNSET
    type: Text = UNSET
    currency: Text = UNSET
    category: Text = UNSET
    symbol: Text = UNSET
    change: Text = UNSET
    cash_flow: Text = UNSET
    funding: Text = UNSET
    fee: Text = UNSET
    cash_balance: Text = UNSET
    trade_id: Text = UNSET
    order_id: Text = UNSET
    transaction_time: Text = UNSET


OTHER_TRANSACTION_FIELDS = """
  transSubType side qty size tradePrice feeRate bonusChange orderLinkId extraFees"""


class FundTransactionObject(msgspec.Struct, gc=False, rename="camel"):
    """A row of the funding account's history."""

    currency: Text = UNSET
    #: `I` in, `O` out.
    io_direction: Text = UNSET
    txn_amt: Text = UNSET
    after_amt: Text = UNSET
    #: Seconds since 1970.
    create_time: Text = UNSET
    show_busi_type_en: Text = UNSET
    show_busi_type: Text = UNSET


OTHER_FUND_TRANSACTION_FIELDS = "memberId description descriptionEn"


class FundBalanceObject(msgspec.Struct, gc=False, rename="camel"):
    """A coin of the funding account."""

    coin: str
    wallet_balance: Text = UNSET
    transfer_balance: Text = UNSET


OTHER_FUND_BALANCE_FIELDS = "bonus"

_OTHER_TRANSACTION = names(OTHER_TRANSACTION_FIELDS)
_OTHER_FUND_TRANSACTION = names(OTHER_FUND_TRANSACTION_FIELDS)
_OTHER_FUND_BALANCE = names(OTHER_FUND_BALANCE_FIELDS)


def transactions(
    fields: Fields, event_ms: int | None, around: Mapping[str, str], wallet: str = UNIFIED
) -> tuple[Transaction, ...]:
    """The records of a row of the log: one, or two where it has both funding and the result of a session.

    The amounts of two add up to the row's change, and the second has the balance after it. Rows of before an upgrade
    have no id: a trade's or a payment's own id stands for it, and without one, a row is not parted.
    """
    row, unknown = read_object(fields, TransactionObject, _OTHER_TRANSACTION)
    change, funding, cash_flow = (
        number("change", row.change),
        number("funding", row.funding),
        number("cashFlow", row.cash_flow),
    )
    is_settlement = row.type == SETTLEMENT
    whole = Transaction(
        event_ms=event_ms,
        is_snapshot=0,
        transaction_id=row.id or trade_id(row.trade_id),
        type=TRANSACTION_TYPES.get(row.type or None, "other"),
        venue_type=row.type or None,
        wallet=wallet,
        currency=row.currency or None,
        amount=change,
        fee=number("fee", row.fee),
        balance_after=number("cashBalance", row.cash_balance),
        market=row.category or None,
        symbol=row.symbol or None,
        # A settlement names an order that does not exist.
        order_id=None if is_settlement else row.order_id or None,
        trade_id=trade_id(row.trade_id),
        occurred_ms=milliseconds("transactionTime", row.transaction_time),
        extra=extra_text({**around, **unknown}),
    )
    if not is_settlement or unless_zero(cash_flow) is None:
        return (whole,)
    if whole.transaction_id is None or change is None or funding is None or unless_zero(funding) is None:
        return (whole._replace(type="settlement"),)
    session = whole._replace(type="settlement", amount=difference(change, funding), balance_after=None)
    return session, whole._replace(amount=funding, fee=None)


def fund_transaction(fields: Fields, event_ms: int | None, around: Mapping[str, str]) -> Transaction:
    """The record of a row of the funding account's history. It has no id."""
    row, unknown = read_object(fields, FundTransactionObject, _OTHER_FUND_TRANSACTION)
    amount = number("txnAmt", row.txn_amt)
    seconds = number("createTime", row.create_time)
    occurred_ms = seconds and int(EXACT.multiply(Decimal(seconds), 1000).to_integral_value(ROUND_FLOOR))
    return Transaction(
        event_ms=event_ms,
        is_snapshot=0,
        transaction_id=None,
        type="other",
        venue_type=row.show_busi_type_en or row.show_busi_type or None,
        wallet=FUND,
        currency=row.currency or None,
        amount=negative(amount) if amount is not None and row.io_direction == "O" else amount,
        balance_after=number("afterAmt", row.after_amt),
        occurred_ms=milliseconds("createTime", None if occurred_ms is None else str(occurred_ms)),
        extra=extra_text({**around, **unknown}),
    )


def fund_balance(fields: Fields, wallet: str | None, event_ms: int | None, around: Mapping[str, str]) -> AccountUpdate:
    """The record of a coin's balance in the funding account."""
    row, unknown = read_object(fields, FundBalanceObject, _OTHER_FUND_BALANCE)
    return AccountUpdate(
        event_ms=event_ms,
        is_snapshot=1,
        is_partial=0,
        wallet=wallet or FUND,
        currency=row.coin,
        balance=number("walletBalance", row.wallet_balance),
        available=number("transferBalance", row.transfer_balance),
        updated_ms=event_ms,
        extra=extra_text({**around, **unknown}),
    )
