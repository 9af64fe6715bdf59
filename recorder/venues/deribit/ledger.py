"""Deribit's transaction log: what explains a currency's cash balance, row by row.

The balance after a row is that of the row before plus `change`, exactly. A trade of a future changes it by its fee
only: PnL and funding join it at the daily settlement, as one row of which `total_interest_pl` is the funding.
Source: docs.deribit.com, "private/get_transaction_log".
"""

from recorder.model import Digits, PositionUpdate, Transaction, Update
from recorder.venues.deribit import words
from recorder.venues.deribit.objects import Around, extra_of
from recorder.venues.deribit.symbols import expires_ms
from recorder.venues.fields import Fields, digits, identifier, names, text, whole
from recorder.venues.values import difference, unless_zero

#: The documented fields of an entry.
ENTRY = """
  id user_seq type change cashflow balance equity commission timestamp currency instrument_name side amount contracts
  position price price_currency mark_price index_price settlement_price trade_id order_id user_role fee_role
  profit_as_cashflow session_rpl session_upl interest_pl total_interest_pl block_rfq_id info user_id username ip"""

_FIELDS = names(ENTRY)
SETTLEMENT, DELIVERY = "settlement", "delivery"
#: A delivery is noted at the expiry or shortly after it.
_EARLY_MS = 3_600_000


def entries(row: Fields, around: Around) -> list[Update]:
    """The records of an entry: one transaction, of a settlement with funding two, of a delivery also the position."""
    symbol = text(row, "instrument_name") or None
    change, after, kind = digits(row, "change"), digits(row, "balance"), text(row, "type")
    funding = None
    if kind == SETTLEMENT and change is not None:
        told = digits(row, "total_interest_pl")
        funding = unless_zero(digits(row, "interest_pl") if told is None else told)
    if funding is None:
        return [_transaction(row, around, words.LOG_TYPES.get(kind, "other"), change, after), *_flat(row, symbol)]
    assert change is not None
    rest = unless_zero(difference(change, funding))
    if rest is None:
        return [_transaction(row, around, "funding", change, after)]
    before = None if after is None else difference(after, rest)
    return [
        _transaction(row, around, "funding", funding, before),
        _transaction(row, around, "settlement", rest, after),
    ]


def _transaction(
    row: Fields, around: Around, kind: str, amount: Digits | None, balance_after: Digits | None
) -> Transaction:
    return Transaction(
        event_ms=None,
        is_snapshot=0,
        transaction_id=identifier(row, "id") or None,
        type=kind,
        venue_type=text(row, "type") or None,
        wallet=None,
        currency=text(row, "currency") or None,
        amount=amount,
        fee=digits(row, "commission"),
        balance_after=balance_after,
        market=None,
        symbol=text(row, "instrument_name") or None,
        order_id=identifier(row, "order_id") or None,
        trade_id=identifier(row, "trade_id") or None,
        occurred_ms=whole(row, "timestamp"),
        extra=extra_of(around, row, _FIELDS),
    )


def _flat(row: Fields, symbol: str | None) -> list[Update]:
    """The position that a delivery ended: nothing else says so, as an expired instrument is in no list."""
    position, at_ms = digits(row, "position"), whole(row, "timestamp")
    if text(row, "type") != DELIVERY or symbol is None or position is None or at_ms is None:
        return []
    due_ms = expires_ms(symbol)
    if unless_zero(position) is not None or due_ms is None or at_ms < due_ms - _EARLY_MS:
        return []
    return [PositionUpdate(None, 0, 0, None, symbol, quantity=position, updated_ms=at_ms)]
