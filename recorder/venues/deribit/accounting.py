"""How Deribit's amounts enter the books. Pure.

Source: docs.deribit.com, "private/get_transaction_log": each change of a currency's cash balance is an entry, with the
amount (`change`) and the balance after it. A trade of a future or perpetual changes it by its fee only; its PnL is in
the next settlement. Of an option, the premium is paid at once; of a spot market, one entry in each currency. Balances
have 8 decimals.
"""

from decimal import Decimal

from recorder.model import INVERSE, Instrument
from recorder.venues.accounting import Accounting, Execution, Ledger, Move, PnlReading, exchanged, paid, realized
from recorder.venues.deribit.symbols import described

DECIMALS = 8


class DeribitLedger(Ledger):
    """Implements `recorder.venues.accounting.Ledger`."""

    has_trades = True

    def list_of(self, currency: str) -> str | None:
        """That of the currency."""
        return currency

    def decimals(self, _wallet: str | None) -> int | None:
        """As the exchange shows balances and fees."""
        return DECIMALS

    def owned(self, _wallet: str | None, balance: Decimal | None, _payload: bytes) -> Decimal | None:
        """The balance, which is that of the newest entry."""
        return balance

    def moves(self, fill: Execution, contract: Instrument) -> tuple[Move, ...] | None:
        """What was exchanged on spot, an option's premium, a future's fee."""
        if contract.kind == "spot":
            if contract.base is None or contract.quote is None:
                return None
            return exchanged(fill, None, contract.base, contract.quote)
        if contract.settle is None:
            return None
        if contract.kind == "option":
            return paid(fill, None, contract.settle)
        if contract.kind in {"linear", INVERSE}:
            return realized(fill._replace(realized_pnl=Decimal(0)), None, contract.settle)
        return None


class DeribitAccounting(Accounting):
    """Implements `recorder.venues.accounting.Accounting`."""

    readings: tuple[PnlReading, ...] = ()
    ledger: Ledger | None = DeribitLedger()
    instrument = staticmethod(described)
