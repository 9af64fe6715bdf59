"""Records for what is measured: written as a recorder writes them."""

import time
from collections.abc import Sequence
from pathlib import Path

from recorder.live.channel import Recorded
from recorder.model import PUSH, Frame, account_id
from recorder.store import migrate
from recorder.store.engine import open_engine
from recorder.store.entries import AccountAdded, RunEnded, RunStarted, SessionEnded, SessionOpened
from recorder.store.journal import Batch
from recorder.store.opening import open_run
from recorder.venues import venue_named
from recorder.venues.reading import read_frame

#: Frames of a batch: as many as the writer takes.
PER_BATCH = 4_000
#: The same frames are written as so many sessions: starting processes should not be what is measured.
SESSIONS = 5
#: From one frame to the next, ns.
STEP_NS = 1_000


def recorded_of(pushes: Sequence[bytes]) -> list[Recorded]:
    """Pushes, as the collector hands them over."""
    venue, key = venue_named("fmex"), account_id("fmex", "bench")
    made = []
    for seq, payload in enumerate(pushes):
        decoded = read_frame(venue, payload)
        frame = Frame(key, 1, seq, time.time_ns(), PUSH, decoded.topic, decoded.status, decoded.error, payload)
        made.append(Recorded(frame, decoded.updates))
    return made


def write_record(file: Path, recorded: Sequence[Recorded], sessions: int = SESSIONS) -> str:
    """A record of these frames, several times over; its address."""
    url = f"sqlite:///{file}"
    engine = open_engine(url)
    migrate.require_usable(engine)
    now_ns = time.time_ns()
    key = recorded[0].frame.account_id
    with engine.begin() as connection:
        account = AccountAdded(key, "fmex", "bench", now_ns)
        run, seal, _ = open_run(connection, url, RunStarted(1, 0, now_ns, "bench", 1, "bench"), [account])
    number = 0
    for session_id in range(1, sessions + 1):
        began_ns = now_ns + session_id * len(recorded) * STEP_NS
        last_ns = began_ns + (len(recorded) - 1) * STEP_NS
        opened = SessionOpened(key, session_id, run.run_id, "wss://x", ("account",), began_ns)
        ended = SessionEnded(key, session_id, last_ns, "stopped", "", False, len(recorded) - 1, last_ns)
        for start in range(0, len(recorded), PER_BATCH):
            number += 1
            batch = Batch(run.recorder_id, run.run_id, number, seal)
            batch.entries += [opened] if start == 0 else []
            for seq, (frame, updates) in enumerate(recorded[start : start + PER_BATCH], start):
                received_ns = began_ns + seq * STEP_NS
                batch.add(frame._replace(session_id=session_id, received_ns=received_ns), updates)
            batch.entries += [ended] if start + PER_BATCH >= len(recorded) else []
            with engine.begin() as connection:
                batch.write(connection, now_ns + number)
            seal = batch.seal
    last = Batch(run.recorder_id, run.run_id, number + 1, seal)
    last.entries.append(RunEnded(run.run_id, now_ns, "bench"))
    with engine.begin() as connection:
        last.write(connection, now_ns)
    engine.dispose()
    return url
