"""Sums of fills and of funding by quarters of an hour and days: the projection `period_sums`.

Midnight of every time zone that is in use is the beginning of a quarter. So the sums of any period are those of its
days and, at its ends, of its quarters; only where a wanted time begins within a quarter are its fills and payments
read.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select

from recorder.read.order_lives import Row
from recorder.read.payments import Payment, payments
from recorder.read.projected_rows import store, table_differences
from recorder.read.scope import LabelledAccount
from recorder.read.sums import (
    DAY_MS,
    END_MS,
    FIRST_MS,
    NOTHING,
    Calendar,
    PeriodKey,
    PeriodSums,
    Total,
    begin_of,
    paid,
    traded,
)
from recorder.store.projection_tables import period_sums, stale_quarters, trades
from recorder.store.stale import QUARTER_MS

_LASTS = (QUARTER_MS, DAY_MS)
#: Stretches that one statement reads.
_BEGINS_MAX = 300


class SumKey(NamedTuple):
    """The key of a row of `period_sums`, without the account."""

    lasts_ms: int
    begins_ms: int
    #: Empty where the venue sends none.
    market: str
    symbol: str
    currency: str


Sums = dict[SumKey, Total]


def add_fill_to(sums: Sums, fill: Any, times: int = 1) -> None:
    """Add a fill to the sums that it belongs to, or with -1 `times` take it out.

    Args:
        sums: the sums.
        fill: a `Fill`, or a row of `trades`.
        times: 1 or -1.
    """
    _add(sums, fill.at_ms, (fill.market, fill.symbol, fill.fee_currency), traded(fill), times)


def add_payment_to(sums: Sums, one: Payment) -> None:
    """Add a payment of funding to the sums that it belongs to."""
    _add(sums, one.at_ms, (one.market, one.symbol, one.currency), paid(one.amount))


def _add(sums: Sums, at_ms: int, of: Iterable[str | None], more: Total, times: int = 1) -> None:
    names = [name or "" for name in of]
    for lasts_ms in _LASTS:
        key = SumKey(lasts_ms, begin_of(at_ms, lasts_ms), *names)
        sums[key] = sums.get(key, NOTHING).with_other(more, times)


def rows_of(account_id: int, sums: Mapping[SumKey, Total]) -> list[Row]:
    """The rows of `period_sums` with some sums."""
    return [(account_id, *key, *one) for key, one in sums.items() if one.trades or one.payments]


def change_by_fills(connection: Connection, account_id: int, gone: Iterable[Any], added: Iterable[Any]) -> None:
    """Let the sums follow rows of `trades` that were deleted and inserted."""
    changes: Sums = {}
    for times, rows in ((-1, gone), (1, added)):
        for row in rows:
            add_fill_to(changes, row, times)
    _change(connection, account_id, changes)


def change_by_payments(connection: Connection, account_id: int, quarters: Collection[int] | None) -> set[int]:
    """Let the sums follow the funding of some quarters of an hour, which is counted anew.

    Args:
        connection: to the record.
        account_id: of the account.
        quarters: when they begin, ms since 1970; None: all funding.

    Returns:
        The days that changed, ms since 1970.
    """
    found: Sums = {}
    stored: Iterable[Row]
    if quarters is None:
        for one in payments(connection, account_id):
            add_payment_to(found, one)
        c = period_sums.c
        stored = map(tuple, connection.execute(select(period_sums).where(c.account_id == account_id, c.payments > 0)))
    else:
        for since_ms, until_ms in stretches(quarters, QUARTER_MS):
            for one in payments(connection, account_id, since_ms, until_ms):
                add_payment_to(found, one)
        stored = _stored(connection, account_id, {(QUARTER_MS, one) for one in quarters})
    changes = {key: one for key, one in found.items() if key.lasts_ms == QUARTER_MS}
    for row in stored:
        key = SumKey._make(row[1:_KEY])
        if key.lasts_ms == QUARTER_MS:
            changes[key] = changes.get(key, NOTHING).with_other(Total._make(row[_KEY:]).of_funding(), -1)
    for key, change in list(changes.items()):
        day = key._replace(lasts_ms=DAY_MS, begins_ms=begin_of(key.begins_ms, DAY_MS))
        changes[day] = changes.get(day, NOTHING).with_other(change)
    _change(connection, account_id, changes)
    return {key.begins_ms for key, change in changes.items() if key.lasts_ms == DAY_MS and change != NOTHING}


def stretches(begins: Iterable[int], lasts_ms: int) -> Iterator[tuple[int, int]]:
    """Join stretches of time that follow each other.

    Args:
        begins: when they begin, ms since 1970.
        lasts_ms: how long each lasts.

    Yields:
        From when until when.
    """
    all_of_them = set(begins)
    firsts = sorted(one for one in all_of_them if one - lasts_ms not in all_of_them)
    lasts = sorted(one for one in all_of_them if one + lasts_ms not in all_of_them)
    return ((first, min(last + lasts_ms, END_MS)) for first, last in zip(firsts, lasts, strict=True))


def _change(connection: Connection, account_id: int, changes: Sums) -> None:
    """Add changes to the stored sums."""
    changes = {key: one for key, one in changes.items() if one != NOTHING}
    stored = list(_stored(connection, account_id, {(key.lasts_ms, key.begins_ms) for key in changes}))
    stored = [row for row in stored if SumKey._make(row[1:_KEY]) in changes]
    held = {SumKey._make(row[1:_KEY]): Total._make(row[_KEY:]) for row in stored}
    wanted = {key: held.get(key, NOTHING).with_other(one) for key, one in changes.items()}
    store(connection, table_differences(period_sums, stored, rows_of(account_id, wanted)))


def make_sums(connection: Connection, account_id: int, quarters: Collection[int]) -> None:
    """Make the sums of some quarters, and of their days, from fills and funding.

    Args:
        connection: to the record.
        account_id: of the account.
        quarters: when they begin, ms since 1970.
    """
    days = {begin_of(begins_ms, DAY_MS) for begins_ms in quarters}
    found: Sums = {}
    for begins_ms in days:
        for row in _trades_between(connection, account_id, begins_ms, begins_ms + DAY_MS):
            add_fill_to(found, row)
        for one in payments(connection, account_id, begins_ms, begins_ms + DAY_MS):
            add_payment_to(found, one)
    # Other quarters of these days are right, and are compared with what they are.
    of = {(DAY_MS, one) for one in days} | {(QUARTER_MS, one + n * QUARTER_MS) for one in days for n in range(96)}
    stored = list(_stored(connection, account_id, of))
    store(connection, table_differences(period_sums, stored, rows_of(account_id, found)))


#: The columns of the key.
_KEY = len(SumKey._fields) + 1


def _stored(connection: Connection, account_id: int, of: Collection[tuple[int, int]]) -> Iterator[Row]:
    by_length: dict[int, list[int]] = defaultdict(list)
    for lasts_ms, begins_ms in of:
        by_length[lasts_ms].append(begins_ms)
    for lasts_ms, begins in by_length.items():
        for start in range(0, len(begins), _BEGINS_MAX):
            values = {"account_id": account_id, "lasts_ms": lasts_ms, "begins": begins[start : start + _BEGINS_MAX]}
            yield from map(tuple, connection.execute(_sums_at(), values))


@cache
def _sums_at() -> Select[Any]:
    c = period_sums.c
    return select(period_sums).where(
        c.account_id == bindparam("account_id"),
        c.lasts_ms == bindparam("lasts_ms"),
        c.begins_ms.in_(bindparam("begins", expanding=True)),
    )


class Wanted(NamedTuple):
    """Which fills and payments are summed up."""

    calendar: Calendar
    #: In lower case; None: any.
    symbol: str | None
    #: That happened at or after, and before, milliseconds since 1970.
    since_ms: int
    until_ms: int
    #: Market and symbol → only what happened after this instant, ms since 1970.
    after_ms: Mapping[tuple[str, str], int]

    def contains(self, one: Any) -> bool:
        """Whether a `Fill`, a row of `trades` or a `Payment` is among them."""
        return self.of_symbol(one.symbol) and self._since(one.market, one.symbol) <= one.at_ms < self.until_ms

    def of_symbol(self, symbol: str | None) -> bool:
        """Whether a symbol is wanted."""
        return self.symbol is None or (symbol or "").lower() == self.symbol

    def is_whole(self, key: SumKey) -> bool | None:
        """Whether everything in a stretch is among them, in one period; None: nothing is."""
        since_ms, end_ms = self._since(key.market, key.symbol), key.begins_ms + key.lasts_ms
        if end_ms <= since_ms or key.begins_ms >= self.until_ms:
            return None
        is_within = since_ms <= key.begins_ms and end_ms <= self.until_ms
        return is_within and self.calendar.period(key.begins_ms) == self.calendar.period(end_ms - 1)

    def _since(self, market: str | None, symbol: str | None) -> int:
        return max(self.since_ms, self.after_ms.get((market or "", symbol or ""), self.since_ms - 1) + 1)


def add_fill(sums: PeriodSums, account: LabelledAccount, wanted: Wanted, fill: Any, times: int = 1) -> None:
    """Add a fill to sums by period, if it is wanted."""
    if wanted.contains(fill):
        of = fill.market or None, fill.symbol or None, fill.fee_currency or None
        sums.add(PeriodKey(wanted.calendar.period(fill.at_ms), account.label, *of), traded(fill), times)


def add_payments(sums: PeriodSums, account: LabelledAccount, wanted: Wanted, found: Iterable[Payment]) -> None:
    """Add payments of funding to sums by period, if they are wanted."""
    for one in found:
        if wanted.contains(one):
            of = one.market or None, one.symbol or None, one.currency or None
            sums.add(PeriodKey(wanted.calendar.period(one.at_ms), account.label, *of), paid(one.amount))


def add_stored(
    connection: Connection,
    account: LabelledAccount,
    wanted: Wanted,
    sums: PeriodSums,
    payments_in: Collection[int] | None = (),
) -> None:
    """Add what is stored of an account to sums by period.

    Args:
        connection: to the record.
        account: the account.
        wanted: what is summed up.
        sums: to which it is added.
        payments_in: the quarters of an hour whose stored sums do not have the right funding; None: none has.
    """
    s = stale_quarters.c
    stale = set(connection.scalars(select(s.begins_ms).where(s.account_id == account.account_id)))
    stale.update(payments_in or ())
    quarters = {one for one in stale if wanted.since_ms < one + QUARTER_MS and one < wanted.until_ms}
    stale |= {begin_of(one, DAY_MS) - 1 for one in stale}

    def stored(row: Row) -> Total:
        """What counts of a row."""
        one = Total._make(row[_KEY:])
        return one.with_other(one.of_funding(), -1) if payments_in is None else one

    def counts(key: SumKey) -> bool:
        """Whether the sums of a stretch count as a whole."""
        mark = key.begins_ms if key.lasts_ms == QUARTER_MS else key.begins_ms - 1
        return mark not in stale and bool(wanted.is_whole(key))

    def read(since_ms: int, until_ms: int, lasts_ms: int) -> list[int]:
        """Add the sums of these stretches; give the beginnings of those of which only a part counts."""
        parts = set()
        values = {"account_id": account.account_id, "lasts_ms": lasts_ms, "since_ms": since_ms, "until_ms": until_ms}
        for row in connection.execute(_sums_in_time(), values):
            key = SumKey._make(row[1:_KEY])
            if not wanted.of_symbol(key.symbol) or wanted.is_whole(key) is None or counts_as_day(key):
                continue
            if counts(key):
                period = wanted.calendar.period(key.begins_ms)
                of = PeriodKey(period, account.label, key.market or None, key.symbol or None, key.currency or None)
                sums.add(of, stored(row))
            else:
                parts.add(key.begins_ms)
        return sorted(parts)

    def counts_as_day(key: SumKey) -> bool:
        """Whether the sums of a quarter are among those of a day that counts."""
        day = key._replace(lasts_ms=DAY_MS, begins_ms=begin_of(key.begins_ms, DAY_MS))
        return key.lasts_ms == QUARTER_MS and counts(day)

    def is_apart(begins_ms: int, one: Any) -> bool:
        """Whether something in a quarter is in no sum that counts."""
        quarter = SumKey(QUARTER_MS, begins_ms, one.market or "", one.symbol or "", "")
        return not counts_as_day(quarter) and not counts(quarter)

    days = read(max(wanted.since_ms, FIRST_MS + DAY_MS) - DAY_MS, wanted.until_ms, DAY_MS)
    parts = {quarter for day in days for quarter in read(day, day + DAY_MS, QUARTER_MS)}
    # A quarter may have funding before its sums say so.
    for begins_ms in sorted(parts.union(quarters)):
        for row in _trades_between(connection, account.account_id, begins_ms, begins_ms + QUARTER_MS):
            if is_apart(begins_ms, row):
                add_fill(sums, account, wanted, row)
        if payments_in is not None:
            found = payments(connection, account.account_id, begins_ms, begins_ms + QUARTER_MS)
            add_payments(sums, account, wanted, (one for one in found if is_apart(begins_ms, one)))
    if payments_in is None:
        add_payments(sums, account, wanted, payments(connection, account.account_id, wanted.since_ms, wanted.until_ms))


def _trades_between(connection: Connection, account_id: int, since_ms: int, until_ms: int) -> Iterator[Any]:
    values = {"account_id": account_id, "since_ms": since_ms, "until_ms": min(until_ms, END_MS)}
    with connection.execute(_trades_in_time(), values, execution_options={"yield_per": 500}) as rows:
        yield from rows


@cache
def _trades_in_time() -> Select[Any]:
    t = trades.c
    names = ("at_ms", "market", "symbol", "quantity", "fee", "fee_currency", "liquidity", "realized_pnl")
    return select(*(t[name] for name in names)).where(
        t.account_id == bindparam("account_id"),
        t.at_ms >= bindparam("since_ms"),
        t.at_ms < bindparam("until_ms"),
    )


@cache
def _sums_in_time() -> Select[Any]:
    c = period_sums.c
    return select(period_sums).where(
        c.account_id == bindparam("account_id"),
        c.lasts_ms == bindparam("lasts_ms"),
        c.begins_ms >= bindparam("since_ms"),
        c.begins_ms < bindparam("until_ms"),
    )
