"""The states of an account's things while a recorder runs.

`CurrentState` does not read the whole record: it starts from a complete snapshot and adds the pushes of its sessions,
as they come.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select, type_coerce

from recorder.model import FINAL_STATUSES, AccountUpdate, OrderUpdate, PositionUpdate, State, Thing, Update, thing_of
from recorder.read.merging import TERMS, completed, is_behind
from recorder.store.columns import ExactDecimal, Words
from recorder.store.latest_orders import KNOWN_ENDS
from recorder.store.schema import account_updates, frames, order_updates, position_updates
from recorder.store.state_index import THINGS
from recorder.venues.comparable import Passed, Seen
from recorder.venues.rest import Traded

#: When an order was created, if the venue does not say: before all others.
UNKNOWN_MS = -1

#: Table → its record.
_STATES: dict[Table, type[State]] = {
    account_updates: AccountUpdate,
    order_updates: OrderUpdate,
    position_updates: PositionUpdate,
}

#: Final orders remembered, in case the venue lists one of them as open.
ENDED_MAX = 10_000


class CurrentState:
    """The states of an account's things, from its sessions' own rows and a snapshot that `take` must get first.

    The snapshot must have been requested when all topics were pushed. Neither other recorders' rows nor snapshots
    requested for a comparison are read.

    Args:
        account_id: of the account.
        session_id: the session that covers it; of several streams, the newest.
        seq: the frame from which on everything is pushed.
        streams: likewise of every stream; None: there is one.
    """

    def __init__(self, account_id: int, session_id: int, seq: int, streams: Mapping[int, int] | None = None) -> None:
        self.account_id = account_id
        self.session_id = session_id
        #: The last frame of each session that is included.
        self._seqs = {session_id: seq, **(streams or {})}
        self._covered = frozenset(self._seqs)
        #: The order that the venue created last, so far; None: there is none.
        self.newest_order_id: str | None = None
        self._newest_ms = UNKNOWN_MS
        self._states: dict[Thing, Seen] = {}
        self._ended: dict[Thing, Seen] = {}
        #: The orders among them, and those seen since, by their ids.
        self._named: dict[str, Thing] = {}

    def follow(self, session_id: int, streams: Mapping[int, int]) -> None:
        """Go on with sessions that have replaced others without a gap.

        Args:
            session_id: the newest session.
            streams: the newest session of every stream, and its frame from which on everything is pushed.
        """
        # The end of a session that was replaced just now may not have been read yet.
        read = {session_id: seq for session_id, seq in self._seqs.items() if session_id in self._covered}
        self._seqs = read | {session_id: seq for session_id, seq in streams.items() if session_id not in read}
        self._covered = frozenset(streams)
        self.session_id = session_id

    def take(self, session_id: int, updates: Iterable[Update]) -> None:
        """Add the updates of an answer or of pushes."""
        for update in updates:
            if isinstance(update, State):
                self.keep(self._thing_of(update), Seen(session_id, update))

    def keep(self, thing: Thing, seen: Seen | None) -> None:
        """Set the state of a thing; None: it does not exist."""
        before = self._states.pop(thing, None) or self._ended.pop(thing, None)
        is_new = before is None
        if seen is None:
            return
        if before is not None:
            seen = _later(before, seen)
        ended = False
        if isinstance(seen.state, OrderUpdate):
            ended = seen.state.status in FINAL_STATUSES
            created_ms = UNKNOWN_MS if seen.state.created_ms is None else seen.state.created_ms
            if created_ms > self._newest_ms or (is_new and created_ms == self._newest_ms):
                self.newest_order_id, self._newest_ms = seen.state.order_id, created_ms
        (self._ended if ended else self._states)[thing] = seen
        if len(self._ended) > ENDED_MAX:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            self._named.pop(oldest.name, None)

    def states(self) -> list[Seen]:
        """The states of things that can still change, as of the last `advance`."""
        return list(self._states.values())

    def state_of(self, thing: Thing) -> State | None:
        """The state of a thing, as of the last `advance`; None: there is none."""
        seen = self._states.get(thing) or self._ended.get(thing)
        return None if seen is None else seen.state

    def traded(self) -> set[Traded]:
        """What its orders and positions are of, as of the last `advance`."""
        states = (seen.state for seen in self.states())
        return {Traded(one.market, one.symbol) for one in states if not isinstance(one, AccountUpdate) and one.symbol}

    def open_orders(self) -> list[OrderUpdate]:
        """The orders that can still change, as of the last `advance`."""
        return [seen.state for seen in self.states() if isinstance(seen.state, OrderUpdate)]

    def advance(self, connection: Connection) -> None:
        """Add everything that has been pushed since: the last state of each thing."""
        for session_id, seq in self._seqs.items():
            newest = newest_seq(connection, self.account_id, session_id)
            for table, record in _STATES.items():
                new = *self._mine(table, session_id), table.c.seq <= newest
                whole = *new, table.c.is_partial == 0
                last = select(func.max(table.c.seq)).where(*whole).group_by(*(table.c[name] for name in THINGS[table]))
                needed = or_(table.c.seq.in_(last), table.c.is_partial == 1)
                if table is order_updates:
                    # What came after the end may be no later.
                    needed = or_(needed, table.c.status.in_(sorted(KNOWN_ENDS)))
                self.take(session_id, _states(connection, table, record, *new, needed))
            self._seqs[session_id] = max(seq, newest)

    def passed(self, connection: Connection) -> Passed:
        """The states of each thing from the last `advance` on, oldest first. None: it did not exist."""
        passed: dict[Thing, list[Seen | None]] = {thing: [seen] for thing, seen in (self._states | self._ended).items()}
        for session_id, (table, record) in product(self._seqs, _STATES.items()):
            for state in _states(connection, table, record, *self._mine(table, session_id)):
                passed.setdefault(self._thing_of(state), [None]).append(Seen(session_id, state))
        return passed

    def _thing_of(self, state: State) -> Thing:
        """What a state is of. A change of an order that names no symbol is of the order with that id."""
        thing = thing_of(state)
        if isinstance(state, OrderUpdate) and state.symbol is not None:
            self._named[state.order_id] = thing
        return self._named.get(thing.name, thing) if thing.kind is OrderUpdate else thing

    def _mine(self, table: Table, session_id: int) -> tuple[ColumnElement[bool], ...]:
        """The rows of a session that are not included yet."""
        t = table.c
        return t.account_id == self.account_id, t.session_id == session_id, t.seq > self._seqs[session_id]


def _later(before: Seen, seen: Seen) -> Seen:
    """A state, and what it left unchanged if it is a change; the state before, if that is the later one."""
    state = seen.state
    if isinstance(state, OrderUpdate) and is_behind(state, before.state):
        return before._replace(state=completed(before.state, state, TERMS))
    if not state.is_partial:
        return seen
    whole: State = completed(state, before.state, state._fields)
    return seen._replace(state=whole._replace(is_partial=before.state.is_partial))


def newest_seq(connection: Connection, account_id: int, session_id: int) -> int:
    """The last frame of a session; -1 if there is none."""
    mine = frames.c.account_id == account_id, frames.c.session_id == session_id
    newest = connection.scalar(select(func.max(frames.c.seq)).where(*mine))
    return -1 if newest is None else newest


def _states(connection: Connection, table: Table, record: type[State], *these: ColumnElement[bool]) -> Iterator[State]:
    """The states in some rows, in order, with numbers as text."""
    columns = [table.c[name] for name in record._fields]
    exact = [isinstance(column.type, ExactDecimal) for column in columns]
    texts = [type_coerce(one, Words) if is_exact else one for one, is_exact in zip(columns, exact, strict=True)]
    for row in connection.execute(select(*texts).where(*these).order_by(table.c.seq, table.c.item)):
        # A server's driver gives a number anyway.
        values: list[Any] = [
            str(one) if is_exact and one is not None else one for one, is_exact in zip(row, exact, strict=True)
        ]
        yield record(*values)
