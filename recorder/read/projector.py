"""Keeps the projections current behind the writer: orders, fills and their sums, trips, latest states, contracts.

The batches of a run arrive in order in every database, so the last projected batch of each run says what is projected.
Each step reads which orders the next batches touched, and computes these anew (`recorder.read.projections`). Readers do
the same in memory for the batches that are not projected yet.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, select
from sqlalchemy.exc import DBAPIError as DriverError

from recorder.clock import NS_PER_MS
from recorder.read.contracts import project_contracts, replace_contracts
from recorder.read.current_states import project_states, replace_states
from recorder.read.daily_pnl import figure_days, has_figures, project_days
from recorder.read.payments import replace_ledgers, touched_payments
from recorder.read.period_sums import change_by_fills, change_by_payments, make_sums
from recorder.read.position_times import within
from recorder.read.projected_rows import changed_trades, differences, step_differences, store
from recorder.read.projected_trips import (
    LATE_MS,
    TouchedTrips,
    add_contracts,
    add_left,
    add_reports,
    add_stale,
    project_trips,
)
from recorder.read.projections import ACCOUNT, OrderKey, Stepped, key_of, project, step
from recorder.read.scope import LabelledAccount, labelled_accounts
from recorder.read.sums import DAY_MS, begin_of
from recorder.store.dialects import replace_rows, take_account
from recorder.store.journal import FrameRange
from recorder.store.mover import spans_of
from recorder.store.projection_tables import projected, stale, stale_quarters, sum_bounds
from recorder.store.schema import (
    batches,
    fills,
    frames,
    order_updates,
    runs,
)

log = logging.getLogger(__name__)

#: Frames whose orders are projected in one transaction, between two batches of the writer.
FRAMES_MAX = 1_000
#: Fewer frames, down to one batch, if they have more typed rows than this (REST answers do). Nothing else is written
#: during a step.
ROWS_MAX = 2_000
#: Readers compute what is not projected themselves, so the writer catches up, even if it is busy, when it is so far
#: behind.
BEHIND = 200_000
#: Deleted or replaced orders that are projected in one transaction.
STALE_MAX = 400
_STALE = [column.name for column in stale.c]

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
        #: Of the batch that had most, while any waits.
        self._rows_a_frame = 1
        #: The accounts whose trips may have left out what is projected meanwhile.
        self._left: set[int] = set()
        self._looked = False
        self._failed = False

    def add(self, run_id: int, frames: int, rows: int = 0) -> None:
        """Count a batch that was written, and its typed rows."""
        if not self._waiting:
            self._rows_a_frame = 1
        self._rows_a_frame = max(self._rows_a_frame, rows // max(frames, 1))
        self._waiting[run_id] += frames

    @property
    def frames_a_step(self) -> int:
        """The most frames in the next step, unless one batch has more."""
        return min(self._frames_max, max(ROWS_MAX // self._rows_a_frame, 1))

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
            self._left.update(one.account_id for one in labelled_accounts(connection))
            self._looked = True
        for run_id in sorted(self._waiting):
            waiting = _next(connection, run_id, self.frames_a_step)
            if waiting is None:
                del self._waiting[run_id]
                continue
            return self._project(connection, waiting)
        while self._left:
            if self._project_left(connection, self._left.pop()):
                return True
        return _project_stale(connection)

    def _project(self, connection: Connection, waiting: _Unprojected) -> bool:
        ranges = spans_of(connection, waiting.run_id, waiting.first, waiting.last)
        accounts = _accounts(connection)
        of_account: dict[int, list[FrameRange]] = defaultdict(list)
        for one in ranges:
            of_account[one.account_id].append(one)
        # Growth of a position's figure may begin otherwise after a round of requests, which has no frames perhaps.
        concerned = {*of_account, *(key for key, account in accounts.items() if has_figures(account))}
        # Nobody else may project these accounts meanwhile, or write rows that this step would not see.
        if not all(take_account(connection, account_id) for account_id in sorted(concerned)):
            return False
        for account_id in concerned:
            its_ranges = of_account.get(account_id, [])
            account = accounts[account_id]
            keys = touched(connection, its_ranges)[account_id]
            moved, days = _project_orders(connection, account, keys, its_ranges)
            project_states(connection, account_id, its_ranges)
            days |= _project_payments(connection, account_id, its_ranges)
            changed = project_contracts(connection, account, its_ranges)
            add_contracts(connection, account, moved, changed)
            add_reports(connection, moved, its_ranges)
            if project_trips(connection, account, moved, _received_ms(connection, its_ranges) + LATE_MS):
                self._left.add(account_id)
            days |= figure_days(connection, account, its_ranges)
            project_days(connection, account, None if changed else days)
        replace_rows(connection, projected, [(waiting.run_id, waiting.last)])
        self._waiting[waiting.run_id] = max(self._waiting[waiting.run_id] - waiting.frames, 0)
        return True

    def _project_left(self, connection: Connection, account_id: int) -> bool:
        """Project what was left out of an account's trips, while its other tables were behind."""
        moved = TouchedTrips()
        add_left(connection, account_id, moved)
        if not moved or not take_account(connection, account_id):
            return False
        project_trips(connection, _accounts(connection)[account_id], moved)
        return True


def _received_ms(connection: Connection, ranges: Iterable[FrameRange]) -> int:
    """When the last of some frames was received, ms since 1970."""
    f = frames.c
    found = 0
    for one in ranges:
        these = f.account_id == one.account_id, f.session_id == one.session_id, f.seq == one.last_seq
        found = max(found, connection.scalar(select(f.received_ns).where(*these)) or 0)
    return found // NS_PER_MS


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
        span
        for waiting in unprojected(connection)
        for span in spans_of(connection, waiting.run_id, waiting.first, waiting.last)
    ]


@cache
def _touched_orders() -> Select[Any]:
    return select(order_updates.c.order_id).distinct().where(*within(order_updates))


@cache
def _touched_fills() -> Select[Any]:
    return select(fills.c.order_id, fills.c.trade_id).distinct().where(*within(fills))


def _project_orders(
    connection: Connection, account: LabelledAccount, keys: set[OrderKey], ranges: Sequence[FrameRange] = ()
) -> tuple[TouchedTrips, set[int]]:
    """Project orders, their fills, and the sums of these; give which trips and days that changes.

    Args:
        connection: to the database.
        account: whose orders.
        keys: which.
        ranges: the new frames that say something about them; none: they are computed from all their rows.
    """
    moved = TouchedTrips()
    days: set[int] = set()
    stepped = step(connection, account, keys, ranges) if ranges else Stepped({}, [], [])
    others = keys - {OrderKey(order[0]) for order in stepped.states}
    computed = project(connection, account, others)
    for differing in chain(
        [step_differences(connection, account.account_id, stepped)],
        (differences(connection, account.account_id, some, found) for some, found in computed),
    ):
        store(connection, differing)
        gone, added = changed_trades(differing)
        change_by_fills(connection, account.account_id, gone, added)
        moved.add_fills([*gone, *added])
        days.update(begin_of(one.at_ms, DAY_MS) for one in (*gone, *added))
    return moved, days


def _project_payments(connection: Connection, account_id: int, ranges: Iterable[FrameRange]) -> set[int]:
    """Let the sums follow the funding that some frames say something about; give the days that this changes."""
    found = touched_payments(connection, account_id, ranges)
    replace_rows(connection, sum_bounds, found.ledgers)
    return change_by_payments(connection, account_id, found.quarters)


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
        moved, days = _project_orders(connection, account, its_keys)
        replace_states(connection, account_id)
        changed = replace_contracts(connection, account)
        add_contracts(connection, account, moved, changed)
        quarters = add_stale(connection, account_id, moved)
        make_sums(connection, account_id, quarters)
        if ACCOUNT in its_keys:
            replace_ledgers(connection, account_id)
            change_by_payments(connection, account_id, None)
        project_trips(connection, account, moved)
        days |= {begin_of(one, DAY_MS) for one in quarters}
        project_days(connection, account, None if changed or ACCOUNT in its_keys else days)
        connection.execute(delete(stale_quarters).where(stale_quarters.c.account_id == account_id))
    these = (stale.c[name] == bindparam(f"of_{name}") for name in _STALE)
    values = [{f"of_{name}": value for name, value in row._mapping.items()} for row in some]
    connection.execute(delete(stale).where(*these), values)
    return True
