"""Reading frames page by page: how large a page is, and how long a connection is kept."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from recorder.model import PUSH
from recorder.read.replay import frames
from recorder.read.replay.frames import CHUNK_BYTES, ROWS_FIRST, ROWS_MAX, FrameRange, FrameReader
from recorder.read.replay.order import FOR_EVER_NS, Life
from recorder.store.dialects import PreparedQuery
from tests.made import ACCOUNT, NOON_NS
from tests.samples import FMEX
from tests.unit.read.desk import Desk
from tests.unit.read.diary import Diary


def written(desk: Desk, payloads: Sequence[bytes | None]) -> FrameRange:
    """A session of these frames, after the one that covers it."""
    session_id = Diary(desk).session(0, [(1, payload) for payload in payloads], answered=False)
    return FrameRange(ACCOUNT, "main", FMEX, session_id, Life(NOON_NS, FOR_EVER_NS), 0, len(payloads), (PUSH,), None)


def read(desk: Desk, stretch: FrameRange) -> int:
    """How many frames there are."""
    reader = FrameReader(desk.engine, desk.url)
    count = sum(len(chunk.items) for chunk in reader.chunks(stretch))
    reader.close()
    return count


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "recorder.db")
    yield desk
    desk.engine.dispose()


LARGE = b"x" * 100_000


@pytest.mark.parametrize(
    ("payloads", "pages"),
    [
        ([None] * 1_000, [ROWS_FIRST, 2 * ROWS_FIRST, ROWS_MAX, ROWS_MAX, ROWS_MAX, ROWS_MAX]),
        ([LARGE] * 100, [ROWS_FIRST, *[CHUNK_BYTES // len(LARGE)] * 4]),
    ],
    ids=["small", "large"],
)
def test_pages_grow_unless_frames_are_large(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, payloads: list[bytes | None], pages: list[int]
) -> None:
    asked: list[int] = []
    fetch = PreparedQuery.fetch

    def watched(rows: PreparedQuery, connection: Connection, **values: int) -> Any:
        asked.append(values["most"])
        return fetch(rows, connection, **values)

    monkeypatch.setattr(PreparedQuery, "fetch", watched)
    assert read(desk, written(desk, payloads)) == len(payloads) + 1
    assert asked == pages


@pytest.mark.parametrize(("idle_s", "connections"), [(60.0, 1), (-1.0, 5)])
def test_a_connection_that_was_idle_is_made_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, idle_s: float, connections: int
) -> None:
    stretch = written(desk, [None] * (ROWS_FIRST + 2 * ROWS_FIRST + ROWS_MAX))  # and one for a fourth page
    taken: list[object] = []
    event.listen(desk.engine, "checkout", lambda *connection: taken.append(connection))
    monkeypatch.setattr(frames, "IDLE_S", idle_s)
    read(desk, stretch)  # four pages, and before them the question which frames could not be decoded
    assert len(taken) == connections
