"""Binance's movements of money: the income history over REST. Nothing of it is pushed.

A fill has a row of its realized PnL and one of its commission, under one trade id. Source: developers.binance.com,
"Get Income History".
"""

from recorder.model import Transaction
from recorder.venues.binance import words
from recorder.venues.binance.objects import Around, extra_of, given_id
from recorder.venues.fields import Fields, digits, names, text, whole
from recorder.venues.values import negative

#: The documented fields.
INCOME = "symbol incomeType income asset info time tranId tradeId"

_INCOME_FIELDS = names(INCOME)
_COMMISSION = "COMMISSION"


def income(row: Fields, around: Around) -> Transaction:
    """The record of a row: a change of one asset's wallet balance. Its id is unique only within its type."""
    kind, amount = text(row, "incomeType"), digits(row, "income")
    return Transaction(
        event_ms=None,
        is_snapshot=0,
        transaction_id=given_id(row, "tranId"),
        type=words.INCOME_TYPES.get(kind, "other"),
        venue_type=kind or None,
        currency=text(row, "asset") or None,
        amount=amount,
        fee=negative(amount) if kind == _COMMISSION and amount is not None else None,
        symbol=text(row, "symbol") or None,
        trade_id=given_id(row, "tradeId"),
        occurred_ms=whole(row, "time"),
        extra=extra_of(around, row, _INCOME_FIELDS),
    )
