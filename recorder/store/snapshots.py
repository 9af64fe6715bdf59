"""Snapshots: instants at which it is noted where the latest state of each live thing stands.

They only spare reading (`states.py`): what is read with them is what is read without. A snapshot tells of everything
that was received until its instant. So whoever writes something that was received before it forgets it in the same
transaction (`note`): where a clock was set back, or the history of another recorder is merged. That is why no order of
merging can matter.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from recorder.store.dialects import insert_rows, share_account, take_account
from recorder.store.receipts import EVER_NS, Receipt
from recorder.store.schema import accounts, receipts, snapshot_rows, snapshots
from recorder.store.states import THINGS, latest
from recorder.venues import final_statuses

#: A snapshot for so many frames of an account: so many more are read for an answer than it holds.
FRAMES = 4_096
#: And for so many more for each row that the last one points to: snapshots take little room beside a record.
FRAMES_PER_ROW = 8
#: One part in so many must have been received after a snapshot before it is made, for the last are not always in order;
#: and it is looked whether one is due as often.
SETTLED = 8
#: Where nothing is ever idle, a snapshot is made all the same when so many are due.
BEHIND = 64


def note(connection: Connection, received: Sequence[Receipt]) -> None:
    """Write when frames were received, and forget the snapshots that did not know of them.

    Args:
        connection: inside the transaction that writes the frames.
        received: the rows.
    """
    insert_rows(connection, receipts, received)
    for account_id in sorted({one.account_id for one in received}):
        share_account(connection, account_id)
        its = [one for one in received if one.account_id == account_id]
        first_ns = min(one.first_ns for one in its)
        later = snapshots.c.account_id == account_id, snapshots.c.at_ns >= first_ns
        if connection.scalar(select(snapshots.c.at_ns).where(*later).limit(1)) is not None:
            forget(connection, account_id, first_ns)


def forget(connection: Connection, account_id: int, from_ns: int) -> None:
    """Forget the snapshots of an account from an instant on."""
    for table in (snapshot_rows, snapshots):
        connection.execute(delete(table).where(table.c.account_id == account_id, table.c.at_ns >= from_ns))


class Snapshots:
    """Makes the snapshots of a database, in the order of time; of what it holds already, too.

    Args:
        frames: a snapshot for so many.
        frames_per_row: and for so many more for each row that the last one points to.
    """

    def __init__(self, frames: int = FRAMES, frames_per_row: int = FRAMES_PER_ROW) -> None:
        self._frames = frames
        self._frames_per_row = frames_per_row
        #: Account → frames since it was last found to have nothing due.
        self._new: Counter[int] = Counter()
        self._looked = False

    def add(self, account_id: int, frames: int) -> None:
        """So many frames of an account were written."""
        self._new[account_id] += frames

    @property
    def due(self) -> bool:
        """Whether it is time to look for something to do."""
        return not self._looked or any(map(self._is_due, self._new.values()))

    @property
    def behind(self) -> bool:
        """Whether it can wait no longer."""
        return any(count >= BEHIND * self._frames for count in self._new.values())

    def step(self, connection: Connection, horizon_ns: int | None = None) -> bool:
        """Make one snapshot, if one is due; inside the caller's transaction.

        Args:
            connection: to the database.
            horizon_ns: none after this instant: more is about to be written that was received after it.

        Returns:
            Whether one was made. Then there may be more to make.
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
        """Make the snapshot that follows on an account's last one, where enough was received since."""
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
    """Make every snapshot that is missing, each in a transaction of its own.

    Args:
        connection: to the database.
        making: makes them; by default one that makes them as a recorder does.

    Yields:
        How many there are so far.
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
    """The instant of a next snapshot; None where too little was received."""
    r = receipts.c
    beyond = frames // SETTLED
    later = [r.account_id == account_id, r.first_ns > (EVER_NS if after_ns is None else after_ns)]
    if horizon_ns is not None:
        later.append(r.first_ns <= horizon_ns)
    rows = select(r.first_ns, r.session_id, r.first_seq, (r.last_seq - r.first_seq + 1).label("frames")).where(*later)
    # Each tells of a frame at least: so many are enough, however long the record goes on.
    some = rows.order_by(r.first_ns, r.session_id, r.first_seq).limit(frames + beyond).subquery().c
    in_order = some.first_ns, some.session_id, some.first_seq
    total = func.sum(some.frames).over(order_by=in_order, rows=(None, 0)).label("total")
    counted = select(*in_order, some.frames, total).subquery().c
    enough = counted.total >= frames, counted.total - counted.frames < frames + beyond
    found = connection.execute(select(counted.first_ns, counted.total).where(*enough).order_by(counted.total)).all()
    return found[0].first_ns if found and found[-1].total >= frames + beyond else None


def _live(connection: Connection, account_id: int, at_ns: int) -> Iterator[tuple[Any, ...]]:
    """The rows of a snapshot.

    An order at its end is left out: whatever is told of it later is the newer word, and what is not, an answer that
    counts from before the snapshot, is known by that. Where a clock was set back, the end itself can count from after
    the snapshot: then it is kept.
    """
    venue = select(accounts.c.venue).where(accounts.c.account_id == account_id)
    final = final_statuses(connection.execute(venue).scalar_one())
    for table in THINGS:
        for place in latest(connection, account_id, table, at_ns).values():
            if place.status not in final or place.counts_ns > at_ns:
                yield account_id, at_ns, table.name, place.session_id, place.seq, place.item
