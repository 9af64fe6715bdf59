"""How Bybit's amounts enter the books. Pure.

Source: API v5, the pages "Get Transaction Log" and "Enums Definitions" (`type`). The log has every change of a coin in
the unified wallet: `change = cashFlow + funding - fee`, and `cashBalance` after it. Fills are rows of type `TRADE`:
`cashFlow` is the fill's `execPnl` for a contract, and what was exchanged on spot. Amounts are exact decimals.
"""

from decimal import Decimal

from recorder.model import Instrument
from recorder.venues.accounting import Accounting, Execution, Ledger, Move, PnlReading, exchanged, realized
from recorder.venues.bybit.words import INVERSE, LINEAR, OPTION, SPOT, UNIFIED, settle_coin

#: Coins that spot symbols end with, where no instrument says it. `BTCUSDT` is `BTC` in `USDT`.
_QUOTES = ("USDT", "USDC", "USDE", "USDQ", "USDR", "EUR", "BRL", "PLN", "TRY", "BTC", "ETH", "SOL", "MNT", "DAI")


class BybitLedger(Ledger):
    """Implements `recorder.venues.accounting.Ledger`."""

    has_trades = True

    def decimals(self, _wallet: str | None) -> int | None:
        """All digits are sent."""
        return None

    def owned(self, _wallet: str | None, balance: Decimal | None, _payload: bytes) -> Decimal | None:
        """The balance, which is the log's `cashBalance`."""
        return balance

    def moves(self, fill: Execution, contract: Instrument) -> tuple[Move, ...] | None:
        """What was exchanged on spot, the PnL of a contract. Of an option, the log's `cashFlow` is not documented."""
        if contract.kind == SPOT:
            if contract.base is None or contract.quote is None:
                return None
            return exchanged(fill, UNIFIED, contract.base, contract.quote)
        if contract.kind not in {LINEAR, INVERSE} or contract.settle is None:
            return None
        return realized(fill, UNIFIED, contract.settle)


class BybitAccounting(Accounting):
    """Implements `recorder.venues.accounting.Accounting`."""

    readings: tuple[PnlReading, ...] = ()
    ledger: Ledger | None = BybitLedger()

    def instrument(self, symbol: str, market: str | None = None) -> Instrument:
        """By the rules for names; `market` is the category, which says the kind. Quantities have no multiplier."""
        base = quote = None
        settle = settle_coin(market, symbol)
        if market == SPOT:
            quote = next((coin for coin in _QUOTES if symbol.endswith(coin) and symbol != coin), None)
            base = None if quote is None else symbol.removesuffix(quote)
        kind = market if market in {SPOT, LINEAR, INVERSE, OPTION} else None
        return Instrument(None, 0, market, symbol, kind, base, quote, settle, "1", None, None, None)
