"""What executions cost, from successive updates of the orders. Pure."""

from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple

from recorder.read.books.updates import BookOrder
from recorder.read.trading.fills import Reuse, reuse
from recorder.venues.base import EXACT

#: Of orders at their end, so many are remembered: another recorder may tell late of an earlier state.
ENDED_MAX = 10_000

_ZERO = Decimal(0)


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
        self._open: dict[int, _Seen] = {}
        self._ended: dict[int, _Seen] = {}

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
        if filled is None or filled < earlier.filled or reuse(order.created_at, earlier.created_at) is Reuse.OLDER:
            return None
        fee = earlier.fee if order.fee is None else order.fee
        created_at = earlier.created_at if order.created_at is None else order.created_at
        seen = _Seen(filled, fee, stretch, created_at)
        self._keep(order, seen)
        return seen

    def _seen(self, order: BookOrder) -> _Seen | None:
        """What is known of an order; None also if only an older one with its id is known."""
        seen = self._open.get(order.order_id) or self._ended.get(order.order_id)
        newer = seen is not None and reuse(order.created_at, seen.created_at) is Reuse.NEWER
        return None if newer else seen

    def _keep(self, order: BookOrder, seen: _Seen) -> None:
        self._open.pop(order.order_id, None)
        if order.status not in self._final:
            self._open[order.order_id] = seen
            return
        self._ended[order.order_id] = seen
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]


def _filled(order: BookOrder) -> Decimal | None:
    if order.quantity is None or order.unfilled_quantity is None:
        return None
    return EXACT.subtract(order.quantity, order.unfilled_quantity)
