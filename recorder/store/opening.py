"""The first batch of a run: who records here, as whom, and what a crash left."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from recorder.model import time_ordered_id
from recorder.store.engine import database_path
from recorder.store.entries import AccountAdded, LogEntry, RecorderAdded, RunStarted, SessionEnded
from recorder.store.event_log import what_a_crash_left
from recorder.store.journal import OPENING, Batch, last_seal
from recorder.store.schema import gaps, identity, reconciliations, runs, sessions


class Opened(NamedTuple):
    """A run that has begun."""

    run: RunStarted
    #: The seal of its first batch.
    seal: bytes
    #: A sentence for the user for each session that a crash left open.
    left: list[str]


def open_run(connection: Connection, url: str, started: RunStarted, wanted: Sequence[AccountAdded]) -> Opened:
    """Open a run, inside the caller's transaction. Only the sole writer may do it.

    Args:
        connection: to the file.
        url: of the file.
        started: the run; its `recorder_id` is filled in, and its key raised above those that are there.
        wanted: the accounts it records.
    """
    entries: list[LogEntry] = []
    recorder_id = _identity(connection, database_path(url))
    if recorder_id is None:
        recorder_id = _new_identity(connection, database_path(url), started.started_ns)
        entries.append(RecorderAdded(recorder_id, started.started_ns, started.host))
    # Runs are moved in the order of their keys, which must be that of their lives, also where a clock has gone back.
    newest = connection.scalar(select(func.max(runs.c.run_id)))
    run_id = max(started.run_id, (newest or 0) + 1)
    started = RunStarted(run_id, recorder_id, started.started_ns, started.host, started.pid, started.version)
    left = what_a_crash_left(connection, recorder_id)
    known = select(gaps.c.account_id).distinct().where(gaps.c.recorder_id == recorder_id)
    known_ids = set(connection.scalars(known))
    entries += [*left, started, *(account for account in wanted if account.account_id not in known_ids)]
    batch = Batch(recorder_id, started.run_id, OPENING, last_seal(connection, recorder_id))
    batch.entries += entries
    batch.write(connection, started.started_ns)
    told = "the last run ended without closing session {}: a gap begins at its last frame"
    sentences = [told.format(entry.session_id) for entry in left if isinstance(entry, SessionEnded)]
    return Opened(started, batch.seal, sentences)


def newest_session(connection: Connection, account_id: int) -> int:
    """The newest key of an account's sessions and rounds; the next one must be above it. 0 where there is none."""
    keys = (
        select(func.max(sessions.c.session_id)).where(sessions.c.account_id == account_id),
        select(func.max(reconciliations.c.reconciliation_id)).where(reconciliations.c.account_id == account_id),
    )
    return max(connection.scalar(key) or 0 for key in keys)


def _identity(connection: Connection, path: Path) -> int | None:
    """Which recorder this file is; None where it is new, or a copy of another's file: a copy is a recorder of its own.

    Two files that went on as one recorder would contradict each other where they are merged. A copy begins with a gap
    like any other record, which costs nothing: the gap of the whole is where all recorders have one.
    """
    return connection.scalar(select(identity.c.recorder_id).where(identity.c.inode == path.stat().st_ino))


def _new_identity(connection: Connection, path: Path, now_ns: int) -> int:
    recorder_id = time_ordered_id(now_ns)
    connection.execute(delete(identity))
    connection.execute(insert(identity).values(recorder_id=recorder_id, inode=path.stat().st_ino))
    return recorder_id
