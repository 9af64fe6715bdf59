"""Round trips as they are stored: the projection `trips`, computed anew from the first instant that changed.

A walk through the fills of a contract can be resumed where its state was noted (`trip_marks`): at the beginning of each
day, and some seconds before the last instant. So what is received now costs the same on a record of any length. What
happened earlier and is received late makes the walk begin at that day, and go on until its state is the noted one.

While a projection catches up, the positions of later frames are stored, but the fills of these frames are not. So a
walk ends where its step of the projection ends, and notes when the first thing happened that it left out.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from decimal import Decimal
from functools import cache
from heapq import merge
from typing import Any, NamedTuple, Self

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, bindparam, or_, select

from recorder.read.contracts import Symbol, stored_terms
from recorder.read.order_lives import Row
from recorder.read.position_times import PUSHED_MS, reported_within, reports
from recorder.read.projected_rows import Difference, store, table_differences
from recorder.read.projections import NEVER_NS
from recorder.read.records import Fill
from recorder.read.scope import LabelledAccount
from recorder.read.sums import DAY_MS, END_MS, FIRST_MS, begin_of
from recorder.read.trip_walk import Walk
from recorder.read.trips import Instant, Start, Terms, Trip, TripKey, happened, instants, start_of, trip_key
from recorder.store.journal import FrameRange
from recorder.store.projection_tables import stale_quarters, trades, trip_marks, trips
from recorder.store.stale import QUARTER_MS

#: The state before the last two stretches of this length is noted, ms: fills rarely arrive later than the next ones.
LATE_MS = 10_000
_FETCH = 500


class Touched(NamedTuple):
    """The time in which something about a contract changed, ms since 1970."""

    since_ms: int
    until_ms: int
    #: Whether reported positions changed, too.
    has_reports: bool = False


class TouchedTrips(dict[TripKey, Touched]):
    """The contracts about which something changed."""

    def add_fills(self, fills: Iterable[Any]) -> None:
        """Add what some fills, or rows of `trades`, change."""
        for fill in fills:
            if (key := trip_key(fill)) is not None:
                self.add(key, Touched(fill.at_ms, fill.at_ms))

    def add(self, key: TripKey, more: Touched) -> None:
        """Add a time in which something changed."""
        one = self.get(key, more)
        self[key] = Touched(
            min(one.since_ms, more.since_ms), max(one.until_ms, more.until_ms), one.has_reports or more.has_reports
        )


ALWAYS = Touched(FIRST_MS, END_MS, has_reports=True)


class Unstored(NamedTuple):
    """How the fills differ from the rows of `trades`, where something is not projected yet."""

    #: Whether a row does not count.
    leaves_out: Callable[[Any], bool]
    #: Those that count in addition.
    fills: list[Fill]


NOTHING = Unstored(lambda _: False, [])


class Noted(NamedTuple):
    """What is noted of the beginning and the end of the walk through a contract."""

    start: Start
    #: When the first thing happened that the walk left out, ms since 1970; None: it left nothing out.
    left_ms: int | None = None

    def state(self) -> str:
        """As JSON."""
        held, reported_ms, is_settled = self.start
        left = () if self.left_ms is None else (self.left_ms,)
        return msgspec.json.encode([str(held), reported_ms, is_settled, *left]).decode()

    @classmethod
    def of(cls, state: str) -> Self:
        """What was noted."""
        held, reported_ms, is_settled, *left = msgspec.json.decode(state)
        return cls(Start(Decimal(held), reported_ms, is_settled), *left)


class Walked(NamedTuple):
    """What a walk found about a contract."""

    #: The trips from `first` on, up to before `until` (None: to the end); all others are as they are stored.
    trips: list[Trip]
    first: int
    until: int | None
    #: The notes from `after_ms` on, up to before `until_ms`, and that of the start.
    marks: dict[int, str]
    after_ms: int
    until_ms: int


def walk(
    connection: Connection,
    account: LabelledAccount,
    key: TripKey,
    touched: Touched,
    terms: Terms,
    unstored: Unstored = NOTHING,
    until_ms: int = END_MS,
) -> Walked:
    """Compute the trips of a contract anew, as far as a change may have changed them.

    Args:
        connection: to the record.
        account: whose trips.
        key: the contract.
        touched: when something changed.
        terms: of the contract.
        unstored: how its fills differ from the rows of `trades`.
        until_ms: what happened after this instant, and after the last note, is left out; ms since 1970.
    """
    marks = _marks(connection, account.account_id, key)
    reading = _Reading(connection, account.account_id, key, unstored)
    before = Noted.of(marks[FIRST_MS]) if FIRST_MS in marks else None
    until_ms = max(until_ms, min(max(marks, default=FIRST_MS), END_MS - 2 * LATE_MS) + 2 * LATE_MS)
    # All notes are earlier than what was left out, so a walk that goes on to its end includes that.
    left_ms = None if before is None else before.left_ms
    if before is not None and _is_still(before.start, touched):
        start, from_ms = before.start, _resumable_ms(marks, touched.since_ms)
    else:
        start, from_ms = reading.start(), FIRST_MS
    going, after_ms = Walk(account.label, key, terms, start.held), from_ms
    if from_ms > FIRST_MS:
        going = Walk.resumed(account.label, key, terms, marks[from_ms])
        day_ms = begin_of(from_ms, DAY_MS)
        # Perhaps nothing that stays happened on that day before this note.
        after_ms = day_ms if going.last_ms is None or going.last_ms < day_ms else from_ms
    first = going.first_changing if from_ms > FIRST_MS else 0
    found: list[Trip] = []
    noted: dict[int, str] = {}
    #: The last two states that were the last ones of their stretch, and when something had happened last.
    recent: list[tuple[int, str]] = []
    ended = Noted(start)
    with closing(reading.instants(from_ms)) as some:
        for instant in some:
            if instant.at_ms > until_ms:
                ended = Noted(start, instant.at_ms)
                break
            stretch, day_ms = instant.at_ms // LATE_MS, begin_of(instant.at_ms, DAY_MS)
            if going.last_ms is not None and going.last_ms // LATE_MS != stretch:
                state = going.state()
                recent = [*recent[-1:], (going.last_ms, state)]
                if going.last_ms < day_ms:
                    # The last note may be just before midnight: then what follows is short, and it is made, too.
                    if day_ms > touched.until_ms and marks.get(day_ms) == state and max(marks) > day_ms:
                        noted[FIRST_MS] = Noted(start, left_ms).state()
                        return Walked(found, first, going.first_changing, noted, after_ms, day_ms)
                    noted[day_ms] = state
            found += going.take(instant)
    found += going.rest()
    if going.last_ms is not None:
        late_ms = (going.last_ms // LATE_MS - 1) * LATE_MS
        if late_ms < from_ms:
            # What happened last is gone.
            return walk(connection, account, key, touched._replace(since_ms=late_ms), terms, unstored, until_ms)
        noted.update((late_ms, state) for last_ms, state in recent if last_ms < late_ms)
    if going.last_ms is not None or ended.left_ms is not None:
        noted[FIRST_MS] = ended.state()
    return Walked(found, first, None, noted, after_ms, END_MS)


def _resumable_ms(marks: Iterable[int], since_ms: int) -> int:
    """The last note before a change, ms since 1970. That before the last two stretches is replaced with each walk."""
    found = [ms for ms in marks if FIRST_MS < ms <= since_ms]
    return max((ms for ms in found if ms % DAY_MS), default=max(found, default=FIRST_MS))


class _Reading:
    """Reads what happened to a contract."""

    def __init__(self, connection: Connection, account_id: int, key: TripKey, unstored: Unstored) -> None:
        self._connection, self._account_id, self._key = connection, account_id, key
        self._leaves_out = unstored.leaves_out
        self._unstored = sorted((fill for fill in unstored.fills if trip_key(fill) == key), key=happened)

    def start(self) -> Start:
        """The position before the first fill."""
        with closing(self.instants(FIRST_MS)) as some:
            return start_of(some)

    def instants(self, from_ms: int) -> Generator[Instant]:
        """From an instant on. To be closed, if it is not read to its end."""
        values = {"account_id": self._account_id, "from_ms": from_ms, "symbol": self._key.symbol}
        unstored = (fill for fill in self._unstored if fill.at_ms >= from_ms)
        of = {"symbol": self._key.symbol, "market": self._key.market or None}
        of["position_side"] = self._key.position_side or None
        with (
            self._connection.execute(_moves(), values, execution_options={"yield_per": _FETCH}) as rows,
            closing(reports(self._connection, self._account_id, of, from_ms, NEVER_NS)) as held,
        ):
            stored: Iterator[Any] = (row for row in rows if trip_key(row) == self._key and not self._leaves_out(row))
            yield from instants(merge(stored, unstored, key=happened), held)


@cache
def _moves() -> Select[Any]:
    t = trades.c
    names = ("at_ms", "received_ns", "session_id", "seq", "item", "market", "symbol", "position_side", "side")
    columns = [t[name] for name in (*names, "quantity", "price", "fee", "fee_currency", "order_id", "trade_id")]
    these = t.account_id == bindparam("account_id"), t.at_ms >= bindparam("from_ms"), t.symbol == bindparam("symbol")
    return select(*columns).where(*these).order_by(*(t[name] for name in names[:5]))


def _of_key(table: Table, account_id: int, key: TripKey) -> list[ColumnElement[bool]]:
    return [table.c.account_id == account_id, *(table.c[name] == value for name, value in key._asdict().items())]


def _marks(connection: Connection, account_id: int, key: TripKey) -> dict[int, str]:
    query = select(trip_marks.c.before_ms, trip_marks.c.state).where(*_of_key(trip_marks, account_id, key))
    return {row.before_ms: row.state for row in connection.execute(query)}


def _is_still(start: Start, touched: Touched) -> bool:
    """Whether a change leaves the position before the first fill as it is."""
    if touched.has_reports and not start.is_settled:
        return False
    return start.reported_ms is None or start.reported_ms < touched.since_ms


def project_trips(
    connection: Connection, account: LabelledAccount, touched: TouchedTrips, until_ms: int = END_MS
) -> set[TripKey]:
    """Let the stored trips follow, up to an instant; give the contracts of which something was left out."""
    left = set()
    for key, when in touched.items():
        terms = stored_terms(connection, account, key.market, key.symbol)
        walked = walk(connection, account, key, when, terms, until_ms=until_ms)
        store(connection, differences_of(connection, account.account_id, key, walked))
        if FIRST_MS in walked.marks and Noted.of(walked.marks[FIRST_MS]).left_ms is not None:
            left.add(key)
    return left


def differences_of(connection: Connection, account_id: int, key: TripKey, walked: Walked) -> list[Difference]:
    """How the stored rows of a contract differ from what a walk found."""
    numbers = trips.c.trip >= walked.first, *(() if walked.until is None else (trips.c.trip < walked.until,))
    stored = connection.execute(select(trips).where(*_of_key(trips, account_id, key), *numbers))
    found = table_differences(trips, stored, [_row(account_id, key, one) for one in walked.trips])
    noted = trip_marks.c.before_ms
    these = or_(noted == FIRST_MS, and_(noted >= walked.after_ms, noted < walked.until_ms))
    marks = connection.execute(select(trip_marks).where(*_of_key(trip_marks, account_id, key), these))
    wanted: list[Row] = [(account_id, *key, *mark) for mark in walked.marks.items()]
    return found + table_differences(trip_marks, marks, wanted)


def _row(account_id: int, key: TripKey, trip: Trip) -> Row:
    values: Row = trip
    return (account_id, *key, trip.trip, *values[_FIELDS], None if trip.adds_up is None else int(trip.adds_up))


#: The fields of a trip that are columns of `trips`, between its number and the last one.
_FIELDS = slice(Trip._fields.index("direction"), Trip._fields.index("adds_up"))


def stored_trips(connection: Connection, account: LabelledAccount) -> Iterator[Trip]:
    """The trips that are stored of an account."""
    query = select(trips).where(trips.c.account_id == account.account_id).order_by(*trips.primary_key)
    with connection.execute(query, execution_options={"yield_per": _FETCH}) as rows:
        for row in rows:
            _, market, symbol, position_side, number, *fields, adds_up = row
            of = account.label, market or None, symbol, position_side or None
            yield Trip._make((*of, *fields, None if adds_up is None else bool(adds_up), number))


def trip_keys(connection: Connection, account_id: int, market: str, symbol: str) -> list[TripKey]:
    """The stored contracts with a symbol: one, or a few in hedge mode."""
    c = trip_marks.c
    these = c.account_id == account_id, c.market == market, c.symbol == symbol, c.before_ms == FIRST_MS
    return [TripKey(market, symbol, side) for side in connection.scalars(select(c.position_side).where(*these))]


def add_contracts(
    connection: Connection, account: LabelledAccount, trips: TouchedTrips, changed: Iterable[Symbol]
) -> None:
    """Add the trips in contracts that mean something else than before."""
    for market, symbol in changed:
        same = [key for key in trips if (key.market, key.symbol) == (market, symbol)]
        for key in {*same, *trip_keys(connection, account.account_id, market, symbol)}:
            trips.add(key, ALWAYS)


def add_reports(connection: Connection, trips: TouchedTrips, ranges: Iterable[FrameRange]) -> None:
    """Add the trips in contracts whose position was reported."""
    for one in ranges:
        for *key, since_ms, until_ms in reported_within(connection, one):
            trips.add(TripKey(*key), Touched(since_ms, until_ms + PUSHED_MS, has_reports=True))


def add_left(connection: Connection, account_id: int, trips: TouchedTrips) -> None:
    """Add the trips of contracts whose walk left something out."""
    c = trip_marks.c
    noted = select(c.market, c.symbol, c.position_side, c.state)
    for *key, state in connection.execute(noted.where(c.account_id == account_id, c.before_ms == FIRST_MS)):
        left_ms = Noted.of(state).left_ms
        if left_ms is not None:
            trips.add(TripKey(*key), Touched(left_ms, END_MS))


def add_stale(connection: Connection, account_id: int, trips: TouchedTrips) -> set[int]:
    """Add the trips of quarters in which something was deleted; give when these begin, ms since 1970."""
    s = stale_quarters.c
    found = set()
    for _, *key, begins_ms in connection.execute(select(stale_quarters).where(s.account_id == account_id)):
        found.add(begins_ms)
        trips.add(TripKey(*key), Touched(begins_ms, begins_ms + QUARTER_MS + PUSHED_MS, has_reports=True))
    return found
