"""TABLE: what a fresh reader finds in the database. All SQL of the oracle stands here."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, TableClause, text

from recorder.audit.verify.verification import Verification, Wanted
from recorder.live.proof import REPLACED
from recorder.model import PUSH, Frame
from recorder.store.engine import open_engine
from recorder.store.schema import TYPED

Row = tuple[Any, ...]


class Session(NamedTuple):
    """A row of `sessions`, with its frames of every source in their order."""

    session_id: int
    stream: str
    #: What it has subscribed to.
    topics: tuple[str, ...]
    opened_ns: int
    covered: bool
    ended: bool
    #: Whether it ended because another session of the stream went on.
    replaced: bool
    frames: tuple[Frame, ...]

    @property
    def received(self) -> list[Frame]:
        """The frames that came from the exchange."""
        return [frame for frame in self.frames if frame.source == PUSH]


class Gap(NamedTuple):
    """A row of `gaps`, as far as the oracle needs it."""

    stream: str
    topic: str | None
    reason: str
    begins_ns: int | None
    begin: tuple[int, int] | None
    ends_ns: int | None
    end: tuple[int, int] | None


class Table(NamedTuple):
    """One account's part of a database."""

    sessions: tuple[Session, ...]
    #: Answers of REST, in sessions of their own.
    answers: tuple[Frame, ...]
    gaps: tuple[Gap, ...]
    #: Name of a typed table → its rows in the order of their keys.
    typed: dict[str, list[Row]]
    #: What the engine itself finds wrong with the file.
    corruptions: tuple[str, ...]


def unproved(url: str) -> list[str]:
    """What `recorder verify` finds: seals that do not stand for what is there, rows that do not follow."""
    return [f"verify: {finding}" for finding in Verification(url, Wanted(jobs=1))]


def read_table(url: str, account: str = "main") -> Table:
    """Read it on a connection that cannot write."""
    engine = open_engine(url, read_only=True)
    with engine.connect() as connection:
        (account_id,) = connection.execute(
            text("SELECT account_id FROM accounts WHERE name = :name"), {"name": account}
        ).one()
        frames: dict[int, list[Frame]] = {}
        for frame in _frames(connection, account_id):
            frames.setdefault(frame.session_id, []).append(frame)
        sessions = tuple(
            Session(
                session_id,
                stream,
                tuple(topics.split()),
                opened_ns,
                covered_ns is not None,
                ended_ns is not None,
                end_reason == REPLACED,
                tuple(frames.pop(session_id, ())),
            )
            for session_id, stream, topics, opened_ns, covered_ns, ended_ns, end_reason in _rows(
                connection,
                "SELECT session_id, stream, topics, opened_ns, covered_ns, ended_ns, end_reason FROM sessions",
                account_id,
                "session_id",
            )
        )
        return Table(
            sessions,
            tuple(frame for left in frames.values() for frame in left),
            tuple(_gaps(connection, account_id)),
            {table.name: _typed_rows(connection, table, account_id) for table in TYPED.values()},
            _corruptions(connection),
        )


def _typed_rows(connection: Connection, table: TableClause, account_id: int) -> list[Row]:
    # By name: the next version of the schema has more columns.
    columns = ", ".join(table.c.keys())
    found = _rows(connection, f"SELECT {columns} FROM {table.name}", account_id, "session_id, seq, item")
    return [tuple(row) for row in found]


def _rows(connection: Connection, select: str, account_id: int, order: str) -> list[Any]:
    sql = f"{select} WHERE account_id = :account_id ORDER BY {order}"
    return list(connection.execute(text(sql), {"account_id": account_id}).all())


def _frames(connection: Connection, account_id: int) -> list[Frame]:
    columns = ", ".join(Frame._fields)
    return [Frame(*row) for row in _rows(connection, f"SELECT {columns} FROM frames", account_id, "session_id, seq")]


def _gaps(connection: Connection, account_id: int) -> list[Gap]:
    columns = "stream, topic, reason, begins_ns, begin_session_id, begin_seq, ends_ns, end_session_id, end_seq"
    return [
        Gap(
            stream,
            topic,
            reason,
            begins_ns,
            None if begin_session_id is None else (begin_session_id, begin_seq),
            ends_ns,
            # Without a number: a session that had been covered before went on.
            None if end_session_id is None else (end_session_id, -1 if end_seq is None else end_seq),
        )
        for stream, topic, reason, begins_ns, begin_session_id, begin_seq, ends_ns, end_session_id, end_seq in _rows(
            connection, f"SELECT {columns} FROM gaps", account_id, "gap_id"
        )
    ]


def _corruptions(connection: Connection) -> tuple[str, ...]:
    if connection.dialect.name != "sqlite":
        return ()
    found = [row[0] for row in connection.execute(text("PRAGMA integrity_check")) if row[0] != "ok"]
    return (*found, *(f"foreign key: {tuple(row)}" for row in connection.execute(text("PRAGMA foreign_key_check"))))
