"""How Kraken's amounts enter the books. Pure.

Source: docs.kraken.com, "Get Ledgers Info": each change of a balance is an entry with the amount, the fee besides it,
and the balance after both. A spot fill is two entries, one for each currency, of the type `trade`. Its amount and its
fee are each rounded to the decimals of the currency, of dollars and euros 4, and the balances follow from those: a sale
for 68.42692 EUR with a fee of 0.16422 has the amount 68.4269, the fee 0.1642, and the balance 68.2627 after 0
(github.com/ccxt/ccxt/issues/8204). Pushes have the entries of the same ledger.
A fill on margin is an entry of the type `margin`, with what its position earned (0 when it is opened) and the fee, or
of the type `settled`; what that has to be does not follow from the fill.
What a fill of derivatives does to which wallet is not documented, and neither is how REST lists it: their wallets have
no books.
"""

from decimal import Decimal

from recorder.model import INVERSE, Instrument
from recorder.venues.accounting import Accounting, Execution, Ledger, Move, PnlReading, exchanged
from recorder.venues.kraken.names import DERIVATIVES, MAIN, TOKENIZED, contract, is_tokenized, split


class KrakenLedger(Ledger):
    """Implements `recorder.venues.accounting.Ledger`."""

    has_trades = True
    names_symbols = False
    rounds_trades = True
    trade_types = ("trade",)

    def list_of(self, currency: str) -> str | None:
        """Tokenized assets are asked for by themselves."""
        return TOKENIZED if is_tokenized(currency) else None

    def decimals(self, _wallet: str | None) -> int | None:
        """All digits are sent; those of a fill may be more than those of its entries."""
        return None

    def owned(self, _wallet: str | None, balance: Decimal | None, _payload: bytes) -> Decimal | None:
        """The balance, which is the newest entry's `balance`."""
        return balance

    def keeps(self, wallet: str | None) -> bool:
        """Those of spot: wallets of another type have it before their id (`objects.wallet_of`)."""
        return wallet is None or (wallet != DERIVATIVES and "/" not in wallet)

    def moves(self, fill: Execution, contract: Instrument) -> tuple[Move, ...] | None:
        """What was exchanged on spot."""
        if contract.kind != "spot" or contract.base is None or contract.quote is None:
            return None
        return exchanged(fill, MAIN, contract.base, contract.quote)


class KrakenAccounting(Accounting):
    """Implements `recorder.venues.accounting.Accounting`."""

    readings: tuple[PnlReading, ...] = ()
    ledger: Ledger | None = KrakenLedger()

    def instrument(self, symbol: str, market: str | None = None) -> Instrument:
        """By the rules for symbols: `BTC/USD`, `PF_XBTUSD`. Of an inverse contract, one is a dollar."""
        named = contract(symbol)
        if named is not None:
            kind, coin, against = named
            settle, size = (coin, "1") if kind == INVERSE else (against, None)
            return Instrument(None, 0, market, symbol, kind, coin, against, settle, size)
        base, quote = split(symbol) or (None, None)
        return Instrument(None, 0, market, symbol, "spot", base, quote, quote, "1")
