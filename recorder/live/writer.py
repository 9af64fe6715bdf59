"""The only writer: takes what waits in the channels, commits it in batches, and then moves the high-watermark."""

import logging
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError as DriverError

from recorder.clock import Clock
from recorder.errors import DatabaseMoved, NotDurable
from recorder.live.channel import Channel, Recorded
from recorder.live.settings import Limits
from recorder.live.watermark import Watermark
from recorder.read.projector import Projector
from recorder.store.database_file import HeldFile
from recorder.store.engine import explain, may_pass, place
from recorder.store.entries import Covered, LogEntry, RunEnded
from recorder.store.journal import OPENING, Batch
from recorder.store.snapshots import Snapshots

log = logging.getLogger(__name__)

#: Waits before a locked or full database is tried again grow from the first to the last, seconds.
RETRY_FIRST_S = 0.1
RETRY_LAST_S = 1.0
#: How often the database file is checked while nothing is written, seconds.
IDLE_CHECK_S = 1.0
#: Projections are brought up to date after this many seconds, or after this many frames if they come sooner. A
#: transaction for each push would double what a push costs.
PROJECT_S = 1.0
PROJECT_FRAMES = 500
#: At the end of a run they may take this long, seconds; the next run does the rest.
PROJECT_LAST_S = 1.0


#: The most bytes of REST answers that wait, for each account: unlike pushes, answers can wait at the exchange. Their
#: rows take several times as much memory, and a stop has little time to write them.
ANSWERS_BYTES_MAX = 4 * 2**20


class Writer(Thread):
    """Owns the only writing connection.

    Args:
        engine: of the database, whose schema is current.
        url: of the database, for messages.
        recorder_id: the recorder.
        run_id: the run, opened by an earlier batch.
        seal: of that batch.
        clock: dates batches, measures waits.
        limits: of a batch.
        on_durable: called after each commit. This and the other functions are called in this thread.
        on_end: called when the thread ends.
        on_covered: called once a session's coverage is durable.
        on_sealed: called with each committed batch.
        last_entry: called once the run's end is durable; returns the last entry of the event log, if there is one.
        file: the database file, to notice that it is moved or deleted.

    Attributes:
        watermark: what is durable; replaced after each commit.
        failure: what ended the thread, other than `finish`.
        run_is_durable: whether everything up to the end of the run is durable.
        displaced: what happened to the database file, as the first half of a sentence; None: nothing. Later commits go
            into the file that is still open and do not move the watermark; `HeldFile.rescue` saves them.
    """

    def __init__(
        self,
        engine: Engine,
        url: str,
        recorder_id: int,
        run_id: int,
        seal: bytes,
        clock: Clock,
        limits: Limits,
        on_durable: Callable[[Watermark], None],
        on_end: Callable[[], None],
        on_covered: Callable[[Covered], None] = lambda entry: None,
        on_sealed: Callable[[Batch], None] = lambda batch: None,
        last_entry: Callable[[], LogEntry | None] = lambda: None,
        file: HeldFile | None = None,
    ) -> None:
        super().__init__(name="writer", daemon=True)
        self.ready = Event()
        self.watermark = Watermark(OPENING, 0, {})
        self.failure: BaseException | None = None
        self.run_is_durable = False
        self.displaced: str | None = None
        self._file = file
        self._last_batch = OPENING
        self._engine = engine
        self._connection: Connection | None = None
        self._url = url
        self._clock = clock
        self._limits = limits
        self._on_durable = on_durable
        self._on_covered = on_covered
        self._on_sealed = on_sealed
        self._last_entry = last_entry
        self._on_end = on_end
        self._channels: list[Channel] = []
        self._recorder_id = recorder_id
        self._run_id = run_id
        self._seal = seal
        self._snapshots = Snapshots()
        self._projector = Projector()
        self._projected_s = 0.0
        self._finish_reason: str | None = None
        self._give_up = Event()

    def channel(self, bytes_max: int | None = None) -> Channel:
        """Make a channel to this writer, before it is started.

        Args:
            bytes_max: the most that may wait in it, bytes, if that is less than `Limits.queue_bytes_max`.
        """
        limits = self._limits
        most = limits.queue_bytes_max if bytes_max is None else min(bytes_max, limits.queue_bytes_max)
        channel = Channel(self.ready, limits.queue_frames_max, most)
        self._channels.append(channel)
        return channel

    def finish(self, reason: str) -> None:
        """Write what waits and the end of the run, and end: nothing more will come. Then `join`."""
        self._finish_reason = reason
        self.ready.set()

    def give_up(self) -> None:
        """Stop trying to write: time is up."""
        self._give_up.set()

    def run(self) -> None:
        """The thread."""
        try:
            self._write_all()
        except BaseException as error:  # noqa: BLE001  main shows it and ends the run
            self.failure = error
        finally:
            for channel in self._channels:
                channel.close()
            self._disconnect()
            self._on_end()

    def _write_all(self) -> None:
        finished = False
        while not finished:
            if not self.ready.wait(IDLE_CHECK_S):
                self._check_file()
                self._project()
                continue
            self.ready.clear()
            # Read before the channels: then everything added before `finish` is taken.
            reason = self._finish_reason
            batch = self._next_batch()
            if not batch.frames and not batch.entries:
                if reason is None:
                    continue
                batch.entries.append(RunEnded(self._run_id, self._clock.wall_ns(), reason))
                finished = True
            began_s = self._clock.monotonic_s()
            self._commit(batch)
            self._announce(batch)
            took_s = self._clock.monotonic_s() - began_s
            self._make_snapshots(batch)
            self._project()
            if reason is not None or not self._is_idle():
                self.ready.set()
            if reason is None and len(batch.frames) < self._limits.batch_frames_max:
                # Frames that arrive during the pause share the next commit. So a frame that arrives alone is committed
                # at once, and under load the writer is busy half of the time.
                self._give_up.wait(min(took_s, self._limits.batch_ms / 1000))
        self.run_is_durable = self.displaced is None
        self._write_last_entry()
        self._project_rest()
        if self._file is not None:
            # SQLite checkpoints its log when it closes a database, unless the file was moved.
            self._file.checkpoint()
            self._check_file()

    def _write_last_entry(self) -> None:
        """Write an entry about the run's end, such as the checkpoint that covers it."""
        entry = self._last_entry()
        if entry is None:
            return
        batch = self._new_batch()
        batch.entries.append(entry)
        try:
            self._commit(batch)
        except NotDurable:
            # The run's end is durable, and the next run's checkpoint covers it.
            log.warning("%s did not take the last entry (%s) in time", place(self._url), type(entry).__name__)
            return
        self._announce(batch)

    def _new_batch(self) -> Batch:
        return Batch(self._recorder_id, self._run_id, self._last_batch + 1, self._seal)

    def _is_idle(self) -> bool:
        return all(channel.is_empty for channel in self._channels)

    def _make_snapshots(self, batch: Batch) -> None:
        """Make snapshots while nothing waits; they only speed up reading."""
        for (account_id, _), (first, last) in batch.spans.items():
            self._snapshots.add(account_id, last - first + 1)
        try:
            while self._snapshots.due and self._finish_reason is None and (self._is_idle() or self._snapshots.behind):
                assert self._connection is not None
                with self._connection.begin():
                    self._snapshots.step(self._connection, self._clock.wall_ns())
        except DriverError:
            self._disconnect()  # the next batch meets the same error and is tried again

    def _project(self) -> None:
        """Let the projections follow while nothing waits; they only speed up reading."""
        now_s = self._clock.monotonic_s()
        few = self._projector.waiting_frames < PROJECT_FRAMES and now_s - self._projected_s < PROJECT_S
        while not few and self._finish_reason is None and (self._is_idle() or self._projector.behind):
            if not self._project_some():
                self._projected_s = now_s
                return

    def _project_rest(self) -> None:
        until_s = self._clock.monotonic_s() + PROJECT_LAST_S
        while not self._give_up.is_set() and self._clock.monotonic_s() < until_s and self._project_some():
            pass

    def _project_some(self) -> bool:
        """Make one step. Returns whether there may be more."""
        if self._connection is None or self.displaced is not None or not self._projector.due:
            return False
        try:
            return self._projector.advance(self._connection)
        except DriverError:
            self._disconnect()  # the next batch meets the same error and is tried again
            return False

    def _next_batch(self) -> Batch:
        batch = self._new_batch()
        limits = self._limits
        for channel in self._channels:
            for item in channel.take(limits.batch_frames_max, limits.batch_bytes_max):
                if isinstance(item, Recorded):
                    batch.add(*item)
                else:
                    batch.entries.append(item)
        return batch

    def _commit(self, batch: Batch) -> None:
        """Write a batch, trying again after a transient error.

        Raises:
            DatabaseError: waiting will not help, or time is up.
        """
        wait_s = RETRY_FIRST_S
        attempt = 0
        while True:
            self._check_file()
            try:
                self._write(batch, again=attempt > 0)
            except DriverError as error:
                explained = explain(self._url, error)
                if not may_pass(self._url, error):
                    raise explained from error
                if attempt == 0:
                    log.warning("%s Recording continues in memory; the write is tried again.", explained)
                if self._give_up.wait(wait_s):
                    raise NotDurable(
                        f"{explained} Stopped with {len(batch.frames)} frames or more not written: "
                        "the record ends at the last durable frame, and the next run notes the gap from there."
                    ) from error
            else:
                self._check_file()
                return
            self._check_file()
            if self.displaced is None:
                self._disconnect()  # only now: a connection still reaches a file that is moved during the wait
            attempt += 1
            wait_s = min(wait_s * 2, RETRY_LAST_S)

    def _write(self, batch: Batch, *, again: bool) -> None:
        if self._connection is None:
            if self.displaced is not None:
                raise DatabaseMoved(f"{len(batch.frames)} frames or more could not be written")
            self._connection = self._engine.connect()
        with self._connection.begin():
            # The outcome of a failed attempt is unknown, so the database is asked.
            if not again or not batch.is_written(self._connection):
                batch.write(self._connection, self._clock.wall_ns())

    def _check_file(self) -> None:
        """End the run if the database file was moved, deleted or replaced."""
        if self._file is None or self.displaced is not None:
            return
        self.displaced = self._file.displaced()
        if self.displaced is not None:
            if self._file.overwritten:
                raise DatabaseMoved("what waited was not written")
            log.error("%s: stopping, and keeping what was received", self.displaced)
            # At once, in case this process is killed.
            self._file.checkpoint()
            self._on_end()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(DriverError):
                self._connection.close()
            self._connection = None

    def _announce(self, batch: Batch) -> None:
        self._seal = batch.seal
        self._last_batch = batch.number
        self._projector.add(batch.run_id, len(batch.frames), sum(map(len, batch.rows.values())))
        self._on_sealed(batch)
        if self.displaced is not None:
            return  # not durable before the rescue
        self.watermark = self.watermark.after(batch.number, batch.frames)
        self._on_durable(self.watermark)
        for entry in batch.entries:
            if isinstance(entry, Covered):
                self._on_covered(entry)
