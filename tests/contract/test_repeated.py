"""Pushes that only repeat a state: they take no more than their frame, and nothing else of the record differs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

import recorder
from recorder.audit.verify.findings import FRAME_CHANGED, READING_CHANGED, ROW_INSERTED, ROW_REMOVED
from recorder.audit.verify.rebuilding import damage, rebuild
from recorder.audit.verify.verification import Verification, Wanted
from recorder.model import PUSH, REPEATED
from recorder.read.replay.events import FrameEvent
from recorder.store.schema import TYPED
from tests.bench.records import write_record
from tests.bench.repeating import POSITIONS, repeating
from tests.contract.test_mover import move
from tests.made import quick_engine, unguard

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = ("test_they_are_verified_replayed_and_shown", "test_a_changed_frame_or_row_of_theirs_is_found")

STATES, REPEATS = 4, 6


@pytest.fixture
def record(tmp_path: Path, engine: Engine) -> Iterator[Engine]:
    """States of an account, each pushed several times, in a database of each engine."""
    recorded = repeating(STATES, REPEATS)
    write_record(tmp_path / "one.db", recorded, 1, venue_name="hyperliquid", per_batch=5)
    source = quick_engine(f"sqlite:///{tmp_path / 'one.db'}")
    move(source, engine)
    source.dispose()
    yield engine


def count(engine: Engine, query: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text(f"SELECT count(*) FROM {query}")) or 0)


def findings(url: str) -> list[tuple[str, str]]:
    return [(one.kind, one.table) for one in Verification(url, Wanted(jobs=1))]


def test_they_are_verified_replayed_and_shown(record: Engine, url: str) -> None:
    assert count(record, "frames WHERE source = 'repeated'") == STATES * (REPEATS - 1)
    # The balance of the exchange is a row, too.
    assert {table.name: count(record, table.name) for table in TYPED.values() if count(record, table.name)} == {
        "position_updates": STATES * POSITIONS,
        "account_updates": STATES,
        "listings": STATES,
    }
    assert findings(url) == []
    with recorder.open(url) as reading:
        events = [one for one in reading.replay() if isinstance(one, FrameEvent)]
        assert [one.source for one in events] == ([PUSH] + [REPEATED] * (REPEATS - 1)) * STATES
        # A replay gives what a bot was told, so each has all of its updates.
        assert {len(one.updates) for one in events} == {POSITIONS + 1}
        changes = [one for one in reading.replay(sources=[PUSH]) if isinstance(one, FrameEvent)]
        assert changes == [one for one in events if one.source == PUSH]
        last_ns = events[-1].received_ns
        for positions in (list(reading.positions()), list(reading.as_of(last_ns).positions())):
            assert {one.quantity for one in positions} == {STATES}
            assert len(positions) == POSITIONS
        assert reading.status().accounts[0].last_frame_ns == last_ns
    assert count(record, "hyperliquid_alldexsclearinghousestate") == len(events)


def test_they_are_rebuilt_as_they_were(record: Engine, url: str) -> None:
    with record.begin() as connection:
        connection.execute(text("DELETE FROM position_updates"))
        connection.execute(text("UPDATE frames SET topic = 'else' WHERE seq BETWEEN 1 AND 2"))
    assert {kind for kind, _ in findings(url)} == {READING_CHANGED, ROW_REMOVED}
    assert damage(url) == []
    assert sum(one.read_anew for one in rebuild(url)) == 2
    assert findings(url) == []
    assert count(record, "position_updates") == STATES * POSITIONS


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE frames SET source = 'push' WHERE seq = 1", FRAME_CHANGED),
        ("UPDATE frames SET source = 'repeated' WHERE seq = 0", FRAME_CHANGED),
        ("UPDATE position_updates SET seq = 1 WHERE seq = 0 AND item = 3", ROW_INSERTED),
    ],
)
def test_a_changed_frame_or_row_of_theirs_is_found(record: Engine, url: str, change: str, expected: str) -> None:
    """Which of them are repetitions is sealed."""
    with record.begin() as connection:
        unguard(connection)
        assert connection.execute(text(change)).rowcount == 1
    assert expected in {kind for kind, _ in findings(url)}
