"""A simulated account as a venue's REST sees it."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice, takewhile

from recorder.simulator.history import AccountHistory
from recorder.venues.stand_in import Execution, Face, SentState


class SimulatedAccount:
    """Implements `recorder.venues.stand_in.AccountView`.

    Args:
        history: of the account.
        face: renders it.
    """

    def __init__(self, history: AccountHistory, face: Face) -> None:
        history.catch_up()
        self._history = history
        self._face = face

    @property
    def now_ms(self) -> int:
        """The time of the last change, on the account's own clock."""
        return self._history.now_ms

    @property
    def topics(self) -> Collection[str]:
        """All topics."""
        return self._face.topics()

    def balances(self) -> Iterator[SentState]:
        """The balances."""
        return map(self._face.balance, self._history.balances.values())

    def positions(self) -> Iterator[SentState]:
        """The positions that have ever changed."""
        return map(self._face.position, [one for one in self._history.positions.values() if one.updated_ms])

    def open_orders(self) -> Iterator[SentState]:
        """The open orders, newest first."""
        return map(self._face.order, self._history.open_orders())

    def closed_orders(
        self, symbol: str | None, begins_ms: int, ends_ms: int, before_id: str | None, limit: int
    ) -> Iterator[SentState]:
        """The closed orders, newest first. Ids grow with time, so the search can stop at the first older order."""
        closed = self._history.closed_orders(None if before_id is None else int(before_id))
        recent = takewhile(lambda order: order.created_ms >= begins_ms, closed)
        mine = (order for order in recent if symbol in {None, order.terms.symbol} and order.created_ms < ends_ms)
        return map(self._face.order, islice(mine, limit))

    def order(self, order_id: str) -> SentState | None:
        """One order."""
        order = self._history.orders.get(int(order_id))
        return None if order is None else self._face.order(order)

    def executions(self, order_id: str) -> Sequence[Execution]:
        """The executions of one order."""
        return [self._face.execution(fill) for fill in self._history.orders[int(order_id)].fills]
