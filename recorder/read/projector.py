"""Keeps the projections current behind the writer: orders, fills and their sums, trips, latest states, contracts.

The batches of a run arrive in order in every database, so the last projected batch of each run says what is projected.
Each step reads which orders the next batches touched, and computes these anew (`recorder.read.projections`). Readers do
the same in memory for the batches that are not projected yet.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, Table, and_, bindparam, delete, exists, func, select
from sqlalchemy.exc import DBAPIError as DriverError

from recorder.read.contracts import Symbol, described_in, project_contracts, replace_contracts
from recorder.read.fill_sums import change_sums, make_sums
from recorder.read.position_times import reported_within, within
from recorder.read.projected_rows import changed_trades, differences, store, stored_trades
from recorder.read.projected_trips import ALWAYS, Touched, TouchedTrips, project_trips, trip_keys
from recorder.read.projections import OrderKey, key_of, project
from recorder.read.records import Fill
from recorder.read.scope import LabelledAccount, labelled_accounts
from recorder.read.trips import TripKey
from recorder.store.dialects import insert_rows, replace_rows, take_account
from recorder.store.journal import FrameRange
from recorder.store.mover import spans_of
from recorder.store.projection_tables import current_states, projected, stale, stale_quarters
from recorder.store.schema import (
    account_updates,
    batches,
    fills,
    order_updates,
    position_updates,
    reconciliations,
    recorders,
    runs,
)
from recorder.store.stale import QUARTER_MS
from recorder.store.state_index import THINGS, StateRow, ThingKey, counts_ns, latest

log = logging.getLogger(__name__)

#: Frames whose orders are projected in one transaction, between two batches of the writer.
FRAMES_MAX = 1_000
#: Readers compute what is not projected themselves, so the writer catches up, even if it is busy, when it is so far
#: behind.
BEHIND = 200_000
#: Deleted or replaced orders that are projected in one transaction.
STALE_MAX = 400
#: After everything that was ever received, ns.
_NOW_NS = 2**63 - 2
_CURRENT = (account_updates, position_updates)
_STALE = [column.name for column in stale.c]
_thing = msgspec.json.Encoder().encode

#: Account → the orders that something was received about.
TouchedOrders = dict[int, set[OrderKey]]


class _Unprojected(NamedTuple):
    """Consecutive batches of a run that are not projected."""

    run_id: int
    first: int
    last: int
    frames: int


class Projector:
    """Projects what is written to a database, in the order of each run's batches.

    Args:
        frames_max: frames in one step.
    """

    def __init__(self, frames_max: int = FRAMES_MAX) -> None:
        self._frames_max = frames_max
        #: Run → frames written and not projected, as far as this process knows.
        self._waiting: Counter[int] = Counter()
        self._looked = False
        self._failed = False

    def add(self, run_id: int, frames: int) -> None:
        """Count a batch that was written."""
        self._waiting[run_id] += frames

    @property
    def due(self) -> bool:
        """Whether something may have to be projected."""
        return not self._failed and (not self._looked or bool(self._waiting))

    @property
    def waiting_frames(self) -> int:
        """How many frames are not projected, as far as this process knows."""
        return sum(self._waiting.values())

    @property
    def behind(self) -> bool:
        """Whether it must be done now, although the writer is busy."""
        return self.waiting_frames >= BEHIND

    def advance(self, connection: Connection) -> bool:
        """Make a step in a transaction of its own, beside a recording, which a failing projection must not end.

        Returns:
            Whether something was done; then there may be more.

        Raises:
            sqlalchemy.exc.DBAPIError: from the database, as for any other transaction.
        """
        try:
            with connection.begin():
                return self.step(connection)
        except DriverError:
            raise
        except Exception:
            # Projections can be made later, but what is received now cannot be received again.
            log.exception("The tables of orders and fills stay behind: recorder rebuild makes them again")
            self._failed = True
            return False

    def step(self, connection: Connection) -> bool:
        """Project some batches inside the caller's transaction.

        Returns:
            Whether something was done; then there may be more.
        """
        if not self._looked:
            self._waiting.update({one.run_id: one.frames for one in unprojected(connection)})
            self._looked = True
        for run_id in sorted(self._waiting):
            waiting = _next(connection, run_id, self._frames_max)
            if waiting is None:
                del self._waiting[run_id]
                continue
            return self._project(connection, waiting)
        return _project_stale(connection)

    def _project(self, connection: Connection, waiting: _Unprojected) -> bool:
        ranges = spans_of(connection, waiting.run_id, waiting.first, waiting.last)
        accounts = _accounts(connection)
        of_account: dict[int, list[FrameRange]] = defaultdict(list)
        for one in ranges:
            of_account[one.account_id].append(one)
        # Nobody else may project these accounts meanwhile, or write rows that this step would not see.
        if not all(take_account(connection, account_id) for account_id in sorted(of_account)):
            return False
        for account_id, its_ranges in of_account.items():
            account = accounts[account_id]
            moved = _project_orders(connection, account, touched(connection, its_ranges)[account_id])
            _project_states(connection, account_id, its_ranges)
            _add_contracts(connection, account, moved, project_contracts(connection, account, its_ranges))
            _add_reports(connection, moved, its_ranges)
            project_trips(connection, account, moved)
        replace_rows(connection, projected, [(waiting.run_id, waiting.last)])
        self._waiting[waiting.run_id] = max(self._waiting[waiting.run_id] - waiting.frames, 0)
        return True


class _Accounts(dict[int, LabelledAccount]):
    """The accounts of a record, by key. One that the record does not describe has no venue."""

    def __missing__(self, account_id: int) -> LabelledAccount:
        return LabelledAccount(account_id, "", "", str(account_id))


def _accounts(connection: Connection) -> _Accounts:
    return _Accounts((one.account_id, one) for one in labelled_accounts(connection))


def project_all(connection: Connection, frames_max: int = 20_000) -> Iterator[tuple[int, int]]:
    """Project everything that is not, each step in a transaction of its own.

    Args:
        connection: to the database.
        frames_max: frames in one step.

    Yields:
        After each step, how many frames are projected, and of how many.
    """
    projector = Projector(frames_max)
    total = sum(one.frames for one in unprojected(connection))
    connection.rollback()
    while True:
        with connection.begin():
            if not projector.step(connection):
                return
        total = max(total, projector.waiting_frames)
        yield total - projector.waiting_frames, total


def unprojected(connection: Connection) -> list[_Unprojected]:
    """The batches of each run that are not projected, oldest run first."""
    return [_Unprojected(*row) for row in connection.execute(_behind())]


@cache
def _behind() -> Select[Any]:
    b, p = batches.c, projected.c
    cursor = func.coalesce(p.batch, -1)
    later = b.run_id == runs.c.run_id, b.batch > cursor
    # One look into the index for each run, instead of reading all batches.
    waiting = exists().where(*later)
    last = select(func.max(b.batch)).where(*later).scalar_subquery()
    count = select(func.coalesce(func.sum(b.frames), 0)).where(*later).scalar_subquery()
    joined = runs.outerjoin(projected, p.run_id == runs.c.run_id)
    return select(runs.c.run_id, cursor + 1, last, count).select_from(joined).where(waiting).order_by(runs.c.run_id)


def _next(connection: Connection, run_id: int, frames_max: int) -> _Unprojected | None:
    """The next batches of a run, at least one."""
    b = batches.c
    cursor = connection.scalar(select(projected.c.batch).where(projected.c.run_id == run_id))
    first = -1 if cursor is None else cursor
    query = select(b.batch, b.frames).where(b.run_id == run_id, b.batch > first).order_by(b.batch).limit(frames_max)
    last, frames = None, 0
    for batch, count in connection.execute(query).all():
        if frames and frames + count > frames_max:
            break
        last, frames = batch, frames + count
    return None if last is None else _Unprojected(run_id, first + 1, last, frames)


def touched(connection: Connection, ranges: Iterable[FrameRange]) -> TouchedOrders:
    """The orders that some frames say something about."""
    found: TouchedOrders = defaultdict(set)
    for one in ranges:
        keys = found[one.account_id]
        keys.update(OrderKey(*row) for row in connection.execute(_touched_orders(), one._asdict()))
        keys.update(key_of(*row) for row in connection.execute(_touched_fills(), one._asdict()))
    return found


def unprojected_orders(connection: Connection) -> TouchedOrders:
    """The orders about which the projections may not say what the record says."""
    found = touched(connection, unprojected_frames(connection))
    for account_id, *key in connection.execute(select(stale)):
        found[account_id].add(OrderKey(*key))
    return found


def unprojected_frames(connection: Connection) -> list[FrameRange]:
    """The frames that are not projected."""
    return [
        frames
        for waiting in unprojected(connection)
        for frames in spans_of(connection, waiting.run_id, waiting.first, waiting.last)
    ]


class Tail(NamedTuple):
    """What is not projected yet of an account."""

    frames: list[FrameRange]
    #: The orders whose stored rows do not count; these rows of `trades`, and the fills that count instead.
    orders: set[OrderKey]
    stored: list[Any]
    fills: list[Fill]
    #: The contracts whose stored trips do not count, and why.
    trips: TouchedTrips
    described: set[Symbol]


def tail_of(connection: Connection, account: LabelledAccount) -> Tail:
    """What is not projected yet of an account."""
    mine = [one for one in unprojected_frames(connection) if one.account_id == account.account_id]
    orders = unprojected_orders(connection)[account.account_id]
    stored: list[Any] = []
    fills: list[Fill] = []
    for keys, found in project(connection, account, orders):
        stored += stored_trades(connection, account.account_id, keys)
        fills += [fill for _, fill in found.trades]
    trips = TouchedTrips()
    trips.add_fills([*stored, *fills])
    described = {symbol for one in mine for symbol in described_in(connection, one)}
    _add_contracts(connection, account, trips, described)
    _add_reports(connection, trips, mine)
    _add_stale(connection, account.account_id, trips)
    return Tail(mine, orders, stored, fills, trips, described)


def _add_contracts(
    connection: Connection, account: LabelledAccount, trips: TouchedTrips, changed: Iterable[Symbol]
) -> None:
    """Add the trips in contracts that mean something else than before."""
    for market, symbol in changed:
        same = [key for key in trips if (key.market, key.symbol) == (market, symbol)]
        for key in {*same, *trip_keys(connection, account.account_id, market, symbol)}:
            trips.add(key, ALWAYS)


def _add_reports(connection: Connection, trips: TouchedTrips, ranges: Iterable[FrameRange]) -> None:
    """Add the trips in contracts whose position was reported."""
    for one in ranges:
        for *key, since_ms, until_ms in reported_within(connection, one):
            trips.add(TripKey(*key), Touched(since_ms, until_ms, has_reports=True))


def _add_stale(connection: Connection, account_id: int, trips: TouchedTrips) -> set[int]:
    """Add the trips of quarters in which something was deleted; give when these begin, ms since 1970."""
    s = stale_quarters.c
    found = set()
    for _, *key, begins_ms in connection.execute(select(stale_quarters).where(s.account_id == account_id)):
        found.add(begins_ms)
        trips.add(TripKey(*key), Touched(begins_ms, begins_ms + QUARTER_MS - 1, has_reports=True))
    return found


@cache
def _touched_orders() -> Select[Any]:
    return select(order_updates.c.order_id).distinct().where(*within(order_updates))


@cache
def _touched_fills() -> Select[Any]:
    return select(fills.c.order_id, fills.c.trade_id).distinct().where(*within(fills))


def _project_orders(connection: Connection, account: LabelledAccount, keys: Collection[OrderKey]) -> TouchedTrips:
    """Project orders, their fills, and the sums of these; give which trips that changes."""
    moved = TouchedTrips()
    for some, found in project(connection, account, keys):
        differing = differences(connection, account.account_id, some, found)
        store(connection, differing)
        gone, added = changed_trades(differing)
        change_sums(connection, account.account_id, gone, added)
        moved.add_fills([*gone, *added])
    return moved


def _project_stale(connection: Connection) -> bool:
    """Project orders whose rows were deleted or replaced, and what follows from them."""
    some = connection.execute(select(stale).order_by(*stale.c).limit(STALE_MAX)).all()
    if not some:
        return False
    accounts = _accounts(connection)
    keys: TouchedOrders = defaultdict(set)
    for account_id, *key in some:
        keys[account_id].add(OrderKey(*key))
    for account_id, its_keys in keys.items():
        if not take_account(connection, account_id):
            return False
        account = accounts[account_id]
        moved = _project_orders(connection, account, its_keys)
        _replace_states(connection, account_id)
        _add_contracts(connection, account, moved, replace_contracts(connection, account))
        quarters = _add_stale(connection, account_id, moved)
        make_sums(connection, account_id, quarters)
        project_trips(connection, account, moved)
        connection.execute(delete(stale_quarters).where(stale_quarters.c.account_id == account_id))
    these = (stale.c[name] == bindparam(f"of_{name}") for name in _STALE)
    values = [{f"of_{name}": value for name, value in row._mapping.items()} for row in some]
    connection.execute(delete(stale).where(*these), values)
    return True


def _project_states(connection: Connection, account_id: int, ranges: Sequence[FrameRange]) -> None:
    """Let the latest states of balances and positions follow what was received."""
    if _are_several(connection):
        # Which of two sightings of a push counts depends on what was received around them.
        _replace_states(connection, account_id)
        return
    c = current_states.c
    for table in _CURRENT:
        found = _states_in(connection, table, ranges)
        stored = select(current_states).where(
            c.account_id == account_id, c.kind == table.name, c.thing.in_(sorted(found))
        )
        held = {row.thing: StateRow._make((*row[3:], None)) for row in connection.execute(stored)} if found else {}
        newer = {thing: row for thing, row in found.items() if thing not in held or row > held[thing]}
        replace_rows(
            connection, current_states, [(account_id, table.name, thing, *row[:-1]) for thing, row in newer.items()]
        )


def _states_in(connection: Connection, table: Table, ranges: Iterable[FrameRange]) -> dict[str, StateRow]:
    """The latest state of each thing in some frames."""
    found: dict[str, StateRow] = {}
    things = len(THINGS[table])
    for one in ranges:
        for row in connection.execute(_states_within(table), one._asdict()):
            thing, state = _thing(list(row[:things])).decode(), StateRow._make((*row[things:], None))
            found[thing] = max(found.get(thing, state), state)
    return found


def states_now(connection: Connection, account_id: int, table: Table) -> dict[ThingKey, StateRow]:
    """The latest state of each balance or position, projected or not."""
    c = current_states.c
    query = select(current_states).where(c.account_id == account_id, c.kind == table.name)
    found = {row.thing: StateRow._make((*row[3:], None)) for row in connection.execute(query)}
    newer = _states_in(
        connection, table, [one for one in unprojected_frames(connection) if one.account_id == account_id]
    )
    is_stale = connection.scalar(select(stale.c.account_id).where(stale.c.account_id == account_id).limit(1))
    if is_stale is not None or (newer and _are_several(connection)):
        return latest(connection, account_id, table, _NOW_NS)
    for thing, row in newer.items():
        found[thing] = max(found.get(thing, row), row)
    return {tuple(msgspec.json.decode(thing)): row for thing, row in found.items()}


def _are_several(connection: Connection) -> bool:
    return (connection.scalar(select(func.count()).select_from(recorders)) or 0) > 1


@cache
def _states_within(table: Table) -> Select[Any]:
    """The latest state of each thing in consecutive frames."""
    r = reconciliations.c
    joined = table.outerjoin(
        reconciliations, and_(r.account_id == table.c.account_id, r.reconciliation_id == table.c.session_id)
    )
    things = [table.c[name] for name in THINGS[table]]
    counts_from_ns = counts_ns(table.c)
    receipt = table.c.received_ns, table.c.session_id, table.c.seq, table.c.item
    newest_first = [part.desc() for part in (counts_from_ns, *receipt)]
    age = func.row_number().over(partition_by=things, order_by=newest_first).label("age")
    columns = [*things, counts_from_ns.label("counts_ns"), *receipt]
    aged = select(*columns, age).select_from(joined).where(*within(table)).subquery()
    return select(*list(aged.c)[:-1]).where(aged.c.age == 1)


def latest_states(connection: Connection, account_id: int) -> list[tuple[Any, ...]]:
    """The rows of `current_states` that an account should have."""
    return [
        (account_id, table.name, _thing(key).decode(), *row[:-1])
        for table in _CURRENT
        for key, row in latest(connection, account_id, table, _NOW_NS).items()
    ]


def _replace_states(connection: Connection, account_id: int) -> None:
    connection.execute(delete(current_states).where(current_states.c.account_id == account_id))
    insert_rows(connection, current_states, latest_states(connection, account_id))
