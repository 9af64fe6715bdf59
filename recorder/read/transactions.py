"""A transaction as readers get it: see `recorder.read.records`."""

from decimal import Decimal
from typing import NamedTuple


class Transaction(NamedTuple):
    """One money movement from the venue's own ledger."""

    account: str
    received_ns: int
    #: When it happened, ms since 1970: by the venue, or else the time of receipt.
    at_ms: int
    transaction_id: str | None
    #: `trade`, `fee`, `funding`, `transfer`, `deposit`, `withdrawal`, `liquidation`, `settlement`, `interest`,
    #: `rebate`, `conversion` or `other`.
    type: str
    #: As sent.
    venue_type: str | None
    wallet: str | None
    currency: str | None
    #: The signed change of the balance, fee included; None if the venue does not document it.
    amount: Decimal | None
    #: Positive when paid.
    fee: Decimal | None
    balance_after: Decimal | None
    #: The venue's word for one of several markets that use the same symbols, such as `spot` or `linear`; else None.
    market: str | None
    symbol: str | None
    order_id: str | None
    trade_id: str | None
    #: Fields that the venue does not document, as a JSON object.
    extra: str | None
    session_id: int
    seq: int
    item: int
