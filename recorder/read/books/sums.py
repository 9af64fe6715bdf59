"""Changes of a balance, states of a balance, and the sums of changes by kind."""

from decimal import Decimal
from typing import Any, NamedTuple

from recorder.read.books.differences import UpdateKey
from recorder.venues.accounting import EXACT

_ZERO = Decimal(0)


class Entry(NamedTuple):
    """A change of a balance: a transaction, or a fill where the ledger has none."""

    at_ms: int
    wallet: str | None
    currency: str
    #: Fee included.
    amount: Decimal
    fee: Decimal
    #: The field of `Sums` that it belongs to.
    kind: str
    balance_after: Decimal | None
    key: UpdateKey
    #: For people, such as `transaction 592324_BTCUSDT (TRADE)`.
    subject: str
    transaction_id: str | None
    trade_id: str | None


class State(NamedTuple):
    """A balance, as an account update has it."""

    at_ms: int
    wallet: str | None
    currency: str
    balance: Decimal
    key: UpdateKey


class Sums(NamedTuple):
    """Sums of entries by kind."""

    #: Before fees.
    trades: Decimal = _ZERO
    #: Paid.
    fees: Decimal = _ZERO
    funding: Decimal = _ZERO
    transfers: Decimal = _ZERO
    other: Decimal = _ZERO
    fills: int = 0

    def plus(self, entry: Entry) -> "Sums":
        """With one more entry."""
        before_fee = EXACT.add(entry.amount, entry.fee)
        fees = EXACT.add(self.fees, entry.fee)
        if entry.kind == "fees":
            return self._replace(fees=EXACT.subtract(fees, before_fee))
        changed: dict[str, Any] = {entry.kind: EXACT.add(getattr(self, entry.kind), before_fee), "fees": fees}
        return self._replace(**changed, fills=self.fills + (entry.kind == "trades"))

    def since(self, before: "Sums") -> "Sums":
        """What was added to these."""
        return Sums(
            EXACT.subtract(self.trades, before.trades),
            EXACT.subtract(self.fees, before.fees),
            EXACT.subtract(self.funding, before.funding),
            EXACT.subtract(self.transfers, before.transfers),
            EXACT.subtract(self.other, before.other),
            self.fills - before.fills,
        )
