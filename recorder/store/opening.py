"""Opening a run: its first batch names recorder, accounts and credentials, and ends what a crash left open."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Engine, func, select

import recorder
from recorder.model import time_ordered_id
from recorder.store.credentials import KnownCredential, conflict, known_credentials
from recorder.store.engine import database_path
from recorder.store.entries import (
    AccountAdded,
    CredentialUsed,
    LogEntry,
    RecorderAdded,
    RecorderAdopted,
    RunEnded,
    RunStarted,
    SessionEnded,
)
from recorder.store.event_log import what_a_crash_left
from recorder.store.identity import Identity, identity_of, location_of
from recorder.store.journal import OPENING, Batch, last_seal
from recorder.store.schema import gaps, reconciliations, runs, sessions


class Opened(NamedTuple):
    """A run that was opened."""

    run: RunStarted
    #: The seal of its first batch.
    seal: bytes
    #: Sentences for the user: sessions that a crash left open, a file that is a copy, a new API key.
    warnings: list[str]


def new_run(now_ns: int) -> RunStarted:
    """Return the entry for a run of this process; `open_run` fills in the recorder."""
    return RunStarted(time_ordered_id(now_ns), 0, now_ns, platform.node(), os.getpid(), recorder.__version__)


def open_run(
    connection: Connection,
    url: str,
    started: RunStarted,
    wanted: Sequence[AccountAdded],
    keys: Mapping[int, str] | None = None,
) -> Opened:
    """Open a run, inside the caller's transaction. Only the sole writer may do it.

    Args:
        connection: to the file.
        url: of the file.
        started: the run; its recorder is filled in, and its key raised above the existing ones.
        wanted: the accounts it records.
        keys: account → the fingerprint of the credential it is recorded with.
    """
    entries: list[LogEntry] = []
    recorder_id, warnings = _identify(connection, database_path(url), started, entries)
    # Runs are moved in the order of their keys, which must be the order of time even if a clock was set back.
    newest = connection.scalar(select(func.max(runs.c.run_id)))
    run_id = max(started.run_id, (newest or 0) + 1)
    started = RunStarted(run_id, recorder_id, started.started_ns, started.host, started.pid, started.version)
    left = what_a_crash_left(connection, recorder_id)
    recorded = set(connection.scalars(select(gaps.c.account_id).distinct().where(gaps.c.recorder_id == recorder_id)))
    entries += [*left, started, *(account for account in wanted if account.account_id not in recorded)]
    for account in wanted:
        fingerprint = (keys or {}).get(account.account_id)
        if fingerprint is None:
            continue
        entries.append(CredentialUsed(account.account_id, fingerprint, started.started_ns))
        now = {fingerprint: KnownCredential(started.started_ns, accepted=False)}
        told = conflict(f"{account.venue}/{account.name}", known_credentials(connection, account.account_id), now)
        if told is not None:
            warnings.append(
                f"{told} Until then, recording goes on, but nothing from here on is sent to a server or merged."
            )
    batch = Batch(recorder_id, started.run_id, OPENING, last_seal(connection, recorder_id))
    batch.entries += entries
    batch.write(connection, started.started_ns)
    told = "the last run ended without closing session {}: a gap begins at its last frame"
    warnings += [told.format(entry.session_id) for entry in left if isinstance(entry, SessionEnded)]
    return Opened(started, batch.seal, warnings)


def add_entry(engine: Engine, url: str, entry: LogEntry, now_ns: int, reason: str) -> list[str]:
    """Add an entry to a file's event log, sealed, as a run of its own. Only the sole writer may do it.

    Args:
        engine: of the file.
        url: of the file.
        entry: the entry.
        now_ns: when the run starts and ends, ns since 1970.
        reason: why it ends, such as `recorder retired`.

    Returns:
        The warnings of `open_run`.
    """
    return add_entries(engine, url, lambda _connection, _recorder_id: [entry], now_ns, reason)


def add_entries(
    engine: Engine, url: str, find: Callable[[Connection, int], Sequence[LogEntry]], now_ns: int, reason: str
) -> list[str]:
    """As `add_entry`, with entries that follow from the record.

    Args:
        engine: of the file.
        url: of the file.
        find: given a connection and the recorder, returns the entries. Without any, nothing is written at all.
        now_ns: when the run starts and ends, ns since 1970.
        reason: why it ends.

    Returns:
        The warnings of `open_run`.
    """
    with engine.connect() as connection, connection.begin() as transaction:
        run, seal, warnings = open_run(connection, url, new_run(now_ns), ())
        found = find(connection, run.recorder_id)
        if not found:
            transaction.rollback()
            return []
        batch = Batch(run.recorder_id, run.run_id, OPENING + 1, seal)
        batch.entries += [*found, RunEnded(run.run_id, now_ns, reason)]
        batch.write(connection, now_ns)
    return warnings


def newest_session(connection: Connection, account_id: int) -> int:
    """Return the newest key of an account's sessions and rounds, above which the next must be; 0 if there is none."""
    keys = (
        select(func.max(sessions.c.session_id)).where(sessions.c.account_id == account_id),
        select(func.max(reconciliations.c.reconciliation_id)).where(reconciliations.c.account_id == account_id),
    )
    return max(connection.scalar(key) or 0 for key in keys)


def _identify(
    connection: Connection, path: Path, started: RunStarted, entries: list[LogEntry]
) -> tuple[int, list[str]]:
    """Find out which recorder the file is (see `identity`), add entries about it, and return warnings for the user."""
    known, here = identity_of(connection), location_of(path)
    if known is not None and known.is_at(here):
        if known.adopted_ns is not None:
            entries.append(RecorderAdopted(known.recorder_id, known.adopted_ns, started.host))
        known.moved(here)._replace(adopted_ns=None).write(connection)
        return known.recorder_id, []
    recorder_id = time_ordered_id(started.started_ns)
    original = (None, None, None) if known is None else (known.recorder_id, known.host, known.path)
    Identity(recorder_id, *here, *original).write(connection)
    entries.append(RecorderAdded(recorder_id, started.started_ns, started.host))
    if known is None:
        return recorder_id, []
    return recorder_id, [
        f"{path} is a copy, and continues as a recorder of its own ({recorder_id}): a gap of the original "
        f"({known.recorder_id}) stays open. If it replaces the original, stop and type: recorder db adopt"
    ]
