"""The writer: batches, what it says is durable, and a database that will not take them."""

import logging
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any, Self

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from recorder.clock import Clock
from recorder.errors import DatabaseError, DatabaseMoved, NotDurable
from recorder.live.channel import Channel, ChannelClosed
from recorder.live.settings import Limits
from recorder.live.watermark import Watermark
from recorder.live.writer import Writer
from recorder.store.database_file import HeldFile
from recorder.store.entries import CheckpointMade, Covered, LogEntry, RunStarted, SessionEnded, SessionOpened
from recorder.store.journal import OPENING, Batch
from recorder.store.seals import BEGINNING
from tests.made import ACCOUNT, NOON_NS, RECORDER, RUN, SESSION, new_database, received, sent
from tests.unit.live.peer import PATIENCE_S

STARTED = RunStarted(RUN, RECORDER, NOON_NS, "here", 1, "0")
OPENED = SessionOpened(ACCOUNT, SESSION, RUN, "wss://x", ("account",), NOON_NS)


class Desk:
    """A writer with a database of its own, started by the context and finished at its end."""

    def __init__(self, path: Path, limits: Limits | None = None, clock: Clock | None = None) -> None:
        self.path = path
        self.url, self.engine = new_database(path)
        opening = Batch(RECORDER, RUN, OPENING, BEGINNING)
        opening.entries.append(STARTED)
        with self.engine.begin() as connection:
            opening.write(connection, NOON_NS)
        self.file = HeldFile(path)
        self.ended = Event()
        self.told: list[Watermark] = []
        self.on_durable: Callable[[Watermark], None] = self.told.append
        self.sealed: list[Batch] = []
        self.last_entry: Callable[[], LogEntry | None] = lambda: None
        self._moved = Event()
        self.writer = Writer(
            self.engine,
            self.url,
            RECORDER,
            RUN,
            opening.seal,
            clock or Clock(),
            limits or Limits(),
            self._on_durable,
            self.ended.set,
            on_sealed=self.sealed.append,
            last_entry=self._last_entry,
            file=self.file,
        )
        self.channel: Channel = self.writer.channel()

    def _on_durable(self, watermark: Watermark) -> None:
        self.on_durable(watermark)
        self._moved.set()

    def _last_entry(self) -> LogEntry | None:
        return self.last_entry()

    def __enter__(self) -> Self:
        self.writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.finish("test")
        self.writer.give_up()
        self.writer.join(PATIENCE_S)
        assert not self.writer.is_alive()
        self.file.__exit__()

    def finish(self) -> None:
        """Let it write everything, and end."""
        self.writer.finish("done")
        self.writer.join(PATIENCE_S)
        assert self.writer.failure is None

    def wait(self, done: Callable[[Watermark], bool]) -> None:
        """Wait until the watermark is so."""
        while not done(self.writer.watermark):
            assert self._moved.wait(PATIENCE_S), self.writer.watermark
            self._moved.clear()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a fresh reader finds."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()

    def seqs(self) -> list[int]:
        return [seq for (seq,) in self.rows("SELECT seq FROM frames ORDER BY account_id, session_id, seq")]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another program holds the database's write lock."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "recorder.db")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are waited for hundredths of a second, so that tests need not wait longer."""
    monkeypatch.setattr("recorder.store.sqlite.BUSY_TIMEOUT_MS", 20)
    monkeypatch.setattr("recorder.live.writer.RETRY_FIRST_S", 0.01)
    monkeypatch.setattr("recorder.live.writer.RETRY_LAST_S", 0.05)


@contextmanager
def told(words: str) -> Iterator[Event]:
    """An event that is set when the writer logs these words."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                heard.set()

    heard, listener = Event(), Listener()
    logging.getLogger("recorder").addHandler(listener)
    try:
        yield heard
    finally:
        logging.getLogger("recorder").removeHandler(listener)


def test_everything_is_written_in_order_and_the_run_is_ended(desk: Desk) -> None:
    frames = [received(seq) if seq % 5 else sent(seq) for seq in range(500)]
    with desk:
        desk.channel.put_entry(OPENED)
        for frame in frames:
            desk.channel.put(frame)
        desk.finish()
    sql = "SELECT account_id, session_id, seq, received_ns, source, topic, status, error, payload FROM frames"
    assert desk.rows(f"{sql} ORDER BY seq") == [tuple(recorded.frame) for recorded in frames]
    assert desk.rows("SELECT order_id FROM order_updates ORDER BY seq") == [
        (str(seq),) for seq in range(500) if seq % 5
    ]
    ((run_id, ended_ns, reason),) = desk.rows("SELECT run_id, ended_ns, end_reason FROM runs")
    assert (run_id, reason) == (RUN, "done")
    assert ended_ns > NOON_NS
    assert desk.ended.is_set()
    assert desk.writer.watermark.frames == 500


def test_a_run_without_a_frame_is_in_the_event_log(desk: Desk) -> None:
    with desk:
        desk.finish()
    assert desk.rows("SELECT run_id, end_reason FROM runs") == [(RUN, "done")]
    assert [watermark.frames for watermark in desk.told] == [0], "the end of the run; its opening is not the writer's"


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        (Limits(batch_frames_max=4), [4, 4, 2]),
        (Limits(batch_frames_max=5), [5, 5]),
        # A batch is full once it has so many bytes: with the frame that takes it there.
        (Limits(batch_bytes_max=250), [3, 3, 3, 1]),
        (Limits(batch_bytes_max=1), [1] * 10),
        (Limits(), [10]),
    ],
)
def test_the_size_of_a_batch(tmp_path: Path, limits: Limits, sizes: list[int]) -> None:
    desk = Desk(tmp_path / "recorder.db", limits)
    for seq in range(10):
        desk.channel.put(received(seq, b"x" * 100))
    with desk:
        desk.finish()
    written = [frames for (frames,) in desk.rows("SELECT frames FROM batches WHERE batch > 0 ORDER BY batch")]
    assert [frames for frames in written if frames] == sizes
    assert [batch for (batch,) in desk.rows("SELECT batch FROM batches WHERE batch > 0 ORDER BY batch")] == [
        watermark.batch for watermark in desk.told
    ]


def test_an_entry_behind_a_full_batch_does_not_wait_for_the_next_frame(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "recorder.db", Limits(batch_frames_max=3))
    desk.channel.put_entry(OPENED)
    for seq in range(3):
        desk.channel.put(received(seq))
    desk.channel.put_entry(Covered(ACCOUNT, SESSION, 2, NOON_NS + 2, ("account",), {}))
    with desk:
        desk.wait(lambda watermark: watermark.batch == 2)
        assert desk.rows("SELECT covered_ns FROM sessions") == [(NOON_NS + 2,)]


def test_a_push_that_arrives_alone_is_committed_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "recorder.db", Limits(batch_ms=int(PATIENCE_S * 10_000)))
    with desk:
        for seq in range(20):
            desk.channel.put(received(seq))
            desk.wait(lambda watermark, seq=seq: watermark.frames > seq)  # type: ignore[misc]
    assert desk.seqs() == list(range(20))


def test_pushes_of_a_burst_share_commits(desk: Desk) -> None:
    frames = [received(seq) for seq in range(2_000)]
    with desk:
        for frame in frames:
            desk.channel.put(frame)
        desk.finish()
    assert desk.rows("SELECT count(*) < 200 FROM batches") == [(1,)]


@pytest.mark.parametrize(("commit_s", "pause_s"), [(0.002, 0.002), (5.0, 0.02)])
def test_the_pause_after_a_commit_is_as_long_as_the_commit_took_within_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit_s: float, pause_s: float
) -> None:
    desk = Desk(tmp_path / "recorder.db", clock=Clock(monotonic_s=count(0.0, commit_s).__next__))
    pauses: list[float] = []
    monkeypatch.setattr(desk.writer._give_up, "wait", pauses.append)
    with desk:
        for seq in range(2):
            desk.channel.put(received(seq))
            desk.wait(lambda watermark, seq=seq: watermark.frames > seq)  # type: ignore[misc]
        desk.finish()
    assert pauses == pytest.approx([pause_s, pause_s])


def test_several_channels_in_one_batch(desk: Desk) -> None:
    other = desk.writer.channel()
    for seq in range(100):
        desk.channel.put(received(seq))
        other.put(received(seq, account_id=8, session_id=80))
    with desk:
        desk.finish()
    assert desk.seqs() == [*range(100), *range(100)]
    assert {key: mark.seq for key, mark in desk.writer.watermark.marks.items()} == {ACCOUNT: 99, 8: 99}


def test_a_channel_may_have_less_room_than_the_others(desk: Desk) -> None:
    small, large = desk.writer.channel(len(received(0).frame.payload)), desk.writer.channel(2**40)
    for channel in (small, large):
        channel.put(received(0))
    assert (small.has_room(), large.has_room()) == (False, True)
    assert small.take(1, 1) and small.has_room()


def test_what_is_told_durable_is_there_for_every_other_reader(desk: Desk) -> None:
    wrong: list[tuple[Watermark, int]] = []

    def look(watermark: Watermark) -> None:
        ((found,),) = desk.rows("SELECT count(*) FROM frames")
        ((highest,),) = desk.rows("SELECT max(seq) FROM frames")
        if (found, highest) != (watermark.frames, watermark.marks[ACCOUNT].seq):
            wrong.append((watermark, found))
        desk.told.append(watermark)

    desk.on_durable = look
    with desk:
        for seq in range(60):
            desk.channel.put(received(seq))
            if seq % 3 == 0:
                desk.wait(lambda watermark, seq=seq: watermark.frames > seq)  # type: ignore[misc]
        desk.finish()
    assert wrong == []
    assert len(desk.told) >= 20
    assert [mark.batch for mark in desk.told] == list(range(1, len(desk.told) + 1))


@pytest.mark.usefixtures("impatient")
def test_a_locked_database_is_waited_for_and_nothing_is_lost_or_out_of_order(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "recorder.db", Limits(queue_frames_max=50, batch_frames_max=20, batch_ms=1))
    with desk:
        desk.channel.put(received(0))
        desk.wait(lambda watermark: watermark.frames == 1)
        with told("the write is tried again") as waits:
            with desk.locked():
                seq = 0
                while desk.channel.has_room():
                    seq += 1
                    desk.channel.put(received(seq))
                assert waits.wait(PATIENCE_S)
                assert desk.writer.watermark.frames == 1
                # The batch that is being tried has left the channel, and leaves room for as many.
                while desk.channel.has_room():
                    seq += 1
                    desk.channel.put(received(seq))
                assert not desk.channel.wait_for_room(0.05)
                assert desk.seqs() == [0]
            assert desk.channel.wait_for_room(PATIENCE_S)
        desk.finish()
    assert desk.seqs() == list(range(seq + 1))
    assert [mark.frames for mark in desk.told] == sorted(mark.frames for mark in desk.told)


@pytest.mark.usefixtures("impatient")
def test_giving_up_says_that_not_everything_is_durable(desk: Desk) -> None:
    with desk, desk.locked(), told("the write is tried again") as waits:
        desk.channel.put(received(0))
        assert waits.wait(PATIENCE_S)
        desk.writer.finish("done")
        desk.writer.give_up()
        desk.writer.join(PATIENCE_S)
        assert isinstance(desk.writer.failure, NotDurable)
        assert "Stopped with 1 frames or more not written" in str(desk.writer.failure)
        assert desk.ended.is_set()
    assert desk.told == []
    assert desk.seqs() == []


@pytest.mark.usefixtures("impatient")
def test_a_full_disk_is_waited_for(desk: Desk) -> None:
    room = Event()

    @event.listens_for(desk.engine, "connect")
    def _small(connection: Any, _record: Any) -> None:
        # SQLite's own limit on a file gives SQLite's own error for a full disk.
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={2**30 if room.is_set() else pages + 1}")

    frames = [received(seq, b"x" * 5_000) for seq in range(10)]
    for frame in frames:  # beforehand, for there is room for one by itself
        desk.channel.put(frame)
    with told("is full; make room") as waits, desk:
        assert waits.wait(PATIENCE_S)
        assert desk.seqs() == []
        room.set()
        desk.finish()
    assert desk.seqs() == list(range(10))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_outcome_is_unknown_is_done_exactly_once(desk: Desk, committed: bool) -> None:
    faults = _faulty_commit(desk.engine, committed)
    with desk:
        desk.channel.put_entry(OPENED)
        for seq in range(5):
            desk.channel.put(received(seq))
        desk.wait(lambda watermark: watermark.frames == 5)
        desk.channel.put(received(5))
        desk.finish()
    assert faults == ["COMMIT"]
    assert desk.seqs() == list(range(6))
    assert desk.rows("SELECT count(*) FROM sessions") == [(1,)]
    assert desk.rows("SELECT sum(frames), count(*), max(batch) FROM batches WHERE batch > 0") == [
        (6, len(desk.told), len(desk.told))
    ]


def _faulty_commit(engine: Engine, committed: bool) -> list[str]:
    """The first commit's answer is lost: it was done, or it was not."""
    faults: list[str] = []

    @event.listens_for(engine, "commit")
    def _lose(connection: Any) -> None:
        if not faults:
            faults.append("COMMIT")
            connection.connection.driver_connection.execute("COMMIT" if committed else "ROLLBACK")
            raise OperationalError("COMMIT", None, sqlite3.OperationalError("database is locked"))

    return faults


def test_a_row_that_cannot_be_written_ends_the_writer_and_closes_its_channels(desk: Desk) -> None:
    with desk:
        desk.channel.put(received(0))
        desk.wait(lambda watermark: watermark.frames == 1)
        for seq in (1, 0, 2):  # 0 stands there already
            desk.channel.put(received(seq))
        assert desk.ended.wait(PATIENCE_S)
        desk.writer.join(PATIENCE_S)
        assert isinstance(desk.writer.failure, DatabaseError)
        assert "UNIQUE constraint failed" in str(desk.writer.failure)
        with pytest.raises(ChannelClosed):
            desk.channel.wait_for_room(PATIENCE_S)
    # Nothing of the batch that failed.
    assert desk.seqs() in ([0], [0, 1])
    assert desk.writer.watermark.frames == len(desk.seqs())
    assert desk.rows("SELECT ended_ns FROM runs") == [(None,)]


def test_a_database_that_may_not_be_written_to_any_more(desk: Desk) -> None:
    @event.listens_for(desk.engine, "connect")
    def _read_only(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only=ON")

    with desk:
        desk.channel.put(received(0))
        assert desk.ended.wait(PATIENCE_S)
        desk.writer.join(PATIENCE_S)
        assert type(desk.writer.failure) is DatabaseError
        assert "is read-only" in str(desk.writer.failure)
    assert desk.told == []


def test_a_value_that_the_driver_cannot_take_ends_the_writer_too(desk: Desk) -> None:
    recorded = received(0)
    with desk:
        desk.channel.put(recorded._replace(frame=recorded.frame._replace(received_ns=2**63)))
        assert desk.ended.wait(PATIENCE_S)
        desk.writer.join(PATIENCE_S)
        assert isinstance(desk.writer.failure, struct.error)
        with pytest.raises(ChannelClosed):
            desk.channel.wait_for_room(PATIENCE_S)
    assert desk.seqs() == []


def test_a_fault_of_whoever_is_told_ends_the_writer(desk: Desk) -> None:
    def fail(_watermark: Watermark) -> None:
        raise KeyError("a bug")

    desk.on_durable = fail
    with desk:
        desk.channel.put(received(0))
        assert desk.ended.wait(PATIENCE_S)
        desk.writer.join(PATIENCE_S)
        assert isinstance(desk.writer.failure, KeyError)
    # It was committed before anybody was told.
    assert desk.seqs() == [0]


def test_frames_and_event_log_move_together(desk: Desk) -> None:
    with desk:
        desk.channel.put_entry(OPENED)
        desk.channel.put(received(0))
        desk.channel.put_entry(Covered(ACCOUNT, SESSION, 0, NOON_NS, ("account",), {}))
        desk.channel.put(received(1))
        desk.channel.put_entry(SessionEnded(ACCOUNT, SESSION, NOON_NS + 9, "stopped", "", True, 1, NOON_NS + 1))
        desk.finish()
    assert desk.rows("SELECT opened_ns, covered_ns, ended_ns, end_reason FROM sessions") == [
        (NOON_NS, NOON_NS, NOON_NS + 9, "stopped")
    ]
    assert desk.rows("SELECT begins_ns, ends_ns, reason FROM gaps ORDER BY gap_id") == [
        (None, NOON_NS, "beginning"),
        (NOON_NS + 1, None, "stopped"),
    ]


NOTED = CheckpointMade(RECORDER, 2, NOON_NS, "a note", None, "AAAA")


def test_each_batch_is_told_once_it_is_committed_with_its_seal(desk: Desk) -> None:
    with desk:
        for seq in range(3):
            desk.channel.put(received(seq))
            desk.wait(lambda watermark, seq=seq: watermark.frames > seq)  # type: ignore[misc]
        desk.finish()
    assert [batch.number for batch in desk.sealed] == list(range(1, len(desk.sealed) + 1))
    sealed = [(batch.number, batch.seal) for batch in desk.sealed]
    assert desk.rows("SELECT batch, seal FROM seals WHERE batch > 0 ORDER BY batch") == sealed


def test_a_last_entry_follows_the_durable_end_of_the_run(desk: Desk) -> None:
    found: list[Any] = []

    def last() -> LogEntry:
        found.extend(desk.rows("SELECT end_reason FROM runs"))
        return NOTED

    desk.last_entry = last
    with desk:
        desk.channel.put(received(0))
        desk.finish()
    assert found == [("done",)], "when it is asked for"
    assert desk.rows("SELECT size, note, token FROM checkpoints") == [(2, "a note", None)]
    kinds = desk.rows("SELECT batch, json_extract(body, '$.kind') FROM event_log ORDER BY batch, item")
    number = desk.writer.watermark.batch
    assert kinds[-2:] == [(number - 1, "RunEnded"), (number, "CheckpointMade")]
    assert desk.rows("SELECT json_extract(body, '$.subtrees') FROM event_log ORDER BY batch DESC LIMIT 1") == [
        ("AAAA",)
    ]
    assert desk.sealed[-1].number == number


@pytest.mark.usefixtures("impatient")
def test_a_last_entry_that_cannot_be_written_is_no_failure(desk: Desk) -> None:
    """The run has ended, and that is durable."""
    asked, locked = Event(), Event()

    def last() -> LogEntry:
        asked.set()
        assert locked.wait(PATIENCE_S)
        return NOTED

    desk.last_entry = last
    with (
        desk,
        told("did not take the last entry (CheckpointMade) in time") as warned,
        told("the write is tried again") as waits,
    ):
        desk.writer.finish("done")
        assert asked.wait(PATIENCE_S)
        with desk.locked():
            locked.set()
            assert waits.wait(PATIENCE_S)
            desk.writer.give_up()
            desk.writer.join(PATIENCE_S)
        assert desk.writer.failure is None
        assert warned.is_set()
    assert desk.rows("SELECT end_reason FROM runs") == [("done",)]
    assert desk.rows("SELECT count(*) FROM checkpoints") == [(0,)]


def kept_seqs(desk: Desk, told: str) -> list[int]:
    """The frames in the file that the rescue named."""
    path = told.removeprefix("everything received is in ")
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
        return [seq for (seq,) in database.execute("SELECT seq FROM frames ORDER BY seq")]


def test_a_moved_database_ends_the_run_and_nothing_more_is_called_durable(desk: Desk) -> None:
    with desk:
        desk.channel.put(received(0))
        desk.wait(lambda watermark: watermark.frames == 1)
        desk.path.rename(desk.path.with_name("old.db"))
        desk.channel.put(received(1))
        assert desk.ended.wait(PATIENCE_S)
        desk.channel.put(received(2))
        desk.finish()
        assert "was moved to" in str(desk.writer.displaced)
        assert kept_seqs(desk, desk.file.rescue()) == [0, 1, 2]
    assert desk.told == [desk.writer.watermark]
    assert desk.writer.watermark.frames == 1


def test_a_database_that_is_moved_while_nothing_comes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.live.writer.IDLE_CHECK_S", 0.01)
    with desk:
        desk.path.unlink()
        assert desk.ended.wait(PATIENCE_S)
        assert desk.writer.failure is None


@pytest.mark.usefixtures("impatient")
def test_what_waits_for_a_full_disk_goes_into_the_database_that_is_moved_to_make_room(desk: Desk) -> None:
    room = Event()

    @event.listens_for(desk.engine, "begin")
    def _size(connection: Any) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={2**30 if room.is_set() else pages + 1}")

    for seq in range(10):
        desk.channel.put(received(seq, b"x" * 5_000))
    with told("is full; make room") as waits, desk:
        assert waits.wait(PATIENCE_S)
        desk.path.rename(desk.path.with_name("old.db"))
        assert desk.ended.wait(PATIENCE_S)
        room.set()
        desk.finish()
        assert kept_seqs(desk, desk.file.rescue()) == list(range(10))
    assert not desk.path.exists()
    assert desk.told == []


def test_nothing_is_written_into_a_backup_that_was_copied_over_the_database(desk: Desk, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    with desk:
        with closing(sqlite3.connect(desk.path)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
        for seq in range(20):
            desk.channel.put(received(seq, b"x" * 50_000))
        desk.wait(lambda watermark: watermark.frames == 20)
        desk.file.checkpoint()
        desk.channel.put(received(20))
        desk.wait(lambda watermark: watermark.frames == 21)
        desk.path.write_bytes(backup.read_bytes())
        desk.channel.put(received(21))
        assert desk.ended.wait(PATIENCE_S)
        desk.writer.join(PATIENCE_S)
        assert isinstance(desk.writer.failure, DatabaseMoved)
        desk.file.rescue()
    assert desk.path.read_bytes() == backup.read_bytes()
    assert desk.told[-1].frames == 21
