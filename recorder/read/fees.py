"""What executions cost, from successive updates of the orders. Pure."""

from collections.abc import Collection
from decimal import Decimal
from typing import NamedTuple

from recorder.read.told import ToldOrder
from recorder.venues.base import EXACT

#: Of orders at their end, so many are remembered: another recorder may tell late of an earlier state.
ENDED_MAX = 10_000

_ZERO = Decimal(0)


class _Seen(NamedTuple):
    """How far an order had filled, and in which stretch that was pushed; None: it was told by REST, or is older."""

    filled: Decimal
    fee: Decimal
    stretch: int | None


class Fees:
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

    def learn(self, order: ToldOrder) -> None:
        """Take an order's state, without anything having happened in this stretch."""
        filled = _filled(order)
        before = self._seen(order.order_id)
        if filled is None or (before is not None and filled < before.filled):
            return
        fee = order.fee if order.fee is not None else before.fee if before else _ZERO
        self._keep(order, _Seen(filled, fee, None))

    def step(self, order: ToldOrder) -> tuple[Decimal, int] | None:
        """What an update tells beyond the ones before it.

        Returns:
            The fee, and 1 where the order filled further, otherwise 0; None where it tells nothing new.
        """
        before = self._seen(order.order_id)
        pushed = before is not None and before.stretch == self._stretch
        if order.asked_ns is not None:
            if not pushed:
                self.learn(order)
            return None
        filled = _filled(order)
        earlier = before or _Seen(_ZERO, _ZERO, None)
        if filled is None or filled < earlier.filled:
            return None
        fee = earlier.fee if order.fee is None else order.fee
        self._keep(order, _Seen(filled, fee, self._stretch))
        return EXACT.subtract(fee, earlier.fee), int(filled > earlier.filled)

    def _seen(self, order_id: int) -> _Seen | None:
        return self._open.get(order_id) or self._ended.get(order_id)

    def _keep(self, order: ToldOrder, seen: _Seen) -> None:
        self._open.pop(order.order_id, None)
        if order.status not in self._final:
            self._open[order.order_id] = seen
            return
        self._ended[order.order_id] = seen
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]


def _filled(order: ToldOrder) -> Decimal | None:
    if order.quantity is None or order.unfilled_quantity is None:
        return None
    return EXACT.subtract(order.quantity, order.unfilled_quantity)
