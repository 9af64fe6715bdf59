"""How Binance spot's amounts enter the books. Pure.

Source: developers.binance.com/docs/binance-spot-api-docs, "User Data Streams". There is no ledger. What an asset's
balance (free and locked) changes by is its fills, with the fee in the asset in which it was paid, and the deltas of
`balanceUpdate`, which tells of everything else that comes and goes. Amounts are exact decimals.
"""

from decimal import Decimal

from recorder.model import Instrument
from recorder.venues.accounting import Accounting, Execution, Ledger, Move, PnlReading, exchanged

#: Assets that symbols end with, where no answer says it. `BTCUSDT` is `BTC` in `USDT`.
_QUOTES = (
    *("USDT", "FDUSD", "USDC", "TUSD", "BUSD", "USDP", "USD1", "DAI", "EURI", "AEUR"),
    *("BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "DOT", "SOL"),
    *("EUR", "TRY", "BRL", "GBP", "AUD", "JPY", "PLN", "RON", "ARS", "MXN", "ZAR", "UAH", "IDR", "CZK", "COP"),
)


class BinanceSpotLedger(Ledger):
    """Implements `recorder.venues.accounting.Ledger`."""

    has_trades = False

    def decimals(self, _wallet: str | None) -> int | None:
        """All digits are sent."""
        return None

    def owned(self, _wallet: str | None, balance: Decimal | None, _payload: bytes) -> Decimal | None:
        """The balance: free and locked."""
        return balance

    def moves(self, fill: Execution, contract: Instrument) -> tuple[Move, ...] | None:
        """What was exchanged."""
        if contract.base is None or contract.quote is None:
            return None
        return exchanged(fill, None, contract.base, contract.quote)


class BinanceSpotAccounting(Accounting):
    """Implements `recorder.venues.accounting.Accounting`."""

    readings: tuple[PnlReading, ...] = ()
    ledger: Ledger | None = BinanceSpotLedger()

    def instrument(self, symbol: str, market: str | None = None) -> Instrument:
        """By the names of the assets that others are priced in."""
        quote = next((one for one in _QUOTES if symbol.endswith(one) and symbol != one), None)
        base = None if quote is None else symbol.removesuffix(quote)
        return Instrument(None, 0, market, symbol, "spot", base, quote, quote, "1")
