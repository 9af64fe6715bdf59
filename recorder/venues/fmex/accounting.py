"""How FMex's amounts go together. Pure.

| | documented by the exchange | inferred |
| --- | --- | --- |
| balance | `available`, `frozen` by orders, margin of positions are the three amounts of an account | nothing else is in it, and none of the three moves with the market: an unrealized gain is in no balance |
| `fee` of an order | all fees taken for it so far | negative is a rebate; taken from `available` at the execution |
| `realized_pnl` | for display; gain and loss since the position was opened; told of a closed position too | net of fees: the page's sample, one contract just opened, says minus its fee. So it begins anew with each opening; the second reading is that of the simulator, where it never does |
| margin | BTC, an inverse contract | for all contracts |
| funding | there is a rate every 8 hours | nothing says how it is booked: in `realized_pnl` it is realized, otherwise it is unexplained |
| transfers | between wallet and contracts, over REST | not pushed: the next push of the account has it in `available` |
| digits | | amounts are pushed with all digits they have, 18 decimals |

Sources: the page "ws Push portal", and the pages on accounts, orders, positions and indexes beside it.
"""  # noqa: E501  a table

from decimal import Decimal

from recorder.venues.base import EXACT, Holding, Reading


def since_opened(before: Holding, after: Holding) -> Decimal:
    """What was realized between two states where the sum begins anew when a position is opened."""
    if before.quantity == 0 and after.quantity > 0:
        return after.realized_pnl
    return EXACT.subtract(after.realized_pnl, before.realized_pnl)


def since_ever(before: Holding, after: Holding) -> Decimal:
    """What was realized between two states where the sum goes on for ever."""
    return EXACT.subtract(after.realized_pnl, before.realized_pnl)


class FMexAccounting:
    """FMex behind the seam of `recorder.venues.base.Accounting`."""

    readings: tuple[Reading, ...] = (
        Reading("since the position was opened", since_opened),
        Reading("since ever", since_ever),
    )

    def balance(
        self, available: Decimal | None, frozen: Decimal | None, position_margin: Decimal | None
    ) -> Decimal | None:
        """The three together."""
        if available is None or frozen is None or position_margin is None:
            return None
        return EXACT.add(EXACT.add(available, frozen), position_margin)

    def currency(self, symbol: str) -> str:
        """The exchange margins in bitcoin."""
        return "BTC"
