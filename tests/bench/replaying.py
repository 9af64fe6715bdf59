"""How fast a record is replayed as typed events, over a bare cursor with a bare JSON decoder over the same payloads.

`python -m tests.bench.replaying 1000000 10000000` tells how much memory that takes: of records of so many frames, each
replayed by a process of its own.
"""

import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import msgspec

import recorder
from recorder.read.replay.events import FrameEvent
from recorder.simulator.exchange import Exchange
from tests.bench.records import recorded_of, write_record
from tests.memory import peak_bytes

#: A record is so many times these.
FRAMES_OF_SESSION = 100_000
_REPLAY = """
import sys, recorder
with recorder.open(sys.argv[1]) as record:
    assert sum(1 for _ in record.replay()) > int(sys.argv[2])
"""
BARE = "SELECT payload FROM frames ORDER BY account_id, session_id, seq"


def require_same(url: str, frames: int) -> None:
    """Every frame once, in the order of the record, byte for byte, and typed.

    Raises:
        AssertionError: the replay gives something else than the record holds.
    """
    count = 0
    with recorder.open(url) as record, closing(_opened(url)) as database:
        replayed = (event for event in record.replay() if isinstance(event, FrameEvent))
        for event, (expected,) in zip(replayed, database.execute(BARE), strict=True):
            assert event.payload == expected, f"frame {count} of the replay is another than that of the record"
            assert event.updates, f"frame {count} tells something"
            count += 1
    assert count == frames, f"{count:,} frames, not {frames:,}"


def replay_round(url: str, _folder: Path) -> tuple[float, float]:
    """Frames a second: replayed as typed events, and read and decoded as bare JSON."""
    limit = _bare_decode(url)
    events = 0
    began_s = time.perf_counter()
    with recorder.open(url) as record:
        for _event in record.replay():
            events += 1
        took_s = time.perf_counter() - began_s
        others = 2 * sum(account.sessions for account in record.status().accounts)  # beginnings and ends
    return (events - others) / took_s, limit


def _bare_decode(url: str) -> float:
    decode = msgspec.json.Decoder().decode
    frames = 0
    began_s = time.perf_counter()
    with closing(_opened(url)) as database:
        for (payload,) in database.execute(BARE):
            decode(payload)
            frames += 1
        return frames / (time.perf_counter() - began_s)


def _opened(url: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{url.removeprefix('sqlite:///')}?mode=ro", uri=True)


def main() -> None:
    """Tell what the replays of some records take."""
    recorded = recorded_of([payload for _, payload in islice(Exchange(1), FRAMES_OF_SESSION)])
    for frames in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            url = write_record(Path(folder) / "recorder.db", recorded, frames // FRAMES_OF_SESSION)
            began_s = time.perf_counter()
            peak = peak_bytes(_REPLAY, url, f"{frames}")
            took_s = time.perf_counter() - began_s
        print(f"{frames:,} frames: replayed in {took_s:.1f} s, at most {peak / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
