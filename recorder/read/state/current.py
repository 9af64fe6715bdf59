"""What a record holds of an account just now: a complete snapshot, and the pushes of one session since.

Folded bit by bit, so that a look costs what came since the last one, however long the record is. Only the session's own
rows are read: neither another recorder's, nor what a snapshot for comparing told.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select, type_coerce

from recorder.model import AccountUpdate, OrderUpdate, PositionUpdate, State, Thing, Update, thing_of
from recorder.store.schema import (
    ExactDecimal,
    Words,
    account_updates,
    frames,
    order_updates,
    position_updates,
)
from recorder.venues.base import Passed, Seen

#: Table → its record, and the column that names the thing.
_STATES: dict[Table, tuple[type[State], str]] = {
    account_updates: (AccountUpdate, "currency"),
    order_updates: (OrderUpdate, "order_id"),
    position_updates: (PositionUpdate, "symbol"),
}

#: Of orders at their end, so many are remembered: should an exchange list one as open, this is what was held.
ENDED_MAX = 10_000


class CurrentState:
    """The states of an account's things: first `take` a complete snapshot that was asked for once all was pushed.

    Args:
        account_id: whose.
        session_id: the session that is covered.
        seq: of the frame from which on everything is pushed.
        final_statuses: of orders; those that have come to their end are let go.
    """

    def __init__(self, account_id: int, session_id: int, seq: int, final_statuses: Collection[str]) -> None:
        self.account_id = account_id
        self.session_id = session_id
        #: The last frame that is folded in.
        self.seq = seq
        #: The newest order there has been; None: none.
        self.last_order_id: int | None = None
        self._final = final_statuses
        self._states: dict[Thing, Seen] = {}
        self._ended: dict[Thing, Seen] = {}

    def take(self, session_id: int, updates: Iterable[Update]) -> None:
        """Take what an answer told, or a push."""
        for update in updates:
            if isinstance(update, State):
                self.keep(thing_of(update), Seen(session_id, update))

    def keep(self, thing: Thing, seen: Seen | None) -> None:
        """From now on this is the state of a thing; None: that there is none."""
        self._states.pop(thing, None)
        self._ended.pop(thing, None)
        if seen is None:
            return
        ended = False
        if isinstance(seen.state, OrderUpdate):
            ended = seen.state.status in self._final
            self.last_order_id = max(self.last_order_id or 0, seen.state.order_id)
        (self._ended if ended else self._states)[thing] = seen
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]

    def open_orders(self) -> list[OrderUpdate]:
        """The orders that can still change, as of the last `advance`."""
        return [seen.state for seen in self._states.values() if isinstance(seen.state, OrderUpdate)]

    def advance(self, connection: Connection) -> None:
        """Fold in all that has been pushed, of each thing the last state."""
        newest = newest_seq(connection, self.account_id, self.session_id)
        for table, (record, name) in _STATES.items():
            new = *self._mine(table), table.c.seq > self.seq, table.c.seq <= newest
            last = select(func.max(table.c.seq)).where(*new).group_by(table.c[name])
            self.take(self.session_id, _states(connection, table, record, *self._mine(table), table.c.seq.in_(last)))
        self.seq = max(self.seq, newest)

    def passed(self, connection: Connection) -> Passed:
        """The states of each thing from the last `advance` on, oldest first. None: it was not there."""
        passed: dict[Thing, list[Seen | None]] = {thing: [seen] for thing, seen in (self._states | self._ended).items()}
        for table, (record, _) in _STATES.items():
            for state in _states(connection, table, record, *self._mine(table), table.c.seq > self.seq):
                passed.setdefault(thing_of(state), [None]).append(Seen(self.session_id, state))
        return passed

    def _mine(self, table: Table) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return table.c.account_id == self.account_id, table.c.session_id == self.session_id


def newest_seq(connection: Connection, account_id: int, session_id: int) -> int:
    """The last frame of a session; -1 where there is none."""
    mine = frames.c.account_id == account_id, frames.c.session_id == session_id
    newest = connection.scalar(select(func.max(frames.c.seq)).where(*mine))
    return -1 if newest is None else newest


def _states(connection: Connection, table: Table, record: type[State], *these: ColumnElement[bool]) -> Iterator[State]:
    """The states in some rows, in their order, numbers as text."""
    columns = [table.c[name] for name in record._fields]
    exact = [isinstance(column.type, ExactDecimal) for column in columns]
    texts = [type_coerce(one, Words) if is_exact else one for one, is_exact in zip(columns, exact, strict=True)]
    for row in connection.execute(select(*texts).where(*these).order_by(table.c.seq, table.c.item)):
        # A server's driver gives a number all the same.
        values: list[Any] = [
            str(one) if is_exact and one is not None else one for one, is_exact in zip(row, exact, strict=True)
        ]
        yield record(*values)
