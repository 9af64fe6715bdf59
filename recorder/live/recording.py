"""A run: its threads are started in order, and stopped in the opposite order."""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

from recorder.clock import NS_PER_MS, Clock
from recorder.errors import DatabaseMoved, InternalError, NotDurable, RecorderError
from recorder.live.account_sessions import sessions_of
from recorder.live.before_run import check_accounts
from recorder.live.checkpointer import Checkpointer, LastSeal
from recorder.live.collector import Collector
from recorder.live.connection import client_of, too_many_connections
from recorder.live.history import Backfill
from recorder.live.http import HttpClient
from recorder.live.pace import Pace
from recorder.live.reconciler import Reconciler, Retry
from recorder.live.settings import Account, Checkpoints, Limits
from recorder.live.shipper import Shipper
from recorder.live.wake import Wake
from recorder.live.watermark import Watermark
from recorder.live.writer import ANSWERS_BYTES_MAX, Writer
from recorder.read.before_gap import EndedGap, gaps_by_id
from recorder.store import migrate
from recorder.store.database_file import HeldFile
from recorder.store.engine import database_path, explained, open_engine, sole_writer
from recorder.store.entries import AccountAdded, Covered, LogEntry
from recorder.store.journal import OPENING, Batch
from recorder.store.opening import new_run, open_run

log = logging.getLogger(__name__)

#: Share of a stop's time for the collectors.
COLLECTORS_SHARE = 0.3
#: How long a writer may take to notice that it has to give up, seconds.
GIVE_UP_S = 1.0
#: Share of a stop's time after which it waits for checkpoints no longer.
CHECKPOINTS_SHARE = 0.7


class RunState(NamedTuple):
    """The progress of a run, for people."""

    frames: int
    frames_durable: int
    frames_waiting: int
    #: Age of the high-watermark while anything waits, milliseconds.
    lag_ms: int
    #: Account name → `connecting`, `subscribing` or `covered`.
    sessions: dict[str, str]
    #: Of the server's database: `connecting`, `up to date`, `sending`, `away` or `refusing`; None: there is no server.
    server: str | None = None
    #: Durable in the journal, but not yet on the server.
    frames_to_send: int = 0
    #: Discrepancies between REST and the pushes found in this run.
    discrepancies: int = 0


class Recording:
    """A run, as a context manager: entering it starts the threads, leaving it stops them and raises what went wrong.

    Args:
        url: the address of the database file that every batch is written to.
        accounts: the accounts to record.
        limits: of queues and waits.
        clock: stamps and measures.
        on_durable: called before the run is opened, and then after each commit, in the writer's thread.
        server: the address of the server's database that batches are sent on to; None: there is no server.
        checkpoints: how the record is signed; None: it is not.
        by_hand: reconcile gaps, or backfill, instead of recording: nothing is pushed, and `wait` ends with the last
            round.

    Raises:
        RecorderError: on entering, before anything is written, if it cannot work; on leaving, what ended the run.
    """

    def __init__(
        self,
        url: str,
        accounts: Sequence[Account],
        limits: Limits | None = None,
        clock: Clock | None = None,
        on_durable: Callable[[Watermark], None] = lambda watermark: None,
        server: str | None = None,
        checkpoints: Checkpoints | None = None,
        by_hand: Retry | Backfill | None = None,
    ) -> None:
        self._url = url
        self._accounts = tuple(accounts)
        self._limits = limits or Limits()
        self._clock = clock or Clock()
        self._on_durable = on_durable
        self._server = server
        self._checkpoints = checkpoints
        self._by_hand = by_hand
        self._pace = Pace()
        self._clients: dict[int, HttpClient] = {}
        #: Session → its coverage, where an account has several streams.
        self._covered_streams: dict[int, Covered] = {}
        self._shipper: Shipper | None = None
        self._checkpointer: Checkpointer | None = None
        self._rescued = ""
        self._resources = ExitStack()
        #: Set it to end `wait`; a signal handler may.
        self.wake = Wake()
        #: Why the run ends, for the event log.
        self.end_reason = "stopped"

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.callback(self.wake.close)
            starting.enter_context(sole_writer(self._url))
            with explained(self._url):
                self._prepare_database(starting)
            self._start_threads()
            self._resources = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._resources:
            self._stop()
        if error is None:
            self._raise_failures()

    def wait(self, timeout_s: float) -> bool:
        """Wait for `wake`, or until a thread ends by itself. Returns whether the run should end."""
        return self.wake.wait(timeout_s)

    def idle_s(self) -> float:
        """Seconds since the last push of any account."""
        return self._clock.monotonic_s() - max(collector.last_push_s for collector in self._collectors)

    def state(self) -> RunState:
        """The run's progress now."""
        fetching: list[Collector | Reconciler] = [*self._collectors, *self._reconcilers]
        channels = [thread.channel for thread in fetching]
        watermark = self._writer.watermark
        waiting = sum(channel.frames_in for channel in channels) - watermark.frames
        last_ns = max((mark.received_ns for mark in watermark.marks.values()), default=self._started_ns)
        return RunState(
            frames=sum(channel.frames_in for channel in channels),
            frames_durable=watermark.frames,
            frames_waiting=waiting,
            lag_ms=(self._clock.wall_ns() - last_ns) // NS_PER_MS if waiting else 0,
            sessions={collector.label: collector.state for collector in self._collectors},
            server=None if self._shipper is None else self._shipper.state,
            frames_to_send=0 if self._shipper is None else max(watermark.frames - self._shipper.frames, 0),
            discrepancies=sum(reconciler.discrepancies for reconciler in self._reconcilers),
        )

    @property
    def asking(self) -> tuple[Reconciler, ...]:
        """The reconcilers, for the progress of what is done by hand."""
        return tuple(self._reconcilers)

    def retried(self) -> list[EndedGap]:
        """The gaps reconciled by hand, as they are after the run."""
        found: list[EndedGap] = []
        with self._reading.connect() as connection:
            for reconciler in self._reconcilers:
                found += gaps_by_id(
                    connection, self._run.recorder_id, reconciler.account.account_id, reconciler.retried
                )
        return found

    def _prepare_database(self, starting: ExitStack) -> None:
        engine = self._engine = open_engine(self._url)
        if database_path(self._url).exists():
            migrate.require_usable(engine)
        # Before the first table is made: a wrong address leaves nothing behind.
        for account in self._accounts:
            client = client_of(account, self._limits, self._clock, self._pace)
            starting.callback(client.close)
            self._clients[account.account_id] = client
        check_accounts(self._accounts, self._clients, self._clock, engine, self._url)
        for sentence in too_many_connections(self._accounts) if self._by_hand is None else ():
            log.warning("%s", sentence)
        migrate.require_usable(engine)
        now_ns = self._started_ns = self._clock.wall_ns()
        wanted = [
            AccountAdded(one.account_id, one.venue.name, one.name, now_ns, tuple(stream.name for stream in one.streams))
            for one in self._accounts
        ]
        keys = {one.account_id: one.fingerprint for one in self._accounts}
        if self._server is not None:
            self._shipper = Shipper(self._url, self._server, self.wake.set)
            self._shipper.check([(one, keys[one.account_id]) for one in wanted])
        # Before anything is written: it may raise.
        self._on_durable(Watermark(OPENING, 0, {}))
        self._file = starting.enter_context(HeldFile(database_path(self._url)))
        with engine.begin() as connection:
            self._run, self._seal, warnings = open_run(connection, self._url, new_run(now_ns), wanted, keys)
        for warning in warnings:
            log.warning("%s", warning)

    def _start_threads(self) -> None:
        """Start the writer first, then what needs it; the sockets last."""
        clock, limits = self._clock, self._limits
        run_id = self._run.run_id
        self._writer = Writer(
            self._engine,
            self._url,
            self._run.recorder_id,
            run_id,
            self._seal,
            clock,
            limits,
            self._durable,
            self.wake.set,
            self._covered,
            self._sealed,
            self._last_entry,
            self._file,
        )
        reading = self._reading = open_engine(self._url, read_only=True)
        sessions = sessions_of(self._accounts, reading, self._url, self._run.recorder_id)
        self._collectors = [
            Collector(
                account,
                stream,
                run_id,
                self._writer.channel(),
                clock,
                limits,
                self.wake.set,
                sessions[account.account_id],
                self._pace,
            )
            for account in self._accounts
            for stream in account.streams
            if self._by_hand is None
        ]
        self._reconcilers = [
            Reconciler(
                account,
                self._run.recorder_id,
                run_id,
                reading,
                self._writer.channel(ANSWERS_BYTES_MAX),
                self._clients[account.account_id],
                clock,
                limits,
                self._reconciler_ended,
                self._collectors_of(account.account_id),
                self._by_hand,
            )
            for account in self._accounts
        ]
        if self._checkpoints is not None:
            self._checkpointer = Checkpointer(
                self._checkpoints,
                LastSeal(self._run.recorder_id, run_id, OPENING, self._seal),
                reading,
                self._writer.channel(),
                clock,
                self._environment(),
            )
        self._writer.start()
        if self._shipper is not None:
            self._shipper.start()
        for reconciler in self._reconcilers:
            reconciler.start()
        if self._checkpointer is not None:
            self._checkpointer.start()
        for collector in self._collectors:
            collector.start()

    def _durable(self, watermark: Watermark) -> None:
        self._on_durable(watermark)
        for reconciler in self._reconcilers:
            reconciler.durable(watermark.sessions)
        if self._shipper is not None:
            self._shipper.more(watermark.frames)

    def _covered(self, entry: Covered) -> None:
        collectors = self._collectors_of(entry.account_id)
        newest: Covered | None = entry
        streams: list[Covered] = [entry]
        if len(collectors) > 1:
            # A round asks about the whole account, so it waits until all streams are covered. It settles the gaps that
            # ended until the newest of their sessions was covered: by then all of them have ended.
            known = self._covered_streams
            known[entry.session_id] = entry
            current = {collector.covered_session_id for collector in collectors}
            for key in [key for key in known if key not in current and known[key].account_id == entry.account_id]:
                del known[key]
            streams = [known[key] for key in current if key in known]
            newest = max(streams, key=lambda one: one.session_id) if len(streams) == len(current) else None
        for reconciler in self._reconcilers:
            if newest is not None and reconciler.account.account_id == entry.account_id:
                reconciler.covered(newest, streams)

    def _collectors_of(self, account_id: int) -> list[Collector]:
        return [collector for collector in self._collectors if collector.account.account_id == account_id]

    def _reconciler_ended(self) -> None:
        """End the run if a reconciler has failed, or if all of them are done reconciling by hand."""
        if self._by_hand is None or all(reconciler.is_done for reconciler in self._reconcilers):
            self.wake.set()

    def _sealed(self, batch: Batch) -> None:
        if self._checkpointer is not None:
            self._checkpointer.sealed(batch)

    def _last_entry(self) -> LogEntry | None:
        return None if self._checkpointer is None else self._checkpointer.last()

    def _environment(self) -> dict[str, str]:
        """The environment of the user's command, without the secrets of the configuration."""
        secrets = {secret for account in self._accounts for secret in account.credentials.secrets}
        if self._checkpoints is not None:
            secrets.add(self._checkpoints.key.text)
        return {name: value for name, value in os.environ.items() if value.strip() not in secrets}

    def _stop(self) -> None:
        """Stop from the socket inwards, so that everything received can still be made durable.

        1. The collectors queue the frames they have already read, close their sockets, and queue the end of their
           sessions. A collector that is still connecting has no frames, so nothing waits for it. The reconcilers
           abandon their rounds: the gaps stay open, and the next run reconciles them.
        2. The writer writes what waits, then the end of the run. The checkpoint that covers this is signed and sent;
           the writer notes it and closes the database. If the database takes too long, the writer gives up and says
           so. If the database file was moved or deleted, everything is rescued now, however long that takes.
        3. The last checkpoint is delivered, or abandoned: the next run sends a newer one.
        4. The shipper sends what the server does not have, while there is time. The rest stays in the journal, and the
           next run sends it.
        5. The lock is released last, when everything is done.
        """
        deadline_s = self._clock.monotonic_s() + self._limits.stop_s
        fetching: list[Collector | Reconciler] = [*self._collectors, *self._reconcilers]
        for thread in fetching:
            thread.stop()
        if self._checkpointer is not None:
            self._checkpointer.stop(deadline_s - self._limits.stop_s * (1 - CHECKPOINTS_SHARE))
        collected_s = deadline_s - self._limits.stop_s * (1 - COLLECTORS_SHARE)
        for thread in fetching:
            thread.join(max(collected_s - self._clock.monotonic_s(), 0.0))
        if self._checkpointer is not None:
            self._checkpointer.join(max(collected_s - self._clock.monotonic_s(), 0.0))
        if any(thread.failure for thread in fetching):
            self.end_reason = "failed"
        if self._writer.displaced is not None:
            self.end_reason = "database moved"
        self._writer.finish(self.end_reason)
        self._writer.join(max(deadline_s - self._clock.monotonic_s(), 0.1))
        if self._writer.is_alive():
            self._writer.give_up()
            # Once all is durable, only a short step of the projections is left.
            self._writer.join(None if self._writer.run_is_durable else GIVE_UP_S)
        if self._writer.displaced is not None:
            self._rescued = self._file.rescue()
        if self._shipper is not None:
            self._shipper.finish()
        if self._checkpointer is not None:
            self._checkpointer.finish()
        if self._shipper is not None:
            self._shipper.join(max(deadline_s - self._clock.monotonic_s(), 0.1))
            self._shipper.give_up()

    def _raise_failures(self) -> None:
        threads: list[Writer | Collector | Reconciler | Shipper] = [self._writer, *self._collectors, *self._reconcilers]
        if self._shipper is not None:
            threads.append(self._shipper)
        if self._writer.displaced is not None:
            raise self._moved(self._writer.displaced)
        failures = [thread.failure for thread in threads if thread.failure is not None]
        for failure in failures:
            if isinstance(failure, RecorderError):
                raise failure
            raise InternalError(
                f"Recorder has a bug and stopped ({type(failure).__name__}: {failure}); everything before that is "
                "durable, and the event log notes the gap. Start it again, and report this with the lines above."
            ) from failure
        if self._writer.is_alive() and not self._writer.run_is_durable:
            raise NotDurable(
                f"{database_path(self._url)} did not take what waited in time; the record ends at the last durable "
                "frame, and the next run notes the gap from there."
            )
        if self._checkpointer is not None and self._checkpointer.failure is not None:
            failure = self._checkpointer.failure
            raise InternalError(
                f"Recorder has a bug and made no more checkpoints ({type(failure).__name__}: {failure}); everything "
                "recorded is durable. Report this with the lines above."
            ) from failure

    def _moved(self, displaced: str) -> DatabaseMoved:
        failure = self._writer.failure
        unwritten = f"; {failure}" if isinstance(failure, DatabaseMoved | NotDurable) else ""
        unsent = "" if self._server is None else " (send it to the server with `recorder merge`)"
        return DatabaseMoved(
            f"{displaced}, so it stopped: {self._rescued}{unsent}{unwritten}. "
            "Put the database back, or name another one, and start again; the time until then is recorded as a gap."
        )
