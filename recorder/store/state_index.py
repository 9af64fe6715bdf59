"""The state index: which row holds the latest state of each balance, position and order, as of an instant.

The latest states at an instant are found without reading the whole record: a *snapshot* lists the rows that hold them
at an earlier instant, and only what was received after it is read. Snapshots save reading and nothing else: the result
is the same with any of them, and with none.

A snapshot covers everything received up to its instant. So whoever writes frames that were received before it deletes
it in the same transaction (`add_receipts`): after a clock was set back, or when another recorder's history is merged.
Therefore the order of merging does not matter.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    union_all,
)

from recorder.store.deduplication import APART_NS, cut_off, in_bursts, seen_first
from recorder.store.dialects import insert_rows, share_account, take_account
from recorder.store.receipts import EVER_NS, Receipt, ranges
from recorder.store.schema import (
    Words,
    account_updates,
    accounts,
    order_updates,
    position_updates,
    receipts,
    reconciliations,
    recorders,
    runs,
    sessions,
    snapshot_rows,
    snapshots,
)
from recorder.venues import final_statuses

#: A typed table → the column that identifies the thing (currency, order, symbol) whose states it holds.
THINGS: dict[Table, str] = {account_updates: "currency", order_updates: "order_id", position_updates: "symbol"}

#: Ranges of frames that one statement names; if there are more, everything from the first to the last is read.
PARTS_MAX = 100

#: The columns of a state that are not part of its content.
_NOT_SAID = frozenset(["account_id", "session_id", "seq", "item", "received_ns", "ts"])
_KEY = ("account_id", "session_id", "seq", "item")
#: Parameters of a statement.
Parameters = dict[str, int]


class StateRow(NamedTuple):
    """The row that holds a state. Of two rows of one thing the greater one is the later, as in the views."""

    #: When the state was true: for a REST answer, when the request was made; for a push, when it was received.
    counts_ns: int
    received_ns: int
    session_id: int
    seq: int
    item: int
    #: Of an order; None of anything else.
    status: str | None


def latest(connection: Connection, account_id: int, table: Table, until_ns: int) -> dict[Any, StateRow]:
    """Find the latest state of each thing of an account, as known at an instant. Ended orders may be missing.

    Args:
        connection: to the record.
        account_id: the account.
        table: one of `THINGS`.
        until_ns: the instant, included; ns since 1970, by time of receipt.
    """
    wanted: Parameters = {"account_id": account_id, "until_ns": until_ns, "not_after_ns": until_ns}
    while True:
        wanted["at_ns"], recorders_count = connection.execute(_newest(), wanted).one()
        found = dict(_states(connection.execute(_kept(table), wanted)))
        since = (_since if recorders_count < 2 else _since_once)(connection, table, wanted)
        older = []
        for thing, row in _states(since):
            if table is order_updates and thing not in found and row.counts_ns <= wanted["at_ns"]:
                older.append(row.counts_ns)
            found[thing] = max(found.get(thing, row), row)
        if not older:
            return found
        # A REST answer that was requested before the snapshot mentions an order that the snapshot does not list. The
        # order may have ended before the snapshot and been left out: use an older snapshot instead.
        wanted["not_after_ns"] = min(older) - 1


def _states(rows: Iterable[Any]) -> Iterator[tuple[Any, StateRow]]:
    for thing, *fields in rows:
        yield thing, StateRow(*fields)


def _since(connection: Connection, table: Table, wanted: Parameters) -> Sequence[Any]:
    """The latest state of each thing that had an update after the snapshot."""
    size, values = _parts(connection, wanted, wanted["at_ns"])
    wanted = wanted | values | {"from_ns": wanted["at_ns"]}
    return connection.execute(_latest(table, size), wanted).all() if size else ()


def _since_once(connection: Connection, table: Table, wanted: Parameters) -> Sequence[Any]:
    """The same for a record of several recorders, where each push counts once."""
    at_ns = wanted["at_ns"]
    began_ns = connection.scalar(_began(), wanted) or 0
    # Whether a push is a second sighting of another one depends on what was received in the minutes before it.
    back_ns = 2 * APART_NS
    while True:
        from_ns = at_ns - back_ns if at_ns - back_ns > began_ns else EVER_NS
        size, values = _parts(connection, wanted, from_ns)
        if not size:
            return ()
        wanted = wanted | values | {"from_ns": from_ns}
        if from_ns == EVER_NS or not connection.scalar(_cut_off(table, size), wanted):
            return connection.execute(_latest_once(table, size), wanted).all()
        back_ns *= 4


def _parts(connection: Connection, wanted: Parameters, after_ns: int) -> tuple[int, Parameters]:
    """How many ranges of frames were received after an instant (`PARTS_MAX` + 1: read as one), and their parameters."""
    these = ranges(connection, wanted["account_id"], after_ns, wanted["until_ns"])
    if len(these) > PARTS_MAX:
        return PARTS_MAX + 1, {"first_id": these[0].session_id, "last_id": these[-1].session_id}
    values = {f"{name}_{part}": value for part, one in enumerate(these) for name, value in one._asdict().items()}
    return len(these), values


# The statements are cached: making one takes longer than running it.


@cache
def _later() -> Select[Any]:
    """A snapshot of an account from an instant on."""
    s = snapshots.c
    return select(s.at_ns).where(s.account_id == bindparam("account_id"), s.at_ns >= bindparam("from_ns")).limit(1)


@cache
def _newest() -> Select[Any]:
    """The newest snapshot up to an instant, and the number of recorders."""
    s = snapshots.c
    at_ns = select(func.coalesce(func.max(s.at_ns), EVER_NS))
    at_ns = at_ns.where(s.account_id == bindparam("account_id"), s.at_ns <= bindparam("not_after_ns"))
    count = select(func.count()).select_from(recorders)
    return select(at_ns.scalar_subquery(), count.scalar_subquery())


@cache
def _kept(table: Table) -> Select[Any]:
    """The rows that a snapshot lists."""
    s = snapshot_rows.c
    pointed = snapshot_rows.join(table, and_(*(table.c[name] == s[name] for name in _KEY)))
    query = select(*_columns(table)).select_from(pointed.outerjoin(reconciliations, _of_round(table)))
    this = s.account_id == bindparam("account_id"), s.at_ns == bindparam("at_ns"), s.kind == table.name
    return query.where(*this)


@cache
def _began() -> Select[Any]:
    """When the first frame of an account was received."""
    r = receipts.c
    return select(r.first_ns).where(r.account_id == bindparam("account_id")).order_by(r.first_ns).limit(1)


@lru_cache(maxsize=64)
def _latest(table: Table, parts: int) -> Select[Any]:
    """The latest state of each thing, in the record of one recorder."""
    source = table.outerjoin(reconciliations, _of_round(table))
    return _newest_of_each(_received(table, source, _columns(table), parts))


@lru_cache(maxsize=64)
def _latest_once(table: Table, parts: int) -> Select[Any]:
    """The latest state of each thing, in the record of several recorders."""
    return _newest_of_each(seen_first(_bursts(table, parts), _said(table)))


@lru_cache(maxsize=64)
def _cut_off(table: Table, parts: int) -> Select[Any]:
    return cut_off(_bursts(table, parts), bindparam("from_ns"), bindparam("at_ns"))


def _bursts(table: Table, parts: int) -> Subquery:
    of_session = (sessions.c.account_id == table.c.account_id) & (sessions.c.session_id == table.c.session_id)
    source = table.outerjoin(reconciliations, _of_round(table)).outerjoin(sessions, of_session)
    source = source.join(runs, runs.c.run_id == func.coalesce(sessions.c.run_id, reconciliations.c.run_id))
    said = [table.c[name] for name in _said(table) if name != "status"]
    return in_bursts(_received(table, source, [*_columns(table), runs.c.recorder_id, *said], parts), _said(table))


def _said(table: Table) -> list[str]:
    return [column.name for column in table.c if column.name not in _NOT_SAID]


def _newest_of_each(rows: FromClause) -> Select[Any]:
    newest_first = [rows.c[name].desc() for name in StateRow._fields if name != "status"]
    age = func.row_number().over(partition_by=rows.c.thing, order_by=newest_first).label("age")
    names = ("thing", *StateRow._fields)
    aged = select(*(rows.c[name] for name in names), age).where(rows.c.received_ns > bindparam("at_ns")).subquery()
    return select(*(aged.c[name] for name in names)).where(aged.c.age == 1)


def _received(table: Table, source: FromClause, columns: Sequence[ColumnElement[Any]], parts: int) -> Subquery:
    """An account's rows that were received in a period."""
    session_id, seq = table.c.session_id, table.c.seq
    walks = [
        and_(
            session_id == bindparam(f"session_id_{part}"),
            seq.between(bindparam(f"first_seq_{part}"), bindparam(f"last_seq_{part}")),
        )
        for part in range(parts)
    ]
    if parts > PARTS_MAX:
        walks = [session_id.between(bindparam("first_id"), bindparam("last_id"))]
    time = table.c.received_ns > bindparam("from_ns"), table.c.received_ns <= bindparam("until_ns")
    mine = select(*columns).select_from(source).where(table.c.account_id == bindparam("account_id"), *time)
    # UNION ALL instead of OR: any planner then reads each range along the key.
    return union_all(*(mine.where(walk) for walk in walks)).subquery()


def _columns(table: Table) -> list[ColumnElement[Any]]:
    """What identifies a thing, and the fields of its `StateRow`."""
    t = table.c
    return [
        t[THINGS[table]].label("thing"),
        func.coalesce(reconciliations.c.began_ns, t.received_ns).label("counts_ns"),
        *(t.received_ns, t.session_id, t.seq, t.item),
        t.status if table is order_updates else literal(None, Words).label("status"),
    ]


def _of_round(table: Table) -> ColumnElement[bool]:
    r = reconciliations.c
    return (r.account_id == table.c.account_id) & (r.reconciliation_id == table.c.session_id)


#: Frames of an account between two snapshots, which is how many an answer has to read at most...
FRAMES = 4_096
#: ... and as many more for each row of the last snapshot, so that snapshots stay small compared with the record.
FRAMES_PER_ROW = 8
#: A snapshot is made only when 1/8 of that many frames have arrived after its instant, because the last ones are not
#: always in order. Whether one is due is checked as often.
SETTLED = 8
#: If the writer is never idle, a snapshot is made anyway once this many are due.
BEHIND = 64


def add_receipts(connection: Connection, received: Sequence[Receipt]) -> None:
    """Store when frames were received, and delete the snapshots that lack them.

    Args:
        connection: inside the transaction that writes the frames.
        received: the new rows.
    """
    insert_rows(connection, receipts, received)
    for account_id in sorted({one.account_id for one in received}):
        share_account(connection, account_id)
        its = [one for one in received if one.account_id == account_id]
        first_ns = min(one.first_ns for one in its)
        if connection.scalar(_later(), {"account_id": account_id, "from_ns": first_ns}) is not None:
            forget(connection, account_id, first_ns)


def forget(connection: Connection, account_id: int, from_ns: int) -> None:
    """Delete the snapshots of an account from an instant on."""
    for table in (snapshot_rows, snapshots):
        connection.execute(delete(table).where(table.c.account_id == account_id, table.c.at_ns >= from_ns))


class Snapshots:
    """Makes the snapshots of a database in the order of time, also of what it held before.

    Args:
        frames: frames between two snapshots.
        frames_per_row: as many more for each row of the last snapshot.
    """

    def __init__(self, frames: int = FRAMES, frames_per_row: int = FRAMES_PER_ROW) -> None:
        self._frames = frames
        self._frames_per_row = frames_per_row
        #: Account → frames since the last check that found nothing due.
        self._new: Counter[int] = Counter()
        self._looked = False

    def add(self, account_id: int, frames: int) -> None:
        """Count frames of an account that were written."""
        self._new[account_id] += frames

    @property
    def due(self) -> bool:
        """Whether it is time to check for a missing snapshot."""
        return not self._looked or any(map(self._is_due, self._new.values()))

    @property
    def behind(self) -> bool:
        """Whether snapshots must be made now, although the writer is busy."""
        return any(count >= BEHIND * self._frames for count in self._new.values())

    def step(self, connection: Connection, horizon_ns: int | None = None) -> bool:
        """Make one snapshot if one is due, inside the caller's transaction.

        Args:
            connection: to the database.
            horizon_ns: make none after this instant, because frames received later are about to be written.

        Returns:
            Whether one was made; then more may be due.
        """
        if not self._looked:
            self._looked = True
            for account_id in connection.scalars(select(accounts.c.account_id)):
                self.add(account_id, self._frames)
        for account_id in [key for key, count in self._new.items() if self._is_due(count)]:
            if self._make_next(connection, account_id, horizon_ns):
                return True
            self._new[account_id] = 0
        return False

    def _make_next(self, connection: Connection, account_id: int, horizon_ns: int | None) -> bool:
        """Make an account's next snapshot, if enough frames were received since the last one."""
        if not take_account(connection, account_id):
            return False
        s, r = snapshots.c, snapshot_rows.c
        last_ns: int | None = connection.scalar(select(func.max(s.at_ns)).where(s.account_id == account_id))
        of_last = r.account_id == account_id, r.at_ns == last_ns
        rows = connection.scalar(select(func.count()).select_from(snapshot_rows).where(*of_last)) or 0
        frames = self._frames + self._frames_per_row * rows
        at_ns = _settled_at(connection, account_id, last_ns, frames, horizon_ns)
        if at_ns is None:
            return False
        live = list(_live(connection, account_id, at_ns))
        connection.execute(insert(snapshots).values(account_id=account_id, at_ns=at_ns))
        insert_rows(connection, snapshot_rows, live)
        return True

    def _is_due(self, count: int) -> bool:
        return count * SETTLED >= self._frames


def make_all(connection: Connection, making: Snapshots | None = None) -> Iterator[int]:
    """Make all missing snapshots, each in a transaction of its own.

    Args:
        connection: to the database.
        making: makes them; by default as a recorder does.

    Yields:
        How many were made so far.
    """
    making, made = making or Snapshots(), 0
    while True:
        with connection.begin():
            if not making.step(connection):
                return
        made += 1
        yield made


def _settled_at(
    connection: Connection, account_id: int, after_ns: int | None, frames: int, horizon_ns: int | None
) -> int | None:
    """The instant of the next snapshot; None if too few frames were received."""
    r = receipts.c
    beyond = frames // SETTLED
    later = [r.account_id == account_id, r.first_ns > (EVER_NS if after_ns is None else after_ns)]
    if horizon_ns is not None:
        later.append(r.first_ns <= horizon_ns)
    rows = select(r.first_ns, r.session_id, r.first_seq, (r.last_seq - r.first_seq + 1).label("frames")).where(*later)
    # Each receipt covers at least one frame, so this limit suffices however long the record is.
    some = rows.order_by(r.first_ns, r.session_id, r.first_seq).limit(frames + beyond).subquery().c
    in_order = some.first_ns, some.session_id, some.first_seq
    total = func.sum(some.frames).over(order_by=in_order, rows=(None, 0)).label("total")
    counted = select(*in_order, some.frames, total).subquery().c
    enough = counted.total >= frames, counted.total - counted.frames < frames + beyond
    found = connection.execute(select(counted.first_ns, counted.total).where(*enough).order_by(counted.total)).all()
    return found[0].first_ns if found and found[-1].total >= frames + beyond else None


def _live(connection: Connection, account_id: int, at_ns: int) -> Iterator[tuple[Any, ...]]:
    """The rows of a snapshot.

    Ended orders are left out. A later update of one counts anyway, and `latest` recognises a REST answer that was
    requested before the snapshot. If a clock was set back, the end itself may count from after the snapshot; then the
    order is kept.
    """
    venue = select(accounts.c.venue).where(accounts.c.account_id == account_id)
    final = final_statuses(connection.execute(venue).scalar_one())
    for table in THINGS:
        for row in latest(connection, account_id, table, at_ns).values():
            if row.status not in final or row.counts_ns > at_ns:
                yield account_id, at_ns, table.name, row.session_id, row.seq, row.item
