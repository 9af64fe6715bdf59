"""How FMex's amounts enter the books. Pure. `docs/books.md` says what the exchange documents and what is inferred.

Sources: the page "ws Push portal", and the exchange's pages on accounts, orders and positions.
"""

from decimal import Decimal

from recorder.model import INVERSE, Instrument
from recorder.venues.accounting import EXACT, Accounting, Holding, Ledger, PnlReading


def since_opened(before: Holding, after: Holding) -> Decimal:
    """PnL realized between two states, if the sum starts again each time a position is opened."""
    if before.quantity == 0 and after.quantity != 0:
        return after.realized_pnl
    return EXACT.subtract(after.realized_pnl, before.realized_pnl)


def since_ever(before: Holding, after: Holding) -> Decimal:
    """PnL realized between two states, if the sum is never reset."""
    return EXACT.subtract(after.realized_pnl, before.realized_pnl)


class FMexAccounting(Accounting):
    """Implements `recorder.venues.accounting.Accounting`."""

    readings: tuple[PnlReading, ...] = (
        PnlReading("since the position was opened", since_opened),
        PnlReading("since ever", since_ever),
    )
    ledger: Ledger | None = None

    def instrument(self, symbol: str, market: str | None = None) -> Instrument:
        """Every contract is worth one dollar a piece, quoted in dollars and margined in bitcoin."""
        return Instrument(None, 0, market, symbol, INVERSE, "BTC", "USD", "BTC", "1", None, None, None)
