"""Making the snapshots of the state index, and forgetting those that what was written made wrong.

A snapshot covers everything received up to its instant. So whoever writes frames that were received before it deletes
it in the same transaction (`add_receipts`): after a clock was set back, or when another recorder's history is merged.
Therefore the order of merging does not matter.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, select

from recorder.model import FINAL_STATUSES
from recorder.store.dialects import insert_rows, share_account, take_account
from recorder.store.receipts import EVER_NS, Receipt
from recorder.store.schema import accounts, receipts, snapshot_rows, snapshots
from recorder.store.state_index import THINGS, latest

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


@cache
def _later() -> Select[Any]:
    """A snapshot of an account from an instant on."""
    s = snapshots.c
    return select(s.at_ns).where(s.account_id == bindparam("account_id"), s.at_ns >= bindparam("from_ns")).limit(1)


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
    for table in THINGS:
        for row in latest(connection, account_id, table, at_ns).values():
            if row.status not in FINAL_STATUSES or row.counts_ns > at_ns:
                yield account_id, at_ns, table.name, row.session_id, row.seq, row.item
