"""What REST tells of an account at an instant of its record: what was known then, by receipt."""

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
    """Implements `recorder.venues.stand_in.Telling`. Reads the record when it is asked.

    Args:
        record: holds the account.
        account: by name.
        topics: what of it has been subscribed to.
        at_ns: the instant, nanoseconds since 1970.
    """

    def __init__(self, record: Record, account: str, topics: tuple[str, ...], at_ns: int) -> None:
        self.topics = topics
        self._as_of = record.as_of(at_ns)
        # Of an instant outside 64 bits, the nearest within: a calendar has that, too.
        self.now_ms = self._as_of.at_ns // NS_PER_MS
        self._mine = Filter(account=account)

    def balances(self) -> Iterator[AccountUpdate]:
        """One of each currency."""
        return (_as(AccountUpdate, balance) for balance in self._as_of.balances(self._mine))

    def positions(self) -> Iterator[PositionUpdate]:
        """Those that were known."""
        return (_as(PositionUpdate, position) for position in self._as_of.positions(self._mine))

    def open_orders(self) -> list[OrderUpdate]:
        """Newest first."""
        orders = [_as(OrderUpdate, order) for order in self._as_of.open_orders(self._mine)]
        return sorted(orders, key=lambda order: -order.order_id)

    def closed_orders(
        self, symbol: str | None, begins_ms: int, ends_ms: int, before_id: int | None
    ) -> Iterator[OrderUpdate]:
        """Newest first. Looked for in the whole record."""
        closed = Closed(begins_ms, ends_ms, before_id)
        orders = self._as_of.closed_orders(closed, self._mine._replace(symbol=symbol))
        return (_as(OrderUpdate, order) for order in orders)

    def order(self, order_id: int) -> OrderUpdate | None:
        """One order. Looked for in the whole record."""
        for order in self._as_of.orders(self._mine._replace(order_id=order_id)):
            return _as(OrderUpdate, order)
        return None

    def executions(self, order_id: int) -> Iterator[Execution]:
        """As the exchange told them, and what order updates show beyond that."""
        return map(_execution, self._as_of.fills(self._mine._replace(order_id=order_id)))


def _as(kind: type[T], row: object) -> T:
    """A reader's record as an update: numbers with their digits."""
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
