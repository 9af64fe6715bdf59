"""Bitget's movements of money: the records of the unified account and of the funding account, over REST.

A record of the unified account has an amount and, beside it, a fee that is negative when paid: the balance changed by
both. Amounts are signed; where a type's name says that something went out, it did, whatever the sign.
Source: bitget.com/docs/uta, "Get Financial Records", "Get Funding Account Financial Records", "Enumeration".
"""

from recorder.model import Digits, Transaction
from recorder.venues.bitget import words
from recorder.venues.bitget.objects import Around, extra_of, given_id, symbol_in, word
from recorder.venues.fields import Fields, digits, names, text, whole
from recorder.venues.values import negative, plus, unless_zero

#: The documented fields of each object.
RECORD = """
  category id symbol coin type positionType amount fee positionAmount positionBalance balance ts"""
FUNDING_RECORD = "id coin groupType type amount balance ts"

_RECORD_FIELDS = names(RECORD)
_FUNDING_RECORD_FIELDS = names(FUNDING_RECORD)


def record(row: Fields, around: Around, event_ms: int | None) -> Transaction:
    """The record of the unified account as a transaction."""
    kind, symbol = text(row, "type") or None, symbol_in(row)
    amount, fee = _signed(digits(row, "amount"), kind), digits(row, "fee")
    return Transaction(
        event_ms=event_ms,
        is_snapshot=0,
        transaction_id=given_id(row, "id"),
        type=words.record_type(kind),
        venue_type=kind,
        wallet=words.UNIFIED,
        currency=text(row, "coin") or None,
        amount=plus(amount, fee),
        fee=None if fee is None else negative(fee),
        balance_after=digits(row, "balance"),
        market=word(row, "category") if symbol else None,
        symbol=symbol,
        occurred_ms=whole(row, "ts"),
        extra=extra_of(around, row, _RECORD_FIELDS),
    )


def funding_record(row: Fields, around: Around, event_ms: int | None) -> Transaction:
    """The record of the funding account as a transaction."""
    kind = text(row, "type") or text(row, "groupType") or None
    return Transaction(
        event_ms=event_ms,
        is_snapshot=0,
        transaction_id=given_id(row, "id"),
        type=words.record_type(kind),
        venue_type=kind,
        wallet=words.FUNDING,
        currency=text(row, "coin") or None,
        amount=_signed(digits(row, "amount"), kind),
        balance_after=digits(row, "balance"),
        occurred_ms=whole(row, "ts"),
        extra=extra_of(around, row, _FUNDING_RECORD_FIELDS),
    )


def _signed(amount: Digits | None, kind: str | None) -> Digits | None:
    """An amount that went out, negative."""
    went_out = (kind or "").upper().endswith("_OUT")
    if amount is None or not went_out or amount.startswith("-") or unless_zero(amount) is None:
        return amount
    return negative(amount)
