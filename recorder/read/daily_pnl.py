"""Profit and loss of an account, and the projection `daily_pnl`: that of each day of UTC, which the view `pnl` shows.

Where the venue reports realized PnL with each fill, it is that, before fees. Otherwise it is the growth of the
positions' figure, which contains the fees: they are added to it, and not subtracted again.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from recorder.read import sums as sums_of
from recorder.read.contracts import settle_currencies
from recorder.read.order_lives import Row
from recorder.read.period_sums import Wanted, add_stored, stretches
from recorder.read.position_times import (
    PositionKey,
    figure_starts,
    figures_within,
    next_figure_ms,
    realized,
)
from recorder.read.projected_rows import store, table_differences
from recorder.read.projections import NEVER_NS
from recorder.read.scope import LabelledAccount
from recorder.read.sums import DAY_MS, END_MS, FIRST_MS, Calendar, PeriodSums, Pnl, begin_of
from recorder.store.journal import FrameRange
from recorder.store.projection_tables import current_states, daily_pnl, sum_bounds
from recorder.store.schema import position_updates
from recorder.venues import find_venue

#: The kind of `sum_bounds` that are of a position's realized PnL.
FIGURE = "figure"


def has_figures(account: LabelledAccount) -> bool:
    """Whether the realized PnL of an account is that of its positions, and not of its fills."""
    venue = find_venue(account.venue)
    return venue is None or not venue.pushes_fills


def profit(
    connection: Connection,
    account: LabelledAccount,
    wanted: Wanted,
    sums: Callable[[Wanted], PeriodSums],
    positions: Iterable[PositionKey],
    until_ns: int = NEVER_NS,
) -> list[Pnl]:
    """Profit and loss of an account by period.

    Args:
        connection: to the record.
        account: the account.
        wanted: the periods, and which of them.
        sums: gives the sums of fills and funding.
        positions: all that the account ever had.
        until_ns: only from what was received before this instant, ns since 1970.
    """
    if not has_figures(account):
        found = sums(wanted)
        symbols = {(key.market or "", key.symbol) for key in found if key.symbol is not None}
        venue = find_venue(account.venue)
        gains_in = frozenset[str]() if venue is None else venue.accounting.gains_in
        return sums_of.pnl_of_fills(found, settle_currencies(connection, account, symbols), gains_in)
    keys = [key for key in positions if wanted.of_symbol(key.symbol)]
    grown, begins = realized(connection, account, keys, wanted.calendar, wanted.since_ms, wanted.until_ms, until_ns)
    return sums_of.pnl_of_figures(grown, sums(wanted._replace(after_ms=begins)).fees())


class _Days(Calendar):
    """Days of UTC, each under the time when it begins, also where no calendar has it."""

    def period(self, at_ms: int) -> str:
        return str(begin_of(at_ms, DAY_MS))

    def end_ms(self, at_ms: int) -> int:
        return min(begin_of(at_ms, DAY_MS) + DAY_MS, END_MS)


def daily_rows(
    connection: Connection, account: LabelledAccount, since_ms: int = FIRST_MS, until_ms: int = END_MS
) -> list[Row]:
    """The rows of `daily_pnl` that an account should have, by its stored sums.

    Args:
        connection: to the record.
        account: the account.
        since_ms: of the days from this one on, ms since 1970.
        until_ms: and before this one.
    """

    def sums(wanted: Wanted) -> PeriodSums:
        found = PeriodSums()
        add_stored(connection, account, wanted, found)
        return found

    wanted = Wanted(_Days(), None, since_ms, until_ms, {})
    found = profit(connection, account, wanted, sums, _positions(connection, account.account_id))
    return [_row(account.account_id, one) for one in found]


def _row(account_id: int, one: Pnl) -> Row:
    of = one.market or "", one.symbol or "", one.currency or ""
    amounts = one.realized_pnl, one.over_gaps, one.fee, one.funding, one.net_pnl
    return (account_id, int(one.period), *of, *amounts, one.fills, one.quantity)


def _positions(connection: Connection, account_id: int) -> list[PositionKey]:
    c = current_states.c
    things = select(c.thing).where(c.account_id == account_id, c.kind == position_updates.name)
    return [PositionKey(*msgspec.json.decode(thing)) for thing in connection.scalars(things)]


def project_days(connection: Connection, account: LabelledAccount, days: Collection[int] | None) -> None:
    """Let `daily_pnl` follow what changed.

    Args:
        connection: to the record.
        account: the account.
        days: in which fills, funding or positions changed: when they begin, ms since 1970; None: all.
    """
    if has_figures(account) and _follow_figures(connection, account.account_id):
        days = None
    c = daily_pnl.c
    for since_ms, until_ms in [(FIRST_MS, END_MS)] if days is None else stretches(days, DAY_MS):
        these = c.account_id == account.account_id, c.begins_ms >= since_ms, c.begins_ms < until_ms
        stored = connection.execute(select(daily_pnl).where(*these))
        store(connection, table_differences(daily_pnl, stored, daily_rows(connection, account, since_ms, until_ms)))


def figure_days(connection: Connection, account: LabelledAccount, ranges: Iterable[FrameRange]) -> set[int]:
    """The days whose profit depends on the positions that some frames report, ms since 1970."""
    if not has_figures(account):
        return set()
    found = {(key, begin_of(at_ms, DAY_MS)) for one in ranges for key, at_ms in figures_within(connection, one)}
    days = {day for _, day in found}
    for key, day in found:
        # A day's growth begins where the day before ended.
        next_ms = next_figure_ms(connection, account.account_id, key, min(day + DAY_MS, END_MS))
        if next_ms is not None:
            days.add(begin_of(next_ms, DAY_MS))
    return days


def figures(connection: Connection, account_id: int) -> list[Row]:
    """The rows of `sum_bounds` that an account should have of its positions."""
    keys = _positions(connection, account_id)
    return [
        (
            *(account_id, FIGURE, msgspec.json.encode(key).decode()),
            *(start.at_ms, FIRST_MS if start.known_ms is None else start.known_ms),
        )
        for key, start in figure_starts(connection, account_id, keys, NEVER_NS)
    ]


def _follow_figures(connection: Connection, account_id: int) -> bool:
    """Let `sum_bounds` follow the first known states of positions; say whether that changed anything."""
    c = sum_bounds.c
    stored: Any = connection.execute(select(sum_bounds).where(c.account_id == account_id, c.kind == FIGURE))
    found = table_differences(sum_bounds, stored, figures(connection, account_id))
    store(connection, found)
    return bool(found)
