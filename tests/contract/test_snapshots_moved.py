"""Snapshots where a record is moved to: made on the way, and never of what somebody is just writing."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

import recorder
from recorder.store.dialects import POSTGRESQL, share_account, take_account
from recorder.store.mover import Mover
from recorder.store.schema import snapshot_rows, snapshots
from recorder.store.snapshots import FRAMES, SETTLED, Snapshots, make_all
from tests.bench.as_of import READS, STEP_NS, fill
from tests.made import ACCOUNT, NOON_NS, quick_engine

#: Enough for two snapshots.
UPDATES = 3 * FRAMES


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a record of some length."""
    url = f"sqlite:///{tmp_path_factory.mktemp('source') / 'source.db'}"
    fill(url, UPDATES)
    return url


def instants(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(select(snapshots.c.at_ns).order_by(snapshots.c.at_ns)))


def told(url: str) -> list[list[object]]:
    with recorder.open(url) as record:
        moments = [
            record.as_of(NOON_NS + at * STEP_NS) for at in (0, 500, FRAMES, 2 * FRAMES + 1, UPDATES, 2 * UPDATES)
        ]
        return [list(getattr(moment, read)()) for moment in moments for read in READS]


def test_snapshots_are_made_on_the_way(source: str, url: str, engine: Engine) -> None:
    reading = quick_engine(source)
    mover = Mover(reading, engine, 1_000)
    moved, seen = 0, 0
    while (step := mover.step()) is not None:
        moved += step.frames
        made = instants(engine)
        # No further than has been moved, and never far behind.
        assert all(at_ns <= NOON_NS + moved * STEP_NS for at_ns in made)
        seen = max(seen, len(made))
    mover.close()
    assert seen == 2
    with engine.connect() as connection:
        assert list(make_all(connection)) == []
        assert connection.execute(select(func.count()).select_from(snapshot_rows)).scalar_one() > 50
    assert instants(engine) == instants(reading)
    assert told(url) == told(source)
    reading.dispose()


def test_no_snapshot_is_made_of_an_account_that_somebody_writes(source: str, engine: Engine) -> None:
    if engine.dialect.name != POSTGRESQL:
        pytest.skip("on SQLite, who writes is alone")
    reading = quick_engine(source)
    mover = Mover(reading, engine)
    while mover.step() is not None:
        pass
    mover.close()
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM snapshot_rows")
        connection.exec_driver_sql("DELETE FROM snapshots")
    with engine.connect() as one, engine.connect() as other, engine.connect() as making:
        with one.begin(), other.begin():
            share_account(one, ACCOUNT)
            share_account(other, ACCOUNT)  # two may write the same account
            with making.begin():
                assert not Snapshots().step(making)
        with making.begin():
            assert Snapshots().step(making)
            with other.begin():
                assert not take_account(other, ACCOUNT)
                assert take_account(other, ACCOUNT + 1)
    reading.dispose()


def test_the_last_frames_wait_for_those_that_are_late(url: str, engine: Engine) -> None:
    if engine.dialect.name == POSTGRESQL:
        pytest.skip("the same on every engine")
    fill(url, FRAMES + FRAMES // SETTLED - 1)
    assert instants(engine) == []
    fill_more = f"sqlite:///{Path(url.removeprefix('sqlite:///')).with_name('more.db')}"
    fill(fill_more, FRAMES + FRAMES // SETTLED + 1)
    more = quick_engine(fill_more)
    (at_ns,) = instants(more)
    assert at_ns <= NOON_NS + FRAMES * STEP_NS
    more.dispose()
