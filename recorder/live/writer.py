"""The one writer: takes what the channels hold, commits it in batches, and only then says that it is durable."""

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
from recorder.store.database_file import HeldFile
from recorder.store.engine import explain, may_pass, place
from recorder.store.entries import Covered, LogEntry, RunEnded
from recorder.store.journal import OPENING, Batch
from recorder.store.state_index import Snapshots

log = logging.getLogger(__name__)

#: Wait so long before a database that is locked or full is tried again, seconds. A stop leaves time for another try.
RETRY_FIRST_S = 0.1
RETRY_LAST_S = 1.0
#: While nothing comes, the database file is checked this often, seconds.
IDLE_CHECK_S = 1.0


class Writer(Thread):
    """Owns the only writing connection.

    Args:
        engine: of the database, its schema current.
        url: of the database, for messages.
        recorder_id: whose run it is.
        run_id: of the run, which its first batch has opened.
        seal: of that batch.
        clock: dates batches, measures waits.
        limits: of a batch.
        on_durable: called after each commit, in this thread.
        on_end: called when the thread ends, in this thread.
        on_covered: called once it is durable that a session is covered, in this thread.
        on_sealed: called with each batch that has been committed, in this thread.
        last_entry: asked once the run's end is durable, in this thread: what the event log is still to be told.
        file: the database file, to notice that it is moved or deleted.

    Attributes:
        watermark: what is known durable; replaced after each commit.
        failure: what ended the thread before its time.
        displaced: what happened to the database file, the first half of a sentence. What is committed after that goes
            into the open file and is not called durable: whoever stops the run rescues it (`HeldFile.rescue`).
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
        self._finish_reason: str | None = None
        self._give_up = Event()

    def channel(self) -> Channel:
        """A new channel into this writer. Make all of them before `start`."""
        limits = self._limits
        channel = Channel(self.ready, limits.queue_frames_max, limits.queue_bytes_max)
        self._channels.append(channel)
        return channel

    def finish(self, reason: str) -> None:
        """Nothing more will be put: write what waits, end the run in the event log, and end. Then `join`."""
        self._finish_reason = reason
        self.ready.set()

    def give_up(self) -> None:
        """Stop trying to write: the time is over."""
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
                continue
            self.ready.clear()
            # Looked at before taking: what was put before `finish` is then taken for certain.
            reason = self._finish_reason
            batch = self._next_batch()
            if not batch.frames and not batch.entries:
                if reason is None:
                    continue
                batch.entries.append(RunEnded(self._run_id, self._clock.wall_ns(), reason))
                finished = True
            self._commit(batch)
            self._announce(batch)
            self._make_snapshots(batch)
            if reason is not None or not self._is_idle():
                self.ready.set()
            if reason is None and len(batch.frames) < self._limits.batch_frames_max:
                # A commit costs a disk flush: let a few milliseconds of frames share one.
                self._give_up.wait(self._limits.batch_ms / 1000)
        self._write_last_entry()
        if self._file is not None:
            # SQLite checkpoints when it closes a database, but not one that was moved meanwhile.
            self._file.checkpoint()
            self._check_file()

    def _write_last_entry(self) -> None:
        """What came of the run's end itself, such as the checkpoint that covers it."""
        entry = self._last_entry()
        if entry is None:
            return
        batch = self._new_batch()
        batch.entries.append(entry)
        try:
            self._commit(batch)
        except NotDurable:
            # The run has ended, and that is durable; the next one tells more than this would have.
            log.warning("%s did not take the last entry (%s) in time", place(self._url), type(entry).__name__)
            return
        self._announce(batch)

    def _new_batch(self) -> Batch:
        return Batch(self._recorder_id, self._run_id, self._last_batch + 1, self._seal)

    def _is_idle(self) -> bool:
        return all(channel.is_empty for channel in self._channels)

    def _make_snapshots(self, batch: Batch) -> None:
        """While nothing waits: they only spare reading."""
        for (account_id, _), (first, last) in batch.spans.items():
            self._snapshots.add(account_id, last - first + 1)
        try:
            while self._snapshots.due and self._finish_reason is None and (self._is_idle() or self._snapshots.behind):
                assert self._connection is not None
                with self._connection.begin():
                    self._snapshots.step(self._connection, self._clock.wall_ns())
        except DriverError:
            self._disconnect()  # whatever it is, the next batch meets it too, and is tried again

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
        """Write a batch, however often it takes.

        Raises:
            DatabaseError: it cannot be written, and waiting will not help; or the time is over.
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
                    log.warning("%s Recording goes on in memory; the write is tried again.", explained)
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
                self._disconnect()  # only now: a connection is the way to a file that is moved during the wait
            attempt += 1
            wait_s = min(wait_s * 2, RETRY_LAST_S)

    def _write(self, batch: Batch, *, again: bool) -> None:
        if self._connection is None:
            if self.displaced is not None:
                raise DatabaseMoved(f"{len(batch.frames)} frames or more could not be written")
            self._connection = self._engine.connect()
        with self._connection.begin():
            # After a failed attempt its outcome is not known: it is asked for, never guessed.
            if not again or not batch.is_written(self._connection):
                batch.write(self._connection, self._clock.wall_ns())

    def _check_file(self) -> None:
        """Notice that the database file was moved, deleted or replaced, and end the run then."""
        if self._file is None or self.displaced is not None:
            return
        self.displaced = self._file.displaced()
        if self.displaced is not None:
            if self._file.overwritten:
                raise DatabaseMoved("what waited was not written")
            log.error("%s: stopping, and keeping what was received", self.displaced)
            # At once, in case that this process is killed now.
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
        self._on_sealed(batch)
        if self.displaced is not None:
            return  # not durable before it has been rescued
        self.watermark = self.watermark.after(batch.number, batch.frames)
        self._on_durable(self.watermark)
        for entry in batch.entries:
            if isinstance(entry, Covered):
                self._on_covered(entry)
