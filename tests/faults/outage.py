"""A day's outage of the server's database: `make outage`.

Millions of frames lie in the journal when the server comes back. A recorder starts, records on, and sends all of them.
Its memory must be that of a recorder with hardly anything to send, and server and journal must hold the same, byte for
byte. Prints a table; exits with 1 where that is not so.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track
from rich.table import Table
from sqlalchemy import Engine, text

from recorder.live.channel import Recorded
from recorder.model import PUSH, Frame, account_id, time_ordered_id
from recorder.simulator import Simulator, SimulatorOptions
from recorder.store import migrate
from recorder.store.engine import open_engine
from recorder.store.entries import AccountAdded, Covered, RunEnded, RunStarted, SessionEnded, SessionOpened
from recorder.store.journal import Batch
from recorder.store.mover import require_same
from recorder.store.opening import open_run
from recorder.venues.reading import read_frame
from tests.integration.process import Folder
from tests.samples import FMEX, sample
from tests.server import PostgresServer

BATCH_FRAMES = 4_000
#: With so few frames the recorder's memory is what it is without an outage.
FEW = 40_000
#: How much more memory many frames may take than few, of which a page cache of SQLite's is the most.
MORE_MEMORY_MAX = 1.25
#: How long everything may take to arrive, seconds.
PATIENCE_S = 1_800

MAIN = account_id("fmex", "main")
TOPICS = ("account", "order.btcusd_p", "position.btcusd_p")


class Result(NamedTuple):
    """One outage."""

    frames: int
    journal_mib: float
    sent_s: float
    peak_mib: float
    compared: int


def main() -> None:
    """Do it with few frames, then with many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5_000_000, help="that wait when the server comes back")
    frames = parser.parse_args().frames
    with PostgresServer() as server:
        few, many = outage(server, FEW), outage(server, frames)
    table = Table(
        "frames waiting", "journal MiB", "sent in s", "frames/s", "peak memory MiB", "the same, frames compared"
    )
    for one in (few, many):
        rate = f"{one.frames / one.sent_s:,.0f}"
        table.add_row(
            f"{one.frames:,}", f"{one.journal_mib:,.0f}", f"{one.sent_s:,.1f}", rate, f"{one.peak_mib:,.0f}",
            f"{one.compared:,}",
        )  # fmt: skip
    Console().print(table)
    if many.peak_mib > few.peak_mib * MORE_MEMORY_MAX:
        sys.exit("memory grew with the outage")


def outage(server: PostgresServer, frames: int) -> Result:
    """Fill a journal while the server is away; then let a recorder send it."""
    url = server.new_database(empty=True)
    with (
        tempfile.TemporaryDirectory() as path,
        Simulator(SimulatorOptions(rate_per_s=5, keep_sent=False)) as exchange,
    ):
        folder = Folder(Path(path))
        folder.configure(exchange, server=url)
        _fill(f"sqlite:///{folder.database}", frames)
        size_mib = folder.database.stat().st_size / 2**20
        began_s = time.monotonic()
        with folder.run() as process:
            reader = open_engine(url, read_only=True)
            waiting = True
            while waiting:
                assert time.monotonic() - began_s < PATIENCE_S, process.errors
                assert process.running, process.errors
                time.sleep(0.2)  # nobody tells of another program's commits but the database, when it is asked
                waiting = _sent(reader) < frames
            sent_s = time.monotonic() - began_s
            peak_mib = process.peak_bytes() / 2**20
            code, _ = process.stop()
            assert code == 0, process.errors
        journal = open_engine(f"sqlite:///{folder.database}", read_only=True)
        with journal.connect() as one, reader.connect() as other:
            compared = require_same(one, other)
        assert compared >= frames
        return Result(frames, size_mib, sent_s, peak_mib, compared)


def _sent(reader: Engine) -> int:
    with reader.connect() as connection:
        if not migrate.current(connection):
            return 0
        return int(connection.execute(text("SELECT coalesce(sum(frames), 0) FROM batches")).scalar() or 0)


def _fill(url: str, frames: int) -> None:
    """A journal as a run leaves it."""
    engine = open_engine(url)
    migrate.upgrade(engine)
    now_ns = time.time_ns()
    run_id = session_id = time_ordered_id(now_ns)
    with engine.begin() as connection:
        started = RunStarted(run_id, 0, now_ns, "outage", 1, "outage")
        run, seal, _ = open_run(connection, url, started, [AccountAdded(MAIN, "fmex", "main", now_ns)])
    batches = list(range(1, frames // BATCH_FRAMES + 1))
    recorded = _frames(session_id, now_ns)
    for number in track(batches, f"{frames:,} frames into the journal", console=Console(stderr=True), transient=True):
        batch = Batch(run.recorder_id, run_id, number, seal)
        if number == 1:
            batch.entries.append(SessionOpened(MAIN, session_id, run_id, "wss://x", TOPICS, now_ns))
            batch.entries.append(Covered(MAIN, session_id, 0, now_ns, TOPICS, {}))
        for _ in range(BATCH_FRAMES):
            batch.add(*next(recorded))
        if number == batches[-1]:
            last = batch.frames[-1]
            over = SessionEnded(MAIN, session_id, last.received_ns, "stopped", "", True, last.seq, last.received_ns)
            batch.entries += [over, RunEnded(run_id, last.received_ns, "stopped")]
        with engine.begin() as connection:
            batch.write(connection, now_ns + number)
        seal = batch.seal
    engine.dispose()


def _frames(session_id: int, now_ns: int) -> Iterator[Recorded]:
    """The page's own pushes, over and over."""
    made = [(payload, read_frame(FMEX, payload)) for payload in map(sample, ("account", "order", "position"))]
    seq = 0
    while True:
        for payload, decoded in made:
            state = decoded.topic, decoded.status, decoded.error
            yield Recorded(Frame(MAIN, session_id, seq, now_ns + seq, PUSH, *state, payload), decoded.rows)
            seq += 1


if __name__ == "__main__":
    main()
