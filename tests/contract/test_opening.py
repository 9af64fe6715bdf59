"""The first batch of a run: whose it is, what a crash left, and keys in the order of lives."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from recorder.store.entries import AccountAdded, RunStarted
from recorder.store.opening import newest_session, open_run
from recorder.store.schema import recorders, runs
from tests.contract.story import Heard, Teller, Told
from tests.made import ACCOUNT, NOON_NS, quick_engine

ADDED = AccountAdded(ACCOUNT, "fmex", "main", NOON_NS)


@pytest.fixture
def file(tmp_path: Path, sqlite_template: Path) -> Path:
    return Path(shutil.copy(sqlite_template, tmp_path / "recorder.db"))


@pytest.fixture
def opened(file: Path) -> Iterator[Engine]:
    engine = quick_engine(f"sqlite:///{file}")
    yield engine
    engine.dispose()


def open_it(engine: Engine, file: Path, run_id: int = 10) -> RunStarted:
    with engine.begin() as connection:
        run, _, _ = open_run(connection, f"sqlite:///{file}", RunStarted(run_id, 0, NOON_NS, "h", 1, "v"), [ADDED])
    return run


def test_a_file_is_one_recorder_for_ever(opened: Engine, file: Path) -> None:
    first, second = open_it(opened, file), open_it(opened, file, 20)
    assert first.recorder_id == second.recorder_id
    moved = file.rename(file.with_name("moved.db"))
    engine = quick_engine(f"sqlite:///{moved}")
    assert open_it(engine, moved, 30).recorder_id == first.recorder_id
    engine.dispose()


def test_a_copy_is_a_recorder_of_its_own(opened: Engine, file: Path) -> None:
    first = open_it(opened, file)
    opened.dispose()
    copy = Path(shutil.copy(file, file.with_name("copy.db")))
    engine = quick_engine(f"sqlite:///{copy}")
    second = open_it(engine, copy, 20)
    assert second.recorder_id != first.recorder_id
    with engine.connect() as connection:
        assert len(connection.execute(select(recorders)).all()) == 2
        # What the other one left is the other one's: only it can know whether it goes on.
        assert [run.end_reason for run in connection.execute(select(runs).order_by(runs.c.run_id))] == [None, None]
    engine.dispose()


def test_keys_are_in_the_order_of_lives_where_the_clock_has_gone_back(opened: Engine, file: Path) -> None:
    first, second, third = open_it(opened, file, 1_000), open_it(opened, file, 10), open_it(opened, file, 2_000)
    assert first.run_id < second.run_id < third.run_id


def test_the_newest_session_counts_rounds_too(tmp_path: Path, sqlite_template: Path) -> None:
    teller = Teller(tmp_path / "one.db", sqlite_template, 1)
    teller.write([Told(2, 1)], [Heard(1, 5, "stopped")])
    with teller.engine.connect() as connection:
        assert newest_session(connection, ACCOUNT) == (1 << 40) + (1 << 8) + 1 + 128
        assert newest_session(connection, 99) == 0
    teller.engine.dispose()
