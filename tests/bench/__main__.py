"""`make bench`: how near the recorder comes to its limits, each measured in the same run on the same machine.

- socket to durable: frames received, decoded and committed to SQLite with `synchronous=FULL`, over a bare
  websocket-client `recv` of the same frames thrown away. At least 0.30.
- writer alone: decoded frames from the queue to committed rows, over `sqlite3.executemany` of the same rows into the
  same tables in transactions of the same size. At least 0.60.
- sealing: the writer alone as it is, over the same writer without seals. At least 0.90.
- verify: a record verified by all processors, over a bare cursor that hashes each payload once with SHA-256. At least
  0.15, because every frame is decoded; with `--quick`, that is frames and seals only, 0.40, or 200,000 frames a second.
- questions: commands and views on a record ten times as long as another, on SQLite and PostgreSQL: each at most 0.5 s,
  and at most 1.5 times as long (`tests.bench.questions`).
- replay: a record of a million frames replayed as typed events, over a bare cursor and a bare `msgspec.json.Decoder` of
  the same payloads. At least 0.50. Before that, the replay must give every payload of the record, in its order.
"""

import gc
import math
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from shutil import rmtree
from threading import Event
from typing import NamedTuple
from unittest.mock import patch

import websocket
from rich.console import Console
from rich.table import Table

from recorder.clock import Clock
from recorder.live.channel import Recorded
from recorder.live.garbage import rare_collection
from recorder.live.recording import Recording
from recorder.live.settings import Account, Limits
from recorder.live.watermark import Watermark
from recorder.live.writer import Writer
from recorder.model import account_id
from recorder.simulator.exchange import Exchange
from recorder.store import migrate, seals
from recorder.store.engine import open_engine
from recorder.store.entries import AccountAdded, RunStarted
from recorder.store.journal import typed_row
from recorder.store.opening import open_run
from recorder.store.schema import TYPED, frames
from recorder.venues import venue_named
from recorder.venues.rest import Credentials
from tests.bench import questions
from tests.bench.blaster import ANSWERS, blaster
from tests.bench.records import recorded_of, write_record
from tests.bench.replaying import replay_round, require_same
from tests.bench.verifying import verify_round

FRAMES = 100_000
ROUNDS = 5
SOCKET_MIN = 0.30
WRITER_MIN = 0.60
SEALING_MIN = 0.90
SEALING_TURNS = 4
VERIFY_MIN = 0.15
QUICK_MIN = 0.40
QUICK_ENOUGH_PER_S = 200_000
REPLAY_MIN = 0.50
#: The same frames as so many sessions: a million of them.
REPLAY_SESSIONS = 10
TIMEOUT_S = 60.0
#: How many commands of ours the record holds beside what it received.
COMMANDS = 1


class Figure(NamedTuple):
    """One ratio, over all rounds."""

    name: str
    ours_per_s: list[float]
    limit_per_s: list[float]
    at_least: float
    #: Whatever the ratio is, this many a second are enough.
    enough_per_s: float = math.inf

    @property
    def is_missed(self) -> bool:
        """Whether it is too slow."""
        return self.ratio < self.at_least and statistics.median(self.ours_per_s) < self.enough_per_s

    @property
    def ratio(self) -> float:
        """Of the medians, which differ less from run to run than any one round does."""
        return statistics.median(self.ours_per_s) / statistics.median(self.limit_per_s)

    @property
    def ratios(self) -> list[float]:
        """Of each round, whose two halves ran one after the other."""
        return [ours / limit for ours, limit in zip(self.ours_per_s, self.limit_per_s, strict=True)]


def main() -> int:
    """Measure, print, and say by the exit code whether all hold."""
    pushes = [payload for _, payload in islice(Exchange(1), FRAMES)]
    recorded = recorded_of(pushes)
    with tempfile.TemporaryDirectory() as folder, blaster(Path(folder), pushes) as port:
        figures = [
            measure("socket to durable / bare recv", partial(_socket_round, port), SOCKET_MIN),
            measure("writer alone / sqlite3.executemany", partial(_writer_round, recorded), WRITER_MIN),
            measure("writer with seals / without", partial(_sealing_round, recorded), SEALING_MIN),
        ]
        url = write_record(Path(folder) / "record.db", recorded)
        for name, quick, at_least in (("verify", False, VERIFY_MIN), ("verify --quick", True, QUICK_MIN)):
            figure = measure(f"{name} / cursor with SHA-256", partial(verify_round, url, quick), at_least)
            figures.append(figure._replace(enough_per_s=QUICK_ENOUGH_PER_S) if quick else figure)
        url = write_record(Path(folder) / "long.db", recorded, REPLAY_SESSIONS)
        require_same(url, REPLAY_SESSIONS * FRAMES)
        figures.append(measure("replay / cursor with msgspec", partial(replay_round, url), REPLAY_MIN))
    table = Table(title=f"{FRAMES:,} frames, to replay {REPLAY_SESSIONS * FRAMES:,}, median of {ROUNDS} rounds")
    for title in ("figure", "ours /s", "limit /s", "ratio (min - max)", "at least"):
        table.add_column(title, justify="left" if title == "figure" else "right")
    for figure in figures:
        ratios = figure.ratios
        table.add_row(
            figure.name,
            f"{statistics.median(figure.ours_per_s):,.0f}",
            f"{statistics.median(figure.limit_per_s):,.0f}",
            f"{figure.ratio:.2f} ({min(ratios):.2f} - {max(ratios):.2f})",
            f"{figure.at_least:.2f}" + ("" if figure.enough_per_s == math.inf else f" or {figure.enough_per_s:,}/s"),
        )
    Console(width=110).print(table)
    missed = [figure.name for figure in figures if figure.is_missed]
    for name in missed:
        print(f"too slow: {name}")
    return max(1 if missed else 0, questions.main())


def measure(name: str, one_round: Callable[[Path], tuple[float, float]], at_least: float) -> Figure:
    """Run the rounds: each gives frames a second of ours, and of the limit."""
    rounds = []
    for number in range(ROUNDS):
        print(f"{name}: round {number + 1} of {ROUNDS}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            gc.collect()
            rounds.append(one_round(Path(folder)))
    return Figure(name, [ours for ours, _ in rounds], [limit for _, limit in rounds], at_least)


def _socket_round(port: int, folder: Path) -> tuple[float, float]:
    limit = _bare_recv(port)
    return _socket_to_durable(folder, port), limit


def _bare_recv(port: int) -> float:
    connection = websocket.create_connection(
        f"ws://127.0.0.1:{port}/v2/user/ws", timeout=TIMEOUT_S, skip_utf8_validation=True
    )
    try:
        connection.recv()
        began_s = time.perf_counter()
        for _ in range(FRAMES + len(ANSWERS) - 1):
            connection.recv()
        return FRAMES / (time.perf_counter() - began_s)
    finally:
        connection.close(timeout=0)


def _socket_to_durable(folder: Path, port: int) -> float:
    done = Event()
    done_ns = 0

    def on_durable(watermark: Watermark) -> None:
        nonlocal done_ns
        # An answer of REST counts as a frame too: a few of 100,000 frames may still be waiting, but no more.
        if not done.is_set() and watermark.frames >= FRAMES + len(ANSWERS) + COMMANDS:
            done_ns = time.time_ns()
            done.set()

    account = Account(
        name="bench",
        venue=venue_named("fmex"),
        url=f"http://127.0.0.1:{port}",
        credentials=Credentials(key="key", secret="secret"),
        symbols=("btcusd_p",),
    )
    file = folder / "ours.db"
    with Recording(f"sqlite:///{file}", [account], on_durable=on_durable), rare_collection():
        if not done.wait(TIMEOUT_S):
            raise TimeoutError("not everything became durable")
    with sqlite3.connect(file) as database:
        first_ns = int(database.execute("SELECT received_ns FROM frames WHERE seq = 0").fetchone()[0])
        (received,) = database.execute("SELECT count(*) FROM frames WHERE source = 'push'").fetchone()
    database.close()
    if received != FRAMES + len(ANSWERS):
        raise ValueError(f"{received:,} frames of the socket were recorded, not {FRAMES + len(ANSWERS):,}")
    return FRAMES / ((done_ns - first_ns) / 1e9)


def _writer_round(recorded: list[Recorded], folder: Path) -> tuple[float, float]:
    limit = _executemany(folder, recorded)
    return _writer_alone(folder, recorded), limit


def _sealing_round(recorded: list[Recorded], folder: Path) -> tuple[float, float]:
    """Several of both, in turns: one alone differs by more than what is measured."""
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(SEALING_TURNS):
        for sealed in (True, False) if turn % 2 else (False, True):
            place = folder / f"{turn}-{sealed}"
            place.mkdir()
            with nullcontext() if sealed else patch.object(seals, "frame_digests", lambda run_id, frames: b""):
                speeds[sealed].append(_writer_alone(place, recorded))
            rmtree(place)
    return statistics.median(speeds[True]), statistics.median(speeds[False])


def _writer_alone(folder: Path, recorded: list[Recorded]) -> float:
    url = f"sqlite:///{folder / 'writer.db'}"
    engine = open_engine(url)
    migrate.require_usable(engine)
    with engine.begin() as connection:
        account = AccountAdded(account_id("fmex", "bench"), "fmex", "bench", time.time_ns())
        run, seal, _ = open_run(connection, url, RunStarted(1, 0, time.time_ns(), "bench", 1, "bench"), [account])
    limits = Limits(queue_frames_max=len(recorded) + 1, queue_bytes_max=2**40)
    done = Event()

    def on_durable(watermark: Watermark) -> None:
        if watermark.frames == len(recorded):
            done.set()

    writer = Writer(engine, url, run.recorder_id, run.run_id, seal, Clock(), limits, on_durable, lambda: None)
    channel = writer.channel()
    for one in recorded:
        channel.put(one)
    with rare_collection():
        began_s = time.perf_counter()
        writer.start()
        if not done.wait(TIMEOUT_S):
            raise TimeoutError("not everything became durable")
        took_s = time.perf_counter() - began_s
    writer.finish("bench")
    writer.join()
    return len(recorded) / took_s


def _executemany(folder: Path, recorded: list[Recorded]) -> float:
    file = folder / "limit.db"
    migrate.require_usable(open_engine(f"sqlite:///{file}"))
    batches = []
    size = Limits().batch_frames_max
    for start in range(0, len(recorded), size):
        chunk = recorded[start : start + size]
        tables: dict[str, list[tuple[object, ...]]] = {frames.name: [tuple(one.frame) for one in chunk]}
        for one in chunk:
            for item, update in enumerate(one.updates):
                tables.setdefault(TYPED[type(update)].name, []).append(typed_row(one.frame, item, update))
        batches.append([(_insert(table, len(rows[0])), rows) for table, rows in tables.items()])
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA synchronous=FULL")
    began_s = time.perf_counter()
    for batch in batches:
        database.execute("BEGIN IMMEDIATE")
        for statement, rows in batch:
            database.executemany(statement, rows)
        database.execute("COMMIT")
    took_s = time.perf_counter() - began_s
    database.close()
    return len(recorded) / took_s


def _insert(table: str, columns: int) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})"


if __name__ == "__main__":
    sys.exit(main())
