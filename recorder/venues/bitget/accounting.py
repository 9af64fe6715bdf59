"""How Bitget's amounts enter the books. Pure.

Source: bitget.com/docs/uta, "Get Financial Records": each change of a coin's balance in the unified account is a record
with the balance after it. A fill of a contract is one record, its PnL and its fee; a spot fill is two, one for each
coin, with the fee in that of its coin. Amounts are exact decimals.
"""

from decimal import Decimal

from recorder.model import INVERSE, Instrument
from recorder.venues.accounting import Accounting, Execution, Ledger, Move, PnlReading, exchanged, realized
from recorder.venues.bitget.words import COIN_FUTURES, UNIFIED, USDC_FUTURES, kind_of, settle_coin

#: Coins that spot symbols end with, where no instrument says it. `BTCUSDT` is `BTC` in `USDT`.
_QUOTES = ("USDT", "USDC", "USDE", "USD1", "EUR", "BRL", "TRY", "BTC", "ETH", "BGB")


class BitgetLedger(Ledger):
    """Implements `recorder.venues.accounting.Ledger`."""

    has_trades = True
    names_trades = False

    def decimals(self, _wallet: str | None) -> int | None:
        """All digits are sent."""
        return None

    def owned(self, _wallet: str | None, balance: Decimal | None, _payload: bytes) -> Decimal | None:
        """The balance, which is the newest record's."""
        return balance

    def moves(self, fill: Execution, contract: Instrument) -> tuple[Move, ...] | None:
        """What was exchanged on spot, the PnL of a contract."""
        if contract.kind == "spot":
            if contract.base is None or contract.quote is None:
                return None
            return exchanged(fill, UNIFIED, contract.base, contract.quote)
        if contract.kind not in {"linear", INVERSE} or contract.settle is None:
            return None
        return realized(fill, UNIFIED, contract.settle)


class BitgetAccounting(Accounting):
    """Implements `recorder.venues.accounting.Accounting`."""

    readings: tuple[PnlReading, ...] = ()
    ledger: Ledger | None = BitgetLedger()

    def instrument(self, symbol: str, market: str | None = None) -> Instrument:
        """By the rules for names; `market` is the product line. Quantities are in the base coin."""
        base = quote = None
        if market == COIN_FUTURES:
            base, quote = symbol.partition("USD")[0] or None, "USD"
        elif market == USDC_FUTURES and symbol.endswith("PERP"):
            base, quote = symbol.removesuffix("PERP") or None, "USDC"
        elif market is not None:
            quote = next((coin for coin in _QUOTES if symbol.endswith(coin) and symbol != coin), None)
            base = None if quote is None else symbol.removesuffix(quote)
        kind = kind_of(market)
        size = "1" if kind in {"spot", "linear"} else None
        return Instrument(None, 0, market, symbol, kind, base, quote, settle_coin(market, base, quote), size)
