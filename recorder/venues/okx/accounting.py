"""How OKX's amounts enter the books. Pure.

Source: okx.com/docs-v5, "Get bills details": each change of a currency's cash balance (`cashBal`) is a bill, with the
amount (`balChg`) and the balance after it (`bal`). A fill of a contract is one bill, `pnl + fee`; a spot fill is two,
one for each currency, with the fee in that of its currency. A bill of an isolated position moves its margin besides.
Amounts are exact decimals.
"""

from decimal import Decimal

from recorder.model import INVERSE, Instrument
from recorder.venues.accounting import Accounting, Execution, Ledger, Move, PnlReading, exchanged, realized
from recorder.venues.okx.words import EVENTS, OPTION, SPOT, TRADING, inst_type


class OKXLedger(Ledger):
    """Implements `recorder.venues.accounting.Ledger`."""

    has_trades = True
    #: Numbers: a bill of an isolated position has that word before its own.
    trade_types = tuple("123456789")

    def decimals(self, _wallet: str | None) -> int | None:
        """All digits are sent."""
        return None

    def owned(self, _wallet: str | None, balance: Decimal | None, _payload: bytes) -> Decimal | None:
        """The balance, which is the newest bill's `bal`."""
        return balance

    def moves(self, fill: Execution, contract: Instrument) -> tuple[Move, ...] | None:
        """What was exchanged on spot, the PnL of a contract. What an option's fill does is not documented.

        `BTC-USD` is also traded for USDC and others, and only the order's `tradeQuoteCcy` says for which: of such a
        fill, only what it does to the base currency is known.
        """
        if contract.kind == "spot":
            if contract.base is None or contract.quote is None:
                return None
            moves = exchanged(fill, TRADING, contract.base, contract.quote)
            if moves is None or contract.quote != "USD":
                return moves
            return tuple(move for move in moves if move.currency == contract.base)
        if contract.kind not in {"linear", INVERSE} or contract.settle is None:
            return None
        return realized(fill, TRADING, contract.settle)


class OKXAccounting(Accounting):
    """Implements `recorder.venues.accounting.Accounting`."""

    readings: tuple[PnlReading, ...] = ()
    ledger: Ledger | None = OKXLedger()

    def instrument(self, symbol: str, market: str | None = None) -> Instrument:
        """By the rules for ids; how much a contract is of, only the exchange says."""
        base, _, rest = symbol.partition("-")
        quote, product = rest.partition("-")[0] or None, inst_type(symbol)
        if product == SPOT:
            return Instrument(None, 0, market, symbol, "spot", base, quote, quote, "1")
        if product == OPTION:
            return Instrument(None, 0, market, symbol, "option", base, quote, base)
        if product == EVENTS:
            return Instrument(None, 0, market, symbol)
        kind, settle = (INVERSE, base) if quote == "USD" else ("linear", (quote or "").partition("_")[0])
        return Instrument(None, 0, market, symbol, kind, base, quote, settle)
