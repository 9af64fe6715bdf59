"""`make bench`: how near the recorder comes to its limits, each measured in the same run on the same machine.

`python -m tests.bench bybit okx` measures only what a push of these venues costs, from the socket to the disk.

- socket to durable, of each venue: frames of its stand-in received, decoded and committed to SQLite with
  `synchronous=FULL`, over a bare websocket-client `recv` of the same frames thrown away. At least 0.30 for the default
  venue's frames of a third of a kilobyte. Larger frames cost more to decode and to store, but hardly more to receive:
  0.05 for the others, whose frames are of a kilobyte and more, and may list a dozen orders.
- writer alone: decoded frames from the queue to committed rows, over `sqlite3.executemany` of the same rows into the
  same tables in transactions of the same size. At least 0.60.
- sealing: the digests of frames in batches and the roots over them, over one bare SHA-256 of each payload, both in
  processor time. At least 0.35: a seal needs that hash, a copy of a prepared state and two calls more. It was measured
  as a share of the writer, but a writer that becomes faster makes that share larger, although sealing costs the same.
- verify: a record verified by all processors, over a bare cursor that hashes each payload once with SHA-256. At least
  0.15, because every frame is decoded; with `--quick`, that is frames and seals only, 0.40, or 200,000 frames a second.
- questions: commands and views on a record ten times as long as another, on SQLite and PostgreSQL: each at most 0.5 s,
  and at most 1.5 times as long (`tests.bench.questions`).
- replay: a record of a million frames replayed as typed events, over a bare cursor and a bare `msgspec.json.Decoder` of
  the same payloads. At least 0.50. Before that, the replay must give every payload of the record, in its order.
- bytes on disk, of each venue: of the database, over those of the payloads, where pushes come in bursts and where each
  comes alone, in a batch of its own. At most 2.2 and 3.2 for the default venue, 2.3 and 3.3 for the others: what is
  stored beside a small frame is most of it, and of some venues a frame has 400 bytes. A state of
  50 positions that is pushed again, unchanged and alone: at most 1.15.
"""

import gc
import math
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from threading import Event
from typing import NamedTuple

import websocket
from rich.console import Console
from rich.table import Table

from recorder.clock import Clock
from recorder.live.channel import Recorded
from recorder.live.garbage import rare_collection
from recorder.live.recording import Recording
from recorder.live.settings import Limits
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
from recorder.venues import DEFAULT_VENUE, VENUES, venue_named
from tests.bench import questions
from tests.bench.blaster import blaster
from tests.bench.opening import Opening, account_at, opening_of
from tests.bench.records import PER_BATCH, recorded_of, write_record
from tests.bench.repeating import VENUE as REPEATING_VENUE
from tests.bench.repeating import repeating
from tests.bench.replaying import replay_round, require_same
from tests.bench.sizes import LONE, burst_bytes, lone_bytes
from tests.bench.verifying import verify_round

FRAMES = 100_000
#: Of each venue but the default one.
OTHER_FRAMES = 25_000
ROUNDS, OTHER_ROUNDS = 5, 3
#: Venues whose records are asked: fills are derived from orders, or pushed. Others: `python -m tests.bench.questions`.
ASKED = (DEFAULT_VENUE, "bybit")
SOCKET_MIN = 0.30
OTHER_SOCKET_MIN = 0.05
WRITER_MIN = 0.60
SEALING_MIN = 0.35
#: What a push takes on disk, over its payload: in a burst, and alone.
BURST_MAX, OTHER_BURST_MAX = 2.2, 2.3
LONE_MAX, OTHER_LONE_MAX = 3.2, 3.3
REPEATED_MAX = 1.15
VERIFY_MIN = 0.15
QUICK_MIN = 0.40
QUICK_ENOUGH_PER_S = 200_000
REPLAY_MIN = 0.50
#: The same frames as so many sessions: a million of them.
REPLAY_SESSIONS = 10
TIMEOUT_S = 60.0


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


class Size(NamedTuple):
    """What a push takes on disk, in bytes."""

    name: str
    stored: float
    payload: float
    at_most: float

    @property
    def ratio(self) -> float:
        """Over its payload."""
        return self.stored / self.payload

    @property
    def is_missed(self) -> bool:
        """Whether it takes too much."""
        return self.ratio > self.at_most


def main(venue_names: Sequence[str] = ()) -> int:
    """Measure, print, and say by the exit code whether all hold.

    Args:
        venue_names: of these only what a push costs, from the socket to the disk; none: everything, of all.
    """
    figures: list[Figure] = []
    sizes: list[Size] = []
    recorded: list[Recorded] = []
    for venue_name in venue_names or (DEFAULT_VENUE, *(name for name in VENUES if name != DEFAULT_VENUE)):
        is_default = venue_name == DEFAULT_VENUE
        key = venue_named(venue_name).stand_in.default_account[0]
        made = islice(Exchange(1, venue=venue_name, key=key), FRAMES if is_default else OTHER_FRAMES)
        opening = opening_of(venue_name)
        pushes = [frame for topic, payload in made for frame in opening.pushed(topic, payload)]
        one_round = partial(_socket_round, venue_name, opening, pushes)
        at_least, rounds = (SOCKET_MIN, ROUNDS) if is_default else (OTHER_SOCKET_MIN, OTHER_ROUNDS)
        figures.append(measure(f"socket to durable / bare recv ({venue_name})", one_round, at_least, rounds))
        sizes += _sizes(venue_name, pushes[:OTHER_FRAMES])
        if is_default:
            recorded = recorded_of(pushes)
    if venue_names:
        return _show(figures, sizes)
    with tempfile.TemporaryDirectory() as folder:
        figures += [
            measure("writer alone / sqlite3.executemany", partial(_writer_round, recorded), WRITER_MIN),
            measure("sealing / SHA-256 of each payload", partial(_sealing_round, recorded), SEALING_MIN),
        ]
        url = write_record(Path(folder) / "record.db", recorded)
        for name, quick, at_least in (("verify", False, VERIFY_MIN), ("verify --quick", True, QUICK_MIN)):
            figure = measure(f"{name} / cursor with SHA-256", partial(verify_round, url, quick), at_least)
            figures.append(figure._replace(enough_per_s=QUICK_ENOUGH_PER_S) if quick else figure)
        url = write_record(Path(folder) / "long.db", recorded, REPLAY_SESSIONS)
        require_same(url, REPLAY_SESSIONS * FRAMES)
        figures.append(measure("replay / cursor with msgspec", partial(replay_round, url), REPLAY_MIN))
    return max(_show(figures, sizes), *(questions.main(venue_name=one) for one in ASKED))


def _show(figures: Sequence[Figure], sizes: Sequence[Size]) -> int:
    """Print a table; says by the exit code whether all figures hold."""
    table = Table(title=f"{FRAMES:,} frames, to replay {REPLAY_SESSIONS * FRAMES:,}, median of {ROUNDS} rounds")
    for title in ("figure", "ours", "limit", "ratio (min - max)", "bound"):
        table.add_column(title, justify="left" if title == "figure" else "right")
    for figure in figures:
        ratios = figure.ratios
        table.add_row(
            figure.name,
            f"{statistics.median(figure.ours_per_s):,.0f}/s",
            f"{statistics.median(figure.limit_per_s):,.0f}/s",
            f"{figure.ratio:.2f} ({min(ratios):.2f} - {max(ratios):.2f})",
            f"≥ {figure.at_least:.2f}" + ("" if figure.enough_per_s == math.inf else f" or {figure.enough_per_s:,}/s"),
        )
    for size in sizes:
        row = f"{size.stored:,.0f} bytes", f"{size.payload:,.0f} bytes", f"{size.ratio:.2f}", f"≤ {size.at_most:.2f}"
        table.add_row(f"bytes on disk / payload, {size.name}", *row)
    Console(width=120).print(table)
    missed = [one.name for one in figures if one.is_missed] + [one.name for one in sizes if one.is_missed]
    for name in missed:
        print(f"missed: {name}")
    return 1 if missed else 0


def measure(
    name: str, one_round: Callable[[Path], tuple[float, float]], at_least: float, rounds_max: int = ROUNDS
) -> Figure:
    """Run the rounds: each gives frames a second of ours, and of the limit."""
    rounds = []
    for number in range(rounds_max):
        print(f"{name}: round {number + 1} of {rounds_max}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            gc.collect()
            rounds.append(one_round(Path(folder)))
    return Figure(name, [ours for ours, _ in rounds], [limit for _, limit in rounds], at_least)


def _sizes(venue_name: str, pushes: Sequence[bytes]) -> list[Size]:
    """What pushes take on disk."""
    recorded = recorded_of(pushes, venue_name)
    alone, is_default = recorded[:LONE], venue_name == DEFAULT_VENUE
    with tempfile.TemporaryDirectory() as folder:
        burst, lone = (measured(Path(folder), recorded, venue_name) for measured in (burst_bytes, lone_bytes))
    return [
        Size(f"bursts ({venue_name})", burst, _mean_payload(recorded), BURST_MAX if is_default else OTHER_BURST_MAX),
        Size(f"each alone ({venue_name})", lone, _mean_payload(alone), LONE_MAX if is_default else OTHER_LONE_MAX),
    ]


def _repeated_size() -> Size:
    """What a state takes that has not changed."""
    recorded = repeating(1, LONE)
    with tempfile.TemporaryDirectory() as folder:
        stored = lone_bytes(Path(folder), recorded, REPEATING_VENUE)
    return Size(f"a repeated state ({REPEATING_VENUE})", stored, _mean_payload(recorded), REPEATED_MAX)


def _mean_payload(recorded: Sequence[Recorded]) -> float:
    return sum(len(one.frame.payload) for one in recorded) / len(recorded)


def _socket_round(venue_name: str, opening: Opening, pushes: Sequence[bytes], folder: Path) -> tuple[float, float]:
    with blaster(folder, opening, pushes) as port:
        limit = _bare_recv(port, opening, len(pushes))
        return _socket_to_durable(folder, venue_name, port, opening, len(pushes)), limit


def _bare_recv(port: int, opening: Opening, pushes: int) -> float:
    connection = websocket.create_connection(
        f"ws://127.0.0.1:{port}{opening.path}", timeout=TIMEOUT_S, skip_utf8_validation=True
    )
    try:
        connection.recv()
        began_s = time.perf_counter()
        for _ in range(pushes + len(opening.answers) - 1):
            connection.recv()
        return pushes / (time.perf_counter() - began_s)
    finally:
        connection.close(timeout=0)


def _socket_to_durable(folder: Path, venue_name: str, port: int, opening: Opening, pushes: int) -> float:
    done = Event()
    done_ns = 0

    def on_durable(watermark: Watermark) -> None:
        nonlocal done_ns
        # An answer of REST counts as a frame too: a few of all frames may still be waiting, but no more.
        if not done.is_set() and watermark.frames >= pushes + opening.told + opening.commands:
            done_ns = time.time_ns()
            done.set()

    account = account_at(venue_name, f"http://127.0.0.1:{port}")
    file = folder / "ours.db"
    with Recording(f"sqlite:///{file}", [account], on_durable=on_durable), rare_collection():
        if not done.wait(TIMEOUT_S):
            raise TimeoutError("not everything became durable")
    with sqlite3.connect(file) as database:
        first = "SELECT min(received_ns) FROM frames WHERE source = 'push'"
        first_ns = int(database.execute(first).fetchone()[0])
        (received,) = database.execute("SELECT count(*) FROM frames WHERE source = 'push'").fetchone()
    database.close()
    if received != pushes + opening.told:
        raise ValueError(f"{received:,} frames of the sockets were recorded, not {pushes + opening.told:,}")
    return pushes / ((done_ns - first_ns) / 1e9)


def _writer_round(recorded: list[Recorded], folder: Path) -> tuple[float, float]:
    limit = _executemany(folder, recorded)
    return _writer_alone(folder, recorded), limit


def _sealing_round(recorded: list[Recorded], _folder: Path) -> tuple[float, float]:
    frames = [one.frame for one in recorded]
    began_s = time.process_time()
    for frame in frames:
        sha256(frame.payload).digest()
    limit_s = time.process_time() - began_s
    began_s = time.process_time()
    for start in range(0, len(frames), PER_BATCH):
        seals.frames_root(seals.frame_digests(1, frames[start : start + PER_BATCH]))
    return len(frames) / (time.process_time() - began_s), len(frames) / limit_s


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
    sys.exit(main(sys.argv[1:]))
