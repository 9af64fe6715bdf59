"""How Binance's amounts enter the books. Pure.

A wallet balance changes by the realized PnL of fills, by commissions, and by what else the income history has: funding,
transfers, insurance. Each fill has a row of its PnL and one of its commission there. Amounts are exact decimals.
Source: developers.binance.com, "Get Income History", "Event: Balance and Position Update".
"""

from decimal import Decimal

from recorder.model import INVERSE, Instrument
from recorder.venues.accounting import Accounting, Execution, Ledger, Move, PnlReading, realized
from recorder.venues.binance.words import parts_of

#: Balances, fees and PnL of accounts in the European Union are in this asset, whatever a contract is settled in.
EU_ASSET = "BNFCR"


class BinanceLedger(Ledger):
    """Implements `recorder.venues.accounting.Ledger`."""

    has_trades = True

    def decimals(self, _wallet: str | None) -> int | None:
        """All digits are sent."""
        return None

    def owned(self, _wallet: str | None, balance: Decimal | None, _payload: bytes) -> Decimal | None:
        """The wallet balance."""
        return balance

    def moves(self, fill: Execution, contract: Instrument) -> tuple[Move, ...] | None:
        """The realized PnL, in the margin asset, and the fee, which may be paid in another one."""
        settle = EU_ASSET if fill.fee_currency == EU_ASSET else contract.settle
        return None if settle is None else realized(fill, None, settle)


class BinanceAccounting(Accounting):
    """Implements `recorder.venues.accounting.Accounting`."""

    readings: tuple[PnlReading, ...] = ()
    ledger: Ledger | None = BinanceLedger()
    gains_in = frozenset([EU_ASSET])

    def instrument(self, symbol: str, market: str | None = None) -> Instrument:
        """By the rules for names; of how many USD a contract of COIN-M is, only the exchange says."""
        base, quote, kind = parts_of(symbol)
        is_inverse = kind == INVERSE
        return Instrument(
            event_ms=None,
            is_snapshot=0,
            market=market,
            symbol=symbol,
            kind=kind,
            base=base,
            quote=quote,
            settle=base if is_inverse else quote,
            contract_size=None if is_inverse else "1",
        )
