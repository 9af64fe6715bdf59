"""Sums of fills by quarters of an hour and days: the projection `fill_sums`.

Midnight of every time zone that is in use is the beginning of a quarter. So the sums of any period are those of its
days and, at its ends, of its quarters; only where a wanted time begins within a quarter are its fills read.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select

from recorder.read.projected_rows import store, table_differences
from recorder.read.projections import Row
from recorder.read.scope import LabelledAccount
from recorder.read.sums import FIRST_MS, NO_TRADES, Calendar, FeeKey, FeeSums, Traded, traded
from recorder.store.projection_tables import fill_sums, stale_quarters, trades
from recorder.store.stale import QUARTER_MS

DAY_MS = 96 * QUARTER_MS
_LASTS = (QUARTER_MS, DAY_MS)
#: Stretches that one statement reads.
_BEGINS_MAX = 300


class SumKey(NamedTuple):
    """The key of a row of `fill_sums`, without the account."""

    lasts_ms: int
    begins_ms: int
    #: Empty where the venue sends none.
    market: str
    symbol: str
    fee_currency: str


Sums = dict[SumKey, Traded]


def add_to(sums: Sums, fill: Any, times: int = 1) -> None:
    """Add a fill to the sums that it belongs to, or with -1 `times` take it out.

    Args:
        sums: the sums.
        fill: a `Fill`, or a row of `trades`.
        times: 1 or -1.
    """
    more = traded(fill)
    for lasts_ms in _LASTS:
        key = SumKey(
            lasts_ms, begin_of(fill.at_ms, lasts_ms), fill.market or "", fill.symbol or "", fill.fee_currency or ""
        )
        sums[key] = sums.get(key, NO_TRADES).with_other(more, times)


def begin_of(at_ms: int, lasts_ms: int) -> int:
    """When the stretch with an instant begins, ms since 1970."""
    return max(at_ms - at_ms % lasts_ms, FIRST_MS)


def rows_of(account_id: int, sums: Mapping[SumKey, Traded]) -> list[Row]:
    """The rows of `fill_sums` with some sums."""
    return [(account_id, *key, *one) for key, one in sums.items() if one.trades]


def change_sums(connection: Connection, account_id: int, gone: Iterable[Any], added: Iterable[Any]) -> None:
    """Let the sums follow rows of `trades` that were deleted and inserted."""
    changes: Sums = {}
    for times, rows in ((-1, gone), (1, added)):
        for row in rows:
            add_to(changes, row, times)
    changes = {key: one for key, one in changes.items() if one != NO_TRADES}
    stored = list(_stored(connection, account_id, {(key.lasts_ms, key.begins_ms) for key in changes}))
    stored = [row for row in stored if SumKey._make(row[1:_KEY]) in changes]
    held = {SumKey._make(row[1:_KEY]): Traded._make(row[_KEY:]) for row in stored}
    wanted = {key: held.get(key, NO_TRADES).with_other(one) for key, one in changes.items()}
    store(connection, table_differences(fill_sums, stored, rows_of(account_id, wanted)))


def make_sums(connection: Connection, account_id: int, quarters: Collection[int]) -> None:
    """Make the sums of some quarters, and of their days, from the fills.

    Args:
        connection: to the record.
        account_id: of the account.
        quarters: when they begin, ms since 1970.
    """
    days = {begin_of(begins_ms, DAY_MS) for begins_ms in quarters}
    found: Sums = {}
    for begins_ms in days:
        for row in _trades_between(connection, account_id, begins_ms, begins_ms + DAY_MS):
            add_to(found, row)
    # Other quarters of these days are right, and are compared with what they are.
    of = {(DAY_MS, one) for one in days} | {(QUARTER_MS, one + n * QUARTER_MS) for one in days for n in range(96)}
    stored = list(_stored(connection, account_id, of))
    store(connection, table_differences(fill_sums, stored, rows_of(account_id, found)))


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
    c = fill_sums.c
    return select(fill_sums).where(
        c.account_id == bindparam("account_id"),
        c.lasts_ms == bindparam("lasts_ms"),
        c.begins_ms.in_(bindparam("begins", expanding=True)),
    )


class Wanted(NamedTuple):
    """Which fills are summed up."""

    calendar: Calendar
    #: In lower case; None: any.
    symbol: str | None
    #: Executed at or after, and before, milliseconds since 1970.
    since_ms: int
    until_ms: int
    #: Market and symbol → only what was executed after this instant, ms since 1970.
    after_ms: Mapping[tuple[str, str], int]

    def contains(self, fill: Any) -> bool:
        """Whether a `Fill`, or a row of `trades`, is among them."""
        return self.of_symbol(fill.symbol) and self._since(fill.market, fill.symbol) <= fill.at_ms < self.until_ms

    def of_symbol(self, symbol: str | None) -> bool:
        """Whether a symbol is wanted."""
        return self.symbol is None or (symbol or "").lower() == self.symbol

    def is_whole(self, key: SumKey) -> bool | None:
        """Whether all fills of a stretch are among them, in one period; None: no fill is."""
        since_ms, end_ms = self._since(key.market, key.symbol), key.begins_ms + key.lasts_ms
        if end_ms <= since_ms or key.begins_ms >= self.until_ms:
            return None
        is_within = since_ms <= key.begins_ms and end_ms <= self.until_ms
        return is_within and self.calendar.period(key.begins_ms) == self.calendar.period(end_ms - 1)

    def _since(self, market: str | None, symbol: str | None) -> int:
        return max(self.since_ms, self.after_ms.get((market or "", symbol or ""), self.since_ms - 1) + 1)


def add_fill(sums: FeeSums, account: LabelledAccount, wanted: Wanted, fill: Any, times: int = 1) -> None:
    """Add a fill to sums by period, if it is wanted."""
    if wanted.contains(fill):
        of = fill.market or None, fill.symbol or None, fill.fee_currency or None
        sums.add(FeeKey(wanted.calendar.period(fill.at_ms), account.label, *of), traded(fill), times)


def add_stored(connection: Connection, account: LabelledAccount, wanted: Wanted, sums: FeeSums) -> None:
    """Add what is stored of an account to sums by period."""
    s = stale_quarters.c
    stale = set(connection.scalars(select(s.begins_ms).where(s.account_id == account.account_id)))
    stale |= {begin_of(one, DAY_MS) - 1 for one in stale}

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
                of = FeeKey(period, account.label, key.market or None, key.symbol or None, key.fee_currency or None)
                sums.add(of, Traded._make(row[_KEY:]))
            else:
                parts.add(key.begins_ms)
        return sorted(parts)

    def counts_as_day(key: SumKey) -> bool:
        """Whether the sums of a quarter are among those of a day that counts."""
        day = key._replace(lasts_ms=DAY_MS, begins_ms=begin_of(key.begins_ms, DAY_MS))
        return key.lasts_ms == QUARTER_MS and counts(day)

    for day in read(max(wanted.since_ms, FIRST_MS + DAY_MS) - DAY_MS, wanted.until_ms, DAY_MS):
        for begins_ms in read(day, day + DAY_MS, QUARTER_MS):
            for row in _trades_between(connection, account.account_id, begins_ms, begins_ms + QUARTER_MS):
                quarter = SumKey(QUARTER_MS, begins_ms, row.market or "", row.symbol or "", "")
                if not counts_as_day(quarter) and not counts(quarter):
                    add_fill(sums, account, wanted, row)


def _trades_between(connection: Connection, account_id: int, since_ms: int, until_ms: int) -> Iterator[Any]:
    values = {"account_id": account_id, "since_ms": since_ms, "until_ms": until_ms}
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
    c = fill_sums.c
    return select(fill_sums).where(
        c.account_id == bindparam("account_id"),
        c.lasts_ms == bindparam("lasts_ms"),
        c.begins_ms >= bindparam("since_ms"),
        c.begins_ms < bindparam("until_ms"),
    )
