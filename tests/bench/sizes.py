"""What a push takes on disk: pushes of a venue's stand-in written as the writer writes them, under ids of full size."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from recorder.live.channel import Recorded
from recorder.store import migrate
from tests.bench.records import PER_BATCH, write_record
from tests.made import quick_engine

#: Pushes that come alone: each is a batch of its own.
LONE = 1_000


def burst_bytes(folder: Path, recorded: Sequence[Recorded], venue_name: str) -> float:
    """Bytes on disk for each push of a burst."""
    return _bytes_of(folder, recorded, venue_name, PER_BATCH)


def lone_bytes(folder: Path, recorded: Sequence[Recorded], venue_name: str) -> float:
    """Bytes on disk for each push that comes alone."""
    return _bytes_of(folder, recorded[:LONE], venue_name, 1)


def _bytes_of(folder: Path, recorded: Sequence[Recorded], venue_name: str, per_batch: int) -> float:
    empty, file = folder / "empty.db", folder / "sizes.db"
    engine = quick_engine(f"sqlite:///{empty}")
    migrate.require_usable(engine)
    engine.dispose()
    write_record(file, recorded, 1, venue_name=venue_name, per_batch=per_batch)
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = file.stat().st_size - empty.stat().st_size
    for one in (empty, file):
        one.unlink()
    return size / len(recorded)
