"""Values over the period (balances, positions, clock differences), reduced while they are read.

A plot is a few hundred columns of pixels wide. Of the values in each column, the first, last, lowest and highest are
kept: a line through these covers the same pixels as one through all values (Jugel and others, M4, 2014).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Select, Table, select

from recorder.read.record import Filter
from recorder.report.source import Listed, Period, ReportSource
from recorder.store.schema import (
    ONCE,
    account_updates,
    heartbeats,
    position_updates,
    reconciliations,
    runs,
    sessions,
)
from recorder.store.state_index import counts_ns
from recorder.venues.accounting import EXACT

#: Columns of a plot: two pixels each.
COLUMNS = 330
#: Names (such as currencies) whose values are kept while reading, and plots that are drawn.
KEPT_MAX = 64
SHOWN_MAX = 12


class PlotPoint(NamedTuple):
    """A value at a time."""

    at_ns: int
    value: Decimal


class PlotLine(NamedTuple):
    """A value over the period, reduced to what a plot can show."""

    account: str
    name: str
    points: Sequence[PlotPoint]
    #: How many values there were.
    updates: int
    first: Decimal
    last: Decimal
    low: Decimal
    high: Decimal

    @property
    def change(self) -> Decimal:
        """From the first to the last value, exact."""
        return EXACT.subtract(self.last, self.first)


class LineReducer:
    """Takes values in the order of time.

    Args:
        period: the width of the plot.
        columns: of the plot.
    """

    def __init__(self, period: Period, columns: int = COLUMNS) -> None:
        self._since_ns = period.since_ns
        self._length_ns = period.until_ns - period.since_ns
        self._columns = columns
        self._points: list[PlotPoint] = []
        self._column = -1
        self._first = self._last = self._low = self._high = PlotPoint(0, Decimal(0))
        self._count = 0
        self._begins_with = self._lowest = self._highest = Decimal(0)

    def begin(self, value: Decimal) -> None:
        """Add the value from before the period. It is drawn, but not counted."""
        self.add(self._since_ns, value)
        self._count = 0

    def add(self, at_ns: int, value: Decimal) -> None:
        """Add a value; a time outside the period counts at its edge."""
        into_ns = min(max(at_ns - self._since_ns, 0), self._length_ns - 1)
        point = PlotPoint(self._since_ns + into_ns, value)
        column = into_ns * self._columns // self._length_ns
        if self._column < 0:
            self._begins_with = self._lowest = self._highest = value
        self._count += 1
        self._lowest, self._highest = min(self._lowest, value), max(self._highest, value)
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

    def line(self, account: str, name: str) -> PlotLine:
        """The line to draw."""
        self._flush()
        self._column = self._columns
        values = self._begins_with, self._last.value, self._lowest, self._highest
        return PlotLine(account, name, self._points, self._count, *values)

    def _flush(self) -> None:
        if 0 <= self._column < self._columns:
            shown = sorted({self._first, self._low, self._high}, key=lambda point: point.at_ns)
            # The last one stays last, even if another has the same time.
            self._points += [point for point in shown if point != self._last]
            self._points.append(self._last)


class LinesByName:
    """A reducer for each account and name.

    Args:
        period: the width of the plots.
        kept_max: names whose values are kept; of further names, only the number is.
    """

    def __init__(self, period: Period, kept_max: int = KEPT_MAX) -> None:
        self._period = period
        self._kept_max = kept_max
        self._kept: dict[tuple[str, str], LineReducer] = {}
        self._others: set[tuple[str, str]] = set()

    def of(self, account: str, name: str) -> LineReducer:
        """The reducer of a name; one whose values are dropped if there are too many names."""
        key = account, name
        if key not in self._kept:
            if len(self._kept) >= self._kept_max:
                self._others.add(key)
                return LineReducer(self._period)
            self._kept[key] = LineReducer(self._period)
        return self._kept[key]

    def lines(self) -> list[PlotLine]:
        """By account and name."""
        return [reducer.line(*key) for key, reducer in sorted(self._kept.items())]

    def busiest(self) -> Listed[PlotLine]:
        """The lines with most updates, by account and name."""
        found = self.lines()
        busiest = sorted(range(len(found)), key=lambda number: -found[number].updates)[:SHOWN_MAX]
        return Listed([found[number] for number in sorted(busiest)], len(self._kept) + len(self._others))


def balances(source: ReportSource) -> Listed[PlotLine]:
    """What is owned of each currency, in each wallet."""
    lines, names = LinesByName(source.period), source.names
    if source.period.since_asked:
        for one in source.record.balances(_before(source)):
            if one.account in names.values() and one.balance is not None:
                lines.of(one.account, _name(one.currency, one.wallet)).begin(one.balance)
    query = _updates(source, account_updates, "currency", "wallet", "balance")
    for account_id, at_ns, currency, wallet, balance in source.rows("balances", query):
        if balance is not None:
            lines.of(names[account_id], _name(currency, wallet)).add(at_ns, balance)
    return lines.busiest()


def positions(source: ReportSource) -> Listed[PlotLine]:
    """The quantity of each position, negative if it is short."""
    lines, names = LinesByName(source.period), source.names
    if source.period.since_asked:
        for one in source.record.positions(_before(source)):
            if one.account in names.values() and one.quantity is not None:
                lines.of(one.account, _name(one.symbol, one.market, one.position_side)).begin(one.quantity)
    query = _updates(source, position_updates, "symbol", "market", "position_side", "quantity")
    for account_id, at_ns, symbol, market, side, quantity in source.rows("positions", query):
        if quantity is not None:
            lines.of(names[account_id], _name(symbol, market, side)).add(at_ns, quantity)
    return lines.busiest()


def clocks(source: ReportSource) -> list[PlotLine]:
    """The venue's clock less ours when each ping arrived there, milliseconds, by recorder."""
    h, s = heartbeats.c, sessions.c
    query = (
        select(h.account_id, runs.c.recorder_id, h.received_ns, h.gap_ms)
        .join(sessions, (s.account_id == h.account_id) & (s.session_id == h.session_id))
        .join(runs, runs.c.run_id == s.run_id)
        .where(source.is_reported(h.account_id), source.is_received(h.received_ns), h.gap_ms.is_not(None))
        .order_by(h.received_ns)
    )
    lines, names = LinesByName(source.period), source.names
    for account_id, recorder_id, at_ns, gap_ms in source.rows("answers to pings", query):
        lines.of(names[account_id], source.hosts[recorder_id]).add(at_ns, Decimal(gap_ms))
    return lines.lines()


def _name(*parts: str | None) -> str:
    """The name of a line: a currency and its wallet; a symbol, its market and side. None: there is no such part."""
    return " ".join(part for part in parts if part is not None)


def _before(source: ReportSource) -> Filter:
    return Filter(until_ns=source.period.since_ns)


def _updates(source: ReportSource, table: Table, *names: str) -> Select[tuple[object, ...]]:
    """Updates in the order that decides the latest state: an answer counts from when it was requested."""
    once, asked = ONCE[table], reconciliations.c
    of_answer = (asked.account_id == once.c.account_id) & (asked.reconciliation_id == once.c.session_id)
    from_ns = counts_ns(once.c)
    return (
        select(once.c.account_id, from_ns, *[once.c[name] for name in names])
        .join_from(once, reconciliations, of_answer, isouter=True)
        .where(source.is_reported(once.c.account_id), source.is_received(once.c.received_ns))
        .order_by(from_ns, once.c.received_ns, once.c.session_id, once.c.seq, once.c.item)
    )
