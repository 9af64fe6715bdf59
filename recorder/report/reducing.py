"""A long row of values to what a picture of so many columns can show: of each column the first, last, least and most.

A line through these points covers the very pixels that a line through all of them would (Jugel and others, M4, 2014).
"""

from collections.abc import Callable
from decimal import Decimal

from recorder.report.facts import Line, Period, Point

#: Columns of a picture: two pixels each on a screen.
COLUMNS = 330


class Reducer:
    """Takes values in the order of time.

    Args:
        period: what the picture shows.
        columns: of it.
    """

    def __init__(self, period: Period, columns: int = COLUMNS) -> None:
        self._since_ns = period.since_ns
        self._length_ns = period.until_ns - period.since_ns
        self._columns = columns
        self._points: list[Point] = []
        self._column = -1
        self._first = self._last = self._low = self._high = Point(0, Decimal(0))
        self._count = 0
        self._begins_with = Decimal(0)
        self._lowest = self._highest = Decimal(0)

    def begin(self, value: Decimal) -> None:
        """What the value was when the period began; no value of its own."""
        self.add(self._since_ns, value)
        self._count = 0

    def add(self, at_ns: int, value: Decimal) -> None:
        """A value; an instant outside the period counts at its edge."""
        into_ns = min(max(at_ns - self._since_ns, 0), self._length_ns - 1)
        point = Point(self._since_ns + into_ns, value)
        column = into_ns * self._columns // self._length_ns
        if self._column < 0:
            self._begins_with = self._lowest = self._highest = value
        self._count += 1
        if value < self._lowest:
            self._lowest = value
        elif value > self._highest:
            self._highest = value
        if column != self._column:
            self._flush()
            self._column = column
            self._first = self._last = self._low = self._high = point
            return
        self._last = point
        if value < self._low.value:
            self._low = point
        elif value > self._high.value:
            self._high = point

    def line(self, account: str, name: str) -> Line:
        """What there is to draw."""
        self._flush()
        self._column = self._columns
        return Line(
            account, name, self._points, self._count, self._begins_with, self._last.value, self._lowest, self._highest
        )

    def _flush(self) -> None:
        if 0 <= self._column < self._columns:
            shown = sorted({self._first, self._low, self._high}, key=_at)
            # The last one stays last, also where another came at the same instant.
            self._points += [point for point in shown if point != self._last]
            self._points.append(self._last)


def _at(point: Point) -> int:
    return point.at_ns


class Lines:
    """Reducers by account and name, made as they are needed.

    Args:
        period: what the pictures show.
        kept_max: of so many names at most the values are kept; the others are counted.
    """

    def __init__(self, period: Period, kept_max: int) -> None:
        self._period = period
        self._kept_max = kept_max
        self._kept: dict[tuple[str, str], Reducer] = {}
        self._others: set[tuple[str, str]] = set()

    def begin(self, account: str, name: str, value: Decimal) -> None:
        """What a value was when the period began."""
        self._do(account, name, lambda reducer: reducer.begin(value))

    def add(self, account: str, name: str, at_ns: int, value: Decimal) -> None:
        """A value."""
        self._do(account, name, lambda reducer: reducer.add(at_ns, value))

    def _do(self, account: str, name: str, do: Callable[[Reducer], None]) -> None:
        key = account, name
        if key not in self._kept:
            if len(self._kept) >= self._kept_max:
                self._others.add(key)
                return
            self._kept[key] = Reducer(self._period)
        do(self._kept[key])

    def lines(self) -> list[Line]:
        """By account and name."""
        return [reducer.line(*key) for key, reducer in sorted(self._kept.items())]

    @property
    def total(self) -> int:
        """How many names there were."""
        return len(self._kept) + len(self._others)
