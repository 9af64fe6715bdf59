"""What REST reports of a recorded account at a point in time: what had been received by then."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TypeVar

from recorder.clock import NS_PER_MS
from recorder.model import MAKER, TAKER, AccountUpdate, Digits, FillUpdate, OrderUpdate, PositionUpdate
from recorder.read.queries import Closed
from recorder.read.record import Record
from recorder.read.records import Fill, Filter
from recorder.venues.stand_in import Execution

T = TypeVar("T", bound=tuple[Any, ...])


class RecordedAccount:
    """Implements `recorder.venues.stand_in.AccountView`. Queries the record on each call.

    Args:
        record: the record.
        account: name of the account.
        topics: the topics that were subscribed to.
        at_ns: the point in time, nanoseconds since 1970.
    """

    def __init__(self, record: Record, account: str, topics: tuple[str, ...], at_ns: int) -> None:
        self.topics = topics
        self._as_of = record.as_of(at_ns)
        # Clamped to 64 bits, so that it can be converted to a date.
        self.now_ms = self._as_of.at_ns // NS_PER_MS
        self._mine = Filter(account=account)

    def balances(self) -> Iterator[AccountUpdate]:
        """The balance of each currency."""
        return (_as(AccountUpdate, balance) for balance in self._as_of.balances(self._mine))

    def positions(self) -> Iterator[PositionUpdate]:
        """The positions known by then."""
        return (_as(PositionUpdate, position) for position in self._as_of.positions(self._mine))

    def open_orders(self) -> list[OrderUpdate]:
        """The open orders, newest first."""
        orders = [_as(OrderUpdate, order) for order in self._as_of.open_orders(self._mine)]
        return sorted(orders, key=lambda order: -order.order_id)

    def closed_orders(
        self, symbol: str | None, begins_ms: int, ends_ms: int, before_id: int | None
    ) -> Iterator[OrderUpdate]:
        """The closed orders, newest first. Searches the whole record."""
        closed = Closed(begins_ms, ends_ms, before_id)
        orders = self._as_of.closed_orders(closed, self._mine._replace(symbol=symbol))
        return (_as(OrderUpdate, order) for order in orders)

    def order(self, order_id: int) -> OrderUpdate | None:
        """One order. Searches the whole record."""
        for order in self._as_of.orders(self._mine._replace(order_id=order_id)):
            return _as(OrderUpdate, order)
        return None

    def executions(self, order_id: int) -> Iterator[Execution]:
        """The executions that REST reported, and those derived from order updates besides."""
        return map(_execution, self._as_of.fills(self._mine._replace(order_id=order_id)))


def _as(kind: type[T], row: object) -> T:
    """A reader's row as an update, numbers as their digits."""
    fields: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
    return kind._make(_plain(getattr(row, name)) for name in fields)  # type: ignore[attr-defined,no-any-return]


def _plain(value: object) -> object:
    return _digits(value) if isinstance(value, Decimal) else value


def _digits(number: Decimal | None) -> Digits | None:
    return None if number is None else str(number)


def _execution(fill: Fill) -> Execution:
    taker = {TAKER: 1, MAKER: 0}.get(fill.liquidity)
    price, quantity, fee = map(_digits, (fill.price, fill.quantity, fill.fee))
    return Execution(FillUpdate(fill.order_id, taker, price, quantity, fee, fill.at_ms), fill.price_is_estimate)
