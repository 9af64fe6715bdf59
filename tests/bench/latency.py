"""From the receipt of a push until it is durable: `python -m tests.bench.latency [RATE ...]`, pushes a second.

Pushes come at random moments (a Poisson process); `40x10` is 40 a second in bursts of 10. They are recorded as
`recorder run` records them, into SQLite with `synchronous=FULL`. For each rate it prints the latency, how many pushes
share a batch, the bytes on disk and the processor time for each push.
"""

import resource
import sqlite3
import statistics
import sys
import tempfile
from bisect import bisect_left
from contextlib import closing
from itertools import islice
from pathlib import Path
from threading import Event

from recorder.clock import NS_PER_MS, Clock
from recorder.live.garbage import rare_collection
from recorder.live.recording import Recording
from recorder.live.settings import Limits
from recorder.live.watermark import Watermark
from recorder.simulator.exchange import Exchange
from recorder.venues import DEFAULT_VENUE
from tests.bench.blaster import blaster
from tests.bench.opening import account_at, opening_of

RATES = ("1", "40", "40x10", "1000", "1000x50")
#: How long pushes come at each rate, seconds, but no fewer than this many pushes.
SECONDS = 15.0
PUSHES_MIN = 30


def main() -> None:
    """Measure each rate and print a line."""
    print("rate      p50 ms   p99 ms   max ms   pushes/batch   bytes/push   cpu us/push")
    for rate in sys.argv[1:] or RATES:
        print(f"{rate:8}{measure(rate)}", flush=True)


def measure(rate: str, limits: Limits | None = None) -> str:
    """Record pushes at this rate; returns the figures."""
    per_s, _, burst = rate.partition("x")
    pushes = max(int(float(per_s) * SECONDS), PUSHES_MIN)
    payloads = [payload for _, payload in islice(Exchange(1), pushes)]
    with tempfile.TemporaryDirectory() as folder:
        empty_bytes = _record(Path(folder) / "empty.db", [], 1.0, 1, limits)[1]
        began = resource.getrusage(resource.RUSAGE_SELF)
        latencies, size_bytes, batches = _record(
            Path(folder) / "full.db", payloads, float(per_s), int(burst or 1), limits
        )
        ended = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    ms = sorted(latency / NS_PER_MS for latency in latencies)
    p99 = ms[int(len(ms) * 0.99)]
    return (
        f"{statistics.median(ms):8.2f} {p99:8.2f} {ms[-1]:8.2f} {pushes / batches:14.2f} "
        f"{(size_bytes - empty_bytes) / pushes:12,.0f} {cpu_s / pushes * 1e6:13,.0f}"
    )


def _record(
    file: Path, payloads: list[bytes], per_s: float, burst: int, limits: Limits | None
) -> tuple[list[int], int, int]:
    """Record these pushes. Returns the latencies in ns, the size of the file and the number of batches of pushes."""
    durable: list[tuple[int, int]] = []
    opening = opening_of(DEFAULT_VENUE)
    last_seq = len(opening.answers) + opening.commands + len(payloads) - 1
    done, clock = Event(), Clock()

    def on_durable(watermark: Watermark) -> None:
        for mark in watermark.marks.values():
            durable.append((mark.seq, clock.wall_ns()))
            if mark.seq >= last_seq:
                done.set()

    with blaster(file.parent, opening, payloads, per_s, burst) as port:
        account = account_at(DEFAULT_VENUE, f"http://127.0.0.1:{port}")
        recording = Recording(f"sqlite:///{file}", [account], limits, on_durable=on_durable)
        with recording, rare_collection():
            if not done.wait(len(payloads) / per_s * 2 + 30):
                raise TimeoutError("not everything became durable")
    seqs = [seq for seq, _ in durable]
    before = last_seq - len(payloads)
    with closing(sqlite3.connect(file)) as database:
        received = database.execute(
            "SELECT seq, received_ns FROM frames WHERE source = 'push' AND seq > ?", (before,)
        ).fetchall()
        (batches,) = database.execute("SELECT count(*) FROM spans WHERE last_seq > ?", (before,)).fetchone()
    latencies = [durable[bisect_left(seqs, seq)][1] - received_ns for seq, received_ns in received]
    return latencies, file.stat().st_size, max(batches, 1)


if __name__ == "__main__":
    main()
