"""The event log of one database, written as a run would write it, with a clock that ticks at every look."""

from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from recorder.live.account_sessions import AccountSessions, of_record
from recorder.model import CONTROL, DECODED, PUSH, Frame
from recorder.store import entries, event_log, seals
from recorder.store.dialects import insert_rows
from recorder.store.entries import (
    AccountAdded,
    Agreed,
    Covered,
    LogEntry,
    ReconciliationBegan,
    ReconciliationEnded,
    RecorderAdded,
    RunEnded,
    RunStarted,
    SessionEnded,
    SessionOpened,
)
from recorder.store.schema import accounts, frames, gaps, heartbeats, runs, sessions
from recorder.store.schema import event_log as event_log_table
from recorder.store.schema import seals as seals_table
from tests.made import ACCOUNT, NOON_NS, RECORDER, RUN


class Gap(NamedTuple):
    """A row of `gaps`, its times in ticks of the clock."""

    topic: str | None
    begins: int | None
    ends: int | None
    reason: str
    stream: str = ""


class Session:
    """One connection of one account."""

    def __init__(self, book: "Book", account_id: int, topics: tuple[str, ...], stream: str = "") -> None:
        self.book = book
        self.account_id = account_id
        self.topics = topics
        self.opened = book.tick()
        self.session_id = RUN + self.opened
        self.covered: int | None = None
        self.refused: set[str] = set()
        self.seq = -1
        #: The last frame received: number and time.
        self.last = (-1, self.opened)
        key = account_id, self.session_id
        book.apply(SessionOpened(*key, book.run_id, "wss://x", topics, NOON_NS + self.opened, stream))

    def frame(self, source: str = PUSH, status: str = DECODED) -> int:
        """A frame is recorded; returns when."""
        at = self.book.tick()
        self.seq += 1
        if source == PUSH:
            self.last = self.seq, at
        made = Frame(self.account_id, self.session_id, self.seq, NOON_NS + at, source, None, status, None, b"")
        insert_rows(self.book.connection, frames, [made])
        return at

    def answer(self) -> int:
        """A heartbeat is answered by a frame that has a row; returns when."""
        at = self.frame()
        row = (self.account_id, self.session_id, self.seq, 0, NOON_NS + at, None, 0, None)
        insert_rows(self.book.connection, heartbeats, [row])
        return at

    def control(self) -> int:
        """The exchange says something that is no push; returns when."""
        return self.frame(status=CONTROL)

    def pong(self) -> int:
        """A heartbeat is answered by no frame; returns when."""
        self.last = self.last[0], self.book.tick()
        return self.last[1]

    def agree(self, *others: "Session") -> int:
        """REST says what was pushed on it, and on the sessions of other streams; returns when it began to be asked."""
        at = self.book.tick()
        agreed = tuple(Agreed(one.session_id, one.last[0], NOON_NS + at) for one in (self, *others))
        key = self.account_id, self.session_id + at
        self.book.apply(ReconciliationBegan(*key, self.book.run_id, NOON_NS + at, "compare"))
        ended_ns = NOON_NS + self.book.tick()
        self.book.apply(ReconciliationEnded(*key, self.session_id, ended_ns, "compared", "the same", agreed=agreed))
        return at

    def cover(self, *refused: str) -> int:
        """The frame comes that settles the last topic; returns when."""
        at = self.frame()
        self.covered, self.refused = at, set(refused)
        words = dict.fromkeys(refused, "41002 invalid sub topic")
        self.book.apply(Covered(self.account_id, self.session_id, self.seq, NOON_NS + at, self.topics, words))
        return at

    def end(self, reason: str = "lost") -> int:
        """It is over; returns when the last frame came."""
        ended, (seq, at) = self.book.tick(), self.last
        self.book.apply(
            SessionEnded(
                self.account_id,
                self.session_id,
                NOON_NS + ended,
                reason,
                "its detail",
                self.covered is not None,
                seq,
                NOON_NS + at,
            )
        )
        return at


class Book:
    """The event log.

    Args:
        connection: to a database with its schema, inside a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._ticks = count(1)
        self._batches = count()
        self.run_id = RUN
        self.apply(RecorderAdded(RECORDER, NOON_NS, "here"))
        self.begin_run()

    def tick(self) -> int:
        """The clock moves on."""
        return next(self._ticks)

    def apply(self, entry: LogEntry) -> None:
        """Write an entry."""
        self.tick()
        event_log.apply(self.connection, RECORDER, entry)
        if not isinstance(entry, RecorderAdded):
            body = entries.encode(entry)
            key, root = (self.run_id, next(self._batches)), seals.entries_root([body])
            insert_rows(self.connection, event_log_table, [(*key, 0, body.decode())])
            insert_rows(self.connection, seals_table, [(*key, b"", b"", root, b"")])

    def begin_run(self) -> None:
        """A process begins."""
        at = self.tick()
        self.run_id = RUN + at
        self.apply(RunStarted(self.run_id, RECORDER, NOON_NS + at, "here", 1, "0"))

    def end_run(self) -> None:
        """It ends in order."""
        self.apply(RunEnded(self.run_id, NOON_NS + self.tick(), "stopped"))

    def crash(self) -> list[SessionEnded]:
        """The process dies, and the next one finds what it left."""
        left = event_log.what_a_crash_left(self.connection, RECORDER)
        for entry in left:
            self.apply(entry)
        self.begin_run()
        return [entry for entry in left if isinstance(entry, SessionEnded)]

    def refuse(self, account_id: int = ACCOUNT, streams: Sequence[str] = ("",)) -> list[SessionEnded]:
        """The first login of a run is refused; returns the ends that now come earlier."""
        recorded = {one: partial(of_record, self.connection, RECORDER, account_id, one) for one in streams}
        earlier = AccountSessions(recorded=recorded).refused()
        for entry in earlier:
            self.apply(entry)
        return earlier

    def add(self, account_id: int = ACCOUNT, name: str = "main", streams: tuple[str, ...] = ("",)) -> None:
        """An account is configured."""
        self.apply(AccountAdded(account_id, "fmex", name, NOON_NS + self.tick(), streams))

    def open(self, *topics: str, account_id: int = ACCOUNT, stream: str = "") -> Session:
        """A connection is made."""
        return Session(self, account_id, topics or ("account", "order.a", "position.a"), stream)

    def gaps(self, account_id: int = ACCOUNT) -> list[Gap]:
        """The gaps of an account, in the order in which they were noted."""
        found = self.connection.execute(select(gaps).where(gaps.c.account_id == account_id).order_by(gaps.c.gap_id))
        return [Gap(row.topic, _ticks(row.begins_ns), _ticks(row.ends_ns), row.reason, row.stream) for row in found]

    def rows(self, table: str) -> list[Any]:
        """The rows of `gaps`, `sessions`, `runs` or `accounts`, as they stand."""
        tables = {"gaps": (gaps, gaps.c.gap_id), "sessions": (sessions, sessions.c.session_id)}
        tables |= {"runs": (runs, runs.c.run_id), "accounts": (accounts, accounts.c.account_id)}
        chosen, key = tables[table]
        return list(self.connection.execute(select(chosen).order_by(key)))


def _ticks(ns: int | None) -> int | None:
    return None if ns is None else ns - NOON_NS
