"""Records for what is measured: written as a recorder writes them."""

import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection

from recorder.live.channel import Recorded
from recorder.model import PUSH, Frame, account_id, time_ordered_id
from recorder.store import migrate
from recorder.store.entries import AccountAdded, RunEnded, RunStarted, SessionEnded, SessionOpened
from recorder.store.journal import Batch
from recorder.store.opening import open_run
from recorder.venues import DEFAULT_VENUE, venue_named
from recorder.venues.reading import read_frame
from tests.made import quick_engine

#: Frames of a batch: as many as the writer takes.
PER_BATCH = 4_000
#: The same frames are written as so many sessions: starting processes should not be what is measured.
SESSIONS = 5
#: From one frame to the next, ns.
STEP_NS = 1_000


def recorded_of(pushes: Sequence[bytes], venue_name: str = DEFAULT_VENUE) -> list[Recorded]:
    """Pushes of a session, as the collector hands them over."""
    venue, key = venue_named(venue_name), account_id(venue_name, "bench")
    # Numbers of up to 63 bits take more room than small ones.
    session_id = time_ordered_id(time.time_ns())
    made = []
    for seq, payload in enumerate(pushes):
        decoded = read_frame(venue, payload)
        frame = Frame(key, session_id, seq, time.time_ns(), PUSH, decoded.topic, decoded.status, decoded.error, payload)
        made.append(Recorded(frame, decoded.rows))
    return made


def write_record(
    file: Path,
    recorded: Sequence[Recorded],
    sessions: int = SESSIONS,
    *,
    venue_name: str = DEFAULT_VENUE,
    per_batch: int = PER_BATCH,
    step_ns: int = STEP_NS,
) -> str:
    """Write a record.

    Args:
        file: the database.
        recorded: the frames of each session.
        sessions: how many there are.
        venue_name: of the frames.
        per_batch: frames in a batch.
        step_ns: from one frame to the next, ns.

    Returns:
        Its address.
    """
    url = f"sqlite:///{file}"
    engine = quick_engine(url)
    migrate.require_usable(engine)
    # Opening a connection costs more than a small batch.
    with engine.connect() as connection:
        _write(connection, url, recorded, sessions, venue_name, per_batch, step_ns)
    engine.dispose()
    return url


def _write(
    connection: Connection,
    url: str,
    recorded: Sequence[Recorded],
    sessions: int,
    venue_name: str,
    per_batch: int,
    step_ns: int,
) -> None:
    now_ns = time.time_ns()
    key = recorded[0].frame.account_id
    with connection.begin():
        account = AccountAdded(key, venue_name, "bench", now_ns)
        started = RunStarted(time_ordered_id(now_ns), 0, now_ns, "bench", 1, "bench")
        run, seal, _ = open_run(connection, url, started, [account])
    number = 0
    first_id = recorded[0].frame.session_id
    for place in range(sessions):
        session_id = first_id + place
        began_ns = now_ns + (place + 1) * len(recorded) * step_ns
        last_ns = began_ns + (len(recorded) - 1) * step_ns
        opened = SessionOpened(key, session_id, run.run_id, "wss://x", ("account",), began_ns)
        ended = SessionEnded(key, session_id, last_ns, "stopped", "", False, len(recorded) - 1, last_ns)
        for start in range(0, len(recorded), per_batch):
            number += 1
            batch = Batch(run.recorder_id, run.run_id, number, seal)
            batch.entries += [opened] if start == 0 else []
            for seq, (frame, updates) in enumerate(recorded[start : start + per_batch], start):
                received_ns = began_ns + seq * step_ns
                batch.add(frame._replace(session_id=session_id, received_ns=received_ns), updates)
            batch.entries += [ended] if start + per_batch >= len(recorded) else []
            with connection.begin():
                batch.write(connection, now_ns + number)
            seal = batch.seal
    last = Batch(run.recorder_id, run.run_id, number + 1, seal)
    last.entries.append(RunEnded(run.run_id, now_ns, "bench"))
    with connection.begin():
        last.write(connection, now_ns)
