"""What executions cost, from successive updates of the orders. Pure."""

from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple

from recorder.read.books.updates import BookOrder
from recorder.read.trading.fills import is_another
from recorder.venues.base import EXACT

#: Of orders at their end, so many are remembered: another recorder may tell late of an earlier state.
ENDED_MAX = 10_000

_ZERO = Decimal(0)
_Key = int | tuple[int, int | None]


class _Seen(NamedTuple):
    """How far an order had filled, and in which stretch that was pushed; None: it was told by REST, or is older."""

    filled: Decimal
    fee: Decimal
    stretch: int | None
    created_at: int | None = None


_NOTHING = _Seen(_ZERO, _ZERO, None)


class OrderFees:
    """Remembers how far each order had filled, and what that cost.

    Args:
        final_statuses: orders in these change no more.
    """

    def __init__(self, final_statuses: Collection[str]) -> None:
        self._final = final_statuses
        self._stretch = 0
        self._open: dict[_Key, _Seen] = {}
        self._ended: dict[_Key, _Seen] = {}

    def begin(self) -> None:
        """A new stretch."""
        self._stretch += 1

    def learn(self, order: BookOrder) -> None:
        """Take an order's state, without anything having happened in this stretch."""
        self._take(order, self._seen(order), None)

    def step(self, order: BookOrder) -> tuple[Decimal, int] | None:
        """What an update tells beyond the ones before it.

        Returns:
            The fee, and 1 where the order filled further, otherwise 0; None where it tells nothing new.
        """
        before = self._seen(order)
        if order.asked_ns is not None:
            if before is None or before.stretch != self._stretch:
                self._take(order, before, None)
            return None
        now = self._take(order, before, self._stretch)
        earlier = before or _NOTHING
        return None if now is None else (EXACT.subtract(now.fee, earlier.fee), int(now.filled > earlier.filled))

    def _take(self, order: BookOrder, before: _Seen | None, stretch: int | None) -> _Seen | None:
        """Keep how far an order has filled; None if it tells nothing, or less than is known."""
        filled, earlier = _filled(order), before or _NOTHING
        if filled is None or filled < earlier.filled:
            return None
        fee = earlier.fee if order.fee is None else order.fee
        created_at = earlier.created_at if order.created_at is None else order.created_at
        seen = _Seen(filled, fee, stretch, created_at)
        self._keep(order, seen)
        return seen

    def _key(self, order: BookOrder) -> _Key:
        """The order's id; with its time of creation if an earlier order has the same id."""
        seen = self._open.get(order.order_id) or self._ended.get(order.order_id)
        if seen is not None and is_another(order.created_at, seen.created_at):
            return order.order_id, order.created_at
        return order.order_id

    def _seen(self, order: BookOrder) -> _Seen | None:
        key = self._key(order)
        return self._open.get(key) or self._ended.get(key)

    def _keep(self, order: BookOrder, seen: _Seen) -> None:
        key = self._key(order)
        self._open.pop(key, None)
        if order.status not in self._final:
            self._open[key] = seen
            return
        self._ended[key] = seen
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]


def _filled(order: BookOrder) -> Decimal | None:
    if order.quantity is None or order.unfilled_quantity is None:
        return None
    # One zero for all orders that never filled: up to ENDED_MAX of these are kept.
    return EXACT.subtract(order.quantity, order.unfilled_quantity) or _ZERO
