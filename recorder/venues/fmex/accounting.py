"""How FMex's amounts enter the books. Pure. `docs/books.md` says what the exchange documents and what is inferred.

Sources: the page "ws Push portal", and the exchange's pages on accounts, orders and positions.
"""

from decimal import Decimal

from recorder.venues.base import EXACT, Holding, PnlReading


def since_opened(before: Holding, after: Holding) -> Decimal:
    """PnL realized between two states, if the sum starts again each time a position is opened."""
    if before.quantity == 0 and after.quantity > 0:
        return after.realized_pnl
    return EXACT.subtract(after.realized_pnl, before.realized_pnl)


def since_ever(before: Holding, after: Holding) -> Decimal:
    """PnL realized between two states, if the sum is never reset."""
    return EXACT.subtract(after.realized_pnl, before.realized_pnl)


class FMexAccounting:
    """Implements `recorder.venues.base.Accounting`."""

    readings: tuple[PnlReading, ...] = (
        PnlReading("since the position was opened", since_opened),
        PnlReading("since ever", since_ever),
    )

    def balance(
        self, available: Decimal | None, frozen: Decimal | None, position_margin: Decimal | None
    ) -> Decimal | None:
        """The sum of the three."""
        if available is None or frozen is None or position_margin is None:
            return None
        return EXACT.add(EXACT.add(available, frozen), position_margin)

    def currency(self, symbol: str) -> str:
        """All contracts are margined in bitcoin."""
        return "BTC"
