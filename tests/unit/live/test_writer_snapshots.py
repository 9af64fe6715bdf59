"""Snapshots that the writer makes: when it has nothing better to do, and never in the way of a frame."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from recorder.live.writer import Writer
from recorder.store import snapshots
from recorder.store.snapshots import FRAMES, SETTLED, Snapshots
from tests.made import received
from tests.unit.live.peer import PATIENCE_S
from tests.unit.live.test_writer import Desk

#: More than one snapshot needs, in one batch and some more.
ENOUGH = FRAMES + FRAMES // SETTLED + 500


@contextmanager
def noticing(desk: Desk, *, fails: bool = False) -> Iterator[Event]:
    """Notice that a snapshot is being written, and let that fail where asked to."""
    noticed = Event()

    def notice(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("INSERT INTO snapshots "):
            noticed.set()
            if fails:
                raise OperationalError(statement, None, OSError("disk I/O error"))

    event.listen(desk.engine, "before_cursor_execute", notice)
    yield noticed
    event.remove(desk.engine, "before_cursor_execute", notice)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "recorder.db")


def put(desk: Desk, first: int, count: int) -> None:
    for seq in range(first, first + count):
        desk.channel.put(received(seq))
    desk.wait(lambda watermark: watermark.frames == first + count)


def test_while_nothing_waits_snapshots_are_made(desk: Desk) -> None:
    with desk, noticing(desk) as noticed:
        put(desk, 0, ENOUGH)
        assert noticed.wait(PATIENCE_S)
        desk.finish()
    assert desk.rows("SELECT count(*) FROM snapshots") == [(1,)]
    # Each order is one of its own, and all are open.
    ((rows, at_ns),) = desk.rows("SELECT count(*), min(at_ns) FROM snapshot_rows")
    assert desk.rows(f"SELECT count(*) FROM order_updates WHERE received_ns <= {at_ns}") == [(rows,)]


def test_while_frames_wait_none_is_made_before_many_are_due(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Writer, "_is_idle", lambda _: False)
    with desk, noticing(desk) as noticed:
        put(desk, 0, ENOUGH)
        put(desk, ENOUGH, 1)
        assert not noticed.is_set()
        monkeypatch.setattr(snapshots, "BEHIND", 1)
        put(desk, ENOUGH + 1, 1)
        assert noticed.wait(PATIENCE_S)


def test_a_snapshot_that_fails_stops_nothing_and_is_tried_again(desk: Desk) -> None:
    with desk:
        with noticing(desk, fails=True) as noticed:
            put(desk, 0, ENOUGH)
            assert noticed.wait(PATIENCE_S)
            put(desk, ENOUGH, 10)
        with noticing(desk) as noticed:
            put(desk, ENOUGH + 10, 10)
            assert noticed.wait(PATIENCE_S)
        desk.finish()
    assert desk.rows("SELECT count(*) FROM snapshots") == [(1,)]
    assert len(desk.seqs()) == ENOUGH + 20


def test_what_was_written_before_is_looked_through_when_a_run_begins(desk: Desk, tmp_path: Path) -> None:
    with desk:
        put(desk, 0, ENOUGH)
        desk.finish()
    with desk.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM snapshots")
        connection.exec_driver_sql("DELETE FROM snapshot_rows")
        making = Snapshots()
        assert making.due
        assert making.step(connection)
        assert making.due
        assert not making.step(connection)
        assert not making.due
        making.add(1, FRAMES // SETTLED - 1)
        assert not making.due
        making.add(1, 1)
        assert making.due
        assert not making.behind
