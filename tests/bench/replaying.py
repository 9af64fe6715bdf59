"""How fast a record is replayed as typed events, over a bare cursor with a bare JSON decoder over the same payloads."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import msgspec

import recorder
from recorder.read.events import FrameEvent

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
