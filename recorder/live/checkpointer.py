"""Makes a run's checkpoints: at its start, regularly while there is something new, and at its end.

The tree of the recorder's seals is kept in memory, as a few roots. Seals are added as the writer commits them and are
never read again, so what is signed is what was written. The event log entry that notes a checkpoint makes another seal,
which the next checkpoint covers.

Failures are logged once and tried again; recording never waits for a checkpoint.
"""

import logging
from collections.abc import Callable, Mapping
from threading import Event, Lock, Thread
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError as DriverError

from recorder.audit.evidence.checkpoint import checkpoint_of, sign_checkpoint
from recorder.audit.evidence.delivery import Delivery, NoteCommand, NoteFile
from recorder.audit.evidence.tree import SealPlace, Tree, subtrees_text
from recorder.clock import Clock
from recorder.errors import DatabaseError, NotProven
from recorder.live.channel import Channel
from recorder.live.sender import AUTHORITY_TIMEOUT_S, Sender, TimeStamper
from recorder.live.settings import Checkpoints
from recorder.store.entries import CheckpointMade
from recorder.store.journal import Batch

log = logging.getLogger(__name__)

#: Pause between two chunks of earlier seals, so that reading them does not slow down recording, seconds.
BREATH_S = 0.01
#: Most new seals kept in memory while earlier ones are read; beyond, they are read from the record, too.
WAITING_MAX = 10_000


class LastSeal(NamedTuple):
    """The last seal to be read from the record; later ones come from the writer."""

    recorder_id: int
    run_id: int
    #: At first the batch that opened the run.
    batch: int
    seal: bytes


class Checkpointer(Thread):
    """Makes checkpoints and sends them out.

    Args:
        settings: the key, the interval and the destinations.
        opening: the seal of the batch that opened the run.
        engine: a read-only engine of the record.
        channel: to the writer.
        clock: dates checkpoints, measures waits.
        environment: of the command.

    Attributes:
        failure: what ended the thread, other than a stop. Recording goes on without it.
    """

    def __init__(
        self,
        settings: Checkpoints,
        opening: LastSeal,
        engine: Engine,
        channel: Channel,
        clock: Clock,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(name="checkpointer", daemon=True)
        self.failure: BaseException | None = None
        self._settings = settings
        self._opening = opening
        self._engine = engine
        self._channel = channel
        self._clock = clock
        ways: list[Delivery] = [] if settings.file is None else [NoteFile(settings.file)]
        ways += [NoteCommand(settings.command, environment)] if settings.command else []
        self._senders = [Sender(way, clock) for way in ways]
        self._wake = Event()
        self._stamper = None if settings.authority is None else TimeStamper(settings.authority, self._wake.set)
        self._note = ""
        self._ended = False
        self._stopping = False
        self._stop_by_s = 0.0
        # The tree, and the seals made while those of earlier runs are still being read. Two threads use them.
        self._lock = Lock()
        self._tree = Tree(opening.recorder_id, settings.key.verifier)
        self._begun = False
        self._whole = False
        self._waiting: list[bytes] = []
        self._news = True

    def start(self) -> None:
        """Start the thread and its senders."""
        for sender in self._senders:
            sender.start()
        super().start()

    def sealed(self, batch: Batch) -> None:
        """Add the seal of a committed batch. Called in the writer's thread."""
        with self._lock:
            if self._ended:
                return
            if self._whole:
                self._tree.frontier.add(batch.seal)
            else:
                self._waiting.append(batch.seal)
                if len(self._waiting) > WAITING_MAX:
                    self._opening = self._opening._replace(batch=batch.number, seal=batch.seal)
                    self._waiting.clear()
            # A batch that only notes a checkpoint is no reason for another one.
            only_notes = all(isinstance(entry, CheckpointMade) for entry in batch.entries)
            self._news = self._news or bool(batch.frames) or not only_notes

    def stop(self, by_s: float) -> None:
        """Make no more checkpoints but the last one. Then `join`, and let the writer call `last`.

        Args:
            by_s: when a stop waits for checkpoints no longer, on the monotonic clock.
        """
        self._stop_by_s = by_s
        self._stopping = True
        self._wake.set()

    def last(self) -> CheckpointMade | None:
        """Make and send the checkpoint that covers the run's end. Called in the writer's thread.

        Its time-stamp may take up to half of the time that is left.
        """
        if self._ended:
            return None  # the reason has been logged
        if not self._whole:
            log.warning(
                "no checkpoint of this run's end: the seals before it are not read yet; the next run's covers it"
            )
            return None
        now_s = self._clock.monotonic_s()
        return self._make(now_s + max((self._stop_by_s - now_s) / 2, 0.0), in_a_stop=True)

    def finish(self) -> None:
        """Wait for the last deliveries until the time given to `stop`, then abandon them."""
        for sender in self._senders:
            sender.finish(max(self._stop_by_s - self._clock.monotonic_s(), 0.0))

    def run(self) -> None:
        """The thread."""
        try:
            due_s = self._clock.monotonic_s()
            while not self._stopping:
                if self._whole or self._read_tree():
                    self._at_interval()
                due_s = max(due_s + self._settings.every_s, self._clock.monotonic_s())
                self._wait(_never, due_s)
        except NotProven as error:
            self._give_up()
            log.error("%s No checkpoint is made in this run; recording goes on.", error)
        except BaseException as error:
            self._give_up()
            log.exception("No more checkpoints in this run: recorder has a bug. Recording goes on.")
            self.failure = error

    def _read_tree(self) -> bool:
        """Read the seals of earlier runs, a chunk at a time. Returns whether the tree is complete now."""
        try:
            while not self._stopping:
                with self._lock:
                    upto = self._opening
                # A new connection each time: a long read would keep SQLite's write-ahead log growing.
                with self._engine.connect() as connection:
                    if not self._begun:
                        self._tree.begin(connection)
                        self._begun = True
                    read = self._tree.read(connection, SealPlace(upto.run_id, upto.batch))
                if not read and self._complete(upto):
                    return True
                self._wait(_never, self._clock.monotonic_s() + BREATH_S)
        except DriverError as error:
            log.warning("no checkpoint now: the record cannot be read (%s); it is tried again", error.orig)
        except DatabaseError as error:
            raise NotProven(f"{error}") from error
        return False

    def _complete(self, upto: LastSeal) -> bool:
        """Add the waiting seals. Returns False if there were too many, so that more must be read."""
        if self._tree.last != upto.seal:
            raise NotProven("The seals in the record do not lead to this run's: somebody has changed them meanwhile.")
        with self._lock:
            if self._opening != upto:
                return False
            for seal in self._waiting:
                self._tree.frontier.add(seal)
            self._waiting.clear()
            self._whole = True
            return True

    def _give_up(self) -> None:
        with self._lock:
            self._ended = True
            self._waiting.clear()

    def _at_interval(self) -> None:
        if self._news:
            self._channel.put_entry(self._make(self._clock.monotonic_s() + AUTHORITY_TIMEOUT_S, in_a_stop=False))
            return
        for sender in self._senders:
            if sender.failing:
                sender.send(self._note)

    def _make(self, stamp_by_s: float, *, in_a_stop: bool) -> CheckpointMade:
        recorder_id = self._opening.recorder_id
        with self._lock:
            frontier = self._tree.frontier
            size, root, subtrees = frontier.size, frontier.root(), subtrees_text(frontier)
            self._news = False
        made_ns = self._clock.wall_ns()
        note = self._note = sign_checkpoint(checkpoint_of(recorder_id, size, root), self._settings.key)
        for sender in self._senders:
            sender.send(note)
        token = None
        if self._stamper is not None:
            token = self._stamper.token(note, lambda done: self._wait(done, stamp_by_s, in_a_stop=in_a_stop))
        return CheckpointMade(recorder_id, size, made_ns, note, token, subtrees)

    def _wait(self, done: Callable[[], bool], by_s: float, *, in_a_stop: bool = False) -> bool:
        """Wait for a condition, at most until `by_s` on the monotonic clock. Returns False if a stop ended the wait."""
        while not done():
            if self._stopping and not in_a_stop:
                return False
            left_s = by_s - self._clock.monotonic_s()
            if left_s <= 0:
                break
            self._wake.wait(left_s)
            self._wake.clear()
        return True


def _never() -> bool:
    return False
