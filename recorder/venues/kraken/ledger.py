"""Kraken's movements of money: the entries of the ledger, over REST and as pushed.

An entry's amount is without its fee, which is paid in the same currency besides:
``balance = balance before + amount - fee``. A trade has an entry for each of its currencies, which refer to its id.

With derivatives, an entry can be of the size of a position: it is no movement of money, and makes no row. How REST
names the wallets of derivatives is not documented; what it says is of that class has a wallet of its own, so that it
does not count as one of spot.

The entries are transactions as REST lists them. Pushed ones have the same ids, but other digits (`-24.5`, `-24.5000`)
and times (microseconds, tenths of milliseconds), and would count twice: they tell the balance after the movement, and
are in the view of their channel. Source: docs.kraken.com, "Balances", "Get Ledgers Info";
docs.kraken.com/exchange/api-reference/unified-ws/ledgers.
"""

from recorder.model import AccountUpdate, Digits, Transaction
from recorder.venues.fields import Fields, digits, names, required, text
from recorder.venues.kraken import words
from recorder.venues.kraken.names import DERIVATIVES, currency, holding, is_contract
from recorder.venues.kraken.objects import Around, extra_of, seconds_ms, time_ms, wallet_of
from recorder.venues.values import difference

#: The documented fields of an entry, as pushed and over REST.
PUSHED = """
  ledger_id ref_id timestamp type subtype category asset asset_class wallet_type wallet_id amount fee balance user"""
ENTRY = "refid time type subtype aclass subclass asset amount fee balance"

_PUSHED_FIELDS = names(PUSHED)
_ENTRY_FIELDS = names(ENTRY)


def is_of_position(row: Fields) -> bool:
    """Whether an entry, or a balance, is the size of a position."""
    return is_contract(text(row, "asset"))


def balance_after(row: Fields, around: Around) -> AccountUpdate:
    """The record of the balance after an entry that was pushed."""
    at_ms = time_ms(row, "timestamp")
    return AccountUpdate(
        event_ms=at_ms,
        is_snapshot=0,
        is_partial=1,
        wallet=wallet_of(row, "wallet_type", "wallet_id"),
        currency=currency(required(text(row, "asset"), "asset")),
        balance=digits(row, "balance"),
        updated_ms=at_ms,
        extra=extra_of(around, row, _PUSHED_FIELDS),
    )


def entry(entry_id: str, row: Fields, around: Around) -> Transaction:
    """The record of an entry as answers have it.

    Args:
        entry_id: its id, under which it is listed.
        row: the entry.
        around: undocumented fields of the answer.
    """
    name, wallet = holding(required(text(row, "asset"), "asset"))
    if text(row, "aclass") == DERIVATIVES:
        wallet = DERIVATIVES
    kind, fee = text(row, "type"), digits(row, "fee")
    return Transaction(
        event_ms=None,
        is_snapshot=0,
        transaction_id=entry_id or None,
        type=words.LEDGER_TYPES.get(kind, "other"),
        venue_type="/".join(filter(None, (kind, text(row, "subtype")))) or None,
        wallet=wallet,
        currency=name,
        amount=_after_fee(digits(row, "amount"), fee),
        fee=fee,
        balance_after=digits(row, "balance"),
        trade_id=(text(row, "refid") or None) if kind in words.OF_TRADES else None,
        occurred_ms=seconds_ms(row, "time"),
        extra=extra_of(around, row, _ENTRY_FIELDS),
    )


def _after_fee(amount: Digits | None, fee: Digits | None) -> Digits | None:
    return amount if amount is None or fee is None else difference(amount, fee)
